//! What happens during a run, as one closed enum that views subscribe to.
//!
//! The core emits; the human view, the JSON lines and the quiet view each decide what to show.

use crate::base::Address;
use std::{sync::Arc, time::Duration};

/// What is done to a thing, in the words of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionWord {
    /// Nothing to do.
    NoOp,
    /// Does not exist yet.
    Create,
    /// Changed in place.
    Update,
    /// Destroyed and made anew, or made anew and then destroyed.
    Replace,
    /// Destroyed.
    Delete,
    /// Read only: a data source.
    Read,
    /// Taken over as it is.
    Import,
    /// Let go of without being destroyed.
    Forget,
    /// Planned once what it waits for is applied.
    Defer,
    /// Only verified again.
    Verify,
    /// Traffic is moved from one colour to the other.
    Shift,
}

impl ActionWord {
    /// The word as a person reads it: `create`, `no change`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoOp => "no change",
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "destroy",
            Self::Read => "read",
            Self::Import => "import",
            Self::Forget => "forget",
            Self::Defer => "defer",
            Self::Verify => "verify",
            Self::Shift => "shift",
        }
    }

    /// The sign that stands before an address; a space where nothing is done.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::NoOp => " ",
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "-/+",
            Self::Delete => "-",
            Self::Read => "<=",
            Self::Import => "&",
            Self::Forget => ".",
            Self::Defer => "?",
            Self::Verify => "=",
            Self::Shift => ">",
        }
    }
}

/// How the work on one node ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum NodeEnd {
    /// Done as planned.
    Done,
    /// Failed; the platform's words.
    Failed {
        /// What happened, first cause first.
        why: String,
    },
    /// Left as it is in its middle, because a person asked to stop; `resume` goes on with it.
    Left {
        /// Where it is.
        why: String,
    },
    /// Not started because something it needs failed.
    Skipped {
        /// The first cause.
        because: Address,
    },
    /// Not started because the run was interrupted or halted.
    NotStarted,
    /// What was found goes beyond what was approved (rule 12).
    BeyondPlan {
        /// What was found.
        why: String,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// All done.
    Succeeded,
    /// Something failed; what was applied stays.
    Failed,
    /// Something failed and the phase was undone.
    RolledBack,
    /// Something failed and not all of the phase could be undone: a person is needed.
    Stuck,
    /// Something goes beyond the approved plan; a plan for the rest is written.
    BeyondPlan,
    /// Interrupted; `resume` goes on.
    Interrupted,
}

/// One thing that happened.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// Reading what is live began.
    ObserveStarted {
        /// How many declarations will be read.
        total: usize,
    },
    /// One more thing was read.
    Observed {
        /// Which.
        address: Address,
    },
    /// A run began.
    RunStarted {
        /// Its id.
        run: Arc<str>,
        /// `apply`, `destroy`, `resume`.
        command: Arc<str>,
        /// How many nodes have work.
        total: usize,
    },
    /// A phase began.
    PhaseStarted {
        /// Its name.
        phase: Arc<str>,
        /// How many nodes in it have work.
        total: usize,
    },
    /// A phase ended.
    PhaseEnded {
        /// Its name.
        phase: Arc<str>,
        /// Whether everything in it is applied and verified.
        passed: bool,
        /// By the world's clock.
        elapsed: Duration,
    },
    /// Work on a node began.
    NodeStarted {
        /// Which.
        address: Address,
        /// Its phase.
        phase: Arc<str>,
        /// What is done.
        action: ActionWord,
    },
    /// The platform said something about a running node.
    NodeProgress {
        /// Which.
        address: Address,
        /// Its last word.
        message: String,
    },
    /// A call failed in a way that is tried again.
    NodeRetried {
        /// Which.
        address: Address,
        /// How many times it was tried.
        attempt: u32,
        /// How long until the next.
        after: Duration,
        /// Why.
        why: String,
    },
    /// A cluster is being drained, before what makes it is destroyed.
    DrainStarted {
        /// What is to be destroyed.
        address: Address,
        /// The cluster, as in the middle of a sentence.
        cluster: String,
        /// How many objects go.
        total: usize,
    },
    /// One object that was to be drained is gone.
    Drained {
        /// What is to be destroyed.
        address: Address,
        /// The object: `Service shop/web`.
        object: String,
        /// How many are still to go.
        left: usize,
    },
    /// Work on a node ended.
    NodeEnded {
        /// Which.
        address: Address,
        /// Its phase.
        phase: Arc<str>,
        /// What was done.
        action: ActionWord,
        /// How it ended.
        #[serde(flatten)]
        end: NodeEnd,
        /// By the world's clock.
        elapsed: Duration,
    },
    /// Undoing a phase began.
    UndoStarted {
        /// The phase.
        phase: Arc<str>,
        /// How many things will be undone.
        total: usize,
    },
    /// One thing was undone, kept or could not be undone.
    Undone {
        /// Which.
        address: Address,
        /// What was done: "deleted", "put back to revision 3", "kept: prevent_destroy".
        what: String,
        /// False where a person is needed.
        ok: bool,
    },
    /// Something a person should know that belongs to no node.
    Notice {
        /// What.
        message: String,
    },
    /// A run ended.
    RunEnded {
        /// How.
        outcome: RunEnd,
        /// By the world's clock.
        elapsed: Duration,
    },
}

/// Where events go. Emitting never blocks and never fails.
pub trait Events: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn emit(&self, _event: Event) {}
}
