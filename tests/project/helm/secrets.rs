//! A secret stays one when its declaration is dropped: what is live of it is in no plan, no state, no log and no message.

use super::{Releases, WEB};
use std::{fs, path::Path};

/// No word of ours, and long enough to be a part of nothing else.
const SECRET: &str = "hunter2-of-the-test";
/// In base64, as a Secret has it.
const CODED: &str = "aHVudGVyMi1vZi10aGUtdGVzdA";

/// The release with a secret in a text, in a list, and in a part of another text.
const WITH: &str = r#"
helm "web" {
  chart            = "./charts/web"
  namespace        = "NAMESPACE"
  values           = { replicas = 1 }
  sensitive_values = {
    text = "hunter2-of-the-test"
    pod  = { login = base64encode("hunter2-of-the-test"), url = "https://u:hunter2-of-the-test@db" }
    more = ["hunter2-of-the-test"]
  }
}
"#;

/// Everything that was said and everything that was left in the project but its own sources.
fn holds_no_secret(releases: &Releases, words: &[&str], code: i32) -> String {
    let said = releases.project.ends(words, code);
    let text = format!("{}{}", said.out, said.err);
    for secret in [SECRET, CODED] {
        assert!(!text.contains(secret), "terrace {}: {text}", words.join(" "));
        look_for(secret, releases.project.path());
    }
    text
}

fn look_for(secret: &str, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("plans") {
                look_for(secret, &path);
            }
            continue;
        }
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{} holds it", path.display());
    }
}

/// What is declared instead is planned, shown, saved and applied, and what was secret is seen nowhere.
fn is_dropped(releases: &Releases, declarations: &str, shown: &str) {
    releases.declare(declarations);
    let plan = holds_no_secret(releases, &["plan", "--out", "p"], 0);
    assert!(plan.contains(shown), "{plan}");
    for words in [&["plan", "--json"][..], &["drift"], &["drift", "--json"], &["show", "p"]] {
        if releases.project.run(words).code != Some(2) {
            let code = releases.project.run(words).code.unwrap();
            holds_no_secret(releases, words, code);
        }
    }
    holds_no_secret(releases, &["apply", "p", "--auto-approve", "--json"], 0);
    assert!(holds_no_secret(releases, &["plan"], 0).contains("No changes."));
}

fn releases_with(helm: &'static str) -> Option<Releases> {
    let releases = Releases::new(helm, WITH)?;
    holds_no_secret(&releases, &["apply", "--auto-approve"], 0);
    assert_eq!(releases.live("configmaps", "web")["data"]["text"], SECRET);
    Some(releases)
}

#[test]
fn a_value_taken_out_of_sensitive_values_is_not_shown_by_the_plan_that_drops_it_with_helm_3() {
    let Some(releases) = releases_with("helm3") else { return };
    is_dropped(&releases, WEB, "data.text");
}

#[test]
fn a_value_moved_from_sensitive_values_to_values_is_shown_with_its_new_content_only_with_helm_4() {
    let Some(releases) = releases_with("helm4") else { return };
    let moved = "replicas = 1, text = \"plain-now\", pod = { login = \"ada\" }, more = [\"plain\"]";
    is_dropped(&releases, &WEB.replace("replicas = 1", moved), "data.text");
    let fails = "replicas = 1, text = \"plain-now\", wrong = \"no\"";
    releases.declare(&WEB.replace("replicas = 1", fails));
    holds_no_secret(&releases, &["plan"], 1);
}

#[test]
fn a_sensitive_leaf_of_an_object_that_is_dropped_is_not_shown() {
    let object = |data: &str| {
        format!(
            "manifest \"login\" {{\n  object = {{\n    apiVersion = \"v1\"\n    kind = \"ConfigMap\"\n    metadata = {{ \
             name = \"login\", namespace = \"NAMESPACE\" }}\n    data = {data}\n  }}\n}}\n"
        )
    };
    let with = object(
        "{ a = sensitive(\"hunter2-of-the-test\"), b = \"x\", url = sensitive(\"https://u:hunter2-of-the-test@db\") }",
    );
    let Some(releases) = Releases::new("helm3", "") else { return };
    releases.declare(&with);
    holds_no_secret(&releases, &["apply", "--auto-approve"], 0);
    assert_eq!(releases.live("configmaps", "login")["data"]["a"], SECRET);
    is_dropped(&releases, &object("{ b = \"plain-now\", url = \"https://db\" }"), "data.a");
}
