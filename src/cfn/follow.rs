//! What follows for a resource from the changes of those it refers to: the physical id of one that is replaced, or an
//! attribute of one that is updated, is another afterwards.

use super::{
    changes::{Origin, field_of, origins, recreation},
    diff::{Action, Evaluation, Field, PropertyChange, Recreation, Replacement, ResourceDiff},
    resolved::overlaps,
    schema::resource_schema,
};
use crate::{
    base::{Path, Step},
    cfn::{Because, Node, ResolvedResource, Source},
};
use std::collections::BTreeMap;

/// What follows from the changes of what a resource refers to.
pub(super) fn follow(
    changes: &mut Vec<PropertyChange>,
    old: &ResolvedResource,
    new: &ResolvedResource,
    found: &BTreeMap<&str, ResourceDiff>,
) {
    let tags = resource_schema(&new.resource_type).and_then(|s| s.tags.as_deref());
    for Origin { path, within, source } in origins(new) {
        let Source::Resource { logical_id, attribute } = source else { continue };
        let Some(target) = found.get(logical_id.as_str()) else { continue };
        let certainty = match (target.action, target.replacement) {
            (Action::Modify, Replacement::Always) => Recreation::Always,
            (Action::Modify, Replacement::Conditional) => Recreation::Conditionally,
            (Action::Modify, Replacement::Never) if attribute.as_deref().is_some_and(|a| may_change(target, a)) => {
                Recreation::Conditionally
            }
            _ => continue,
        };
        if let Some(change) =
            changes.iter_mut().find(|c| matches!(c.field, Field::Properties | Field::Tags) && overlaps(&c.path, &path))
        {
            change.evaluation = Evaluation::Dynamic;
            change.causing = Some(source.clone());
            continue;
        }
        let (before, now) = (at(&old.properties, within), at(&new.properties, within));
        let forced = recreation(&new.resource_type, &path, before, now);
        let because = Because::Resource { logical_id: logical_id.clone(), attribute: attribute.clone() };
        let after = match now {
            Some(node) if !node.is_known() => node.clone(),
            _ => Node::unknown(because),
        };
        let sensitive = old.is_sensitive(within) || new.is_sensitive(within);
        changes.push(PropertyChange {
            field: field_of(&path, tags),
            path,
            before: before.cloned(),
            after: Some(after),
            requires_recreation: forced.min(certainty),
            evaluation: Evaluation::Dynamic,
            causing: Some(source.clone()),
            sensitive,
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
