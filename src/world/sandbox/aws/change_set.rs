//! Change sets, and the start of creates and updates.

use super::{
    Scope, events, loose,
    physical::uuid,
    record::{self, Config, Fail, Operation, StackRecord, Stage, State, Verb, part},
    request::{self, Ask},
    stage::{self, waiting},
    work::{Work, told},
};
use crate::{
    cfn,
    world::{
        ChangeSet, Class, ImportedResource, OnCreateFailure, Outcome, StackRequest,
        sandbox::{Tx, fault::glob},
    },
};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, time::Duration};

/// A change set, under its ARN in the table `change-set`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct SetRecord {
    pub(super) set: ChangeSet,
    pub(super) name: String,
    token: String,
    creates: bool,
    revert: bool,
    on_create_failure: OnCreateFailure,
    config: Config,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    imports: Vec<ImportedResource>,
}

const NO_CHANGES: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

/// Starts a change set and returns its ARN.
pub(super) fn create(
    tx: &mut Tx<'_>,
    ask: Ask<'_>,
    scope: &Scope,
    request: &StackRequest,
    name: &str,
    token: &str,
) -> Outcome<String> {
    let found = record::find(tx, scope, &request.name);
    let creates = found.as_ref().is_none_or(|s| s.status == "REVIEW_IN_PROGRESS");
    match request.exists {
        Some(true) if found.is_none() => {
            return Err(ask.invalid(format!("Stack [{}] does not exist", request.name)));
        }
        Some(false) if !creates && request.imports.is_empty() => {
            let name = &request.name;
            return Err(ask.fail(
                Class::AlreadyExists,
                format!("Stack [{name}] already exists and cannot be created again with the changeSet [{name}]"),
            ));
        }
        _ => {}
    }
    let (template, config) = request::accept(tx, ask, scope, request, found.as_ref())?;
    if !request.imports.is_empty() {
        accept_import(tx, ask, scope, request, (&template, &config), found.as_ref().filter(|_| !creates))?;
    }
    if let Some(stack) = &found {
        let same = tx
            .scan::<SetRecord>("change-set", "")
            .into_iter()
            .map(|(_, set)| set)
            .find(|s| s.set.stack_id == stack.id && s.name == name);
        match same {
            Some(same) if same.token == token => return Ok(same.set.id),
            Some(_) => {
                return Err(ask.fail(Class::AlreadyExists, format!("ChangeSet {name} already exists")));
            }
            None if !creates => request::updatable(ask, stack)?,
            None => {}
        }
    }
    let stack = match found {
        Some(stack) => stack,
        None => new_stack(tx, scope, request, token),
    };
    let count: u64 = tx.get("meta", "change-sets").unwrap_or_default();
    tx.put("meta", "change-sets", &(count + 1));
    let hash: [u8; 32] = Sha256::digest(format!("{}\n{name}\n{count}", stack.id)).into();
    let partition = cfn::partition_of(&scope.region);
    let id =
        format!("arn:{partition}:cloudformation:{}:{}:changeSet/{name}/{}", scope.region, scope.account, uuid(&hash));
    let set = ChangeSet {
        id: id.clone(),
        stack_id: stack.id,
        status: "CREATE_PENDING".to_owned(),
        status_reason: String::new(),
        execution_status: Some("UNAVAILABLE".to_owned()),
        created: Some(tx.now()),
        changes: Vec::new(),
    };
    let record = SetRecord {
        set,
        name: name.to_owned(),
        token: token.to_owned(),
        creates,
        revert: request.revert_drift && !tx.get("meta", "no-revert-drift").unwrap_or(false),
        on_create_failure: request.on_create_failure,
        config,
        imports: request.imports.clone(),
    };
    tx.put("change-set", &id, &record);
    tx.schedule(Duration::from_secs(3), "change-set", &id);
    Ok(id)
}

/// Refuses an import that is none, or that would do more than import.
fn accept_import(
    tx: &Tx<'_>,
    ask: Ask<'_>,
    scope: &Scope,
    request: &StackRequest,
    (template, config): (&cfn::Template, &Config),
    stack: Option<&StackRecord>,
) -> Outcome<()> {
    let former: Config = stack.and_then(|s| tx.get("stack-config", &s.id)).unwrap_or_default();
    let before = record::parse(&former.template).0;
    let work = match stack {
        Some(stack) => Work::of(tx, stack, config, false, false),
        None => Work::of(tx, &nameless(tx, scope, request, String::new(), 0, ""), config, true, false),
    };
    loose::accept(ask, request, template, stack.map(|stack| (&before, stack)), &work.diffs)
}

/// A stack that exists in name only.
fn new_stack(tx: &mut Tx<'_>, scope: &Scope, request: &StackRequest, token: &str) -> StackRecord {
    let key = scope.key(&request.name);
    let incarnation: u32 = tx.get::<u32>("stack-count", &key).unwrap_or_default() + 1;
    tx.put("stack-count", &key, &incarnation);
    let hash: [u8; 32] = Sha256::digest(format!("{key}\n{incarnation}")).into();
    let partition = cfn::partition_of(&scope.region);
    let (region, account, name) = (&scope.region, &scope.account, &request.name);
    let id = format!("arn:{partition}:cloudformation:{region}:{account}:stack/{name}/{}", uuid(&hash));
    let mut stack = nameless(tx, scope, request, id.clone(), incarnation, token);
    tx.put("stack-name", &key, &id);
    events::set_status(tx, &mut stack, "REVIEW_IN_PROGRESS", "User Initiated");
    stack
}

fn nameless(
    tx: &Tx<'_>,
    scope: &Scope,
    request: &StackRequest,
    id: String,
    incarnation: u32,
    token: &str,
) -> StackRecord {
    StackRecord {
        id,
        name: request.name.clone(),
        scope: scope.clone(),
        incarnation,
        status: String::new(),
        reason: String::new(),
        termination_protection: false,
        created: tx.now(),
        updated: None,
        token: Some(token.to_owned()),
        parameters: BTreeMap::new(),
        outputs: BTreeMap::new(),
        tags: request.tags.clone(),
        capabilities: Vec::new(),
        role_arn: request.role_arn.clone(),
        notification_arns: request.notification_arns.clone().unwrap_or_default(),
        operation: None,
    }
}

/// The change set was pending long enough: works out what it would do.
pub(super) fn finish(tx: &mut Tx<'_>, id: &str) {
    let Some(mut record) = tx.get::<SetRecord>("change-set", id) else { return };
    let Some(stack) = tx.get::<StackRecord>("stack", &record.set.stack_id) else { return };
    let work = Work::of(tx, &stack, &record.config, record.creates, record.revert);
    let lost = record.imports.iter().find_map(|import| loose::refusal(tx, &stack.scope, import));
    let (status, reason, execution) = match work.refusal().or(lost) {
        Some(reason) => ("FAILED", reason, "UNAVAILABLE"),
        None if work.is_nothing() => ("FAILED", NO_CHANGES.to_owned(), "UNAVAILABLE"),
        None => ("CREATE_COMPLETE", String::new(), "AVAILABLE"),
    };
    status.clone_into(&mut record.set.status);
    record.set.status_reason = reason;
    record.set.execution_status = Some(execution.to_owned());
    if status == "CREATE_COMPLETE" {
        record.set.changes = work.diffs.iter().map(told).collect();
        for import in &record.imports {
            let found = loose::find(tx, &stack.scope, import);
            for change in record.set.changes.iter_mut().filter(|c| c.logical_id == import.logical_id) {
                "Import".clone_into(&mut change.action);
                change.physical_id = found.as_ref().map(|f| f.physical.clone());
            }
        }
    }
    tx.put("change-set", id, &record);
}

/// Executes a change set; it and its siblings are gone afterwards.
pub(super) fn execute(tx: &mut Tx<'_>, ask: Ask<'_>, id: &str, token: &str) -> Outcome<()> {
    if tx.get::<String>("executed", id).as_deref() == Some(token) {
        return Ok(());
    }
    let Some(record) = tx.get::<SetRecord>("change-set", id) else {
        return Err(ask.fail(Class::NotFound, format!("ChangeSet [{id}] does not exist")));
    };
    if record.set.execution_status.as_deref() != Some("AVAILABLE") {
        let status = &record.set.status;
        return Err(ask.invalid(format!("ChangeSet [{id}] cannot be executed in its current status of [{status}]")));
    }
    let Some(stack) = tx.get::<StackRecord>("stack", &record.set.stack_id) else {
        return Err(ask.missing_stack(&record.set.stack_id));
    };
    if !record.creates {
        request::updatable(ask, &stack)?;
    }
    for (key, other) in tx.scan::<SetRecord>("change-set", "") {
        if other.set.stack_id == stack.id {
            tx.delete("change-set", &key);
        }
    }
    tx.put("executed", id, token);
    let work = Work::of(tx, &stack, &record.config, record.creates, record.revert);
    start(tx, stack, record.config, &work, (record.on_create_failure, record.imports), token);
    Ok(())
}

/// Rolls a stack that stayed as its create or update failed back to its last stable state.
pub(super) fn roll_back(tx: &mut Tx<'_>, ask: Ask<'_>, mut stack: StackRecord, token: &str) -> Outcome<()> {
    if stack.token.as_deref() == Some(token) {
        return Ok(());
    }
    if stack.status != "CREATE_FAILED" {
        let (id, status) = (&stack.id, &stack.status);
        return Err(ask.invalid(format!(
            "Stack:{id} is in {status} state and can not be rolled back; it must be in CREATE_FAILED or UPDATE_FAILED state"
        )));
    }
    stack.token = Some(token.to_owned());
    events::set_status(tx, &mut stack, "ROLLBACK_IN_PROGRESS", "User Initiated");
    let former: Config = tx.get("stack-config", &stack.id).unwrap_or_default();
    let operation = Operation {
        stage: Stage::Undo,
        creates: true,
        on_create_failure: OnCreateFailure::Rollback,
        target: former.clone(),
        former,
        fail: None,
        paused: false,
        imports: Vec::new(),
    };
    let steps = stage::deletions(&record::resources(tx, &stack.id));
    stage::begin(tx, &stack, &operation, steps);
    Ok(())
}

/// Deletes a change set; one that is gone is no error.
pub(super) fn delete(tx: &mut Tx<'_>, id: &str) {
    tx.delete("change-set", id);
}

/// Updates without a change set.
pub(super) fn update(tx: &mut Tx<'_>, ask: Ask<'_>, scope: &Scope, request: &StackRequest, token: &str) -> Outcome<()> {
    let done = format!("{}|{token}", scope.key(&request.name));
    if tx.has("executed", &done) {
        return Ok(());
    }
    let Some(stack) = record::find(tx, scope, &request.name) else { return Err(ask.missing_stack(&request.name)) };
    let (_, config) = request::accept(tx, ask, scope, request, Some(&stack))?;
    request::updatable(ask, &stack)?;
    let work = Work::of(tx, &stack, &config, false, request.revert_drift);
    if let Some(reason) = work.refusal() {
        return Err(ask.invalid(reason));
    }
    if work.is_nothing() {
        return Err(ask.invalid("No updates are to be performed."));
    }
    tx.put("executed", &done, token);
    start(tx, stack, config, &work, (OnCreateFailure::Rollback, Vec::new()), token);
    Ok(())
}

fn start(
    tx: &mut Tx<'_>,
    mut stack: StackRecord,
    target: Config,
    work: &Work,
    (on_create_failure, imports): (OnCreateFailure, Vec<ImportedResource>),
    token: &str,
) {
    let former = tx.get("stack-config", &stack.id).unwrap_or_default();
    stack.token = Some(token.to_owned());
    stack.parameters = target.shown_parameters();
    let status = match work.creates {
        _ if !imports.is_empty() => "IMPORT_IN_PROGRESS",
        true => "CREATE_IN_PROGRESS",
        false => "UPDATE_IN_PROGRESS",
    };
    events::set_status(tx, &mut stack, status, "User Initiated");
    record::set_imports(tx, &stack, Some(&work.after));
    let mut steps = BTreeMap::new();
    for diff in work.diffs.iter().filter(|d| d.action != cfn::Action::Remove) {
        let Some(wanted) = work.after.resources.get(&diff.logical_id) else { continue };
        let before: Option<record::ResourceRecord> = tx.get("resource", &part(&stack.id, &diff.logical_id));
        let again = before.as_ref().is_some_and(|b| b.gone) && diff.action == cfn::Action::Add;
        let verb = match before {
            _ if imports.iter().any(|i| i.logical_id == diff.logical_id) => Verb::Import,
            Some(_) => Verb::Modify,
            None => Verb::Create,
        };
        let mut step = waiting(verb, before);
        step.replaced = again;
        step.needs = wanted.dependencies().into_iter().map(str::to_owned).collect();
        steps.insert(diff.logical_id.clone(), step);
    }
    let order: Vec<String> =
        work.after.order().into_iter().flatten().filter(|logical| steps.contains_key(logical)).collect();
    let fail = command(tx, &order);
    let operation = Operation {
        stage: Stage::Forward,
        creates: work.creates,
        on_create_failure,
        target,
        former,
        fail,
        paused: false,
        imports,
    };
    stage::begin(tx, &stack, &operation, steps);
}

/// Which resource a fault makes fail, of those that have a part in the operation, in their order.
pub(super) fn command(tx: &mut Tx<'_>, order: &[String]) -> Option<Fail> {
    let how = tx.take_halfway()?;
    let logical = match &how.part {
        Some(pattern) => order.iter().find(|logical| glob(pattern, logical))?,
        None => order.get(order.len() / 2)?,
    };
    let reason = how.reason.unwrap_or_else(|| {
        "Resource handler returned message: \"Internal failure (sandbox fault)\" (HandlerErrorCode: InternalFailure)".to_owned()
    });
    Some(Fail { logical: logical.clone(), reason, stuck: how.stuck })
}

/// Continues a rollback that failed.
pub(super) fn continue_rollback(
    tx: &mut Tx<'_>,
    ask: Ask<'_>,
    stack: &mut StackRecord,
    skip: &[String],
    token: &str,
) -> Outcome<()> {
    if stack.token.as_deref() == Some(token)
        && stack.status.starts_with("UPDATE_ROLLBACK_")
        && stack.status != "UPDATE_ROLLBACK_FAILED"
    {
        return Ok(());
    }
    let paused = tx.get::<Operation>("operation", &stack.id).filter(|o| o.paused);
    let (Some(mut operation), "UPDATE_ROLLBACK_FAILED") = (paused, stack.status.as_str()) else {
        let (id, status) = (&stack.id, &stack.status);
        return Err(ask.invalid(format!(
            "Stack:{id} is in {status} state and can not continue rollback; it must be in UPDATE_ROLLBACK_FAILED state"
        )));
    };
    let mut steps = record::steps(tx, &stack.id);
    let failed = |logical: &String| steps.get(logical).is_some_and(|s| s.state == State::Failed);
    if let Some(other) = skip.iter().find(|logical| !failed(logical)) {
        return Err(ask.invalid(format!("Resource [{other}] is not in UPDATE_FAILED state and cannot be skipped")));
    }
    let order: Vec<String> = steps.keys().cloned().collect();
    operation.fail = command(tx, &order).map(|f| Fail { stuck: true, ..f });
    operation.paused = false;
    for (logical, step) in &mut steps {
        if step.state == State::Failed {
            step.state = if skip.contains(logical) { State::Skipped } else { State::Waiting };
            step.fails = None;
        }
        if step.state == State::Skipped
            && let Some(mut record) = tx.get::<record::ResourceRecord>("resource", &part(&stack.id, logical))
        {
            "UPDATE_COMPLETE".clone_into(&mut record.status);
            tx.put("resource", &part(&stack.id, logical), &record);
        }
    }
    stack.token = Some(token.to_owned());
    events::set_status(tx, stack, "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated");
    stage::begin(tx, stack, &operation, steps);
    Ok(())
}
