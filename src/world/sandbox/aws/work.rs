//! What an operation would do to a stack, worked out before it begins and told as a change set tells it.

use super::record::{self, Config, StackRecord};
use crate::{
    base::Path,
    cfn::{self, Because, Node, Resolved},
    world::{ResourceChange, ResourceChangeDetail, sandbox::Tx},
};
use std::collections::BTreeSet;

/// What an operation would do.
pub(super) struct Work {
    pub(super) after: Resolved,
    pub(super) diffs: Vec<cfn::ResourceDiff>,
    pub(super) creates: bool,
    /// Outputs or tags change.
    beside: bool,
}

impl Work {
    pub(super) fn of(tx: &Tx<'_>, stack: &StackRecord, target: &Config, creates: bool, revert: bool) -> Self {
        let none = BTreeSet::new();
        let former: Config = tx.get("stack-config", &stack.id).unwrap_or_default();
        let before = (!creates).then(|| stack.resolve(tx, &former, &none).0);
        let (after, _) = stack.resolve(tx, target, &none);
        let records = record::resources(tx, &stack.id);
        let ids = records.iter().map(|(logical, r)| (logical.clone(), r.physical.clone())).collect();
        let mut diffs = cfn::diff(before.as_ref(), Some(&after), &ids);
        if revert {
            let changed: BTreeSet<String> = diffs.iter().map(|d| d.logical_id.clone()).collect();
            let kept =
                records.values().filter(|r| after.resources.contains_key(&r.logical) && !changed.contains(&r.logical));
            diffs.extend(kept.filter_map(drifted));
            diffs.sort_by(|a, b| a.logical_id.cmp(&b.logical_id));
        }
        let beside = before.is_some_and(|b| b.outputs != after.outputs)
            || former.tags != target.tags
            || former.role_arn != target.role_arn
            || former.notification_arns != target.notification_arns;
        Self { after, diffs, creates, beside }
    }

    pub(super) fn is_nothing(&self) -> bool {
        !self.creates && self.diffs.is_empty() && !self.beside
    }

    /// What would fail before anything began: exports that are not there, types that change.
    pub(super) fn refusal(&self) -> Option<String> {
        let retyped = |diff: &&cfn::ResourceDiff| diff.changes.iter().any(|c| c.field == cfn::Field::Type);
        let types: Vec<&str> = self.diffs.iter().filter(retyped).map(|d| d.logical_id.as_str()).collect();
        if !types.is_empty() {
            let types = types.join(", ");
            return Some(format!(
                "Update of resource type is not permitted. The new template modifies resource type of the following \
                 resources: [{types}]"
            ));
        }
        let properties = self.after.resources.values().map(|r| &r.properties);
        let outputs = self.after.outputs.values().map(|o| &o.value);
        let missing = properties.chain(outputs).flat_map(Node::waits_for).find_map(|because| match because {
            Because::Import(name) => Some(name),
            _ => None,
        });
        missing.map(|name| format!("No export named {name} found"))
    }
}

/// What it takes to put a resource back that was changed or deleted behind the stack's back.
fn drifted(record: &record::ResourceRecord) -> Option<cfn::ResourceDiff> {
    let mut found = Vec::new();
    record::differences(record.live.as_ref(), Some(&record.properties), "", false, &mut found);
    if !record.gone && (record.live.is_none() || found.is_empty()) {
        return None;
    }
    let changes = found.into_iter().filter(|_| !record.gone).map(|(path, before, after)| cfn::PropertyChange {
        field: cfn::Field::Properties,
        path: path.split('/').fold(Path::default(), |path, step| path.key(step)),
        before: before.map(Node::from),
        after: after.map(Node::from),
        requires_recreation: cfn::Recreation::Never,
        evaluation: cfn::Evaluation::Static,
        causing: None,
        sensitive: false,
    });
    Some(cfn::ResourceDiff {
        logical_id: record.logical.clone(),
        physical_id: (!record.gone).then(|| record.physical.clone()),
        resource_type: record.resource_type.clone(),
        action: if record.gone { cfn::Action::Add } else { cfn::Action::Modify },
        replacement: cfn::Replacement::Never,
        certain: true,
        changes: changes.collect(),
        policy_action: None,
    })
}

/// A resource's change as DescribeChangeSet tells it.
pub(super) fn told(diff: &cfn::ResourceDiff) -> ResourceChange {
    use cfn::{Action, Evaluation, Field, PolicyAction, Recreation, Replacement};
    let action = match diff.action {
        Action::Add => "Add",
        Action::Modify => "Modify",
        Action::Remove => "Remove",
    };
    let replacement = (diff.action == Action::Modify).then_some(match diff.replacement {
        Replacement::Never => "False",
        Replacement::Conditional => "Conditional",
        Replacement::Always => "True",
    });
    let policy_action = diff.policy_action.map(|policy| match policy {
        PolicyAction::Delete => "Delete",
        PolicyAction::Retain => "Retain",
        PolicyAction::Snapshot => "Snapshot",
        PolicyAction::ReplaceAndDelete => "ReplaceAndDelete",
        PolicyAction::ReplaceAndRetain => "ReplaceAndRetain",
        PolicyAction::ReplaceAndSnapshot => "ReplaceAndSnapshot",
    });
    let details = diff.changes.iter().map(|change| {
        let attribute = match change.field {
            Field::Properties | Field::Type => "Properties",
            Field::Tags => "Tags",
            Field::Metadata => "Metadata",
            Field::CreationPolicy => "CreationPolicy",
            Field::UpdatePolicy => "UpdatePolicy",
            Field::DeletionPolicy => "DeletionPolicy",
            Field::UpdateReplacePolicy => "UpdateReplacePolicy",
        };
        let path = change.path.to_string();
        let text = |node: &Node| match node {
            _ if change.sensitive => "****".to_owned(),
            node if !node.is_known() => "{{changeSet:KNOWN_AFTER_APPLY}}".to_owned(),
            node => node.scalar().unwrap_or_else(|| node.to_json_shown().to_string()),
        };
        let recreation = match change.requires_recreation {
            Recreation::Never => "Never",
            Recreation::Conditionally => "Conditionally",
            Recreation::Always => "Always",
        };
        let causing = change.causing.as_ref().map(|source| match source {
            cfn::Source::Parameter { name, .. } => name.clone(),
            cfn::Source::Resource { logical_id, attribute: None } => logical_id.clone(),
            cfn::Source::Resource { logical_id, attribute: Some(attribute) } => format!("{logical_id}.{attribute}"),
            cfn::Source::Dynamic(text) | cfn::Source::Import(text) => text.clone(),
        });
        ResourceChangeDetail {
            attribute: attribute.to_owned(),
            name: (!path.is_empty()).then_some(path),
            requires_recreation: Some(recreation.to_owned()),
            causing_entity: causing,
            evaluation: Some(if change.evaluation == Evaluation::Static { "Static" } else { "Dynamic" }.to_owned()),
            before: change.before.as_ref().map(text),
            after: change.after.as_ref().map(text),
        }
    });
    ResourceChange {
        action: action.to_owned(),
        logical_id: diff.logical_id.clone(),
        physical_id: diff.physical_id.clone(),
        resource_type: diff.resource_type.clone(),
        replacement: replacement.map(str::to_owned),
        policy_action: policy_action.map(str::to_owned),
        details: details.collect(),
        nested: None,
    }
}
