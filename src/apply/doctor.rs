//! Finding what is stuck, and mending what can be mended without a person's judgement.

use crate::{
    base::Address,
    kinds::{Finding, Named, kind},
    plan::{self, Subject, connect, look},
    state::{Intent, Outcome as Ended, Run, Snapshot},
    world::{LockOwner, Outcome},
};
use futures::{StreamExt as _, stream};
use std::{collections::BTreeMap, time::Duration};

/// What was found.
#[derive(Debug, Default)]
pub struct Diagnosis {
    /// Who holds the lock.
    pub lock: Option<LockOwner>,
    /// A run that was cut off, with the effects whose end is not known.
    pub open: Option<(Run, Vec<Intent>)>,
    /// What the last run could not bring to an end: why, and the command that helps. Empty while a run is open.
    pub stuck: Vec<(Address, String, String)>,
    /// Stuck live things.
    pub findings: Vec<(Address, Finding)>,
    /// What could not be examined, and why.
    pub unknown: Vec<(Address, String)>,
    /// What previews of plans left behind.
    pub leftovers: Vec<(Address, plan::Left)>,
}

impl Diagnosis {
    /// True where nothing is wrong.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.open.is_none()
            && self.stuck.is_empty()
            && self.findings.is_empty()
            && self.unknown.is_empty()
            && self.leftovers.is_empty()
    }
}

/// Examines everything that state remembers.
///
/// # Errors
/// A storage that fails. What could not be examined is in the diagnosis.
pub async fn doctor(subject: &Subject, parallelism: usize) -> Outcome<Diagnosis> {
    let state = &subject.state;
    let mut diagnosis = Diagnosis {
        lock: subject.ledger.holder().await?,
        stuck: stuck(state),
        open: state.open_run().map(|run| (run.clone(), state.journal.open().cloned().collect())),
        leftovers: look::left(&*subject.ledger).await?,
        ..Diagnosis::default()
    };
    let jobs = state.resources.values().map(|resource| async move {
        let Some(kind) = kind(resource.address.kind()) else { return (resource.address.clone(), Ok(Vec::new())) };
        let connections = plan::remembered_connections(subject, resource);
        let found = async {
            let timeout = Duration::from_secs(60);
            let context = connect::context(subject, &resource.address, &connections, timeout, look::quiet())?;
            kind.examine(&context, &resource.identity).await
        };
        (resource.address.clone(), found.await)
    });
    let found: Vec<_> = stream::iter(jobs).buffered(parallelism.max(1)).collect().await;
    for (address, result) in found {
        match result {
            Ok(findings) => diagnosis.findings.extend(findings.into_iter().map(|f| (address.clone(), f))),
            Err(failure) => diagnosis.unknown.push((address, failure.to_string())),
        }
    }
    Ok(diagnosis)
}

/// What the last run left stuck, each thing by its last word. What a run does after that begins with a new journal.
fn stuck(state: &Snapshot) -> Vec<(Address, String, String)> {
    if state.open_run().is_some() {
        return Vec::new();
    }
    let mut last: BTreeMap<&Address, Option<(&String, &String)>> = BTreeMap::new();
    for entry in &state.journal.entries {
        let word = match &entry.outcome {
            Some(Ended::Stuck { why, command }) => Some((why, command)),
            _ => None,
        };
        last.insert(&entry.intent.address, word);
    }
    let told = |(address, word): (&Address, Option<(&String, &String)>)| {
        word.map(|(why, command)| (address.clone(), why.clone(), command.clone()))
    };
    last.into_iter().filter_map(told).collect()
}

/// Does the mends that need no judgement and those that `named` decides for an address, and takes leftovers away. Returns what
/// was done.
///
/// # Errors
/// The first mend that failed; the others are not tried after it.
pub async fn mend(
    subject: &Subject,
    diagnosis: &Diagnosis,
    named: &BTreeMap<Address, Named>,
) -> Outcome<Vec<(Address, String)>> {
    let mut done = Vec::new();
    look::discard(subject, diagnosis.leftovers.iter().map(|(a, l)| (a, l))).await?;
    for (address, _) in &diagnosis.leftovers {
        done.push((address.clone(), "took away what a plan had left".to_owned()));
    }
    let mut last: Option<&Address> = None;
    let nothing = Named::default();
    let meant = |(address, finding): &&(Address, Finding)| finding.automatic || named.contains_key(address);
    for (address, _) in diagnosis.findings.iter().filter(meant) {
        if last == Some(address) {
            continue;
        }
        last = Some(address);
        let (Some(kind), Some(resource)) = (kind(address.kind()), subject.state.resources.get(address)) else {
            continue;
        };
        let connections = plan::remembered_connections(subject, resource);
        let timeout = Duration::from_secs(1800);
        let context = connect::context(subject, address, &connections, timeout, look::quiet())?;
        let token = format!("doctor-{:016x}", subject.world.entropy().next());
        for what in kind.mend(&context, &resource.identity, &token, named.get(address).unwrap_or(&nothing)).await? {
            done.push((address.clone(), what));
        }
    }
    Ok(done)
}
