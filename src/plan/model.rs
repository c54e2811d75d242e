//! What a plan is: a content that is digested and approved, and an attachment that is neither (rule 11).
//!
//! The content is canonical: the same inputs give the same bytes. It holds no secret: sensitive leaves are sealed.

use crate::{
    base::{ActionWord, Address, Color, Diagnostic, Digest, Value},
    kinds::{ChildChange, Condition, FieldChange, Holdings, Undo},
    lang::configuration::OnFailure,
    plan::{Judgement, connect::Connections},
    rollout::Spec,
    world::AwsConnection,
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

/// The version of the plan format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What kind of plan it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Make the world as declared.
    #[default]
    Normal,
    /// Destroy everything that state remembers.
    Destroy,
    /// Only take over into state what is live.
    RefreshOnly,
    /// Only put back what drifted.
    RevertDrift,
    /// Only take over what the request names.
    Import,
    /// Only ask again whatever verifies what is there.
    Verify,
    /// Only retire colours that have no traffic any more: debts of rollouts that were approved (rule 35).
    Retire,
}

impl Mode {
    /// True where a plan of this mode may hold such an action. Gates and rules are asked by the mode, so that one that asks none must not
    /// do what they are there for.
    #[must_use]
    pub const fn allows(self, action: ActionWord) -> bool {
        use ActionWord::{Create, Delete, Forget, Import, NoOp, Read, Replace, Shift, Update, Verify};
        match self {
            Self::Normal => true,
            Self::Destroy => !matches!(action, Create | Update | Replace | Import | Shift),
            Self::RevertDrift => !matches!(action, Delete | Replace | Import | Forget | Shift),
            Self::RefreshOnly => matches!(action, NoOp | Read | Import | Forget),
            Self::Import => matches!(action, NoOp | Read | Import | Update | Verify),
            Self::Verify => matches!(action, NoOp | Read | Verify),
            Self::Retire => matches!(action, NoOp | Read | Delete | Forget),
        }
    }

    /// True where nothing is touched but what the plan names: what is declared beside that is as state remembers it.
    #[must_use]
    pub const fn only_what_it_names(self) -> bool {
        matches!(self, Self::RevertDrift | Self::Import | Self::Verify | Self::Retire)
    }
}

/// Which world, account and region: shown first, and pinned (rule 1).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WorldId {
    /// `sandbox` or `aws`.
    pub name: Arc<str>,
    /// The account.
    pub account: Arc<str>,
    /// The region.
    pub region: Arc<str>,
}

/// The state a plan was made from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StateId {
    /// Its lineage; empty where there was no state yet.
    pub lineage: Arc<str>,
    /// Its serial.
    pub serial: u64,
}

/// What a plan is about and was made from.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of terrace that made it.
    pub terrace: String,
    /// The project's name.
    pub project: Arc<str>,
    /// The plan's label.
    pub plan: Arc<str>,
    /// The plan's folder in the project.
    pub folder: Arc<str>,
    /// The environment.
    pub env: Arc<str>,
    /// Rule 23.
    pub protected: bool,
    /// The world.
    pub world: WorldId,
    /// Clusters that the settings put in the place of the plan's own: which, by the label of the `kubernetes` block.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub clusters: BTreeMap<String, String>,
    /// What kind of plan it is.
    pub mode: Mode,
    /// `--target`, in order.
    pub targets: Vec<Address>,
    /// `--replace`, in order.
    pub replace: Vec<Address>,
    /// True where state stood in for reading (`--offline`).
    pub offline: bool,
    /// The release that it is a plan of; `None` where it was made from the working folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<Digest>,
    /// The digest of every file that was read.
    pub configuration: Digest,
    /// The state.
    pub state: StateId,
}

/// A plan's content.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// What it is about.
    pub header: Header,
    /// The phases in order.
    pub phases: Vec<PlannedPhase>,
    /// Every node, by phase, then dependencies, then address; removals last, in the order of their destruction.
    pub nodes: Vec<Planned>,
    /// The root's outputs that change.
    pub outputs: BTreeMap<Arc<str>, OutputChange>,
    /// Drift that applying leaves alone, and drift that somebody decided to ignore, by address.
    pub drift: Vec<Drift>,
    /// Colours that are kept warm beside what has the traffic, by address.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub debts: Vec<Debt>,
    /// Warnings, and what a person should know before applying.
    pub notes: Vec<Diagnostic>,
    /// What rules found; nothing where nobody asked any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub judgement: Option<Judgement>,
    /// Variables as they were given, sealed.
    pub variables: BTreeMap<Arc<str>, Value>,
    /// Every file it was made from, by path: what apply reads instead of the folder.
    pub sources: BTreeMap<String, SourceText>,
}

/// The content of a file in a saved plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceText {
    /// UTF-8.
    Text(Arc<str>),
    /// Anything else, base64.
    Base64(String),
    /// A folder's listing.
    Folder(Vec<String>),
}

/// A phase as planned.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PlannedPhase {
    /// Its name.
    pub name: Arc<str>,
    /// Its description.
    pub description: Option<String>,
    /// Phases before it.
    pub after: Vec<Arc<str>>,
    /// What a failure in it means.
    pub on_failure: OnFailure,
    /// Labels of its gate.
    pub gate: Vec<Arc<str>>,
    /// Controls that blocks of its gate prove, by label.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub proves: BTreeMap<Arc<str>, Vec<String>>,
}

/// When a node has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// In its phase.
    Phase,
    /// After all phases have passed (rule 13).
    Removal,
}

/// Why a resource is planned later (rule 12).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum DeferReason {
    /// Its connection needs something that is not applied yet.
    Connection {
        /// `kubernetes.main`.
        connection: String,
    },
    /// Its instances are not known yet.
    Instances,
    /// What identifies it is not known yet.
    Identity,
    /// It reads something that is not there yet.
    AbsentPrerequisite {
        /// What.
        what: String,
    },
    /// What it depends on is itself deferred and may change it.
    DeferredPrerequisite,
    /// `--offline`, or the world was not asked.
    NotAsked,
}

/// What may be done once a deferred resource is re-planned.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Deferral {
    /// Why.
    #[serde(flatten)]
    pub reason: DeferReason,
    /// What it waits for, in order.
    pub waits_for: Vec<Address>,
    /// The most that may be done: create where state has none, else update; replace or delete only where listed.
    pub ceiling: Vec<ActionWord>,
    /// The digest of the declaration.
    pub declaration: Digest,
}

/// One node of a plan.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Planned {
    /// Which.
    pub address: Address,
    /// Its phase; empty for data sources, which have none.
    pub phase: Arc<str>,
    /// When it has its turn.
    pub moment: Moment,
    /// What is done. `Defer` where `deferral` is there.
    pub action: ActionWord,
    /// Why that, where the fields do not say it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<String>,
    /// Fields that differ; for a create the inputs; sealed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub fields: Vec<FieldChange>,
    /// Parts that differ.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub children: Vec<ChildChange>,
    /// What a look ahead told and apply must hold to: a chart's digest, capabilities.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub facts: BTreeMap<String, Json>,
    /// Whether it can be undone.
    pub undo: Undo,
    /// True where what is replaced or destroyed holds data.
    pub stateful: bool,
    /// The condition of the live thing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<Condition>,
    /// Of the live thing; apply refuses where it has moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fingerprint: Option<Digest>,
    /// Why it is planned later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deferral: Option<Deferral>,
    /// Where it lives, where that is another account or region than the environment's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<AwsConnection>,
    /// Its former address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub moved_from: Option<Address>,
    /// The identity it is imported by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub import: Option<Json>,
    /// Inputs in normal form, sealed: known leaves must be the same at apply, unknown ones may only be filled.
    #[serde(skip_serializing_if = "Value::is_null", default = "null")]
    pub inputs: Value,
    /// Digests of documents.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub documents: BTreeMap<String, Digest>,
    /// What identifies the thing, as far as known.
    #[serde(skip_serializing_if = "Json::is_null", default)]
    pub identity: Json,
    /// Labels of its `verify` blocks that will run.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub verify: Vec<Arc<str>>,
    /// NIST controls that it claims; of a check, those that it proves.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub controls: Vec<String>,
    /// Controls that its `verify` blocks prove, by label, whether or not they are due.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub proves: BTreeMap<Arc<str>, Vec<String>>,
    /// Whose traffic moves and how, for a [`ActionWord::Shift`]: its address is that of what is rolled out, without a colour.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rollout: Option<Box<Shift>>,
    /// Declarations it comes after.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub after: Vec<Address>,
    /// What it holds that costs something or takes room, on both sides: what reviews reckon with.
    #[serde(skip_serializing_if = "Holdings::is_empty", default)]
    pub holdings: Holdings,
}

impl Planned {
    /// How many of its parts are replaced or destroyed, where it stays itself.
    #[must_use]
    pub fn parts_that(&self, action: ActionWord) -> usize {
        let stays = matches!(self.action, ActionWord::Update | ActionWord::Import | ActionWord::Shift);
        if stays { self.children.iter().filter(|child| child.action == action).count() } else { 0 }
    }
}

const fn null() -> Value {
    Value::NULL
}

/// A rollout as it is approved. Aborting it, the undo of its phase and retiring what it leaves are part of that (rules 33 and
/// 35).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Shift {
    /// What has the traffic; `None` where this is the first installation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Color>,
    /// What is to get it.
    pub to: Color,
    /// What is asked: steps, times, and what judges them.
    pub spec: Spec,
    /// True where the new one is there already, and was proved: all its traffic comes back at once.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub switch: bool,
}

/// A colour that has no traffic any more and is still there (rule 35).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Debt {
    /// Which.
    pub address: Address,
    /// When it is due to be retired.
    pub due: jiff::Timestamp,
    /// Why it never got to stay, where its rollout was aborted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
}

/// An output that changes.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OutputChange {
    /// Before; absent where it is new.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "crate::base::present")]
    pub before: Option<Value>,
    /// After; absent where it goes.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "crate::base::present")]
    pub after: Option<Value>,
}

/// Drift that applying leaves alone.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Drift {
    /// Of which.
    pub address: Address,
    /// Fields of the thing itself.
    pub fields: Vec<FieldChange>,
    /// Parts that drifted: resources of a stack.
    pub children: Vec<ChildChange>,
    /// The reason it is ignored, where somebody decided so.
    pub ignored: Option<String>,
    /// True where the thing is gone altogether.
    pub gone: bool,
}

/// What belongs to one making of a plan and not to its content.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Attachment {
    /// When it was made.
    pub made: Option<jiff::Timestamp>,
    /// Who made it: no approver of it, unless the environment lets authors approve.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub author: Option<crate::state::Actor>,
    /// The end of the chain of audit when it was made, where that could be read: a comment keeps it outside of the state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub audit: Option<crate::state::audit::Anchor>,
    /// What previews left, by address: change sets.
    pub previews: BTreeMap<Address, Left>,
}

/// Something that a preview left in the world.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Left {
    /// Where.
    pub connections: Connections,
    /// What, as its kind names it.
    pub attachment: Json,
}

/// A plan with its attachment, as a file holds it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Saved {
    /// The content.
    pub content: Plan,
    /// The digest of the content: what is approved.
    pub digest: Digest,
    /// The attachment.
    pub attachment: Attachment,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// To create.
    pub create: usize,
    /// To update in place.
    pub update: usize,
    /// To replace.
    pub replace: usize,
    /// To destroy.
    pub destroy: usize,
    /// To take over.
    pub import: usize,
    /// To let go of.
    pub forget: usize,
    /// To move.
    pub moved: usize,
    /// Planned later.
    pub deferred: usize,
    /// Only to verify.
    pub verify: usize,
    /// Whose traffic moves.
    pub shift: usize,
    /// To read.
    pub read: usize,
    /// Without a change.
    pub unchanged: usize,
    /// Parts to replace of things that stay: a database of a stack that is updated.
    #[serde(default)]
    pub parts_replace: usize,
    /// Parts to destroy of things that stay.
    #[serde(default)]
    pub parts_destroy: usize,
}

impl Plan {
    /// The digest of the content.
    ///
    /// # Errors
    /// A sensitive leaf that was not sealed, which is a defect.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Digest::of_json(self)
    }

    /// How many of what, in all or in one phase.
    #[must_use]
    pub fn counts(&self, phase: Option<&str>) -> Counts {
        let mut counts = Counts::default();
        for node in self.nodes.iter().filter(|n| phase.is_none_or(|p| &*n.phase == p)) {
            if node.moved_from.is_some() {
                counts.moved += 1;
            }
            counts.parts_replace += node.parts_that(ActionWord::Replace);
            counts.parts_destroy += node.parts_that(ActionWord::Delete);
            match node.action {
                ActionWord::Create => counts.create += 1,
                ActionWord::Update => counts.update += 1,
                ActionWord::Replace => counts.replace += 1,
                ActionWord::Delete => counts.destroy += 1,
                ActionWord::Import => counts.import += 1,
                ActionWord::Forget => counts.forget += 1,
                ActionWord::Defer => counts.deferred += 1,
                ActionWord::Verify => counts.verify += 1,
                ActionWord::Shift => counts.shift += 1,
                ActionWord::Read => counts.read += 1,
                ActionWord::NoOp => counts.unchanged += 1,
            }
        }
        counts
    }

    /// True where applying would do something: to the world, to state or to outputs.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.outputs.is_empty()
            || self
                .nodes
                .iter()
                .any(|n| n.moved_from.is_some() || !matches!(n.action, ActionWord::NoOp | ActionWord::Read))
    }

    /// The node of an address.
    #[must_use]
    pub fn node(&self, address: &Address) -> Option<&Planned> {
        self.nodes.iter().find(|n| &n.address == address)
    }
}
