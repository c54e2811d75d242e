//! What a run is given and what it leaves.

use crate::{
    apply::{Interrupt, Warrant},
    base::{Address, Diagnostic, Diagnostics, RunEnd, Value},
    gate::Reason,
    plan::{Moved, Saved},
    state::{RunId, StateError},
    world::Failure,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many effects run at once, at most.
    pub parallelism: usize,
    /// How to stop it.
    pub interrupt: Interrupt,
    /// Whether live fingerprints are all checked before anything starts: for a saved plan. Each thing is checked again just
    /// before it is touched in any case.
    pub check_fresh: bool,
    /// Who runs it and why.
    pub record: RunFacts,
    /// By what right.
    pub warrant: Warrant,
}

/// What the run record says of its circumstances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// `apply`, `destroy`.
    pub command: String,
    /// The person, where known.
    pub person: Option<String>,
    /// The CI job.
    pub ci: Option<String>,
    /// The commit, with `-dirty` where files differ from it.
    pub commit: Option<String>,
    /// `--reason`.
    pub reason: Option<String>,
    /// From where: the CI job, else the machine.
    pub from: String,
}

/// What a run left.
#[derive(Debug)]
pub struct Report {
    /// Its id.
    pub run: RunId,
    /// How it ended.
    pub end: RunEnd,
    /// What failed, the first cause first.
    pub failures: Vec<(Address, String)>,
    /// What goes beyond the approved plan.
    pub beyond: Vec<(Address, String)>,
    /// What needs a person: what, why, and the command.
    pub stuck: Vec<(Address, String, String)>,
    /// What undoing did to each.
    pub undone: Vec<(Address, String, bool)>,
    /// A plan for what is left, where something went beyond the approved one.
    pub rest: Option<Box<Saved>>,
    /// The root's outputs, in clear.
    pub outputs: BTreeMap<Arc<str>, Value>,
    /// How many were created, updated, replaced, destroyed.
    pub counts: BTreeMap<String, u64>,
    /// By the world's clock.
    pub elapsed: Duration,
}

/// Why a run did not begin, or could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This version, or the plan itself, forbids it.
    #[error("the plan is refused")]
    Refused(Vec<Diagnostic>),
    /// A gate of the environment is shut.
    #[error("{env} does not take it: {}", .reasons.iter().map(Reason::sentence).collect::<Vec<_>>().join("; "))]
    NotEligible {
        /// The environment.
        env: std::sync::Arc<str>,
        /// How the release is named in commands.
        release: String,
        /// Every reason.
        reasons: Vec<Reason>,
    },
    /// The world or the state moved since the plan was made.
    #[error("the plan is stale")]
    Stale(Vec<Moved>),
    /// An earlier run was cut off.
    #[error("run {run} ({command}) was cut off and is still open; `terrace resume` finishes it")]
    RunOpen {
        /// Its id.
        run: RunId,
        /// Its command.
        command: String,
    },
    /// There is nothing to resume.
    #[error("no run is open, so there is nothing to resume")]
    NothingOpen,
    /// The plan of the open run is not there or can't be read.
    #[error("the plan of run {run} can't be read: {why}")]
    PlanLost {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// Problems in the configuration.
    #[error("{} problems", .0.0.len())]
    Problems(Diagnostics),
    /// State could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The world could not be asked who is calling.
    #[error(transparent)]
    World(#[from] Failure),
    /// A defect: something could not be encoded.
    #[error("could not be encoded: {0}")]
    Encoding(#[from] serde_json::Error),
}

impl From<Diagnostics> for Error {
    fn from(problems: Diagnostics) -> Self {
        Self::Problems(problems)
    }
}
