//! What goes wrong with roots, and what is said of it.

use super::Bed;

pub(super) fn a_held_lock_is_named_with_its_owner_and_id(bed: &Bed) {
    bed.root(
        "infra",
        "resource \"terraform_data\" \"slow\" {\n  provisioner \"local-exec\" {\n    command = \"touch ../begun; while [ ! -e ../go ]; do sleep 0.1; done\"\n  }\n}\n",
    );
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    assert!(bed.by_hand("infra", &["init"]).output().unwrap().status.success());
    let mut holder = bed.by_hand("infra", &["apply", "-auto-approve", "-input=false"]).spawn().unwrap();
    bed.until("begun");
    let said = bed.ends(&["plan", "app", "--env", "dev"], 1);
    bed.write("go", "");
    assert!(holder.wait().unwrap().success());
    assert!(said.err.contains("the state is locked: `apply` of ") && said.err.contains("(lock ID "), "{}", said.err);
    assert!(said.err.contains("force-unlock"), "{}", said.err);
}

pub(super) fn what_is_wrong_with_a_root_is_told_with_file_and_line(bed: &Bed) {
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    // Nothing is looked for beyond this machine.
    let mirror = "provider_installation {\n  filesystem_mirror {\n    path = \"/nowhere\"\n  }\n}\n";
    bed.write(".terraformrc", mirror);
    bed.write(".tofurc", mirror);
    let wrong = |text: &str, says: &[&str]| {
        bed.root("infra", text);
        let said = bed.ends(&["plan", "app", "--env", "dev"], 1);
        for words in says {
            assert!(said.err.contains(words), "{words}\n{}", said.err);
        }
    };
    wrong("variable \"z\" {\n  type = \n}\n", &["Invalid expression", "main.tf:2"]);
    wrong("resource \"terraform_data\" \"a\" {\n  input = local.nope\n}\n", &["undeclared local", "main.tf:2"]);
    wrong("variable \"z\" {}\n", &["No value for required variable", "sensitive_inputs"]);
    // OpenTofu does not hold itself to what is asked of Terraform.
    if bed.program.ends_with("terraform") {
        wrong("terraform {\n  required_version = \">= 99\"\n}\n", &["Core version", "main.tf:2", "terrace.toml"]);
    }
    let given = "terraform \"a\" {\n  root = \"${path.project}/infra\"\n  inputs = { zone = \"x\" }\n}\n";
    bed.plan(given);
    wrong("resource \"terraform_data\" \"a\" {}\n", &["declares no variable `zone`"]);
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    let provider =
        "terraform {\n  required_providers {\n    nothing = { source = \"terrace.invalid/no/nothing\" }\n  }\n}\n";
    wrong(provider, &["terrace.invalid/no/nothing"]);
    std::fs::remove_dir_all(bed.path().join("infra")).unwrap();
    let said = bed.ends(&["validate", "app"], 1);
    assert!(said.err.contains("`root` is a folder of the project"), "{}", said.err);
}

pub(super) fn a_resource_that_fails_is_named_first_and_the_next_apply_goes_on(bed: &Bed) {
    let root = |command: &str| {
        format!(
            "resource \"terraform_data\" \"first\" {{\n  provisioner \"local-exec\" {{\n    command = \"echo x >> ../made\"\n  }}\n}}\n\
             resource \"terraform_data\" \"second\" {{\n  depends_on = [terraform_data.first]\n  provisioner \"local-exec\" {{\n    command = \"{command}\"\n  }}\n}}\n"
        )
    };
    bed.root("infra", &root("echo broken >&2; exit 3"));
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    let said = bed.apply(1);
    assert!(said.err.contains("terraform_data.second: ") && said.err.contains("exit status 3"), "{}", said.err);
    bed.root("infra", &root("true"));
    let said = bed.ends(&["plan", "app", "--env", "dev"], 0).out;
    assert!(said.contains("-/+ terraform_data.second") && said.contains("it is tainted"), "{said}");
    assert!(said.contains("~ terraform.a") && !said.contains("terraform_data.first  "), "{said}");
    bed.apply(0);
    assert_eq!(bed.read("made"), "x\n");
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
}

pub(super) fn a_rollback_names_it_as_what_cannot_be_undone(bed: &Bed) {
    bed.root("infra", "resource \"terraform_data\" \"a\" {}\n");
    bed.plan(
        "phase \"one\" {\n  on_failure = \"rollback\"\n}\n\nterraform \"a\" {\n  root  = \"${path.project}/infra\"\n  phase = phase.one\n}\n\n\
         command \"fails\" {\n  create     = [\"false\"]\n  phase      = phase.one\n  depends_on = [terraform.a]\n}\n",
    );
    let said = bed.apply(7);
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("terraform.a") && all.contains("no way back"), "{all}");
}

pub(super) fn what_its_own_prevent_destroy_protects_is_not_destroyed(bed: &Bed) {
    bed.root("infra", "resource \"terraform_data\" \"a\" {\n  lifecycle {\n    prevent_destroy = true\n  }\n}\n");
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    bed.apply(0);
    let said = bed.ends(&["destroy", "app", "--env", "dev", "--auto-approve"], 1);
    assert!(said.err.contains("prevent_destroy"), "{}", said.err);
    let held = bed.by_hand("infra", &["state", "list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&held.stdout).contains("terraform_data.a"), "{held:?}");
}

pub(super) fn a_destroy_that_fails_is_called_one(bed: &Bed) {
    bed.root(
        "infra",
        "resource \"terraform_data\" \"a\" {\n  provisioner \"local-exec\" {\n    when    = destroy\n    command = \"exit 3\"\n  }\n}\n",
    );
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n");
    bed.apply(0);
    let said = bed.command(&["destroy", "app", "--env", "dev", "--auto-approve"]).output().unwrap();
    let told = String::from_utf8_lossy(&said.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!said.status.success() && told.contains("exit status 3"), "{told}");
    assert!(told.contains(" destroy on infra") && !told.contains(" apply on infra"), "{told}");
}

pub(super) fn the_log_of_a_failed_apply_keeps_no_secret(bed: &Bed) {
    bed.root(
        "infra",
        "variable \"password\" {}\nresource \"terraform_data\" \"a\" {\n  provisioner \"local-exec\" {\n    \
         command = \"echo ${var.password}; exit 3\"\n  }\n}\n",
    );
    bed.plan(
        "terraform \"a\" {\n  root = \"${path.project}/infra\"\n  sensitive_inputs = { password = var.password }\n}\n\
         variable \"password\" {\n  type = string\n  sensitive = true\n}\n",
    );
    let words = ["apply", "app", "--env", "dev", "--auto-approve", "--var", "password=hunter-two-secret"];
    let said = bed.ends(&words, 1);
    assert!(said.err.contains("exit status 3") && !said.err.contains("hunter-two"), "{}", said.err);
    let logs: Vec<_> = bed.files(".terrace").into_iter().filter(|f| f.ends_with("log.jsonl")).collect();
    assert_eq!(logs.len(), 1, "what its end is told by stays");
    for file in bed.files(".terrace") {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("hunter-two"), "{}: {text}", file.display());
    }
    assert!(std::fs::read_to_string(&logs[0]).unwrap().contains("exit status 3"));
}

pub(super) fn an_input_of_a_wrong_type_is_told_where_it_is_written(bed: &Bed) {
    bed.root("infra", "variable \"count_of\" {\n  type = number\n}\n");
    bed.plan("terraform \"a\" {\n  root = \"${path.project}/infra\"\n  inputs = {\n    count_of = \"many\"\n  }\n}\n");
    let said = bed.ends(&["plan", "app", "--env", "dev"], 1).words();
    assert!(said.contains("terraform_input") && said.contains("number is required"), "{said}");
    let written = bed.read("plans/app/plan.hcl");
    let at = |word: &str| written.lines().position(|line| line.contains(word)).unwrap() + 1;
    let placed = ["inputs = {", "count_of"].iter().any(|word| said.contains(&format!("plan.hcl:{}", at(word))));
    assert!(placed && !said.contains("tfvars"), "{said}");
}
