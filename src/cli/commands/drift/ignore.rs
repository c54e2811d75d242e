//! `terrace drift --ignore` and `--heed`: the decision to leave some drift alone, and to take that back. Of what single fields can
//! be left alone in, each field is noted by itself, and from then on it is as good as named in `ignore_changes`.

use super::{not_drifted, of_plan, picked};
use crate::{
    base::{ActionWord, Address},
    cli::{
        audited,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        place,
        stage::Stage,
        surroundings::Surroundings,
        views::diagnostics::plural,
    },
    kinds::{Cause, ChildChange, FieldChange, FieldName, Kind, kind},
    plan::{Drift, Request, Selection, accepted_part, selection},
    state::{IgnoredDrift, IgnoredField, Record, Snapshot, audit::Deed},
};
use std::collections::BTreeMap;

/// A field that is left alone, as it is told.
#[derive(Debug, serde::Serialize)]
pub(super) struct Left {
    select: String,
    #[serde(flatten)]
    decision: IgnoredDrift,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { select, decision } = self;
        write!(f, "{select}: {} ({}, {})", decision.reason, decision.by, decision.at)
    }
}

/// All fields that are left alone.
pub(super) fn left(state: &Snapshot) -> Vec<Left> {
    let one = |address: &Address, field: &IgnoredField| Left {
        select: Selection::of(address, field.part.as_deref(), Some(&field.path)).to_string(),
        decision: field.decision.clone(),
    };
    state.ignored_fields.iter().flat_map(|(address, fields)| fields.iter().map(move |f| one(address, f))).collect()
}

/// Drift without the fields that are left alone, or taken for right: an update of the whole would put them back all the same.
pub(super) fn without(drift: Drift, stage: &Stage) -> Drift {
    let snapshot = &stage.subject.state;
    let fields = snapshot.ignored_fields.get(&drift.address);
    let accepted = snapshot.accepted.get(&drift.address);
    let is_left = |part: Option<&str>, field: &FieldChange| {
        let path = FieldName { part: part.map(Into::into), path: Some(field.path.as_str().into()) }.as_path();
        let left = |f: &IgnoredField| {
            let left = FieldName { part: f.part.clone(), path: Some(f.path.clone()) }.as_path();
            path.0.starts_with(&left.0)
        };
        fields.is_some_and(|all| all.iter().any(left))
            || part.zip(accepted).is_some_and(|(part, accepted)| {
                accepted.what.contains(&accepted_part(&stage.subject.seal, part, Some(field)))
            })
    };
    let gone = |child: &ChildChange| {
        child.action == ActionWord::Delete
            && accepted.is_some_and(|a| a.what.contains(&accepted_part(&stage.subject.seal, &child.name, None)))
    };
    let kept = |part: Option<&str>, fields: Vec<FieldChange>| -> Vec<FieldChange> {
        fields.into_iter().filter(|field| field.cause == Cause::DriftLeft || !is_left(part, field)).collect()
    };
    let children = drift.children.into_iter().filter(|child| !gone(child));
    let children = children
        .map(|child| ChildChange { fields: kept(Some(&child.name), child.fields.clone()), ..child })
        .filter(|child| child.action == ActionWord::Delete || !child.fields.is_empty());
    Drift { children: children.collect(), fields: kept(None, drift.fields), ..drift }
}

/// Leaves the drift of these alone.
pub(super) async fn ignore(
    selections: &[Selection],
    reason: Option<&str>,
    stage: &Stage,
    context: &Context,
) -> Result<Exit> {
    let by_field = |s: &Selection| kind(s.address.kind()).is_some_and(Kind::drifts_by_field);
    let inside = |s: &Selection| kind(s.address.kind()).is_some_and(Kind::drifts_inside);
    let decision = IgnoredDrift {
        reason: reason.unwrap_or_default().to_owned(),
        by: context.surroundings.person().unwrap_or("somebody").to_owned(),
        at: Surroundings::now(),
    };
    // Only what drifted can be named, so that a slip is told and not noted.
    let drifts = if selections.iter().any(by_field) {
        let made = stage.make(context, &Request::default()).await?;
        stage.discard(&made.attachment, context).await;
        of_plan(&made.plan, stage)
    } else {
        Vec::new()
    };
    let mut records = Vec::new();
    let mut told = Vec::new();
    let mut fields: BTreeMap<Address, Vec<IgnoredField>> = BTreeMap::new();
    for one in selections {
        let address = &one.address;
        if by_field(one) {
            for drift in drifts.iter().filter_map(|drift| picked(drift, one)) {
                let noted = fields.entry(drift.address.clone()).or_insert_with(|| {
                    stage.subject.state.ignored_fields.get(&drift.address).cloned().unwrap_or_default()
                });
                note(&drift, &decision, noted, &mut told)?;
            }
            if !drifts.iter().any(|drift| picked(drift, one).is_some()) {
                return Err(not_drifted(one, &drifts, stage));
            }
            continue;
        }
        if !stage.subject.state.resources.contains_key(address) {
            return Err(not_drifted(one, &drifts, stage));
        }
        if !inside(one) {
            return Err(Error::new("ignored_in_declaration", format!("drift of {address} is put back by every apply"))
                .because("what it is made of is what is declared")
                .hint("name the fields that others may set: lifecycle { ignore_changes = [..] }, with the paths that terrace drift shows"));
        }
        if one.inside.is_some() {
            return Err(Error::new("ignore_whole", format!("{one}: the drift of this is left alone as a whole")).hint(
                format!("terrace drift --ignore '{address}' does that; --accept '{one}' takes the one field for right"),
            ));
        }
        records.push(Record::Ignored { address: address.clone(), decision: Some(decision.clone()) });
        told.push(address.to_string());
    }
    records.extend(fields.into_iter().map(|(address, fields)| Record::IgnoredFields { address, fields }));
    write(records, stage, context).await?;
    for what in told {
        context.terminal.status(&format!("drift of {what} is left alone from now on"));
    }
    Ok(Exit::Done)
}

/// Notes each field; what is gone is no field.
fn note(drift: &Drift, decision: &IgnoredDrift, noted: &mut Vec<IgnoredField>, told: &mut Vec<String>) -> Result<()> {
    let gone = drift.children.iter().find(|child| child.action == ActionWord::Delete);
    if drift.gone || gone.is_some() {
        let what = Selection::of(&drift.address, gone.map(|child| child.name.as_str()), None);
        return Err(Error::new("ignored_in_declaration", format!("{what} is gone, and every apply makes it again"))
            .because("single fields can be left alone, and no field of it is left")
            .hint("take it out of the declaration, or name the fields that may stay as they are"));
    }
    let own = drift.fields.iter().map(|field| (None, field));
    let inside =
        drift.children.iter().flat_map(|child| child.fields.iter().map(|field| (Some(child.name.as_str()), field)));
    for (part, field) in own.chain(inside) {
        told.push(Selection::of(&drift.address, part, Some(&field.path)).to_string());
        noted.retain(|f| !(f.part.as_deref() == part && *f.path == *field.path));
        noted.push(IgnoredField {
            part: part.map(Into::into),
            path: field.path.as_str().into(),
            decision: decision.clone(),
        });
    }
    noted.sort_by(|a, b| (&a.part, &a.path).cmp(&(&b.part, &b.path)));
    Ok(())
}

/// Tells of the drift of these again.
pub(super) async fn heed(selections: &[Selection], stage: &Stage, context: &Context) -> Result<Exit> {
    let snapshot = &stage.subject.state;
    let mut records = Vec::new();
    for one in selections {
        let mut meant = snapshot.resources.keys().filter(|address| one.is_for(address)).peekable();
        if meant.peek().is_none() {
            return Err(not_drifted(one, &[], stage));
        }
        let mut any = one.inside.is_none();
        for address in meant {
            let fields = snapshot.ignored_fields.get(address).cloned().unwrap_or_default();
            let (back, stay): (Vec<_>, Vec<_>) =
                fields.into_iter().partition(|f| f.is_of(|part, path| one.has_field(part, path)));
            any |= !back.is_empty();
            if !back.is_empty() {
                records.push(Record::IgnoredFields { address: address.clone(), fields: stay });
            }
            if one.inside.is_none() {
                records.push(Record::Ignored { address: address.clone(), decision: None });
                records.push(Record::Accepted { address: address.clone(), drift: None });
            }
        }
        if !any {
            let there: Vec<Selection> = left(snapshot).iter().filter_map(|left| left.select.parse().ok()).collect();
            let hint = selection::hint(one, &there);
            return Err(Error::new("not_ignored", format!("nobody decided to leave {one} alone")).hint(
                hint.unwrap_or_else(|| {
                    format!("terrace drift --heed '{}' takes back all decisions of it", one.address)
                }),
            ));
        }
    }
    write(records, stage, context).await?;
    for one in selections {
        context.terminal.status(&format!("drift of {one} is told of again"));
    }
    Ok(Exit::Done)
}

/// Writes the decisions, unless somebody else wrote meanwhile.
pub(super) async fn write(records: Vec<Record>, stage: &Stage, context: &Context) -> Result<()> {
    let chosen = stage.loaded.choose(context).await?;
    let what = format!("drift: {}", plural(records.len(), "decision"));
    audited::record(context, &stage.loaded, &chosen, &stage.ledger, (Deed::Decision, what)).await?;
    let store = place::open_store(context, &stage.loaded.place.project, &stage.ledger, "drift").await?;
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
