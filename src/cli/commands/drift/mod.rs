//! `terrace drift`: what changed behind Terrace's back, and what becomes of it: put back, taken for right, left alone.

mod accept;
mod edit;
mod ignore;

use crate::{
    base::{ActionWord, Address},
    cli::{
        args::{Consent, PlanArg},
        commands::apply::{Fresh, plan_and_apply_on},
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        notify::{self, Happening, What},
        place,
        stage::{self, Stage},
        style::green,
        variables,
        views::{self, diagnostics::plural, json::answer},
    },
    kinds::{Cause, ChildChange, FieldChange},
    lang::suggest,
    plan::{Drift, Mode, Plan, Planned, Request, Selection, selection},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Arguments of `drift`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Put back the drift of this, or of all that nobody decided to leave alone. WHAT is ADDR, ADDR:PART or ADDR:PART:FIELD, as
    /// `terrace drift` shows them
    #[arg(long, value_name = "WHAT", num_args = 0.., conflicts_with_all = ["accept", "ignore", "heed"])]
    revert: Option<Vec<Selection>>,
    /// Take what is live in this for right, and say what to edit so that it stays so
    #[arg(long, value_name = "WHAT", num_args = 1.., conflicts_with_all = ["ignore", "heed"])]
    accept: Vec<Selection>,
    /// Leave the drift of this alone from now on; may be repeated
    #[arg(long, value_name = "WHAT", requires = "reason", conflicts_with = "heed")]
    ignore: Vec<Selection>,
    /// Tell of the drift of this again, ignored or accepted; may be repeated
    #[arg(long, value_name = "WHAT")]
    heed: Vec<Selection>,
    /// End with 2 where something drifted
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Looks for drift, or decides about it.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let chosen = loaded.choose(context).await?;
    let variables = variables::gather(context, &loaded, &chosen.environment.name)?;
    let stage = stage::set(context, loaded, chosen, variables).await?;
    if let Some(addresses) = &args.revert {
        return Box::pin(revert(addresses.clone(), &args.consent, stage, context)).await;
    }
    if !args.accept.is_empty() {
        return accept::run(&args.accept, args.consent.reason.as_deref(), &stage, context).await;
    }
    if !args.ignore.is_empty() {
        return ignore::ignore(&args.ignore, args.consent.reason.as_deref(), &stage, context).await;
    }
    if !args.heed.is_empty() {
        return ignore::heed(&args.heed, &stage, context).await;
    }
    // Only a look ahead tells what drifted inside charts and manifests.
    let made = stage.make(context, &Request::default()).await?;
    stage.discard(&made.attachment, context).await;
    let drift = of_plan(&made.plan, &stage);
    let counted = drift.iter().filter(|d| d.ignored.is_none()).count();
    let left = ignore::left(&stage.subject.state);
    if counted > 0 {
        let things: Vec<String> = drift.iter().filter(|d| d.ignored.is_none()).map(|d| d.address.to_string()).collect();
        let subject = place::random_id();
        let happening = Happening { what: What::Drifted, subject, data: json!({ "drifted": things }) };
        notify::tell(&stage, context, &happening).await;
    }
    if context.terminal.json {
        let drift: Vec<Json> = drift.iter().map(told).collect();
        context.terminal.json_line(&answer("drift", json!({ "drift": drift, "left": left })));
        return Ok(if args.detailed_exitcode && counted > 0 { Exit::Changes } else { Exit::Done });
    }
    for field in &left {
        context.terminal.status(&format!("left alone: {field}"));
    }
    if drift.is_empty() {
        context.terminal.status(&format!("{}: everything is as it was applied", green("no drift")));
    } else {
        context.terminal.data(&views::plan::drift(&drift, context.terminal.width));
        context.terminal.status(&format!("{} drifted.", plural(counted, "thing")));
        if counted > 0 {
            context
                .terminal
                .status("Next: --revert puts it back, --accept ADDR takes it for right, --ignore ADDR leaves it");
            let one = drift.iter().flat_map(|d| selection::all(&d.address, &d.fields, &d.children)).next();
            if let Some(one) = one {
                context.terminal.status(&format!("      of one field, like --revert '{one}'"));
            }
        }
    }
    Ok(if args.detailed_exitcode && counted > 0 { Exit::Changes } else { Exit::Done })
}

/// A plan that puts back drift and nothing else: shown, agreed to, applied; then drift is looked for again.
async fn revert(selections: Vec<Selection>, consent: &Consent, mut stage: Stage, context: &Context) -> Result<Exit> {
    let project = stage.loaded.place.project.clone();
    let request = Request { mode: Mode::RevertDrift, revert: selections, ..Request::default() };
    let fresh = Fresh { command: "drift --revert", plan: None, release: None, request: request.clone() };
    let before = stage.subject.state.serial;
    let exit = Box::pin(plan_and_apply_on(&mut stage, &project, fresh, consent, context)).await?;
    stage.subject.state = place::snapshot(&stage.ledger).await?;
    if exit != Exit::Done || stage.subject.state.serial == before {
        return Ok(exit);
    }
    still_there(request, stage, context).await
}

/// Whether what a run was to put back is put back, after it was resumed.
///
/// # Errors
/// What keeps drift from being looked for.
pub(crate) async fn what_is_left(plan: &Plan, mut stage: Stage, context: &Context) -> Result<Exit> {
    let acted = plan.nodes.iter().filter(|n| n.action != ActionWord::Read);
    let meant = acted.flat_map(|node| match selection::by_field(node) {
        Some(names) => {
            names.iter().map(|n| Selection::of(&node.address, n.part.as_deref(), n.path.as_deref())).collect()
        }
        None => vec![Selection::from(node.address.clone())],
    });
    let request = Request { mode: Mode::RevertDrift, revert: meant.collect(), ..Request::default() };
    stage.subject.state = place::snapshot(&stage.ledger).await?;
    still_there(request, stage, context).await
}

/// Looks for drift again: what a service says that it put back is not believed unseen.
async fn still_there(request: Request, stage: Stage, context: &Context) -> Result<Exit> {
    // What no longer drifts cannot be named: the whole is looked at, and what was meant is looked for in it.
    let whole = request.revert.iter().map(|s| Selection::from(s.address.clone())).collect();
    let made = stage.make(context, &Request { revert: whole, ..request.clone() }).await?;
    stage.discard(&made.attachment, context).await;
    let is_left = |node: &&Planned| {
        let mut meant = request.revert.iter().filter(|s| s.is_for(&node.address)).peekable();
        let drifted = of_node(node, false);
        node.action != ActionWord::Read
            && (meant.peek().is_none() || meant.any(|s| s.inside.is_none() || picked(&drifted, s).is_some()))
    };
    let left: Vec<&str> = made.plan.nodes.iter().filter(is_left).map(|n| n.address.as_str()).collect();
    if left.is_empty() {
        context.terminal.status(&format!("{}: looked again, and it is put back", green("no drift")));
        return Ok(Exit::Done);
    }
    Err(Error::new("drift_left", format!("looked again, and this still drifts: {}", left.join(", ")))
        .because("the platform says that it put it back, or somebody changed it once more")
        .hint("terrace drift shows it"))
}

/// All drift of a plan: what applying leaves, what it puts back, and what is gone.
fn of_plan(plan: &Plan, stage: &Stage) -> Vec<Drift> {
    let mut found: BTreeMap<Address, Drift> = plan.drift.iter().map(|d| (d.address.clone(), d.clone())).collect();
    for node in &plan.nodes {
        let gone =
            matches!(node.action, ActionWord::Create) && stage.subject.state.resources.contains_key(&node.address);
        let Drift { fields, children, .. } = ignore::without(of_node(node, gone), stage);
        if fields.is_empty() && children.is_empty() && !gone {
            continue;
        }
        let nothing = of_node(&Planned { fields: Vec::new(), children: Vec::new(), ..node.clone() }, gone);
        let drift = found.entry(node.address.clone()).or_insert(nothing);
        for field in fields {
            if !drift.fields.contains(&field) {
                drift.fields.push(field);
            }
        }
        drift.children.extend(children);
    }
    found.into_values().collect()
}

/// What drifted of a node that will put it back, as it happened.
fn of_node(node: &Planned, gone: bool) -> Drift {
    let drifted = |f: &&FieldChange| f.cause != Cause::Declared;
    let children = node
        .children
        .iter()
        .map(|c| ChildChange { fields: c.fields.iter().filter(drifted).map(as_it_happened).collect(), ..c.clone() })
        .filter(|c| !c.fields.is_empty())
        .map(|c| match c.action {
            // What would be made again was deleted.
            ActionWord::Create => ChildChange { action: ActionWord::Delete, fields: Vec::new(), ..c },
            _ => c,
        });
    Drift {
        address: node.address.clone(),
        fields: node.fields.iter().filter(drifted).map(as_it_happened).collect(),
        children: children.collect(),
        ignored: None,
        gone,
    }
}

/// The part of some drift that a selection means; `None` where it means nothing of it.
fn picked(drift: &Drift, selection: &Selection) -> Option<Drift> {
    if !selection.is_for(&drift.address) {
        return None;
    }
    if selection.inside.is_none() {
        return Some(drift.clone());
    }
    let fields = drift.fields.iter().filter(|f| selection.has_field(None, &f.path)).cloned().collect();
    let children = drift.children.iter().filter_map(|child| {
        let fields = child.fields.iter().filter(|f| selection.has_field(Some(&child.name), &f.path)).cloned();
        let picked = ChildChange { fields: fields.collect(), ..child.clone() };
        (selection.has_part(&child.name) || !picked.fields.is_empty()).then_some(picked)
    });
    let picked = Drift { fields, children: children.collect(), gone: false, ..drift.clone() };
    (!picked.fields.is_empty() || !picked.children.is_empty()).then_some(picked)
}

/// What is told where a selection means nothing that drifted.
fn not_drifted(selection: &Selection, drifts: &[Drift], stage: &Stage) -> Error {
    let known = &stage.subject.state.resources;
    if !known.keys().any(|address| selection.is_for(address)) {
        let error = Error::new("not_in_state", format!("nothing is remembered under {}", selection.address));
        let known = known.keys().map(Address::as_str);
        return error.hint(suggest::nearest(selection.address.as_str(), known).map_or_else(
            || "terrace state list shows what there is".to_owned(),
            |near| format!("did you mean `{near}`?"),
        ));
    }
    let there: Vec<Selection> = drifts
        .iter()
        .filter(|d| selection.is_for(&d.address))
        .flat_map(|d| selection::all(&d.address, &d.fields, &d.children))
        .collect();
    let hint = selection::hint(selection, &there).filter(|_| selection.inside.is_some());
    Error::new("no_drift", format!("nothing of {selection} drifted"))
        .hint(hint.unwrap_or_else(|| "terrace drift shows what did; terrace state list shows what there is".to_owned()))
}

/// Drift as JSON, each field with the word that selects it.
fn told(drift: &Drift) -> Json {
    let select = |part: Option<&str>, path: Option<&str>| Selection::of(&drift.address, part, path).to_string();
    let mut told = json!(drift);
    let name = |entry: &mut Json, part: Option<&str>, path: Option<&str>| entry["select"] = select(part, path).into();
    for (entry, field) in told["fields"].as_array_mut().into_iter().flatten().zip(&drift.fields) {
        name(entry, None, Some(&field.path));
    }
    for (entry, child) in told["children"].as_array_mut().into_iter().flatten().zip(&drift.children) {
        name(entry, Some(&child.name), None);
        for (entry, field) in entry["fields"].as_array_mut().into_iter().flatten().zip(&child.fields) {
            name(entry, Some(&child.name), Some(&field.path));
        }
    }
    told
}

/// A field that will be put back, the other way round: from what was applied to what somebody made of it.
fn as_it_happened(field: &FieldChange) -> FieldChange {
    match field.cause {
        Cause::Drift => FieldChange { before: field.after.clone(), after: field.before.clone(), ..field.clone() },
        Cause::Declared | Cause::DriftLeft => field.clone(),
    }
}
