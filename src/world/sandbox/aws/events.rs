//! Stack events: written with every change of a status, read newest first.

use super::{
    physical::uuid,
    record::{ResourceRecord, StackRecord},
};
use crate::world::{StackEvent, sandbox::Tx};
use sha2::{Digest as _, Sha256};

/// Gives the stack a status, with its event.
pub(super) fn set_status(tx: &mut Tx<'_>, stack: &mut StackRecord, status: &str, reason: &str) {
    // What an operation does and what takes it back again are two operations.
    if matches!(
        status,
        "CREATE_IN_PROGRESS"
            | "UPDATE_IN_PROGRESS"
            | "DELETE_IN_PROGRESS"
            | "ROLLBACK_IN_PROGRESS"
            | "UPDATE_ROLLBACK_IN_PROGRESS"
            | "IMPORT_IN_PROGRESS"
            | "IMPORT_ROLLBACK_IN_PROGRESS"
    ) {
        let count: u64 = tx.get("event-count", &stack.id).unwrap_or_default();
        let hash: [u8; 32] = Sha256::digest(format!("{}\n{count}", stack.id)).into();
        stack.operation = Some(uuid(&hash));
    }
    status.clone_into(&mut stack.status);
    reason.clone_into(&mut stack.reason);
    tx.put("stack", &stack.id, stack);
    let about = StackEvent {
        id: String::new(),
        at: tx.now(),
        logical_id: stack.name.clone(),
        physical_id: stack.id.clone(),
        resource_type: "AWS::CloudFormation::Stack".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        token: stack.token.clone(),
        operation: stack.operation.clone(),
    };
    write(tx, &stack.id, about);
}

/// Gives a resource a status, with its event; the record itself is the caller's to store.
pub(super) fn resource(tx: &mut Tx<'_>, stack: &StackRecord, of: &ResourceRecord, status: &str, reason: &str) {
    let about = StackEvent {
        id: String::new(),
        at: tx.now(),
        logical_id: of.logical.clone(),
        physical_id: of.physical.clone(),
        resource_type: of.resource_type.clone(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        token: stack.token.clone(),
        operation: stack.operation.clone(),
    };
    write(tx, &stack.id, about);
}

fn write(tx: &mut Tx<'_>, stack: &str, event: StackEvent) {
    let count: u64 = tx.get("event-count", stack).unwrap_or_default();
    tx.put("event-count", stack, &(count + 1));
    let id = format!("{}-{}-{count:06}", event.logical_id, event.status);
    tx.put("event", &format!("{stack}|{count:08}"), &StackEvent { id, ..event });
}

/// Events newer than the one with this id, newest first.
pub(super) fn newest_first(tx: &Tx<'_>, stack: &str, after: Option<&str>) -> Vec<StackEvent> {
    let mut out = Vec::new();
    for key in tx.keys("event", &format!("{stack}|")).into_iter().rev() {
        let Some(event) = tx.get::<StackEvent>("event", &key) else { continue };
        if Some(event.id.as_str()) == after {
            break;
        }
        out.push(event);
    }
    out
}
