//! Releases on their way from dev to prd, as people move them: on the embedded world, each command a process of its own.

#![expect(clippy::disallowed_methods, reason = "reads and damages what the program stored")]

mod going;
mod images;
mod notices;
mod registry;
mod shown;
mod warm;

use crate::cli::Project;
use serde_json::Value as Json;
use std::{fs, path::Path};

const PLAN: &str = r#"plan "shop" {}

variable "size" {
  type = number
}

variable "broken" {
  type = string
}

kubernetes "main" {
  kubeconfig {
    context = env.name
  }
}

helm "web" {
  chart      = "headlamp"
  repository = "https://kubernetes-sigs.github.io/headlamp"
  version    = "0.26.0"
  namespace  = "web"
  values     = { replicas = var.size, motd = file("${path.root}/motd.txt") }
}

value "answer" {
  input = "one"

  verify "holds" {
    command {
      program = ["test", "!", "-e", "${var.broken}-${file("${path.root}/motd.txt")}"]
    }
    every  = "1s"
    within = "2s"
  }
}
"#;

const ENVIRONMENTS: &str = r#"environment "dev" {
  auto_promotion = true
  sandbox {}
}

environment "tst" {
  after          = [environment.dev]
  soak           = "1h"
  auto_promotion = true
  sandbox {
    account_id = "222222222222"
  }
}

environment "prd" {
  after     = [environment.tst]
  soak      = "24h"
  protected = true
  approval {
    count     = 2
    valid_for = "12h"
  }
  sandbox {
    account_id = "333333333333"
  }
}
"#;

/// A shop with three environments.
struct Shop(Project);

impl Shop {
    fn new() -> Self {
        let shop = Self(Project::bare());
        shop.0.write("plans/shop/plan.hcl", PLAN);
        shop.0.write("plans/shop/motd.txt", "hello");
        shop.0.write("plans/shop/environments.hcl", ENVIRONMENTS);
        for env in ["dev", "tst", "prd"] {
            let broken = shop.0.path().join(format!("broken-{env}"));
            let values = format!("size = 1\nbroken = {:?}\n", broken.display().to_string());
            shop.0.write(&format!("plans/shop/environments/{env}.toml"), &values);
        }
        shop
    }

    /// As somebody says it; the exit code and all that was said.
    fn says(&self, who: &str, words: &[&str]) -> (i32, String) {
        let output = self.0.command(words).env("TERRACE_IDENTITY", who).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), said)
    }

    fn ends(&self, who: &str, words: &[&str], code: i32) -> String {
        let (found, said) = self.says(who, words);
        assert_eq!(found, code, "{words:?}\n{said}");
        said
    }

    /// Makes a release, and gives its digest.
    fn release(&self) -> String {
        self.0.stdout(&["release", "create", "--quiet"], 0).trim().to_owned()
    }

    fn promote(&self, release: &str, env: &str, code: i32) -> String {
        self.ends("ada", &["promote", release, "--to", env, "--auto-approve"], code)
    }

    /// What the pipeline shows of an environment.
    fn environment(&self, name: &str) -> Json {
        let shown: Json = serde_json::from_str(&self.0.stdout(&["pipeline", "--json"], 0)).unwrap();
        let all = shown["environments"].as_array().unwrap();
        all.iter().find(|e| e["environment"] == name).unwrap().clone()
    }

    fn reasons(&self, env: &str) -> Vec<String> {
        let next = self.environment(env)["next"]["reasons"].clone();
        next.as_array().into_iter().flatten().map(|r| r["code"].as_str().unwrap().to_owned()).collect()
    }

    fn advance(&self, time: &str) {
        self.ends("ada", &["sandbox", "advance", time], 0);
    }

    /// The digest of the plan that waits in prd, as it is shown.
    fn waiting(&self) -> String {
        let said = self.environment("prd")["next"]["reasons"][0]["lifted_by"].as_str().unwrap().to_owned();
        said.split_whitespace().nth(2).unwrap().to_owned()
    }

    /// A release that is in prd, the whole way.
    fn in_production(&self, release: &str) {
        self.promote(release, "dev", 0);
        self.advance("2h");
        self.promote(release, "tst", 0);
        self.advance("25h");
        self.promote(release, "prd", 4);
        let plan = self.waiting();
        for who in ["ben", "cat"] {
            self.ends(who, &["approve", &plan, "--env", "prd"], 0);
        }
        self.promote(release, "prd", 0);
    }
}

#[test]
fn one_release_goes_from_dev_to_prd_when_it_has_soaked_and_two_others_agree() {
    let shop = Shop::new();
    let release = shop.release();
    assert_eq!(shop.reasons("tst"), ["never_in"]);
    assert!(shop.promote(&release, "prd", 4).contains("it was never in tst"), "the wrong order is refused");
    shop.promote(&release, "dev", 0);
    assert_eq!(shop.reasons("tst"), ["soaking"]);
    assert!(shop.promote("latest", "tst", 4).contains("it soaks in dev for 1h"));
    shop.advance("2h");
    shop.promote(&release, "tst", 0);
    shop.advance("25h");
    assert!(shop.promote(&release, "prd", 4).contains("0 of 2 approvals"));
    let plan = shop.waiting();
    let said = shop.ends("ada", &["approve", &plan, "--env", "prd"], 0);
    assert!(said.contains("does not count: ada"), "whoever made the release does not count: {said}");
    shop.ends("ben", &["approve", &plan, "--env", "prd"], 0);
    assert!(
        shop.ends("ben", &["approve", &plan, "--env", "prd"], 0).contains("1 of 2 approvals"),
        "nobody counts twice"
    );
    assert!(shop.promote(&release, "prd", 4).contains("1 of 2 approvals"));
    shop.ends("cat", &["approve", &plan, "--env", "prd"], 0);
    shop.promote(&release, "prd", 0);
    let prd = shop.environment("prd");
    assert_eq!((prd["health"].as_str(), prd["holds"].as_str()), (Some("verified"), Some(&release[7..19])));
    assert!(shop.promote(&release, "prd", 0).contains("already"));
}

#[test]
fn what_is_made_later_is_newer_though_the_sandbox_stands_still() {
    let shop = Shop::new();
    let made: Vec<String> = (0..4)
        .map(|n| {
            shop.0.write("plans/shop/motd.txt", &n.to_string());
            shop.release()
        })
        .collect();
    let listed: Json = serde_json::from_str(&shop.0.stdout(&["release", "list", "--json"], 0)).unwrap();
    let listed = listed["releases"].as_array().unwrap().iter().map(|r| r["digest"].as_str().unwrap().to_owned());
    assert!(listed.eq(made.into_iter().rev()));
}

#[test]
fn what_is_stale_or_too_old_needs_approvals_anew() {
    let shop = Shop::new();
    let release = shop.release();
    shop.promote(&release, "dev", 0);
    shop.advance("2h");
    shop.promote(&release, "tst", 0);
    shop.advance("25h");
    shop.promote(&release, "prd", 4);
    let plan = shop.waiting();
    for who in ["ben", "cat"] {
        shop.ends(who, &["approve", &plan, "--env", "prd"], 0);
    }
    shop.advance("13h");
    let said = shop.promote(&release, "prd", 4);
    assert!(said.contains("0 of 2 approvals") && said.contains("too long ago"), "{said}");
    // Another value is another plan.
    shop.0.write("plans/shop/environments/prd.toml", "size = 2\nbroken = \"/nonexistent\"\n");
    for who in ["ben", "cat"] {
        shop.ends(who, &["approve", &plan, "--env", "prd"], 0);
    }
    let said = shop.promote(&release, "prd", 4);
    assert!(said.contains("stale") && said.contains("0 of 2 approvals"), "{said}");
}

#[test]
fn a_release_is_its_content_and_nothing_of_the_working_folder_counts_but_environments() {
    let (one, other) = (Shop::new(), Shop::new());
    // Values and gates are no part of a release.
    other.0.write("plans/shop/environments.hcl", &ENVIRONMENTS.replace("24h", "48h"));
    other.0.write("plans/shop/README.md", "read me");
    let release = one.release();
    let broken = "broken = \"/nonexistent\"\n";
    other.0.write("plans/shop/environments/dev.toml", &format!("size = 3\n{broken}"));
    assert_eq!(release, other.release());
    one.0.write("plans/shop/motd.txt", "good bye");
    let second = one.release();
    assert_ne!(release, second);
    let said = one.ends("ada", &["release", "diff", &release[7..], &second], 0);
    assert!(said.contains("-hello") && said.contains("+good bye"), "{said}");
    // The folder says something else by now; the release says what it said.
    one.0.write("plans/shop/plan.hcl", &PLAN.replace("0.26.0", "0.25.0"));
    one.0.write("plans/shop/environments/dev.toml", &format!("size = 7\n{broken}"));
    let said = one.ends("ada", &["plan", "--release", &release, "--env", "dev"], 0);
    assert!(said.contains("0.26.0") && said.contains("hello"), "{said}");
    assert!(said.contains("values.replicas = 7"), "values are the environment's: {said}");
}

#[test]
fn a_release_that_was_altered_is_refused() {
    let shop = Shop::new();
    let release = shop.release();
    let contents = shop.0.path().join(".terrace/releases/objects/contents");
    let text = fs::read_dir(&contents).unwrap().map(|e| e.unwrap().path());
    let motd = text.into_iter().find(|path| fs::read(path).unwrap() == b"hello").unwrap();
    fs::write(motd, "hacked").unwrap();
    let said = shop.promote(&release, "dev", 1);
    assert!(said.contains("it was altered") && said.contains("terrace release create in the files"), "{said}");
    assert_eq!(shop.environment("dev")["holds"], "nothing");
    // Who has its files puts it back.
    let said = shop.ends("ada", &["release", "create"], 0);
    assert!(said.contains("1 object of it had been altered") && said.contains("put back"), "{said}");
    shop.promote(&release, "dev", 0);
    assert!(shop.ends("ada", &["promote", "0123456789", "--to", "dev"], 64).contains("there is no release"));
}

#[test]
fn a_verification_that_fails_again_revokes_the_release_for_what_lies_downstream() {
    let shop = Shop::new();
    let release = shop.release();
    shop.promote(&release, "dev", 0);
    shop.advance("2h");
    shop.ends("ada", &["verify", "--env", "dev"], 0);
    shop.0.write("broken-dev-hello", "");
    let said = shop.ends("ada", &["verify", "--env", "dev"], 1);
    assert!(said.contains("goes no further from dev"), "{said}");
    assert_eq!(shop.environment("dev")["health"], "failed");
    assert_eq!(shop.reasons("tst"), ["revoked"]);
    shop.promote(&release, "tst", 4);
    fs::remove_file(shop.0.path().join("broken-dev-hello")).unwrap();
    // To verify it again mends its health, not the revocation: somebody has to know the cause.
    shop.ends("ada", &["verify", "--env", "dev"], 0);
    assert_eq!(shop.environment("dev")["health"], "verified");
    assert_eq!(shop.reasons("tst"), ["revoked"]);
    shop.ends("ada", &["revoke", &release, "--undo", "the disk was full"], 0);
    // What was unbroken before counts: it had soaked for two hours.
    assert_eq!(shop.reasons("tst"), Vec::<String>::new());
}

#[test]
fn going_back_holds_the_environment_until_the_candidate_is_named() {
    let shop = Shop::new();
    let first = shop.release();
    shop.promote(&first, "dev", 0);
    shop.0.write("plans/shop/motd.txt", "second");
    let second = shop.release();
    shop.ends("ada", &["promote", "--auto"], 0);
    assert_eq!(shop.environment("dev")["holds"].as_str(), Some(&second[7..19]), "the newest is the candidate");
    let said = shop.ends("ada", &["rollback", "--env", "dev", "--auto-approve"], 0);
    assert!(said.contains("dev is held"), "{said}");
    assert_eq!(shop.environment("dev")["holds"].as_str(), Some(&first[7..19]));
    shop.ends("ada", &["promote", "--auto"], 0);
    assert_eq!(
        shop.environment("dev")["holds"].as_str(),
        Some(&first[7..19]),
        "what was rolled back does not come again by itself"
    );
    // Naming it brings it back.
    shop.promote(&second, "dev", 0);
    assert_eq!(shop.environment("dev")["holds"].as_str(), Some(&second[7..19]));
}

#[test]
fn a_release_that_fails_its_verification_takes_the_environment_back_by_itself_and_a_rollback_does_not() {
    let shop = Shop::new();
    let back = "environment \"dev\" {\n  on_failed_verification = \"rollback\"\n";
    shop.0.write("plans/shop/environments.hcl", &ENVIRONMENTS.replace("environment \"dev\" {\n", back));
    // With nothing before it there is nowhere to go.
    shop.0.write("broken-dev-hello", "");
    let first = shop.release();
    assert!(shop.promote(&first, "dev", 1).contains("no other release was verified there before"));
    fs::remove_file(shop.0.path().join("broken-dev-hello")).unwrap();
    shop.promote(&first, "dev", 0);
    shop.0.write("plans/shop/motd.txt", "second");
    let second = shop.release();
    shop.0.write("broken-dev-second", "");
    let said = shop.promote(&second, "dev", 6);
    assert!(said.contains(&format!("dev goes back to {}", &first[7..19])), "{said}");
    let dev = shop.environment("dev");
    assert_eq!((dev["holds"].as_str(), dev["health"].as_str()), (Some(&first[7..19]), Some("verified")));
    assert!(
        shop.ends("ada", &["promote", "--auto"], 0).contains("is the candidate"),
        "it does not come again by itself"
    );
    assert_eq!(shop.environment("dev")["holds"].as_str(), Some(&first[7..19]));
    // A rollback that fails stays where it failed.
    shop.0.write("broken-dev-hello", "");
    fs::remove_file(shop.0.path().join("broken-dev-second")).unwrap();
    shop.promote(&second, "dev", 0);
    shop.ends("ada", &["rollback", "--env", "dev", "--auto-approve"], 1);
    assert_eq!(shop.environment("dev")["holds"].as_str(), Some(&first[7..19]));
    assert_eq!(shop.environment("dev")["health"], "failed");
}

#[test]
fn nothing_comes_to_what_is_frozen_and_nothing_by_itself_to_what_is_held() {
    let shop = Shop::new();
    let release = shop.release();
    shop.ends("ada", &["freeze", "dev", "--reason", "incident 7"], 0);
    assert!(shop.promote(&release, "dev", 4).contains("incident 7"));
    assert!(
        shop.ends("ada", &["apply", "--env", "dev", "--auto-approve"], 4).contains("incident 7"),
        "a plain apply neither"
    );
    shop.ends("ada", &["freeze", "dev", "--lift", "--reason", "over"], 0);
    shop.ends("ada", &["hold", "dev", "--reason", "we look at it"], 0);
    assert!(shop.ends("ada", &["promote", "--auto"], 0).contains("we look at it"));
    assert_eq!(shop.environment("dev")["holds"], "nothing");
    shop.ends("ada", &["release-hold", "dev", "--reason", "looked"], 0);
    shop.ends("ada", &["promote", "--auto"], 0);
    assert_eq!(shop.environment("dev")["health"], "verified");
}

#[test]
fn where_somebody_must_approve_only_a_release_may_come() {
    let shop = Shop::new();
    let said = shop.ends("ada", &["apply", "--env", "prd", "--auto-approve"], 4);
    assert!(said.contains("only a release may come here"), "{said}");
    shop.ends("ada", &["apply", "--env", "dev", "--auto-approve"], 0);
    assert_eq!(shop.environment("dev")["holds"], "unreleased");
}

#[test]
fn a_weaker_gate_counts_only_after_a_run_that_passed_the_stronger_one() {
    let shop = Shop::new();
    let release = shop.release();
    shop.in_production(&release);
    shop.0.write("plans/shop/motd.txt", "second");
    let second = shop.release();
    shop.promote(&second, "dev", 0);
    shop.advance("2h");
    shop.promote(&second, "tst", 0);
    // Whoever wants to hurry takes the gates out of the file.
    let weak =
        ENVIRONMENTS.replace("  soak      = \"24h\"\n", "").replace("    count     = 2\n", "    count     = 1\n");
    shop.0.write("plans/shop/environments.hcl", &weak);
    assert!(shop.promote(&second, "prd", 4).contains("it soaks in tst for 1d"));
    shop.advance("25h");
    shop.promote(&second, "prd", 4);
    let plan = shop.waiting();
    shop.ends("ben", &["approve", &plan, "--env", "prd"], 0);
    assert!(shop.promote(&second, "prd", 4).contains("1 of 2 approvals"));
    shop.ends("cat", &["approve", &plan, "--env", "prd"], 0);
    shop.promote(&second, "prd", 0);
    assert_eq!(shop.environment("prd")["holds"].as_str(), Some(&second[7..19]));
}

#[test]
fn a_hotfix_passes_soak_and_order_but_no_approval() {
    let shop = Shop::new();
    let release = shop.release();
    let said = shop.ends("ada", &["promote", &release, "--to", "prd", "--hotfix", "cve"], 4);
    assert!(said.contains("0 of 2 approvals") && !said.contains("never in"), "{said}");
    let plan = shop.ends("ada", &["pipeline"], 0);
    let plan = plan.split("terrace approve ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    for who in ["ben", "cat"] {
        shop.ends(who, &["approve", &plan, "--env", "prd"], 0);
    }
    shop.ends("ada", &["promote", &release, "--to", "prd", "--hotfix", "cve"], 0);
    assert_eq!(shop.environment("prd")["health"], "verified");
}

/// Copies a folder of this project into another one.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// The shipped platform in a project of its own.
fn platform() -> Shop {
    let shop = Shop(Project::bare());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["plans/eks-platform", "modules", "cfn-templates"] {
        copy(&here.join(folder), &shop.0.path().join(folder));
    }
    shop
}

#[test]
fn the_platform_is_one_release_in_two_folders_and_goes_to_tst() {
    let (shop, other) = (platform(), platform());
    let create = ["release", "create", "--quiet", "--sandbox"];
    let release = shop.0.stdout(&create, 0).trim().to_owned();
    assert_eq!(other.0.stdout(&create, 0).trim(), release, "the same content has the same name");
    let promote =
        |env: &str, code| shop.ends("ada", &["promote", "latest", "--to", env, "--auto-approve", "--sandbox"], code);
    promote("dev", 0);
    assert!(promote("tst", 4).contains("it soaks in dev for 1h"));
    shop.advance("2h");
    shop.ends("ada", &["verify", "--env", "dev", "--sandbox"], 0);
    promote("tst", 0);
    let said = promote("prd", 4);
    assert!(said.contains("it soaks in tst for 1d"), "{said}");
    let said = shop.ends("ada", &["pipeline", "--sandbox"], 0);
    assert!(said.contains("0 of 2 approvals"), "{said}");
}
