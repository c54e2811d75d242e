//! What an update sends of objects of which `ignore_changes` names fields: those are left to whoever set them. Pure.
//!
//! A field that somebody else set is not sent at all: the server then leaves it as it is, and theirs. A field that is still ours
//! by the server's books is sent as it is live, since what an owner no longer sends is taken away. Source: "Server-Side Apply",
//! field management.

use crate::{
    base::{Data, Path, Step, Value},
    kinds::{Desired, Observed, objects::element, parse_path},
};
use std::{collections::BTreeMap, sync::Arc};

/// The wanted objects without what is ignored.
pub(super) fn leave(desired: &Desired, observed: &Observed, ignore: &[String]) -> Desired {
    let Some(objects) = desired.inputs.get("objects").and_then(Value::as_map) else { return desired.clone() };
    // Before-images hold of each object what is ours, and nothing else.
    let ours = observed.image.get("objects");
    let all = ignore.iter().any(|text| text == "*" || text == "all");
    let paths: Vec<Path> = ignore.iter().filter_map(|text| parse_path(text)).collect();
    let objects = objects.iter().map(|(key, object)| {
        let Some(ours) = ours.and_then(|o| o.get(key)) else { return (key.clone(), object.clone()) };
        if all {
            return (key.clone(), ours.clone());
        }
        let left = paths
            .iter()
            .filter_map(|path| inside(path, key))
            .fold(object.clone(), |object, path| replaced(&object, path, Some(ours)).unwrap_or(object));
        (key.clone(), left)
    });
    let mut inputs = desired.inputs.as_map().map(|m| (**m).clone()).unwrap_or_default();
    inputs.insert("objects".into(), Value::object(objects.collect::<BTreeMap<_, _>>()));
    Desired { inputs: Value::object(inputs), ..desired.clone() }
}

/// The steps inside an object that a path names: `spec.replicas`, `object.spec.replicas`, or with the object's name before.
/// What an object is known by is always sent.
fn inside<'p>(path: &'p Path, key: &str) -> Option<&'p [Step]> {
    let steps = match path.0.split_first()? {
        (Step::Key(first), rest) if &**first == "object" || &**first == key => rest,
        _ => &path.0[..],
    };
    let names = |names: &[&str]| steps.len() == names.len() && steps.iter().zip(names).all(|(s, n)| is_key(s, n));
    let identity = [&["apiVersion"][..], &["kind"], &["metadata"], &["metadata", "name"], &["metadata", "namespace"]];
    (!steps.is_empty() && !identity.iter().any(|n| names(n))).then_some(steps)
}

fn is_key(step: &Step, name: &str) -> bool {
    matches!(step, Step::Key(key) if &**key == name)
}

/// The value with what lies at the end of the path as it is in `ours`; nothing where that is the value itself and is not there.
fn replaced(value: &Value, path: &[Step], ours: Option<&Value>) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else { return ours.cloned() };
    let mark = value.is_sensitive();
    let data = match (value.data(), step) {
        (Data::Mapping(kind, entries), Step::Key(key)) => {
            let mut entries = (**entries).clone();
            let inner = ours.and_then(|o| o.get(key));
            let new = match entries.get(key) {
                Some(entry) => replaced(entry, rest, inner),
                // Not declared: nothing is sent but what is still ours.
                None => inner.filter(|_| rest.is_empty()).cloned(),
            };
            match new {
                Some(new) => drop(entries.insert(key.clone(), new)),
                None => drop(entries.remove(key)),
            }
            Data::Mapping(*kind, Arc::new(entries))
        }
        (Data::Sequence(kind, items), _) => {
            let Some(at) = place(items, step) else { return Some(value.clone()) };
            let theirs = ours.and_then(Value::as_seq);
            let inner = theirs.and_then(|theirs| match (step, name_of(&items[at])) {
                (_, Some(name)) => theirs.iter().find(|item| name_of(item) == Some(name)),
                (Step::Key(key), None) => theirs.get(element(theirs, key)?),
                (Step::Index(_), None) => theirs.get(at),
            });
            let mut items = (**items).clone();
            match replaced(&items[at], rest, inner) {
                Some(new) => items[at] = new,
                None => drop(items.remove(at)),
            }
            Data::Sequence(*kind, Arc::new(items))
        }
        _ => return Some(value.clone()),
    };
    Some(Value::from(data).with_mark(mark))
}

/// Where the element is that a step names: by its place, or by its name as plans show it.
pub(super) fn place(items: &[Value], step: &Step) -> Option<usize> {
    match step {
        Step::Index(n) => (*n < items.len()).then_some(*n),
        Step::Key(name) => items.iter().position(|item| name_of(item) == Some(name)).or_else(|| element(items, name)),
    }
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Owner, testing::any_value};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    const KEY: &str = "Deployment default/web";

    fn desired(object: &Value) -> Desired {
        let inputs = Value::object([("objects", Value::object([(KEY, object.clone())])), ("wait", true.into())]);
        Desired { inputs, documents: BTreeMap::new(), identity: None }
    }

    fn sent(object: &Value, ours: Value, ignore: &[&str]) -> Value {
        let prior = crate::kinds::Prior {
            inputs: Value::NULL,
            documents: BTreeMap::new(),
            exports: Value::NULL,
            identity: Json::Null,
        };
        let image = Value::object([("objects", Value::object([(KEY, ours)]))]);
        let observed = Observed { image, ..Observed::remembered(&prior, Owner::Nobody) };
        let ignore: Vec<String> = ignore.iter().map(|text| (*text).to_owned()).collect();
        leave(&desired(object), &observed, &ignore).inputs.get("objects").unwrap().get(KEY).unwrap().clone()
    }

    fn of(ours: &Json, ignore: &[&str]) -> Json {
        let object = json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 1, "containers": [
            {"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}});
        sent(&Value::from_json(&object), Value::from_json(ours), ignore).to_json().unwrap()
    }

    #[test]
    fn a_field_that_somebody_else_set_is_not_sent_and_one_that_is_ours_is_sent_as_it_is() {
        for path in ["spec.replicas", "object.spec.replicas", "[\"Deployment default/web\"].spec.replicas"] {
            let theirs = of(&json!({"spec": {"containers": []}}), &[path]);
            assert_eq!(theirs["spec"].get("replicas"), None, "{path}");
            assert_eq!(theirs["spec"]["containers"][1]["image"], "b:1");
            assert_eq!(of(&json!({"spec": {"replicas": 4}}), &[path])["spec"]["replicas"], 4, "{path}");
        }
    }

    #[test]
    fn an_element_is_named_as_plans_show_it_and_matched_by_its_name() {
        let live = json!({"spec": {"containers": [{"name": "b", "image": "b:7"}]}});
        for path in ["spec.containers.b.image", "spec.containers[1].image"] {
            let sent = of(&live, &[path]);
            assert_eq!(
                sent["spec"]["containers"],
                json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:7"}])
            );
        }
    }

    #[test]
    fn what_an_object_is_known_by_is_always_sent_and_everything_ignored_is_what_is_ours() {
        assert_eq!(of(&json!({}), &["kind", "metadata.name"])["metadata"]["name"], "web");
        let ours = json!({"kind": "Deployment", "metadata": {"name": "web"}});
        assert_eq!(of(&ours, &["*"]), ours);
    }

    proptest! {
        #[test]
        fn leaving_fields_out_never_panics(a in any_value(true), b in any_value(true), path in "[a-c.\\[\\]0-2\"]{0,8}") {
            let _ = sent(&a, b, &[&path]);
        }
    }
}
