//! What fails on AWS is told by its first cause, with the line of our template, and is taken back.

use super::{pair, parameter, status};

#[test]
fn a_failed_update_goes_back_and_tells_its_cause_and_our_line() {
    let Some((project, _proxy, account)) = pair() else { return };
    project.ends(&["apply", "--auto-approve"], 0);
    let failed = project.ends(&["apply", "--auto-approve", "--var", "first=bad.yaml", "--var", "text=two"], 1);
    let said = format!("{}{}", failed.out, failed.err);
    assert!(said.contains("Bad (AWS::SSM::Parameter)") && said.contains("_FAILED"), "{said}");
    assert!(said.contains("bad.yaml:7"), "{said}");
    assert_eq!(status(&account, "app-dev-first").as_deref(), Some("UPDATE_ROLLBACK_COMPLETE"));
    assert_eq!(parameter(&account, "/first").as_deref(), Some("one"));
    // The next apply goes on as if nothing had been.
    project.ends(&["apply", "--auto-approve", "--var", "text=three"], 0);
    assert_eq!(parameter(&account, "/second").as_deref(), Some("three"));
}

#[test]
fn a_failed_create_is_replaced_by_the_next_apply() {
    let Some((project, _proxy, account)) = pair() else { return };
    project.ends(&["apply", "--auto-approve", "--var", "first=bad.yaml"], 1);
    assert_eq!(status(&account, "app-dev-first").as_deref(), Some("ROLLBACK_COMPLETE"));
    assert_eq!(status(&account, "app-dev-second"), None, "what stands on it was not tried");
    project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!(status(&account, "app-dev-first").as_deref(), Some("CREATE_COMPLETE"));
    assert_eq!(status(&account, "app-dev-second").as_deref(), Some("CREATE_COMPLETE"));
}

#[test]
fn a_phase_that_fails_is_rolled_back_to_what_was() {
    let Some((project, _proxy, account)) = pair() else { return };
    let phased = super::PAIR.replace("  template ", "  phase      = phase.all\n  template ")
        + "\nphase \"all\" {\n  on_failure = \"rollback\"\n}\n\nvariable \"second\" {\n  default = \"second.yaml\"\n}\n";
    let phased = phased.replace("${path.root}/second.yaml", "${path.root}/${var.second}");
    project.write("plans/app/app.hcl", &phased);
    project.write("plans/app/bad2.yaml", &super::stored("/second").replace("Outputs:", super::BOGUS));
    project.ends(&["apply", "--auto-approve"], 0);
    // The first is updated, then the second fails, so the first goes back too.
    let failed = project.ends(&["apply", "--auto-approve", "--var", "text=two", "--var", "second=bad2.yaml"], 6);
    let said = format!("{}{}", failed.out, failed.err);
    assert!(said.contains("rolled back"), "{said}");
    assert_eq!(parameter(&account, "/first").as_deref(), Some("one"));
    assert_eq!(parameter(&account, "/second").as_deref(), Some("one"));
    assert!(project.ends(&["plan"], 0).out.contains("No changes."));
}
