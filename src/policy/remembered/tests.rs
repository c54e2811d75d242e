//! What is kept of rules comes back whole, and what was lowered since is known.

use super::*;
use crate::world::live::FileLedger;

const RULES_OF_X: &str = "rule named {\n  Name exists\n}\nrule tagged {\n  Tags exists\n}\n";

fn pack(severity: &str, rules: &str) -> Pack {
    let entry = |name: &str, severity: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\nseverity = \"{severity}\"\ncontrols = []\non = \"template\"\nwhy = \"w\"\ninstead = \"i\"\n"
        )
    };
    let toml = format!(
        "name = \"x\"\nversion = \"1\"\ndescription = \"d\"\n{}{}",
        entry("named", severity),
        entry("tagged", "warn")
    );
    let files = [("p/pack.toml", toml.as_str()), ("p/x.guard", rules)];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().into()));
    pack::read("p", &MemorySources(files.into_iter().collect())).unwrap()
}

fn said(rules: &[(&str, Severity)]) -> Strictness {
    rules.iter().map(|(name, severity)| ((*name).to_owned(), *severity)).collect()
}

#[tokio::test]
async fn rules_are_kept_once_and_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = FileLedger::new(folder.path());
    let pack = pack("deny", RULES_OF_X);
    let book = RuleBook::new(std::slice::from_ref(&pack), &said(&[("named", Severity::Warn)]), false);
    let digest = book.keep(&ledger).await.unwrap();
    assert_eq!(book.keep(&ledger).await.unwrap(), digest);
    let back = RuleBook::read(&ledger, &digest).await.unwrap();
    assert_eq!(back, book);
    assert_eq!(back.packs().unwrap()[0].digest(), pack.digest());
}

#[tokio::test]
async fn rules_that_are_gone_altered_or_newer_are_never_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = FileLedger::new(folder.path());
    let book = RuleBook::new(&[pack("deny", RULES_OF_X)], &Strictness::new(), false);
    let digest = book.keep(&ledger).await.unwrap();
    ledger.put(&name(&digest), b"{}").await.unwrap();
    assert!(RuleBook::read(&ledger, &digest).await.unwrap_err().message.contains("altered"));
    ledger.delete(&name(&digest)).await.unwrap();
    assert_eq!(RuleBook::read(&ledger, &digest).await.unwrap_err().class, Class::NotFound);
    let newer = RuleBook { format: FORMAT + 1, ..book };
    let digest = newer.keep(&ledger).await.unwrap();
    assert!(RuleBook::read(&ledger, &digest).await.unwrap_err().message.contains("newer version"));
}

#[test]
fn what_was_lowered_since_counts_as_it_was_and_what_was_raised_as_it_is() {
    let strict = [pack("deny", RULES_OF_X)];
    let mild = [pack("warn", RULES_OF_X)];
    let none = Strictness::new();
    let book = |packs: &[Pack], severity: &[(&str, Severity)]| RuleBook::new(packs, &said(severity), false);
    let lowered = |book: &RuleBook, kept: &[Pack], packs: &[Pack], now: &Strictness, protected| {
        book.lowered(kept, packs, now, protected).into_iter().collect::<Vec<_>>()
    };
    let denies = vec![("named".to_owned(), Severity::Deny)];
    assert_eq!(lowered(&book(&strict, &[]), &strict, &mild, &none, false), denies, "by its pack");
    let warns = said(&[("named", Severity::Warn)]);
    assert_eq!(lowered(&book(&strict, &[]), &strict, &strict, &warns, false), denies, "by the settings");
    assert_eq!(lowered(&book(&mild, &[("named", Severity::Deny)]), &mild, &mild, &none, false), denies, "no more");
    assert!(lowered(&book(&mild, &[]), &mild, &strict, &none, false).is_empty(), "raised");
    assert!(lowered(&book(&strict, &[("named", Severity::Warn)]), &strict, &strict, &warns, false).is_empty(), "same");
    // One that is gone with its pack is asked by that pack.
    assert!(lowered(&book(&strict, &[]), &strict, &[], &none, false).is_empty());

    // Terrace's own: what they do by themselves depends on the environment, as it was and as it is.
    let own = said(&[("data_stays", Severity::Warn)]);
    let data = |severity| vec![("data_stays".to_owned(), severity)];
    let guarded = RuleBook::new(&[], &none, true);
    assert_eq!(lowered(&guarded, &[], &[], &own, true), data(Severity::Deny));
    assert!(lowered(&guarded, &[], &[], &none, false).contains(&data(Severity::Deny)[0]), "it is protected no more");
    assert!(lowered(&book(&[], &[]), &[], &[], &own, false).is_empty(), "they say nothing there by themselves");
    let asked = book(&[], &[("data_stays", Severity::Warn)]);
    assert_eq!(lowered(&asked, &[], &[], &none, false), data(Severity::Warn), "taken out of the settings");
}
