//! Operations on a stack: begun with the intent's token, followed by their events, found again after a crash.

use crate::{
    base::{ActionWord, Value},
    cfn::Template,
    kinds::{
        Applied, Context, Desired, Observed, Pace, Recovered, Step,
        stack::{
            change_set,
            desired::{POLICY, TEMPLATE, known_parameters},
            failure::first_cause,
            import,
            live::{exports, find, identity},
            nested,
            request::{of_desired, of_image},
        },
    },
    world::{Class, CloudFormation, Failure, Outcome, Stack, StackEvent},
};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

/// How often a status that is older than the operation is believed to be stale (descriptions are eventually consistent).
const STALE_READS: u32 = 6;

/// A stack as it was before an operation: what tells a new status from an old answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    /// The ARN.
    pub(super) id: String,
    /// The status.
    pub(super) status: String,
    /// When it was last updated.
    pub(super) updated: Option<Timestamp>,
}

impl From<&Stack> for Before {
    fn from(stack: &Stack) -> Self {
        Self { id: stack.id.clone(), status: stack.status.0.clone(), updated: stack.updated }
    }
}

impl Before {
    /// As it was read for the plan, or just before the step.
    fn of(observed: &Observed) -> Option<Self> {
        let text = |name: &str| observed.image.get(name).and_then(Value::as_str);
        Some(Self {
            id: observed.identity["id"].as_str()?.to_owned(),
            status: text("status")?.to_owned(),
            updated: text("updated").and_then(|moment| moment.parse().ok()),
        })
    }

    /// True where a description cannot be of the time before the operation.
    fn moved(&self, stack: &Stack) -> bool {
        (&self.id, &self.status, self.updated) != (&stack.id, &stack.status.0, stack.updated)
    }
}

/// Where the events of an operation begin.
#[derive(Debug, Clone)]
pub(super) enum Since {
    /// With the newest operation that somebody asked for.
    Newest,
    /// After this event.
    Event(String),
    /// At this moment, by the service's clock.
    Moment(Timestamp),
}

/// A change set that can be executed.
struct Ready {
    id: String,
    /// The ARN of the stack.
    stack: String,
    made: Option<Timestamp>,
}

/// Creates or updates by a change set: the one that was planned, or one made now.
pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    if step.action == ActionWord::Delete {
        return delete(context, step.identity.unwrap_or(&Json::Null), step.token).await;
    }
    let Some(desired) = step.desired else {
        return Err(Failure::new(Class::Invalid, "cloudformation", context.address.to_string(), "nothing is wanted"));
    };
    let planned = step.attachment.and_then(|attachment| {
        let text = |name: &str| attachment[name].as_str().map(str::to_owned);
        let made = text("made").and_then(|moment| moment.parse().ok());
        Some(Ready { id: text("change_set")?, stack: text("stack")?, made })
    });
    let ready = match planned {
        Some(ready) => Some(ready),
        None => make(context, step, desired).await?,
    };
    let before = step.observed.and_then(Before::of);
    let Some(ready) = ready else {
        let name = desired.inputs.get("name").and_then(Value::as_str).unwrap_or_default();
        let stack = find(context, step.identity.unwrap_or(&json!({ "name": name }))).await?;
        let stack = stack
            .ok_or_else(|| Failure::new(Class::Invalid, "cloudformation:CreateChangeSet", name, "nothing to create"))?;
        return finish(context, desired, &stack).await;
    };
    let since = ready.made.filter(|_| before.is_some()).map_or(Since::Newest, Since::Moment);
    let watch =
        Watch { stack: &ready.stack, before: before.as_ref(), since, token: step.token, desired: Some(desired) };
    context.say("executing the change set");
    if let Err(failure) = context.aws()?.cloudformation.execute_change_set(&ready.id, step.token).await
        && !began(context, &watch, &failure).await?
    {
        return Err(failure);
    }
    let stack = watch.to_the_end(context).await?;
    finish(context, desired, &stack).await
}

/// Makes the change set of a step whose plan has none; nothing where nothing would change.
async fn make(context: &Context, step: &Step<'_>, desired: &Desired) -> Outcome<Option<Ready>> {
    let live = step.observed.filter(|_| step.action == ActionWord::Update);
    let mut request = of_desired(context, desired, live)?;
    import::refuse(desired, live, &request)?;
    nested::send(context, &desired.documents, &mut request).await?;
    import::refuse_identifiers(context, desired, &request).await?;
    let made = change_set::make(context, desired, &request, step.token).await?;
    if made.status != "FAILED" && !import::cannot(&request, &made) {
        return Ok(Some(Ready { id: made.id, stack: made.stack_id, made: made.created }));
    }
    change_set::discard(context, &change_set::attachment(&made, step.action == ActionWord::Create)).await?;
    if made.is_empty_change() { Ok(None) } else { Err(change_set::refused(&request, &made, desired)) }
}

/// Whether an operation runs although the call that was to start it failed: only the stack itself can tell. Where it is
/// not known whether the call took effect and nothing is to be seen of it, the failure stands, and the executor asks later.
async fn began(context: &Context, watch: &Watch<'_>, failure: &Failure) -> Outcome<bool> {
    if matches!(failure.class, Class::Denied | Class::Throttled) {
        return Ok(false);
    }
    let cloudformation = &context.aws()?.cloudformation;
    let Some(stack) = context.patiently(|| cloudformation.describe_stack(watch.stack)).await? else { return Ok(false) };
    if stack.status.in_review() || watch.before.is_some_and(|before| !before.moved(&stack)) {
        return Ok(false);
    }
    let events = context.patiently(|| watch.since.read(cloudformation, watch.stack)).await?;
    let ours = |event: &StackEvent| event.token.as_deref() == Some(watch.token);
    let tells = stack.last_token.is_some() || events.iter().any(|event| event.token.is_some());
    // Where no token tells, the change set is used up and the stack has moved since: that was its execution.
    Ok(!tells || stack.last_token.as_deref() == Some(watch.token) || events.iter().any(ours))
}

/// Sets what no change set holds, and says what came of it all.
async fn finish(context: &Context, desired: &Desired, stack: &Stack) -> Outcome<Applied> {
    let cloudformation = &context.aws()?.cloudformation;
    if let Some(wanted) = desired.inputs.get("termination_protection").and_then(Value::as_bool)
        && wanted != stack.termination_protection
    {
        context.patiently(|| cloudformation.set_termination_protection(&stack.name, wanted)).await?;
    }
    if let Some(policy) = desired.documents.get(POLICY) {
        context.patiently(|| cloudformation.set_stack_policy(&stack.name, policy)).await?;
    }
    let template = desired.documents.get(TEMPLATE).map(|text| Template::parse(TEMPLATE, text).0);
    let count = template.as_ref().map_or(0, |t| t.resources.len());
    let exports = template.map_or(Value::NULL, |t| exports(stack, &t));
    let note = if count == 1 { "1 resource".to_owned() } else { format!("{count} resources") };
    Ok(Applied { identity: identity(stack), exports, note })
}

impl Since {
    pub(super) async fn read(&self, cloudformation: &Arc<dyn CloudFormation>, stack: &str) -> Outcome<Vec<StackEvent>> {
        match self {
            Self::Newest => {
                let mut events = cloudformation.stack_events(stack, None).await?;
                let begins = |event: &StackEvent| {
                    let word = event.status.strip_suffix("_IN_PROGRESS");
                    event.physical_id == stack && matches!(word, Some("CREATE" | "UPDATE" | "DELETE" | "IMPORT"))
                };
                if let Some(first) = events.iter().position(begins) {
                    events.truncate(first + 1);
                }
                Ok(events)
            }
            Self::Event(id) => cloudformation.stack_events(stack, Some(id)).await,
            Self::Moment(moment) => cloudformation.stack_events_from(stack, *moment).await,
        }
    }
}

/// An operation to be watched.
pub(super) struct Watch<'a> {
    /// The stack's name or, better, its ARN: by that it is found after it is deleted.
    pub(super) stack: &'a str,
    /// As it was; nothing where it is being made.
    pub(super) before: Option<&'a Before>,
    /// Where its events begin.
    pub(super) since: Since,
    /// Its token.
    pub(super) token: &'a str,
    /// What is wanted, for the lines of its template.
    pub(super) desired: Option<&'a Desired>,
}

impl Watch<'_> {
    /// Waits until the operation has ended, saying its events as they come.
    pub(super) async fn to_the_end(&self, context: &Context) -> Outcome<Stack> {
        let cloudformation = &context.aws()?.cloudformation;
        let seen = Mutex::new(self.since.clone());
        let stale = AtomicU32::new(0);
        let old = || stale.fetch_add(1, Ordering::Relaxed) < STALE_READS;
        let told = context
            .wait_at(Pace::QUICK, &format!("the stack {}", name_of(self.stack)), || async {
                let Some(stack) = cloudformation.describe_stack(self.stack).await? else {
                    return if old() { Ok(None) } else { Err(vanished(self.stack)) };
                };
                let ours = stack.last_token.as_deref() == Some(self.token);
                let moved = self.before.is_none_or(|before| before.moved(&stack));
                // A status that was there before we began may be an old answer.
                if stack.status.in_review() || !(ours || moved) {
                    return Ok(match old() {
                        true => None,
                        false if stack.status.in_review() || self.is_told_of(cloudformation, &stack).await? => {
                            Some(Ok(stack))
                        }
                        false => Some(Err(unmoved(&stack))),
                    });
                }
                if !stack.status.in_progress() {
                    return Ok(Some(Ok(stack)));
                }
                say_new(context, cloudformation, &stack.id, &seen).await;
                Ok(None)
            })
            .await?;
        let stack = told?;
        let made = stack.status.succeeded() && stack.status.0 != "DELETE_COMPLETE";
        if made {
            Ok(stack)
        } else {
            Err(first_cause(context, &stack, Some(&self.since), Some(self.token), self.desired).await)
        }
    }

    /// Whether the events tell that the operation ended so. Where times are told in whole seconds, one that ended at once
    /// leaves the description of the stack as it was.
    async fn is_told_of(&self, cloudformation: &Arc<dyn CloudFormation>, stack: &Stack) -> Outcome<bool> {
        let events = self.since.read(cloudformation, self.stack).await?;
        let newest = events.iter().find(|event| event.physical_id == stack.id);
        Ok(newest.is_some_and(|event| event.token.as_deref() == Some(self.token) && event.status == stack.status.0))
    }
}

/// A stack that shows nothing of what was begun: what became of that is asked by its token.
fn unmoved(stack: &Stack) -> Failure {
    let what = format!("the stack is {} as before, and nothing tells of the operation", stack.status.0);
    Failure::new(Class::TimedOut, "cloudformation:DescribeStacks", stack.name.clone(), what)
}

fn vanished(stack: &str) -> Failure {
    Failure::new(
        Class::Failed,
        "cloudformation",
        name_of(stack),
        "the stack is gone: it could not be made and was deleted",
    )
}

/// The name in an ARN; a name as it is.
fn name_of(stack: &str) -> &str {
    stack.split('/').nth(1).unwrap_or(stack)
}

/// Waits until the operation with this token on the stack has ended.
pub(super) async fn follow(
    context: &Context,
    which: &Json,
    before: Option<&Stack>,
    since: Option<String>,
    token: &str,
    desired: Option<&Desired>,
) -> Outcome<Stack> {
    let before = before.map(Before::from);
    let stack = which["id"].as_str().or_else(|| which["name"].as_str()).unwrap_or_default();
    let since = since.map_or(Since::Newest, Since::Event);
    Watch { stack, before: before.as_ref(), since, token, desired }.to_the_end(context).await
}

/// Says the events that were not said yet. What cannot be told now is told the next time; it is not why an operation fails.
async fn say_new(context: &Context, cloudformation: &Arc<dyn CloudFormation>, stack: &str, seen: &Mutex<Since>) {
    let since = seen.lock().map_or(Since::Newest, |seen| seen.clone());
    let Ok(events) = since.read(cloudformation, stack).await else { return };
    for event in events.iter().rev() {
        let reason = if event.reason.is_empty() { String::new() } else { format!(": {}", event.reason) };
        context.say(&format!("{} {}{reason}", event.logical_id, event.status));
    }
    if let (Some(newest), Ok(mut seen)) = (events.first(), seen.lock()) {
        *seen = Since::Event(newest.id.clone());
    }
}

/// Deletes a stack and waits until it is gone. One that is gone already is no error.
pub(super) async fn delete(context: &Context, identity: &Json, token: &str) -> Outcome<Applied> {
    let gone = Applied { identity: Json::Null, exports: Value::NULL, note: String::new() };
    let Some(stack) = find(context, identity).await? else { return Ok(gone) };
    if stack.termination_protection {
        return Err(Failure::new(
            Class::Denied,
            "cloudformation:DeleteStack",
            stack.name,
            "termination protection is on",
        )
        .hint("apply `termination_protection = false` first"));
    }
    let cloudformation = &context.aws()?.cloudformation;
    cloudformation.delete_stack(&stack.id, &[], token).await?;
    wait_for_deletion(context, &stack, token).await?;
    Ok(gone)
}

async fn wait_for_deletion(context: &Context, stack: &Stack, token: &str) -> Outcome<()> {
    let cloudformation = &context.aws()?.cloudformation;
    let seen = Mutex::new(Since::Newest);
    let stale = AtomicU32::new(0);
    let end = context
        .wait_at(Pace::QUICK, &format!("the stack {} to be gone", stack.name), || async {
            let Some(now) = cloudformation.describe_stack(&stack.id).await? else { return Ok(Some(None)) };
            match now.status.0.as_str() {
                "DELETE_COMPLETE" => return Ok(Some(None)),
                "DELETE_FAILED" if stack.status.0 != "DELETE_FAILED" => return Ok(Some(Some(now))),
                _ if now.status.in_progress() => say_new(context, cloudformation, &stack.id, &seen).await,
                _ if stale.fetch_add(1, Ordering::Relaxed) >= STALE_READS => return Ok(Some(Some(now))),
                _ => {}
            }
            Ok(None)
        })
        .await?;
    match end {
        None => Ok(()),
        Some(left) => Err(first_cause(context, &left, None, Some(token), None).await),
    }
}

/// Finds out what became of an operation: by its token in the events, else by what is live.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let wanted = step.desired.and_then(|d| d.identity.clone());
    let which = step.identity.cloned().or(wanted).unwrap_or(Json::Null);
    let found = find(context, &which).await?;
    if step.action == ActionWord::Delete {
        return match found {
            None => Ok(Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })),
            Some(stack) if stack.status.0 == "DELETE_IN_PROGRESS" => {
                Ok(match wait_for_deletion(context, &stack, step.token).await {
                    Ok(()) => {
                        Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })
                    }
                    Err(failure) if failure.class == Class::TimedOut => return Err(failure),
                    Err(failure) => Recovered::Failed(failure),
                })
            }
            Some(_) => Ok(Recovered::NotDone),
        };
    }
    let (Some(stack), Some(desired)) = (found.filter(|s| !s.status.in_review()), step.desired) else {
        return Ok(Recovered::NotDone);
    };
    let cloudformation = &context.aws()?.cloudformation;
    let events = context.patiently(|| cloudformation.stack_events(&stack.id, None)).await?;
    let echoed = stack.last_token.as_deref() == Some(step.token)
        || events.iter().any(|e| e.token.as_deref() == Some(step.token));
    let tells = stack.last_token.is_some() || events.iter().any(|e| e.token.is_some());
    if stack.status.in_progress() {
        if tells && !echoed {
            return Ok(Recovered::Stuck {
                why: format!("{} is {} by somebody else's hand", stack.name, stack.status.0),
                command: format!("terrace doctor # {}", context.address),
            });
        }
        context.say("the operation is still running");
        return settle(context, desired, follow(context, &which, None, None, step.token, Some(desired)).await).await;
    }
    if tells && !echoed {
        return Ok(Recovered::NotDone);
    }
    if !tells && !looks_like(context, &stack, desired).await? {
        return Ok(Recovered::NotDone);
    }
    let ended = if stack.status.succeeded() {
        Ok(stack)
    } else {
        Err(first_cause(context, &stack, None, Some(step.token), Some(desired)).await)
    };
    settle(context, desired, ended).await
}

async fn settle(context: &Context, desired: &Desired, ended: Outcome<Stack>) -> Outcome<Recovered> {
    match ended {
        Ok(stack) => Ok(Recovered::Done(finish(context, desired, &stack).await?)),
        Err(failure) if failure.class.effect_unknown() => Err(failure),
        Err(failure) if failure.class == Class::Stuck => {
            Ok(Recovered::Stuck { why: failure.message, command: format!("terrace doctor # {}", context.address) })
        }
        Err(failure) => Ok(Recovered::Failed(failure)),
    }
}

/// Where no token tells: a stack that is as we want it was made so.
async fn looks_like(context: &Context, stack: &Stack, desired: &Desired) -> Outcome<bool> {
    let cloudformation = &context.aws()?.cloudformation;
    let text = context.patiently(|| cloudformation.get_template(&stack.id)).await?;
    let (parameters, _) = known_parameters(&desired.inputs);
    let same = parameters.iter().all(|(k, v)| stack.parameters.get(k).is_none_or(|l| l == v || l.starts_with("****")));
    Ok(same && desired.documents.get(TEMPLATE).is_some_and(|wanted| **wanted == nested::normal(&text)))
}

/// Puts a stack back to its former template and parameters, or deletes it where there was none.
pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String> {
    let Some(image) = image else {
        let stays = import::refuse_undo(context, identity, None).await?;
        // What this run protected from deletion is not protected from being undone, as the plan was agreed to.
        if let Some(stack) = find(context, identity).await?.filter(|s| s.termination_protection) {
            let cloudformation = &context.aws()?.cloudformation;
            context.patiently(|| cloudformation.set_termination_protection(&stack.name, false)).await?;
        }
        delete(context, identity, token).await?;
        return Ok(format!("deleted{stays}"));
    };
    let Some(mut stack) = find(context, identity).await? else {
        return Err(Failure::new(
            Class::NotFound,
            "cloudformation",
            identity["name"].as_str().unwrap_or_default(),
            "the stack is gone; there is nothing to put back",
        ));
    };
    let cloudformation = &context.aws()?.cloudformation;
    if stack.status.in_progress() {
        let id = stack.id.clone();
        stack = context
            .wait_at(Pace::QUICK, &format!("the stack {}", stack.name), || async {
                Ok(cloudformation.describe_stack(&id).await?.filter(|s| !s.status.in_progress()))
            })
            .await?;
    }
    let stays = import::refuse_undo(context, identity, Some(image)).await?;
    let mut request = of_image(&stack.name, image);
    nested::send(context, &BTreeMap::new(), &mut request).await?;
    let kept = if request.use_previous.is_empty() {
        String::new()
    } else {
        format!("; {} kept what was given last", request.use_previous.join(", "))
    };
    let mut updates = true;
    match cloudformation.update_stack(&request, token).await {
        Ok(()) => {}
        Err(failure) if failure.message.contains("No updates are to be performed") => updates = false,
        // After an answer that was lost, the stack itself tells.
        Err(failure) if failure.class.effect_unknown() => {
            let now = find(context, identity).await?;
            if now.is_none_or(|s| s.last_token.as_deref() != Some(token) && !s.status.in_progress()) {
                return Err(failure);
            }
        }
        Err(failure) => return Err(failure),
    }
    if updates {
        follow(context, &json!({ "id": stack.id }), Some(&stack), None, token, None).await?;
    }
    if let Some(former) = image.get("termination_protection").and_then(Value::as_bool)
        && former != stack.termination_protection
    {
        context.patiently(|| cloudformation.set_termination_protection(&stack.name, former)).await?;
    }
    let what = if updates { "put back to its former template and parameters" } else { "already as it was" };
    Ok(format!("{what}{kept}{stays}"))
}
