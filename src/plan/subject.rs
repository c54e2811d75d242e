//! What a plan is made from, and what was asked.

use crate::{
    base::{Address, Diagnostic, Diagnostics, Digest, Value},
    graph::Graph,
    kinds::{Marks, PlanOutputs, Programs},
    lang::{Configuration, Sources, evaluate::Given},
    plan::{Mode, Selection, WorldId},
    state::{SealKey, Snapshot, StateError},
    world::{AwsConnection, Failure, Ledger, World},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Everything a plan is made from. Cheap to clone.
#[derive(Clone)]
pub struct Subject {
    /// What the plan files say.
    pub configuration: Arc<Configuration>,
    /// Its graph.
    pub graph: Arc<Graph>,
    /// The environment's values and the root's variables.
    pub given: Given,
    /// Files.
    pub sources: Arc<dyn Sources>,
    /// The world.
    pub world: Arc<dyn World>,
    /// The environment's own account and region.
    pub aws: AwsConnection,
    /// The project's name.
    pub project: Arc<str>,
    /// Rule 23.
    pub protected: bool,
    /// What state remembers.
    pub state: Snapshot,
    /// How secrets are sealed.
    pub seal: SealKey,
    /// Where state is kept: what a preview leaves in the world is noted there first (rule 11).
    pub ledger: Arc<dyn Ledger>,
    /// Outputs of other plans.
    pub plan_outputs: PlanOutputs,
    /// Clusters that take the place of those that the plan's `kubernetes` blocks name, and which were met.
    pub clusters: crate::plan::Clusters,
    /// Where programs lie that terrace.toml names.
    pub programs: Programs,
    /// The release whose files these are; `None` for those of the working folder.
    pub release: Option<Digest>,
}

/// The digest of what an environment gives to a plan: its variables, sealed, and its world.
///
/// # Errors
/// A value that is not sealed: a defect.
pub fn values_digest(variables: &BTreeMap<Arc<str>, Value>, world: &WorldId) -> Result<Digest, serde_json::Error> {
    Digest::of_json(&serde_json::to_value((variables, world))?)
}

impl Subject {
    /// The names by which things are marked as ours.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks {
            project: self.project.clone(),
            plan: self.configuration.label.clone(),
            env: self.given.env.name.clone(),
            world: self.world.name().into(),
            account: self.aws.account_id.as_str().into(),
            region: self.aws.region.as_str().into(),
        }
    }

    /// Whether all that verifies is asked, whatever it said last: where that is what is wanted, and where another release comes
    /// than the one that is there and verified. What did not change may have broken all the same.
    #[must_use]
    pub fn verifies_all(&self, mode: Mode) -> bool {
        let there = self.state.delivery.current();
        let comes = |release: &Digest| !there.is_some_and(|c| c.held.release() == Some(release) && c.is_verified());
        mode == Mode::Verify || (mode == Mode::Normal && self.release.as_ref().is_some_and(comes))
    }

    /// Clusters in the place of the plan's own, in words, by label.
    #[must_use]
    pub fn other_clusters(&self) -> BTreeMap<String, String> {
        self.clusters.instead().iter().map(|(label, cluster)| (label.clone(), cluster.spoken())).collect()
    }

    /// World, account and region.
    #[must_use]
    pub fn world_id(&self) -> WorldId {
        WorldId {
            name: self.world.name().into(),
            account: self.aws.account_id.as_str().into(),
            region: self.aws.region.as_str().into(),
        }
    }
}

/// What was asked of a plan.
#[derive(Debug, Clone)]
pub struct Request {
    /// What kind of plan is asked for.
    pub mode: Mode,
    /// Of which the drift is put back: things, parts, fields; all where it is empty. Only for [`Mode::RevertDrift`].
    pub revert: Vec<Selection>,
    /// Colours that are retired whether they are due or not; with none named, all that are due. Only for [`Mode::Retire`].
    pub retire: Vec<Address>,
    /// What is taken over, by the text of its id, beside what `import` blocks say.
    pub imports: BTreeMap<Address, String>,
    /// `--target`.
    pub targets: Vec<Address>,
    /// `--replace`.
    pub replace: Vec<Address>,
    /// State stands in for reading.
    pub offline: bool,
    /// Kinds whose programs are not started: of these state stands in, too (rule 42).
    pub spared: BTreeSet<String>,
    /// Whether previews are made: change sets, rendered charts.
    pub change_sets: bool,
    /// Whether drift inside stacks is looked for.
    pub drift: bool,
    /// How many reads run at once.
    pub parallelism: usize,
    /// How long reading one thing may take.
    pub read_timeout: Duration,
}

impl Request {
    /// Whether a thing of this kind is read, and state does not stand in for it.
    #[must_use]
    pub fn reads(&self, kind: &str) -> bool {
        !self.offline && !self.spared.contains(kind)
    }
}

impl Default for Request {
    fn default() -> Self {
        Self {
            mode: Mode::Normal,
            revert: Vec::new(),
            retire: Vec::new(),
            imports: BTreeMap::new(),
            targets: Vec::new(),
            replace: Vec::new(),
            offline: false,
            spared: BTreeSet::new(),
            change_sets: true,
            drift: true,
            parallelism: 32,
            read_timeout: Duration::from_secs(300),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Problems that a person can mend, all of them.
    #[error("{} problems", .0.0.len())]
    Problems(Diagnostics),
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A defect: something could not be encoded.
    #[error("the plan could not be encoded: {0}")]
    Encoding(#[from] serde_json::Error),
}

impl From<Diagnostics> for Error {
    fn from(problems: Diagnostics) -> Self {
        Self::Problems(problems)
    }
}

/// A failed look at the world as a diagnostic about an address.
#[must_use]
pub fn world_problem(address: &Address, failure: &Failure) -> Diagnostic {
    let mut diagnostic =
        Diagnostic::error("world", format!("{address} could not be read")).because(failure.to_string());
    diagnostic.hint.clone_from(&failure.hint);
    diagnostic
}
