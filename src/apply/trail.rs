//! What the chain of audit says of runs: that one begins, is taken up again, and how it ended.

use crate::{
    apply::{Error, Options},
    base::{Event, Events, RunEnd},
    state::{
        Actor, Run, Store,
        audit::{self, Act, Deed},
    },
    world::Caller,
};
use jiff::Timestamp;

/// Records that a run begins, with what it passes; before that nothing of it is done.
///
/// # Errors
/// A storage that fails.
pub(super) async fn begins(store: &Store, options: &Options, run: &Run, caller: Caller) -> Result<(), Error> {
    let passage = &options.warrant.passage;
    let passed = [("hotfix", &passage.hotfix), ("break_glass", &passage.break_glass)];
    let passed = passed.into_iter().filter_map(|(what, why)| Some((what.to_owned(), why.clone()?))).collect();
    let by = Actor { arn: caller.arn, id: caller.user_id, person: run.person.clone() };
    let act = Act { passed, ..of(run, by, options, run.started, Deed::RunStarted) };
    audit::record(&**store.ledger(), &act).await?;
    Ok(())
}

/// Records that a run is taken up again, perhaps by somebody else than who began it.
///
/// # Errors
/// As [`begins`].
pub(super) async fn resumes(
    store: &Store,
    options: &Options,
    run: &Run,
    caller: Caller,
    at: Timestamp,
) -> Result<(), Error> {
    let by = Actor { arn: caller.arn, id: caller.user_id, person: options.record.person.clone() };
    let act = of(run, by, options, at, Deed::RunResumed);
    audit::record(&**store.ledger(), &Act { what: options.record.command.clone(), ..act }).await?;
    Ok(())
}

/// Records how a run ended. What was done is done, so a storage that fails now is said and changes nothing else.
pub(super) async fn ended(
    store: &Store,
    events: &dyn Events,
    options: &Options,
    run: &Run,
    (end, at): (RunEnd, Timestamp),
) {
    let by = Actor { arn: run.caller.clone(), id: String::new(), person: options.record.person.clone() };
    let outcome = serde_json::to_value(end).ok().and_then(|word| word.as_str().map(str::to_owned));
    let act = Act { outcome, ..of(run, by, options, at, Deed::RunEnded) };
    if let Err(failure) = audit::record(&**store.ledger(), &act).await {
        let message = format!("how the run ended could not be written to the audit trail: {failure}");
        events.emit(Event::Notice { message });
    }
}

fn of(run: &Run, by: Actor, options: &Options, at: Timestamp, deed: Deed) -> Act {
    Act {
        plan: Some(run.plan.clone()),
        release: run.release.clone(),
        run: Some(run.id.clone()),
        reason: options.record.reason.clone(),
        ..Act::new(at, by, &options.record.from, deed, run.command.clone())
    }
}
