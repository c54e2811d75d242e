//! What is left of an effect that failed, as state remembers it.

use super::{Task, connect::context, end::End};
use crate::{
    apply::journal::{Ending, Undone},
    base::{ActionWord, Value},
    kinds::GoesOn,
    state::{Record, Resource, Status},
};
use serde_json::Value as Json;

impl Task<'_> {
    /// What a failed effect left behind is remembered together with its end. A create that left something, or of which that
    /// could not be found out, is tainted, so that it is planned as a replacement, or gone on with (rule 20); an update that came
    /// half-way may have made parts that state does not know yet.
    pub(super) async fn after_failure(&self, action: ActionWord, ending: Ending) -> End {
        let mut records = Vec::new();
        if !matches!(ending.undone, Undone::State(_))
            && let Some(identity) = &self.instance.desired.identity
        {
            if action == ActionWord::Create {
                records.extend(self.tainted(identity, &ending.undone).await);
            } else if let Some(former) = &self.remembered {
                records.extend(self.half_updated(former, identity));
            }
        }
        self.desk.failed(ending, records).await.into()
    }

    /// What is remembered of an update that failed, where that is more than before: parts that it may have made, and that the next
    /// apply goes on with it.
    fn half_updated(&self, former: &Resource, identity: &Json) -> Option<Record> {
        let parts = with_parts(&former.identity, identity);
        let again = self.instance.kind.goes_on() == GoesOn::Always;
        (again || parts.is_some()).then(|| {
            let identity = parts.unwrap_or_else(|| former.identity.clone());
            let status = if again { Status::Tainted } else { former.status };
            Record::Resource(Box::new(Resource { identity, status, ..former.clone() }))
        })
    }

    pub(super) async fn tainted(&self, identity: &Json, undone: &Undone) -> Option<Record> {
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
            let context =
                context(desk, &self.instance.address, &self.instance.connections, self.read_timeout).await.ok()?;
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
        let status = if kind.goes_on() == GoesOn::WhereItDiffers { Status::Applied } else { Status::Tainted };
        Some(Record::Resource(Box::new(self.resource(&identity, &exports, status))))
    }
}

/// An identity of several objects with those of another in it; `None` where that says nothing new.
fn with_parts(former: &Json, wanted: &Json) -> Option<Json> {
    let (old, new) = (former["objects"].as_array()?, wanted["objects"].as_array()?);
    let more: Vec<&Json> = new.iter().filter(|o| !old.contains(o)).collect();
    let mut both = former.clone();
    both["objects"].as_array_mut()?.extend(more.iter().copied().cloned());
    (!more.is_empty()).then_some(both)
}
