//! An effect of this run whose end was not seen.

use super::{Task, connect::connection, end::End};
use crate::{
    apply::journal::Effect,
    base::ActionWord,
    kinds::{Observed, Step},
    plan::decide,
    state::{Intent, Record},
};

impl Task<'_> {
    /// Finds out how an effect of this run ended whose end was not seen, and goes on from there. `None` where it never was and
    /// has to be looked ahead at again: what was looked at before the cut is not what would be done now.
    pub(super) async fn recover(&self, intent: &Intent) -> Result<Option<End>, End> {
        let context = self.context(intent.action).await?;
        let kind = self.instance.kind;
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
        let ahead = || kind.leaves(&self.instance.desired, observed.as_ref(), &intent.id).is_some();
        if intent.action == ActionWord::Update
            && self.looks_again()
            && ahead()
            && self.desk.never_was(&effect, &intent.id).await?
        {
            return Ok(None);
        }
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
    pub(super) fn observed_before(intent: &Intent) -> Option<Observed> {
        let image = intent.image.clone()?;
        let former = intent.former.as_deref()?;
        let owner = crate::kinds::Owner::Ours(intent.address.to_string());
        Some(Observed { image, ..Observed::remembered(&decide::prior(former), owner) })
    }
}
