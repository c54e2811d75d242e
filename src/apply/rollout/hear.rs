//! What is asked for while a rollout is under way: by people from another terminal, and by what fails beside it.

use super::{HEARD_WITHIN, Rollout};
use crate::{
    apply::work::End,
    base::Address,
    rollout::{Fact, Fault, Going, Stage},
    state::{Control, Verb},
};
use jiff::Timestamp;

impl Rollout<'_> {
    /// Takes in what was asked for since.
    pub(super) async fn listen(&self, going: &mut Going) -> Result<(), End> {
        let back = matches!(going.stage, Stage::Back { .. } | Stage::Over);
        if let Some(other) = self.failed_beside().filter(|_| !back) {
            return self.abort(going, format!("{other} failed in the same phase"), Fault::Sibling).await;
        }
        let (asked, unreadable) = self.asked(going).await;
        for name in unreadable {
            self.tell(&format!("{name} beside the state's log cannot be read: whatever it asks for is not done"));
            self.take(going, Fact::Heard { control: name.into() }).await?;
        }
        for (name, control) in asked {
            let by = control.by.spoken().to_owned();
            let reason = control.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let mut facts = vec![Fact::Heard { control: name.into() }];
            let said = match control.verb {
                Verb::Pause => "paused",
                Verb::Resume => "resumed",
                Verb::Promote { full: false } => "promoted",
                Verb::Promote { full: true } => "promoted to the end",
                Verb::Abort => "aborted",
            };
            self.tell(&format!("{said} by {by}{reason}"));
            facts.push(match control.verb {
                Verb::Pause => Fact::Paused { why: format!("{by} paused it{reason}"), by: Some(by) },
                Verb::Resume => Fact::Resumed { by },
                Verb::Promote { full } => Fact::Promoted { by, full },
                Verb::Abort => Fact::Aborting { why: format!("{by} aborted it{reason}"), fault: Fault::Person },
            });
            self.take_all(going, facts).await?;
        }
        Ok(())
    }

    /// What failed in the same phase.
    fn failed_beside(&self) -> Option<Address> {
        self.failing.borrow().get(&self.phase).filter(|other| **other != self.unit).cloned()
    }

    /// Waits until then; false where there is something to be taken in by [`Self::listen`] before.
    pub(super) async fn unless_heard(&self, going: &Going, until: Timestamp) -> bool {
        self.wait(until.min(self.later(HEARD_WITHIN))).await;
        if self.failed_beside().is_some() {
            return false;
        }
        let (asked, unreadable) = self.asked(going).await;
        asked.is_empty() && unreadable.is_empty()
    }

    /// Waits until then; false where all traffic is to go back before.
    pub(super) async fn unless_called_back(&self, going: &Going, until: Timestamp) -> bool {
        self.wait(until.min(self.later(HEARD_WITHIN))).await;
        let aborts = |(_, control): &(String, Control)| control.verb == Verb::Abort;
        self.failed_beside().is_none() && !self.asked(going).await.0.iter().any(aborts)
    }

    /// Returns once there is something to be taken in.
    pub(super) async fn heard(&self, going: &Going) {
        while self.unless_heard(going, self.later(HEARD_WITHIN)).await {}
    }

    /// What people said that was not heard yet. A storage that does not answer is asked again next time.
    async fn asked(&self, going: &Going) -> (Vec<(String, Control)>, Vec<String>) {
        let asking = Control::all(&**self.desk.store.ledger(), &going.run);
        let all = tokio::time::timeout(HEARD_WITHIN * 10, asking).await;
        let (mut all, mut unreadable) = match all {
            Ok(Ok(all)) => all,
            Ok(Err(failure)) => {
                self.say(&format!("what people ask for could not be read: {failure}"));
                return (Vec::new(), Vec::new());
            }
            Err(_) => {
                self.say("what people ask for could not be read in time");
                return (Vec::new(), Vec::new());
            }
        };
        all.retain(|(name, control)| control.unit == self.unit && !going.heard.contains(name.as_str()));
        unreadable.retain(|name| !going.heard.contains(name.as_str()));
        (all, unreadable)
    }
}
