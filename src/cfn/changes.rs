//! What two declarations of one resource say differently, down to the smallest part, and what each change does.
//!
//! Called by [`diff`](super::diff()); what follows from other resources is added by [`follow`](super::follow).

use super::{
    compare::same,
    diff::{Evaluation, Field, PropertyChange, Recreation},
    resolved::overlaps,
    schema::{UpdateBehaviour, resource_schema, update_behaviour},
};
use crate::{
    base::{Path, Step},
    cfn::{Node, ResolvedResource, Source},
};
use std::collections::{BTreeMap, BTreeSet};

/// What the two declarations say differently.
pub(super) fn changes(old: &ResolvedResource, new: &ResolvedResource) -> Vec<PropertyChange> {
    let mut all = Vec::new();
    let plain = |field, path: Path, before, after, requires_recreation| PropertyChange {
        field,
        path,
        before,
        after,
        requires_recreation,
        evaluation: Evaluation::Static,
        causing: None,
        sensitive: false,
    };
    if old.resource_type != new.resource_type {
        let (before, after) = (Node::string(&old.resource_type), Node::string(&new.resource_type));
        all.push(plain(Field::Type, Path::default(), Some(before), Some(after), Recreation::Always));
        return all;
    }
    let mut leaves = Vec::new();
    let tags = resource_schema(&new.resource_type).and_then(|s| s.tags.as_deref());
    walk(&mut Path::default(), Some(&old.properties), Some(&new.properties), tags, &mut leaves);
    for (path, before, after) in leaves {
        let sensitive = origins(old).chain(origins(new)).any(|o| o.source.is_sensitive() && overlaps(&o.path, &path));
        let evaluation = if after.is_none_or(Node::is_known) { Evaluation::Static } else { Evaluation::Dynamic };
        all.push(PropertyChange {
            field: field_of(&path, tags),
            requires_recreation: recreation(&new.resource_type, &path, before, after),
            evaluation,
            causing: causing(&path, after, old, new),
            sensitive,
            before: before.cloned(),
            after: after.cloned(),
            path,
        });
    }
    let policy = |p: &Option<String>| p.as_deref().map(Node::string);
    for (field, before, after) in [
        (Field::Metadata, old.metadata.clone(), new.metadata.clone()),
        (Field::CreationPolicy, old.creation_policy.clone(), new.creation_policy.clone()),
        (Field::UpdatePolicy, old.update_policy.clone(), new.update_policy.clone()),
        (Field::DeletionPolicy, policy(&old.deletion_policy), policy(&new.deletion_policy)),
        (Field::UpdateReplacePolicy, policy(&old.update_replace_policy), policy(&new.update_replace_policy)),
    ] {
        let equal = match (&before, &after) {
            (None, None) => true,
            (Some(a), Some(b)) => same(a, b),
            _ => false,
        };
        if !equal {
            all.push(plain(field, Path::default(), before, after, Recreation::Never));
        }
    }
    all
}

type Leaf<'a> = (Path, Option<&'a Node>, Option<&'a Node>);

/// The smallest parts that differ. Lists of one length are compared element by element, others as a whole; tags by key.
fn walk<'a>(
    path: &mut Path,
    before: Option<&'a Node>,
    after: Option<&'a Node>,
    tags: Option<&str>,
    leaves: &mut Vec<Leaf<'a>>,
) {
    match (before, after) {
        (Some(a), Some(b)) if same(a, b) => {}
        (Some(Node::Object(a)), Some(Node::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                walk(&mut path.key(key), a.get(key), b.get(key), tags, leaves);
            }
        }
        (Some(Node::Array(a)), Some(Node::Array(b))) => {
            if is_tags(path, tags)
                && let (Some(a), Some(b)) = (by_key(a), by_key(b))
            {
                let keys: BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
                for key in keys {
                    walk(&mut path.key(key), a.get(key).copied(), b.get(key).copied(), None, leaves);
                }
            } else if a.len() == b.len() {
                for (at, (a, b)) in a.iter().zip(b).enumerate() {
                    walk(&mut path.index(at), Some(a), Some(b), tags, leaves);
                }
            } else {
                leaves.push((path.clone(), before, after));
            }
        }
        (None, None) => {}
        _ => leaves.push((path.clone(), before, after)),
    }
}

fn is_tags(path: &Path, tags: Option<&str>) -> bool {
    matches!(path.0.as_slice(), [Step::Key(key)] if Some(&**key) == tags)
}

/// Tags by key; `None` where the list is not one of Key and Value, or names a key twice.
fn by_key(items: &[Node]) -> Option<BTreeMap<&str, &Node>> {
    let mut all = BTreeMap::new();
    for item in items {
        let Node::Object(entries) = item else { return None };
        let value = entries.get("Value").filter(|_| entries.len() == 2)?;
        if all.insert(entries.get("Key")?.as_str()?, value).is_some() {
            return None;
        }
    }
    Some(all)
}

pub(super) fn field_of(path: &Path, tags: Option<&str>) -> Field {
    match path.0.first() {
        Some(Step::Key(key)) if Some(&**key) == tags => Field::Tags,
        _ => Field::Properties,
    }
}

/// What a change at a path does; where a whole object comes or goes, what its parts do.
pub(super) fn recreation(resource_type: &str, path: &Path, before: Option<&Node>, after: Option<&Node>) -> Recreation {
    let mut worst = Recreation::Never;
    for value in [before, after].into_iter().flatten() {
        parts(resource_type, &pointer(path), value, &mut worst);
    }
    worst
}

fn parts(resource_type: &str, path: &str, value: &Node, worst: &mut Recreation) {
    match value {
        Node::Object(entries) if !entries.is_empty() && !path.is_empty() => {
            for (key, inner) in entries {
                parts(resource_type, &format!("{path}/{key}"), inner, worst);
            }
        }
        Node::Array(items) if items.iter().any(|n| matches!(n, Node::Object(_))) => {
            for inner in items {
                parts(resource_type, path, inner, worst);
            }
        }
        _ => {
            let here = match update_behaviour(resource_type, path) {
                UpdateBehaviour::InPlace => Recreation::Never,
                UpdateBehaviour::Conditional | UpdateBehaviour::Unknown => Recreation::Conditionally,
                UpdateBehaviour::Replace => Recreation::Always,
            };
            *worst = (*worst).max(here);
        }
    }
}

fn pointer(path: &Path) -> String {
    let steps: Vec<String> = path
        .0
        .iter()
        .map(|step| match step {
            Step::Key(key) => key.to_string(),
            Step::Index(at) => at.to_string(),
        })
        .collect();
    steps.join("/")
}

/// A source that both templates read at this path made the difference; otherwise the template's own text did.
fn causing(path: &Path, after: Option<&Node>, old: &ResolvedResource, new: &ResolvedResource) -> Option<Source> {
    let at = |resource: &ResolvedResource| -> BTreeSet<Source> {
        origins(resource).filter(|o| overlaps(&o.path, path)).map(|o| o.source.clone()).collect()
    };
    let common: BTreeSet<Source> = at(old).intersection(&at(new)).cloned().collect();
    let awaited = after.is_some_and(|n| !n.is_known());
    let is_resource = |s: &Source| matches!(s, Source::Resource { .. });
    // A resource's value explains an unknown best, a parameter's one that is known.
    common.iter().find(|s| is_resource(s) == awaited).or_else(|| common.first()).cloned()
}

/// A reference with its path as changes are named: a tag by its key, not by its index.
pub(super) struct Origin<'a> {
    /// As a change names it.
    pub(super) path: Path,
    /// As the properties have it.
    pub(super) within: &'a Path,
    /// The source.
    pub(super) source: &'a Source,
}

/// The references of a resource.
pub(super) fn origins(resource: &ResolvedResource) -> impl Iterator<Item = Origin<'_>> {
    let tags = resource_schema(&resource.resource_type).and_then(|s| s.tags.as_deref());
    let named: Option<Vec<&str>> = tags.and_then(|t| resource.properties.get(t)).and_then(|list| match list {
        Node::Array(items) if by_key(items).is_some() => {
            items.iter().map(|item| item.get("Key").and_then(Node::as_str)).collect()
        }
        _ => None,
    });
    resource.references.iter().map(move |reference| {
        let path = match (reference.path.0.as_slice(), &named) {
            ([Step::Key(first), Step::Index(at), ..], Some(named)) if Some(&**first) == tags => {
                named.get(*at).map_or_else(|| reference.path.clone(), |key| Path::default().key(first).key(key))
            }
            _ => reference.path.clone(),
        };
        Origin { path, within: &reference.path, source: &reference.source }
    })
}
