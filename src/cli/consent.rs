//! Whether somebody agrees to a change: a yes on a terminal or a flag, and in protected environments more than that
//! (rule 23).

use crate::{
    base::{ActionWord, Address},
    cli::{
        args::Consent,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        style::{bold, red},
    },
    plan::{Mode, Plan, removal::is_owed},
};

/// Goes on only where somebody agrees to this plan.
///
/// # Errors
/// A no, a flag that is missing, or a wrong name.
pub(crate) fn ask(plan: &Plan, consent: &Consent, context: &Context) -> Result<()> {
    let guarded = plan.header.protected && guard(plan, consent)?;
    let env = &plan.header.env;
    if guarded {
        let question = format!("{} Type the environment's name to go on:", red(format!("{env} is protected.")));
        let name = match &consent.confirm {
            Some(name) => name.clone(),
            None => context.terminal.ask(&question).ok_or_else(|| {
                Error::usage("protected", format!("{env} is protected, and nobody typed its name"))
                    .hint(format!("give --confirm {env}"))
            })?,
        };
        if name != **env {
            return Err(Error::new(
                "protected",
                format!("`{name}` is not the environment's name: nothing was changed"),
            )
            .exit(Exit::NotEligible));
        }
    }
    if consent.auto_approve {
        return Ok(());
    }
    let what = if plan.header.mode == Mode::Destroy { "Destroy all of this" } else { "Do this" };
    let hint = "add --auto-approve, or save a plan with --out and apply that with --auto-approve";
    yes(&format!("{what} in {env}?"), hint, context)
}

/// Asks, and goes on only after a yes. `hint` is what to do where nobody can be asked.
///
/// # Errors
/// A no, an interrupt, or nobody there.
pub(crate) fn yes(question: &str, hint: &str, context: &Context) -> Result<()> {
    match context.terminal.ask(&format!("{} Only `yes` is a yes:", bold(question))).as_deref() {
        Some("yes") => Ok(()),
        Some(_) => {
            context.terminal.status("Nothing was changed.");
            Err(Error::silent(Exit::NotEligible))
        }
        None if context.terminal.can_ask => Err(Error::silent(Exit::Interrupted)),
        None => {
            Err(Error::usage("confirmation_needed", "nothing was changed: nobody is there to agree to it").hint(hint))
        }
    }
}

/// Whether the plan does what a protected environment guards; refused where the flags for it are missing.
fn guard(plan: &Plan, consent: &Consent) -> Result<bool> {
    let destroyed: Vec<&Address> =
        plan.nodes.iter().filter(|n| n.action == ActionWord::Delete && !is_owed(n)).map(|n| &n.address).collect();
    let replaced: Vec<&Address> = plan
        .nodes
        .iter()
        .filter(|n| {
            let itself = n.action == ActionWord::Replace && n.stateful;
            let inside = |c: &crate::kinds::ChildChange| {
                c.stateful && (c.maybe_replace || matches!(c.action, ActionWord::Replace | ActionWord::Delete))
            };
            itself || (n.action != ActionWord::Delete && n.children.iter().any(inside))
        })
        .map(|n| &n.address)
        .collect();
    let env = &plan.header.env;
    if !destroyed.is_empty() && !consent.allow_destroy {
        return Err(Error::new("protected", format!("{env} is protected, and this destroys {}", list(&destroyed)))
            .exit(Exit::NotEligible)
            .hint("where that is meant, add --allow-destroy"));
    }
    let missing: Vec<&Address> = replaced.iter().copied().filter(|a| !consent.allow_replace.contains(a)).collect();
    if !missing.is_empty() {
        let flags: Vec<String> = missing.iter().map(|a| format!("--allow-replace '{a}'")).collect();
        let message = format!("{env} is protected, and this replaces what holds data: {}", list(&missing));
        return Err(Error::new("protected", message)
            .exit(Exit::NotEligible)
            .hint(format!("where that is meant, add {}", flags.join(" "))));
    }
    Ok(!destroyed.is_empty() || !replaced.is_empty())
}

fn list(addresses: &[&Address]) -> String {
    let shown: Vec<&str> = addresses.iter().take(5).map(|a| a.as_str()).collect();
    match addresses.len() {
        0..=5 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), more - 5),
    }
}
