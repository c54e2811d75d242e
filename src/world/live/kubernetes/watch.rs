//! A watch as a stream: what is there, then each change, picked up again where it broke off. Source: "Efficient detection of
//! changes" in "Kubernetes API Concepts".

use super::{
    api::{list, selectors},
    cluster::{Ask, Cluster, rest},
    failure::{Call, Refused},
    paths,
};
use crate::world::{Class, Failure, ObjectChange, ObjectRef, Outcome, ResourceType, Watched};
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// After this long the server ends a watch, and it is asked again.
const LASTS: u32 = 240;
/// What is left over of that on this side before a silent server is given up.
const SILENCE: Duration = Duration::from_secs(270);
/// How often in a row a broken watch is begun anew.
const TRIES: u32 = 6;
/// The longest line that is read: an object of twice the size that a server holds.
const LINE: usize = 8 << 20;

type Lines = BoxStream<'static, Result<Vec<u8>, Failure>>;

struct Watch {
    cluster: Arc<Cluster>,
    watched: Watched,
    call: Call,
    /// What is to be told.
    told: VecDeque<ObjectChange>,
    /// What is known to be there.
    there: BTreeMap<(String, String), ObjectRef>,
    /// Where the next watch begins; `None` before the first list.
    since: Option<String>,
    lines: Option<Lines>,
    failed: u32,
    over: bool,
}

/// What is there and then each change, until the stream is dropped.
pub(super) fn changes(cluster: Arc<Cluster>, watched: Watched) -> BoxStream<'static, Outcome<ObjectChange>> {
    let subject = format!("{} {}", watched.kind, watched.namespace.as_deref().unwrap_or("*"));
    let watch = Watch {
        cluster,
        watched,
        call: Call::new("kubernetes:Watch", subject),
        told: VecDeque::new(),
        there: BTreeMap::new(),
        since: None,
        lines: None,
        failed: 0,
        over: false,
    };
    stream::unfold(watch, |mut watch| async move {
        if watch.over {
            return None;
        }
        loop {
            if let Some(change) = watch.told.pop_front() {
                return Some((Ok(change), watch));
            }
            match watch.step().await {
                Ok(()) => {}
                Err(failure) if failure.class.retryable() && watch.failed < TRIES => {
                    watch.failed += 1;
                    watch.lines = None;
                    rest(Duration::from_millis(200) * (1 << watch.failed)).await;
                }
                Err(failure) => {
                    watch.over = true;
                    return Some((Err(failure), watch));
                }
            }
        }
    })
    .boxed()
}

impl Watch {
    async fn step(&mut self) -> Outcome<()> {
        let Watched { api_version, kind, .. } = &self.watched;
        let found = self.cluster.find_type(api_version, kind).await?;
        let kind = found.ok_or_else(|| {
            let what = format!("no matches for kind {kind:?} in version {api_version:?}");
            self.call.failure(Class::NotFound, what)
        })?;
        let Some(since) = self.since.clone() else { return self.list(&kind).await };
        let Some(lines) = &mut self.lines else {
            let path = format!(
                "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={LASTS}&resourceVersion={}{}",
                paths::of_type(&kind, self.watched.namespace.as_deref()),
                paths::segment(&since),
                selectors(&self.watched)
            );
            self.lines = self.begin(path).await?;
            return Ok(());
        };
        let silent = |_| Err(self.call.failure(Class::TimedOut, "the watch fell silent"));
        let next = tokio::time::timeout(SILENCE, lines.try_next()).await.unwrap_or_else(silent)?;
        match next {
            Some(line) => self.take(&line, &kind)?,
            None => self.lines = None,
        }
        Ok(())
    }

    /// Reads what is there, and tells what went while nobody watched.
    async fn list(&mut self, kind: &ResourceType) -> Outcome<()> {
        let (objects, version) = list(&self.cluster, kind, &self.watched).await?;
        let before = std::mem::take(&mut self.there);
        for object in objects {
            self.is(object);
        }
        let gone = before.into_iter().filter(|(key, _)| !self.there.contains_key(key)).map(|(_, gone)| gone);
        self.told.extend(gone.collect::<Vec<_>>().into_iter().map(ObjectChange::Gone));
        self.told.push_back(ObjectChange::Listed);
        self.since = Some(version);
        Ok(())
    }

    /// `None` where the place to begin at is forgotten.
    async fn begin(&mut self, path: String) -> Outcome<Option<Lines>> {
        let met = self.cluster.met().await?;
        let response = self.cluster.send(&self.call, &Ask::get(path), &met).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            let body = super::cluster::read(response).await;
            let refused = Refused::new(status, &headers, &body.unwrap_or_default());
            if refused.is_expired() {
                self.since = None;
                return Ok(None);
            }
            return Err(refused.failure(&self.call));
        }
        let call = self.call.clone();
        let broken = move |why: String| call.failure(Class::Unavailable, format!("the watch broke off: {why}"));
        let chunks = http_body_util::BodyDataStream::new(response.into_body());
        let chunks = chunks.map(move |chunk| chunk.map_err(|e| broken(e.to_string()))).boxed();
        Ok(Some(lines(chunks, self.call.clone())))
    }

    fn take(&mut self, line: &[u8], kind: &ResourceType) -> Outcome<()> {
        let mut event: Json = super::api::json_of(&self.call, line)?;
        let object = event["object"].take();
        if let Some(version) = object["metadata"]["resourceVersion"].as_str() {
            self.since = Some(version.to_owned());
        }
        self.failed = 0;
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => self.is(typed(object, kind)),
            Some("DELETED") => {
                if let Some(reference) = ObjectRef::of(&typed(object, kind)) {
                    self.there.remove(&key(&reference));
                    self.told.push_back(ObjectChange::Gone(reference));
                }
            }
            Some("ERROR") => {
                // Its place is forgotten: what is there is read again.
                self.lines = None;
                self.since = None;
                if object["code"] != 410 {
                    let said = object["message"].as_str().unwrap_or("the server ended the watch").to_owned();
                    return Err(self.call.failure(Class::Unavailable, said));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn is(&mut self, object: Json) {
        if let Some(reference) = ObjectRef::of(&object) {
            self.there.insert(key(&reference), reference);
            self.told.push_back(ObjectChange::Is(object));
        }
    }
}

fn typed(mut object: Json, kind: &ResourceType) -> Json {
    if let Some(entries) = object.as_object_mut() {
        entries.entry("apiVersion").or_insert_with(|| kind.api_version.as_str().into());
        entries.entry("kind").or_insert_with(|| kind.kind.as_str().into());
    }
    object
}

fn key(object: &ObjectRef) -> (String, String) {
    (object.namespace.clone().unwrap_or_default(), object.name.clone())
}

/// Lines of a body; what stands after the last line break is of a line that broke off.
fn lines<C: AsRef<[u8]> + Send + 'static>(chunks: BoxStream<'static, Result<C, Failure>>, call: Call) -> Lines {
    let state = (chunks, Vec::<u8>::new(), VecDeque::<Vec<u8>>::new(), call);
    stream::try_unfold(state, |(mut chunks, mut rest, mut ready, call)| async move {
        loop {
            if let Some(line) = ready.pop_front() {
                return Ok(Some((line, (chunks, rest, ready, call))));
            }
            let Some(chunk) = chunks.try_next().await? else { return Ok(None) };
            rest.extend_from_slice(chunk.as_ref());
            while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                let after = rest.split_off(end + 1);
                let line = std::mem::replace(&mut rest, after);
                if line.len() > 1 {
                    ready.push_back(line);
                }
            }
            if rest.len() > LINE {
                return Err(
                    call.failure(Class::Unsupported, format!("a line of the watch is longer than {LINE} bytes"))
                );
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_put_together_over_chunks_and_the_last_broken_one_is_left() {
        let chunks = ["{\"a\"", ":1}\n\n{\"b\":2}\n{\"c\"", ":3"].map(|c| Ok::<_, Failure>(c.as_bytes().to_vec()));
        let call = Call::new("kubernetes:Watch", "");
        let found: Vec<Vec<u8>> = lines(stream::iter(chunks).boxed(), call).try_collect().await.unwrap();
        let found: Vec<&str> = found.iter().map(|l| std::str::from_utf8(l).unwrap().trim()).collect();
        assert_eq!(found, ["{\"a\":1}", "{\"b\":2}"]);
    }
}
