//! Killed in the middle of an operation, and gone on with: nothing is started twice.

use super::{pair, parameter, status};
use crate::support::{Project, Proxy, Trouble, trouble::What};

/// Starts a command, kills it once the call was made and had its effect, and says so.
fn killed_at(project: &Project, proxy: &Proxy, call: &str, words: &[&str]) {
    proxy.forget();
    proxy.trouble(Trouble::new(call, What::Withhold).times(1));
    let mut child = project.start(words);
    proxy.wait_for(call, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.peace();
}

#[test]
fn killed_while_a_stack_is_made_it_is_made_once() {
    let Some((project, proxy, account)) = pair() else { return };
    let words = ["apply", "--auto-approve", "--parallelism", "1"];
    killed_at(&project, &proxy, "cloudformation:ExecuteChangeSet", &words);
    let refused = project.ends(&["plan"], 5);
    assert!(refused.err.contains("terrace resume"), "{refused:?}");
    project.ends(&["resume", "--auto-approve"], 0);
    assert_eq!(parameter(&account, "/second").as_deref(), Some("one"));
    // One for each stack; the second try of the first was never made, or was the same call by its token.
    let executed: std::collections::BTreeSet<String> =
        proxy.calls().into_iter().filter(|c| c.action == "ExecuteChangeSet").map(|c| c.subject).collect();
    assert_eq!(executed.len(), 2, "{executed:?}");
    assert!(project.ends(&["plan"], 0).out.contains("No changes."));
}

#[test]
fn killed_before_an_answer_comes_the_change_set_is_not_made_twice() {
    let Some((project, proxy, account)) = pair() else { return };
    let words = ["apply", "--auto-approve", "--parallelism", "1"];
    killed_at(&project, &proxy, "cloudformation:CreateChangeSet", &words);
    // It may have been the plan's own change set, in which case there is nothing to go on with.
    let resumed = project.run(&["resume", "--auto-approve"]);
    if resumed.code != Some(0) {
        assert!(resumed.err.contains("nothing_open"), "{resumed:?}");
        project.ends(&["apply", "--auto-approve"], 0);
    }
    assert_eq!(status(&account, "app-dev-first").as_deref(), Some("CREATE_COMPLETE"));
    assert_eq!(status(&account, "app-dev-second").as_deref(), Some("CREATE_COMPLETE"));
}

#[test]
fn killed_in_the_middle_of_an_update_its_end_is_waited_for() {
    let Some((project, proxy, account)) = pair() else { return };
    project.ends(&["apply", "--auto-approve"], 0);
    let slow = ["apply", "--auto-approve", "--var", "first=slow.yaml"];
    killed_at(&project, &proxy, "cloudformation:ExecuteChangeSet", &slow);
    assert_eq!(status(&account, "app-dev-first").as_deref(), Some("UPDATE_IN_PROGRESS"));
    // Nobody signals the condition, so the update fails after three seconds: `resume` finds that out and says it.
    let resumed = project.run(&["resume", "--auto-approve"]);
    let said = format!("{}{}", resumed.out, resumed.err);
    assert_eq!(resumed.code, Some(1), "{said}");
    assert!(said.contains("Wait (AWS::CloudFormation::WaitCondition)"), "{said}");
    assert_eq!(status(&account, "app-dev-first").as_deref(), Some("UPDATE_ROLLBACK_COMPLETE"));
    assert_eq!(proxy.count("cloudformation:ExecuteChangeSet"), 1, "{:?}", proxy.counts());
    assert_eq!(proxy.count("cloudformation:UpdateStack"), 0);
}

#[test]
fn killed_in_the_middle_of_a_destroy_the_rest_is_destroyed() {
    let Some((project, proxy, account)) = pair() else { return };
    project.ends(&["apply", "--auto-approve"], 0);
    killed_at(&project, &proxy, "cloudformation:DeleteStack", &["destroy", "--auto-approve"]);
    project.ends(&["resume", "--auto-approve"], 0);
    assert_eq!((status(&account, "app-dev-first"), status(&account, "app-dev-second")), (None, None));
    assert!(project.ends(&["state", "list"], 0).err.contains("nothing is remembered"));
}

#[test]
fn an_answer_that_is_lost_makes_nothing_twice() {
    let Some((project, proxy, account)) = pair() else { return };
    for call in ["CreateChangeSet", "ExecuteChangeSet", "DeleteChangeSet"] {
        proxy.trouble(Trouble::new(&format!("cloudformation:{call}"), What::LoseAnswer).times(2));
    }
    project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!(status(&account, "app-dev-second").as_deref(), Some("CREATE_COMPLETE"));
    let client = aws_sdk_cloudformation::Client::new(&account.sdk());
    let events = super::wait(client.describe_stack_events().stack_name("app-dev-first").send()).unwrap();
    let starts = events.stack_events().iter().filter(|e| {
        e.logical_resource_id() == Some("app-dev-first")
            && e.resource_status().is_some_and(|s| s.as_str() == "CREATE_IN_PROGRESS")
    });
    assert_eq!(starts.count(), 1, "{events:?}");
    proxy.peace();
    proxy.trouble(Trouble::new("cloudformation:DeleteStack", What::LoseAnswer).times(2));
    project.ends(&["destroy", "--auto-approve"], 0);
    assert_eq!(status(&account, "app-dev-first"), None);
}
