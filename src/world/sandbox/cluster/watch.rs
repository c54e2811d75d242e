//! A watch: what is there is looked at again in virtual time, quickly while something changes, and slower while nothing does.

use super::kubernetes::Api;
use crate::world::{Class, Clock as _, Failure, Kubernetes as _, ObjectChange, ObjectRef, Outcome, Watched};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// The pace after a change.
const FIRST: Duration = Duration::from_secs(1);
/// The pace where nothing changes.
const SLOWEST: Duration = Duration::from_secs(10);

struct Watch {
    api: Api,
    watched: Watched,
    there: BTreeMap<(Option<String>, String), Json>,
    told: VecDeque<ObjectChange>,
    pause: Option<Duration>,
    /// Whether all that was there at first was told.
    listed: bool,
    over: bool,
}

/// What is there and then each change, until the stream is dropped.
pub(super) fn changes(api: Api, watched: Watched) -> BoxStream<'static, Outcome<ObjectChange>> {
    let watch =
        Watch { api, watched, there: BTreeMap::new(), told: VecDeque::new(), pause: None, listed: false, over: false };
    stream::unfold(watch, |mut watch| async move {
        if watch.over {
            return None;
        }
        loop {
            if let Some(change) = watch.told.pop_front() {
                return Some((Ok(change), watch));
            }
            if let Some(pause) = watch.pause {
                watch.api.sandbox.clock.sleep(pause).await;
            }
            if let Err(failure) = watch.look().await {
                watch.over = !failure.class.retryable();
                if watch.over {
                    return Some((Err(failure), watch));
                }
            }
        }
    })
    .boxed()
}

impl Watch {
    async fn look(&mut self) -> Outcome<()> {
        let next = self.pause.map_or(FIRST, |pause| (pause * 3 / 2).min(SLOWEST));
        self.pause = Some(next);
        let Watched { api_version, kind, namespace, name, labels } = &self.watched;
        if !self.listed && self.api.resource_type(api_version, kind).await?.is_none() {
            let what = format!("no matches for kind {kind:?} in version {api_version:?}");
            return Err(Failure::new(Class::NotFound, "kubernetes:Watch", kind.clone(), what));
        }
        let found = match name {
            Some(name) => {
                let (api_version, kind, name) = (api_version.clone(), kind.clone(), name.clone());
                let object = ObjectRef { api_version, kind, namespace: namespace.clone(), name };
                self.api.get(&object).await?.into_iter().collect()
            }
            None => self.api.list(api_version, kind, namespace.as_deref(), labels).await?,
        };
        let keyed = found.into_iter().filter_map(|object| {
            let reference = ObjectRef::of(&object)?;
            Some(((reference.namespace, reference.name), object))
        });
        let before = std::mem::replace(&mut self.there, keyed.collect());
        for (key, object) in &self.there {
            if before.get(key) != Some(object) {
                self.told.push_back(ObjectChange::Is(object.clone()));
            }
        }
        let gone = before.iter().filter(|(key, _)| !self.there.contains_key(*key));
        self.told.extend(gone.filter_map(|(_, object)| ObjectRef::of(object)).map(ObjectChange::Gone));
        if !self.listed {
            self.listed = true;
            self.told.push_back(ObjectChange::Listed);
        } else if !self.told.is_empty() {
            self.pause = Some(FIRST);
        }
        Ok(())
    }
}
