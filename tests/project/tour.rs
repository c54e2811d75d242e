//! The tour of the whole platform, `scripts/tour`, executed: plan, apply, change, drift, kill and resume, roll back,
//! refuse, destroy. The script checks every step itself; here it only has to come to its end.

#![expect(clippy::disallowed_methods, reason = "starts the script, as a person would")]

use std::{path::Path, process::Command};

#[test]
fn the_tour_of_the_platform_comes_to_its_end() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("bash")
        .arg(project.join("scripts/tour"))
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
    assert!(said.contains("The tour is over: 14 steps"), "{}\n{wrong}", end.join("\n"));
}
