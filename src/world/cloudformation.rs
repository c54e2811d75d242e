//! CloudFormation, as far as Terrace uses it. Names and meanings are those of the API reference.

use crate::world::{Class, Failure, Outcome};
use async_trait::async_trait;
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// A stack as DescribeStacks tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stack {
    /// The ARN; it still finds the stack after it is deleted.
    pub id: String,
    /// The name, unique among the account's and region's living stacks.
    pub name: String,
    /// Such as `CREATE_COMPLETE`.
    pub status: StackStatus,
    /// The service's reason for the status; empty where it gives none.
    pub status_reason: String,
    /// Parameters as the service shows them: a `NoEcho` one is `****`.
    pub parameters: BTreeMap<String, String>,
    /// Outputs by key.
    pub outputs: BTreeMap<String, StackOutput>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Capabilities that the last operation acknowledged.
    pub capabilities: Vec<String>,
    /// The service role that the stack uses.
    pub role_arn: Option<String>,
    /// SNS topics that are told of its events; `None` where the service does not say.
    #[serde(default)]
    pub notification_arns: Option<Vec<String>>,
    /// Whether deletion is refused.
    pub termination_protection: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last updated.
    pub updated: Option<Timestamp>,
    /// The client request token of the newest operation, where the service tells it (from the events).
    pub last_token: Option<String>,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StackOutput {
    /// The value.
    pub value: String,
    /// The name under which other stacks import it.
    pub export: Option<String>,
}

/// The status of a stack, by the API's own words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct StackStatus(pub String);

impl StackStatus {
    /// True while an operation runs.
    #[must_use]
    pub fn in_progress(&self) -> bool {
        self.0.ends_with("_IN_PROGRESS") && self.0 != "REVIEW_IN_PROGRESS"
    }

    /// True where the newest operation did what was asked.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        matches!(self.0.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "DELETE_COMPLETE" | "IMPORT_COMPLETE")
    }

    /// True where an update may be made.
    #[must_use]
    pub fn updatable(&self) -> bool {
        matches!(
            self.0.as_str(),
            "CREATE_COMPLETE"
                | "UPDATE_COMPLETE"
                | "UPDATE_ROLLBACK_COMPLETE"
                | "IMPORT_COMPLETE"
                | "IMPORT_ROLLBACK_COMPLETE"
        )
    }

    /// True for a stack that exists in name only, left by a change set of type CREATE.
    #[must_use]
    pub fn in_review(&self) -> bool {
        self.0 == "REVIEW_IN_PROGRESS"
    }
}

/// What a change set, or an update without one, asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct StackRequest {
    /// The stack's name.
    pub name: String,
    /// The template's text.
    pub template: String,
    /// Parameters, all given; the clear text of `NoEcho` ones.
    pub parameters: BTreeMap<String, String>,
    /// Names of parameters that keep their previous value (only on update).
    pub use_previous: Vec<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Capabilities to acknowledge.
    pub capabilities: Vec<String>,
    /// The service role.
    pub role_arn: Option<String>,
    /// SNS topics that are told of the stack's events; none where the list is empty, those that it has where it is `None`.
    #[serde(default)]
    pub notification_arns: Option<Vec<String>>,
    /// What becomes of a failed create.
    pub on_create_failure: OnCreateFailure,
    /// Also puts back what was changed or deleted out of band (a change set's deployment mode `REVERT_DRIFT`).
    #[serde(default)]
    pub revert_drift: bool,
    /// Where the template lies, for one that is too long to be sent ([`Objects`](crate::world::Objects)); the text is
    /// then not sent.
    #[serde(default)]
    pub template_url: Option<String>,
    /// Whether the stack is there to be updated, where the caller knows that; `None` has the service asked. A stack in
    /// review is not there.
    #[serde(default)]
    pub exists: Option<bool>,
    /// Resources that exist and come into the stack as they are, by a change set of type IMPORT. Where there are some, the
    /// change set may change nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportedResource>,
}

/// A resource that exists and is to come into a stack (`ResourceToImport`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImportedResource {
    /// Such as `AWS::S3::Bucket`.
    pub resource_type: String,
    /// The logical id that the template gives it.
    pub logical_id: String,
    /// What identifies it: `BucketName` and its value.
    pub identifier: BTreeMap<String, String>,
}

/// What the resources of one type in a template are identified by in an import (`ResourceIdentifierSummary`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceIdentifiers {
    /// Such as `AWS::S3::Bucket`.
    pub resource_type: String,
    /// The resources of the template that are of this type.
    pub logical_ids: Vec<String>,
    /// The properties that identify one, such as `BucketName`.
    pub identifiers: Vec<String>,
}

/// What becomes of a stack whose creation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCreateFailure {
    /// Its resources are deleted, the stack stays as `ROLLBACK_COMPLETE`.
    #[default]
    Rollback,
    /// All of it is deleted.
    Delete,
    /// It stays as it failed.
    DoNothing,
}

/// A change set as DescribeChangeSet tells it, all pages read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChangeSet {
    /// The ARN.
    pub id: String,
    /// The stack's ARN.
    pub stack_id: String,
    /// `CREATE_COMPLETE`, `FAILED`, ...
    pub status: String,
    /// Why; says "didn't contain changes" where nothing changes.
    pub status_reason: String,
    /// `AVAILABLE` where it can be executed.
    pub execution_status: Option<String>,
    /// When it was made, by the service's clock.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// What would happen, resource by resource, in the service's order.
    pub changes: Vec<ResourceChange>,
}

impl ChangeSet {
    /// True where it failed for want of changes, in either spelling. An empty one that was made is told apart by the
    /// caller: it may still change outputs.
    #[must_use]
    pub fn is_empty_change(&self) -> bool {
        self.status == "FAILED"
            && (self.status_reason.contains("submitted information didn't contain changes")
                || self.status_reason.contains("No updates are to be performed"))
    }

    /// True while it is being made or deleted.
    #[must_use]
    pub fn pending(&self) -> bool {
        self.status.ends_with("_PENDING") || self.status.ends_with("_IN_PROGRESS")
    }
}

/// One resource of a change set.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ResourceChange {
    /// `Add`, `Modify`, `Remove`, `Import`, `Dynamic`.
    pub action: String,
    /// The logical id in the template.
    pub logical_id: String,
    /// The physical id, where there is one.
    pub physical_id: Option<String>,
    /// Such as `AWS::EC2::Subnet`.
    pub resource_type: String,
    /// `True`, `False`, `Conditional`; absent means absent, never "safe".
    pub replacement: Option<String>,
    /// What becomes of the physical thing: `Delete`, `Retain`, `Snapshot`, `ReplaceAndDelete`, ...
    pub policy_action: Option<String>,
    /// The properties that cause it.
    pub details: Vec<ResourceChangeDetail>,
    /// For a nested stack: the ARN of its own change set.
    #[serde(default)]
    pub nested: Option<String>,
}

/// A change set as ListChangeSets tells it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChangeSetSummary {
    /// The ARN.
    pub id: String,
    /// The name, unique within its stack.
    pub name: String,
    /// `AVAILABLE` where it can be executed.
    pub execution_status: Option<String>,
}

/// One property that causes a resource's change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ResourceChangeDetail {
    /// `Properties`, `Tags`, `Metadata`, ...
    pub attribute: String,
    /// The property's name or path.
    pub name: Option<String>,
    /// `Never`, `Conditionally`, `Always`.
    pub requires_recreation: Option<String>,
    /// What made it change: a parameter, another resource's attribute.
    pub causing_entity: Option<String>,
    /// `Static` or `Dynamic`.
    pub evaluation: Option<String>,
    /// Before, as the service renders it.
    pub before: Option<String>,
    /// After, as the service renders it.
    pub after: Option<String>,
}

/// A stack event; the newest first, as the API gives them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StackEvent {
    /// Unique.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The resource; the stack's own name for the stack.
    pub logical_id: String,
    /// The physical id; may be empty.
    pub physical_id: String,
    /// The type.
    pub resource_type: String,
    /// Such as `CREATE_FAILED`.
    pub status: String,
    /// The reason; may be empty.
    pub reason: String,
    /// The client request token of the operation.
    pub token: Option<String>,
    /// The id of the operation; a failed update and its rollback have two. Absent where the service tells none.
    #[serde(default)]
    pub operation: Option<String>,
}

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StackResource {
    /// The logical id.
    pub logical_id: String,
    /// The physical id.
    pub physical_id: String,
    /// The type.
    pub resource_type: String,
    /// Such as `UPDATE_COMPLETE`.
    pub status: String,
}

/// One resource's drift from its template.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ResourceDrift {
    /// The logical id.
    pub logical_id: String,
    /// The physical id.
    pub physical_id: String,
    /// The type.
    pub resource_type: String,
    /// `MODIFIED`, `DELETED`, `IN_SYNC`, `NOT_CHECKED`, `UNKNOWN`.
    pub status: String,
    /// Properties that differ: path, expected, actual.
    pub differences: Vec<PropertyDifference>,
}

/// One property that drifted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PropertyDifference {
    /// A JSON pointer such as `/CidrBlock`.
    pub path: String,
    /// What the template says.
    pub expected: String,
    /// What is live.
    pub actual: String,
}

/// An export and its owner.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Export {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// The ARN of the stack that exports it.
    pub stack_id: String,
}

/// CloudFormation in one account and region.
///
/// Operations that run long return once they are accepted; [`CloudFormation::describe_stack`] tells how they go. A
/// token makes a repeated call the same call. No method waits for a stack.
#[async_trait]
pub trait CloudFormation: Send + Sync {
    /// The stack of this name or ARN; `None` where there is none (a deleted one is found by ARN only).
    async fn describe_stack(&self, name: &str) -> Outcome<Option<Stack>>;

    /// The template as it was submitted.
    async fn get_template(&self, name: &str) -> Outcome<String>;

    /// Starts a change set and returns its ARN. Of type IMPORT where the request imports; of type CREATE where the stack is
    /// absent or in review; else of type UPDATE. Where there is no stack, one in `REVIEW_IN_PROGRESS` is left. `token` is
    /// the client token.
    async fn create_change_set(&self, request: &StackRequest, name: &str, token: &str) -> Outcome<String>;

    /// The change set, whole; its status may still be `CREATE_PENDING` or `CREATE_IN_PROGRESS`.
    async fn describe_change_set(&self, id: &str) -> Outcome<ChangeSet>;

    /// What the resources of a request's template are identified by in an import, for the types that can be imported
    /// (GetTemplateSummary). Empty where the endpoint tells nothing of it.
    async fn resource_identifiers(&self, request: &StackRequest) -> Outcome<Vec<ResourceIdentifiers>> {
        Err(unsupported("cloudformation:GetTemplateSummary", &request.name))
    }

    /// The change sets of a stack; none where there is no such stack.
    async fn list_change_sets(&self, stack: &str) -> Outcome<Vec<ChangeSetSummary>>;

    /// Executes it; its siblings are deleted by the service.
    async fn execute_change_set(&self, id: &str, token: &str) -> Outcome<()>;

    /// Deletes it; one that is gone already is no error.
    async fn delete_change_set(&self, id: &str) -> Outcome<()>;

    /// Updates without a change set (used to undo). Class [`Invalid`](crate::world::Class::Invalid) with "No updates
    /// are to be performed." where nothing changes.
    async fn update_stack(&self, request: &StackRequest, token: &str) -> Outcome<()>;

    /// Deletes the stack, keeping the resources named in `retain` (only from `DELETE_FAILED`). An absent stack is no error.
    async fn delete_stack(&self, name: &str, retain: &[String], token: &str) -> Outcome<()>;

    /// Continues a rollback that failed, skipping the resources named.
    async fn continue_update_rollback(&self, name: &str, skip: &[String], token: &str) -> Outcome<()>;

    /// Rolls a stack in `CREATE_FAILED` or `UPDATE_FAILED` back to its last stable state.
    async fn rollback_stack(&self, name: &str, token: &str) -> Outcome<()> {
        let _ = token;
        Err(unsupported("cloudformation:RollbackStack", name))
    }

    /// Turns termination protection on or off.
    async fn set_termination_protection(&self, name: &str, on: bool) -> Outcome<()> {
        let _ = on;
        Err(unsupported("cloudformation:UpdateTerminationProtection", name))
    }

    /// Sets the stack policy, a JSON text.
    async fn set_stack_policy(&self, name: &str, policy: &str) -> Outcome<()> {
        let _ = policy;
        Err(unsupported("cloudformation:SetStackPolicy", name))
    }

    /// Events newer than the one with this id (all, where `None`), newest first.
    async fn stack_events(&self, name: &str, after: Option<&str>) -> Outcome<Vec<StackEvent>>;

    /// Events from this moment on by the service's clock, newest first.
    async fn stack_events_from(&self, name: &str, moment: Timestamp) -> Outcome<Vec<StackEvent>> {
        let mut events = self.stack_events(name, None).await?;
        events.retain(|event| event.at >= moment);
        Ok(events)
    }

    /// The resources.
    async fn stack_resources(&self, name: &str) -> Outcome<Vec<StackResource>>;
    /// The stack that a resource belongs to, by the resource's physical id: the stack's name and the logical id. `None` where it
    /// belongs to none.
    async fn stack_of(&self, physical_id: &str) -> Outcome<Option<(String, String)>>;

    /// Detects drift and returns the resources that were checked. Runs to its end; `deadline` bounds it.
    async fn detect_drift(&self, name: &str, deadline: Duration) -> Outcome<Vec<ResourceDrift>>;

    /// All exports of the account and region.
    async fn list_exports(&self) -> Outcome<Vec<Export>>;

    /// Names of the stacks that import this export.
    async fn list_imports(&self, export: &str) -> Outcome<Vec<String>>;

    /// Names and ARNs of all stacks that are not deleted.
    async fn list_stacks(&self) -> Outcome<Vec<(String, String)>>;
}

fn unsupported(operation: &str, name: &str) -> Failure {
    Failure::new(Class::Unsupported, operation, name, "this endpoint does not have the operation")
}
