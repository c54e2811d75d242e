//! The same change in many objects, told once: a new version of a chart alters a label of everything that it makes.

use crate::{
    base::ActionWord,
    kinds::{ChildChange, FieldChange},
};
use std::collections::BTreeMap;

/// In so many objects a change is told once.
const COMMON: usize = 4;

/// Objects with what they have in common taken out.
#[derive(Default)]
pub(super) struct Folded {
    /// What changes in many, and in how many.
    pub(super) common: Vec<(FieldChange, usize)>,
    /// The objects with the rest, in their order.
    pub(super) rest: Vec<ChildChange>,
    /// How many change in nothing else.
    pub(super) nothing_else: usize,
}

/// Folds what many objects have in common.
pub(super) fn fold(children: &[ChildChange]) -> Folded {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for child in updates(children) {
        let mut keys: Vec<String> = child.fields.iter().map(key).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            *seen.entry(key).or_default() += 1;
        }
    }
    let mut out = Folded::default();
    let is_common = |field: &FieldChange| seen.get(&key(field)).is_some_and(|count| *count >= COMMON);
    let mut told: Vec<String> = Vec::new();
    for child in children {
        if !is_update(child) {
            out.rest.push(child.clone());
            continue;
        }
        let (common, own): (Vec<_>, Vec<_>) = child.fields.iter().cloned().partition(is_common);
        for field in common {
            let key = key(&field);
            if !told.contains(&key) {
                let count = seen.get(&key).copied().unwrap_or_default();
                out.common.push((FieldChange { path: tail(&field.path).to_owned(), ..field }, count));
                told.push(key);
            }
        }
        if own.is_empty() && !child.fields.is_empty() {
            out.nothing_else += 1;
        } else {
            out.rest.push(ChildChange { fields: own, ..child.clone() });
        }
    }
    out
}

fn updates(children: &[ChildChange]) -> impl Iterator<Item = &ChildChange> {
    children.iter().filter(|c| is_update(c))
}

fn is_update(child: &ChildChange) -> bool {
    child.action == ActionWord::Update && !child.maybe_replace
}

/// What makes two changes the same: labels and annotations by their own name wherever they stand, anything else by its path.
fn key(field: &FieldChange) -> String {
    let values = serde_json::to_string(&(&field.before, &field.after)).unwrap_or_default();
    format!("{:?} {} {values}", field.cause, tail(&field.path))
}

fn tail(path: &str) -> &str {
    ["labels", "annotations"].iter().find_map(|word| path.rfind(word)).map_or(path, |at| &path[at..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Value, kinds::Cause};

    fn field(path: &str, after: &str) -> FieldChange {
        FieldChange {
            path: path.to_owned(),
            before: Some("1.0.0".into()),
            after: Some(Value::from(after)),
            cause: Cause::Declared,
            forces_replacement: false,
            because: None,
            owner: None,
        }
    }

    fn child(name: usize, fields: Vec<FieldChange>) -> ChildChange {
        ChildChange {
            name: format!("ConfigMap apps/{name}"),
            kind: "v1 ConfigMap".to_owned(),
            action: ActionWord::Update,
            maybe_replace: false,
            policy: None,
            stateful: false,
            fields,
        }
    }

    #[test]
    fn what_many_objects_have_in_common_is_told_once_and_the_rest_is_kept() {
        let label =
            |at: usize| if at == 0 { "spec.template.metadata.labels.version" } else { "metadata.labels.version" };
        let mut children: Vec<ChildChange> = (0..50).map(|at| child(at, vec![field(label(at), "1.1.0")])).collect();
        children[7].fields.push(field("data.text", "new"));
        let folded = fold(&children);
        let common: Vec<(&str, usize)> = folded.common.iter().map(|(f, count)| (f.path.as_str(), *count)).collect();
        assert_eq!((common, folded.nothing_else), (vec![("labels.version", 50)], 49));
        assert_eq!(folded.rest.len(), 1);
        assert_eq!(folded.rest[0].fields, [field("data.text", "new")]);
    }
}
