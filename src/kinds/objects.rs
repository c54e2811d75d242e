//! Kubernetes objects as parts of a change: compared three ways, without what the server adds and without secrets.

use crate::{
    base::{ActionWord, Data, Hidden, Path, Value},
    kinds::{
        Cause, ChildChange, Comparison, Context, FieldChange, Sides, marks::KUBERNETES_PREFIX,
        notation::is_only_written_otherwise, ownership, parse_path,
    },
    world::{Kubernetes, ObjectRef, Outcome},
};
use base64::Engine as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

/// How many objects of one resource are asked for at once.
pub(super) const AT_ONCE: usize = 16;
/// What Terrace calls itself to the API server.
pub(super) const MANAGER: &str = "terrace";
/// Metadata that the server writes.
const SERVERS_METADATA: [&str; 8] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// The object without status, without what the server writes into metadata and without our own marks; nulls dropped.
pub(super) fn clean(object: &Json) -> Json {
    let mut object = without_nulls(object);
    if let Some(top) = object.as_object_mut() {
        top.remove("status");
        encode_string_data(top);
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        for name in SERVERS_METADATA {
            metadata.remove(name);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Json::as_object_mut) {
            annotations.retain(|key, _| {
                !key.starts_with(KUBERNETES_PREFIX)
                    && key != "kubectl.kubernetes.io/last-applied-configuration"
                    && key != "deployment.kubernetes.io/revision"
            });
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
    }
    object
}

/// A secret's `stringData` is only written, never read back: the server keeps it in `data`, base64.
fn encode_string_data(object: &mut serde_json::Map<String, Json>) {
    if object.get("kind").and_then(Json::as_str) != Some("Secret") {
        return;
    }
    let Some(Json::Object(plain)) = object.remove("stringData") else { return };
    let data = object.entry("data").or_insert_with(|| Json::Object(serde_json::Map::new()));
    let Some(data) = data.as_object_mut() else { return };
    for (key, value) in plain {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        data.insert(key, base64::engine::general_purpose::STANDARD.encode(text).into());
    }
}

fn without_nulls(json: &Json) -> Json {
    match json {
        Json::Object(entries) => Json::Object(
            entries.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        Json::Array(items) => Json::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// `apps/v1 Deployment`.
pub(super) fn type_of(object: &ObjectRef) -> String {
    format!("{} {}", object.api_version, object.kind)
}

/// Gives an object the namespace where it names none and its type lives in namespaces. A type that the server does not have
/// (yet) gets it too: its definition comes with the same release.
pub(super) async fn placed(kubernetes: &Arc<dyn Kubernetes>, object: &Json, namespace: &str) -> Outcome<Json> {
    let mut object = object.clone();
    let Some(reference) = ObjectRef::of(&object) else { return Ok(object) };
    let kind = kubernetes.resource_type(&reference.api_version, &reference.kind).await?;
    let namespaced = kind.is_none_or(|t| t.namespaced);
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        if !namespaced {
            metadata.remove("namespace");
        } else if reference.namespace.is_none() {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
    }
    Ok(object)
}

/// The live objects behind these references; what is not there is absent. A type the server does not have has no objects.
pub(super) async fn live(context: &Context, references: Vec<ObjectRef>) -> Outcome<BTreeMap<ObjectRef, Json>> {
    let kubernetes = context.cluster()?.kubernetes.clone();
    let found: Vec<(ObjectRef, Option<Json>)> = stream::iter(references)
        .map(|reference| {
            let kubernetes = kubernetes.clone();
            async move {
                let object = context.patiently(|| kubernetes.get(&reference)).await?;
                Ok((reference, object))
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().filter_map(|(reference, object)| Some((reference, object?))).collect())
}

/// The value with the marks of another of the same shape: what is declared to be a secret is one wherever it is live, even
/// where another secret stands there now. Elements of lists are matched by name where they have names, else by place.
pub(super) fn marked_like(value: &Value, like: &Value) -> Value {
    if like.is_sensitive() {
        return value.clone().sensitive();
    }
    let data = match (value.data(), like.data()) {
        (Data::Mapping(kind, entries), Data::Mapping(_, others)) => {
            let marked = entries.iter().map(|(key, value)| {
                (key.clone(), others.get(key).map_or_else(|| value.clone(), |like| marked_like(value, like)))
            });
            Data::Mapping(*kind, Arc::new(marked.collect()))
        }
        (Data::Sequence(kind, items), Data::Sequence(_, others)) if like.has_sensitive() => {
            let named = by_name(others);
            let like_of = |at: usize, item: &Value| match (&named, item.get("name").and_then(Value::as_str)) {
                (Some(named), Some(name)) => named.get(name).copied(),
                _ => others.get(at),
            };
            let marked = items.iter().enumerate().map(|(at, item)| match like_of(at, item) {
                Some(like) => marked_like(item, like),
                None => item.clone(),
            });
            Data::Sequence(*kind, Arc::new(marked.collect()))
        }
        _ => return value.clone(),
    };
    Value::from(data).with_mark(value.is_sensitive())
}

/// An object as a value: a Secret's content is sensitive, and so is every text and number that is hidden.
pub(super) fn value_of(object: &Json, hidden: &Hidden) -> Value {
    fn convert(json: &Json, hidden: &Hidden) -> Value {
        match json {
            Json::Array(items) => Value::tuple(items.iter().map(|v| convert(v, hidden)).collect()),
            Json::Object(entries) => Value::object(entries.iter().map(|(k, v)| (k.as_str(), convert(v, hidden)))),
            Json::String(text) => Value::from(text.as_str()).with_mark(hidden.is_in(text)),
            Json::Number(number) => Value::from_json(json).with_mark(hidden.is_in(&number.to_string())),
            other => Value::from_json(other),
        }
    }
    let secret = object["kind"] == "Secret";
    let Some(entries) = object.as_object() else { return convert(object, hidden) };
    Value::object(entries.iter().map(|(key, json)| {
        let value = match (secret && (key == "data" || key == "stringData"), json) {
            (true, Json::Object(content)) => {
                Value::object(content.iter().map(|(k, v)| (k.as_str(), Value::from_json(v).sensitive())))
            }
            _ => convert(json, hidden),
        };
        (key.as_str(), value)
    }))
}

/// The form in which objects are compared: lists whose elements have names become maps by name, so that what somebody put
/// between is no difference, and quantities are written as the server does.
pub(super) fn normal(value: &Value) -> Value {
    let mark = value.is_sensitive();
    match value.data() {
        Data::Sequence(kind, items) => match keyed(items) {
            Some(named) => Value::object(named.into_iter().map(|(k, v)| (k, normal(v)))).with_mark(mark),
            None => Value::from(Data::Sequence(*kind, Arc::new(items.iter().map(normal).collect()))).with_mark(mark),
        },
        Data::Mapping(_, entries) => Value::object(entries.iter().map(|(k, v)| (k.clone(), normal(v)))).with_mark(mark),
        Data::String(text) if !mark => quantity(text).map_or_else(|| value.clone(), Value::from),
        _ => value.clone(),
    }
}

fn by_name(items: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named: BTreeMap<&str, &Value> =
        items.iter().filter_map(|item| Some((item.get("name")?.as_str()?, item))).collect();
    (!items.is_empty() && named.len() == items.len()).then_some(named)
}

/// Where the element of a list is that a path names, as [`normal`] names elements.
pub(super) fn element(items: &[Value], name: &str) -> Option<usize> {
    let named = keyed(items)?;
    let found = *named.get(name)?;
    items.iter().position(|item| std::ptr::eq(item, found))
}

/// What tells one element of a list from the others.
type Way<'w> = &'w dyn Fn(&Value) -> Option<String>;

/// The elements of a list by what the server merges them by: a name, else a port with its protocol, the path that a volume is
/// mounted at, an address. Source: `x-kubernetes-list-map-keys` of the API.
fn keyed(items: &[Value]) -> Option<BTreeMap<String, &Value>> {
    if let Some(named) = by_name(items) {
        return Some(named.into_iter().map(|(name, item)| (name.to_owned(), item)).collect());
    }
    let text = |item: &Value, key: &str| match item.get(key)?.to_json()? {
        Json::String(text) => Some(text),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let port = |item: &Value, key: &str| {
        let protocol = text(item, "protocol").unwrap_or_else(|| "TCP".to_owned());
        text(item, key).map(|number| format!("{number}/{protocol}"))
    };
    let ways: [Way<'_>; 4] =
        [&|item| port(item, "containerPort"), &|item| port(item, "port"), &|item| text(item, "mountPath"), &|item| {
            text(item, "ip")
        }];
    ways.into_iter().find_map(|way| {
        let found: BTreeMap<String, &Value> = items.iter().filter_map(|item| Some((way(item)?, item))).collect();
        (!items.is_empty() && found.len() == items.len()).then_some(found)
    })
}

/// A quantity in the notation that the server gives back: `1000m` is `1`, `1024Mi` is `1Gi`. `None` for what is none.
fn quantity(text: &str) -> Option<String> {
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u128 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "m" if number.is_multiple_of(1_000) => Some((number / 1_000).to_string()),
        unit => {
            let at = BINARY.iter().position(|u| *u == unit)?;
            let (mut number, mut at) = (number, at);
            while number != 0 && number % 1_024 == 0 && at + 1 < BINARY.len() {
                (number, at) = (number / 1_024, at + 1);
            }
            Some(format!("{number}{}", BINARY[at]))
        }
    }
}

/// One object three ways.
#[derive(Clone, Copy)]
pub(super) struct ThreeWays<'a> {
    /// What was applied last.
    pub last: Option<&'a Json>,
    /// What is live.
    pub live: Option<&'a Json>,
    /// What will be.
    pub next: Option<&'a Json>,
    /// What is not shown.
    pub hidden: &'a Hidden,
}

/// How one object changes; `None` where it does not. Values are marked, not sealed: [`sealed`] does that.
pub(super) fn three_ways(reference: &ObjectRef, ways: &ThreeWays<'_>) -> Option<ChildChange> {
    let value = |json: Option<&Json>| json.map(|json| normal(&value_of(&clean(json), ways.hidden)));
    let (last, live, next) = (value(ways.last), value(ways.live), value(ways.next));
    let mut fields = Comparison { seal: &|json| hidden(json), ignore: &[] }
        .fields(&Path::default(), Sides { desired: next.as_ref(), live: live.as_ref(), prior: last.as_ref() });
    fields.retain(|field| ways.live.is_none() || !is_only_written_otherwise(field));
    if let Some(live) = ways.live {
        // Where nothing but the live object tells what was applied last, whoever compares knows what is drift.
        let told = ways.last.is_some_and(|last| !std::ptr::eq(last, live));
        for field in fields.iter_mut().filter(|f| !told || f.cause == Cause::Drift) {
            field.owner = parse_path(&field.path).and_then(|path| ownership::set_by(live, &path));
            field.because = field.owner.as_ref().map(ToString::to_string);
        }
    }
    let action = match (ways.live, ways.next) {
        (_, None) if ways.live.is_none() => return None,
        (_, None) => {
            fields.clear();
            ActionWord::Delete
        }
        (None, Some(_)) => {
            // Gone behind our back, or new.
            if ways.last.is_some() {
                for field in &mut fields {
                    field.cause = Cause::Drift;
                }
            }
            ActionWord::Create
        }
        (Some(_), Some(_)) if fields.is_empty() => return None,
        (Some(_), Some(_)) => ActionWord::Update,
    };
    Some(ChildChange {
        name: reference.to_string(),
        kind: type_of(reference),
        action,
        maybe_replace: false,
        policy: None,
        stateful: is_stateful(&reference.kind),
        fields,
    })
}

/// A seal without a key: enough to tell that two secrets differ, replaced by a keyed one before anything is stored.
fn hidden(json: &Json) -> Arc<str> {
    crate::base::Digest::of_value(json).as_str().into()
}

/// The same parts with what is secret sealed by the state's key.
#[must_use]
pub fn sealed(children: Vec<ChildChange>, seal: &dyn Fn(&Json) -> Arc<str>) -> Vec<ChildChange> {
    let again = |value: Value| match value.data() {
        Data::Sealed(text) => Value::from(Data::Sealed(seal(&Json::String(text.to_string())))).sensitive(),
        _ => value.sealed(seal),
    };
    let field = |f: FieldChange| FieldChange { before: f.before.map(again), after: f.after.map(again), ..f };
    children.into_iter().map(|c| ChildChange { fields: c.fields.into_iter().map(field).collect(), ..c }).collect()
}

/// True for kinds of objects whose loss is a loss of data.
pub(super) fn is_stateful(kind: &str) -> bool {
    matches!(
        kind,
        "PersistentVolumeClaim" | "PersistentVolume" | "StatefulSet" | "Namespace" | "CustomResourceDefinition"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference() -> ObjectRef {
        ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("a".into()),
            name: "x".into(),
        }
    }

    fn deployment(replicas: i64, image: &str) -> Json {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "namespace": "a"},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [
                {"name": "web", "image": image, "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}]}}}})
    }

    #[test]
    fn what_the_server_adds_and_how_it_writes_is_no_difference() {
        let wanted = deployment(1, "nginx:1");
        let mut live = wanted.clone();
        live["metadata"]["uid"] = json!("u");
        live["status"] = json!({"readyReplicas": 1});
        live["spec"]["template"]["spec"]["containers"] = json!([
            {"name": "injected", "image": "proxy"},
            {"name": "web", "image": "nginx:1", "imagePullPolicy": "Always",
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]);
        let ways =
            ThreeWays { last: Some(&wanted), live: Some(&live), next: Some(&wanted), hidden: &Hidden::default() };
        assert_eq!(three_ways(&reference(), &ways), None);
    }

    #[test]
    fn a_changed_field_is_drift_and_a_wanted_one_is_declared() {
        let (last, live, next) = (deployment(1, "nginx:1"), deployment(5, "nginx:1"), deployment(1, "nginx:2"));
        let ways = ThreeWays { last: Some(&last), live: Some(&live), next: Some(&next), hidden: &Hidden::default() };
        let change = three_ways(&reference(), &ways).unwrap();
        let fields: Vec<_> = change.fields.iter().map(|f| (f.path.as_str(), f.cause)).collect();
        assert_eq!(
            fields,
            [("spec.replicas", Cause::Drift), ("spec.template.spec.containers.web.image", Cause::Declared)]
        );
    }

    #[test]
    fn no_secret_is_shown_wherever_a_chart_puts_it() {
        let hidden = Hidden::of([&Value::object([
            ("password", Value::from("hunter2").sensitive()),
            ("pin", Value::from(4821).sensitive()),
            ("digit", Value::from(7).sensitive()),
        ])]);
        let next = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
            "data": {"clear": "pw=hunter2", "coded": "aHVudGVyMg==", "plain": "ok 7", "pin": 4821, "inside": "a4821", "digit": 7}});
        let ways = ThreeWays { last: None, live: None, next: Some(&next), hidden: &hidden };
        let text = serde_json::to_string(&three_ways(&reference(), &ways)).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg") && text.contains("\"ok 7\""), "{text}");
        for path in ["clear", "coded", "pin", "inside", "digit"] {
            assert!(text.contains(&format!("\"data.{path}\",\"after\":{{\"$terrace:sealed\"")), "{path}: {text}");
        }
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"k": "c2VjcmV0"}});
        let ways = ThreeWays { last: None, live: None, next: Some(&secret), hidden: &Hidden::default() };
        assert!(!serde_json::to_string(&three_ways(&reference(), &ways)).unwrap().contains("c2VjcmV0"));
    }

    #[test]
    fn an_object_that_is_gone_is_made_again_and_one_no_longer_wanted_is_deleted() {
        let object = deployment(1, "nginx:1");
        let gone = three_ways(
            &reference(),
            &ThreeWays { last: Some(&object), live: None, next: Some(&object), hidden: &Hidden::default() },
        );
        assert!(
            gone.is_some_and(|c| c.action == ActionWord::Create && c.fields.iter().all(|f| f.cause == Cause::Drift))
        );
        let left = three_ways(
            &reference(),
            &ThreeWays { last: Some(&object), live: Some(&object), next: None, hidden: &Hidden::default() },
        );
        assert!(left.is_some_and(|c| c.action == ActionWord::Delete && c.fields.is_empty()));
    }
}
