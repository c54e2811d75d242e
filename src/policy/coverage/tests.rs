//! What counts as a proof of a control, and what does not.

use super::*;
use crate::{
    base::{ActionWord, RunEnd},
    plan::{Asked, Planned, WaiverStanding, testing},
};

pub(in crate::policy) fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minute * 60).unwrap()
}

pub(in crate::policy) fn finding(rule: &str, address: &str, severity: Severity) -> Finding {
    Finding {
        rule: rule.to_owned(),
        pack: "own".to_owned(),
        severity,
        address: Some(address.parse().unwrap()),
        part: String::new(),
        path: String::new(),
        place: None,
        controls: vec!["AC-2".to_owned()],
        what: "it is\nwide".to_owned(),
        why: "w".to_owned(),
        instead: "i".to_owned(),
        waiver: None,
    }
}

pub(in crate::policy) fn waived(finding: Finding) -> Finding {
    let waiver = Waiver {
        name: "0a1b".to_owned(),
        standing: WaiverStanding::Counts,
        reason: "the new one\ncomes".to_owned(),
        by: "ann".to_owned(),
        approved_by: Some("bob".to_owned()),
        until: at(1_000_000),
    };
    Finding { waiver: Some(waiver), ..finding }
}

pub(in crate::policy) fn asked(rule: &str, controls: &[&str], of: &[&str]) -> Asked {
    Asked {
        pack: "own".to_owned(),
        rule: rule.to_owned(),
        controls: controls.iter().map(|control| (*control).to_owned()).collect(),
        of: of.iter().map(|address| address.parse().unwrap()).collect(),
        whole: false,
    }
}

pub(in crate::policy) fn claims(address: &str, controls: &[&str]) -> Planned {
    let controls = controls.iter().map(|control| (*control).to_owned()).collect();
    Planned { controls, ..testing::node(address, "services", ActionWord::NoOp) }
}

pub(in crate::policy) fn account(nodes: Vec<Planned>, asked: Vec<Asked>, findings: Vec<Finding>) -> Account {
    let mut plan = testing::plan(nodes);
    plan.judgement = Some(Judgement { rules: asked.len(), asked, findings, ..Judgement::default() });
    Account::of(&plan, &Digest::of(b"plan"), Some(at(0))).unwrap()
}

pub(in crate::policy) fn run(id: &str, from: i64, to: Option<i64>) -> Run {
    Run {
        id: RunId(id.into()),
        command: "apply".to_owned(),
        started: at(from),
        plan: Digest::of(b"plan"),
        release: None,
        configuration: Digest::of(b""),
        caller: "arn:ann".to_owned(),
        person: None,
        ci: None,
        commit: None,
        reason: None,
        version: String::new(),
        targeted: false,
        end: to.map(|to| (RunEnd::Succeeded, at(to))),
        counts: BTreeMap::new(),
    }
}

pub(in crate::policy) fn verdict(passed: bool, minute: i64) -> Verdict {
    let declaration = Digest::of(b"");
    Verdict { passed, said: "503".to_owned(), declaration, at: at(minute), measurements: Vec::new() }
}

fn covered(account: &Account) -> Vec<(String, Standing)> {
    let basis = Basis { account, run: None, verdicts: &BTreeMap::new(), runs: &[] };
    coverage(&basis).controls.into_iter().map(|one| (one.control.to_string(), one.standing)).collect()
}

#[test]
fn a_control_is_proved_where_a_rule_looked_at_all_that_claims_it() {
    let nodes = || vec![claims("stack.a", &["AC-2"]), claims("stack.b", &["AC-2"])];
    let of = |of: &[&str], findings| covered(&account(nodes(), vec![asked("r", &["AC-2"], of)], findings))[0].1;
    assert_eq!(of(&["stack.a", "stack.b"], vec![]), Standing::Proved);
    assert_eq!(of(&["stack.a", "stack.c"], vec![]), Standing::PartlyProved);
    assert_eq!(of(&["stack.c"], vec![]), Standing::ClaimedNotProved);
    // A rule that looked at nothing proves nothing.
    assert_eq!(of(&[], vec![]), Standing::ClaimedNotProved);
    let both = ["stack.a", "stack.b"];
    assert_eq!(of(&both, vec![finding("r", "stack.a", Severity::Deny)]), Standing::DoesNotHold);
    assert_eq!(of(&both, vec![finding("r", "stack.a", Severity::Warn)]), Standing::DoesNotHold);
    assert_eq!(of(&both, vec![waived(finding("r", "stack.a", Severity::Deny))]), Standing::Waived);
}

#[test]
fn controls_are_in_the_order_of_the_catalog_and_those_that_nothing_claims_are_told_apart() {
    let rules = vec![
        asked("r", &["AC-10", "AC-2(1)", "PCI-8.2"], &["stack.a"]),
        asked("idle", &["AC-3"], &[]),
        asked("also", &["AC-2"], &["stack.a"]),
    ];
    let found = covered(&account(vec![claims("stack.a", &["AC-2"])], rules, vec![]));
    let found: Vec<(&str, Standing)> = found.iter().map(|(control, standing)| (control.as_str(), *standing)).collect();
    assert_eq!(
        found,
        [
            ("AC-2", Standing::Proved),
            ("AC-2(1)", Standing::ProvedNotClaimed),
            ("AC-3", Standing::NotAsked),
            ("AC-10", Standing::ProvedNotClaimed),
            ("PCI-8.2", Standing::ProvedNotClaimed),
        ]
    );
}

#[test]
fn a_check_proves_what_it_says_once_it_passed_and_its_run_is_told() {
    let mut web = claims("helm.web", &["SC-8"]);
    web.proves.insert("tls".into(), vec!["SC-8".to_owned()]);
    let account = account(vec![web, claims("check.all", &["AU-2"])], vec![], vec![]);
    let of = |verdicts: &[(&str, Verdict)], runs: &[Run]| {
        let verdicts = verdicts.iter().map(|(name, verdict)| ((*name).into(), verdict.clone())).collect();
        coverage(&Basis { account: &account, run: None, verdicts: &verdicts, runs }).controls
    };
    let none = of(&[], &[]);
    assert_eq!((none[1].standing, &none[1].evidence[0].outcome), (Standing::ClaimedNotProved, &Outcome::NotAsked));
    // A check claims nothing: it is there to prove.
    assert_eq!((none[0].standing, none[0].claims.len()), (Standing::NotAsked, 0));
    let runs = [run("one", 0, Some(5)), run("two", 10, None)];
    let verdicts = [("helm.web/tls", verdict(true, 3)), ("check.all", verdict(false, 12))];
    let seen = of(&verdicts, &runs);
    let told = |one: &Covered| (one.standing, one.evidence[0].run.as_ref().map(|run| run.0.to_string()));
    assert_eq!(told(&seen[1]), (Standing::Proved, Some("one".to_owned())));
    assert_eq!(told(&seen[0]), (Standing::DoesNotHold, Some("two".to_owned())));
    assert_eq!(told(&of(&[("helm.web/tls", verdict(true, 7))], &runs)[1]), (Standing::Proved, None));
}

#[test]
fn a_judgement_of_before_proves_nothing_by_rules_that_found_nothing() {
    let mut former = account(vec![claims("stack.a", &["AC-2"])], vec![], vec![]);
    former.judgement.rules = 12;
    let of = |account: &Account| coverage(&Basis { account, run: None, verdicts: &BTreeMap::new(), runs: &[] });
    assert!(!of(&former).told);
    assert_eq!(of(&former).controls[0].standing, Standing::ClaimedNotProved);
    former.judgement.findings = vec![finding("r", "stack.a", Severity::Deny)];
    assert_eq!(of(&former).controls[0].standing, Standing::DoesNotHold);
}

#[test]
fn both_colours_claim_once_and_what_is_looked_at_in_one_counts() {
    let nodes = vec![claims("helm.web@blue", &["AC-2"]), claims("helm.web@green", &["AC-2"])];
    let account = account(nodes, vec![asked("r", &["AC-2"], &["helm.web@green"])], vec![]);
    let basis = Basis { account: &account, run: None, verdicts: &BTreeMap::new(), runs: &[] };
    let found = coverage(&basis).controls;
    assert_eq!((found[0].standing, found[0].claims.len()), (Standing::Proved, 1));
}

#[test]
fn an_account_comes_back_as_it_was_stored_and_one_of_a_newer_version_is_none() {
    let mut one = account(
        vec![claims("stack.a", &["AC-2"]), claims("check.all", &["AU-2"])],
        vec![asked("r", &["AC-2"], &["stack.a"])],
        vec![waived(finding("r", "stack.a", Severity::Deny))],
    );
    assert_eq!(Account::read(&one.write().unwrap()), Some(one.clone()));
    one.format += 1;
    assert_eq!(Account::read(&one.write().unwrap()), None);
    assert_eq!(Account::read(b"{}"), None);
    let mut plan = testing::plan(Vec::new());
    assert_eq!(Account::of(&plan, &Digest::of(b""), None), None, "nobody judged it");
    plan.judgement = Some(Judgement::default());
    plan.header.mode = Mode::Destroy;
    assert_eq!(Account::of(&plan, &Digest::of(b""), None), None, "it takes away");
}
