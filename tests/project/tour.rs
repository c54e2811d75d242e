//! The tours of the whole platform, executed: `scripts/tour` (plan, apply, change, drift, kill and resume, roll back, refuse,
//! destroy) and `scripts/from-dev-to-prd`. The scripts check every step themselves; here they only have to come to their end.

#![expect(clippy::disallowed_methods, reason = "starts the script, as a person would")]

use std::{path::Path, process::Command};

#[test]
fn the_tour_of_the_platform_comes_to_its_end() {
    comes_to_its_end("tour", "The tour is over: 14 steps");
}

/// One release after another from dev over tst to prd: soaks, approvals, a rollout that is killed in the middle of its bake and
/// resumed, and a bad one that goes back by itself.
#[test]
fn a_platform_goes_from_dev_to_prd() {
    comes_to_its_end("from-dev-to-prd", "From dev to prd: 3 releases");
}

fn comes_to_its_end(script: &str, last: &str) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("bash")
        .arg(project.join("scripts").join(script))
        .env("TERRACE", env!("CARGO_BIN_EXE_terrace"))
        .env("NO_COLOR", "1")
        .output()
        .expect("bash is there");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    // The whole output is long; what matters is where it stopped.
    let end: Vec<&str> = said.lines().rev().take(60).collect();
    let end: Vec<&str> = end.into_iter().rev().collect();
    assert!(output.status.success(), "{}\n{wrong}", end.join("\n"));
    assert!(said.contains(last), "{}\n{wrong}", end.join("\n"));
}
