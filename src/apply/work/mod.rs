//! The work on one instance: look again, hold it against what was approved, make the effect, remember it. Runs beside the
//! dispatcher and needs nothing of its mutable state.
//!
//! Reading order: here (what is to be done), `effect` (doing it), `failed` (what is left of an effect that failed), `recover`
//! (an effect of this run whose end was not seen), `removal` (what is no longer declared), `drain` (what goes before a
//! cluster does), `revert` (drift
//! put back inside a thing), `adopt` (what exists is taken over), `end` and `connect` (what all use).

mod adopt;
mod connect;
mod drain;
mod effect;
mod end;
mod failed;
mod recover;
mod removal;
mod revert;

pub(super) use connect::context;
pub(super) use drain::first as drain_first;
pub(super) use end::{End, tell};
pub(super) use removal::Removal;
pub(super) use revert::Revert;

use crate::{
    apply::journal::Desk,
    base::{ActionWord, Address, Digest, Severity, Value},
    kinds::{Context, Observed, Preview},
    lang::configuration::Resource as Declared,
    plan::{
        Planned,
        decide::{self, Facts},
        envelope::{self, Found},
        instance::Instance,
        look::{How, LookAhead, look},
        selection,
    },
    state::{Intent, Record, Resource, Status},
};
use connect::connection;
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// Everything the work on one instance needs.
pub(in crate::apply) struct Task<'r> {
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
    pub(super) async fn run(mut self) -> End {
        let lost = match self.look_for_attachment().await {
            Ok(lost) => lost,
            Err(end) => return end,
        };
        match self.work(lost).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn context(&self, action: ActionWord) -> Result<Context, End> {
        let name = match action {
            ActionWord::Create => "create",
            ActionWord::Delete => "delete",
            ActionWord::Read => "read",
            _ => "update",
        };
        let own = self.declared.timeouts.get(name).copied();
        let timeout = own.unwrap_or_else(|| self.instance.kind.default_timeout(action));
        let mut context = context(self.desk, &self.instance.address, &self.instance.connections, timeout).await?;
        if let Some(resource) = &self.remembered {
            context.former = context.former.with(resource.inputs.clone());
        }
        Ok(context)
    }

    /// What the plan left is of use only where it can be got at. True where it cannot.
    async fn look_for_attachment(&mut self) -> Result<bool, End> {
        let Some(left) = self.attachment.filter(|_| self.open.is_none()) else { return Ok(false) };
        let context = self.context(ActionWord::Read).await?;
        if self.instance.kind.at_hand(&context, &left.attachment).await {
            return Ok(false);
        }
        self.attachment = None;
        Ok(true)
    }

    async fn work(&self, lost: bool) -> Result<End, End> {
        if let (Some(former), Some(now)) = (&self.owes, &self.remembered) {
            let deleting = self.open.as_ref().filter(|i| i.action == ActionWord::Delete);
            self.destroy_former(former, deleting).await?;
            return Ok(End::Done { exports: now.exports.clone(), action: ActionWord::Replace });
        }
        if let Some(intent) = &self.open
            && let Some(end) = self.recover(intent).await?
        {
            return Ok(end);
        }
        if self.desk.mode == crate::plan::Mode::Import {
            return self.adopt().await;
        }
        let planned = self.planned;
        let again = self.looks_again() || lost;
        let how = How {
            offline: false,
            ahead: if again { LookAhead::Differs } else { LookAhead::Never },
            timeout: self.read_timeout,
            planning: false,
        };
        let subject = self.desk.subject;
        let mut seen = look(subject, &self.instance, self.remembered.as_ref(), planned.import.as_ref(), how)
            .await
            .map_err(|f| End::Failed(tell(&f)))?;
        if !again && seen.preview.is_none() && self.instance.kind.only_ahead_tells() {
            let changes = matches!(planned.action, ActionWord::Create | ActionWord::Update | ActionWord::Replace);
            let (children, facts) = (planned.children.clone(), planned.facts.clone());
            seen.preview = Some(Preview { nothing: !changes, children, facts, ..Preview::default() });
        }
        let result = self.act(&seen).await;
        if let Some(attachment) = seen.preview.as_ref().and_then(|p| p.attachment.clone()) {
            let left = crate::plan::Left { connections: self.instance.connections.clone(), attachment };
            // Executing a change set uses it up; anything else of it is taken away.
            let executed = matches!(
                &result,
                Ok(End::Done { action: ActionWord::Create | ActionWord::Update, .. }) if self.attachment.is_none()
            );
            let _ = if executed {
                crate::plan::look::used(&*subject.ledger, &left).await
            } else {
                crate::plan::discard(subject, [(&self.instance.address, &left)]).await
            };
        }
        result
    }

    /// A change set that the plan made is executed as it is; anything else that was looked ahead at is looked at again.
    fn looks_again(&self) -> bool {
        let planned = self.planned;
        let changes = matches!(planned.action, ActionWord::Update | ActionWord::Replace) && self.attachment.is_none();
        planned.deferral.is_some() || planned.inputs.has_unknown() || changes
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
        let wrong: Vec<String> = seen
            .preview
            .iter()
            .flat_map(|p| &p.remarks)
            .filter(|(_, remark)| remark.severity == Severity::Error)
            .map(|(path, remark)| format!("`{path}`: {remark}"))
            .collect();
        if !wrong.is_empty() {
            return Err(End::Failed(wrong.join("; ")));
        }
        let mut decided = decide::decide(&facts)
            .map_err(|problems| End::Failed(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        if let Some(names) = selection::by_field(planned) {
            let meant = |part: &str, path: Option<&str>| selection::has(&names, part, path);
            let Some(narrowed) = selection::narrowed(&decided.planned, &meant) else {
                return Err(End::Beyond("what was to be put back no longer drifts; plan again".to_owned()));
            };
            decided.planned = narrowed;
        }
        let action = decided.planned.action;
        if let Some(why) = self.starts_a_color(action) {
            return Err(End::Beyond(why));
        }
        let found = Found {
            action,
            children: &decided.planned.children,
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
            ActionWord::Update if decided.own == ActionWord::NoOp => self.remember(observed, decided.exports).await,
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

    /// What has the traffic is not changed in place: a declaration that turns out to be another one once it could be looked at
    /// starts the other colour, and that was in no plan.
    fn starts_a_color(&self, action: ActionWord) -> Option<String> {
        let address = &self.instance.address;
        let live =
            address.unit().is_some_and(|(unit, color)| self.desk.store.with(|s| s.live_color(&unit)) == Some(color));
        let changes = matches!(action, ActionWord::Update | ActionWord::Replace);
        (live && changes && self.planned.deferral.is_some() && self.remembered.is_some())
            .then(|| "it differs from what is declared, which starts its other colour; plan again".to_owned())
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
        if let Some(former) = self.remembered.as_ref().filter(|_| selection::by_field(self.planned).is_some()) {
            // What was applied last is what it was: the rest of the declaration took no part in it.
            let exports = seal.seal_value(exports);
            let (run, at) = (self.desk.run.clone(), self.desk.subject.world.clock().now());
            return Resource { exports, status, run, at, ..former.clone() };
        }
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
}
