//! `terrace sandbox`: the embedded world; looking into it, changing things behind Terrace's back, making calls fail.

use crate::{
    base::format_duration,
    cli::{
        args::{duration, key_value},
        context::Context,
        error::{Error, Result},
        exit::Exit,
        place::open_sandbox,
        style::dim,
        views::{json::answer, table},
    },
    world::sandbox::{Drift, Fault, FaultKind, Halfway, Sandbox},
};
use serde_json::json;
use std::time::Duration;

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What there is in it
    Show {
        /// Only this: stack, resource, loose, cluster, addon, release, object, rule, target-group, secret, parameter, image
        #[arg(value_name = "KIND")]
        kind: Option<String>,
        /// Also how often each operation was called
        #[arg(long)]
        calls: bool,
    },
    /// Forget everything in it
    Reset,
    /// Change or delete a thing, as somebody with a console would
    Drift {
        /// stack/NAME/LOGICAL, loose/TYPE/ID, object/NAMESPACE/KIND/NAME, addon/CLUSTER/NAME, insight/CLUSTER/NAME, metric/TEXT, alarm/NAME, secret/NAME, parameter/NAME or image/REFERENCE
        target: String,
        /// What to set, by dotted path; may be repeated
        #[arg(long, value_name = "PATH=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// Delete it
        #[arg(long, conflicts_with = "set")]
        delete: bool,
        /// Only in this account, region or cluster
        #[arg(long, value_name = "PLACE")]
        place: Option<String>,
    },
    /// Make calls fail; without an operation, list the faults
    Fault(FaultArgs),
    /// Let time jump
    Advance {
        /// How far, like 24h
        #[arg(value_parser = duration)]
        by: Duration,
    },
}

#[derive(Debug, clap::Args)]
struct FaultArgs {
    /// Which calls, with `*`: `cloudformation:ExecuteChangeSet`, `helm:*`
    operation: Option<String>,
    /// What happens
    #[arg(value_enum, requires = "operation")]
    kind: Option<Kind>,
    /// Only calls about this, with `*`: a stack's name, NAMESPACE/RELEASE
    #[arg(long, value_name = "SUBJECT")]
    on: Option<String>,
    /// From the Nth matching call on
    #[arg(long, value_name = "N", default_value_t = 1)]
    nth: u64,
    /// So many calls
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "always")]
    times: u64,
    /// Every call from there on
    #[arg(long)]
    always: bool,
    /// With fail: which part fails, with `*`
    #[arg(long, value_name = "PART")]
    part: Option<String>,
    /// With fail: the reason, in the service's words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// With fail: the way back fails as well
    #[arg(long)]
    stuck: bool,
    /// Remove this fault, or all
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "all", conflicts_with = "operation")]
    clear: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The caller may not do this
    Deny,
    /// Too many calls
    Throttle,
    /// No answer, and nothing happened
    TimeoutBefore,
    /// No answer, but it happened
    TimeoutAfter,
    /// What is started fails part-way
    Fail,
    /// Never an answer
    Hang,
    /// The process dies before the effect
    CrashBefore,
    /// The process dies after the effect
    CrashAfter,
    /// A read shows what was there before
    StaleRead,
}

/// Does it.
pub(crate) fn run(args: Args, context: &Context) -> Result<Exit> {
    let project = context.project()?;
    if matches!(args.what, What::Reset) {
        // Also where it is damaged and cannot be opened.
        Sandbox::erase(&project.sandbox_folder())?;
        context.terminal.status("the embedded world is empty");
        context.terminal.status(&dim("states still remember what was in it: plans will create it anew"));
        return Ok(Exit::Done);
    }
    let sandbox = open_sandbox(context, &project)?;
    match args.what {
        What::Reset => {}
        What::Show { kind, calls } => show(&sandbox, kind.as_deref(), calls, context)?,
        What::Drift { target, set, delete, place } => {
            if set.is_empty() && !delete {
                return Err(Error::usage("usage", "say what changes: --set PATH=VALUE, or --delete"));
            }
            sandbox.drift(&Drift { target: target.clone(), set, delete, place })?;
            context.terminal.status(&format!("{} {target}", if delete { "deleted" } else { "changed" }));
        }
        What::Fault(fault) => faults(&sandbox, fault, context)?,
        What::Advance { by } => {
            let now = sandbox.advance(by)?;
            if context.terminal.json {
                context.terminal.json_line(&answer("sandbox_time", json!({ "now": now })));
            } else {
                context.terminal.status(&format!("{} later: it is now {now}", format_duration(by)));
            }
        }
    }
    Ok(Exit::Done)
}

fn show(sandbox: &Sandbox, kind: Option<&str>, calls: bool, context: &Context) -> Result<()> {
    let show = sandbox.show(kind)?;
    if context.terminal.json {
        context.terminal.json_line(&answer("sandbox", json!({ "sandbox": show })));
        return Ok(());
    }
    context.terminal.status(&dim(format!("it is {} in the embedded world", show.now)));
    if show.rows.is_empty() {
        context.terminal.status("nothing is in it");
    } else {
        let rows: Vec<Vec<String>> =
            show.rows.into_iter().map(|row| vec![row.kind, row.place, row.name, row.status, row.detail]).collect();
        context.terminal.data(&table::render(&["kind", "place", "name", "status", "detail"], &rows));
    }
    if calls {
        let rows: Vec<Vec<String>> = show.calls.into_iter().map(|(name, n)| vec![name, n.to_string()]).collect();
        context.terminal.data(&format!("\n{}", table::render(&["operation", "calls"], &rows)));
    }
    if !show.faults.is_empty() {
        context.terminal.data(&format!("\n{}", list(&show.faults)));
    }
    Ok(())
}

fn faults(sandbox: &Sandbox, args: FaultArgs, context: &Context) -> Result<()> {
    if let Some(clear) = &args.clear {
        let id = Some(clear.as_str()).filter(|id| *id != "all");
        let count = sandbox.clear_faults(id)?;
        if let (0, Some(id)) = (count, id) {
            return Err(Error::new("unknown_fault", format!("there is no fault `{id}`"))
                .hint("`terrace sandbox fault` lists them"));
        }
        context.terminal.status(&format!("removed {count}"));
        return Ok(());
    }
    let Some(operation) = args.operation else {
        let faults = sandbox.faults()?;
        if context.terminal.json {
            context.terminal.json_line(&answer("faults", json!({ "faults": faults })));
        } else if faults.is_empty() {
            context.terminal.status("no faults");
        } else {
            context.terminal.data(&list(&faults));
        }
        return Ok(());
    };
    let kind = match args.kind {
        Some(Kind::Deny) => FaultKind::Deny,
        Some(Kind::Throttle) => FaultKind::Throttle,
        Some(Kind::TimeoutBefore) => FaultKind::TimeoutBefore,
        Some(Kind::TimeoutAfter) => FaultKind::TimeoutAfter,
        Some(Kind::Fail) => FaultKind::FailHalfway(Halfway { reason: args.reason, part: args.part, stuck: args.stuck }),
        Some(Kind::Hang) => FaultKind::Hang,
        Some(Kind::CrashBefore) => FaultKind::Crash { after: false },
        Some(Kind::CrashAfter) => FaultKind::Crash { after: true },
        Some(Kind::StaleRead) => FaultKind::StaleRead,
        None => return Err(Error::usage("usage", "say what happens, like: terrace sandbox fault 'helm:*' throttle")),
    };
    let mut fault = Fault::new(operation, kind).from_call(args.nth).times((!args.always).then_some(args.times));
    fault.subject = args.on;
    let id = sandbox.add_fault(&fault)?;
    if context.terminal.json {
        context.terminal.json_line(&answer("fault", json!({ "id": id })));
    } else {
        context.terminal.data(&format!("{id}\n"));
    }
    Ok(())
}

fn list(faults: &[Fault]) -> String {
    let row = |fault: &Fault| {
        let kind = serde_json::to_value(&fault.kind).unwrap_or_default();
        let kind = kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
        let last = match fault.times {
            None => format!("from {} on", fault.nth),
            Some(1) => format!("call {}", fault.nth),
            Some(times) => format!("calls {} to {}", fault.nth, fault.nth.saturating_add(times).saturating_sub(1)),
        };
        let subject = fault.subject.clone().unwrap_or_else(|| "*".to_owned());
        vec![fault.id.clone(), fault.operation.clone(), subject, kind, last, fault.seen.to_string()]
    };
    let rows: Vec<Vec<String>> = faults.iter().map(row).collect();
    table::render(&["fault", "operation", "on", "what", "strikes", "calls so far"], &rows)
}
