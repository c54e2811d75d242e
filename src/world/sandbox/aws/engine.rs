//! Running stack operations: each tick ends the steps that are due, starts those that may start, and sets the next tick.
//!
//! What the stages are and what follows each is in `stage.rs`; what a resource does to the world in `effect.rs`.

use super::{
    effect, events, loose,
    physical::{self, Work},
    record::{self, Operation, ResourceRecord, StackRecord, Stage, State, Step, Verb, differences, part},
    stage,
};
use crate::{
    cfn::{self, Resolved, UpdateBehaviour},
    world::sandbox::Tx,
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Drives the operation of a stack as far as the time allows.
pub(super) fn tick(tx: &mut Tx<'_>, id: &str) {
    // Each round ends or starts a step or changes the stage, so the limit is never met by a sane operation.
    for _ in 0..10_000 {
        let Some(operation) = tx.get::<Operation>("operation", id).filter(|o| !o.paused) else { return };
        let Some(mut stack) = tx.get::<StackRecord>("stack", id) else { return };
        let now = tx.now().as_millisecond();
        let steps = record::steps(tx, id);
        let due = |step: &Step| matches!(step.state, State::Running(until) if until <= now);
        let mut moved = false;
        for (logical, step) in steps.iter().filter(|(_, step)| due(step)) {
            end(tx, &stack, &operation, logical, step.clone());
            moved = true;
        }
        let steps = record::steps(tx, id);
        let failed = steps.values().any(|s| s.state == State::Failed);
        if !(failed && operation.stage == Stage::Forward) {
            moved |= start_ready(tx, &stack, &operation, &steps);
        }
        if moved {
            continue;
        }
        let next = steps.values().filter_map(|s| if let State::Running(until) = s.state { Some(until) } else { None });
        if let Some(next) = next.min() {
            let wait = Duration::from_millis(u64::try_from(next - now).unwrap_or_default());
            tx.schedule(wait, "stack", id);
            return;
        }
        stage::finish(tx, &mut stack, operation);
    }
}

fn start_ready(tx: &mut Tx<'_>, stack: &StackRecord, operation: &Operation, steps: &BTreeMap<String, Step>) -> bool {
    let open = |need: &String| steps.get(need).is_some_and(|s| matches!(s.state, State::Waiting | State::Running(_)));
    let lost = |need: &String| steps.get(need).is_some_and(|s| matches!(s.state, State::Failed | State::Skipped));
    let ready: Vec<&String> = steps
        .iter()
        .filter(|(_, s)| s.state == State::Waiting && !s.needs.iter().any(open))
        .map(|(logical, _)| logical)
        .collect();
    if ready.is_empty() {
        return false;
    }
    let forward = operation.stage == Stage::Forward;
    let resolved = if forward { stack.resolve(tx, &operation.target, &BTreeSet::new()).0 } else { Resolved::default() };
    for logical in ready {
        let mut step = steps[logical].clone();
        let blocked = matches!(operation.stage, Stage::Delete | Stage::Undo)
            && step
                .needs
                .iter()
                .any(|n| lost(n) && steps[n].before.as_ref().is_some_and(|b| !kept(b, operation.stage)));
        if blocked {
            step.state = State::Skipped;
            tx.put("step", &part(&stack.id, logical), &step);
        } else {
            start(tx, stack, operation, logical, step, &resolved);
        }
    }
    true
}

/// True where the policy keeps a resource when it leaves the stack in this stage.
fn kept(record: &ResourceRecord, stage: Stage) -> bool {
    match record.deletion_policy.as_deref() {
        Some("Retain") => true,
        Some("RetainExceptOnCreate") => stage != Stage::Undo,
        _ => false,
    }
}

fn start(
    tx: &mut Tx<'_>,
    stack: &StackRecord,
    operation: &Operation,
    logical: &str,
    mut step: Step,
    resolved: &Resolved,
) {
    let key = part(&stack.id, logical);
    let mut work = Work::Update;
    let resource_type;
    match step.verb {
        Verb::Create | Verb::Modify => {
            let Some(wanted) = resolved.resources.get(logical) else {
                step.state = State::Done;
                tx.put("step", &key, &step);
                return;
            };
            let mut record = wanted_record(stack, logical, wanted, &step);
            let refusal = (!wanted.properties.is_known()).then(|| unresolved(wanted));
            let change = match &step.before {
                None => Change::New,
                Some(_) if step.replaced => Change::Replace,
                Some(before) => compare(before, &record),
            };
            if change == Change::None && refusal.is_none() {
                step.state = State::Done;
                tx.put("step", &key, &step);
                return;
            }
            record.physical = match (&step.before, change) {
                (Some(before), Change::Update | Change::None) => before.physical.clone(),
                _ => stack.thing(&record).physical_id(),
            };
            let verb = if step.before.is_none() { "CREATE" } else { "UPDATE" };
            if change == Change::Replace {
                step.replaced = true;
                let reason = "Requested update requires the creation of a new physical resource; hence creating one.";
                begin_event(tx, stack, &record, "UPDATE_IN_PROGRESS", reason);
            } else {
                begin_event(tx, stack, &record, &format!("{verb}_IN_PROGRESS"), "");
            }
            if change != Change::Update {
                work = Work::Create;
            }
            step.fails = refusal.or_else(|| effect::refuse(tx, stack, &record, step.before.as_ref(), change));
            record.status = format!("{verb}_IN_PROGRESS");
            if step.fails.is_none() {
                effect::begin(tx, stack, &record, change);
                if change != Change::Update {
                    events::resource(tx, stack, &record, &record.status.clone(), "Resource creation Initiated");
                }
            }
            resource_type = record.resource_type.clone();
            tx.put("resource", &key, &record);
        }
        Verb::Import => {
            let meant = operation.imports.iter().find(|i| i.logical_id == logical);
            let (Some(wanted), Some(import)) = (resolved.resources.get(logical), meant) else {
                step.state = State::Done;
                tx.put("step", &key, &step);
                return;
            };
            resource_type = wanted.resource_type.clone();
            let mut record = wanted_record(stack, logical, wanted, &step);
            step.fails = loose::refusal(tx, &stack.scope, import);
            begin_event(tx, stack, &record, "IMPORT_IN_PROGRESS", "Resource import started.");
            if let Some(found) = loose::find(tx, &stack.scope, import).filter(|_| step.fails.is_none()) {
                record = loose::imported(record, &found);
                loose::take(tx, stack, logical, &found);
                step.before = Some(found);
            }
            "IMPORT_IN_PROGRESS".clone_into(&mut record.status);
            tx.put("resource", &key, &record);
        }
        Verb::Restore => {
            let Some(mut before) = step.before.clone() else { return };
            resource_type = before.resource_type.clone();
            begin_event(tx, stack, &before, "UPDATE_IN_PROGRESS", "");
            "UPDATE_IN_PROGRESS".clone_into(&mut before.status);
            tx.put("resource", &key, &before);
            if step.replaced {
                // The old thing was never touched; only the record returns to it.
                step.state = State::Running(tx.now().as_millisecond() + 500);
                tx.put("step", &key, &step);
                return;
            }
        }
        Verb::Delete | Verb::Discard => {
            let Some(mut before) = step.before.clone() else { return };
            work = Work::Delete;
            resource_type = before.resource_type.clone();
            let policy = if step.verb == Verb::Discard { &before.replace_policy } else { &before.deletion_policy };
            let keep = if step.verb == Verb::Discard || matches!(operation.stage, Stage::BackCleanup) {
                step.verb == Verb::Discard && policy.as_deref() == Some("Retain") && operation.stage == Stage::Cleanup
            } else {
                kept(&before, operation.stage)
            };
            if keep {
                events::resource(tx, stack, &before, "DELETE_SKIPPED", "");
                if step.verb == Verb::Delete {
                    tx.delete("resource", &key);
                }
                loose::put(tx, stack, before);
                step.state = State::Skipped;
                tx.put("step", &key, &step);
                return;
            }
            begin_event(tx, stack, &before, "DELETE_IN_PROGRESS", "");
            if step.verb == Verb::Delete {
                "DELETE_IN_PROGRESS".clone_into(&mut before.status);
                tx.put("resource", &key, &before);
            }
        }
    }
    let lasts = match (step.verb, &step.fails) {
        (Verb::Create | Verb::Modify, None) => effect::wait_condition(resolved.resources.get(logical))
            .unwrap_or_else(|| physical::duration(&resource_type, work)),
        (_, Some(_)) => Duration::from_secs(2),
        (Verb::Import, None) => Duration::from_secs(5),
        _ => physical::duration(&resource_type, work),
    };
    if step.fails.is_none() && step.verb == Verb::Create && resource_type == "AWS::CloudFormation::WaitCondition" {
        step.fails = Some("WaitCondition timed out. Received 0 conditions when expecting 1".to_owned());
    }
    let until = tx.now().as_millisecond() + i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX / 4);
    step.state = State::Running(until);
    tx.put("step", &key, &step);
}

fn begin_event(tx: &mut Tx<'_>, stack: &StackRecord, record: &ResourceRecord, status: &str, reason: &str) {
    // A thing that is still to be made has no id yet in its first event.
    let hidden = status == "CREATE_IN_PROGRESS";
    let shown =
        ResourceRecord { physical: if hidden { String::new() } else { record.physical.clone() }, ..record.clone() };
    events::resource(tx, stack, &shown, status, reason);
}

/// Why properties that are still unknown at their turn make the resource fail.
fn unresolved(wanted: &cfn::ResolvedResource) -> String {
    use cfn::Because;
    let waits = wanted.properties.waits_for();
    let first = waits.into_iter().next();
    match first {
        Some(Because::Import(name)) => format!("No export named {name} found. Rollback requested by user."),
        Some(Because::Dynamic(text)) => format!("Could not resolve the dynamic reference {{{{resolve:{text}}}}}"),
        Some(other) => format!("Template error: {other} cannot be resolved"),
        None => "Template error".to_owned(),
    }
}

fn wanted_record(stack: &StackRecord, logical: &str, wanted: &cfn::ResolvedResource, step: &Step) -> ResourceRecord {
    let before = step.before.as_ref();
    let properties = wanted.properties.to_json_shown();
    let mut record = ResourceRecord {
        logical: logical.to_owned(),
        resource_type: wanted.resource_type.clone(),
        physical: String::new(),
        generation: before.map_or_else(|| stack.first_generation(), |b| b.generation),
        version: before.map_or(1, |b| b.version.saturating_add(1)),
        status: String::new(),
        properties,
        metadata: wanted.metadata.as_ref().map_or(Json::Null, cfn::Node::to_json_shown),
        live: None,
        gone: false,
        deletion_policy: wanted.deletion_policy.clone(),
        replace_policy: wanted.update_replace_policy.clone(),
        needs: wanted.dependencies().into_iter().map(str::to_owned).collect(),
        origin: before.and_then(|b| b.origin.clone()),
    };
    if step.replaced || before.is_some_and(|b| compare(b, &record) == Change::Replace) {
        record.generation = record.generation.saturating_add(1);
        record.version = 1;
        record.origin = None;
    }
    record
}

/// What an update does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    New,
    None,
    Update,
    Replace,
}

/// What it takes to get from one record to the other.
pub(super) fn compare(before: &ResourceRecord, after: &ResourceRecord) -> Change {
    if before.resource_type != after.resource_type {
        return Change::Replace;
    }
    let mut paths = Vec::new();
    differences(Some(&before.properties), Some(&after.properties), "", false, &mut paths);
    let replaces = |path: &str| cfn::update_behaviour(&before.resource_type, path) == UpdateBehaviour::Replace;
    if paths.iter().any(|(path, _, _)| replaces(path)) {
        return Change::Replace;
    }
    let same = paths.is_empty()
        && before.metadata == after.metadata
        && before.deletion_policy == after.deletion_policy
        && before.replace_policy == after.replace_policy;
    if same && before.live.is_none() && !before.gone { Change::None } else { Change::Update }
}

fn end(tx: &mut Tx<'_>, stack: &StackRecord, operation: &Operation, logical: &str, mut step: Step) {
    let key = part(&stack.id, logical);
    let commanded = operation.fail.as_ref().filter(|f| f.logical == logical);
    let reason = step.fails.clone().or_else(|| {
        let now = match operation.stage {
            Stage::Forward | Stage::Delete => true,
            Stage::Back | Stage::Undo => commanded.is_some_and(|f| f.stuck),
            Stage::Cleanup | Stage::BackCleanup => false,
        };
        commanded.filter(|_| now).map(|f| f.reason.clone())
    });
    step.state = if reason.is_some() { State::Failed } else { State::Done };
    let text = reason.clone().unwrap_or_default();
    let failed = reason.is_some();
    match step.verb {
        Verb::Import => {
            let Some(mut record) = tx.get::<ResourceRecord>("resource", &key) else { return };
            if failed { "IMPORT_FAILED" } else { "IMPORT_COMPLETE" }.clone_into(&mut record.status);
            let reason = reason.unwrap_or_else(|| "Resource import completed.".to_owned());
            events::resource(tx, stack, &record, &record.status.clone(), &reason);
            tx.put("resource", &key, &record);
        }
        Verb::Create | Verb::Modify | Verb::Restore => {
            let Some(mut record) = tx.get::<ResourceRecord>("resource", &key) else { return };
            let verb = if step.verb == Verb::Create { "CREATE" } else { "UPDATE" };
            record.status = format!("{verb}_{}", if failed { "FAILED" } else { "COMPLETE" });
            if !failed {
                effect::done(tx, stack, &record);
            }
            events::resource(tx, stack, &record, &record.status.clone(), &text);
            tx.put("resource", &key, &record);
        }
        Verb::Delete | Verb::Discard => {
            let Some(mut before) = step.before.clone() else { return };
            let status = if failed { "DELETE_FAILED" } else { "DELETE_COMPLETE" };
            events::resource(tx, stack, &before, status, &text);
            if !failed {
                effect::deleted(tx, stack, &before);
            }
            if step.verb == Verb::Delete && !failed {
                tx.delete("resource", &key);
            } else if step.verb == Verb::Delete {
                status.clone_into(&mut before.status);
                tx.put("resource", &key, &before);
            }
        }
    }
    tx.put("step", &key, &step);
    // The first failure of a stage going forward cancels what runs beside it.
    if failed && operation.stage == Stage::Forward {
        cancel(tx, stack, logical);
    }
}

fn cancel(tx: &mut Tx<'_>, stack: &StackRecord, but: &str) {
    for (logical, mut step) in record::steps(tx, &stack.id) {
        let key = part(&stack.id, &logical);
        if logical == but || !matches!(step.state, State::Running(_)) {
            continue;
        }
        if let Some(mut record) = tx.get::<ResourceRecord>("resource", &key) {
            let (verb, word) = match step.verb {
                Verb::Create => ("CREATE", "creation"),
                Verb::Import => ("IMPORT", "import"),
                _ => ("UPDATE", "update"),
            };
            record.status = format!("{verb}_FAILED");
            events::resource(tx, stack, &record, &record.status.clone(), &format!("Resource {word} cancelled"));
            tx.put("resource", &key, &record);
        }
        step.state = State::Failed;
        step.fails = Some(String::new());
        tx.put("step", &key, &step);
    }
}
