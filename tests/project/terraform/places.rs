//! Which state and which packages a root has, and what is said where they are others than before.

use super::Bed;
use std::os::unix::fs::PermissionsExt as _;

/// What was told, on one line.
fn flat(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

pub(super) fn a_state_that_cannot_be_found_is_an_error_and_nothing_is_let_go_of(bed: &Bed) {
    let root = |folder: &str| {
        let backend = format!("terraform {{\n  backend \"local\" {{\n    workspace_dir = \"{folder}\"\n  }}\n}}\n");
        format!("{backend}resource \"terraform_data\" \"a\" {{}}\n")
    };
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    bed.root("infra", &root("s1"));
    bed.apply(0);
    let kept = bed.read("infra/s1/dev-sandbox/terraform.tfstate");
    assert!(kept.contains("terraform_data"), "{kept}");
    bed.root("infra", &root("s2"));
    std::fs::remove_dir_all(bed.path().join(".terrace/terraform")).unwrap();
    for words in [
        &["plan", "app", "--env", "dev"][..],
        &["drift", "app", "--env", "dev"],
        &["destroy", "app", "--env", "dev", "--auto-approve"],
    ] {
        let output = bed.command(words).output().unwrap();
        let said = crate::support::Said::of(&output);
        let all = flat(&format!("{}{}", said.out, said.err));
        assert!(said.code != Some(0) && all.contains("the state that this root left is not there"), "{words:?}: {all}");
        assert!(all.contains("terrace state rm terraform.a") || words[0] != "plan", "{all}");
    }
    // Nothing was let go of: with the backend put back all is as it was.
    bed.root("infra", &root("s1"));
    std::fs::remove_dir_all(bed.path().join(".terrace/terraform")).unwrap();
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
    bed.ends(&["destroy", "app", "--env", "dev", "--auto-approve"], 0);
    assert!(!bed.read("infra/s1/dev-sandbox/terraform.tfstate").contains("terraform_data"));
}

pub(super) fn two_roots_with_one_state_are_refused_with_both_addresses(bed: &Bed) {
    bed.root("infra", "variable \"x\" { default = 0 }\nresource \"terraform_data\" \"a\" { input = var.x }\n");
    let each = |more: &str| {
        format!(
            "terraform \"a\" {{\n  for_each = toset([\"1\", \"2\"])\n  root     = \"${{path.project}}/infra\"\n  inputs   = {{ x = each.key }}\n{more}}}\n"
        )
    };
    bed.plan(&each(""));
    let said = bed.ends(&["plan", "app", "--env", "dev"], 1);
    let told = flat(&said.err);
    assert!(
        told.contains("state_twice") && told.contains("terraform.a[\"1\"] and terraform.a[\"2\"] both have"),
        "{told}"
    );
    assert!(told.contains("`workspace`") && told.contains("`backend`"), "{told}");
    let block = |name: &str| format!("terraform \"{name}\" {{\n  root = \"${{path.project}}/infra\"\n}}\n\n");
    bed.plan(&format!("{}{}", block("b"), block("c")));
    let told = flat(&bed.ends(&["plan", "app", "--env", "dev"], 1).err);
    assert!(told.contains("terraform.b and terraform.c both have"), "{told}");
    bed.plan(&each("  workspace = \"dev-${each.key}\"\n"));
    bed.apply(0);
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
}

pub(super) fn a_moved_lock_file_is_told_with_its_cause_and_what_helps(bed: &Bed) {
    // A provider that is never started: what init does with its package is enough.
    let platform = if cfg!(target_arch = "aarch64") { "linux_arm64" } else { "linux_amd64" };
    let package = |version: &str, text: &str| {
        let folder = format!("mirror/terrace.invalid/no/nothing/{version}/{platform}");
        let file = format!("{folder}/terraform-provider-nothing_v{version}");
        bed.write(&file, text);
        std::fs::set_permissions(bed.path().join(&file), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let mirror = bed.path().join("mirror");
    let mirror =
        format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n", mirror.display());
    bed.write(".terraformrc", &mirror);
    bed.write(".tofurc", &mirror);
    package("1.0.0", "one");
    package("2.0.0", "two");
    let root = |version: &str| {
        format!(
            "terraform {{\n  required_providers {{\n    nothing = {{\n      source  = \"terrace.invalid/no/nothing\"\n      version = \"{version}\"\n    }}\n  }}\n}}\n"
        )
    };
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    bed.root("infra", &root("1.0.0"));
    let init = bed.by_hand("infra", &["init"]).output().unwrap();
    assert!(init.status.success(), "{init:?}");
    bed.root("infra", &root("2.0.0"));
    let told = flat(&bed.ends(&["plan", "app", "--env", "dev"], 1).err);
    assert!(
        told.contains("the lock file pins terrace.invalid/no/nothing 1.0.0, and the root asks for 2.0.0"),
        "{told}"
    );
    assert!(told.contains("init -upgrade") && !told.contains("registry can be reached"), "{told}");
    bed.root("infra", &root("1.0.0"));
    package("1.0.0", "another");
    let told = flat(&bed.ends(&["plan", "app", "--env", "dev"], 1).err);
    assert!(told.contains("a package is not the one that is locked") && told.contains("providers lock"), "{told}");
    assert!(!told.contains("registry can be reached"), "{told}");
}

pub(super) fn a_replacement_shows_what_it_destroys(bed: &Bed) {
    bed.root("infra", "variable \"x\" { default = 0 }\nresource \"terraform_data\" \"a\" { input = var.x }\nresource \"terraform_data\" \"b\" {}\n");
    let declared =
        |x: &str| format!("terraform \"a\" {{\n  root   = \"${{path.project}}/infra\"\n  inputs = {{ x = {x} }}\n}}\n");
    bed.plan(&declared("1"));
    bed.apply(0);
    let before = bed.read("infra/terraform.tfstate.d/dev-sandbox/terraform.tfstate");
    bed.plan(&declared("2"));
    let said = bed.ends(&["plan", "app", "--env", "dev", "--replace", "terraform.a"], 0).out;
    assert!(said.contains("-/+ terraform_data.a") && said.contains("-/+ terraform_data.b"), "{said}");
    bed.ends(&["apply", "app", "--env", "dev", "--auto-approve", "--replace", "terraform.a"], 0);
    let id = |state: &str| -> String {
        let state: serde_json::Value = serde_json::from_str(state).unwrap();
        state["resources"][1]["instances"][0]["attributes"]["id"].as_str().unwrap().to_owned()
    };
    let after = bed.read("infra/terraform.tfstate.d/dev-sandbox/terraform.tfstate");
    assert_ne!(id(&before), id(&after));
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
}
