//! `terrace drift --accept`: what is live is taken for right. State remembers that, and a person is told what to edit so that
//! the declaration says the same; no file is touched.

use super::{edit, ignore::write, not_drifted, of_plan, picked};
use crate::{
    base::{ActionWord, Path, Value},
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        stage::Stage,
        surroundings::Surroundings,
        views::json::answer,
    },
    kinds::{ChildChange, FieldChange, Kind, kind, parse_path, put_at},
    plan::{Drift, Request, Selection, accepted_part},
    state::{AcceptedDrift, Record, Resource, Snapshot},
};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc};

/// Takes the drift of these for right.
pub(super) async fn run(
    selections: &[Selection],
    reason: Option<&str>,
    stage: &Stage,
    context: &Context,
) -> Result<Exit> {
    let made = stage.make(context, &Request::default()).await?;
    stage.discard(&made.attachment, context).await;
    let drifts = of_plan(&made.plan, stage);
    let mut records = Vec::new();
    let mut edits = Vec::new();
    for one in selections {
        let mut meant = drifts.iter().filter_map(|drift| picked(drift, one)).peekable();
        if meant.peek().is_none() {
            return Err(not_drifted(one, &drifts, stage));
        }
        for drift in meant {
            // What was taken for right of the same thing just before.
            let mut so_far = stage.subject.state.clone();
            records.iter().cloned().for_each(|record| so_far.fold(record));
            records.extend(accepted(&drift, reason, &so_far, stage, context)?);
            edits.extend(edit::of(&drift, stage));
        }
    }
    write(records, stage, context).await?;
    if context.terminal.json {
        let accepted: Vec<String> = selections.iter().map(ToString::to_string).collect();
        context.terminal.json_line(&answer("drift", json!({ "accepted": accepted, "edits": edits })));
        return Ok(Exit::Done);
    }
    for one in selections {
        let status = format!("{one}: what is live is taken for right, until it moves again");
        context.terminal.status(&status);
    }
    let text = edit::render(&edits);
    if !text.is_empty() {
        context.terminal.status("\nMake this edit, so that the declaration says the same:\n");
        context.terminal.data(&text);
    }
    Ok(Exit::Done)
}

/// What state is to remember.
fn accepted(
    drift: &Drift,
    reason: Option<&str>,
    snapshot: &Snapshot,
    stage: &Stage,
    context: &Context,
) -> Result<Vec<Record>> {
    let address = &drift.address;
    let Some(resource) = snapshot.resources.get(address) else {
        return Err(Error::new("not_in_state", format!("nothing is remembered under {address}"))
            .hint("terrace state list shows what there is"));
    };
    if drift.gone {
        return Ok(vec![Record::Gone { address: address.clone() }]);
    }
    let kind = kind(address.kind());
    let in_inputs = kind.and_then(|kind| taken_over(kind, &resource.inputs, &drift.children));
    let noted = kind.is_some_and(|kind| kind.drifts_inside() || kind.drifts_by_field());
    if !noted && !drift.children.is_empty() {
        return Err(Error::new("accept_inside", format!("what drifted inside {address} cannot be taken for right"))
            .because("it is made of what is declared, and the next apply puts it back")
            .hint("declare what is live, or name it in lifecycle { ignore_changes = [..] }"));
    }
    let mut records = Vec::new();
    let fields: Vec<&FieldChange> = drift.fields.iter().collect();
    if let Some(template) = fields.iter().find(|f| f.path == "template" || f.path == "stack_policy") {
        return Err(Error::new("accept_inside", format!("{address}: another `{}` is live", template.path))
            .because("somebody updated the stack from another file, and what is live is no value that can be noted")
            .hint(format!(
                "terrace import '{address}' {} --generate --out DIR writes what is live",
                resource.identity["name"].as_str().unwrap_or("ID")
            )));
    }
    if !fields.is_empty() || in_inputs.is_some() {
        let mut inputs = in_inputs.clone().unwrap_or_else(|| resource.inputs.clone());
        for field in fields {
            let path = parse_path(&field.path).unwrap_or_else(|| Path::default().key(&field.path));
            inputs = put_at(&inputs, &path, field.after.as_ref());
        }
        records.push(Record::Resource(Box::new(Resource { inputs, ..resource.clone() })));
    }
    if !drift.children.is_empty() && in_inputs.is_none() {
        let drift = parts(drift, reason, snapshot, stage, context);
        records.push(Record::Accepted { address: address.clone(), drift: Some(drift) });
    }
    Ok(records)
}

/// What was applied last with all of this as somebody made it, where state holds the parts of such a thing.
fn taken_over(kind: &dyn Kind, inputs: &Value, children: &[ChildChange]) -> Option<Value> {
    let first = children.first()?;
    kind.take_over(inputs, &first.name, first.fields.first())?;
    Some(children.iter().fold(inputs.clone(), |inputs, child| {
        let take = |inputs: Value, field| kind.take_over(&inputs, &child.name, field).unwrap_or(inputs);
        match child.action {
            ActionWord::Delete => take(inputs, None),
            _ => child.fields.iter().fold(inputs, |inputs, field| take(inputs, Some(field))),
        }
    }))
}

fn parts(drift: &Drift, reason: Option<&str>, snapshot: &Snapshot, stage: &Stage, context: &Context) -> AcceptedDrift {
    let seal = &stage.subject.seal;
    let former = snapshot.accepted.get(&drift.address);
    let mut what: BTreeSet<Arc<str>> = former.map(|a| a.what.clone()).unwrap_or_default();
    for child in &drift.children {
        if child.action == ActionWord::Delete {
            what.insert(accepted_part(seal, &child.name, None));
        }
        what.extend(child.fields.iter().map(|field| accepted_part(seal, &child.name, Some(field))));
    }
    AcceptedDrift {
        what,
        reason: reason.map(str::to_owned),
        by: context.surroundings.person().unwrap_or("somebody").to_owned(),
        at: Surroundings::now(),
    }
}
