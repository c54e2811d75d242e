//! What is remembered, record by record. State is the fold of its records; the journal of a run is among them.

use crate::{
    base::{ActionWord, Address, Digest, RunEnd, Value},
    rollout,
    state::Delivered,
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The id of a run: sortable by time, unique.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Arc<str>);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// How far a resource has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Applied; its `verify` blocks have not passed yet.
    Applied,
    /// Applied, and all its `verify` blocks passed (also where it has none).
    Verified,
    /// Its creation failed and could not be taken back: planned as a replace.
    Tainted,
}

/// What is remembered of one resource (rule 7).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Resource {
    /// Its address.
    pub address: Address,
    /// What identifies it in its world.
    pub identity: Json,
    /// The connection it was made over, so that it can be destroyed when nothing declares it any more.
    pub connection: Json,
    /// Last-applied inputs, sealed.
    pub inputs: Value,
    /// Digests of last-applied documents.
    pub documents: BTreeMap<String, Digest>,
    /// What others may refer to, sealed.
    pub exports: Value,
    /// What it was applied after.
    pub dependencies: Vec<Address>,
    /// Its phase.
    pub phase: Arc<str>,
    /// Whether its last-applied declaration protects it (rule 14).
    pub prevent_destroy: bool,
    /// How far it has come.
    pub status: Status,
    /// NIST controls it claims.
    pub controls: Vec<String>,
    /// The run that applied it last.
    pub run: RunId,
    /// When.
    pub at: jiff::Timestamp,
}

/// Everything that is known of a run but its journal.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// `apply`, `destroy`, ...
    pub command: String,
    /// When it began.
    pub started: jiff::Timestamp,
    /// The digest of the plan it applies.
    pub plan: Digest,
    /// The release that it brings; `None` where it was planned from the working folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<Digest>,
    /// The digest of the configuration.
    pub configuration: Digest,
    /// The caller, as the identity service names it.
    pub caller: String,
    /// The person, where known.
    pub person: Option<String>,
    /// The CI job.
    pub ci: Option<String>,
    /// The commit, with `-dirty` where files differ from it.
    pub commit: Option<String>,
    /// `--reason`.
    pub reason: Option<String>,
    /// The version of terrace.
    pub version: String,
    /// Whether it was limited by `--target`.
    pub targeted: bool,
    /// How it ended; `None` while it is open.
    pub end: Option<(RunEnd, jiff::Timestamp)>,
    /// How many were created, updated, replaced, destroyed, failed.
    pub counts: BTreeMap<String, u64>,
}

/// Why an effect is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The plan asks for it.
    Apply,
    /// It puts something back.
    Undo,
    /// It puts back single fields that somebody changed, which undoing the phase does not bring back.
    Revert,
    /// It clears a cluster before the stack that makes it is deleted.
    Drain,
}

/// The durable word that precedes every effect.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Intent {
    /// Unique in the state; the idempotency token is made of it.
    pub id: Arc<str>,
    /// The run.
    pub run: RunId,
    /// What is touched.
    pub address: Address,
    /// Its phase.
    pub phase: Arc<str>,
    /// What is done.
    pub action: ActionWord,
    /// Why.
    pub purpose: Purpose,
    /// What identifies the thing, as far as known before the effect.
    pub identity: Json,
    /// The connection.
    pub connection: Json,
    /// What is needed to undo it, sealed; `None` where the thing did not exist.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "crate::base::present")]
    pub image: Option<Value>,
    /// The resource as it stood in state before; `None` where it was not there.
    pub former: Option<Box<Resource>>,
    /// The call must start before this moment (rule 21).
    pub start_by: jiff::Timestamp,
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum Outcome {
    /// It took effect.
    Done {
        /// A few words: "revision 3".
        note: String,
    },
    /// It failed, and the thing is as it was.
    Failed {
        /// The first cause.
        why: String,
        /// True where no answer came in time: it may have taken effect all the same.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        unknown: bool,
    },
    /// It never started.
    NotDone,
    /// Nobody knows, or it is half done: a person is needed.
    Stuck {
        /// What was found.
        why: String,
        /// The command to run.
        command: String,
    },
}

/// The last result of a `verify` or `check`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// Passed.
    pub passed: bool,
    /// What was measured.
    pub said: String,
    /// The digest of the declaration that was measured: a changed one is due again.
    pub declaration: Digest,
    /// When.
    pub at: jiff::Timestamp,
    /// The last tries that led to it, oldest first; ten at most.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub measurements: Vec<Reading>,
}

/// One try of a probe.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reading {
    /// When.
    pub at: jiff::Timestamp,
    /// Whether it passed.
    pub passed: bool,
    /// What was found.
    pub said: String,
    /// The number, where one was asked for, as the server wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
}

/// A decision to leave some drift alone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IgnoredDrift {
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: jiff::Timestamp,
}

/// A decision to leave one field of a thing to whoever sets it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IgnoredField {
    /// The part that it is in; the thing itself where `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<Arc<str>>,
    /// Where in it.
    pub path: Arc<str>,
    /// Why, by whom, when.
    #[serde(flatten)]
    pub decision: IgnoredDrift,
}

impl IgnoredField {
    /// Whether a question about part and path is answered with yes for this one.
    pub fn is_of(&self, asks: impl Fn(Option<&str>, &str) -> bool) -> bool {
        asks(self.part.as_deref(), &self.path)
    }
}

/// Drift inside a thing that somebody took for right: until it moves again, it is no drift.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AcceptedDrift {
    /// Each part and property with both its values, sealed.
    pub what: BTreeSet<Arc<str>>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Who.
    pub by: String,
    /// When.
    pub at: jiff::Timestamp,
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub enum Record {
    /// A resource is now so.
    Resource(Box<Resource>),
    /// A resource is no longer remembered.
    Gone {
        /// Which.
        address: Address,
    },
    /// A resource is remembered under another address.
    Moved {
        /// Before.
        from: Address,
        /// After.
        to: Address,
    },
    /// The root's outputs are now these, sealed.
    Outputs {
        /// By name.
        values: BTreeMap<Arc<str>, Value>,
    },
    /// A `verify` (by address and label) or `check` was measured.
    Verdict {
        /// `helm.istiod/ready`, `phase.cluster/nodes`, `check.web`.
        subject: Arc<str>,
        /// The result.
        verdict: Verdict,
    },
    /// Drift of one address is to be left alone.
    Ignored {
        /// Which.
        address: Address,
        /// The decision; `None` takes it back.
        decision: Option<IgnoredDrift>,
    },
    /// These fields of one address are left to whoever sets them, and no others.
    IgnoredFields {
        /// Of which.
        address: Address,
        /// All of them.
        fields: Vec<IgnoredField>,
    },
    /// Drift inside one address is taken for right.
    Accepted {
        /// Of which.
        address: Address,
        /// What; `None` takes it back.
        drift: Option<AcceptedDrift>,
    },
    /// Which cluster a connection meets, recorded at first contact.
    Cluster {
        /// The connection, as JSON text.
        connection: Arc<str>,
        /// The cluster's identity.
        identity: Arc<str>,
    },
    /// Something that promotions are judged by.
    Delivered(Delivered),
    /// Something happened to a rollout.
    Rollout {
        /// What is rolled out: an address without a colour.
        unit: Address,
        /// When.
        at: jiff::Timestamp,
        /// What.
        #[serde(flatten)]
        fact: rollout::Fact,
    },
    /// A run began.
    RunStarted(Box<Run>),
    /// An effect is about to be made.
    Intent(Box<Intent>),
    /// An effect ended.
    Outcome {
        /// The intent.
        intent: Arc<str>,
        /// How.
        outcome: Outcome,
    },
    /// A phase of a run passed its gate.
    PhasePassed {
        /// The run.
        run: RunId,
        /// The phase.
        phase: Arc<str>,
    },
    /// The undoing of a phase began: from here on a resumed run goes on undoing, not applying.
    UndoStarted {
        /// The run.
        run: RunId,
        /// The phase.
        phase: Arc<str>,
        /// The failed address.
        because: Address,
        /// Whose fault it is to be undone; nothing in records of before this was kept.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        fault: Option<rollout::Fault>,
    },
    /// A run ended.
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        end: RunEnd,
        /// When.
        at: jiff::Timestamp,
        /// How many were created, updated, replaced, destroyed, failed.
        counts: BTreeMap<String, u64>,
    },
}
