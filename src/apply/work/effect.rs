//! The effects of an instance: made, or destroyed to be made anew.

use super::{Task, connect::connection, end::End};
use crate::{
    apply::journal::Effect,
    base::ActionWord,
    kinds::{Applied, Desired, Observed, Step},
    plan::decide,
    state::{Intent, Record, Resource, Status},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

impl Task<'_> {
    /// Creates or updates.
    pub(super) async fn make(
        &self,
        desired: &Desired,
        observed: Option<&Observed>,
        told_as: Option<ActionWord>,
        attachment: Option<&Json>,
        facts: &BTreeMap<String, Json>,
    ) -> Result<End, End> {
        let action = if observed.is_some() { ActionWord::Update } else { ActionWord::Create };
        let context = self.context(action).await?;
        let hidden = context.former.hidden(Some(&desired.inputs), observed.map(|o| &o.inputs));
        let context = context.hiding(hidden);
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

    pub(super) async fn made(&self, id: &Arc<str>, applied: &Applied, action: ActionWord) -> Result<End, End> {
        let status = if self.declared.verify.is_empty() { Status::Verified } else { Status::Applied };
        let resource = self.resource(&applied.identity, &applied.exports, status);
        let records = vec![Record::Resource(Box::new(resource))];
        self.desk.done(self.instance.kind, id, &applied.note, records).await?;
        Ok(End::Done { exports: applied.exports.clone(), action })
    }

    /// Destroys the one that the new one takes the place of; state already remembers the new one.
    pub(super) async fn destroy_former(&self, former: &Resource, open: Option<&Intent>) -> Result<(), End> {
        let context = self.context(ActionWord::Delete).await?;
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

    pub(super) async fn destroy(&self, observed: Option<&Observed>) -> Result<(), End> {
        let identity =
            observed.map(|o| o.identity.clone()).or_else(|| self.remembered.as_ref().map(|r| r.identity.clone()));
        let Some(identity) = identity else { return Ok(()) };
        let context = self.context(ActionWord::Delete).await?;
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
}

/// A step that destroys.
pub(super) fn delete_step<'s>(
    observed: Option<&'s Observed>,
    identity: &'s Json,
    facts: &'s BTreeMap<String, Json>,
) -> Step<'s> {
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
