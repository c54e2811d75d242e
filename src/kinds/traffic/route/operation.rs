//! Making, changing and deleting the object of a route, with its traffic where it is.

use super::{Form, declared::exports, failure, foreign, form::text, identity, live, owner, reference, sides::Sides};
use crate::{
    base::{ActionWord, Value},
    kinds::{Applied, Context, Desired, Owner, Preview, Recovered, Step, WrittenAt, objects::MANAGER, traffic::gone},
    world::{ApplyOptions, Class, ObjectRef, Outcome},
};
use serde_json::{Value as Json, json};

/// A type that the cluster does not have yet has to be brought by something.
pub(in crate::kinds::traffic) async fn preview(context: &Context, desired: &Desired) -> Outcome<Preview> {
    let mut preview = Preview::default();
    let Some((api_version, kind)) = Form::of(&desired.inputs).map(Form::types) else { return Ok(preview) };
    let kubernetes = &context.cluster()?.kubernetes;
    if context.patiently(|| kubernetes.resource_type(api_version, kind)).await?.is_none() {
        preview.needs.insert(format!("{api_version} {kind}"), WrittenAt::default());
    }
    Ok(preview)
}

pub(in crate::kinds::traffic) async fn apply(
    context: &Context,
    form: Option<Form>,
    step: &Step<'_>,
) -> Outcome<Applied> {
    let Some((desired, form)) = step.desired.filter(|_| step.action != ActionWord::Delete).zip(form) else {
        return delete(context, step.identity.unwrap_or(&Json::Null)).await;
    };
    let block = desired.inputs.get(form.word()).and_then(Value::to_json);
    let unknown = || failure(Class::Invalid, context, "a part of the route is not known yet");
    let block = block.ok_or_else(unknown)?;
    let object = form.reference(&text(&block, "namespace"), &text(&block, "name"));
    let there = live(context, &object).await?;
    if let Some(there) = &there
        && step.action == ActionWord::Create
        && let Some(refused) = foreign(context, there)
    {
        return Err(refused);
    }
    let sides = there.as_ref().map_or(Sides::NONE, |there| Sides::of(form, there));
    write(context, form, &block, &sides).await?;
    Ok(Applied { identity: identity(&object), exports: exports(&object), note: object.to_string() })
}

/// Applies the whole object: what is declared of it, its sides, and what each gets.
pub(super) async fn write(context: &Context, form: Form, block: &Json, sides: &Sides) -> Outcome<Json> {
    let (api_version, kind) = form.types();
    let backend = backend(context, form, sides).await?;
    let mut annotations: serde_json::Map<String, Json> =
        context.marks.annotations(&context.address).into_iter().map(|(k, v)| (k, Json::String(v))).collect();
    annotations.extend(sides.notes());
    let object = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "name": block["name"], "namespace": block["namespace"],
            "labels": context.marks.labels(&context.address), "annotations": annotations,
        },
        "spec": form.spec(block, sides, backend.as_ref()),
    });
    // The object is ours: whoever wrote into it has no say over where the traffic goes.
    let options = ApplyOptions { manager: MANAGER.to_owned(), force: true, dry_run: false };
    context.cluster()?.kubernetes.apply(&object, &options).await
}

/// The service that a route without weights copies.
pub(super) async fn backend(context: &Context, form: Form, sides: &Sides) -> Outcome<Option<Json>> {
    let Some(bound) = sides.on(sides.active()).filter(|_| form == Form::Service) else { return Ok(None) };
    let reference = ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        namespace: Some(bound.namespace.clone()),
        name: bound.service.clone(),
    };
    live(context, &reference).await
}

async fn delete(context: &Context, told: &Json) -> Outcome<Applied> {
    let Some(reference) = reference(told) else { return Ok(gone()) };
    let Some(object) = live(context, &reference).await? else { return Ok(gone()) };
    if !matches!(owner(context, &object), Owner::Ours(_)) {
        return Ok(gone());
    }
    let kubernetes = &context.cluster()?.kubernetes;
    let uid = object["metadata"]["uid"].as_str();
    context.patiently(|| kubernetes.delete(&reference, uid)).await?;
    context
        .wait_until(&format!("{reference} to be gone"), || async {
            let left = kubernetes.get(&reference).await?;
            Ok(left.is_none_or(|left| left["metadata"]["uid"].as_str() != uid).then_some(()))
        })
        .await?;
    Ok(gone())
}

/// An apply is simply made again; a delete is done where nothing of ours is left.
pub(in crate::kinds::traffic) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    if step.action != ActionWord::Delete && step.desired.is_some() {
        return Ok(Recovered::NotDone);
    }
    let Some(reference) = step.identity.and_then(reference) else { return Ok(Recovered::Done(gone())) };
    let left = live(context, &reference).await?.filter(|object| matches!(owner(context, object), Owner::Ours(_)));
    Ok(if left.is_some() { Recovered::NotDone } else { Recovered::Done(gone()) })
}

/// Puts back what was declared, with the traffic where it is, or deletes what was made.
pub(in crate::kinds::traffic) async fn undo(context: &Context, told: &Json, image: Option<&Value>) -> Outcome<String> {
    let Some(former) = image.filter(|image| !image.is_null()) else {
        delete(context, told).await?;
        return Ok("deleted".to_owned());
    };
    let lost = || failure(Class::NotFound, context, "the route is gone; there is nothing to put back");
    let form = Form::of(former).ok_or_else(lost)?;
    let object = reference(told).ok_or_else(lost)?;
    let there = live(context, &object).await?.ok_or_else(lost)?;
    let block = former.get(form.word()).and_then(Value::to_json).ok_or_else(lost)?;
    write(context, form, &block, &Sides::of(form, &there)).await?;
    Ok("put back".to_owned())
}
