//! From nothing to nothing: what is planned is shown, made, changed, replaced and taken away.

use super::{pair, parameter, status};

#[test]
fn stacks_are_made_changed_replaced_and_destroyed() {
    let Some((project, proxy, account)) = pair() else { return };
    let plan = project.ends(&["plan"], 0).out;
    assert!(plan.contains("+ stack.first") && plan.contains("+ stack.second"), "{plan}");
    assert!(plan.contains(&account.id), "{plan}");
    assert_eq!(status(&account, "app-dev-first"), None, "nothing of the plan is left");
    assert_eq!(proxy.count("cloudformation:ExecuteChangeSet"), 0);

    project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!(status(&account, "app-dev-second").as_deref(), Some("CREATE_COMPLETE"));
    assert_eq!(parameter(&account, "/second").as_deref(), Some("one"));

    assert!(project.ends(&["plan", "--detailed-exitcode"], 0).out.contains("No changes."));

    // A change in place, as the change set tells it.
    let plan = project.ends(&["plan", "--detailed-exitcode", "--var", "text=two"], 2).out;
    assert!(plan.contains("~ stack.first") && plan.contains("~ P  AWS::SSM::Parameter"), "{plan}");
    project.ends(&["apply", "--auto-approve", "--var", "text=two"], 0);
    assert_eq!(parameter(&account, "/second").as_deref(), Some("two"));

    // A replacement says so before it happens.
    let replace = ["--var", "text=two", "--var", "first=renamed.yaml"];
    let plan = project.ends(&[&["plan"][..], &replace].concat(), 0).out;
    assert!(plan.contains("replace"), "{plan}");
    project.ends(&[&["apply", "--auto-approve"][..], &replace].concat(), 0);
    assert_eq!((parameter(&account, "/first"), parameter(&account, "/renamed").as_deref()), (None, Some("two")));

    project.ends(&["destroy", "--auto-approve"], 0);
    assert_eq!((status(&account, "app-dev-first"), status(&account, "app-dev-second")), (None, None));
    assert_eq!(parameter(&account, "/renamed"), None);
}

#[test]
fn a_saved_plan_executes_the_very_change_sets_that_were_reviewed() {
    let Some((project, proxy, account)) = pair() else { return };
    project.ends(&["apply", "--auto-approve"], 0);
    project.ends(&["plan", "--var", "text=two", "--out", "two.tplan"], 0);
    let made = proxy.count("cloudformation:CreateChangeSet");
    project.ends(&["apply", "two.tplan", "--auto-approve"], 0);
    assert_eq!(parameter(&account, "/second").as_deref(), Some("two"));
    // Only the second, whose parameter was not known at the time, may have needed one of its own.
    assert!(proxy.count("cloudformation:CreateChangeSet") <= made + 1, "{:?}", proxy.counts());

    // Once somebody else has changed the stack, what was reviewed is history.
    project.ends(&["plan", "--var", "text=three", "--out", "three.tplan"], 0);
    project.ends(&["apply", "--auto-approve", "--var", "text=four"], 0);
    let refused = project.ends(&["apply", "three.tplan", "--auto-approve"], 5);
    assert!(refused.err.contains("plan_stale"), "{refused:?}");
    assert_eq!(parameter(&account, "/second").as_deref(), Some("four"));
}

#[test]
fn drift_of_a_stack_is_shown_property_by_property() {
    let Some((project, _proxy, account)) = pair() else { return };
    project.ends(&["apply", "--auto-approve"], 0);
    project.ends(&["drift", "--detailed-exitcode"], 0);
    let client = aws_sdk_ssm::Client::new(&account.sdk());
    let put = client.put_parameter().name("/first").value("by hand").overwrite(true);
    super::wait(put.send()).unwrap();
    let drift = project.ends(&["drift", "--detailed-exitcode"], 2);
    assert!(drift.out.contains("stack.first") && drift.out.contains("by hand"), "{drift:?}");
}
