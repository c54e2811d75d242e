//! From the SDK's types to the world's. What a service leaves out stays absent: never a default that means "safe".

use crate::world::{
    ChangeSet, ChangeSetSummary, Export, PropertyDifference, ResourceChange, ResourceChangeDetail, ResourceDrift,
    ResourceIdentifiers, Stack, StackEvent, StackOutput, StackResource, StackStatus,
};
use aws_sdk_cloudformation::{
    operation::describe_change_set::DescribeChangeSetOutput,
    types::{self as sdk, ChangeSetStatus},
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

/// A moment; the epoch where the service tells none.
pub(super) fn moment(time: Option<&DateTime>) -> Timestamp {
    time.and_then(|t| Timestamp::new(t.secs(), i32::try_from(t.subsec_nanos()).unwrap_or_default()).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn stack(stack: &sdk::Stack) -> Stack {
    Stack {
        id: text(stack.stack_id()),
        name: text(stack.stack_name()),
        status: StackStatus(stack.stack_status().map(|s| s.as_str().to_owned()).unwrap_or_default()),
        status_reason: text(stack.stack_status_reason()),
        parameters: stack
            .parameters()
            .iter()
            .filter_map(|p| Some((p.parameter_key()?.to_owned(), text(p.parameter_value()))))
            .collect(),
        outputs: stack
            .outputs()
            .iter()
            .filter_map(|o| {
                let output = StackOutput { value: text(o.output_value()), export: o.export_name().map(str::to_owned) };
                Some((o.output_key()?.to_owned(), output))
            })
            .collect(),
        tags: stack.tags().iter().map(|t| (text(t.key()), text(t.value()))).collect(),
        capabilities: stack.capabilities().iter().map(|c| c.as_str().to_owned()).collect(),
        role_arn: stack.role_arn().map(str::to_owned),
        // An endpoint that leaves them out may have them all the same: absent is not none.
        notification_arns: stack.notification_arns.clone(),
        termination_protection: stack.enable_termination_protection().unwrap_or_default(),
        created: moment(stack.creation_time()),
        updated: stack.last_updated_time().map(|t| moment(Some(t))),
        last_token: None,
    }
}

/// A change set without its changes.
pub(super) fn change_set(answer: &DescribeChangeSetOutput) -> ChangeSet {
    ChangeSet {
        id: text(answer.change_set_id()),
        stack_id: text(answer.stack_id()),
        status: answer.status().map(ChangeSetStatus::as_str).unwrap_or_default().to_owned(),
        status_reason: text(answer.status_reason()),
        execution_status: answer.execution_status().map(|s| s.as_str().to_owned()),
        created: answer.creation_time().map(|t| moment(Some(t))),
        changes: Vec::new(),
    }
}

pub(super) fn summary(set: &sdk::ChangeSetSummary) -> ChangeSetSummary {
    ChangeSetSummary {
        id: text(set.change_set_id()),
        name: text(set.change_set_name()),
        execution_status: set.execution_status().map(|s| s.as_str().to_owned()),
    }
}

pub(super) fn change(change: &sdk::ResourceChange) -> ResourceChange {
    ResourceChange {
        action: change.action().map(|a| a.as_str().to_owned()).unwrap_or_default(),
        logical_id: text(change.logical_resource_id()),
        physical_id: change.physical_resource_id().filter(|p| !p.is_empty()).map(str::to_owned),
        resource_type: text(change.resource_type()),
        replacement: change.replacement().map(|r| r.as_str().to_owned()),
        policy_action: change.policy_action().map(|p| p.as_str().to_owned()),
        details: change.details().iter().map(detail).collect(),
        nested: change.change_set_id().filter(|id| !id.is_empty()).map(str::to_owned),
    }
}

fn detail(detail: &sdk::ResourceChangeDetail) -> ResourceChangeDetail {
    let target = detail.target();
    ResourceChangeDetail {
        attribute: target.and_then(|t| t.attribute()).map(|a| a.as_str().to_owned()).unwrap_or_default(),
        name: target.and_then(|t| t.name()).filter(|n| !n.is_empty()).map(str::to_owned),
        requires_recreation: target.and_then(|t| t.requires_recreation()).map(|r| r.as_str().to_owned()),
        causing_entity: detail.causing_entity().map(str::to_owned),
        evaluation: detail.evaluation().map(|e| e.as_str().to_owned()),
        before: target.and_then(|t| t.before_value()).map(str::to_owned),
        after: target.and_then(|t| t.after_value()).map(str::to_owned),
    }
}

pub(super) fn event(event: &sdk::StackEvent) -> StackEvent {
    StackEvent {
        id: text(event.event_id()),
        at: moment(event.timestamp()),
        logical_id: text(event.logical_resource_id()),
        physical_id: text(event.physical_resource_id()),
        resource_type: text(event.resource_type()),
        status: event.resource_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        reason: text(event.resource_status_reason()),
        token: event.client_request_token().map(str::to_owned),
        operation: event.operation_id().map(str::to_owned),
    }
}

pub(super) fn resource(resource: &sdk::StackResourceSummary) -> StackResource {
    StackResource {
        logical_id: text(resource.logical_resource_id()),
        physical_id: text(resource.physical_resource_id()),
        resource_type: text(resource.resource_type()),
        status: resource.resource_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
    }
}

pub(super) fn drift(drift: &sdk::StackResourceDrift) -> ResourceDrift {
    ResourceDrift {
        logical_id: text(drift.logical_resource_id()),
        physical_id: text(drift.physical_resource_id()),
        resource_type: text(drift.resource_type()),
        status: drift.stack_resource_drift_status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        differences: drift
            .property_differences()
            .iter()
            .map(|difference| PropertyDifference {
                path: text(difference.property_path()),
                expected: text(difference.expected_value()),
                actual: text(difference.actual_value()),
            })
            .collect(),
    }
}

pub(super) fn identifiers(summary: &sdk::ResourceIdentifierSummary) -> ResourceIdentifiers {
    ResourceIdentifiers {
        resource_type: text(summary.resource_type()),
        logical_ids: summary.logical_resource_ids().to_vec(),
        identifiers: summary.resource_identifiers().to_vec(),
    }
}

pub(super) fn export(export: &sdk::Export) -> Export {
    Export { name: text(export.name()), value: text(export.value()), stack_id: text(export.exporting_stack_id()) }
}
