//! Taking over what exists: state is written, and nothing else. What differs from its declaration is remembered as it is
//! live, so that the next plan shows it as a change.

use crate::{
    apply::work::{End, Task, tell},
    base::{ActionWord, Data, Digest, Value},
    plan::{
        decide::{self, Facts},
        look::{How, LookAhead, look},
    },
    state::{Record, Resource},
};
use std::{collections::BTreeMap, sync::Arc};

impl Task<'_> {
    /// Takes it over.
    pub(super) async fn adopt(&self) -> Result<End, End> {
        let how = How { offline: false, ahead: LookAhead::Never, timeout: self.read_timeout, planning: false };
        let import = self.planned.import.as_ref();
        let seen = look(self.desk.subject, &self.instance, self.remembered.as_ref(), import, how).await;
        let seen = seen.map_err(|f| End::Failed(tell(&f)))?;
        let Some(live) = &seen.observed else {
            return Err(End::Beyond("it was destroyed since the plan was made; plan again".to_owned()));
        };
        if let Some(moved) = self.moved(Some(live)) {
            return Err(End::Beyond(moved));
        }
        let facts = Facts {
            instance: &self.instance,
            header: &self.declared.span,
            lifecycle: &self.declared.lifecycle,
            remembered: self.remembered.as_ref(),
            observed: Some(live),
            preview: None,
            import,
            moved_from: None,
            replace_asked: false,
            triggered_by: None,
            unverified: Vec::new(),
            verify: Vec::new(),
            seal: &self.desk.subject.seal,
        };
        let decided = decide::decide(&facts)
            .map_err(|problems| End::Failed(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        if decided.own == ActionWord::NoOp {
            return self.remember(Some(live), decided.exports).await;
        }
        let as_declared = self.resource(&live.identity, &live.exports, crate::state::Status::Applied);
        let resource = Resource {
            inputs: self.desk.subject.seal.seal_value(&told(&live.inputs)),
            documents: live.documents.iter().map(|(k, v)| (k.clone(), Digest::of(v.as_bytes()))).collect(),
            ..as_declared
        };
        self.desk.store.commit(vec![Record::Resource(Box::new(resource))]).await?;
        Ok(End::Done { exports: live.exports.clone(), action: ActionWord::Import })
    }
}

/// What the world tells, without what it keeps to itself.
fn told(value: &Value) -> Value {
    match value.data() {
        Data::Mapping(_, entries) => {
            let known = entries.iter().filter(|(_, v)| !v.is_unknown());
            let entries: BTreeMap<Arc<str>, Value> = known.map(|(k, v)| (k.clone(), told(v))).collect();
            Value::object(entries).with_mark(value.is_sensitive())
        }
        _ => value.clone(),
    }
}
