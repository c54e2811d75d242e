//! Holds every CloudFormation template that the project ships to `cfn-lint`.
//!
//! `make test` puts the linter of the testbed on PATH. Where there is none, the test says so and passes, except under
//! CI, where nothing optional is left out.

#![expect(
    clippy::disallowed_methods,
    reason = "a test that finds templates on disk and starts the linter, and stops where that fails"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn every_shipped_template_passes_the_linter() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut templates = Vec::new();
    collect(&project.join("cfn-templates"), true, &mut templates);
    collect(&project.join("examples"), false, &mut templates);
    collect(&project.join("src/cli/commands/init"), true, &mut templates);
    assert!(templates.len() >= 15, "only {} templates found", templates.len());

    let linter = env::var("TERRACE_CFN_LINT").unwrap_or_else(|_| "cfn-lint".to_owned());
    let output = Command::new(&linter).current_dir(project).arg("--").args(&templates).output();
    match output {
        Ok(output) => assert!(
            output.status.success(),
            "{linter}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) if env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{linter} cannot be started: {error}"),
        Err(_) => eprintln!("not run: there is no {linter} on PATH; have it with: testbed/build cfn-lint"),
    }
}

/// Adds the templates below a folder: all YAML where `all`, else what lies in a folder called `templates`.
fn collect(folder: &Path, all: bool, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let here = all || folder.ends_with("templates");
    for entry in entries {
        if entry.is_dir() && !entry.ends_with(".terrace") {
            collect(&entry, all, found);
        } else if here && entry.extension().is_some_and(|end| end == "yaml") {
            found.push(entry);
        }
    }
}
