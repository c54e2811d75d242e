//! Sets of fields, as `managedFields` records them: who owns what of an object.
//!
//! A set is a tree whose steps are written as `FieldsV1` writes them: `f:name` for a field, `k:{"name":"web"}` for an item of
//! a keyed list, `v:"x"` for an item of a set. Reading tolerates anything; what is not understood is no member.
//! Source: sigs.k8s.io/structured-merge-diff, `fieldpath`.

use super::schema::{ListType, Schema};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// A set of fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldSet {
    /// True where the node itself is a member, not only what lies below.
    here: bool,
    children: BTreeMap<String, FieldSet>,
}

/// How a path meets a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// Not at all.
    Apart,
    /// The path, or something below it, is a member.
    There,
    /// A member without parts lies above it, after this many steps.
    LeafAbove(usize),
}

impl FieldSet {
    /// The fields that this object sets, without those that belong to the server or to its identity.
    pub(crate) fn of(object: &Json, schema: Schema) -> Self {
        let mut set = Self::walk(object, schema, &mut Vec::new());
        set.here = false;
        for step in ["f:apiVersion", "f:kind"] {
            set.children.remove(step);
        }
        if let Some(metadata) = set.children.get_mut("f:metadata") {
            metadata.here = false;
            for field in SERVER_METADATA {
                metadata.children.remove(&format!("f:{field}"));
            }
            if metadata.children.is_empty() {
                set.children.remove("f:metadata");
            }
        }
        set
    }

    fn walk(value: &Json, schema: Schema, path: &mut Vec<String>) -> Self {
        let mut children = BTreeMap::new();
        match value {
            Json::Object(fields) if !schema.is_atomic_map(path) => {
                for (name, field) in fields {
                    path.push(name.clone());
                    children.insert(format!("f:{name}"), Self::walk(field, schema, path));
                    path.pop();
                }
            }
            Json::Array(items) => {
                if let Some(keyed) = keyed_items(items, schema.list(path)) {
                    let whole = matches!(schema.list(path), ListType::Set);
                    for (step, item) in keyed {
                        let below = if whole { Self::default() } else { Self::walk(item, schema, path) };
                        children.insert(step, Self { here: true, children: below.children });
                    }
                }
            }
            _ => {}
        }
        Self { here: children.is_empty(), children }
    }

    /// Reads `fieldsV1`.
    pub(crate) fn from_json(fields: &Json) -> Self {
        let mut set = Self::read(fields);
        set.here = false;
        set
    }

    fn read(fields: &Json) -> Self {
        let Some(map) = fields.as_object() else { return Self { here: true, ..Self::default() } };
        let children: BTreeMap<_, _> = map
            .iter()
            .filter(|(step, _)| *step != ".")
            .map(|(step, below)| (step.clone(), Self::read(below)))
            .collect();
        Self { here: map.contains_key(".") || children.is_empty(), children }
    }

    /// Writes `fieldsV1`.
    pub(crate) fn to_json(&self) -> Json {
        let mut map = Map::new();
        for (step, below) in &self.children {
            let mut json = below.to_json();
            if let (true, false, Some(fields)) = (below.here, below.children.is_empty(), json.as_object_mut()) {
                fields.insert(".".into(), Json::Object(Map::new()));
            }
            map.insert(step.clone(), json);
        }
        Json::Object(map)
    }

    /// True where it has no member.
    pub(crate) fn is_empty(&self) -> bool {
        !self.here && self.children.is_empty()
    }

    /// How the path meets the set: writing one may change the other unless they are [`Meeting::Apart`].
    pub(crate) fn meet(&self, path: &[String]) -> Meeting {
        let mut node = self;
        for (depth, step) in path.iter().enumerate() {
            match node.children.get(step) {
                Some(below) => node = below,
                None if node.here && node.children.is_empty() => return Meeting::LeafAbove(depth),
                None => return Meeting::Apart,
            }
        }
        if node.is_empty() { Meeting::Apart } else { Meeting::There }
    }

    /// Every member, in order.
    pub(crate) fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, path: &mut Vec<String>, into: &mut Vec<Vec<String>>) {
        if self.here && !path.is_empty() {
            into.push(path.clone());
        }
        for (step, below) in &self.children {
            path.push(step.clone());
            below.collect(path, into);
            path.pop();
        }
    }

    /// Adds a member.
    pub(crate) fn insert(&mut self, path: &[String]) {
        match path.split_first() {
            None => self.here = true,
            Some((step, rest)) => self.children.entry(step.clone()).or_default().insert(rest),
        }
    }

    /// Takes a member out, and what that leaves empty.
    pub(crate) fn remove(&mut self, path: &[String]) {
        match path.split_first() {
            None => self.here = false,
            Some((step, rest)) => {
                if let Some(below) = self.children.get_mut(step) {
                    below.remove(rest);
                    if below.is_empty() {
                        self.children.remove(step);
                    }
                }
            }
        }
    }
}

/// Fields of `metadata` that no manager owns.
const SERVER_METADATA: [&str; 8] =
    ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"];

/// The items of a list by their steps; `None` where the list is atomic or an item has no key of its own.
pub(super) fn keyed_items(items: &[Json], list: ListType) -> Option<Vec<(String, &Json)>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        let step = item_step(item, list)?;
        if !seen.insert(step.clone()) {
            return None;
        }
        keyed.push((step, item));
    }
    Some(keyed)
}

/// The step to an item; `None` where the list is atomic or the item lacks a key.
pub(super) fn item_step(item: &Json, list: ListType) -> Option<String> {
    match list {
        ListType::Atomic => None,
        ListType::Set if item.is_object() || item.is_array() => None,
        ListType::Set => Some(format!("v:{item}")),
        ListType::Keyed(names) => {
            let fields = item.as_object()?;
            let mut key = Map::new();
            for name in names {
                let default = (*name == "protocol").then(|| Json::from("TCP"));
                let value = fields.get(*name).filter(|v| !v.is_null()).cloned().or(default)?;
                if value.is_object() || value.is_array() {
                    return None;
                }
                key.insert((*name).to_owned(), value);
            }
            Some(format!("k:{}", crate::base::canonical_text(&Json::Object(key))))
        }
    }
}

/// A path as the server's messages write it: `.spec.template.spec.containers[name="web"].image`.
pub(crate) fn display_path(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if let Some(field) = step.strip_prefix("f:") {
            text.push('.');
            text.push_str(field);
        } else if let Some(key) = step.strip_prefix("k:") {
            let key: Map<String, Json> = serde_json::from_str(key).unwrap_or_default();
            let parts: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
            text.push_str(&["[", &parts.join(","), "]"].concat());
        } else if let Some(item) = step.strip_prefix("v:") {
            text.push_str(&["[=", item, "]"].concat());
        }
    }
    text
}
