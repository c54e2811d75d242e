//! An environment as its gates see it: recorded facts, arranged so that one release is judged without reading them all.

use crate::{
    base::Digest,
    lang::gates::Gates,
    state::{Delivery, Occupancy, Passage, Progress, RunId, Snapshot, Standing},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// What an environment has seen of one release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The longest time it was verified without a break, among those that have ended.
    longest: Duration,
    /// Since when it is verified now.
    open: Option<Timestamp>,
    /// It was verified at some time.
    pub verified: bool,
    /// How far it came the last time.
    pub progress: Option<Progress>,
    /// Why its last verification failed, where it did.
    pub failure: Option<String>,
    /// Since when it was last there.
    pub since: Option<Timestamp>,
}

impl Seen {
    /// The longest time it was verified without a break, the current one included (rule 30).
    #[must_use]
    pub fn soaked(&self, now: Timestamp) -> Duration {
        let current = self.open.map(|from| now.duration_since(from).max(SignedDuration::ZERO).unsigned_abs());
        self.longest.max(current.unwrap_or_default())
    }

    /// Since when it is verified now, where it is.
    #[must_use]
    pub const fn verified_since(&self) -> Option<Timestamp> {
        self.open
    }
}

/// An environment and its recorded facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its name.
    pub name: Arc<str>,
    /// What it comes after.
    pub after: Vec<Arc<str>>,
    /// The gates that are declared now.
    pub gates: Gates,
    /// The gates that the last run here was made under, where those are other ones: they hold until a run has passed
    /// them (rule 26).
    pub former: Option<Gates>,
    /// What people decided.
    pub standing: Standing,
    /// What is there.
    pub current: Option<Occupancy>,
    /// A run that broke the glass and that nobody else has looked at yet.
    pub unreviewed: Option<RunId>,
    /// Releases that were verified here before what is there now, the newest first: none that was rolled back and not named again.
    verified_before: Vec<Digest>,
    /// The run that is open.
    pub open_run: Option<RunId>,
    /// Why its facts cannot be read, where they cannot: it blocks whatever lies downstream (rule 27).
    pub unreadable: Option<String>,
    /// Releases that were rolled back here and not named again.
    rolled_back: BTreeSet<Digest>,
    seen: HashMap<Digest, Seen>,
}

impl Place {
    /// An environment that nothing is known of.
    #[must_use]
    pub fn new(name: Arc<str>, after: Vec<Arc<str>>, gates: Gates) -> Self {
        Self {
            name,
            after,
            gates,
            former: None,
            standing: Standing::default(),
            current: None,
            unreviewed: None,
            verified_before: Vec::new(),
            open_run: None,
            unreadable: None,
            rolled_back: BTreeSet::new(),
            seen: HashMap::new(),
        }
    }

    /// With what its state records, and what people decided.
    #[must_use]
    pub fn with(mut self, state: &Snapshot, standing: Standing) -> Self {
        self.standing = standing;
        self.open_run = state.open_run().map(|run| run.id.clone());
        self.with_delivery(&state.delivery)
    }

    /// With what people decided.
    #[must_use]
    pub fn decided(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// With what its state records of releases.
    #[must_use]
    pub fn with_delivery(mut self, delivery: &Delivery) -> Self {
        let recorded = delivery.gates.clone().and_then(|json| serde_json::from_value::<Gates>(json).ok());
        self.former = recorded.filter(|gates| *gates != self.gates);
        self.current = delivery.current().cloned();
        self.rolled_back.clone_from(&delivery.rolled_back);
        self.seen.clear();
        for occupancy in &delivery.occupancies {
            let Some(release) = occupancy.held.release() else { continue };
            let seen = self.seen.entry(release.clone()).or_default();
            for stretch in &occupancy.verified {
                seen.verified = true;
                match stretch.until {
                    Some(until) => {
                        let length = until.duration_since(stretch.from).max(SignedDuration::ZERO).unsigned_abs();
                        seen.longest = seen.longest.max(length);
                    }
                    None => seen.open = Some(stretch.from),
                }
            }
            seen.progress = Some(occupancy.progress.clone());
            seen.failure.clone_from(&occupancy.failure);
            seen.since = Some(occupancy.since);
        }
        let here = self.current.as_ref().and_then(|current| current.held.release());
        let verified = delivery.occupancies.iter().rev().filter(|o| !o.verified.is_empty());
        let before = verified.filter_map(|o| o.held.release());
        let mut known = BTreeSet::new();
        self.verified_before = before
            .filter(|release| {
                Some(*release) != here && !delivery.rolled_back.contains(release) && known.insert(*release)
            })
            .cloned()
            .collect();
        let broke = |o: &&Occupancy| matches!(&o.passage, Passage { break_glass: Some(_), .. });
        let due = delivery.occupancies.iter().rev().find(broke).map(|o| o.run.clone());
        self.unreviewed = due.filter(|run| !self.standing.reviewed.contains(run));
        self
    }

    /// The gates that hold: those that are declared, and those that the last run here was made under.
    pub fn all_gates(&self) -> impl Iterator<Item = &Gates> {
        std::iter::once(&self.gates).chain(&self.former)
    }

    /// Those of its `after`, among all that lie upstream.
    pub fn nearest<'a>(&'a self, upstream: &'a [&'a Self]) -> impl Iterator<Item = &'a Self> {
        upstream.iter().copied().filter(|place| self.after.contains(&place.name))
    }

    /// What it has seen of a release; `None` where it was never there.
    #[must_use]
    pub fn seen(&self, release: &Digest) -> Option<&Seen> {
        self.seen.get(release)
    }

    /// The release that it goes back to: the last one that was verified here before, and is revoked nowhere upstream.
    #[must_use]
    pub fn way_back(&self, upstream: &[&Self]) -> Option<&Digest> {
        let revoked = |release: &Digest| upstream.iter().any(|place| place.standing.revoked.contains_key(release));
        self.verified_before.iter().find(|release| !revoked(release))
    }

    /// True where a release was rolled back here and not named again since.
    #[must_use]
    pub fn rolled_back(&self, release: &Digest) -> bool {
        self.rolled_back.contains(release)
    }
}
