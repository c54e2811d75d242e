//! One look at the world for one instance: what is live, and what would change.

use crate::{
    base::{Address, Digest},
    kinds::{Context, Desired, Difference, Kind, Observed, Owner, Preview},
    plan::{Left, Subject, clusters, connect, decide::prior, instance::Instance},
    state::Resource,
    world::{Failure, Ledger, Outcome},
};
use serde_json::Value as Json;
use std::{sync::Arc, time::Duration};

/// What was seen.
#[derive(Debug, Default)]
pub struct Look {
    /// What is live.
    pub observed: Option<Observed>,
    /// What would change, where only the world can tell.
    pub preview: Option<Preview>,
    /// What is wanted, where `ignore_changes` makes that another thing than what is declared.
    pub kept: Option<Desired>,
    /// True where it is gone because the cluster that it was in is gone, by the word of whoever makes that.
    pub gone_along: bool,
}

/// When to look ahead at what would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookAhead {
    /// Never.
    Never,
    /// Where anything may differ from what is wanted.
    Differs,
    /// Also where nothing does: what it comes to is asked for.
    Always,
}

/// How to look.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// State stands in for reading.
    pub offline: bool,
    /// When to look ahead.
    pub ahead: LookAhead,
    /// In all.
    pub timeout: Duration,
    /// Whether a plan is made, and nothing done yet.
    pub planning: bool,
}

/// Looks.
///
/// # Errors
/// Whatever keeps us from knowing what is live.
pub async fn look(
    subject: &Subject,
    instance: &Instance,
    remembered: Option<&Resource>,
    import: Option<&Json>,
    how: How,
) -> Outcome<Look> {
    let kind = instance.kind;
    let known = remembered.map(|r| &r.identity).or(import);
    let Some(identity) = known.or(instance.desired.identity.as_ref()) else { return Ok(Look::default()) };
    if how.offline || (remembered.is_some() && !kind.reads(identity)) {
        let owner = Owner::Ours(instance.address.to_string());
        let observed = remembered.map(|r| Observed::remembered(&prior(r), owner));
        return Ok(Look { observed, ..Look::default() });
    }
    if known.is_none() && !kind.reads(identity) {
        return Ok(Look::default());
    }
    let mut context = connect::context(subject, &instance.address, &instance.connections, how.timeout, quiet())?;
    context.outlook.clone_from(&instance.outlook);
    context.planning = how.planning;
    context.written = instance.evaluated.inputs.clone();
    if let Some(resource) = remembered {
        // It may have been remembered by another address.
        context.former = context.former.with(resource.inputs.clone());
    }
    clusters::meet(subject, &subject.state, &instance.address, &instance.connections).await?;
    let observed = context.patiently(|| kind.read(&context, identity, Some(&instance.desired))).await?;
    let known = known.is_some() || observed.is_none();
    let ignore = instance.ignore.as_slice();
    let kept = observed
        .as_ref()
        .filter(|_| !ignore.is_empty())
        .map(|live| kind.leave_ignored(&instance.desired, live, ignore));
    let wanted = kept.as_ref().unwrap_or(&instance.desired);
    let prior = remembered.map(prior);
    let asks = || {
        kind.asks_ahead(&Difference {
            desired: wanted,
            prior: prior.as_ref(),
            observed: observed.as_ref(),
            preview: None,
            ignore,
            seal: &|plain| subject.seal.seal(plain),
        })
    };
    let preview = if how.ahead == LookAhead::Never
        || !known
        || wanted.inputs.has_unknown()
        || !(how.ahead == LookAhead::Always || asks())
    {
        None
    } else {
        preview(subject, &context, kind, instance, wanted, observed.as_ref()).await?
    };
    Ok(Look { observed, preview, kept, gone_along: false })
}

/// A progress listener for looks, which are too short to be told.
#[must_use]
pub fn quiet() -> Arc<dyn Fn(&str) + Send + Sync> {
    Arc::new(|_| {})
}

/// Makes a preview, once what it would leave is noted, so that a kill leaves nothing unknown behind.
async fn preview(
    subject: &Subject,
    context: &Context,
    kind: &dyn Kind,
    instance: &Instance,
    wanted: &Desired,
    observed: Option<&Observed>,
) -> Outcome<Option<Preview>> {
    let token = format!("terrace-{:016x}", subject.world.entropy().next());
    let left = kind.leaves(wanted, observed, &token);
    let left = left.map(|attachment| Left { connections: instance.connections.clone(), attachment });
    if let Some(left) = &left {
        note(&*subject.ledger, &instance.address, left).await?;
    }
    let preview = kind.preview(context, wanted, observed, &token).await;
    let Some(left) = left else { return preview };
    match &preview {
        Ok(Some(preview)) if preview.attachment.is_some() => {}
        Ok(_) => used(&*subject.ledger, &left).await?,
        // What could not be looked at to its end may be there all the same. Where it cannot be taken away now, the note
        // stays for `doctor`.
        Err(_) => drop(discard_one(subject, &instance.address, &left).await),
    }
    preview
}

/// Looks ahead at putting back what drifted inside, and notes what that leaves.
///
/// # Errors
/// As [`Kind::look_at_revert`].
pub async fn look_at_revert(
    subject: &Subject,
    context: &Context,
    kind: &dyn Kind,
    connections: &connect::Connections,
    identity: &Json,
) -> Outcome<Preview> {
    let token = format!("terrace-{:016x}", subject.world.entropy().next());
    let left = |attachment| Left { connections: connections.clone(), attachment };
    let may_leave: Vec<Left> = kind.leaves_revert(identity, &token).into_iter().map(left).collect();
    for one in &may_leave {
        note(&*subject.ledger, &context.address, one).await?;
    }
    let preview = kind.look_at_revert(context, identity, &token).await;
    match &preview {
        Ok(preview) => {
            let kept = preview.attachment.as_ref().map(|attachment| attachment["name"].clone());
            for one in may_leave.iter().filter(|one| Some(&one.attachment["name"]) != kept.as_ref()) {
                used(&*subject.ledger, one).await?;
            }
        }
        // As with a preview: where it cannot be taken away now, the note stays for `doctor`.
        Err(_) => {
            for one in &may_leave {
                drop(discard_one(subject, &context.address, one).await);
            }
        }
    }
    preview
}

/// Where notes of what previews left lie among the ledger's objects.
const NOTES: &str = "previews/";

#[derive(serde::Serialize, serde::Deserialize)]
struct Note {
    address: Address,
    left: Left,
}

fn note_name(left: &Left) -> String {
    let named = left.attachment["name"].as_str().map(|name| Digest::of(name.as_bytes()));
    format!("{NOTES}{}.json", named.unwrap_or_else(|| Digest::of_value(&left.attachment)).short())
}

async fn note(ledger: &dyn Ledger, address: &Address, left: &Left) -> Outcome<()> {
    let note = Note { address: address.clone(), left: left.clone() };
    ledger.put(&note_name(left), &serde_json::to_vec(&note).unwrap_or_default()).await
}

/// What previews of plans left in the world and is still noted, whoever made them.
///
/// # Errors
/// A storage that fails.
pub async fn left(ledger: &dyn Ledger) -> Outcome<Vec<(Address, Left)>> {
    let mut out = Vec::new();
    for name in ledger.list(NOTES).await? {
        let Some(bytes) = ledger.get(&name).await? else { continue };
        if let Ok(note) = serde_json::from_slice::<Note>(&bytes) {
            out.push((note.address, note.left));
        }
    }
    Ok(out)
}

/// Takes away what previews left (rule 11). Goes on after a failure and returns the first.
///
/// # Errors
/// The first thing that could not be taken away; its note stays, so that `doctor` can try again.
pub async fn discard(subject: &Subject, left: impl IntoIterator<Item = (&Address, &Left)>) -> Outcome<()> {
    let jobs = left.into_iter().map(|(address, left)| discard_one(subject, address, left));
    let results: Vec<Result<(), Failure>> = futures::future::join_all(jobs).await;
    results.into_iter().collect()
}

async fn discard_one(subject: &Subject, address: &Address, left: &Left) -> Outcome<()> {
    let Some(kind) = crate::kinds::kind(address.kind()) else { return Ok(()) };
    let context = connect::context(subject, address, &left.connections, Duration::from_secs(120), quiet())?;
    context.patiently(|| kind.discard(&context, &left.attachment)).await?;
    subject.ledger.delete(&note_name(left)).await
}

/// Takes the notes of previews that were executed off the books: executing a change set uses it up.
///
/// # Errors
/// A storage that fails.
pub async fn used(ledger: &dyn Ledger, left: &Left) -> Outcome<()> {
    ledger.delete(&note_name(left)).await
}
