//! What a kind is: the one trait behind everything that can be declared.
//!
//! A kind knows its schema, reads what is live, and computes a [`Change`] from desired and observed with a pure function.
//! Effects go through the handles of a [`Context`] only. A kind never prints, never sleeps but by the context's clock, never
//! reads a file but by the context's sources. Retrying effects, journaling and verifying are the executor's work.

use crate::{
    base::{ActionWord, Address, Diagnostic, Diagnostics, Digest, Path, SourceMap, Span, Value},
    kinds::{Context, Footprint, Marks, keep_ignored},
    lang::{Sources, schema::KindSchema},
    world::Outcome,
};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What a declaration wants, after evaluation and after the kind has looked at it. May hold unknown leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The inputs in the kind's normal form: defaults filled in, files replaced by their content or digest. Compared,
    /// shown in the plan, and stored (sealed) as last-applied.
    pub inputs: Value,
    /// Content too big to show or compare as a value, by name (a template's text, a values file): compared by digest.
    pub documents: BTreeMap<String, Arc<str>>,
    /// What identifies the thing in its world, as far as it is known: `{"name": ..}`, `{"namespace": .., "name": ..}`.
    /// `None` where a part of it is unknown.
    pub identity: Option<Json>,
}

/// Who a live thing belongs to, by the marks on it (rule 5).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// This plan in this environment, under this address.
    Ours(String),
    /// Another plan, environment or project; its name for the message.
    Other(String),
    /// Nobody that uses such marks.
    Nobody,
}

/// What is live.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The full identity, with what only the world knows (an ARN, a uid).
    pub identity: Json,
    /// In the shape of [`Desired::inputs`] as far as the world tells; what it has but does not tell (a `NoEcho` parameter, or
    /// everything of a kind that only state remembers) is unknown, and what was applied last stands in for it.
    pub inputs: Value,
    /// Live documents, like [`Desired::documents`].
    pub documents: BTreeMap<String, Arc<str>>,
    /// What others may refer to: outputs, ids.
    pub exports: Value,
    /// By the marks on it.
    pub owner: Owner,
    /// Of everything that matters for freshness; change sets and timestamps left out.
    pub fingerprint: Digest,
    /// A word on its condition where that blocks or colours a change: `ROLLBACK_COMPLETE`, `pending-upgrade (4m, terrace)`.
    pub condition: Option<Condition>,
    /// What the kind needs to undo a change of it (its former template, revision, object). May hold sensitive leaves.
    pub image: Value,
    /// What it holds, where neither inputs nor documents tell that: what a release made.
    pub held: Option<Box<crate::kinds::Held>>,
}

/// A condition of a live thing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Condition {
    /// What the platform calls it.
    pub word: String,
    /// What it means for a change.
    pub effect: ConditionEffect,
    /// What a person can do, a command where there is one.
    pub hint: Option<String>,
}

/// What the condition of a thing begins with that is being deleted, and not gone yet.
pub const BEING_DELETED: &str = "being deleted";

/// What a condition means for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionEffect {
    /// Worth saying.
    Note,
    /// It exists but failed to be made: planned as a replace (delete, then create).
    MustReplace,
    /// It must be mended before anything else.
    Blocks,
}

/// What a look ahead in the world told: a change set, a rendered chart, a dry run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preview {
    /// Changes inside the thing.
    pub children: Vec<ChildChange>,
    /// Facts that are part of the plan's content: a chart's digest, capabilities, a pinned version.
    pub facts: BTreeMap<String, Json>,
    /// What belongs to the attachment and not to the content: a change set's ARN.
    pub attachment: Option<Json>,
    /// True where the world itself says that nothing changes.
    pub nothing: bool,
    /// A new identity or inputs where the look ahead pinned something.
    pub exports: Option<Value>,
    /// What is wrong with what is written, or worth knowing before it is applied: by the input it is about. An error keeps
    /// the plan from being made, and at apply the step from being taken.
    pub remarks: Vec<(Path, Diagnostic)>,
    /// What has to be in the cluster before it and neither is nor is made by itself: types, `apps/v1 Deployment`, and namespaces,
    /// `Namespace shop`. What nothing else in the plan brings is an error.
    pub needs: BTreeMap<String, WrittenAt>,
    /// What it makes of these, in the same words.
    pub brings: BTreeSet<String>,
    /// What its objects take up in the cluster.
    pub footprint: Option<Footprint>,
    /// The same of what stands there now, of one that is a colour.
    pub standing: Option<Footprint>,
    /// What it holds now, and what it will hold, where only rendering it tells.
    pub holdings: Option<crate::kinds::Holdings>,
}

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WrittenAt {
    /// The input that it is in, as far as that leads.
    pub path: Path,
    /// The very place, where it is in a file that an input names.
    pub span: Option<Span>,
}

/// What a plan knows beside a declaration: what it makes of the clusters before or after this one's turn, and what was
/// approved for this one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outlook {
    /// Clusters whose Kubernetes version this plan moves, by name.
    pub clusters: BTreeMap<String, Ahead>,
    /// The facts of the approved plan for this address ([`Preview::facts`] then); empty while planning.
    pub pinned: BTreeMap<String, Json>,
}

/// A cluster whose Kubernetes version a plan moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    /// The version that it will have.
    pub version: String,
    /// What moves it.
    pub by: Address,
    /// True where that has its turn after the one that looks, and moves that one's version too.
    pub later: bool,
}

/// What happens to a part of a thing: a resource of a stack, an object of a chart or manifest.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChildChange {
    /// Its name: a logical id, `Deployment istio-system/istiod`.
    pub name: String,
    /// Its type: `AWS::EC2::Subnet`, `apps/v1 Deployment`.
    pub kind: String,
    /// What happens to it.
    pub action: ActionWord,
    /// Where a replacement is only possible (`Conditional`), not certain.
    pub maybe_replace: bool,
    /// What becomes of the old one, where that is told: `Delete`, `Retain`, `Snapshot`, `ReplaceAndSnapshot`.
    pub policy: Option<String>,
    /// True where the type holds data.
    pub stateful: bool,
    /// The properties.
    pub fields: Vec<FieldChange>,
}

impl ChildChange {
    /// Whether the old one, or a snapshot of it, is still there afterwards: by its deletion policy, or where it is replaced by its
    /// `UpdateReplacePolicy` (`ReplaceAndSnapshot`).
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.policy.as_deref().is_some_and(|policy| policy.contains("Retain") || policy.contains("Snapshot"))
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldChange {
    /// Where, as an expression would write it.
    pub path: String,
    /// Before; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "crate::base::present")]
    pub before: Option<Value>,
    /// After; absent where there will be none.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "crate::base::present")]
    pub after: Option<Value>,
    /// Why it differs.
    pub cause: Cause,
    /// True where this field forces a replacement.
    pub forces_replacement: bool,
    /// What made it change, where the platform tells: a parameter, another resource.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub because: Option<String>,
    /// Who set it, where the platform keeps books of that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<FieldOwner>,
}

/// Who set a field of an object, by the server's books. Source: "Server-Side Apply", managed fields.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldOwner {
    /// What it calls itself: `kubectl-edit`.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// The part of the API that it wrote to, where that is not the object itself: `scale`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subresource: Option<String>,
    /// When, as the server writes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<String>,
    /// Whether the field is ours as well. Where not, only force takes it back.
    pub ours: bool,
}

/// `kubectl-edit (Update at 2026-08-03T00:00:00Z; we do not own it any more)`.
impl std::fmt::Display for FieldOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = self.subresource.as_ref().map(|sub| format!(" of {sub}")).unwrap_or_default();
        let at = self.time.as_ref().map(|time| format!(" at {time}")).unwrap_or_default();
        let owned = if self.ours { "we own it too" } else { "we do not own it any more" };
        write!(f, "{} ({}{of}{at}; {owned})", self.manager, self.operation)
    }
}

/// Why a field differs (rule 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The declaration asks for something new.
    Declared,
    /// Somebody changed it behind our back, and applying puts it back.
    Drift,
    /// Somebody changed it behind our back, and applying leaves it (inside a stack).
    DriftLeft,
}

/// The difference between desired and live, of one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What must be done. Never `Replace` where `Update` would do.
    pub action: ActionWord,
    /// Fields, in order of path; for a create those that are given, for a delete none.
    pub fields: Vec<FieldChange>,
    /// Parts, in the platform's order.
    pub children: Vec<ChildChange>,
    /// Whether it can be undone.
    pub undo: Undo,
    /// What others will see: known exports stay known, the rest is unknown.
    pub exports: Value,
    /// True where what is replaced or deleted holds data (rule 23).
    pub stateful: bool,
    /// Why this action, where the fields do not say it: "tainted", "the namespace changed".
    pub reasons: Vec<String>,
}

/// Whether a change can be undone, said before it is made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "undo", content = "why")]
pub enum Undo {
    /// Yes.
    Full,
    /// All but what is named.
    Partly(String),
    /// No, and why.
    None(String),
}

/// What a kind gets to make a [`Desired`].
#[derive(Clone, Copy)]
pub struct Prepare<'a> {
    /// Which.
    pub address: &'a Address,
    /// Evaluated inputs by the kind's schema; may hold unknown leaves.
    pub inputs: &'a Value,
    /// Where each input is written, for diagnostics.
    pub place: &'a dyn Fn(&Path) -> Option<Span>,
    /// Files.
    pub sources: &'a dyn Sources,
    /// Names and marks.
    pub marks: &'a Marks,
    /// The identity fixed in state at creation, where the thing exists (rule 4).
    pub fixed: Option<&'a Json>,
}

/// What a thing is made of beside the files that preparing it reads: what a release has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingredients {
    /// Charts from elsewhere, with exact versions.
    pub charts: Vec<crate::world::ChartRef>,
    /// Folders of the project that programs read: charts, roots.
    pub folders: Vec<String>,
    /// Files of the project that are run, where there are such.
    pub programs: Vec<String>,
    /// What is chosen anew whenever it is applied, and so cannot be frozen: what, and what to write instead.
    pub floating: Vec<(String, String)>,
    /// Container images that its objects run, as far as they are known without rendering anything.
    pub images: Vec<crate::kinds::Runs>,
    /// What has to be rendered before its images are known.
    pub renderings: Vec<Rendering>,
    /// What rules look at, as far as it is known without rendering anything.
    pub matters: Vec<crate::kinds::Matter>,
}

/// A chart to be rendered for the sake of what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendering {
    /// The chart with its values, in which [`NOT_KNOWN`](crate::kinds::NOT_KNOWN) stands for what is not known.
    pub request: crate::world::ReleaseRequest,
    /// The values that are not known, by their paths.
    pub unknown: Vec<String>,
    /// What no word of it may show.
    pub hidden: crate::base::Hidden,
}

/// What is known when a change is computed.
#[derive(Clone, Copy)]
pub struct Difference<'a> {
    /// What is wanted.
    pub desired: &'a Desired,
    /// What was applied last, where anything was.
    pub prior: Option<&'a Prior>,
    /// What is live, where it is.
    pub observed: Option<&'a Observed>,
    /// What a look ahead told, where one was made.
    pub preview: Option<&'a Preview>,
    /// `ignore_changes`; `*` is all.
    pub ignore: &'a [String],
    /// How secrets are sealed, so that a sensitive leaf can be compared with a stored seal.
    pub seal: &'a dyn Fn(&Json) -> Arc<str>,
}

/// What was applied last, as the state remembers it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Prior {
    /// Last-applied inputs, sealed.
    pub inputs: Value,
    /// Digests of last-applied documents.
    pub documents: BTreeMap<String, Digest>,
    /// Exports, sealed.
    pub exports: Value,
    /// The identity.
    pub identity: Json,
}

/// One effect, as the executor asks for it: create, update or delete (a replacement is a delete and a create).
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// `Create`, `Update` or `Delete`.
    pub action: ActionWord,
    /// What is wanted, every leaf known; absent for a delete.
    pub desired: Option<&'a Desired>,
    /// What is live, read just before; absent for a create.
    pub observed: Option<&'a Observed>,
    /// The identity in state; absent for a create.
    pub identity: Option<&'a Json>,
    /// Makes a repeated call the same call; unique per intent, the same after a crash.
    pub token: &'a str,
    /// The preview's attachment, where it is still good: the change set to execute.
    pub attachment: Option<&'a Json>,
    /// Preview facts that were approved: the chart's digest.
    pub facts: &'a BTreeMap<String, Json>,
}

/// What an effect led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The full identity; `null` after a delete.
    pub identity: Json,
    /// What others may refer to, all known.
    pub exports: Value,
    /// A few words for the record: "revision 3", "12 resources".
    pub note: String,
}

/// What the next apply makes of an effect that failed part-way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// What a create left is tainted, and made anew.
    No,
    /// It is gone on with where the kind's own difference finds something left to do.
    WhereItDiffers,
    /// It is gone on with also where nothing differs, since doing it again does only what is left: what was made and is not ready is
    /// waited for again.
    Always,
}

/// What has to be declared once: two declarations with it would undo each other's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sole {
    /// The part of the cluster that it is, as changes name it; `None` where it is none.
    pub part: Option<Part>,
    /// The same for both; where the kind lives in clusters, within one cluster.
    pub key: Digest,
    /// What is told where two have it; its summary follows "both": `declare Deployment shop/web`.
    pub problem: Diagnostic,
}

/// An object of a cluster, as the changes of charts and manifests name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Its API group.
    pub group: String,
    /// `ConfigMap shop/settings`.
    pub name: String,
}

impl Part {
    /// The object that a part of a change is.
    #[must_use]
    pub fn of(child: &ChildChange) -> Self {
        Self::named(&child.kind, child.name.clone())
    }

    /// An object of this type, `apps/v1 Deployment`.
    #[must_use]
    pub fn named(of_type: &str, name: String) -> Self {
        let group = of_type.split_once('/').map(|(group, _)| group.to_owned()).unwrap_or_default();
        Self { group, name }
    }
}

/// What became of an effect whose end we did not see.
#[derive(Debug, Clone, PartialEq)]
pub enum Recovered {
    /// It was done (waited for, where it was still running).
    Done(Applied),
    /// It never began, or left no trace: the same step may be made again with the same token.
    NotDone,
    /// It failed and the thing is back in its former state.
    Failed(crate::world::Failure),
    /// A person is needed.
    Stuck {
        /// What was found.
        why: String,
        /// The command to run.
        command: String,
    },
}

/// One thing that `doctor` found on a live thing, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// What would be done.
    pub mend: String,
    /// True where `doctor --fix` may do it.
    pub automatic: bool,
}

/// Parts of stuck things that a person gave up, by name: nothing is skipped or kept that nobody named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// Resources that the continued rollback of a stack leaves as they are, by logical id.
    pub skip: Vec<String>,
    /// Resources that deleting a stack leaves behind, by logical id.
    pub retain: Vec<String>,
}

impl Named {
    /// True where nothing is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.skip.is_empty() && self.retain.is_empty()
    }
}

impl Observed {
    /// What state remembers, in the place of reading: under `--offline`, and for kinds of which [`Kind::reads`] is false.
    #[must_use]
    pub fn remembered(prior: &Prior, owner: Owner) -> Self {
        Self {
            held: None,
            identity: prior.identity.clone(),
            inputs: prior.inputs.clone(),
            documents: BTreeMap::new(),
            exports: prior.exports.clone(),
            owner,
            fingerprint: Digest::of(b""),
            condition: None,
            image: Value::NULL,
        }
    }
}

impl Change {
    /// This action, with nothing more said about it yet.
    #[must_use]
    pub fn new(action: ActionWord, exports: Value) -> Self {
        Self {
            action,
            fields: Vec::new(),
            children: Vec::new(),
            undo: Undo::Full,
            exports,
            stateful: false,
            reasons: Vec::new(),
        }
    }
}

/// The fact of a plan's node that asks for nothing but putting back drift: how that is done, by the kind's own words.
pub const REVERT_DRIFT: &str = "revert_drift";

/// The fact of a plan's node that puts back single fields and touches nothing else: a list of [`FieldName`]s, which
/// [`Kind::apply`] and [`Kind::recover`] find again in [`Step::facts`].
pub const REVERT_FIELDS: &str = "revert_fields";

/// A field of a thing, or a part of it as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct FieldName {
    /// The part that it is in, as [`ChildChange::name`] says it; the thing itself where `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<Arc<str>>,
    /// Where in it, as [`FieldChange::path`] says it; all of the part where `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<Arc<str>>,
}

impl FieldName {
    /// As `ignore_changes` would name it: `["Deployment shop/web"].spec.replicas`.
    #[must_use]
    pub fn as_path(&self) -> Path {
        let root = self.part.as_ref().map_or_else(Path::default, |part| Path::default().key(part));
        let Some(text) = &self.path else { return root };
        match crate::kinds::parse_path(text) {
            Some(inner) => Path(root.0.into_iter().chain(inner.0).collect()),
            None => root.key(text),
        }
    }
}

/// A kind. All methods may be called many times and from many tasks.
#[async_trait]
pub trait Kind: Send + Sync {
    /// What may be written, and what others may refer to.
    fn schema(&self) -> &'static KindSchema;

    /// Which budget its calls draw on: `cloudformation`, `eks`, `helm`, `kubernetes`, `local`.
    fn service(&self) -> &'static str;

    /// How long an effect may take unless `timeouts` say otherwise.
    fn default_timeout(&self, action: ActionWord) -> Duration;

    /// Whether there is a world to read it from. Where not (`value`, a `command` without `read`), state alone remembers it:
    /// [`Observed::remembered`] takes the place of [`Kind::read`].
    fn reads(&self, identity: &Json) -> bool {
        let _ = identity;
        true
    }

    /// Whether it makes a thing of its own. Where not (`eks_upgrade`, which steers a stack's), nobody can own what it reads.
    fn owns(&self) -> bool {
        true
    }

    /// Whether its effects touch nothing outside the process, so that a crash can leave nothing half done: state alone is
    /// written, and no intent is needed before it.
    fn remembers_only(&self) -> bool {
        false
    }

    /// Checks the inputs and brings them to normal form. Pure but for `sources`.
    ///
    /// # Errors
    /// Everything wrong with the inputs that can be known, at once. An unknown leaf is never an error.
    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics>;

    /// What a release has to hold of it, beside the files that [`Kind::prepare`] reads. Pure.
    fn ingredients(&self, desired: &Desired) -> Ingredients {
        let _ = desired;
        Ingredients::default()
    }

    /// Reads what is live under an identity (from state, or from [`Desired::identity`]). For a data source this is all there
    /// is: its exports are the result, `None` means that it is not there.
    ///
    /// # Errors
    /// Whatever keeps us from knowing. A world that does not answer is never "absent".
    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>>;

    /// Whether the world has to be asked what would change. Not where all that could is known to be as it is wanted: a
    /// plan of things that did not change makes nothing. `difference` has no preview. Pure.
    fn asks_ahead(&self, difference: &Difference<'_>) -> bool {
        let _ = difference;
        true
    }

    /// What a preview with this token would leave in the world, as far as that is known before it is made: it is noted
    /// first, so that a kill leaves nothing unknown behind. [`Kind::discard`] takes it as it takes
    /// [`Preview::attachment`], which bears the same `name`.
    fn leaves(&self, desired: &Desired, observed: Option<&Observed>, token: &str) -> Option<Json> {
        let _ = (desired, observed, token);
        None
    }

    /// Whether what a preview left can be used from this machine. Where not, it is looked ahead again, and what is found is
    /// held against what was approved.
    async fn at_hand(&self, context: &Context, attachment: &Json) -> bool {
        let _ = (context, attachment);
        true
    }

    /// True where only a look ahead tells whether anything changes. Where the world is not asked again, the word of the plan's
    /// look stands.
    fn only_ahead_tells(&self) -> bool {
        false
    }

    /// Why what a preview left can no longer be used; `None` where it can.
    async fn spent(&self, context: &Context, attachment: &Json) -> Outcome<Option<String>> {
        let _ = (context, attachment);
        Ok(None)
    }

    /// What its objects take up in a cluster, as far as inputs in normal form tell. `None` where only [`Kind::preview`] tells, or
    /// there are none. Pure.
    fn footprint(&self, inputs: &Value) -> Option<Footprint> {
        let _ = inputs;
        None
    }

    /// Looks ahead in the world where only the world can tell what would change. Called only with inputs that are wholly
    /// known, and not under `--offline`. Must leave nothing behind but what [`Preview::attachment`] names.
    async fn preview(
        &self,
        context: &Context,
        desired: &Desired,
        observed: Option<&Observed>,
        token: &str,
    ) -> Outcome<Option<Preview>> {
        let _ = (context, desired, observed, token);
        Ok(None)
    }

    /// The clusters that a declaration would make or move, by name, with their Kubernetes versions, as far as that is known.
    fn clusters(&self, desired: &Desired) -> Vec<(String, String)> {
        let _ = desired;
        Vec::new()
    }

    /// True where a failed effect keeps what it did before it failed (hops of an upgrade), so that undoing its phase has
    /// that to undo.
    fn stays_part_way(&self) -> bool {
        false
    }

    /// What the next apply makes of an effect that failed part-way.
    fn goes_on(&self) -> GoesOn {
        GoesOn::No
    }

    /// Takes away what a preview left (rule 11). Idempotent.
    async fn discard(&self, context: &Context, attachment: &Json) -> Outcome<()> {
        let _ = (context, attachment);
        Ok(())
    }

    /// What is wanted with every path that `ignore_changes` names as it is live: what an update sends, so that it leaves
    /// those alone. Pure.
    fn leave_ignored(&self, desired: &Desired, observed: &Observed, ignore: &[String]) -> Desired {
        Desired { inputs: keep_ignored(&desired.inputs, &observed.inputs, ignore), ..desired.clone() }
    }

    /// What only one declaration may have, where another one with it would undo its work. Empty where its mark on the live
    /// thing tells; what is not known yet is left out.
    fn sole(&self, desired: &Desired) -> Vec<Sole> {
        let _ = desired;
        Vec::new()
    }

    /// What a thing of this kind is called in messages, where it bears a name that no other one may have: `stack`, `release`. Two
    /// declarations with one identity would be one thing then.
    fn noun(&self) -> Option<&'static str> {
        None
    }

    /// What two colours of one declaration cannot both have, beside their names and their objects: by default what only one
    /// declaration may have. Pure; what is not known yet is left out.
    fn once(&self, desired: &Desired) -> Vec<Sole> {
        self.sole(desired).into_iter().filter(|sole| sole.part.is_none()).collect()
    }

    /// Adds to a change that was made a replacement, since `--replace` or `replace_triggered_by` asked for it, what goes with
    /// the former thing. Pure.
    fn replaced(&self, change: Change, observed: &Observed) -> Change {
        let _ = observed;
        change
    }

    /// The difference. Pure, total, deterministic.
    fn diff(&self, difference: &Difference<'_>) -> Change;

    /// What destroying it means: no longer declared, or taken away with the rest. Pure. `observed` is `None` where it was not
    /// read.
    fn removal(&self, prior: Option<&Prior>, observed: Option<&Observed>) -> Change {
        let _ = (prior, observed);
        let undo = Undo::None("destroying it is not undone".to_owned());
        Change { undo, ..Change::new(ActionWord::Delete, Value::NULL) }
    }

    /// Whether it has drift that [`Kind::read`] does not see and an ordinary update leaves: [`Kind::drift`] finds it, and
    /// what [`Kind::look_at_revert`] planned puts it back.
    fn drifts_inside(&self) -> bool {
        false
    }

    /// Whether single fields of its parts can be put back, taken for right and left alone: a step whose facts bear
    /// [`REVERT_FIELDS`] touches just those, and `ignore_changes` names them as [`FieldName::as_path`] does.
    fn drifts_by_field(&self) -> bool {
        false
    }

    /// What was applied last, with a field of a part as somebody made it (`field.after`), or without that part where there is
    /// no field. `None` where what was applied last does not hold its parts. Pure.
    fn take_over(&self, inputs: &Value, part: &str, field: Option<&FieldChange>) -> Option<Value> {
        let _ = (inputs, part, field);
        None
    }

    /// Where a field of a part is written: in its block, or in a file that was read with it. Empty where that cannot be said.
    fn written_at(&self, body: &crate::lang::ast::Body, texts: &SourceMap, field: &FieldName) -> Vec<Span> {
        let _ = (body, texts, field);
        Vec::new()
    }

    /// What somebody changed inside a thing behind our back, where finding out is slow and never part of
    /// [`Kind::read`]: the resources of a stack. The fields bear [`Cause::DriftLeft`].
    async fn drift(&self, context: &Context, identity: &Json) -> Outcome<Vec<ChildChange>> {
        let _ = (context, identity);
        Ok(Vec::new())
    }

    /// What [`Kind::look_at_revert`] with this token may leave, known before it is made: as [`Kind::leaves`].
    fn leaves_revert(&self, identity: &Json, token: &str) -> Vec<Json> {
        let _ = (identity, token);
        Vec::new()
    }

    /// Looks ahead at putting back what drifted inside, and nothing else. The facts bear [`REVERT_DRIFT`], which
    /// [`Kind::apply`] and [`Kind::recover`] find again in [`Step::facts`]; such a step has no [`Step::desired`].
    ///
    /// # Errors
    /// Also where it cannot be put back soundly: the failure says what a person can do.
    async fn look_at_revert(&self, context: &Context, identity: &Json, token: &str) -> Outcome<Preview> {
        let _ = token;
        let what = "nothing of this kind is put back apart from an update".to_owned();
        let _ = context;
        Err(crate::world::Failure::new(crate::world::Class::Unsupported, "revert", identity.to_string(), what))
    }

    /// Makes one effect and waits for it. Whatever it starts bears the token or the deterministic identity, so that
    /// [`Kind::recover`] can find it.
    ///
    /// # Errors
    /// The first cause. The thing has then returned to its former state where the platform does that.
    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied>;

    /// Finds out what became of an effect whose end we did not see, after a crash or a lost answer. Waits where it is still
    /// running.
    async fn recover(&self, context: &Context, step: &Step<'_>) -> Outcome<Recovered>;

    /// Puts a thing back to its before-image, or deletes what was created where there is none. Returns what was done, in a
    /// few words.
    ///
    /// `image` is [`Observed::image`] as read before the effect; after a crash its sensitive leaves are sealed.
    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String>;

    /// What is stuck about a live thing.
    async fn examine(&self, context: &Context, identity: &Json) -> Outcome<Vec<Finding>> {
        let _ = (context, identity);
        Ok(Vec::new())
    }

    /// Does what the automatic findings say, and what a person named.
    async fn mend(&self, context: &Context, identity: &Json, token: &str, named: &Named) -> Outcome<Vec<String>> {
        let _ = (context, identity, token, named);
        Ok(Vec::new())
    }

    /// How a live thing would be declared, for `import --generate`. `None` where there is no such thing.
    ///
    /// # Errors
    /// [`Class::Unsupported`](crate::world::Class::Unsupported) where what was given and what the platform made of it cannot be
    /// told apart; or whatever keeps us from reading.
    async fn written(&self, context: &Context, identity: &Json) -> Outcome<Option<crate::kinds::Written>> {
        let what = "no block is written for this kind yet".to_owned();
        let _ = context;
        Err(crate::world::Failure::new(crate::world::Class::Unsupported, "generate", identity.to_string(), what))
    }

    /// The identity from the text of an `import` block's `id` or the command line.
    ///
    /// # Errors
    /// A text of the wrong form; the message says the right one.
    fn import_identity(&self, id: &str) -> Result<Json, String>;
}
