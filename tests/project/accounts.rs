//! One release over three accounts, each with its state in a bucket of its own, and one store of releases in a fourth.

#![expect(clippy::disallowed_methods, reason = "writes the profiles of the accounts")]

use crate::support::{Account, Project, ministack, project::Said, server::wait};
use std::{fmt::Write as _, fs};

const TEMPLATE: &str = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\nOutputs:\n  Topic:\n    Value: !Ref Topic\n";

/// The accounts, by the names of their profiles.
struct Landscape {
    project: Project,
    accounts: Vec<(&'static str, Account)>,
}

impl Landscape {
    fn new() -> Option<Self> {
        let server = ministack()?;
        let accounts: Vec<(&str, Account)> =
            ["dev", "tst", "prd", "tools"].map(|name| (name, server.account())).into_iter().collect();
        let project = Project::new(&accounts[0].1, "stack \"topic\" {\n  template = \"${path.root}/topic.yaml\"\n}\n");
        project.write("plans/app/topic.yaml", TEMPLATE);
        let (mut plan, mut settings) = ("plan \"app\" {}\n".to_owned(), "name = \"land\"\n\n[people]\n".to_owned());
        for (name, account) in &accounts {
            wait(account.bucket(&format!("{name}-{}", account.id)));
            let person = if *name == "prd" { "ben" } else { name };
            writeln!(settings, "{person} = [\"arn:aws:iam::{}:root\"]", account.id).unwrap();
        }
        for (at, (name, account)) in accounts.iter().enumerate() {
            let bucket =
                format!("backend = \"s3\"\nbucket = \"{name}-{}\"\nregion = \"{}\"\n", account.id, account.region);
            if *name == "tools" {
                write!(settings, "\n[releases]\n{bucket}profile = \"tools\"\n").unwrap();
                continue;
            }
            write!(settings, "\n[environment.{name}.state]\n{bucket}").unwrap();
            let after =
                if at == 0 { String::new() } else { format!("  after = [environment.{}]\n", accounts[at - 1].0) };
            let approval = if *name == "prd" { "  approval {\n    self = true\n  }\n" } else { "" };
            let (region, id) = (&account.region, &account.id);
            let aws = format!(
                "  aws {{\n    region = \"{region}\"\n    account_id = \"{id}\"\n    profile = \"{name}\"\n  }}\n"
            );
            write!(plan, "\nenvironment \"{name}\" {{\n{after}{approval}{aws}}}\n").unwrap();
        }
        project.write("plans/app/plan.hcl", &plan);
        project.write("terrace.toml", &settings);
        Some(Self { project, accounts })
    }

    /// The program with the profiles of these accounts, and no other way to any.
    fn ends(&self, profiles: &[&str], words: &[&str], code: i32) -> Said {
        let mut text = String::new();
        for (name, account) in self.accounts.iter().filter(|(name, _)| profiles.contains(name)) {
            let key = format!("aws_access_key_id = {}\naws_secret_access_key = test\n", account.id);
            write!(text, "[{name}]\n{key}").unwrap();
        }
        let file = self.project.path().join("credentials");
        fs::write(&file, text).unwrap();
        let mut command = self.project.command(words);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_SHARED_CREDENTIALS_FILE", &file);
        let said = Said::of(&command.output().unwrap());
        assert_eq!(said.code, Some(code), "terrace {}\n{}{}", words.join(" "), said.out, said.err);
        said
    }
}

const ALL: &[&str] = &["dev", "tst", "prd", "tools"];

#[test]
fn one_release_goes_through_three_accounts_with_a_state_each_and_one_store() {
    let Some(land) = Landscape::new() else { return };
    let made = land.ends(ALL, &["release", "create", "--quiet"], 0);
    let release = made.out.trim().to_owned();
    let promote = |env: &str, profiles: &[&str], code| {
        land.ends(profiles, &["promote", &release, "--to", env, "--auto-approve"], code).words()
    };
    assert!(promote("prd", ALL, 4).contains("it was never in tst"));
    // Nobody needs a way to what lies downstream.
    promote("dev", &["dev", "tools"], 0);
    promote("tst", &["dev", "tst", "tools"], 0);
    // Who cannot read what tst recorded knows nothing of it, and that blocks.
    let said = promote("prd", &["dev", "prd", "tools"], 4);
    assert!(said.contains("what is recorded of tst cannot be read"), "{said}");
    let said = promote("prd", ALL, 4);
    assert!(said.contains("0 of 1 approvals"), "{said}");
    let plan = said.split("terrace approve ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let said = land.ends(&["prd", "tools"], &["approve", &plan, "--env", "prd"], 0);
    assert!(said.words().contains("ben approves"), "{}", said.words());
    promote("prd", ALL, 0);
    let shown = land.ends(ALL, &["pipeline", "--json"], 0);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    for environment in shown["environments"].as_array().unwrap() {
        assert_eq!(environment["health"], "verified", "{environment:#}");
        assert_eq!(environment["holds"].as_str(), Some(&release[7..19]));
    }
    // A second folder of the same content makes no other release.
    assert!(land.ends(ALL, &["release", "create"], 0).err.contains("is known already"));
}
