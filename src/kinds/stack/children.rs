//! The resources of a stack as parts of a change: from a change set, from drift, or estimated from two templates.

use crate::{
    base::{ActionWord, Value},
    cfn::{self, Action, Evaluation, Node, PolicyAction, Recreation, Replacement, Resolved},
    kinds::{Cause, ChildChange, FieldChange, exposure},
    world::{ChangeSet, ResourceChange, ResourceDrift},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

/// What a change set says, resource by resource. Texts that hold one of `secrets` are not shown.
pub(super) fn of_change_set(change_set: &ChangeSet, secrets: &[String]) -> Vec<ChildChange> {
    change_set.changes.iter().filter_map(|change| of_change(change, &change.logical_id, secrets)).collect()
}

/// What one row of a change set says, under this name; nothing where it changes nothing. Texts that hold one of `secrets`
/// are not shown.
pub(super) fn of_change(change: &ResourceChange, name: &str, secrets: &[String]) -> Option<ChildChange> {
    (!is_empty_modify(change)).then(|| ChildChange { name: name.to_owned(), ..of_resource(change, secrets) })
}

/// A modify row that changes nothing, as some servers send them. On AWS every such row has details.
fn is_empty_modify(change: &ResourceChange) -> bool {
    change.action == "Modify" && change.details.is_empty() && change.replacement.as_deref() == Some("False")
}

fn of_resource(change: &ResourceChange, secrets: &[String]) -> ChildChange {
    let (action, maybe) = match (change.action.as_str(), change.replacement.as_deref()) {
        ("Add", _) => (ActionWord::Create, false),
        ("Import", _) => (ActionWord::Import, false),
        ("Remove", _) => (ActionWord::Delete, false),
        (_, Some("True")) => (ActionWord::Replace, false),
        // The second, of a drift-aware change set: the template says what is live already, only the record of it changes.
        (_, Some("False")) | ("SyncWithActual", _) => (ActionWord::Update, false),
        // Absent means absent, never "safe".
        _ => (ActionWord::Update, true),
    };
    let is_secret = |text: &str| secrets.iter().any(|s| !s.is_empty() && text.contains(s.as_str()));
    let shown = |text: &Option<String>| {
        text.as_ref().map(|text| {
            // How a change set writes what only executing it will tell.
            if text == "{{changeSet:KNOWN_AFTER_APPLY}}" {
                return Value::UNKNOWN;
            }
            Value::from(if is_secret(text) { "(sensitive)" } else { text.as_str() })
        })
    };
    let fields = change
        .details
        .iter()
        .map(|detail| FieldChange {
            path: match &detail.name {
                Some(name) if detail.attribute == "Properties" => name.clone(),
                Some(name) => format!("{}.{name}", detail.attribute),
                None => detail.attribute.clone(),
            },
            // Where the new value is a secret the former one was too, and nobody knows it to look for it.
            before: match &detail.after {
                Some(after) if is_secret(after) => detail.before.as_ref().map(|_| Value::from("(sensitive)")),
                _ => shown(&detail.before),
            },
            after: match detail.evaluation.as_deref() {
                Some("Dynamic") if detail.after.is_none() => Some(Value::UNKNOWN),
                _ => shown(&detail.after),
            },
            cause: Cause::Declared,
            forces_replacement: detail.requires_recreation.as_deref() == Some("Always"),
            because: detail.causing_entity.clone(),
            owner: None,
        })
        .collect();
    ChildChange {
        name: change.logical_id.clone(),
        kind: change.resource_type.clone(),
        action,
        maybe_replace: maybe,
        policy: change.policy_action.clone(),
        stateful: cfn::is_stateful(&change.resource_type),
        fields,
    }
}

/// What two templates say, without asking the service.
pub(super) fn estimate(
    before: Option<&Resolved>,
    after: Option<&Resolved>,
    seal: &dyn Fn(&Json) -> Arc<str>,
) -> Vec<ChildChange> {
    cfn::diff(before, after, &BTreeMap::new())
        .into_iter()
        .map(|diff| {
            let value = |node: &Option<Node>, sensitive: bool| {
                node.as_ref().map(|node| {
                    let value = node.to_json().map_or(Value::UNKNOWN, |json| Value::from_json(&json));
                    value.with_mark(sensitive).sealed(seal)
                })
            };
            let fields = diff
                .changes
                .iter()
                .map(|change| FieldChange {
                    path: match change.field {
                        cfn::Field::Properties => change.path.to_string(),
                        other => format!("{other:?}{}{}", if change.path.0.is_empty() { "" } else { "." }, change.path),
                    },
                    before: value(&change.before, change.sensitive),
                    after: match change.evaluation {
                        Evaluation::Dynamic if change.after.as_ref().is_some_and(|n| !n.is_known()) => {
                            Some(Value::UNKNOWN)
                        }
                        _ => value(&change.after, change.sensitive),
                    },
                    cause: Cause::Declared,
                    forces_replacement: change.requires_recreation == Recreation::Always,
                    because: change.causing.as_ref().map(source),
                    owner: None,
                })
                .collect();
            ChildChange {
                name: diff.logical_id,
                action: match (diff.action, diff.replacement) {
                    (Action::Add, _) => ActionWord::Create,
                    (Action::Remove, _) => ActionWord::Delete,
                    (Action::Modify, Replacement::Always) => ActionWord::Replace,
                    (Action::Modify, _) => ActionWord::Update,
                },
                maybe_replace: diff.replacement == Replacement::Conditional,
                policy: diff.policy_action.map(|policy| policy_word(policy).to_owned()),
                stateful: cfn::is_stateful(&diff.resource_type),
                kind: diff.resource_type,
                fields,
            }
        })
        .collect()
}

/// Shows by which properties the internet reaches resources that come. Change sets list such a resource without any: its template
/// has them, or leaves them to AWS.
pub(super) fn show_ways_in(children: &mut [ChildChange], wanted: Option<&Resolved>) {
    let Some(wanted) = wanted else { return };
    for child in children.iter_mut().filter(|child| child.action == ActionWord::Create && child.fields.is_empty()) {
        let Some(resource) = wanted.resources.get(&child.name) else { continue };
        let ways = exposure::ways_in(&child.kind, &resource.properties.to_json_shown());
        child.fields.extend(ways.into_iter().map(|way| FieldChange {
            path: way.path,
            before: None,
            after: Some(Value::from_json(&way.value)),
            cause: Cause::Declared,
            forces_replacement: false,
            because: way.by_default.then(|| "AWS's default".to_owned()),
            owner: None,
        }));
    }
}

fn source(source: &cfn::Source) -> String {
    match source {
        cfn::Source::Parameter { name, .. } | cfn::Source::Import(name) => name.clone(),
        cfn::Source::Resource { logical_id, attribute: None } => logical_id.clone(),
        cfn::Source::Resource { logical_id, attribute: Some(attribute) } => format!("{logical_id}.{attribute}"),
        cfn::Source::Dynamic(text) => format!("{{{{resolve:{text}}}}}"),
    }
}

const fn policy_word(policy: PolicyAction) -> &'static str {
    match policy {
        PolicyAction::Delete => "Delete",
        PolicyAction::Retain => "Retain",
        PolicyAction::Snapshot => "Snapshot",
        PolicyAction::ReplaceAndDelete => "ReplaceAndDelete",
        PolicyAction::ReplaceAndRetain => "ReplaceAndRetain",
        PolicyAction::ReplaceAndSnapshot => "ReplaceAndSnapshot",
    }
}

/// What somebody changed inside the stack. Applying leaves it (rule 8).
pub(super) fn of_drift(drifts: &[ResourceDrift]) -> Vec<ChildChange> {
    drifts
        .iter()
        .filter(|drift| drift.status == "MODIFIED" || drift.status == "DELETED")
        .map(|drift| ChildChange {
            name: drift.logical_id.clone(),
            kind: drift.resource_type.clone(),
            action: if drift.status == "DELETED" { ActionWord::Delete } else { ActionWord::Update },
            maybe_replace: false,
            policy: None,
            stateful: cfn::is_stateful(&drift.resource_type),
            fields: drift
                .differences
                .iter()
                .map(|difference| FieldChange {
                    path: difference.path.trim_start_matches('/').replace('/', "."),
                    before: Some(Value::from(difference.expected.as_str())),
                    after: Some(Value::from(difference.actual.as_str())),
                    cause: Cause::DriftLeft,
                    forces_replacement: false,
                    because: None,
                    owner: None,
                })
                .collect(),
        })
        .collect()
}

/// True where data is lost: something stateful goes or is replaced, and nothing says that it is kept.
pub(super) fn loses_data(children: &[ChildChange]) -> bool {
    children.iter().any(|child| {
        let goes = matches!(child.action, ActionWord::Delete | ActionWord::Replace) || child.maybe_replace;
        let guarded = child.is_kept();
        goes && (child.stateful || guarded)
    })
}
