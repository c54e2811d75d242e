//! Resources that exist and come into a stack by an import change set, and what such a change set may not hold.
//!
//! Source: "Import AWS resources into a CloudFormation stack" of the user guide, and CreateChangeSet's `ResourcesToImport`.

use crate::{
    base::{ActionWord, Diagnostic, Value},
    cfn::{self, Action, ExprKind, ResourceDecl, Template},
    kinds::{
        Cause, Change, ChildChange, Context, Desired, FieldChange, Observed, Prepare, Undo,
        stack::{
            change::resolve,
            desired::{TEMPLATE, parameter_text, place, template_of},
            live::find,
            nested,
        },
    },
    world::{ChangeSet, Class, Failure, ImportedResource, Outcome, StackRequest},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the attribute is called.
const ATTRIBUTE: &str = "import_resources";

/// The normal form of `import_resources`: texts by property by logical id.
pub(super) fn prepare(
    request: &Prepare<'_>,
    written: &Value,
    template: Option<&Template>,
    problems: &mut crate::base::Diagnostics,
) -> Value {
    let Some(entries) = written.as_map() else { return written.clone() };
    let mut out: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for (logical_id, identifier) in entries.iter().filter(|(_, v)| !v.is_null()) {
        let mut refuse = |problem: Diagnostic| problems.push(place(request, &[ATTRIBUTE, logical_id], problem));
        let error = |what: String| Diagnostic::error("import_resources", what);
        let declared = template.and_then(|t| t.resources.get(&**logical_id));
        if let (Some(template), None) = (template, declared) {
            let file = &template.file;
            refuse(
                error(format!("the template has no resource `{logical_id}`"))
                    .because(format!("an imported resource is declared in {file} like any other, as it is live"))
                    .hint("declare it there, or take the entry out"),
            );
            continue;
        }
        let text = |value: &Value| parameter_text(value).map(|text| text.with_mark(value.is_sensitive()));
        let texts: Result<BTreeMap<Arc<str>, Value>, String> = match identifier.as_map() {
            Some(map) => map.iter().map(|(key, value)| Ok((key.clone(), text(value)?))).collect(),
            None if identifier.is_unknown() => {
                out.insert(logical_id.clone(), identifier.clone());
                continue;
            }
            None => Err("is no object".to_owned()),
        };
        let names = declared.map(|d| identifiers(&d.resource_type)).unwrap_or_default();
        let example = names.iter().map(|n| format!("{n} = \"...\"")).collect::<Vec<_>>().join(", ");
        let example = if example.is_empty() { "BucketName = \"...\"".to_owned() } else { example };
        let kind = declared.map_or("its type", |d| &d.resource_type);
        match texts {
            Err(why) => refuse(
                error(format!("the identifier of `{logical_id}` {why}"))
                    .because("a resource to import is named by the properties that identify it, each a text")
                    .hint(format!("write {logical_id} = {{ {example} }}")),
            ),
            Ok(texts) if !names.is_empty() && texts.keys().map(|k| &**k).ne(names.iter().map(String::as_str)) => {
                let given: Vec<&str> = texts.keys().map(|k| &**k).collect();
                let given = if given.is_empty() { "nothing".to_owned() } else { given.join(", ") };
                let right: Vec<&str> = names.iter().map(String::as_str).collect();
                refuse(
                    error(format!("`{logical_id}` is not identified by {given}"))
                        .because(format!("{kind} is identified by {}", right.join(" and ")))
                        .hint(format!("write {logical_id} = {{ {example} }}")),
                );
            }
            Ok(texts) => drop(out.insert(logical_id.clone(), Value::object(texts))),
        }
    }
    Value::object(out)
}

/// The properties that identify a resource of this type; none where the schemas do not hold it.
fn identifiers(resource_type: &str) -> BTreeSet<String> {
    let schema = cfn::resource_schema(resource_type);
    let paths = schema.into_iter().flat_map(|s| &s.primary_identifier);
    paths.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect()
}

/// Resources that are to be imported and that the stack does not hold: logical id, type, identifier. What it holds is
/// left alone, whatever is written.
fn pending(desired: &Desired, live: Option<&Observed>) -> Vec<(String, String, Value)> {
    let Some(entries) = desired.inputs.get(ATTRIBUTE).and_then(Value::as_map) else { return Vec::new() };
    let Some(template) = template_of(&desired.documents, &desired.inputs) else { return Vec::new() };
    let wanted = resolve(&template, &desired.inputs, live).resources;
    let held = live
        .and_then(|live| Some((live, template_of(&live.documents, &live.inputs)?)))
        .map(|(live, template)| resolve(&template, &live.inputs, Some(live)).resources)
        .unwrap_or_default();
    let missing = entries.iter().filter(|(id, _)| !held.contains_key(&***id));
    missing
        .filter_map(|(id, value)| Some((id.to_string(), wanted.get(&**id)?.resource_type.clone(), value.clone())))
        .collect()
}

/// What a request is to import.
///
/// # Errors
/// What is not known yet.
pub(super) fn requested(desired: &Desired, live: Option<&Observed>) -> Result<Vec<ImportedResource>, String> {
    if desired.inputs.get(ATTRIBUTE).is_some_and(Value::is_unknown) {
        return Err("what is to be imported".to_owned());
    }
    let one = |(logical_id, resource_type, value): (String, String, Value)| {
        let unknown = || format!("the identifier of {logical_id}");
        let entries = value.as_map().ok_or_else(unknown)?.iter();
        let identifier = entries.map(|(k, v)| Ok((k.to_string(), v.as_str().ok_or_else(unknown)?.to_owned())));
        let identifier = identifier.collect::<Result<_, String>>()?;
        Ok(ImportedResource { resource_type, logical_id, identifier })
    };
    pending(desired, live).into_iter().map(one).collect()
}

/// Refuses, before any call, what an import change set cannot do.
///
/// # Errors
/// No DeletionPolicy; anything else that changes, by name.
pub(super) fn refuse(desired: &Desired, live: Option<&Observed>, request: &StackRequest) -> Outcome<()> {
    if request.imports.is_empty() {
        return Ok(());
    }
    let refused = |what: String| Failure::new(Class::Invalid, "cloudformation:CreateChangeSet", &request.name, what);
    let Some(template) = template_of(&desired.documents, &desired.inputs) else { return Ok(()) };
    for import in &request.imports {
        let id = &import.logical_id;
        if template.resources.get(id).is_some_and(|r| r.deletion_policy.is_none()) {
            let place = nested::line(desired, &[id]).map(|at| format!("declared at {at}; ")).unwrap_or_default();
            let why = format!("{id} is to be imported and has no DeletionPolicy, which an import asks for");
            return Err(refused(why).hint(format!("{place}write `DeletionPolicy: Retain` there")));
        }
    }
    let imported: BTreeSet<&str> = request.imports.iter().map(|i| i.logical_id.as_str()).collect();
    let there = live.and_then(|live| Some((live, template_of(&live.documents, &live.inputs)?)));
    let before = there.as_ref().map(|(live, template)| resolve(template, &live.inputs, Some(*live)));
    let after = resolve(&template, &desired.inputs, live);
    let mut more = Vec::new();
    for diff in cfn::diff(before.as_ref(), Some(&after), &BTreeMap::new()) {
        if !imported.contains(diff.logical_id.as_str()) {
            let what = match diff.action {
                Action::Add => "is new",
                Action::Modify => "changes",
                Action::Remove => "is no longer declared",
            };
            let place = nested::line(desired, &[&diff.logical_id]).map(|at| format!(" ({at})")).unwrap_or_default();
            more.push(format!("{} {what}{place}", diff.logical_id));
        }
    }
    let outputs =
        |t: &Template| t.to_json().get("Outputs").cloned().filter(|o| o.as_object().is_none_or(|o| !o.is_empty()));
    if outputs(&template) != there.as_ref().and_then(|(_, template)| outputs(template)) {
        more.push(if live.is_some() { "the outputs change" } else { "there are outputs" }.to_owned());
    }
    let tags = |inputs: &Value| -> BTreeMap<String, String> {
        let entries = inputs.get("tags").and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
        entries.map(|(k, v)| (k.to_string(), v.as_str().unwrap_or_default().to_owned())).collect()
    };
    if live.is_some_and(|live| tags(&live.inputs) != tags(&desired.inputs)) {
        more.push("the tags change".to_owned());
    }
    if more.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = imported.into_iter().collect();
    let names = names.join(", ");
    let why = format!("an import may change nothing else, and beside importing {names}: {}", more.join("; "));
    Err(refused(why).hint(format!(
        "apply in two steps: first a template that differs from the live one by {names} alone, then all of it"
    )))
}

/// Refuses what the service says cannot be imported so. Asks only where something is to be imported.
///
/// # Errors
/// A type that cannot be imported, or other properties than those that identify it.
pub(super) async fn refuse_identifiers(context: &Context, desired: &Desired, request: &StackRequest) -> Outcome<()> {
    if request.imports.is_empty() {
        return Ok(());
    }
    let cloudformation = &context.aws()?.cloudformation;
    let told = match context.patiently(|| cloudformation.resource_identifiers(request)).await {
        Ok(told) => told,
        // Making the change set tells, too.
        Err(failure) if matches!(failure.class, Class::Denied | Class::Unsupported | Class::Invalid) => return Ok(()),
        Err(failure) => return Err(failure),
    };
    if told.is_empty() {
        return Ok(());
    }
    for import in &request.imports {
        let (id, kind) = (&import.logical_id, &import.resource_type);
        let line = nested::line(desired, &[id]).map(|line| format!("declared at {line}")).unwrap_or_default();
        let refused = |why: String| {
            Failure::new(Class::Invalid, "cloudformation:GetTemplateSummary", &request.name, why).hint(line.clone())
        };
        let Some(summary) = told.iter().find(|s| s.resource_type == *kind) else {
            return Err(refused(format!("{id} cannot be imported: CloudFormation imports no {kind}")));
        };
        let names: BTreeSet<&str> = summary.identifiers.iter().map(String::as_str).collect();
        if !names.is_empty() && import.identifier.keys().map(String::as_str).ne(names.iter().copied()) {
            let names: Vec<&str> = names.into_iter().collect();
            return Err(refused(format!("{id} is identified by {}, as every {kind}", names.join(" and "))));
        }
    }
    Ok(())
}

/// True for an import change set that was made and cannot be executed.
pub(super) fn cannot(request: &StackRequest, made: &ChangeSet) -> bool {
    !request.imports.is_empty() && made.execution_status.as_deref() == Some("UNAVAILABLE")
}

/// Adds to the service's words which resource they are about: they often name only what identifies it.
pub(super) fn named(failure: Failure, desired: &Desired, request: &StackRequest) -> Failure {
    if failure.hint.is_some() || request.imports.is_empty() {
        return failure;
    }
    let is_meant = |i: &&ImportedResource| {
        i.identifier.values().any(|v| !v.is_empty() && failure.message.contains(v.as_str()))
            || failure.message.contains(&i.logical_id)
    };
    let mut meant: Vec<&ImportedResource> = request.imports.iter().filter(is_meant).collect();
    if meant.is_empty() {
        meant = request.imports.iter().collect();
    }
    let told = meant.iter().map(|import| {
        let pairs: Vec<String> = import.identifier.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        let line = nested::line(desired, &[&import.logical_id]).map(|l| format!(" at {l}")).unwrap_or_default();
        format!("{} ({}){line}", import.logical_id, pairs.join(", "))
    });
    let told: Vec<String> = told.collect();
    failure.hint(format!("to be imported: {}", told.join("; ")))
}

/// Shows as an import what a change set or an estimate would have as one, with what identifies it, and says whether it can be
/// taken back.
pub(super) fn show(change: &mut Change, desired: &Desired, live: Option<&Observed>) {
    let pending = pending(desired, live);
    if pending.is_empty() {
        return;
    }
    let template = template_of(&desired.documents, &desired.inputs);
    let mut lost = Vec::new();
    for (id, kind, identifier) in pending {
        let at = change.children.iter().position(|c| c.name == id).unwrap_or_else(|| {
            change.children.push(ChildChange {
                name: id.clone(),
                kind: kind.clone(),
                action: ActionWord::Import,
                maybe_replace: false,
                policy: None,
                stateful: cfn::is_stateful(&kind),
                fields: Vec::new(),
            });
            change.children.len() - 1
        });
        let child = &mut change.children[at];
        child.action = ActionWord::Import;
        child.maybe_replace = false;
        let fields = identifier.as_map().into_iter().flat_map(|m| m.iter()).map(|(name, value)| FieldChange {
            path: name.to_string(),
            before: None,
            after: Some(value.clone()),
            cause: Cause::Declared,
            forces_replacement: false,
            because: None,
            owner: None,
        });
        child.fields = fields.collect();
        if !template.as_ref().and_then(|t| t.resources.get(&id)).is_some_and(is_kept) {
            lost.push(id);
        }
    }
    if !lost.is_empty() {
        change.undo = Undo::None(format!(
            "taking the import back would delete {}, whose DeletionPolicy is not Retain",
            lost.join(", ")
        ));
    }
    if live.is_none() && desired.inputs.get("tags").and_then(Value::as_map).is_some_and(|m| !m.is_empty()) {
        change.reasons.push("an import that makes a stack sets no tags; the next apply does".to_owned());
    }
}

fn is_kept(declared: &ResourceDecl) -> bool {
    let policy = declared.deletion_policy.as_ref().map(|policy| &policy.kind);
    matches!(policy, Some(ExprKind::String(word)) if word == "Retain" || word == "RetainExceptOnCreate")
}

/// Before an import is taken back: what it brought stays only where its DeletionPolicy says so. Returns what to say of it.
///
/// # Errors
/// Where taking it back would delete what was there before.
pub(super) async fn refuse_undo(context: &Context, identity: &Json, image: Option<&Value>) -> Outcome<String> {
    // The newest operation is the one that is undone.
    let Some(stack) = find(context, identity).await?.filter(|s| s.status.0 == "IMPORT_COMPLETE") else {
        return Ok(String::new());
    };
    let cloudformation = &context.aws()?.cloudformation;
    let text = context.patiently(|| cloudformation.get_template(&stack.id)).await?;
    let former = image.and_then(|image| image.get("template")).and_then(Value::as_str);
    let former = former.map(|text| Template::parse(TEMPLATE, text).0.resources).unwrap_or_default();
    let imported = Template::parse(TEMPLATE, &text).0.resources;
    let imported = imported.iter().filter(|(id, _)| !former.contains_key(*id));
    let (kept, lost): (Vec<_>, Vec<_>) = imported.partition(|(_, declared)| is_kept(declared));
    let names = |of: &[(&String, &ResourceDecl)]| of.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(", ");
    if !lost.is_empty() {
        let why = format!("taking the import back would delete {}, which was there before", names(&lost));
        return Err(Failure::new(Class::Invalid, "cloudformation", &stack.name, why)
            .hint("it stays in the stack; with `DeletionPolicy: Retain` it can be let go of"));
    }
    Ok(if kept.is_empty() { String::new() } else { format!("; {} stays, in no stack", names(&kept)) })
}
