//! What follows what in a stack operation: a stage ends, and the next one begins or the stack comes to rest.

use super::{
    engine, events, loose,
    record::{self, Config, Operation, ResourceRecord, StackRecord, Stage, State, Step, Verb, part},
};
use crate::{
    cfn::Resolved,
    world::{Export, OnCreateFailure, StackOutput, sandbox::Tx},
};
use std::collections::{BTreeMap, BTreeSet};

/// Begins an operation with its first steps and ticks it.
pub(super) fn begin(tx: &mut Tx<'_>, stack: &StackRecord, operation: &Operation, steps: BTreeMap<String, Step>) {
    tx.put("operation", &stack.id, operation);
    put_steps(tx, stack, steps);
    engine::tick(tx, &stack.id);
}

/// The stage is over: no step runs and none may start.
pub(super) fn finish(tx: &mut Tx<'_>, stack: &mut StackRecord, mut operation: Operation) {
    let steps = record::steps(tx, &stack.id);
    let failed = failures(&steps);
    match operation.stage {
        Stage::Forward if !operation.imports.is_empty() => import_end(tx, stack, &operation, &steps),
        Stage::Forward if failed.is_empty() => match publish(tx, stack, &operation.target) {
            Ok(()) if operation.creates => {
                commit(tx, stack, &operation.target);
                rest(tx, stack, "CREATE_COMPLETE", "");
            }
            Ok(()) => {
                commit(tx, stack, &operation.target);
                stack.updated = Some(tx.now());
                events::set_status(tx, stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "");
                operation.stage = Stage::Cleanup;
                let next = leftovers(tx, stack, &operation, &steps);
                enter(tx, stack, &operation, next);
            }
            Err(reason) => fail_forward(tx, stack, operation, &steps, &reason),
        },
        Stage::Forward => {
            let word = |verb: Verb| if verb == Verb::Create { "create" } else { "update" };
            let mut reason = String::new();
            for verb in [Verb::Create, Verb::Modify] {
                let names: Vec<&str> =
                    failed.iter().filter(|(_, s)| s.verb == verb).map(|(name, _)| name.as_str()).collect();
                if !names.is_empty() {
                    let (word, names) = (word(verb), names.join(", "));
                    reason.push_str(&["The following resource(s) failed to ", word, ": [", &names, "]. "].concat());
                }
            }
            fail_forward(tx, stack, operation, &steps, reason.trim_end());
        }
        Stage::Cleanup => rest(tx, stack, "UPDATE_COMPLETE", ""),
        Stage::Back if failed.is_empty() => {
            events::set_status(tx, stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "");
            operation.stage = Stage::BackCleanup;
            let next = made_in_vain(tx, stack, &steps);
            enter(tx, stack, &operation, next);
        }
        Stage::Back => {
            operation.paused = true;
            tx.put("operation", &stack.id, &operation);
            let reason = format!("The following resource(s) failed to update: [{}]. ", names(&failed));
            events::set_status(tx, stack, "UPDATE_ROLLBACK_FAILED", reason.trim_end());
        }
        Stage::BackCleanup => rest(tx, stack, "UPDATE_ROLLBACK_COMPLETE", ""),
        Stage::Undo if failed.is_empty() => rest(tx, stack, "ROLLBACK_COMPLETE", ""),
        Stage::Undo => {
            let reason = format!("The following resource(s) failed to delete: [{}]. ", names(&failed));
            rest(tx, stack, "ROLLBACK_FAILED", reason.trim_end());
        }
        Stage::Delete if failed.is_empty() => gone(tx, stack),
        Stage::Delete => {
            let reason = format!("The following resource(s) failed to delete: [{}]. ", names(&failed));
            rest(tx, stack, "DELETE_FAILED", reason.trim_end());
        }
    }
}

/// An import is over: what came in stays, or all of it leaves the stack as it came.
fn import_end(tx: &mut Tx<'_>, stack: &mut StackRecord, operation: &Operation, steps: &BTreeMap<String, Step>) {
    let brought = |tx: &Tx<'_>, logical: &String| tx.get::<ResourceRecord>("resource", &part(&stack.id, logical));
    let failed = failures(steps);
    if failed.is_empty() {
        for logical in steps.keys() {
            let Some(mut record) = brought(tx, logical) else { continue };
            let reason = "Apply stack-level tags to imported resource if applicable.";
            events::resource(tx, stack, &record, "UPDATE_IN_PROGRESS", reason);
            "UPDATE_COMPLETE".clone_into(&mut record.status);
            events::resource(tx, stack, &record, "UPDATE_COMPLETE", "");
            tx.put("resource", &part(&stack.id, logical), &record);
        }
        let outputs = publish(tx, stack, &operation.target);
        commit(tx, stack, &operation.target);
        stack.updated = Some(tx.now());
        return rest(tx, stack, "IMPORT_COMPLETE", &outputs.err().unwrap_or_default());
    }
    let reason = format!("The following resource(s) failed to import: [{}]. ", names(&failed));
    let brought: Vec<(String, ResourceRecord)> =
        steps.keys().filter_map(|logical| Some((logical.clone(), brought(tx, logical)?))).collect();
    let no_way_back = operation.fail.as_ref().is_some_and(|f| f.stuck);
    stack.parameters = operation.former.shown_parameters();
    events::set_status(tx, stack, "IMPORT_ROLLBACK_IN_PROGRESS", reason.trim_end());
    for (logical, record) in brought {
        if no_way_back {
            events::resource(tx, stack, &record, "IMPORT_ROLLBACK_FAILED", "Internal failure (sandbox fault)");
            continue;
        }
        events::resource(tx, stack, &record, "IMPORT_ROLLBACK_COMPLETE", "");
        tx.delete("resource", &part(&stack.id, &logical));
        if let Some(came) = steps.get(&logical).and_then(|step| step.before.clone()) {
            loose::put(tx, stack, came);
        }
    }
    stack.updated = Some(tx.now());
    match (no_way_back, operation.creates) {
        (true, _) => rest(tx, stack, "IMPORT_ROLLBACK_FAILED", reason.trim_end()),
        // Of a stack that the import was to make nothing is left but its name.
        (false, true) => rest(tx, stack, "ROLLBACK_COMPLETE", ""),
        (false, false) => rest(tx, stack, "IMPORT_ROLLBACK_COMPLETE", ""),
    }
}

fn failures(steps: &BTreeMap<String, Step>) -> Vec<(&String, &Step)> {
    steps.iter().filter(|(_, s)| s.state == State::Failed).collect()
}

fn names(failed: &[(&String, &Step)]) -> String {
    failed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn put_steps(tx: &mut Tx<'_>, stack: &StackRecord, steps: BTreeMap<String, Step>) {
    for key in tx.keys("step", &format!("{}|", stack.id)) {
        tx.delete("step", &key);
    }
    for (logical, step) in steps {
        tx.put("step", &part(&stack.id, &logical), &step);
    }
}

fn enter(tx: &mut Tx<'_>, stack: &StackRecord, operation: &Operation, steps: BTreeMap<String, Step>) {
    tx.put("operation", &stack.id, operation);
    put_steps(tx, stack, steps);
}

/// The operation is over; the stack stays with this status.
fn rest(tx: &mut Tx<'_>, stack: &mut StackRecord, status: &str, reason: &str) {
    put_steps(tx, stack, BTreeMap::new());
    tx.delete("operation", &stack.id);
    events::set_status(tx, stack, status, reason);
}

fn commit(tx: &mut Tx<'_>, stack: &mut StackRecord, config: &Config) {
    stack.parameters = config.shown_parameters();
    stack.tags.clone_from(&config.tags);
    stack.capabilities.clone_from(&config.capabilities);
    stack.role_arn.clone_from(&config.role_arn);
    stack.notification_arns.clone_from(&config.notification_arns);
    tx.put("stack-config", &stack.id, config);
}

/// Computes outputs and exports and makes them the stack's; says why where another stack stands in the way.
fn publish(tx: &mut Tx<'_>, stack: &mut StackRecord, config: &Config) -> Result<(), String> {
    let (resolved, _) = stack.resolve(tx, config, &BTreeSet::new());
    let outputs = outputs(&resolved)?;
    let wanted: BTreeMap<String, String> =
        outputs.values().filter_map(|o| Some((o.export.clone()?, o.value.clone()))).collect();
    let scope = stack.scope.clone();
    for name in wanted.keys() {
        if let Some(other) = record::export(tx, &scope, name).filter(|e| e.stack_id != stack.id) {
            let owner = other.stack_id.split('/').nth(1).unwrap_or_default().to_owned();
            return Err(format!(
                "Export with name {name} is already exported by stack {owner}. Rollback requested by user."
            ));
        }
    }
    let former: Vec<Export> = tx
        .scan::<Export>("export", &format!("{scope}/"))
        .into_iter()
        .map(|(_, export)| export)
        .filter(|e| e.stack_id == stack.id)
        .collect();
    for export in &former {
        let users = record::importers(tx, &scope, &export.name);
        if wanted.get(&export.name) != Some(&export.value) && !users.is_empty() {
            let what = if wanted.contains_key(&export.name) { "updated" } else { "deleted" };
            let (name, users) = (&export.name, users.join(" and "));
            return Err(format!("Export {name} cannot be {what} as it is in use by {users}"));
        }
    }
    for export in former {
        tx.delete("export", &scope.key(&export.name));
    }
    for (name, value) in wanted {
        tx.put("export", &scope.key(&name), &Export { name: name.clone(), value, stack_id: stack.id.clone() });
    }
    record::set_imports(tx, stack, Some(&resolved));
    stack.outputs = outputs;
    Ok(())
}

fn outputs(resolved: &Resolved) -> Result<BTreeMap<String, StackOutput>, String> {
    let mut outputs = BTreeMap::new();
    for (name, output) in &resolved.outputs {
        let value = match &output.value {
            value if !value.is_known() => return Err(format!("Template error: the output {name} cannot be resolved")),
            value => value.scalar().unwrap_or_else(|| value.to_json_shown().to_string()),
        };
        let export = output.export.as_ref().and_then(crate::cfn::Node::scalar);
        outputs.insert(name.clone(), StackOutput { value, export });
    }
    Ok(outputs)
}

fn fail_forward(
    tx: &mut Tx<'_>,
    stack: &mut StackRecord,
    mut operation: Operation,
    steps: &BTreeMap<String, Step>,
    reason: &str,
) {
    let reason = if reason.ends_with("requested by user.") {
        reason.to_owned()
    } else if operation.creates {
        format!("{reason} Rollback requested by user.")
    } else {
        reason.to_owned()
    };
    if operation.creates {
        commit(tx, stack, &operation.target);
        match operation.on_create_failure {
            OnCreateFailure::DoNothing => return rest(tx, stack, "CREATE_FAILED", &reason),
            OnCreateFailure::Rollback => {
                events::set_status(tx, stack, "ROLLBACK_IN_PROGRESS", &reason);
                operation.stage = Stage::Undo;
            }
            OnCreateFailure::Delete => {
                events::set_status(tx, stack, "DELETE_IN_PROGRESS", &reason);
                operation.stage = Stage::Delete;
                operation.fail = operation.fail.take().filter(|f| f.stuck);
            }
        }
        let next = deletions(&record::resources(tx, &stack.id));
        return enter(tx, stack, &operation, next);
    }
    stack.parameters = operation.former.shown_parameters();
    events::set_status(tx, stack, "UPDATE_ROLLBACK_IN_PROGRESS", &reason);
    operation.stage = Stage::Back;
    let mut next = BTreeMap::new();
    for (logical, step) in steps {
        let Some(before) = &step.before else {
            // A resource that was new; kept for the cleanup that follows.
            if tx.has("resource", &part(&stack.id, logical)) {
                let state = State::Done;
                next.insert(logical.clone(), Step { state, fails: None, ..step.clone() });
            }
            continue;
        };
        let touched = tx.get::<ResourceRecord>("resource", &part(&stack.id, logical)).is_some_and(|r| r != *before);
        if touched {
            let replaced = step.replaced;
            let needs = before.needs.clone();
            let (verb, state) = (Verb::Restore, State::Waiting);
            next.insert(
                logical.clone(),
                Step { verb, needs, state, before: Some(before.clone()), fails: None, replaced },
            );
        }
    }
    // What a replacement made is deleted once the old one is back; remember it beside the step.
    for (logical, step) in steps.iter().filter(|(_, s)| s.replaced) {
        if let (Some(made), true) =
            (tx.get::<ResourceRecord>("resource", &part(&stack.id, logical)), step.before.is_some())
        {
            tx.put("replacement", &part(&stack.id, logical), &made);
        }
    }
    enter(tx, stack, &operation, next);
}

/// Deletion of these resources, what depends on others first.
pub(super) fn deletions(resources: &BTreeMap<String, ResourceRecord>) -> BTreeMap<String, Step> {
    let mut steps: BTreeMap<String, Step> = resources
        .iter()
        .map(|(logical, record)| (logical.clone(), waiting(Verb::Delete, Some(record.clone()))))
        .collect();
    for record in resources.values() {
        for need in &record.needs {
            if let Some(step) = steps.get_mut(need) {
                step.needs.insert(record.logical.clone());
            }
        }
    }
    steps
}

/// A step that waits for nothing.
pub(super) fn waiting(verb: Verb, before: Option<ResourceRecord>) -> Step {
    Step { verb, needs: BTreeSet::new(), state: State::Waiting, before, fails: None, replaced: false }
}

/// After an update: what is no longer declared, and the old things of what was replaced.
fn leftovers(
    tx: &Tx<'_>,
    stack: &StackRecord,
    operation: &Operation,
    steps: &BTreeMap<String, Step>,
) -> BTreeMap<String, Step> {
    let (resolved, _) = stack.resolve(tx, &operation.target, &BTreeSet::new());
    let mut going = record::resources(tx, &stack.id);
    going.retain(|logical, _| !resolved.resources.contains_key(logical));
    let mut next = deletions(&going);
    let there = |s: &Step| s.replaced && s.before.as_ref().is_some_and(|b| !b.gone);
    for (logical, step) in steps.iter().filter(|(_, s)| there(s)) {
        next.insert(logical.clone(), waiting(Verb::Discard, step.before.clone()));
    }
    next
}

/// After a rollback: what the update had made.
fn made_in_vain(tx: &mut Tx<'_>, stack: &StackRecord, steps: &BTreeMap<String, Step>) -> BTreeMap<String, Step> {
    let mut going = record::resources(tx, &stack.id);
    going.retain(|logical, _| steps.get(logical).is_some_and(|s| s.before.is_none()));
    let mut next = deletions(&going);
    let prefix = format!("{}|", stack.id);
    for (key, made) in tx.scan::<ResourceRecord>("replacement", &prefix) {
        tx.delete("replacement", &key);
        next.insert(made.logical.clone(), waiting(Verb::Discard, Some(made)));
    }
    next
}

/// The stack is deleted: found by ARN only from now on.
pub(super) fn gone(tx: &mut Tx<'_>, stack: &mut StackRecord) {
    record::set_imports(tx, stack, None);
    for (key, export) in tx.scan::<Export>("export", &format!("{}/", stack.scope)) {
        if export.stack_id == stack.id {
            tx.delete("export", &key);
        }
    }
    for (key, record) in tx.scan::<ResourceRecord>("resource", &format!("{}|", stack.id)) {
        tx.delete("resource", &key);
        // What a person left behind.
        loose::put(tx, stack, record);
    }
    for (key, set) in tx.scan::<super::change_set::SetRecord>("change-set", "") {
        if set.set.stack_id == stack.id {
            tx.delete("change-set", &key);
        }
    }
    let name = stack.scope.key(&stack.name);
    if tx.get::<String>("stack-name", &name).as_deref() == Some(stack.id.as_str()) {
        tx.delete("stack-name", &name);
    }
    stack.outputs.clear();
    rest(tx, stack, "DELETE_COMPLETE", "");
}
