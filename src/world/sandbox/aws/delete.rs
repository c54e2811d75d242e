//! Deletion of stacks, and what forbids it.

use super::{
    change_set::command,
    events,
    record::{self, Config, Operation, StackRecord, Stage, State},
    request::Ask,
    stage,
};
use crate::world::{Class, Export, OnCreateFailure, Outcome, sandbox::Tx};
use std::collections::BTreeMap;

/// Starts the deletion of a stack.
pub(super) fn delete(
    tx: &mut Tx<'_>,
    ask: Ask<'_>,
    mut stack: StackRecord,
    retain: &[String],
    token: &str,
) -> Outcome<()> {
    if matches!(stack.status.as_str(), "DELETE_COMPLETE" | "DELETE_IN_PROGRESS") {
        return Ok(());
    }
    if stack.termination_protection {
        let name = &stack.name;
        return Err(ask.invalid(format!("Stack [{name}] cannot be deleted while TerminationProtection is enabled")));
    }
    let busy = stack.told().status.in_progress() && stack.status != "CREATE_IN_PROGRESS";
    if busy {
        let (id, status) = (&stack.id, &stack.status);
        return Err(ask.fail(Class::Conflict, format!("Stack [{id}] cannot be deleted while in status {status}")));
    }
    if !retain.is_empty() && stack.status != "DELETE_FAILED" {
        let id = &stack.id;
        return Err(ask.invalid(format!(
            "Invalid operation on stack [{id}]. Specify resources to retain only when the stack is in DELETE_FAILED state"
        )));
    }
    for (_, export) in tx.scan::<Export>("export", &format!("{}/", stack.scope)) {
        let users = record::importers(tx, &stack.scope, &export.name);
        if export.stack_id == stack.id && !users.is_empty() {
            let (name, users) = (&export.name, users.join(" and "));
            return Err(ask.invalid(format!("Export {name} cannot be deleted as it is in use by {users}")));
        }
    }
    stack.token = Some(token.to_owned());
    if stack.status == "REVIEW_IN_PROGRESS" {
        stage::gone(tx, &mut stack);
        return Ok(());
    }
    events::set_status(tx, &mut stack, "DELETE_IN_PROGRESS", "User Initiated");
    let resources: BTreeMap<_, _> = record::resources(tx, &stack.id);
    let mut steps = stage::deletions(&resources);
    for logical in retain {
        if let (Some(step), Some(record)) = (steps.get_mut(logical), resources.get(logical)) {
            step.state = State::Skipped;
            step.before = None;
            events::resource(tx, &stack, record, "DELETE_SKIPPED", "");
        }
    }
    let order: Vec<String> = steps.keys().filter(|logical| !retain.contains(logical)).cloned().collect();
    let fail = command(tx, &order);
    let former: Config = tx.get("stack-config", &stack.id).unwrap_or_default();
    let operation = Operation {
        stage: Stage::Delete,
        creates: false,
        on_create_failure: OnCreateFailure::Rollback,
        target: former.clone(),
        former,
        fail,
        paused: false,
        imports: Vec::new(),
    };
    stage::begin(tx, &stack, &operation, steps);
    Ok(())
}
