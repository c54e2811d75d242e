//! Roots from the first plan to the last resource: shown, applied, handed on, saved, moved, taken over, destroyed.

use super::Bed;

const ROOT: &str = r#"
variable "zone" { type = string }
variable "password" {
  type      = string
  sensitive = true
  default   = "none"
}
resource "terraform_data" "zone" {
  input            = var.zone
  triggers_replace = [var.zone]
}
resource "terraform_data" "user" {
  input = { zone = terraform_data.zone.output, password = var.password }
}
output "zone" { value = terraform_data.zone.output }
output "token" {
  value     = var.password
  sensitive = true
}
"#;

fn declared(zone: &str) -> String {
    format!(
        "terraform \"dns\" {{\n  root = \"${{path.project}}/infra\"\n  inputs = {{ zone = \"{zone}\" }}\n}}\n\n\
         value \"copy\" {{\n  input = terraform.dns.outputs.zone\n}}\n\n\
         output \"zone\" {{\n  value = value.copy.output\n}}\n"
    )
}

pub(super) fn a_root_is_shown_resource_by_resource_applied_changed_and_destroyed(bed: &Bed) {
    bed.root("infra", ROOT);
    bed.plan(&declared("one.example"));
    let said = bed.ends(&["plan", "app", "--env", "dev"], 0).out;
    assert!(said.contains("+ terraform.dns") && said.contains("2 resources:"), "{said}");
    assert!(said.contains("+ terraform_data.zone") && said.contains("! cannot be undone: Terraform"), "{said}");
    // What it is created with is shown, and what is not known yet is counted.
    assert!(said.contains("one.example") && said.contains("known after apply"), "{said}");
    // A mere plan writes no state.
    assert!(bed.files("infra").len() <= 1, "{:?}", bed.files("infra"));
    bed.apply(0);
    assert!(bed.ends(&["output", "app", "--env", "dev"], 0).out.contains("one.example"));
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
    bed.plan(&declared("two.example"));
    let said = bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 2).out;
    assert!(said.contains("-/+ terraform_data.zone") && said.contains("# forces replacement"), "{said}");
    assert!(said.contains("one.example") && said.contains("two.example"), "{said}");
    bed.apply(0);
    assert!(bed.ends(&["output", "app", "--env", "dev"], 0).out.contains("two.example"));
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
    let said = bed.ends(&["plan", "app", "--env", "dev", "--destroy"], 0).out;
    assert!(said.contains("terraform_data.user"), "{said}");
    bed.ends(&["destroy", "app", "--env", "dev", "--auto-approve"], 0);
    let left = bed.by_hand("infra", &["state", "list"]).output().unwrap();
    assert!(left.stdout.is_empty(), "{left:?}");
    // And from there once more.
    bed.apply(0);
}

pub(super) fn a_saved_plan_is_applied_exactly_and_refused_where_the_state_moved(bed: &Bed) {
    bed.root("infra", ROOT);
    bed.plan(&declared("one.example"));
    bed.ends(&["plan", "app", "--env", "dev", "--out", "one.plan"], 0);
    // What is written in the root after it was planned is not applied.
    bed.root("infra", &format!("{ROOT}\nresource \"terraform_data\" \"late\" {{}}\n"));
    bed.ends(&["apply", "one.plan", "--auto-approve"], 0);
    let held = bed.by_hand("infra", &["state", "list"]).output().unwrap();
    let held = String::from_utf8_lossy(&held.stdout).into_owned();
    assert!(held.contains("terraform_data.zone") && !held.contains("late"), "{held}");
    bed.ends(&["plan", "app", "--env", "dev", "--out", "two.plan"], 0);
    assert!(bed.by_hand("infra", &["init"]).output().unwrap().status.success());
    let by_hand =
        bed.by_hand("infra", &["apply", "-auto-approve", "-input=false", "-var=zone=other"]).output().unwrap();
    assert!(by_hand.status.success(), "{by_hand:?}");
    let said = bed.ends(&["apply", "two.plan", "--auto-approve"], 5);
    assert!(said.err.contains("terraform.dns changed since the plan was made"), "{}", said.err);
    // A plan file that is not the one that was approved.
    bed.ends(&["plan", "app", "--env", "dev", "--out", "three.plan"], 0);
    let saved = bed.files(".terrace/terraform").into_iter().filter(|f| f.extension().is_some_and(|e| e == "tfplan"));
    saved.for_each(|file| std::fs::write(file, "another").unwrap());
    let said = bed.ends(&["apply", "three.plan", "--auto-approve"], 5);
    assert!(said.err.contains("was altered"), "{}", said.err);
}

pub(super) fn a_saved_plan_of_another_machine_is_made_again_and_held_against_what_was_approved(bed: &Bed) {
    bed.root("infra", ROOT);
    bed.plan(&declared("one.example"));
    bed.ends(&["plan", "app", "--env", "dev", "--out", "one.plan"], 0);
    std::fs::remove_dir_all(bed.path().join(".terrace/terraform")).unwrap();
    bed.ends(&["apply", "one.plan", "--auto-approve"], 0);
    bed.plan(&declared("two.example"));
    bed.ends(&["plan", "app", "--env", "dev", "--out", "two.plan"], 0);
    std::fs::remove_dir_all(bed.path().join(".terrace/terraform")).unwrap();
    bed.root("infra", &format!("{ROOT}\nresource \"terraform_data\" \"late\" {{}}\n"));
    let said = bed.ends(&["apply", "two.plan", "--auto-approve"], 4);
    assert!(said.err.contains("terraform_changes was"), "{}", said.err);
}

pub(super) fn no_secret_is_left_in_clear_and_nothing_lies_in_the_roots_own_folder(bed: &Bed) {
    bed.root("infra", &ROOT.replace("sensitive = true\n  default", "default"));
    bed.plan(
        "terraform \"dns\" {\n  root = \"${path.project}/infra\"\n  inputs = { zone = \"a\" }\n  \
         sensitive_inputs = { password = \"hunter-two-secret\" }\n}\n",
    );
    // It is written in the plan's own file here; nowhere else.
    let declared = bed.read("plans/app/plan.hcl").replace("\"hunter-two-secret\"", "var.password");
    bed.write(
        "plans/app/plan.hcl",
        &format!("{declared}\nvariable \"password\" {{\n  type = string\n  sensitive = true\n}}\n"),
    );
    let words = |words: &[&'static str]| [words, &["--var", "password=hunter-two-secret"]].concat();
    let said = bed.ends(&words(&["plan", "app", "--env", "dev", "--out", "a.plan"]), 0);
    let private = bed.files(".terrace/terraform");
    assert!(!private.is_empty());
    for file in &private {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
        assert!(
            mode.trailing_zeros() >= 6 || !file.extension().is_some_and(|e| e == "tfplan" || e == "json"),
            "{file:?}: {mode:o}"
        );
    }
    let applied = bed.ends(&words(&["apply", "a.plan", "--auto-approve"]), 0);
    let out = bed.ends(&words(&["apply", "app", "--env", "dev", "--auto-approve"]), 0);
    for text in [said.out, said.err, applied.out, applied.err, out.out, out.err, bed.read("a.plan")] {
        assert!(!text.contains("hunter-two-secret"), "{text}");
    }
    for file in bed.files(".terrace").into_iter().chain(bed.files("plans")) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter-two-secret"), "{}", file.display());
    }
    assert!(!bed.path().join("infra/.terraform").exists());
}

pub(super) fn inputs_that_are_not_known_yet_are_planned_when_their_turn_comes(bed: &Bed) {
    bed.root("infra", ROOT);
    bed.plan(
        "value \"id\" {\n  input = \"x\"\n}\n\nterraform \"dns\" {\n  root = \"${path.project}/infra\"\n  \
         inputs = { zone = value.id.id }\n}\n",
    );
    let said = bed.ends(&["plan", "app", "--env", "dev"], 0).out;
    assert!(said.contains("+ terraform.dns"), "{said}");
    bed.apply(0);
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
    // What it would destroy could not be seen beforehand, so it is not done.
    let said = bed.ends(&["apply", "app", "--env", "dev", "--auto-approve", "--replace", "value.id"], 4);
    assert!(said.err.contains("terraform_data.zone would be replaced"), "{}", said.err);
}

pub(super) fn a_moved_resource_and_a_failing_check_are_told(bed: &Bed) {
    bed.root("infra", "resource \"terraform_data\" \"old\" { input = 1 }\n");
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    bed.apply(0);
    bed.root(
        "infra",
        "resource \"terraform_data\" \"new\" { input = 1 }\nmoved {\n  from = terraform_data.old\n  to   = terraform_data.new\n}\n\
         check \"health\" {\n  assert {\n    condition     = terraform_data.new.input == 2\n    error_message = \"it is down\"\n  }\n}\n",
    );
    let said = bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 2);
    assert!(said.out.contains("terraform_data.new") && said.out.contains("terraform_data.old"), "{}", said.out);
    assert!(format!("{}{}", said.out, said.err).contains("it is down"), "{said:?}");
    bed.apply(0);
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
}

pub(super) fn settings_of_the_backend_say_where_the_state_is(bed: &Bed) {
    bed.root("infra", "terraform {\n  backend \"local\" {}\n}\nresource \"terraform_data\" \"a\" {}\n");
    let declared = |path: &str| {
        format!(
            "terraform \"a\" {{\n  root      = \"${{path.project}}/infra\"\n  workspace = \"default\"\n  backend   = {{ path = \"{path}\" }}\n}}\n"
        )
    };
    let state = bed.path().join("states/${x}.tfstate");
    let state = state.display().to_string();
    bed.plan(&declared(&state.replace("${", "$${")));
    bed.apply(0);
    assert!(std::path::Path::new(&state).exists());
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
    bed.plan(&declared("elsewhere.tfstate"));
    let said = bed.ends(&["plan", "app", "--env", "dev"], 1);
    assert!(said.err.contains("`backend` says which state the root has"), "{}", said.err);
}

pub(super) fn what_exists_is_taken_over_by_import_and_never_silently(bed: &Bed) {
    bed.root("infra", ROOT);
    assert!(bed.by_hand("infra", &["init"]).output().unwrap().status.success());
    let made =
        bed.by_hand("infra", &["apply", "-auto-approve", "-input=false", "-var=zone=one.example"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    bed.plan(&declared("one.example"));
    let said = bed.ends(&["plan", "app", "--env", "dev"], 1);
    assert!(said.err.contains("exists already") && said.err.contains("id = \"dev-sandbox\""), "{}", said.err);
    let import = "import {\n  to = terraform.dns\n  id = \"dev-sandbox\"\n}\n";
    bed.plan(&format!("{}\n{import}", declared("one.example")));
    bed.ends(&["plan", "app", "--env", "dev", "--out", "a.plan"], 0);
    bed.ends(&["apply", "a.plan", "--auto-approve"], 0);
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
}

pub(super) fn a_secret_that_is_no_longer_declared_as_one_is_shown_by_nothing(bed: &Bed) {
    const KEPT: &str = "variable \"token\" {\n  default = \"\"\n}\nresource \"terraform_data\" \"whole\" {\n  \
        input = var.token\n}\nresource \"terraform_data\" \"part\" {\n  input = \"https://u:${var.token}@db\"\n}\n";
    // Nothing in its state is the secret alone: what it was cannot be known again.
    const PART: &str = "variable \"token\" {\n  default = \"\"\n}\nresource \"terraform_data\" \"part\" {\n  \
        input = \"https://u:${var.token}@db\"\n}\n";
    let declared = |inputs: &str| {
        bed.plan(&format!("terraform \"dns\" {{\n  root = \"${{path.project}}/infra\"\n  {inputs}\n}}\n"));
    };
    let check = |words: &[&str]| {
        let said = bed.ends(words, 0);
        let text = format!("{}{}", said.out, said.err);
        assert!(!text.contains("hunter-two"), "terrace {}: {text}", words.join(" "));
        text
    };
    let environment = ["app", "--env", "dev"];
    for (root, then) in [(KEPT, "inputs = { token = \"plain-now\" }"), (PART, ""), (PART, "inputs = { token = \"p\" }")]
    {
        bed.root("infra", root);
        declared("sensitive_inputs = { token = \"hunter-two-secret\" }");
        check(&[&["apply"], &environment[..], &["--auto-approve"]].concat());
        // Another secret in its place shows no more than its being another.
        declared("sensitive_inputs = { token = \"hunter-two-again\" }");
        check(&[&["plan"], &environment[..]].concat());
        declared(then);
        let plan = check(&[&["plan"], &environment[..], &["--out", "p"]].concat());
        assert!(plan.contains("terraform_data.part"), "{plan}");
        assert!(!bed.read("p").contains("hunter-two"));
        check(&[&["plan"], &environment[..], &["--json"]].concat());
        check(&["show", "p"]);
        check(&["apply", "p", "--auto-approve", "--json"]);
        for file in bed.files(".terrace") {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("hunter-two"), "{}", file.display());
        }
    }
}

pub(super) fn an_apply_by_others_is_drift_until_it_is_taken_over(bed: &Bed) {
    bed.root("infra", ROOT);
    bed.plan(&declared("one.example"));
    bed.apply(0);
    let drift = ["drift", "app", "--env", "dev", "--detailed-exitcode"];
    assert!(!bed.ends(&drift, 0).out.contains("state.serial"));
    assert!(bed.by_hand("infra", &["init"]).output().unwrap().status.success());
    let words = ["apply", "-auto-approve", "-input=false", "-var=zone=one.example", "-var=password=other"];
    assert!(bed.by_hand("infra", &words).output().unwrap().status.success());
    let said = bed.ends(&drift, 2).out;
    assert!(said.contains("terraform.dns") && said.contains("state.serial"), "{said}");
    bed.apply(0);
    assert!(!bed.ends(&drift, 0).out.contains("state.serial"));
}
