//! The root's own plan: made and saved by its program, in a folder that nobody else may look into. Terrace's plan says what is
//! in it and bears its digest, never its bytes, which hold secrets in clear.

use crate::{
    base::{Diagnostic, Digest, Hidden, Path, Value},
    kinds::{
        ChildChange, Context, Desired, Observed, Preview,
        terraform::{children, live},
    },
    world::{Class, Failure, Kept, Outcome, RootAim},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// The fact that says what the root's plan would do, as a digest of all that is shown of it.
const CHANGES: &str = "terraform_changes";
/// The fact that says why parts are destroyed or made anew.
pub(super) const REASONS: &str = "terraform_reasons";
/// A plan of a big root may take this long, whatever reading things may.
const AT_LEAST: Duration = Duration::from_secs(30 * 60);

pub(super) async fn preview(
    context: &Context,
    desired: &Desired,
    observed: Option<&Observed>,
    token: &str,
) -> Outcome<Option<Preview>> {
    let none = Json::Null;
    let root = live::root(context, observed.map_or(&none, |o| &o.identity), Some(desired))?;
    let limit = context.time_left().max(AT_LEAST);
    let plan = match context.terraform.plan(&root, RootAim::Declared, token, limit).await {
        Ok(plan) => plan,
        Err(failure) => return wrong_input(desired, failure),
    };
    let shown = plan.shown.expose();
    // What was given as a secret is somewhere in what the root made of it.
    let before = context.former.marked(&Value::from_json(&json!([shown["prior_state"], shown["resource_drift"]])));
    let hidden = Hidden::of([&desired.inputs, &before]);
    let mut remarks: Vec<(Path, Diagnostic)> = Vec::new();
    let mut told = children::read(shown, &hidden);
    if context.former.forgets(&desired.inputs, &before) {
        children::hide_before(&mut told);
        remarks.push((
            Path::default(),
            Diagnostic::warning("terraform_former_secret", format!("{}: what was there is not shown", context.address))
                .because(
                    "a secret that it was given before is another one now, and what that was is not known any more",
                ),
        ));
    }
    let attachment = json!({
        "name": token,
        "key": root.key,
        "plan": plan.digest,
        "state": observed.map(|o| o.fingerprint.clone()),
    });
    let mut facts: BTreeMap<String, Json> = BTreeMap::new();
    facts.insert(CHANGES.to_owned(), json!(digest(&told).short()));
    if !told.reasons.is_empty() {
        facts.insert(REASONS.to_owned(), json!(told.reasons));
    }
    let at = |name: &str| Path::default().key(name);
    let warn = |what: String| Diagnostic::warning("terraform_warning", format!("{}: {what}", context.address));
    remarks.extend(plan.warnings.iter().map(|what| (at("root"), warn(hidden.out_of(what)))));
    if plan.warnings.is_empty() {
        remarks.extend(
            told.failed_checks.iter().map(|what| (at("root"), warn(format!("a check fails: {}", hidden.out_of(what))))),
        );
    }
    if &*context.marks.world == "sandbox" && !told.providers.is_empty() {
        let what = format!("the sandbox runs the real program, and {} reach the real thing", told.providers.join(", "));
        remarks.push((at("root"), warn(what).hint("see to it that their credentials are those of a place for trying")));
    }
    let exports = Some(Value::object([("outputs", told.outputs)]));
    let children: Vec<ChildChange> = told.children.into_iter().chain(told.left).collect();
    if !plan.changes {
        context.terraform.discard(&root.key, token).await?;
        return Ok(Some(Preview { nothing: true, children, facts, exports, remarks, ..Preview::default() }));
    }
    Ok(Some(Preview {
        nothing: false,
        children,
        facts,
        exports,
        remarks,
        attachment: Some(attachment),
        ..Preview::default()
    }))
}

/// A value that the root refuses is told at the input that gives it; any other failure keeps the root from being known.
fn wrong_input(desired: &Desired, failure: Failure) -> Outcome<Option<Preview>> {
    let names = |block: &'static str| {
        let entries = desired.inputs.get(block).and_then(Value::as_map).into_iter().flat_map(|m| m.keys());
        entries.map(move |name| (block, name.to_string()))
    };
    let about = |(_, name): &(&str, String)| {
        let words = failure.message.split(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | ';' | '(' | ')'));
        words.clone().any(|word| word == format!("var.{name}") || word == format!("`{name}`"))
    };
    let found = names("inputs").chain(names("sensitive_inputs")).find(about);
    let hidden = Hidden::of([&desired.inputs]);
    let Some((block, name)) = found.filter(|_| failure.class == Class::Invalid) else {
        // A condition of the root may say what it was given.
        return Err(Failure { message: hidden.out_of(&failure.message), ..failure });
    };
    let what = hidden.out_of(&failure.message);
    let mut problem =
        Diagnostic::error("terraform_input", format!("the root refuses the input `{name}`")).because(what);
    problem.hint = failure.hint;
    Ok(Some(Preview { remarks: vec![(Path::default().key(block).key(&name), problem)], ..Preview::default() }))
}

/// The digest of all that is shown of a plan and no secret: the same on every machine.
fn digest(told: &children::Told) -> Digest {
    let shown = |value: &Option<Value>| match value {
        None => json!("none"),
        Some(value) if value.has_sensitive() => json!("sensitive"),
        Some(value) if value.has_unknown() => json!("unknown"),
        Some(value) => json!([value.to_json()]),
    };
    let children: Vec<Json> = told
        .children
        .iter()
        .map(|c| {
            let fields: Vec<Json> = c
                .fields
                .iter()
                .map(|f| json!([f.path, shown(&f.before), shown(&f.after), f.forces_replacement]))
                .collect();
            json!([c.name, c.kind, c.action.word(), fields])
        })
        .collect();
    let outputs: BTreeMap<String, Json> = told
        .outputs
        .as_map()
        .into_iter()
        .flat_map(|m| m.iter().map(|(k, v)| (k.to_string(), shown(&Some(v.clone())))))
        .collect();
    Digest::of_value(&json!([children, outputs]))
}

/// Whether the saved plan lies on this machine.
pub(super) async fn at_hand(context: &Context, attachment: &Json) -> bool {
    matches!(kept(context, attachment).await, Ok(Some(Kept::Whole | Kept::Altered)))
}

async fn kept(context: &Context, attachment: &Json) -> Outcome<Option<Kept>> {
    let text = |name: &str| attachment[name].as_str();
    let (Some(key), Some(name), Some(_)) = (text("key"), text("name"), text("plan")) else { return Ok(None) };
    context.terraform.kept(key, name, &digest_of(attachment)).await.map(Some)
}

/// The digest of the saved plan, as it was when it was approved.
pub(super) fn digest_of(attachment: &Json) -> Digest {
    serde_json::from_value(attachment["plan"].clone()).unwrap_or_else(|_| Digest::of(b""))
}

/// Why the saved plan can no longer be used. One that lies on another machine is made again, and held against what was
/// approved.
pub(super) async fn spent(context: &Context, attachment: &Json) -> Outcome<Option<String>> {
    Ok(match kept(context, attachment).await? {
        Some(Kept::Altered) => Some("its saved plan is not the one that was approved: the file was altered".to_owned()),
        _ => None,
    })
}
