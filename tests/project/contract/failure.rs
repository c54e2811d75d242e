//! Operations that fail, and that run while somebody else wants something.

use super::bed::{Bed, STORED, failing, request, with};
use terrace::world::{Class, OnCreateFailure, StackEvent, StackRequest};

/// The first failure of all, oldest first.
async fn cause(bed: &Bed, id: &str) -> StackEvent {
    let events = bed.stacks().stack_events(id, None).await.unwrap();
    events.into_iter().rev().find(|e| e.status.ends_with("_FAILED")).expect("something failed")
}

pub(super) async fn a_failed_create_rolls_back_and_its_name_is_free_after_a_delete(bed: &Bed) {
    let stack = bed.apply(&request("failed", &failing()), "first").await;
    assert_eq!(stack.status.0, "ROLLBACK_COMPLETE", "{stack:?}");
    let cause = cause(bed, &stack.id).await;
    assert_eq!((cause.logical_id.as_str(), cause.status.as_str()), ("Bad", "CREATE_FAILED"));
    assert!(!cause.reason.is_empty());
    assert_eq!(bed.aws.secrets.parameter("/stored").await.unwrap(), None, "what was made is gone again");
    let refused = bed.stacks().create_change_set(&request("failed", STORED), "second", "second").await;
    if bed.differs("change-set-in-any-state") {
        refused.unwrap();
    } else {
        let refused = refused.unwrap_err();
        assert!(refused.message.contains("ROLLBACK_COMPLETE state and can not be updated"), "{refused}");
        assert_eq!(refused.class, Class::Invalid);
    }
    assert_eq!(bed.delete(&stack.id).await.status.0, "DELETE_COMPLETE");
    assert_eq!(bed.apply(&request("failed", STORED), "third").await.status.0, "CREATE_COMPLETE");
}

pub(super) async fn a_failed_create_is_deleted_where_that_is_asked_for(bed: &Bed) {
    let asked = StackRequest { on_create_failure: OnCreateFailure::Delete, ..request("gone", &failing()) };
    let stack = bed.apply(&asked, "first").await;
    assert_eq!(stack.status.0, "DELETE_COMPLETE", "{stack:?}");
    assert_eq!(cause(bed, &stack.id).await.logical_id, "Bad");
    assert_eq!(bed.stacks().describe_stack("gone").await.unwrap(), None);
}

pub(super) async fn a_failed_create_stays_as_it_is_where_that_is_asked_for(bed: &Bed) {
    let asked = StackRequest { on_create_failure: OnCreateFailure::DoNothing, ..request("stays", &failing()) };
    let stack = bed.apply(&asked, "first").await;
    assert_eq!(stack.status.0, "CREATE_FAILED", "{stack:?}");
    assert!(bed.aws.secrets.parameter("/stored").await.unwrap().is_some());
    assert_eq!(bed.delete(&stack.id).await.status.0, "DELETE_COMPLETE");
}

pub(super) async fn a_failed_update_goes_back_to_what_was(bed: &Bed) {
    let before = bed.apply(&request("back", STORED), "first").await;
    let stack = bed.apply(&with(request("back", &failing()), "Text", "two"), "second").await;
    assert_eq!(stack.status.0, "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!((&stack.outputs, &stack.parameters), (&before.outputs, &before.parameters));
    assert_eq!(bed.stacks().get_template("back").await.unwrap().trim(), STORED.trim());
    let live = bed.aws.secrets.parameter("/stored").await.unwrap().unwrap();
    assert_eq!(super::bed::open(&live.value), "one");
    assert_eq!(cause(bed, &stack.id).await.logical_id, "Bad");
    // It can be updated as if nothing had been.
    let stack = bed.apply(&with(request("back", STORED), "Text", "three"), "third").await;
    assert_eq!((stack.status.0.as_str(), stack.outputs["Value"].value.as_str()), ("UPDATE_COMPLETE", "three"));
}

pub(super) async fn while_an_operation_runs_nobody_starts_another(bed: &Bed) {
    bed.apply(&request("busy", STORED), "first").await;
    let slow = STORED.replace(
        "Outputs:",
        "  Handle: { Type: AWS::CloudFormation::WaitConditionHandle }\n  Wait: { Type: AWS::CloudFormation::WaitCondition, \
         Properties: { Handle: !Ref Handle, Timeout: '3' } }\nOutputs:",
    );
    let set = bed.change_set(&request("busy", &slow), "slow").await;
    bed.stacks().execute_change_set(&set.id, "slow").await.unwrap();
    let running = bed.stacks().describe_stack("busy").await.unwrap().unwrap();
    assert_eq!(running.status.0, "UPDATE_IN_PROGRESS");
    let other = with(request("busy", STORED), "Text", "two");
    let refused = bed.stacks().update_stack(&other, "other").await.unwrap_err();
    assert_eq!(refused.class, Class::Conflict, "{refused:?}");
    let refused = bed.stacks().create_change_set(&other, "other", "other").await;
    if bed.differs("change-set-in-any-state") {
        // It would execute it, too, in the middle of the one that runs.
        refused.unwrap();
    } else {
        assert_eq!(refused.unwrap_err().class, Class::Conflict);
    }
    // The one that runs is not disturbed: the condition is never signalled, so it goes back.
    assert_eq!(bed.settled("busy").await.status.0, "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(bed.apply(&other, "again").await.outputs["Value"].value, "two");
}
