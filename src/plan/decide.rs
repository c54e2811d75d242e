//! From what is wanted, remembered and live to one node of a plan. Pure: the rules that hold for every kind live here.

use crate::{
    base::{ActionWord, Address, Diagnostic, Diagnostics, Digest, Span, Value},
    kinds::{
        Cause, Change, ConditionEffect, Difference, FieldChange, GoesOn, Observed, Owner, Preview, Prior,
        REVERT_FIELDS, Undo,
    },
    lang::configuration::Lifecycle,
    plan::{Drift, Moment, Planned, instance::Instance, selection},
    state::{Resource, SealKey, Status},
};
use serde_json::Value as Json;
use std::sync::Arc;

/// What is known about one instance.
pub struct Facts<'a> {
    /// As evaluated and prepared.
    pub instance: &'a Instance,
    /// Where it is declared.
    pub header: &'a Span,
    /// Its `lifecycle`.
    pub lifecycle: &'a Lifecycle,
    /// What state remembers of it.
    pub remembered: Option<&'a Resource>,
    /// What is live.
    pub observed: Option<&'a Observed>,
    /// What a look ahead told.
    pub preview: Option<&'a Preview>,
    /// The identity of an `import` block.
    pub import: Option<&'a Json>,
    /// Its former address, where it was moved.
    pub moved_from: Option<&'a Address>,
    /// `--replace` names it.
    pub replace_asked: bool,
    /// Something that `replace_triggered_by` names changes.
    pub triggered_by: Option<&'a Address>,
    /// Labels of `verify` blocks that would run because a result is not a pass.
    pub unverified: Vec<Arc<str>>,
    /// Labels of all `verify` blocks.
    pub verify: Vec<Arc<str>>,
    /// How secrets are sealed.
    pub seal: &'a SealKey,
}

/// A node, with what was found on the way.
pub struct Decided {
    /// The node.
    pub planned: Planned,
    /// What the kind itself asked for, before the rules that hold for every kind.
    pub own: ActionWord,
    /// Drift that applying leaves alone.
    pub drift: Option<Drift>,
    /// What others will see.
    pub exports: Value,
}

/// The last-applied part of a remembered resource, as kinds take it.
#[must_use]
pub fn prior(resource: &Resource) -> Prior {
    Prior {
        inputs: resource.inputs.clone(),
        documents: resource.documents.clone(),
        exports: resource.exports.clone(),
        identity: resource.identity.clone(),
    }
}

/// The change of an instance by its kind, before the rules that hold for every kind. True where it puts back some of its drift
/// and leaves the rest alone: only what a kind does as a whole, such as an upgrade of a release, takes that along.
fn change(facts: &Facts<'_>) -> (Change, bool) {
    let prior = facts.remembered.map(prior);
    let diff = |preview: Option<&Preview>| {
        facts.instance.kind.diff(&Difference {
            desired: &facts.instance.desired,
            prior: prior.as_ref(),
            observed: facts.observed,
            preview,
            ignore: &facts.instance.ignore,
            seal: &|plain| facts.seal.seal(plain),
        })
    };
    let whole = diff(facts.preview);
    let only_drift = whole.action == ActionWord::Update && whole.fields.is_empty();
    match facts.instance.without_what_is_left(facts.preview, facts.seal).filter(|_| only_drift) {
        Some(preview) => {
            let rest = diff(Some(&preview));
            let some = rest.action == ActionWord::Update;
            (rest, some)
        }
        None => (whole, false),
    }
}

/// What an instance would export if there were none yet.
fn as_new(facts: &Facts<'_>) -> Value {
    let new = Difference {
        desired: &facts.instance.desired,
        prior: None,
        observed: None,
        preview: None,
        ignore: &[],
        seal: &|plain| facts.seal.seal(plain),
    };
    facts.instance.kind.diff(&new).exports
}

/// Decides.
///
/// # Errors
/// Whatever forbids the change: somebody else owns the thing, it is protected, it is stuck.
pub fn decide(facts: &Facts<'_>) -> Result<Decided, Diagnostics> {
    let mut problems = Diagnostics::new();
    if facts.instance.kind.owns()
        && let Some(problem) = facts.observed.and_then(|o| foreign(facts, o))
    {
        problems.push(problem);
    }
    let (mut change, by_field) = change(facts);
    if by_field {
        change.undo = Undo::None("what somebody changed by hand is not brought back".to_owned());
    }
    let mut own = change.action;
    let forced = change.action != ActionWord::Replace;
    let condition = facts.observed.and_then(|o| o.condition.clone());
    if let Some(condition) = &condition {
        match condition.effect {
            ConditionEffect::Note => {}
            ConditionEffect::MustReplace => force_replace(&mut change, format!("it is {}", condition.word)),
            ConditionEffect::Blocks => problems.push(stuck(facts, &condition.word, condition.hint.as_deref())),
        }
    }
    if facts.remembered.is_some_and(|r| r.status == Status::Tainted) {
        if facts.instance.kind.goes_on() == GoesOn::Always {
            go_on(&mut change);
            own = change.action;
        } else {
            force_replace(&mut change, "its creation failed and could not be taken back".to_owned());
        }
    }
    if facts.replace_asked {
        force_replace(&mut change, "--replace asks for it".to_owned());
    }
    if let Some(other) = facts.triggered_by {
        force_replace(&mut change, format!("replace_triggered_by: {other} changes"));
    }
    if forced && change.action == ActionWord::Replace {
        // What takes its place is another thing: what it exports is as little known as that of any new one.
        change.exports = as_new(facts);
        if let Some(observed) = facts.observed {
            change = facts.instance.kind.replaced(change, observed);
        }
    }
    let gone = facts.remembered.is_some() && facts.observed.is_none();
    if gone {
        change.reasons.push("it is gone: somebody destroyed it behind our back".to_owned());
    }
    if change.action == ActionWord::Replace {
        if facts.lifecycle.prevent_destroy {
            problems.push(protected(facts, &change));
        }
        if !facts.lifecycle.create_before_destroy && change.undo == Undo::Full {
            change.undo = Undo::None("a replacement destroys the former one first".to_owned());
        }
    }
    if change.action == ActionWord::Update
        && change.undo == Undo::Full
        && facts.observed.is_some_and(|o| o.image.has_sensitive())
    {
        // Rule 9: a before-image holds its secrets only as long as the process lives.
        change.undo = Undo::Partly("should the run be cut off, a former secret in it is not known any more".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let drift = drift_left(facts, &mut change, gone);
    if change.action == ActionWord::NoOp {
        protection(facts, &mut change);
    }
    let action = match change.action {
        ActionWord::NoOp if facts.import.is_some() => ActionWord::Import,
        ActionWord::NoOp if !facts.unverified.is_empty() => ActionWord::Verify,
        other => other,
    };
    let verify = match action {
        ActionWord::NoOp => Vec::new(),
        ActionWord::Verify => facts.unverified.clone(),
        _ => facts.verify.clone(),
    };
    let seal = |value: &Value| facts.seal.seal_value(value);
    let desired = &facts.instance.desired;
    let mut told = facts.preview.map(|p| p.facts.clone()).unwrap_or_default();
    if by_field && let Ok(names) = serde_json::to_value(selection::names(&change.children)) {
        told.insert(REVERT_FIELDS.to_owned(), names);
    }
    Ok(Decided {
        own,
        exports: change.exports,
        drift,
        planned: Planned {
            address: facts.instance.address.clone(),
            phase: facts.instance.phase.clone(),
            moment: Moment::Phase,
            action,
            reasons: change.reasons,
            fields: change.fields.iter().map(|f| seal_field(f, facts.seal)).collect(),
            children: change.children,
            facts: told,
            undo: change.undo,
            stateful: change.stateful,
            condition,
            fingerprint: facts.observed.map(|o| o.fingerprint.clone()),
            deferral: None,
            place: None,
            moved_from: facts.moved_from.cloned(),
            import: facts.import.cloned(),
            inputs: seal(&desired.inputs),
            documents: desired.documents.iter().map(|(k, v)| (k.clone(), Digest::of(v.as_bytes()))).collect(),
            identity: identity(facts),
            verify,
            controls: facts.instance.evaluated.controls.clone(),
            proves: std::collections::BTreeMap::new(),
            rollout: None,
            after: Vec::new(),
            holdings: crate::kinds::Holdings::default(),
        },
    })
}

fn identity(facts: &Facts<'_>) -> Json {
    let live = facts.observed.map(|o| &o.identity);
    live.or(facts.instance.desired.identity.as_ref()).cloned().unwrap_or(Json::Null)
}

/// Putting a thing under `prevent_destroy`, or lifting that, touches state alone; it is an update all the same, since what may
/// be destroyed changes (rule 14).
fn protection(facts: &Facts<'_>, change: &mut Change) {
    let Some(before) = facts.remembered.map(|r| r.prevent_destroy) else { return };
    let after = facts.lifecycle.prevent_destroy;
    if before != after {
        change.action = ActionWord::Update;
        change
            .reasons
            .push(if after { "it is put under prevent_destroy" } else { "prevent_destroy is lifted" }.to_owned());
        change.fields.push(FieldChange {
            path: "lifecycle.prevent_destroy".to_owned(),
            before: Some(before.into()),
            after: Some(after.into()),
            cause: Cause::Declared,
            forces_replacement: false,
            because: None,
            owner: None,
        });
    }
}

/// Makes a change a replacement, unless there is nothing to replace.
fn force_replace(change: &mut Change, reason: String) {
    if matches!(change.action, ActionWord::NoOp | ActionWord::Update | ActionWord::Replace) {
        change.action = ActionWord::Replace;
        change.reasons.push(reason);
    }
}

/// Does again what came half-way, also where nothing is left but to wait for it.
fn go_on(change: &mut Change) {
    if change.action == ActionWord::NoOp {
        change.action = ActionWord::Update;
    }
    if change.action == ActionWord::Update {
        change.reasons.push("the last apply of it failed half-way: it is gone on with".to_owned());
    }
}

/// A field with its values sealed.
#[must_use]
pub fn seal_field(field: &FieldChange, seal: &SealKey) -> FieldChange {
    FieldChange {
        before: field.before.as_ref().map(|v| seal.seal_value(v)),
        after: field.after.as_ref().map(|v| seal.seal_value(v)),
        ..field.clone()
    }
}

/// Takes out what drifted and will be left alone, so that it stands apart from what was asked.
fn drift_left(facts: &Facts<'_>, change: &mut Change, gone: bool) -> Option<Drift> {
    let (left, rest): (Vec<_>, Vec<_>) = change.fields.drain(..).partition(|f| f.cause == Cause::DriftLeft);
    change.fields = rest;
    let fields: Vec<FieldChange> = left.iter().map(|f| seal_field(f, facts.seal)).collect();
    (gone || !fields.is_empty()).then(|| Drift {
        address: facts.instance.address.clone(),
        fields,
        children: Vec::new(),
        ignored: None,
        gone,
    })
}

/// A live thing that we do not remember is never taken over silently (rule 5).
fn foreign(facts: &Facts<'_>, observed: &Observed) -> Option<Diagnostic> {
    let address = &facts.instance.address;
    let known = facts.remembered.is_some();
    let what = name_of(&observed.identity);
    match &observed.owner {
        Owner::Other(other) => Some(
            Diagnostic::error("owned_by_other", format!("{what} belongs to {other}"))
                .at(facts.header, "declared here")
                .because("two plans that manage one thing would undo each other's work")
                .hint("give this one another name, or take it out of one of the two plans (`removed { from = .. }` lets go of it)"),
        ),
        Owner::Ours(_) | Owner::Nobody if known || facts.import.is_some() => None,
        Owner::Ours(_) => Some(
            Diagnostic::error("not_remembered", format!("{what} exists and bears our marks, but the state does not know it"))
                .at(facts.header, "declared here")
                .because("the state was lost or is another one")
                .hint(import_block(address, &observed.identity)),
        ),
        Owner::Nobody => Some(
            Diagnostic::error("exists_already", format!("{what} exists already, and terrace did not make it"))
                .at(facts.header, "declared here")
                .because("what exists is never taken over silently")
                .hint(import_block(address, &observed.identity)),
        ),
    }
}

fn import_block(address: &Address, identity: &Json) -> String {
    let id = identity_text(identity);
    format!("to take it over as it is, write:\n\nimport {{\n  to = {address}\n  id = \"{id}\"\n}}")
}

/// An identity as the text of an `import` block.
#[must_use]
pub fn identity_text(identity: &Json) -> String {
    if let Some(objects) = identity.get("objects").and_then(Json::as_array) {
        return objects.iter().map(object_text).collect::<Vec<_>>().join(", ");
    }
    let text = |name: &str| identity.get(name).and_then(Json::as_str);
    if let (Some(cluster), Some(addon)) = (text("cluster"), text("addon")) {
        return format!("{cluster}:{addon}");
    }
    match (text("namespace").or(text("cluster")), text("name").or(text("id"))) {
        (Some(outer), Some(name)) => format!("{outer}/{name}"),
        (None, Some(name)) => name.to_owned(),
        _ => identity.to_string(),
    }
}

/// An object as `import` takes it: `apps/v1 Deployment shop/web`.
fn object_text(object: &Json) -> String {
    let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or_default();
    match object.get("namespace").and_then(Json::as_str) {
        Some(namespace) => format!("{} {} {namespace}/{}", text("api_version"), text("kind"), text("name")),
        None => format!("{} {} {}", text("api_version"), text("kind"), text("name")),
    }
}

/// What a person calls a live thing.
/// An identity as messages name it.
pub(super) fn name_of(identity: &Json) -> String {
    format!("`{}`", identity_text(identity))
}

fn stuck(facts: &Facts<'_>, word: &str, hint: Option<&str>) -> Diagnostic {
    Diagnostic::error("stuck", format!("{} is {word}", facts.instance.address))
        .at(facts.header, "declared here")
        .because("nothing can be changed before that is mended")
        .hint(hint.unwrap_or("`terrace doctor` says what can be done"))
}

fn protected(facts: &Facts<'_>, change: &Change) -> Diagnostic {
    let forced: Vec<&str> = change.fields.iter().filter(|f| f.forces_replacement).map(|f| f.path.as_str()).collect();
    let why = if forced.is_empty() {
        change.reasons.join("; ")
    } else {
        format!("{} cannot be changed in place", forced.join(", "))
    };
    Diagnostic::error(
        "prevent_destroy",
        format!("{} would be replaced, and prevent_destroy forbids that", facts.instance.address),
    )
    .at(facts.header, "protected here")
    .because(why)
    .hint("take the change back, or lift prevent_destroy by an apply of its own first")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::kind;
    use serde_json::json;

    #[test]
    fn what_is_said_to_be_imported_can_be_imported_so() {
        for (name, identity) in [
            (
                "manifest",
                json!({"objects": [{"api_version": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"}]}),
            ),
            (
                "manifest",
                json!({"objects": [{"api_version": "v1", "kind": "Namespace", "namespace": null, "name": "shop"}]}),
            ),
            ("helm", json!({"namespace": "shop", "name": "web"})),
            ("eks_addon", json!({"cluster": "main", "addon": "coredns"})),
        ] {
            let text = identity_text(&identity);
            assert_eq!(kind(name).unwrap().import_identity(&text), Ok(identity), "{text}");
        }
    }
}
