//! Destroying what is no longer declared, or everything.

use super::{
    connect::{connection, context, declared_timeout},
    drain,
    effect::delete_step,
    end::{End, tell},
};
use crate::{
    apply::{
        journal::{Desk, Effect},
        rollout,
    },
    base::{ActionWord, Event, Value},
    plan::{DRAIN, Planned, connect::Connections, gone},
    state::{Intent, Record, Resource},
    world::Class,
};
use std::collections::BTreeMap;

/// Destroys what is no longer declared, or everything.
pub(in crate::apply) struct Removal<'r> {
    pub desk: &'r Desk<'r>,
    pub planned: &'r Planned,
    pub remembered: Resource,
    pub open: Option<Intent>,
}

impl Removal<'_> {
    pub(in crate::apply) async fn run(self) -> End {
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
        if rollout::drained(self.desk, address, &self.remembered).await? == rollout::Left::Interrupted {
            let why = "stopped before it was destroyed; `terrace resume` goes on with it";
            return Err(End::Failed(why.to_owned()));
        }
        let own = declared_timeout(self.desk, address, "delete");
        let timeout = own.unwrap_or_else(|| kind.default_timeout(ActionWord::Delete));
        let context = context(self.desk, address, &connections, timeout).await?;
        let identity = &self.remembered.identity;
        let observed = if kind.reads(identity) {
            match context.patiently(|| kind.read(&context, identity, None)).await {
                Ok(observed) => observed,
                // A cluster takes what was in it along; that it is gone says whoever makes it, and nothing less.
                Err(failure) if failure.class == Class::NotFound && self.place_is_gone(&connections).await? => None,
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
        rollout::before_removal(self.desk, address, &self.remembered).await?;
        if self.open.is_none() {
            drain::last(self.desk, self.planned, &self.remembered).await?;
            if self.planned.facts.contains_key(DRAIN) {
                let phase = self.remembered.phase.clone();
                let action = self.planned.action;
                self.desk.events.emit(Event::NodeStarted { address: address.clone(), phase, action });
            }
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

    async fn place_is_gone(&self, connections: &Connections) -> Result<bool, End> {
        let Some(cluster) = &connections.cluster else { return Ok(true) };
        gone::is_gone(self.desk.subject, cluster).await.map_err(|failure| End::Failed(tell(&failure)))
    }
}
