//! SIGKILL to terrace, to its program, and to both, amid an apply: never a second apply that nobody knows of.

use super::{Bed, bed::kill};

/// A root whose resource counts how often it is made, and is at that until `go` is there.
const SLOW: &str = r#"
resource "terraform_data" "before" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.before]
  provisioner "local-exec" {
    command = "echo x >> ../made; n=0; while [ ! -e ../go ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done; echo y >> ../done"
  }
}
output "made" { value = terraform_data.slow.id }
"#;

fn begin(bed: &Bed) -> std::process::Child {
    bed.root("infra", SLOW);
    bed.plan(
        "terraform \"a\" {\n  root = \"${path.project}/infra\"\n}\n\noutput \"made\" {\n  value = terraform.a.outputs.made\n}\n",
    );
    let child = bed.start(&["apply", "app", "--env", "dev", "--auto-approve"]);
    bed.until("made");
    child
}

pub(super) fn terrace_killed_amid_an_apply_finds_out_that_its_program_finished(bed: &Bed) {
    let mut terrace = begin(bed);
    terrace.kill().unwrap();
    terrace.wait().unwrap();
    // Its program is still at work, and resume waits for it.
    let resume = bed.start(&["resume", "app", "--env", "dev", "--auto-approve"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    bed.write("go", "");
    let said = crate::support::Said::of(&resume.wait_with_output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!((bed.read("made").as_str(), bed.read("done").as_str()), ("x\n", "y\n"));
    assert!(bed.ends(&["plan", "app", "--env", "dev", "--detailed-exitcode"], 0).out.contains("No changes."));
    assert!(bed.ends(&["output", "app", "--env", "dev"], 0).out.contains("made"));
}

pub(super) fn a_killed_program_is_told_with_what_it_was_at_work_on(bed: &Bed) {
    let terrace = begin(bed);
    kill(bed.applying());
    let said = crate::support::Said::of(&terrace.wait_with_output().unwrap());
    bed.write("go", "");
    assert_eq!(said.code, Some(1), "{said:?}");
    let flat = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("its program was killed, at work on terraform_data.slow (create)"), "{flat}");
    // The command that is told is about the state that it works with.
    assert!(flat.contains("TF_DATA_DIR=") && flat.contains("TF_WORKSPACE=dev-sandbox"), "{flat}");
    assert!(flat.contains("-chdir=infra import "), "{flat}");
    // What it had made before is known, or it is said that it is not.
    let lost = said.err.split_whitespace().collect::<Vec<_>>().join(" ").contains("it had made terraform_data.before");
    let planned = bed.ends(&["plan", "app", "--env", "dev"], 0).out;
    assert_eq!(planned.contains("+ terraform_data.before"), lost, "{planned}");
}

pub(super) fn both_killed_are_never_applied_a_second_time_blindly(bed: &Bed) {
    let mut terrace = begin(bed);
    terrace.kill().unwrap();
    terrace.wait().unwrap();
    kill(bed.applying());
    let said = bed.ends(&["resume", "app", "--env", "dev", "--auto-approve"], 7);
    bed.write("go", "");
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("terraform_data.slow (create)"), "{all}");
    assert_eq!(bed.read("made"), "x\n");
    let found = bed.ends(&["doctor", "app", "--env", "dev"], 1).words();
    assert!(found.contains("stuck terraform.") && found.contains("terraform_data.slow (create)"), "{found}");
    assert!(!found.contains("healthy"), "{found}");
    // What is left is planned like anything else.
    bed.ends(&["plan", "app", "--env", "dev"], 0);
}

pub(super) fn a_lock_that_a_killed_program_left_is_told_with_the_command_that_breaks_it(bed: &Bed) {
    let Some(server) = crate::support::ministack() else { return };
    let account = server.account();
    let bucket = format!("states-{}", account.id);
    crate::support::server::wait(account.bucket(&bucket));
    let backend = "terraform {\n  backend \"s3\" {\n    key = \"a.tfstate\"\n    use_lockfile = true\n    use_path_style = true\n    \
         skip_credentials_validation = true\n    skip_requesting_account_id = true\n    skip_metadata_api_check = true\n  }\n}\n";
    bed.root("infra", &format!("{backend}{SLOW}"));
    let environment: Vec<String> = account.environment().iter().map(|(k, v)| format!("    {k} = \"{v}\"\n")).collect();
    bed.plan(&format!(
        "terraform \"a\" {{\n  root = \"${{path.project}}/infra\"\n  backend = {{ bucket = \"{bucket}\", region = \"{}\" }}\n  \
         environment = {{\n{}  }}\n}}\n",
        account.region,
        environment.concat()
    ));
    let mut terrace = bed.start(&["apply", "app", "--env", "dev", "--auto-approve"]);
    bed.until("made");
    terrace.kill().unwrap();
    terrace.wait().unwrap();
    kill(bed.applying());
    let said = bed.ends(&["resume", "app", "--env", "dev", "--auto-approve"], 7);
    bed.write("go", "");
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("its program was killed and left its lock behind"), "{all}");
    // What is told is what helps, as it stands.
    let flat = all.split_whitespace().collect::<Vec<_>>().join(" ");
    let command = &flat[flat.find("TF_DATA_DIR=").unwrap()..];
    let end = command.find("force-unlock ").unwrap() + "force-unlock ".len() + 36;
    let command = command[..end].replace("force-unlock", "force-unlock -force");
    let broken = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(bed.path())
        .envs(account.environment())
        .env_remove("TF_CLI_CONFIG_FILE")
        .output()
        .unwrap();
    assert!(broken.status.success(), "{command}\n{broken:?}");
    bed.ends(&["plan", "app", "--env", "dev"], 0);
    assert_eq!(bed.read("made"), "x\n");
}
