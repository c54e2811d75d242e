//! `terrace drift`: what changed behind Terrace's back, and what becomes of it: put back, taken for right, left alone.

mod accept;
mod edit;

use crate::{
    base::{ActionWord, Address},
    cli::{
        args::{Consent, PlanArg},
        commands::apply::{Fresh, plan_and_apply_on},
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place,
        stage::{self, Stage},
        style::green,
        surroundings::Surroundings,
        variables,
        views::{self, diagnostics::plural, json::answer},
    },
    kinds::{Cause, ChildChange, FieldChange, kind},
    plan::{Drift, Mode, Plan, Request},
    state::{IgnoredDrift, Record},
};
use serde_json::json;
use std::collections::BTreeMap;

/// Arguments of `drift`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Put back the drift of this, or of all that nobody decided to leave alone
    #[arg(long, value_name = "ADDR", num_args = 0.., conflicts_with_all = ["accept", "ignore", "heed"])]
    revert: Option<Vec<Address>>,
    /// Take what is live in this for right, and say what to edit so that it stays so
    #[arg(long, value_name = "ADDR", num_args = 1.., conflicts_with_all = ["ignore", "heed"])]
    accept: Vec<Address>,
    /// Leave the drift of this alone from now on; may be repeated
    #[arg(long, value_name = "ADDR", requires = "reason", conflicts_with = "heed")]
    ignore: Vec<Address>,
    /// Tell of the drift of this again, ignored or accepted; may be repeated
    #[arg(long, value_name = "ADDR")]
    heed: Vec<Address>,
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
        return revert(addresses.clone(), &args.consent, stage, context).await;
    }
    if !args.accept.is_empty() {
        return accept::run(&args.accept, args.consent.reason.as_deref(), &stage, context).await;
    }
    if !args.ignore.is_empty() || !args.heed.is_empty() {
        return decide(&args, &stage, context).await;
    }
    // Only a look ahead tells what drifted inside charts and manifests.
    let made = stage.make(context, &Request::default()).await?;
    stage.discard(&made.attachment, context).await;
    let drift = of_plan(&made.plan, &stage);
    let counted = drift.iter().filter(|d| d.ignored.is_none()).count();
    if context.terminal.json {
        context.terminal.json_line(&answer("drift", json!({ "drift": drift })));
    } else if drift.is_empty() {
        context.terminal.status(&format!("{}: everything is as it was applied", green("no drift")));
    } else {
        context.terminal.data(&views::plan::drift(&drift, context.terminal.width));
        context.terminal.status(&format!("{} drifted.", plural(counted, "thing")));
        if counted > 0 {
            context
                .terminal
                .status("Next: --revert puts it back, --accept ADDR takes it for right, --ignore ADDR leaves it");
        }
    }
    Ok(if args.detailed_exitcode && counted > 0 { Exit::Changes } else { Exit::Done })
}

/// A plan that puts back drift and nothing else: shown, agreed to, applied; then drift is looked for again.
async fn revert(addresses: Vec<Address>, consent: &Consent, mut stage: Stage, context: &Context) -> Result<Exit> {
    let project = stage.loaded.place.project.clone();
    let request = Request { mode: Mode::RevertDrift, revert: addresses, ..Request::default() };
    let fresh = Fresh { command: "drift --revert", plan: None, request: request.clone() };
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
    let request =
        Request { mode: Mode::RevertDrift, revert: acted.map(|n| n.address.clone()).collect(), ..Request::default() };
    stage.subject.state = place::snapshot(&stage.ledger).await?;
    still_there(request, stage, context).await
}

/// Looks for drift again: what a service says that it put back is not believed unseen.
async fn still_there(request: Request, stage: Stage, context: &Context) -> Result<Exit> {
    let made = stage.make(context, &request).await?;
    stage.discard(&made.attachment, context).await;
    let left: Vec<&str> =
        made.plan.nodes.iter().filter(|n| n.action != ActionWord::Read).map(|n| n.address.as_str()).collect();
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
        let drifted = |f: &&FieldChange| f.cause != Cause::Declared;
        let fields: Vec<FieldChange> = node.fields.iter().filter(drifted).map(as_it_happened).collect();
        let children: Vec<ChildChange> = node
            .children
            .iter()
            .map(|c| ChildChange { fields: c.fields.iter().filter(drifted).map(as_it_happened).collect(), ..c.clone() })
            .filter(|c| !c.fields.is_empty())
            .map(|c| match c.action {
                // What would be made again was deleted.
                ActionWord::Create => ChildChange { action: ActionWord::Delete, fields: Vec::new(), ..c },
                _ => c,
            })
            .collect();
        let gone =
            matches!(node.action, ActionWord::Create) && stage.subject.state.resources.contains_key(&node.address);
        if fields.is_empty() && children.is_empty() && !gone {
            continue;
        }
        let drift = found.entry(node.address.clone()).or_insert_with(|| Drift {
            address: node.address.clone(),
            fields: Vec::new(),
            children: Vec::new(),
            ignored: None,
            gone,
        });
        for field in fields {
            if !drift.fields.contains(&field) {
                drift.fields.push(field);
            }
        }
        drift.children.extend(children);
    }
    found.into_values().collect()
}

/// A field that will be put back, the other way round: from what was applied to what somebody made of it.
fn as_it_happened(field: &FieldChange) -> FieldChange {
    match field.cause {
        Cause::Drift => FieldChange { before: field.after.clone(), after: field.before.clone(), ..field.clone() },
        Cause::Declared | Cause::DriftLeft => field.clone(),
    }
}

async fn decide(args: &Args, stage: &Stage, context: &Context) -> Result<Exit> {
    let store = place::open_store(context, &stage.loaded.place.project, &stage.ledger, "drift").await?;
    let by = context.surroundings.person().unwrap_or("somebody").to_owned();
    let checked = store.with(|snapshot| {
        place::no_open_run(snapshot)?;
        for address in args.ignore.iter().chain(&args.heed) {
            if !snapshot.resources.contains_key(address) {
                return Err(Error::new("not_in_state", format!("nothing is remembered under {address}"))
                    .hint("terrace state list shows what there is"));
            }
        }
        // Only what an apply leaves alone anyway can be left alone by a decision.
        let put_back = |a: &&Address| kind(a.kind()).is_some_and(|kind| !kind.drifts_inside());
        if let Some(address) = args.ignore.iter().find(put_back) {
            return Err(Error::new("ignored_in_declaration", format!("drift of {address} is put back by every apply"))
                .because("what it is made of is what is declared")
                .hint("name the fields that others may set: lifecycle { ignore_changes = [..] }, with the paths that terrace drift shows"));
        }
        Ok(())
    });
    if checked.is_ok() {
        let reason = args.consent.reason.clone().unwrap_or_default();
        let decision = IgnoredDrift { reason, by, at: Surroundings::now() };
        let ignored = args.ignore.iter().map(|a| (a, Some(decision.clone())));
        let records = ignored.chain(args.heed.iter().map(|a| (a, None)));
        let records = records.map(|(address, decision)| Record::Ignored { address: address.clone(), decision });
        let heeded = args.heed.iter().map(|a| Record::Accepted { address: a.clone(), drift: None });
        store.commit(records.chain(heeded).collect()).await?;
    }
    store.close().await?;
    checked?;
    for address in &args.ignore {
        context.terminal.status(&format!("drift of {address} is left alone from now on"));
    }
    for address in &args.heed {
        context.terminal.status(&format!("drift of {address} is told of again"));
    }
    Ok(Exit::Done)
}
