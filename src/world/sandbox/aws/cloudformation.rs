//! CloudFormation's trait over the world: each method one call, the work in the files beside this one.

use super::{
    Scope, change_set, delete, effect, events, loose,
    record::{self, Config, StackRecord, differences},
    request::{self, Ask},
};
use crate::world::{
    ChangeSet, ChangeSetSummary, Class, Clock as _, CloudFormation, Export, Outcome, PropertyDifference, ResourceDrift,
    ResourceIdentifiers, Stack, StackEvent, StackRequest, StackResource,
    sandbox::{Sandbox, Tx},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The service in one account and region.
pub(super) struct Stacks {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) scope: Scope,
}

impl Stacks {
    async fn with<R>(
        &self,
        operation: &str,
        subject: &str,
        body: impl FnOnce(&mut Tx<'_>, Ask<'_>) -> Outcome<R> + Send,
    ) -> Outcome<R> {
        let shown = stack_name(subject);
        self.sandbox.call(operation, shown, |tx| body(tx, Ask { operation, subject: shown })).await
    }

    fn existing(&self, tx: &Tx<'_>, ask: Ask<'_>, name: &str) -> Outcome<StackRecord> {
        record::find(tx, &self.scope, name).ok_or_else(|| ask.missing_stack(name))
    }
}

/// The name in a stack's ARN; any other text as it is.
fn stack_name(subject: &str) -> &str {
    match subject.split_once(":stack/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => subject,
    }
}

#[async_trait::async_trait]
impl CloudFormation for Stacks {
    async fn describe_stack(&self, name: &str) -> Outcome<Option<Stack>> {
        let read = |tx: &mut Tx<'_>, _: Ask<'_>| Ok(record::find(tx, &self.scope, name).map(|s| s.told()));
        self.with("cloudformation:DescribeStacks", name, read).await
    }

    async fn get_template(&self, name: &str) -> Outcome<String> {
        self.with("cloudformation:GetTemplate", name, |tx, ask| {
            let stack = self.existing(tx, ask, name)?;
            Ok(tx.get::<Config>("stack-config", &stack.id).map(|c| c.template).unwrap_or_default())
        })
        .await
    }

    async fn create_change_set(&self, request: &StackRequest, name: &str, token: &str) -> Outcome<String> {
        self.with("cloudformation:CreateChangeSet", &request.name, |tx, ask| {
            change_set::create(tx, ask, &self.scope, request, name, token)
        })
        .await
    }

    async fn describe_change_set(&self, id: &str) -> Outcome<ChangeSet> {
        let subject = self.subject_of(id)?;
        self.with("cloudformation:DescribeChangeSet", &subject, |tx, ask| {
            tx.get::<change_set::SetRecord>("change-set", id)
                .map(|record| record.set)
                .ok_or_else(|| ask.fail(Class::NotFound, format!("ChangeSet [{id}] does not exist")))
        })
        .await
    }

    async fn resource_identifiers(&self, request: &StackRequest) -> Outcome<Vec<ResourceIdentifiers>> {
        self.with("cloudformation:GetTemplateSummary", &request.name, |tx, ask| {
            let text = request::text(tx, ask, request)?;
            let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (logical, declared) in record::parse(&text).0.resources {
                types.entry(declared.resource_type).or_default().push(logical);
            }
            let told = types.into_iter().map(|(resource_type, logical_ids)| {
                let identifiers: Vec<String> = loose::identifiers(&resource_type).into_iter().collect();
                ResourceIdentifiers { resource_type, logical_ids, identifiers }
            });
            Ok(told.filter(|told| !told.identifiers.is_empty()).collect())
        })
        .await
    }

    async fn list_change_sets(&self, stack: &str) -> Outcome<Vec<ChangeSetSummary>> {
        self.with("cloudformation:ListChangeSets", stack, |tx, _| {
            let Some(found) = record::find(tx, &self.scope, stack) else { return Ok(Vec::new()) };
            let sets = tx.scan::<change_set::SetRecord>("change-set", "").into_iter().map(|(_, record)| record);
            let summary = |record: change_set::SetRecord| ChangeSetSummary {
                id: record.set.id,
                name: record.name,
                execution_status: record.set.execution_status,
            };
            Ok(sets.filter(|record| record.set.stack_id == found.id).map(summary).collect())
        })
        .await
    }

    async fn rollback_stack(&self, name: &str, token: &str) -> Outcome<()> {
        self.with("cloudformation:RollbackStack", name, |tx, ask| {
            let stack = self.existing(tx, ask, name)?;
            change_set::roll_back(tx, ask, stack, token)
        })
        .await
    }

    async fn execute_change_set(&self, id: &str, token: &str) -> Outcome<()> {
        let subject = self.subject_of(id)?;
        self.with("cloudformation:ExecuteChangeSet", &subject, |tx, ask| change_set::execute(tx, ask, id, token)).await
    }

    async fn delete_change_set(&self, id: &str) -> Outcome<()> {
        let subject = self.subject_of(id)?;
        self.with("cloudformation:DeleteChangeSet", &subject, |tx, _| {
            change_set::delete(tx, id);
            Ok(())
        })
        .await
    }

    async fn update_stack(&self, request: &StackRequest, token: &str) -> Outcome<()> {
        self.with("cloudformation:UpdateStack", &request.name, |tx, ask| {
            change_set::update(tx, ask, &self.scope, request, token)
        })
        .await
    }

    async fn delete_stack(&self, name: &str, retain: &[String], token: &str) -> Outcome<()> {
        self.with("cloudformation:DeleteStack", name, |tx, ask| match record::find(tx, &self.scope, name) {
            Some(stack) => delete::delete(tx, ask, stack, retain, token),
            None => Ok(()),
        })
        .await
    }

    async fn set_termination_protection(&self, name: &str, on: bool) -> Outcome<()> {
        self.with("cloudformation:UpdateTerminationProtection", name, |tx, ask| {
            let mut stack = self.existing(tx, ask, name)?;
            stack.termination_protection = on;
            tx.put("stack", &stack.id, &stack);
            Ok(())
        })
        .await
    }

    /// Kept and never enforced: what the sandbox changes, it changes whole.
    async fn set_stack_policy(&self, name: &str, policy: &str) -> Outcome<()> {
        self.with("cloudformation:SetStackPolicy", name, |tx, ask| {
            let stack = self.existing(tx, ask, name)?;
            tx.put("stack-policy", &stack.id, &policy);
            Ok(())
        })
        .await
    }

    async fn continue_update_rollback(&self, name: &str, skip: &[String], token: &str) -> Outcome<()> {
        self.with("cloudformation:ContinueUpdateRollback", name, |tx, ask| {
            let mut stack = self.existing(tx, ask, name)?;
            change_set::continue_rollback(tx, ask, &mut stack, skip, token)
        })
        .await
    }

    async fn stack_events(&self, name: &str, after: Option<&str>) -> Outcome<Vec<StackEvent>> {
        self.with("cloudformation:DescribeStackEvents", name, |tx, ask| {
            let stack = self.existing(tx, ask, name)?;
            Ok(events::newest_first(tx, &stack.id, after))
        })
        .await
    }

    async fn stack_resources(&self, name: &str) -> Outcome<Vec<StackResource>> {
        self.with("cloudformation:ListStackResources", name, |tx, ask| {
            let stack = self.existing(tx, ask, name)?;
            let told = record::resources(tx, &stack.id).into_values().map(|r| StackResource {
                logical_id: r.logical,
                physical_id: r.physical,
                resource_type: r.resource_type,
                status: r.status,
            });
            Ok(told.collect())
        })
        .await
    }

    async fn stack_of(&self, physical_id: &str) -> Outcome<Option<(String, String)>> {
        self.with("cloudformation:DescribeStackResources", physical_id, |tx, _| {
            Ok(record::holder(tx, &self.scope, physical_id).map(|(stack, record)| (stack.name, record.logical)))
        })
        .await
    }

    async fn detect_drift(&self, name: &str, deadline: Duration) -> Outcome<Vec<ResourceDrift>> {
        let seconds = Duration::from_secs(4);
        self.with("cloudformation:DetectStackDrift", name, |tx, ask| {
            let stack = self.existing(tx, ask, name)?;
            let fit = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"];
            if stack.status == "IMPORT_COMPLETE"
                || stack.status == "IMPORT_ROLLBACK_COMPLETE"
                || fit.contains(&stack.status.as_str())
            {
                return Ok(());
            }
            let status = &stack.status;
            Err(ask.invalid(format!("Drift detection cannot be performed on stack in {status} state")))
        })
        .await?;
        self.sandbox.virtual_clock().sleep(seconds.min(deadline)).await;
        self.with("cloudformation:DescribeStackResourceDrifts", name, |tx, ask| {
            if deadline < seconds {
                return Err(ask.fail(Class::TimedOut, "drift detection did not end in time"));
            }
            let stack = self.existing(tx, ask, name)?;
            Ok(record::resources(tx, &stack.id).into_values().map(|r| drift_of(&r)).collect())
        })
        .await
    }

    async fn list_exports(&self) -> Outcome<Vec<Export>> {
        let prefix = format!("{}/", self.scope);
        self.with("cloudformation:ListExports", "", |tx, _| {
            Ok(tx.scan::<Export>("export", &prefix).into_iter().map(|(_, export)| export).collect())
        })
        .await
    }

    async fn list_imports(&self, export: &str) -> Outcome<Vec<String>> {
        self.with("cloudformation:ListImports", export, |tx, _| Ok(record::importers(tx, &self.scope, export))).await
    }

    async fn list_stacks(&self) -> Outcome<Vec<(String, String)>> {
        let prefix = format!("{}/", self.scope);
        self.with("cloudformation:ListStacks", "", |tx, _| {
            let names = tx.scan::<String>("stack-name", &prefix).into_iter();
            Ok(names.map(|(key, id)| (key[prefix.len()..].to_owned(), id)).collect())
        })
        .await
    }
}

impl Stacks {
    /// The stack that a change set is of, for faults that name a stack.
    fn subject_of(&self, change_set: &str) -> Outcome<String> {
        self.sandbox.transact(|tx| {
            let stack = tx.get::<change_set::SetRecord>("change-set", change_set).map(|record| record.set.stack_id);
            stack.unwrap_or_else(|| change_set.to_owned())
        })
    }
}

fn drift_of(record: &record::ResourceRecord) -> ResourceDrift {
    let mut found = Vec::new();
    if !record.gone {
        differences(Some(&record.properties), Some(effect::live(record)), "", false, &mut found);
    }
    let shown = |value: Option<serde_json::Value>| {
        value.map_or_else(
            || "null".to_owned(),
            |v| match v {
                serde_json::Value::String(s) => s,
                other => other.to_string(),
            },
        )
    };
    let differences: Vec<_> = found
        .into_iter()
        .map(|(path, expected, actual)| PropertyDifference {
            path: format!("/{path}"),
            expected: shown(expected),
            actual: shown(actual),
        })
        .collect();
    let status = match record {
        r if r.gone => "DELETED",
        r if r.resource_type.starts_with("Custom::") => "NOT_CHECKED",
        _ if differences.is_empty() => "IN_SYNC",
        _ => "MODIFIED",
    };
    ResourceDrift {
        logical_id: record.logical.clone(),
        physical_id: record.physical.clone(),
        resource_type: record.resource_type.clone(),
        status: status.to_owned(),
        differences,
    }
}
