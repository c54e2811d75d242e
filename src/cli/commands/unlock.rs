//! `terrace unlock`: breaks the lock of a state whose owner is gone.

use crate::cli::{
    audited,
    context::Context,
    error::{Error, Result},
    exit::Exit,
    loaded::load,
    place,
};
use crate::state::audit::Deed;

/// Arguments of `unlock`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan, and the id that the message about the lock shows
    #[arg(value_names = ["PLAN", "ID"], num_args = 1..=2, required = true)]
    words: Vec<String>,
}

/// Breaks the lock. Whoever holds it can write no more.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let (plan, id) = match args.words.as_slice() {
        [plan, id] => (Some(plan.as_str()), id),
        [id] => (None, id),
        _ => return Err(Error::usage("usage", "write terrace unlock [PLAN] ID")),
    };
    let loaded = load(context, plan)?;
    let chosen = loaded.choose(context).await?;
    let ledger = place::ledger(context, &loaded, &chosen)?;
    match ledger.holder().await? {
        None => Err(Error::new("not_locked", "nobody holds the lock of this state")),
        Some(holder) if holder.id == *id => {
            let what = format!("unlock {id}, held by {} on {}", holder.who, holder.host);
            audited::record(context, &loaded, &chosen, &ledger, (Deed::Unlock, what)).await?;
            ledger.break_lock(id).await?;
            let (who, host, pid) = (&holder.who, &holder.host, holder.pid);
            context.terminal.status(&format!("broke the lock of {who} on {host} (process {pid})"));
            Ok(Exit::Done)
        }
        Some(holder) => Err(Error::new("wrong_lock", format!("the lock has another id than `{id}`")).hint(format!(
            "`{}` by {} on {} has held it since {}: terrace unlock {}",
            holder.command, holder.who, holder.host, holder.since, holder.id
        ))),
    }
}
