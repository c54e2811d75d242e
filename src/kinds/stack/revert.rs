//! Putting back what drifted inside a stack: by a drift-aware change set, else by two updates that touch just that.
//!
//! Source: "Using drift-aware change sets" of the user guide, and CreateChangeSet's `DeploymentMode`. A service that does not
//! know the mode says so or passes over it; what the change set holds tells which.

use crate::{
    base::Value,
    cfn::Template,
    kinds::{
        Applied, ChildChange, Context, Observed, Preview, REVERT_DRIFT, Recovered, Step,
        stack::{
            change_set, children, drift,
            failure::first_cause,
            live::{exports, find, identity},
            nested,
            operation::follow,
            request::{change_set_name, of_live},
            touch,
        },
    },
    world::{ChangeSet, Class, Failure, Outcome, ResourceDrift, Stack, StackRequest},
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// By a change set of the deployment mode `REVERT_DRIFT`.
const BY_CHANGE_SET: &str = "change_set";
/// By an update that makes the template say what is live, and another that takes that back.
const BY_UPDATE: &str = "update";

/// True for a step that only puts back drift.
pub(super) fn asked(step: &Step<'_>) -> bool {
    step.facts.contains_key(REVERT_DRIFT)
}

/// The change sets that a look makes, known before: one of the deployment mode, and one that shows whether an update would do.
pub(super) fn leaves(which: &Json, token: &str) -> Vec<Json> {
    let stack = which["id"].as_str().or(which["name"].as_str()).unwrap_or_default();
    let left = |token: &str| json!({ "name": change_set_name(token), "stack_name": stack, "created_stack": false });
    vec![left(token), left(&live_token(token))]
}

/// The token of the first of two updates.
fn live_token(token: &str) -> String {
    format!("{token}-live")
}

/// Finds out how the drift of a stack can be put back, and what that would do.
///
/// # Errors
/// Where it cannot: what stands in the way, and what a person can do.
pub(super) async fn look(context: &Context, which: &Json, token: &str) -> Outcome<Preview> {
    let stack = existing(context, which).await?;
    let text = template(context, &stack).await?;
    let drifts = drift::detect(context, &stack.id).await?;
    let drifted: Vec<ChildChange> = children::of_drift(&drifts);
    let properties = touch::named(&drifts);
    let facts = |by: &str| BTreeMap::from([(REVERT_DRIFT.to_owned(), json!({ "by": by, "properties": properties }))]);
    if let Some(made) = aware(context, &request(&stack, &text, true), token).await? {
        let attachment = change_set::attachment(&made, false);
        let listed = children::of_change_set(&made, &[]);
        let held: BTreeSet<&str> = listed.iter().map(|c| c.name.as_str()).collect();
        if made.status != "FAILED" && drifted.iter().all(|c| held.contains(c.name.as_str())) {
            let facts = facts(BY_CHANGE_SET);
            return Ok(Preview { children: listed, facts, attachment: Some(attachment), ..Preview::default() });
        }
        change_set::discard(context, &attachment).await?;
        if made.status == "FAILED" && !made.is_empty_change() {
            return Err(Failure::new(Class::Invalid, "cloudformation:CreateChangeSet", stack.name, made.status_reason));
        }
    }
    // The service passed over the mode. Whether an update does it soundly is seen from its first half.
    let former = request(&stack, &text, false);
    let first = StackRequest { template: as_live(&stack, &text, &drifts)?, ..former };
    let made = make(context, &first, &live_token(token)).await?;
    change_set::discard(context, &change_set::attachment(&made, false)).await?;
    sound(&stack, &made)?;
    Ok(Preview { facts: facts(BY_UPDATE), ..Preview::default() })
}

/// Puts it back.
pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let stack = existing(context, step.identity.unwrap_or(&Json::Null)).await?;
    let text = former_template(context, step, &stack).await?;
    let drifts = drift::detect(context, &stack.id).await?;
    if let Some(more) = beyond(step, &drifts) {
        let what = format!("{more} drifted since the plan was made; plan again");
        return Err(Failure::new(Class::Invalid, "cloudformation", stack.name, what));
    }
    if way(step) == BY_UPDATE {
        let first = StackRequest { template: as_live(&stack, &text, &drifts)?, ..request(&stack, &text, false) };
        context.say("telling the stack what is live, which changes nothing");
        update(context, &stack, &first, &live_token(step.token)).await?;
        return second_half(context, step, &text).await;
    }
    let planned = step.attachment.and_then(|a| a["change_set"].as_str());
    let id = match planned {
        Some(id) if gone(context, id).await? => {
            let what = "the change set that was agreed to is gone; plan again";
            return Err(Failure::new(Class::Invalid, "cloudformation:ExecuteChangeSet", stack.name, what));
        }
        Some(id) => id.to_owned(),
        None => {
            let made = aware(context, &request(&stack, &text, true), step.token).await?;
            match made.filter(|m| m.status != "FAILED") {
                Some(made) => made.id,
                None => {
                    return Err(Failure::new(
                        Class::Invalid,
                        "cloudformation:CreateChangeSet",
                        stack.name,
                        "the service no longer makes a change set that puts back the drift; plan again",
                    ));
                }
            }
        }
    };
    context.say("executing the change set");
    let stack = execute(context, &stack, &id, step.token).await?;
    Ok(done(&stack, &text, step))
}

/// Finds out what became of it: by what the stack's template says, and by what still drifts.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let cloudformation = &context.aws()?.cloudformation;
    let which = step.identity.unwrap_or(&Json::Null);
    let mut stack = existing(context, which).await?;
    if stack.status.in_progress() {
        context.say("the operation is still running");
        let id = stack.id.clone();
        stack = context
            .wait_until(&format!("the stack {}", stack.name), || async {
                Ok(cloudformation.describe_stack(&id).await?.filter(|s| !s.status.in_progress()))
            })
            .await?;
    }
    let now = template(context, &stack).await?;
    let former = former_template(context, step, &stack).await?;
    if way(step) == BY_UPDATE && !same(&now, &former) {
        let events = context.patiently(|| cloudformation.stack_events(&stack.id, None)).await?;
        let first = live_token(step.token);
        let tells = events.iter().any(|e| e.token.is_some());
        if tells && !events.iter().any(|e| e.token.as_deref() == Some(first.as_str())) {
            return Ok(Recovered::Stuck {
                why: format!("somebody gave {} another template meanwhile", stack.name),
                command: format!("terrace drift --revert {}", context.address),
            });
        }
        return Ok(match second_half(context, step, &former).await {
            Ok(applied) => Recovered::Done(applied),
            Err(failure) if failure.class.effect_unknown() => return Err(failure),
            Err(failure) => Recovered::Failed(failure),
        });
    }
    let tokens = [step.token.to_owned(), live_token(step.token), format!("{}-back", step.token)];
    if !stack.status.succeeded() {
        // Not every description tells the token of the newest operation; its events do.
        let newest = if let Some(token) = &stack.last_token {
            Some(token.clone())
        } else {
            let events = context.patiently(|| cloudformation.stack_events(&stack.id, None)).await?;
            events.into_iter().find_map(|event| event.token)
        };
        if let Some(token) = newest.filter(|token| tokens.contains(token)) {
            return Ok(Recovered::Failed(first_cause(context, &stack, None, Some(&token), None).await));
        }
    }
    let drifts = drift::detect(context, &stack.id).await?;
    let left = touch::named(&drifts);
    let asked = properties(step);
    if left.iter().any(|l| asked.contains(l.as_str())) {
        return Ok(Recovered::NotDone);
    }
    Ok(Recovered::Done(done(&stack, &former, step)))
}

/// The second update: the former template again.
async fn second_half(context: &Context, step: &Step<'_>, former: &str) -> Outcome<Applied> {
    let stack = existing(context, step.identity.unwrap_or(&Json::Null)).await?;
    context.say("putting back what drifted");
    let back = request(&stack, former, false);
    let stack = update(context, &stack, &back, &format!("{}-back", step.token)).await.map_err(|failure| {
        failure.hint(format!(
            "the stack's template says what is live until then: terrace apply --target '{}' puts it back",
            context.address
        ))
    })?;
    Ok(done(&stack, former, step))
}

/// One update by a change set that only changes in place; nothing where the service finds nothing to change.
async fn update(context: &Context, stack: &Stack, request: &StackRequest, token: &str) -> Outcome<Stack> {
    let made = make(context, request, token).await?;
    let attachment = change_set::attachment(&made, false);
    if made.is_empty_change() {
        change_set::discard(context, &attachment).await?;
        return Ok(stack.clone());
    }
    if let Err(failure) = sound(stack, &made) {
        change_set::discard(context, &attachment).await?;
        return Err(failure);
    }
    execute(context, stack, &made.id, token).await
}

async fn execute(context: &Context, stack: &Stack, id: &str, token: &str) -> Outcome<Stack> {
    let cloudformation = &context.aws()?.cloudformation;
    cloudformation.execute_change_set(id, token).await?;
    follow(context, &identity(stack), Some(stack), None, token, None).await
}

/// A change set that may hold no more than changes in place: anything else is no way to put back a property.
fn sound(stack: &Stack, made: &ChangeSet) -> Outcome<()> {
    if made.is_empty_change() {
        return Ok(());
    }
    let refuse = |why: String| {
        Err(Failure::new(Class::Unsupported, "cloudformation", stack.name.clone(), why).hint(by_hand(&stack.name)))
    };
    if made.status == "FAILED" {
        return refuse(format!("its drift cannot be put back by an update: {}", made.status_reason));
    }
    let harmless =
        |c: &&crate::world::ResourceChange| c.action == "Modify" && c.replacement.as_deref() == Some("False");
    match made.changes.iter().find(|c| !harmless(c)) {
        Some(change) => refuse(format!(
            "its drift cannot be put back by an update: {} would be {}",
            change.logical_id,
            match change.action.as_str() {
                "Modify" => "replaced",
                "Remove" => "deleted",
                _ => "made",
            }
        )),
        None => Ok(()),
    }
}

/// A drift-aware change set, waited for; `None` where the service says that it does not know the mode.
async fn aware(context: &Context, request: &StackRequest, token: &str) -> Outcome<Option<ChangeSet>> {
    match make(context, request, token).await {
        Ok(made) => Ok(Some(made)),
        Err(failure) if unknown_mode(&failure) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn unknown_mode(failure: &Failure) -> bool {
    let message = failure.message.to_ascii_lowercase();
    let named = ["deploymentmode", "deployment mode", "deployment-mode", "revert_drift"];
    failure.class == Class::Unsupported
        || (failure.class == Class::Invalid && named.iter().any(|name| message.contains(name)))
}

async fn make(context: &Context, request: &StackRequest, token: &str) -> Outcome<ChangeSet> {
    let cloudformation = &context.aws()?.cloudformation;
    let name = change_set_name(token);
    let mut request = request.clone();
    nested::send(context, &BTreeMap::new(), &mut request).await?;
    let id = context.patiently(|| cloudformation.create_change_set(&request, &name, token)).await?;
    change_set::described(context, &request.name, &id).await
}

/// What the stack was given last, asked for again.
fn request(stack: &Stack, text: &str, revert_drift: bool) -> StackRequest {
    let declared = Template::parse("template", text).0.parameters;
    let mut request = StackRequest { revert_drift, ..of_live(stack, text) };
    request.use_previous.retain(|name| declared.contains_key(name));
    request
}

fn as_live(stack: &Stack, text: &str, drifts: &[ResourceDrift]) -> Outcome<String> {
    touch::as_live(text, drifts).map_err(|why| {
        let what =
            format!("its drift cannot be put back here: {why}, and this endpoint has no drift-aware change sets");
        Failure::new(Class::Unsupported, "cloudformation", stack.name.clone(), what).hint(by_hand(&stack.name))
    })
}

fn by_hand(name: &str) -> String {
    format!(
        "put it back by hand; or take the resource out of {name}'s template by one apply and put it in again by another; or \
         keep it as it is with `terrace drift --accept`"
    )
}

async fn existing(context: &Context, which: &Json) -> Outcome<Stack> {
    find(context, which).await?.filter(|s| !s.status.in_review()).ok_or_else(|| {
        let name = which["name"].as_str().unwrap_or_default();
        Failure::new(Class::NotFound, "cloudformation:DescribeStacks", name, "the stack is gone")
            .hint("terrace apply makes it again")
    })
}

async fn template(context: &Context, stack: &Stack) -> Outcome<String> {
    let cloudformation = &context.aws()?.cloudformation;
    context.patiently(|| cloudformation.get_template(&stack.id)).await
}

/// The template as it was before the step: between the two updates the stack has another.
async fn former_template(context: &Context, step: &Step<'_>, stack: &Stack) -> Outcome<String> {
    let image = step.observed.map(|o: &Observed| &o.image).and_then(|i| i.get("template")).and_then(Value::as_str);
    match image {
        Some(text) => Ok(text.to_owned()),
        None => template(context, stack).await,
    }
}

fn same(a: &str, b: &str) -> bool {
    a == b || Template::parse("a", a).0.to_json() == Template::parse("b", b).0.to_json()
}

async fn gone(context: &Context, change_set: &str) -> Outcome<bool> {
    let cloudformation = &context.aws()?.cloudformation;
    match context.patiently(|| cloudformation.describe_change_set(change_set)).await {
        Ok(_) => Ok(false),
        Err(failure) if failure.class == Class::NotFound => Ok(true),
        Err(failure) => Err(failure),
    }
}

fn way<'s>(step: &'s Step<'_>) -> &'s str {
    step.facts.get(REVERT_DRIFT).and_then(|fact| fact["by"].as_str()).unwrap_or(BY_CHANGE_SET)
}

fn properties<'s>(step: &'s Step<'_>) -> BTreeSet<&'s str> {
    let listed = step.facts.get(REVERT_DRIFT).and_then(|fact| fact["properties"].as_array());
    listed.into_iter().flatten().filter_map(Json::as_str).collect()
}

/// Something that drifts now and that the plan does not show.
fn beyond(step: &Step<'_>, drifts: &[ResourceDrift]) -> Option<String> {
    let planned = properties(step);
    touch::named(drifts).into_iter().find(|now| !planned.contains(now.as_str()))
}

fn done(stack: &Stack, text: &str, step: &Step<'_>) -> Applied {
    let template = Template::parse("template", text).0;
    let count = properties(step).len();
    let note = if count == 1 { "1 property put back".to_owned() } else { format!("{count} properties put back") };
    Applied { identity: identity(stack), exports: exports(stack, &template), note }
}
