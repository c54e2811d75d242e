//! The work on one instance: look again, hold it against what was approved, make the effect, remember it. Runs beside the
//! dispatcher and needs nothing of its mutable state.

use crate::{
    apply::journal::{Desk, Effect, Ending, Undone},
    base::{ActionWord, Address, Digest, Event, Hidden, Value},
    kinds::{Applied, Context, Desired, Observed, Step},
    lang::configuration::Resource as Declared,
    plan::{
        Planned, connect,
        decide::{self, Facts},
        envelope::{self, Found},
        instance::Instance,
        look::{How, look},
    },
    state::{Intent, Record, Resource, Status},
    world::{Class, Failure},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How the work on an instance ended.
pub(super) enum End {
    /// It is as declared now.
    Done {
        /// What others may refer to, in clear.
        exports: Value,
        /// What was done.
        action: ActionWord,
    },
    /// It failed.
    Failed(String),
    /// What was found goes beyond what was approved.
    Beyond(String),
    /// A person is needed.
    Stuck { why: String, command: String },
    /// State could not be written.
    State(crate::state::StateError),
}

impl From<Undone> for End {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Failed(failure) => Self::Failed(tell(&failure)),
            Undone::Stuck { why, command } => Self::Stuck { why, command },
            Undone::State(error) => Self::State(error),
        }
    }
}

impl From<crate::state::StateError> for End {
    fn from(error: crate::state::StateError) -> Self {
        Self::State(error)
    }
}

/// A failure with its hint.
pub(super) fn tell(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{failure}; {hint}"),
        None => failure.to_string(),
    }
}

/// Everything the work on one instance needs.
pub(super) struct Task<'r> {
    pub desk: &'r Desk<'r>,
    pub instance: Box<Instance>,
    pub declared: &'r Declared,
    pub planned: &'r Planned,
    pub remembered: Option<Resource>,
    pub dependencies: Vec<Address>,
    pub attachment: Option<&'r crate::plan::Left>,
    /// An intent of this run whose end was not seen.
    pub open: Option<Intent>,
    /// This run destroyed the former one already, on the way to replacing it.
    pub half_replaced: bool,
    /// This run made the new one already; the former one is still to be destroyed.
    pub owes: Option<Box<Resource>>,
    pub read_timeout: Duration,
}

impl Task<'_> {
    /// Does it.
    pub(super) async fn run(self) -> End {
        match self.work().await {
            Ok(end) | Err(end) => end,
        }
    }

    fn context(&self, action: ActionWord) -> Result<Context, End> {
        let name = match action {
            ActionWord::Create => "create",
            ActionWord::Delete => "delete",
            ActionWord::Read => "read",
            _ => "update",
        };
        let own = self.declared.timeouts.get(name).copied();
        let timeout = own.unwrap_or_else(|| self.instance.kind.default_timeout(action));
        context(self.desk, &self.instance.address, &self.instance.connections, timeout)
    }

    async fn work(&self) -> Result<End, End> {
        if let (Some(former), Some(now)) = (&self.owes, &self.remembered) {
            let deleting = self.open.as_ref().filter(|i| i.action == ActionWord::Delete);
            self.destroy_former(former, deleting).await?;
            return Ok(End::Done { exports: now.exports.clone(), action: ActionWord::Replace });
        }
        if let Some(intent) = &self.open {
            match self.recover(intent).await? {
                Some(end) => return Ok(end),
                None => return Err(End::Failed("invariant: a recovered effect has an end".to_owned())),
            }
        }
        let planned = self.planned;
        // A change set that the plan made is executed as it is; anything else that was looked ahead at is looked at again.
        let changes = matches!(planned.action, ActionWord::Update | ActionWord::Replace) && self.attachment.is_none();
        let again = planned.deferral.is_some() || planned.inputs.has_unknown() || changes;
        let how = How { offline: false, preview: again, drift: false, timeout: self.read_timeout };
        let subject = self.desk.subject;
        let seen = look(subject, &self.instance, self.remembered.as_ref(), planned.import.as_ref(), how)
            .await
            .map_err(|f| End::Failed(tell(&f)))?;
        let result = self.act(&seen).await;
        if let Some(attachment) = seen.preview.as_ref().and_then(|p| p.attachment.clone()) {
            let left = crate::plan::Left { connections: self.instance.connections.clone(), attachment };
            // Executing a change set uses it up; anything else of it is taken away.
            let _ = crate::plan::discard(subject, [(&self.instance.address, &left)]).await;
        }
        result
    }

    async fn act(&self, seen: &crate::plan::look::Look) -> Result<End, End> {
        let planned = self.planned;
        let observed = seen.observed.as_ref();
        if let Some(moved) = self.moved(observed) {
            return Err(End::Beyond(moved));
        }
        let facts = Facts {
            instance: &self.instance,
            header: &self.declared.span,
            lifecycle: &self.declared.lifecycle,
            remembered: self.remembered.as_ref(),
            observed,
            preview: seen.preview.as_ref(),
            import: planned.import.as_ref(),
            moved_from: None,
            replace_asked: planned.action == ActionWord::Replace && observed.is_some(),
            triggered_by: None,
            unverified: Vec::new(),
            verify: Vec::new(),
            seal: &self.desk.subject.seal,
        };
        let decided = decide::decide(&facts)
            .map_err(|problems| End::Failed(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        let change = decide::change(&facts);
        let action = decided.planned.action;
        let found = Found {
            action,
            change: &change,
            desired: &self.instance.desired,
            preview: seen.preview.as_ref(),
            seal: &self.desk.subject.seal,
            declaration: &self.instance.declaration,
        };
        if let Some(why) = envelope::beyond(planned, &found) {
            return Err(End::Beyond(why));
        }
        let attachment = self.attachment.map(|l| &l.attachment);
        let own = seen.preview.as_ref().and_then(|p| p.attachment.as_ref());
        let approved =
            if planned.facts.is_empty() { seen.preview.as_ref().map(|p| &p.facts) } else { Some(&planned.facts) };
        let none = BTreeMap::new();
        let approved = approved.unwrap_or(&none);
        match action {
            ActionWord::Create => self.make(&self.instance.desired, None, None, attachment.or(own), approved).await,
            ActionWord::Update if change.action == ActionWord::NoOp => self.remember(observed, decided.exports).await,
            ActionWord::Update => {
                self.make(
                    seen.kept.as_ref().unwrap_or(&self.instance.desired),
                    observed,
                    None,
                    attachment.or(own),
                    approved,
                )
                .await
            }
            ActionWord::Replace => {
                if self.makes_first() {
                    if let Some(name) = observed.and_then(|o| self.same_name(&o.identity)) {
                        let why = format!("create_before_destroy needs another name for the new one: both are {name}");
                        return Err(End::Failed(why));
                    }
                    let end =
                        self.make(&self.instance.desired, None, Some(ActionWord::Replace), None, approved).await?;
                    if let Some(former) = self.remembered.as_ref().filter(|_| !self.instance.kind.remembers_only()) {
                        self.destroy_former(former, None).await?;
                    }
                    Ok(end)
                } else {
                    self.destroy(observed).await?;
                    self.make(&self.instance.desired, None, Some(ActionWord::Replace), None, approved).await
                }
            }
            _ => self.remember(observed, decided.exports).await,
        }
    }

    /// Why the live thing is not the one that was planned for; nothing where it is, or where it was planned later.
    fn moved(&self, observed: Option<&Observed>) -> Option<String> {
        if self.planned.deferral.is_some() || self.half_replaced || !self.instance.kind.owns() {
            return None;
        }
        match (&self.planned.fingerprint, observed) {
            (Some(then), Some(now)) if *then != now.fingerprint => {
                Some("it changed behind our back since the plan was made; plan again".to_owned())
            }
            (Some(_), None) => Some("it was destroyed behind our back since the plan was made; plan again".to_owned()),
            (None, Some(_)) if self.planned.action == ActionWord::Create && self.remembered.is_none() => {
                Some("it came into being since the plan was made; plan again".to_owned())
            }
            _ => None,
        }
    }

    /// Creates or updates.
    async fn make(
        &self,
        desired: &Desired,
        observed: Option<&Observed>,
        told_as: Option<ActionWord>,
        attachment: Option<&Json>,
        facts: &BTreeMap<String, Json>,
    ) -> Result<End, End> {
        let action = if observed.is_some() { ActionWord::Update } else { ActionWord::Create };
        let context = self.context(action)?;
        let identity = observed.map(|o| &o.identity);
        let connection = connection(&self.instance.connections);
        let effect = Effect {
            address: &self.instance.address,
            phase: &self.instance.phase,
            kind: self.instance.kind,
            context: &context,
            connection: &connection,
            // What is made before the former one is destroyed can be taken back to it.
            former: self.remembered.as_ref().filter(|_| observed.is_some() || self.makes_first()),
            image: observed.map(|o| &o.image),
            step: Step { action, desired: Some(desired), observed, identity, token: "", attachment, facts },
        };
        match self.desk.perform(&effect).await {
            Ok((id, applied)) => self.made(&id, &applied, told_as.unwrap_or(action)).await,
            Err(ending) => Err(self.after_failure(action, ending).await),
        }
    }

    async fn made(&self, id: &Arc<str>, applied: &Applied, action: ActionWord) -> Result<End, End> {
        let status = if self.declared.verify.is_empty() { Status::Verified } else { Status::Applied };
        let resource = self.resource(&applied.identity, &applied.exports, status);
        let records = vec![Record::Resource(Box::new(resource))];
        self.desk.done(self.instance.kind, id, &applied.note, records).await?;
        Ok(End::Done { exports: applied.exports.clone(), action })
    }

    /// Whether the new one is made before the former one is destroyed; what only state remembers is replaced in one go.
    fn makes_first(&self) -> bool {
        let first = self.declared.lifecycle.create_before_destroy || self.instance.kind.remembers_only();
        self.planned.action == ActionWord::Replace && first
    }

    /// The name that the new one and the live one would share.
    fn same_name(&self, live: &Json) -> Option<String> {
        let wanted = self.instance.desired.identity.as_ref().filter(|_| self.instance.kind.service() != "local")?;
        let same = wanted.as_object()?.iter().all(|(key, value)| value.is_null() || live.get(key) == Some(value));
        same.then(|| decide::identity_text(wanted))
    }

    /// What a failed effect left behind is remembered together with its end. A create that left something, or of which that
    /// could not be found out, is tainted, so that it is planned as a replacement (rule 20); an update that came half-way may
    /// have made parts that state does not know yet.
    async fn after_failure(&self, action: ActionWord, ending: Ending) -> End {
        let mut records = Vec::new();
        if !matches!(ending.undone, Undone::State(_))
            && let Some(identity) = &self.instance.desired.identity
        {
            if action == ActionWord::Create {
                records.extend(self.tainted(identity, &ending.undone).await);
            } else if let Some(former) = &self.remembered
                && let Some(both) = with_parts(&former.identity, identity)
            {
                records.push(Record::Resource(Box::new(Resource { identity: both, ..former.clone() })));
            }
        }
        self.desk.failed(ending, records).await.into()
    }

    async fn tainted(&self, identity: &Json, undone: &Undone) -> Option<Record> {
        if self.makes_first() && self.remembered.is_some() {
            return None;
        }
        let kind = self.instance.kind;
        let unsure = match undone {
            Undone::Failed(failure) => failure.class.effect_unknown(),
            Undone::Stuck { .. } => true,
            Undone::State(_) => return None,
        };
        let (identity, exports) = if kind.reads(identity) {
            let desk = self.desk;
            let context = context(desk, &self.instance.address, &self.instance.connections, self.read_timeout).ok()?;
            match context.patiently(|| kind.read(&context, identity, Some(&self.instance.desired))).await {
                Ok(None) => return None,
                Ok(Some(left)) => (left.identity, left.exports),
                Err(_) => (identity.clone(), Value::NULL),
            }
        } else if unsure {
            (identity.clone(), Value::NULL)
        } else {
            return None;
        };
        Some(Record::Resource(Box::new(self.resource(&identity, &exports, Status::Tainted))))
    }

    /// Destroys the one that the new one takes the place of; state already remembers the new one.
    async fn destroy_former(&self, former: &Resource, open: Option<&Intent>) -> Result<(), End> {
        let context = self.context(ActionWord::Delete)?;
        let facts = BTreeMap::new();
        let effect = Effect {
            address: &self.instance.address,
            phase: &self.instance.phase,
            kind: self.instance.kind,
            context: &context,
            connection: &former.connection,
            former: Some(former),
            image: None,
            step: delete_step(None, &former.identity, &facts),
        };
        let result = match open {
            Some(intent) => self.desk.recover(&effect, &intent.id).await.map(|applied| (intent.id.clone(), applied)),
            None => self.desk.perform(&effect).await,
        };
        match result {
            Ok((id, applied)) => Ok(self.desk.done(self.instance.kind, &id, &applied.note, Vec::new()).await?),
            Err(ending) => Err(match self.desk.failed(ending, Vec::new()).await.into() {
                End::Failed(why) => {
                    let name = decide::identity_text(&former.identity);
                    End::Failed(format!(
                        "the new one is there, but the former one ({name}) could not be destroyed: {why}"
                    ))
                }
                other => other,
            }),
        }
    }

    async fn destroy(&self, observed: Option<&Observed>) -> Result<(), End> {
        let identity =
            observed.map(|o| o.identity.clone()).or_else(|| self.remembered.as_ref().map(|r| r.identity.clone()));
        let Some(identity) = identity else { return Ok(()) };
        let context = self.context(ActionWord::Delete)?;
        let connection = connection(&self.instance.connections);
        let facts = BTreeMap::new();
        let effect = Effect {
            address: &self.instance.address,
            phase: &self.instance.phase,
            kind: self.instance.kind,
            context: &context,
            connection: &connection,
            former: self.remembered.as_ref(),
            image: observed.map(|o| &o.image),
            step: delete_step(observed, &identity, &facts),
        };
        match self.desk.perform(&effect).await {
            Ok((id, applied)) => {
                let gone = vec![Record::Gone { address: self.instance.address.clone() }];
                Ok(self.desk.done(self.instance.kind, &id, &applied.note, gone).await?)
            }
            Err(ending) => Err(self.desk.failed(ending, Vec::new()).await.into()),
        }
    }

    /// Nothing to do in the world: state takes over what is live.
    async fn remember(&self, observed: Option<&Observed>, exports: Value) -> Result<End, End> {
        let identity = observed.map_or(Json::Null, |o| o.identity.clone());
        let former = self.remembered.as_ref();
        let verified = self.declared.verify.is_empty() || former.is_some_and(|r| r.status == Status::Verified);
        let status = if verified { Status::Verified } else { Status::Applied };
        let resource = self.resource(&identity, &exports, status);
        let same = former.is_some_and(|f| Resource { run: f.run.clone(), at: f.at, ..resource.clone() } == *f);
        if !same {
            self.desk.store.commit(vec![Record::Resource(Box::new(resource))]).await?;
        }
        let action = if self.planned.import.is_some() { ActionWord::Import } else { ActionWord::NoOp };
        Ok(End::Done { exports, action })
    }

    fn resource(&self, identity: &Json, exports: &Value, status: Status) -> Resource {
        let instance = &self.instance;
        let seal = &self.desk.subject.seal;
        Resource {
            address: instance.address.clone(),
            identity: identity.clone(),
            connection: connection(&instance.connections),
            inputs: seal.seal_value(&instance.desired.inputs),
            documents: instance.desired.documents.iter().map(|(k, v)| (k.clone(), Digest::of(v.as_bytes()))).collect(),
            exports: seal.seal_value(exports),
            dependencies: self.dependencies.clone(),
            phase: instance.phase.clone(),
            prevent_destroy: self.declared.lifecycle.prevent_destroy,
            status,
            controls: instance.evaluated.controls.clone(),
            run: self.desk.run.clone(),
            at: self.desk.subject.world.clock().now(),
        }
    }

    /// Finds out how an effect of this run ended whose end was not seen, and goes on from there.
    async fn recover(&self, intent: &Intent) -> Result<Option<End>, End> {
        let context = self.context(intent.action)?;
        let facts = self.planned.facts.clone();
        let observed = Self::observed_before(intent);
        let deleting = intent.action == ActionWord::Delete;
        let connection = connection(&self.instance.connections);
        let identity = (!intent.identity.is_null()).then_some(&intent.identity);
        let effect = Effect {
            address: &self.instance.address,
            phase: &self.instance.phase,
            kind: self.instance.kind,
            context: &context,
            connection: &connection,
            former: intent.former.as_deref(),
            image: intent.image.as_ref(),
            step: Step {
                action: intent.action,
                desired: (!deleting).then_some(&self.instance.desired),
                observed: observed.as_ref(),
                identity,
                token: &intent.id,
                attachment: self.attachment.map(|l| &l.attachment),
                facts: &facts,
            },
        };
        match self.desk.recover(&effect, &intent.id).await {
            Ok(applied) if deleting => {
                let records = vec![Record::Gone { address: self.instance.address.clone() }];
                self.desk.done(self.instance.kind, &intent.id, &applied.note, records).await?;
                self.make(&self.instance.desired, None, Some(ActionWord::Replace), None, &facts).await.map(Some)
            }
            Ok(applied) => {
                let end = self.made(&intent.id, &applied, self.planned.action).await?;
                if let Some(former) = intent.former.as_deref().filter(|_| intent.action == ActionWord::Create) {
                    self.destroy_former(former, None).await?;
                }
                Ok(Some(end))
            }
            Err(ending) => Err(self.after_failure(intent.action, ending).await),
        }
    }

    /// What was live before the effect, as far as the journal holds it.
    fn observed_before(intent: &Intent) -> Option<Observed> {
        let image = intent.image.clone()?;
        let former = intent.former.as_deref()?;
        let owner = crate::kinds::Owner::Ours(intent.address.to_string());
        Some(Observed { image, ..Observed::remembered(&decide::prior(former), owner) })
    }
}

/// Where a thing lives, as state keeps it.
pub(super) fn connection(connections: &connect::Connections) -> Json {
    serde_json::to_value(connections).unwrap_or(Json::Null)
}

/// A context whose progress goes to the events.
pub(super) fn context(
    desk: &Desk<'_>,
    address: &Address,
    connections: &connect::Connections,
    timeout: Duration,
) -> Result<Context, End> {
    connect::context(
        desk.subject,
        address,
        connections,
        timeout,
        progress(desk.events.clone(), desk.hidden.clone(), address.clone()),
    )
    .map_err(|f| End::Failed(tell(&f)))
}

/// An identity of several objects with those of another in it; `None` where that says nothing new.
fn with_parts(former: &Json, wanted: &Json) -> Option<Json> {
    let (old, new) = (former["objects"].as_array()?, wanted["objects"].as_array()?);
    let more: Vec<&Json> = new.iter().filter(|o| !old.contains(o)).collect();
    let mut both = former.clone();
    both["objects"].as_array_mut()?.extend(more.iter().copied().cloned());
    (!more.is_empty()).then_some(both)
}

/// A step that destroys.
fn delete_step<'s>(observed: Option<&'s Observed>, identity: &'s Json, facts: &'s BTreeMap<String, Json>) -> Step<'s> {
    Step {
        action: ActionWord::Delete,
        desired: None,
        observed,
        identity: Some(identity),
        token: "",
        attachment: None,
        facts,
    }
}

/// Destroys what is no longer declared, or everything.
pub(super) struct Removal<'r> {
    pub desk: &'r Desk<'r>,
    pub planned: &'r Planned,
    pub remembered: Resource,
    pub open: Option<Intent>,
}

impl Removal<'_> {
    pub(super) async fn run(self) -> End {
        match self.work().await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn work(&self) -> Result<End, End> {
        let address = &self.planned.address;
        let gone = || Record::Gone { address: address.clone() };
        let done = |action| End::Done { exports: Value::NULL, action };
        if self.planned.action == ActionWord::Forget {
            self.desk.store.commit(vec![gone()]).await?;
            return Ok(done(ActionWord::Forget));
        }
        let kind = crate::kinds::kind(address.kind())
            .ok_or_else(|| End::Failed(format!("this version of terrace does not run `{}`", address.kind())))?;
        let connections = crate::plan::remembered_connections(self.desk.subject, &self.remembered);
        let timeout = kind.default_timeout(ActionWord::Delete);
        let context = context(self.desk, address, &connections, timeout)?;
        let identity = &self.remembered.identity;
        let observed = if kind.reads(identity) {
            match context.patiently(|| kind.read(&context, identity, None)).await {
                Ok(observed) => observed,
                // The place it lived in is gone: a deleted cluster takes what was in it along.
                Err(failure) if failure.class == Class::NotFound => None,
                Err(failure) => return Err(End::Failed(tell(&failure))),
            }
        } else {
            None
        };
        if kind.reads(identity) && observed.is_none() && self.open.is_none() {
            self.desk.store.commit(vec![gone()]).await?;
            return Ok(done(ActionWord::Forget));
        }
        if let (Some(then), Some(now), None) = (&self.planned.fingerprint, &observed, &self.open)
            && kind.owns()
            && *then != now.fingerprint
        {
            return Err(End::Beyond("it changed behind our back since the plan was made; plan again".to_owned()));
        }
        let connection = connection(&connections);
        let facts = BTreeMap::new();
        let effect = Effect {
            address,
            phase: &self.remembered.phase,
            kind,
            context: &context,
            connection: &connection,
            former: Some(&self.remembered),
            image: observed.as_ref().map(|o| &o.image),
            step: delete_step(observed.as_ref(), identity, &facts),
        };
        let result = match &self.open {
            Some(intent) => self.desk.recover(&effect, &intent.id).await.map(|applied| (intent.id.clone(), applied)),
            None => self.desk.perform(&effect).await,
        };
        let (id, applied) = match result {
            Ok(done) => done,
            Err(ending) => return Err(self.desk.failed(ending, Vec::new()).await.into()),
        };
        self.desk.done(kind, &id, &applied.note, vec![gone()]).await?;
        Ok(done(ActionWord::Delete))
    }
}

/// Emits what a running node says.
pub(super) fn progress(
    events: Arc<dyn crate::base::Events>,
    hidden: Arc<Hidden>,
    address: Address,
) -> Arc<dyn Fn(&str) + Send + Sync> {
    Arc::new(move |message| {
        events.emit(Event::NodeProgress { address: address.clone(), message: hidden.out_of(message) });
    })
}
