//! The difference between two resolved templates, resource by resource, as a change set would tell it.
//!
//! Pure: the plan calls it where no change set can be had, the sandbox to make change sets. It compares what the
//! templates say, not what is live.

use super::{
    compare::same,
    resolved::overlaps,
    schema::{UpdateBehaviour, resource_schema, update_behaviour},
};
use crate::{
    base::{Path, Step},
    cfn::{Because, Node, Resolved, ResolvedResource, Source},
};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is made.
    Add,
    /// It is updated or replaced.
    Modify,
    /// It leaves the stack.
    Remove,
}

/// Whether a modified resource is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Replacement {
    /// No.
    Never,
    /// It depends on values or on what the service decides; also where the type is not known here.
    Conditional,
    /// Yes.
    Always,
}

/// Whether one property's change forces a new resource, by the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recreation {
    /// `Never`.
    Never,
    /// `Conditionally`.
    Conditionally,
    /// `Always`.
    Always,
}

/// Whether the new value is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evaluation {
    /// It is.
    Static,
    /// Only once something else was made or changed.
    Dynamic,
}

/// The part of a resource that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Properties.
    Properties,
    /// The property that holds tags.
    Tags,
    /// Metadata.
    Metadata,
    /// CreationPolicy.
    CreationPolicy,
    /// UpdatePolicy.
    UpdatePolicy,
    /// DeletionPolicy.
    DeletionPolicy,
    /// UpdateReplacePolicy.
    UpdateReplacePolicy,
    /// The resource's type; the service refuses such an update.
    Type,
}

/// What becomes of the physical thing that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyAction {
    /// Deleted with the resource.
    Delete,
    /// Left behind.
    Retain,
    /// Deleted after a snapshot.
    Snapshot,
    /// Replaced, the old one deleted.
    ReplaceAndDelete,
    /// Replaced, the old one left behind.
    ReplaceAndRetain,
    /// Replaced, the old one deleted after a snapshot.
    ReplaceAndSnapshot,
}

/// One property that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyChange {
    /// The part of the resource.
    pub field: Field,
    /// The path within that part.
    pub path: Path,
    /// Before; `None` where it was not there.
    pub before: Option<Node>,
    /// After; `None` where it goes.
    pub after: Option<Node>,
    /// Whether it forces a new resource.
    pub requires_recreation: Recreation,
    /// Whether the new value is known.
    pub evaluation: Evaluation,
    /// The parameter or resource that makes it change, where the template's own text did not.
    pub causing: Option<Source>,
    /// True where before or after must not be shown.
    pub sensitive: bool,
}

/// One resource that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDiff {
    /// The logical id.
    pub logical_id: String,
    /// The physical id, where it is known.
    pub physical_id: Option<String>,
    /// The type (the new one, where it changes).
    pub resource_type: String,
    /// What happens.
    pub action: Action,
    /// Whether it is replaced; `Never` for what is added or removed.
    pub replacement: Replacement,
    /// Why, property by property, ordered by path; empty for what is added or removed.
    pub changes: Vec<PropertyChange>,
    /// What becomes of the physical thing that goes; `None` where nothing goes.
    pub policy_action: Option<PolicyAction>,
    /// False where a condition that is not decided yet may leave the resource out after all.
    pub certain: bool,
}

/// What changes from one template to the other, ordered by logical id. `None` means no stack.
///
/// Includes what follows: a resource that refers to one that is replaced, or to a changed attribute, is modified too.
/// `diff(x, x)` is empty. Key order and the notation of scalars (`80` or `"80"`) make no difference.
pub fn diff(
    before: Option<&Resolved>,
    after: Option<&Resolved>,
    physical_ids: &BTreeMap<String, String>,
) -> Vec<ResourceDiff> {
    let none = Resolved::default();
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    let mut found: BTreeMap<&str, ResourceDiff> = BTreeMap::new();
    let entry = |id: &str, resource: &ResolvedResource, action| ResourceDiff {
        logical_id: id.to_owned(),
        physical_id: physical_ids.get(id).cloned(),
        resource_type: resource.resource_type.clone(),
        action,
        replacement: Replacement::Never,
        changes: Vec::new(),
        policy_action: None,
        certain: resource.certain,
    };
    for (id, old) in &before.resources {
        if !after.resources.contains_key(id) {
            let mut diff = entry(id, old, Action::Remove);
            diff.policy_action = Some(removal(old));
            found.insert(id, diff);
        }
    }
    // What others refer to comes first, so that what follows from its change is known in time.
    for id in after.order().iter().flatten() {
        let Some((id, new)) = after.resources.get_key_value(id) else { continue };
        let Some(old) = before.resources.get(id) else {
            found.insert(id, entry(id, new, Action::Add));
            continue;
        };
        let mut changes = changes(old, new);
        follow(&mut changes, old, new, &found);
        if changes.is_empty() {
            continue;
        }
        changes.sort_by(|a, b| (a.field, &a.path).cmp(&(b.field, &b.path)));
        let mut diff = entry(id, new, Action::Modify);
        diff.replacement =
            changes.iter().map(|c| Replacement::from(c.requires_recreation)).max().unwrap_or(Replacement::Never);
        if diff.replacement != Replacement::Never {
            diff.policy_action = Some(replacement(new));
        }
        diff.changes = changes;
        found.insert(id, diff);
    }
    found.into_values().collect()
}

impl From<Recreation> for Replacement {
    fn from(recreation: Recreation) -> Self {
        match recreation {
            Recreation::Never => Self::Never,
            Recreation::Conditionally => Self::Conditional,
            Recreation::Always => Self::Always,
        }
    }
}

/// What the two declarations say differently.
fn changes(old: &ResolvedResource, new: &ResolvedResource) -> Vec<PropertyChange> {
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
        let sensitive = old.is_sensitive(&path) || new.is_sensitive(&path);
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

fn field_of(path: &Path, tags: Option<&str>) -> Field {
    match path.0.first() {
        Some(Step::Key(key)) if Some(&**key) == tags => Field::Tags,
        _ => Field::Properties,
    }
}

/// What a change at a path does; where a whole object comes or goes, what its parts do.
fn recreation(resource_type: &str, path: &Path, before: Option<&Node>, after: Option<&Node>) -> Recreation {
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
            items.iter().for_each(|inner| parts(resource_type, path, inner, worst));
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
        resource.references.iter().filter(|r| overlaps(&r.path, path)).map(|r| r.source.clone()).collect()
    };
    let common: BTreeSet<Source> = at(old).intersection(&at(new)).cloned().collect();
    let awaited = after.is_some_and(|n| !n.is_known());
    let is_resource = |s: &Source| matches!(s, Source::Resource { .. });
    // A resource's value explains an unknown best, a parameter's one that is known.
    common.iter().find(|s| is_resource(s) == awaited).or_else(|| common.first()).cloned()
}

/// What follows from the changes of what a resource refers to.
fn follow(
    changes: &mut Vec<PropertyChange>,
    old: &ResolvedResource,
    new: &ResolvedResource,
    found: &BTreeMap<&str, ResourceDiff>,
) {
    for reference in &new.references {
        let Source::Resource { logical_id, attribute } = &reference.source else { continue };
        let Some(target) = found.get(logical_id.as_str()) else { continue };
        let certainty = match (target.action, target.replacement) {
            (Action::Modify, Replacement::Always) => Recreation::Always,
            (Action::Modify, Replacement::Conditional) => Recreation::Conditionally,
            (Action::Modify, Replacement::Never) if attribute.as_deref().is_some_and(|a| may_change(target, a)) => {
                Recreation::Conditionally
            }
            _ => continue,
        };
        if let Some(change) = changes
            .iter_mut()
            .find(|c| matches!(c.field, Field::Properties | Field::Tags) && overlaps(&c.path, &reference.path))
        {
            change.evaluation = Evaluation::Dynamic;
            change.causing = Some(reference.source.clone());
            continue;
        }
        let before = at(&old.properties, &reference.path);
        let forced = recreation(&new.resource_type, &reference.path, before, at(&new.properties, &reference.path));
        let tags = resource_schema(&new.resource_type).and_then(|s| s.tags.as_deref());
        let because = Because::Resource { logical_id: logical_id.clone(), attribute: attribute.clone() };
        let after = match at(&new.properties, &reference.path) {
            Some(node) if !node.is_known() => node.clone(),
            _ => Node::unknown(because),
        };
        changes.push(PropertyChange {
            field: field_of(&reference.path, tags),
            path: reference.path.clone(),
            before: before.cloned(),
            after: Some(after),
            requires_recreation: forced.min(certainty),
            evaluation: Evaluation::Dynamic,
            causing: Some(reference.source.clone()),
            sensitive: old.is_sensitive(&reference.path) || new.is_sensitive(&reference.path),
        });
    }
}

/// Whether an attribute may be another after an update in place. What identifies a resource stays, and so does a
/// property that is not changed.
fn may_change(target: &ResourceDiff, attribute: &str) -> bool {
    let top = attribute.split('.').next().unwrap_or(attribute);
    let mut changed = target.changes.iter().filter(|c| c.field == Field::Properties).peekable();
    if changed.peek().is_none() {
        return false;
    }
    let Some(schema) = resource_schema(&target.resource_type) else { return true };
    if schema.primary_identifier.iter().any(|p| p == top) {
        return false;
    }
    let settable =
        schema.properties.contains_key(top) && !schema.read_only.iter().any(|p| p.split('/').next() == Some(top));
    if settable {
        return changed.any(|c| matches!(c.path.0.first(), Some(Step::Key(key)) if &**key == top));
    }
    // ARNs and ids are given once.
    !(top == "Arn" || top.ends_with("Arn") || top == "Id" || top.ends_with("Id"))
}

fn at<'a>(node: &'a Node, path: &Path) -> Option<&'a Node> {
    path.0.iter().try_fold(node, |node, step| match (node, step) {
        (Node::Object(entries), Step::Key(key)) => entries.get(&**key),
        (Node::Array(items), Step::Index(at)) => items.get(*at),
        _ => None,
    })
}

/// What becomes of a removed resource. Databases without a policy leave a snapshot.
fn removal(old: &ResolvedResource) -> PolicyAction {
    match old.deletion_policy.as_deref() {
        Some("Retain" | "RetainExceptOnCreate") => PolicyAction::Retain,
        Some("Snapshot") => PolicyAction::Snapshot,
        Some(_) => PolicyAction::Delete,
        None => match old.resource_type.as_str() {
            "AWS::RDS::DBCluster" => PolicyAction::Snapshot,
            "AWS::RDS::DBInstance" if old.properties.get("DBClusterIdentifier").is_none() => PolicyAction::Snapshot,
            _ => PolicyAction::Delete,
        },
    }
}

fn replacement(new: &ResolvedResource) -> PolicyAction {
    match new.update_replace_policy.as_deref() {
        Some("Retain") => PolicyAction::ReplaceAndRetain,
        Some("Snapshot") => PolicyAction::ReplaceAndSnapshot,
        _ => PolicyAction::ReplaceAndDelete,
    }
}
