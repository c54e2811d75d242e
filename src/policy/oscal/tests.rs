//! The documents by their parts. That they are what OSCAL says is asked of compliance-trestle, in `tests/project/policy/coverage.rs`.

use super::*;
use crate::{
    plan::Severity,
    policy::coverage::{
        Account, coverage,
        tests::{account, asked, at, claims, finding, run, verdict, waived},
    },
    state::{Run, Verdict},
};
use std::sync::Arc;

fn documents(account: &Account, at_run: Option<&Run>, verdicts: &[(&str, Verdict)], runs: &[Run]) -> Option<Documents> {
    let verdicts: BTreeMap<Arc<str>, Verdict> =
        verdicts.iter().map(|(name, verdict)| ((*name).into(), verdict.clone())).collect();
    let basis = Basis { account, run: at_run, verdicts: &verdicts, runs };
    Export { later: &[], coverage: &coverage(&basis), basis: &basis, at: at(9) }.documents()
}

#[test]
fn uuids_are_of_version_5_in_the_documented_namespace() {
    // Python: uuid5(uuid5(NAMESPACE_URL, "urn:terrace:oscal"), "x")
    assert_eq!(uuid("x"), "5699ca67-988e-5084-9c21-6eb9524569d9");
}

#[test]
fn each_run_has_its_result_with_what_was_seen_at_it() {
    let mut web = claims("helm.web", &["AC-2", "SC-8", "CP-9"]);
    web.proves.insert("tls".into(), vec!["SC-8".to_owned()]);
    let account = account(vec![web], vec![asked("r", &["AC-2", "PCI-1"], &["helm.web"])], vec![]);
    let runs = [run("one", 0, Some(5)), run("two", 6, Some(8))];
    let of = || documents(&account, Some(&runs[0]), &[("helm.web/tls", verdict(false, 7))], &runs).unwrap();
    let all = of();
    assert_eq!(all, of(), "the same gives the same");
    assert_eq!(all.left_out, ["PCI-1"]);
    let results = all.results["assessment-results"]["results"].as_array().unwrap();
    let titles: Vec<&str> = results.iter().map(|result| result["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Run one", "Run two"]);
    let status = |result: &Json| {
        let finding = &result["findings"][0];
        (finding["target"]["target-id"].as_str().unwrap().to_owned(), finding["target"]["status"]["state"].clone())
    };
    assert_eq!(status(&results[0]), ("ac-2_obj".to_owned(), json!("satisfied")));
    assert_eq!(status(&results[1]), ("sc-8_obj".to_owned(), json!("not-satisfied")));
    // CP-9 is claimed and nothing looked at it: no finding, and a word.
    assert_eq!(results[0]["findings"].as_array().unwrap().len(), 1);
    assert!(results[0]["remarks"].as_str().unwrap().ends_with("no check: CP-9."), "{}", results[0]["remarks"]);
    assert_eq!(results[0]["observations"][0]["collected"], at(0).to_string());
    let components = all.components["component-definition"]["components"].as_array().unwrap();
    let titles: Vec<&str> = components.iter().map(|one| one["title"].as_str().unwrap()).collect();
    assert_eq!(titles[1..], ["Rules: own", "Checks"]);
}

#[test]
fn what_another_run_looked_at_is_said_to_be_of_another_run() {
    let mut api = claims("helm.api", &["AC-2"]);
    api.proves.insert("login".into(), vec!["AC-2".to_owned()]);
    let rule = asked("r", &["AC-2"], &["helm.web"]);
    let account = account(vec![claims("helm.web", &["AC-2"]), api], vec![rule], vec![]);
    let runs = [run("one", 0, Some(5)), run("two", 6, Some(8))];
    let all = documents(&account, Some(&runs[0]), &[("helm.api/login", verdict(true, 7))], &runs).unwrap();
    let results = all.results["assessment-results"]["results"].as_array().unwrap();
    let said = |at: usize| {
        let finding = &results[at]["findings"][0];
        assert_eq!(finding["target"]["status"]["state"], "satisfied", "{finding}");
        finding["description"].as_str().unwrap().to_owned()
    };
    assert!(said(0).contains("another run looked at helm.api."), "{}", said(0));
    assert!(said(1).contains("another run looked at helm.web."), "{}", said(1));
}

#[test]
fn what_is_waived_is_a_deviation_that_was_approved_and_satisfies_nothing() {
    let found = vec![waived(finding("r", "stack.a", Severity::Deny))];
    let account = account(vec![claims("stack.a", &["AC-2"])], vec![asked("r", &["AC-2"], &["stack.a"])], found);
    let all = documents(&account, None, &[], &[]).unwrap();
    let result = &all.results["assessment-results"]["results"][0];
    assert_eq!(result["risks"][0]["status"], "deviation-approved");
    assert_eq!(result["findings"][0]["related-risks"][0]["risk-uuid"], result["risks"][0]["uuid"]);
    assert_eq!(result["findings"][0]["target"]["status"], json!({ "state": "not-satisfied", "reason": "other" }));
    assert!(result["description"].as_str().unwrap().contains("not applied"), "{}", result["description"]);
}

#[test]
fn where_nothing_is_claimed_or_asked_there_is_nothing_to_export() {
    assert_eq!(documents(&account(vec![], vec![asked("r", &["PCI-1"], &["stack.a"])], vec![]), None, &[], &[]), None);
}
