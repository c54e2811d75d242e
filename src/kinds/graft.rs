//! Single fields of objects, taken from one and put into another: what an apply sends that is about nothing else. Elements of lists
//! go by what the server merges them by, as plans name them; a list without such names is one value. Pure.

use crate::{
    base::{Path, Step, Value},
    kinds::{FieldName, REVERT_FIELDS, objects::element},
};
use serde_json::{Map, Value as Json};
use std::{collections::BTreeMap, sync::Arc};

/// What tells an element of a list from the others, of whatever type it is. Source: `x-kubernetes-list-map-keys` of the API.
const KEYS: [&str; 6] = ["name", "containerPort", "port", "protocol", "mountPath", "ip"];

/// The fields that a step is to put back, by the part that they are in; `None` for a step that does not say so.
pub(super) fn asked(facts: &BTreeMap<String, Json>) -> Option<BTreeMap<Arc<str>, Vec<Option<Path>>>> {
    let names: Vec<FieldName> = serde_json::from_value(facts.get(REVERT_FIELDS)?.clone()).unwrap_or_default();
    let mut parts: BTreeMap<Arc<str>, Vec<Option<Path>>> = BTreeMap::new();
    for name in names {
        let Some(part) = &name.part else { continue };
        let path = name.path.is_some().then(|| Path(name.as_path().0.into_iter().skip(1).collect()));
        parts.entry(part.clone()).or_default().push(path);
    }
    Some(parts)
}

/// `onto` with what lies at the paths of `from`, and all of `from` where one of them names no field.
pub(super) fn grafted(onto: Json, from: &Json, paths: &[Option<Path>]) -> Json {
    paths.iter().fold(onto, |onto, path| match path {
        Some(path) => graft(onto, from, &path.0),
        None => from.clone(),
    })
}

fn graft(onto: Json, from: &Json, path: &[Step]) -> Json {
    let Some((step, rest)) = path.split_first() else { return from.clone() };
    match (step, from) {
        (Step::Key(key), Json::Object(entries)) => {
            let mut out = match onto {
                Json::Object(out) => out,
                _ => Map::new(),
            };
            let there = out.remove(&**key).unwrap_or(Json::Null);
            if let Some(inner) = entries.get(&**key) {
                out.insert(key.to_string(), graft(there, inner, rest));
            }
            Json::Object(out)
        }
        (Step::Key(key), Json::Array(items)) => {
            let Some(item) = place(items, key).and_then(|at| items.get(at)) else { return from.clone() };
            let mut out = match onto {
                Json::Array(out) => out,
                _ => Vec::new(),
            };
            match place(&out, key) {
                Some(at) => out[at] = graft(std::mem::take(&mut out[at]), item, rest),
                None => out.push(graft(identity(item), item, rest)),
            }
            Json::Array(out)
        }
        _ => from.clone(),
    }
}

fn place(items: &[Json], name: &str) -> Option<usize> {
    let values: Vec<Value> = items.iter().map(Value::from_json).collect();
    element(&values, name)
}

/// An element with nothing but what it is known by.
fn identity(item: &Json) -> Json {
    let known = item.as_object().into_iter().flatten().filter(|(key, _)| KEYS.contains(&key.as_str()));
    Json::Object(known.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// The value with another one at a path whose steps name elements as plans do; without it where there is none.
pub(super) fn put_named(value: &Value, path: &[Step], with: Option<&Value>) -> Option<Value> {
    use crate::base::Data;
    let Some((step, rest)) = path.split_first() else { return with.cloned() };
    let data = match (value.data(), step) {
        (Data::Mapping(kind, entries), Step::Key(key)) => {
            let mut entries = (**entries).clone();
            let new = match entries.get(key) {
                Some(inner) => put_named(inner, rest, with),
                None => with.filter(|_| rest.is_empty()).cloned(),
            };
            match new {
                Some(new) => drop(entries.insert(key.clone(), new)),
                None => drop(entries.remove(key)),
            }
            Data::Mapping(*kind, Arc::new(entries))
        }
        (Data::Sequence(kind, items), _) => {
            let at = match step {
                Step::Index(at) => (*at < items.len()).then_some(*at),
                Step::Key(name) => element(items, name),
            };
            let Some(at) = at else { return Some(value.clone()) };
            let mut items = (**items).clone();
            match put_named(&items[at], rest, with) {
                Some(new) => items[at] = new,
                None => drop(items.remove(at)),
            }
            Data::Sequence(*kind, Arc::new(items))
        }
        _ => return Some(value.clone()),
    };
    Some(Value::from(data).with_mark(value.is_sensitive()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{parse_path, testing::any_value};
    use proptest::prelude::*;
    use serde_json::json;

    fn only(onto: Json, from: &Json, path: &str) -> Json {
        grafted(onto, from, &[parse_path(path)])
    }

    #[test]
    fn a_field_is_put_in_with_no_more_than_what_leads_to_it() {
        let from = json!({"spec": {"replicas": 2, "paused": false, "template": {"spec": {"containers": [
            {"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1", "command": ["x", "y"]}]}}}});
        assert_eq!(only(json!({}), &from, "spec.replicas"), json!({"spec": {"replicas": 2}}));
        let image = "spec.template.spec.containers.b.image";
        let containers = json!([{"name": "b", "image": "b:1"}]);
        assert_eq!(only(json!({}), &from, image), json!({"spec": {"template": {"spec": {"containers": containers}}}}));
        let ours =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "command": ["x"]}, {"name": "a"}]}}}});
        let put = only(ours, &from, image);
        assert_eq!(
            put["spec"]["template"]["spec"]["containers"],
            json!([{"name": "b", "command": ["x"], "image": "b:1"}, {"name": "a"}])
        );
        let list = only(json!({}), &from, "spec.template.spec.containers.b.command[1]");
        assert_eq!(list["spec"]["template"]["spec"]["containers"][0]["command"], json!(["x", "y"]), "one value");
    }

    #[test]
    fn ports_go_by_their_number_and_bear_all_that_the_server_merges_them_by() {
        let from = json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}, {"port": 53, "protocol": "UDP", "nodePort": 3}]}});
        assert_eq!(
            only(json!({}), &from, "spec.ports.53/UDP.nodePort"),
            json!({"spec": {"ports": [{"port": 53, "protocol": "UDP", "nodePort": 3}]}})
        );
        let named = json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
        assert_eq!(
            only(json!({}), &named, "spec.ports.http.targetPort"),
            json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
        );
    }

    #[test]
    fn a_step_names_its_fields_by_part_and_one_that_names_none_asks_for_nothing() {
        let facts = BTreeMap::from([(
            REVERT_FIELDS.to_owned(),
            json!([{"part": "Deployment shop/web", "path": "spec.replicas"}, {"part": "Service shop/web"}]),
        )]);
        let asked = asked(&facts).unwrap();
        assert_eq!(asked["Deployment shop/web"], [parse_path("spec.replicas")]);
        assert_eq!(asked["Service shop/web"], [None]);
        assert!(super::asked(&BTreeMap::new()).is_none());
    }

    #[test]
    fn what_somebody_made_of_a_field_takes_the_place_of_what_was_applied() {
        let value = Value::from_json(&json!({"spec": {"a": 1, "containers": [{"name": "web", "image": "x:1"}]}}));
        let put = |path: &str, with: Option<&Value>| {
            put_named(&value, &parse_path(path).unwrap().0, with).unwrap().to_json().unwrap()
        };
        assert_eq!(put("spec.containers.web.image", Some(&"x:2".into()))["spec"]["containers"][0]["image"], "x:2");
        assert_eq!(put("spec.a", None), json!({"spec": {"containers": [{"name": "web", "image": "x:1"}]}}));
    }

    proptest! {
        #[test]
        fn no_path_leads_astray(a in any_value(false), b in any_value(false), path in "[a-c.\\[\\]0-2\"]{0,8}") {
            if let (Some(path), Some(x), Some(y)) = (parse_path(&path), a.to_json(), b.to_json()) {
                let _ = (graft(x, &y, &path.0), put_named(&a, &path.0, Some(&b)));
            }
        }
    }
}
