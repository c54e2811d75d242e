//! `terrace drift --accept`: what is live is taken for right. State remembers that, and a person is told what to edit so that
//! the declaration says the same; no file is touched.

use super::{edit, of_plan};
use crate::{
    base::{ActionWord, Address, Path},
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        place,
        stage::Stage,
        surroundings::Surroundings,
        views::json::answer,
    },
    kinds::{FieldChange, Kind, kind, parse_path, put_at},
    plan::{Drift, Request, accepted_part},
    state::{AcceptedDrift, Record, Resource},
};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc};

/// Takes the drift of these for right.
pub(super) async fn run(addresses: &[Address], reason: Option<&str>, stage: &Stage, context: &Context) -> Result<Exit> {
    let made = stage.make(context, &Request::default()).await?;
    stage.discard(&made.attachment, context).await;
    let drifts = of_plan(&made.plan, stage);
    let mut records = Vec::new();
    let mut edits = Vec::new();
    for address in addresses {
        let Some(drift) = drifts.iter().find(|d| d.address == *address) else {
            return Err(Error::new("no_drift", format!("nothing of {address} drifted"))
                .hint("terrace drift shows what did; terrace state list shows what there is"));
        };
        records.extend(accepted(drift, reason, stage, context)?);
        edits.extend(edit::of(drift, stage));
    }
    write(records, stage, context).await?;
    if context.terminal.json {
        context.terminal.json_line(&answer("drift", json!({ "accepted": addresses, "edits": edits })));
        return Ok(Exit::Done);
    }
    for address in addresses {
        let status = format!("{address}: what is live is taken for right, until it moves again");
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
fn accepted(drift: &Drift, reason: Option<&str>, stage: &Stage, context: &Context) -> Result<Vec<Record>> {
    let address = &drift.address;
    let Some(resource) = stage.subject.state.resources.get(address) else {
        return Err(Error::new("not_in_state", format!("nothing is remembered under {address}"))
            .hint("terrace state list shows what there is"));
    };
    if drift.gone {
        return Ok(vec![Record::Gone { address: address.clone() }]);
    }
    let inside = kind(address.kind()).is_some_and(Kind::drifts_inside);
    if !inside && !drift.children.is_empty() {
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
    if !fields.is_empty() {
        let mut inputs = resource.inputs.clone();
        for field in fields {
            let path = parse_path(&field.path).unwrap_or_else(|| Path::default().key(&field.path));
            inputs = put_at(&inputs, &path, field.after.as_ref());
        }
        records.push(Record::Resource(Box::new(Resource { inputs, ..resource.clone() })));
    }
    if !drift.children.is_empty() {
        records.push(Record::Accepted { address: address.clone(), drift: Some(parts(drift, reason, stage, context)) });
    }
    Ok(records)
}

fn parts(drift: &Drift, reason: Option<&str>, stage: &Stage, context: &Context) -> AcceptedDrift {
    let seal = &stage.subject.seal;
    let former = stage.subject.state.accepted.get(&drift.address);
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

async fn write(records: Vec<Record>, stage: &Stage, context: &Context) -> Result<()> {
    let store = place::open_store(context, &stage.loaded.place.project, &stage.ledger, "drift --accept").await?;
    let checked = store.with(|snapshot| {
        place::no_open_run(snapshot)?;
        if snapshot.serial == stage.subject.state.serial {
            return Ok(());
        }
        Err(Error::new("plan_stale", "the state was written by somebody else in the meantime")
            .exit(Exit::Stale)
            .hint("look at the drift again"))
    });
    if checked.is_ok() {
        store.commit(records).await?;
    }
    store.close().await?;
    checked
}
