//! CloudFormation over its SDK. Source: the CloudFormation API reference, one operation a method.

use super::{convert, describe::Describer, failure::failed, session::Session, templates::Templates};
use crate::world::{
    ChangeSet, ChangeSetSummary, Class, CloudFormation, Export, Failure, ImportedResource, OnCreateFailure, Outcome,
    ResourceChange, ResourceDrift, ResourceIdentifiers, Stack, StackEvent, StackRequest, StackResource,
};
use async_trait::async_trait;
use aws_sdk_cloudformation::{
    Client,
    types::{
        Capability, ChangeSetType, DeploymentMode, OnStackFailure, Parameter, ResourceToImport,
        StackDriftDetectionStatus, Tag, TemplateStage,
    },
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// At most so many pages of events are read: what is older than that explains no running operation.
const EVENT_PAGES: usize = 20;
/// The first and the slowest pace at which a drift detection is asked for.
const DRIFT_PACE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// CloudFormation of one connection.
pub(super) struct LiveCloudFormation {
    session: Arc<Session>,
    describer: Arc<Describer>,
    templates: Templates,
}

impl LiveCloudFormation {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { describer: Describer::new(session.clone()), templates: Templates::default(), session }
    }

    async fn client(&self) -> Outcome<&Client> {
        Ok(&self.session.clients().await?.cloudformation)
    }

    /// A change set, all its pages.
    async fn change_set(&self, id: &str, values: bool) -> Outcome<ChangeSet> {
        let client = self.client().await?;
        let mut found: Option<ChangeSet> = None;
        let mut next = None;
        loop {
            let call = client.describe_change_set().change_set_name(id);
            let call = call.set_include_property_values(values.then_some(true)).set_next_token(next.take());
            let page = call.send().await.map_err(failed("cloudformation:DescribeChangeSet", id))?;
            let changes = page.changes().iter().filter_map(|c| c.resource_change()).map(convert::change);
            found.get_or_insert_with(|| convert::change_set(&page)).changes.extend(changes);
            match page.next_token {
                Some(token) => next = Some(token),
                None => break,
            }
        }
        found.ok_or_else(|| Failure::new(Class::NotFound, "cloudformation:DescribeChangeSet", id, "no answer"))
    }

    /// The change set of this name, where it was made before: the name is the intent's.
    async fn made_before(&self, stack: &str, name: &str) -> Outcome<String> {
        let call = self.client().await?.describe_change_set().stack_name(stack).change_set_name(name);
        let found = call.send().await.map_err(failed("cloudformation:DescribeChangeSet", stack))?;
        found.change_set_id.ok_or_else(|| {
            Failure::new(Class::Unavailable, "cloudformation:DescribeChangeSet", stack, "the change set has no ARN")
        })
    }
}

#[async_trait]
impl CloudFormation for LiveCloudFormation {
    async fn describe_stack(&self, name: &str) -> Outcome<Option<Stack>> {
        let found = self.describer.stack(name).await?;
        if let Some(stack) = &found {
            self.templates.described(stack);
        }
        Ok(found)
    }

    async fn get_template(&self, name: &str) -> Outcome<String> {
        if let Some(text) = self.templates.get(name) {
            return Ok(text);
        }
        let answer =
            self.client().await?.get_template().stack_name(name).template_stage(TemplateStage::Original).send().await;
        let answer = answer.map_err(failed("cloudformation:GetTemplate", name))?;
        let text = answer.template_body.unwrap_or_default();
        self.templates.put(name, &text);
        Ok(text)
    }

    async fn create_change_set(&self, request: &StackRequest, name: &str, token: &str) -> Outcome<String> {
        let exists = match request.exists {
            Some(exists) => exists,
            None => self.describe_stack(&request.name).await?.is_some_and(|s| !s.status.in_review()),
        };
        let kind = match exists {
            _ if !request.imports.is_empty() => ChangeSetType::Import,
            true => ChangeSetType::Update,
            false => ChangeSetType::Create,
        };
        let has_nested = request.template.contains("AWS::CloudFormation::Stack");
        let mut call = self
            .client()
            .await?
            .create_change_set()
            .stack_name(&request.name)
            .change_set_name(name)
            .client_token(token)
            .set_template_body(body(request))
            .set_template_url(request.template_url.clone())
            .set_include_nested_stacks(
                (has_nested && !request.revert_drift && request.imports.is_empty()).then_some(true),
            )
            .set_resources_to_import((!request.imports.is_empty()).then(|| imports(request)))
            .set_parameters(Some(parameters(request)))
            .set_tags(Some(tags(request)))
            .set_capabilities(Some(capabilities(request)))
            .set_role_arn(request.role_arn.clone())
            .set_notification_arns(request.notification_arns.clone());
        if kind == ChangeSetType::Create && request.on_create_failure != OnCreateFailure::Rollback {
            call = call.on_stack_failure(match request.on_create_failure {
                OnCreateFailure::Delete => OnStackFailure::Delete,
                OnCreateFailure::DoNothing => OnStackFailure::DoNothing,
                OnCreateFailure::Rollback => OnStackFailure::Rollback,
            });
        }
        if request.revert_drift {
            call = call.deployment_mode(DeploymentMode::RevertDrift);
        }
        match call.change_set_type(kind).send().await.map_err(failed("cloudformation:CreateChangeSet", &request.name)) {
            Ok(answer) => match answer.id {
                Some(id) => Ok(id),
                None => self.made_before(&request.name, name).await,
            },
            Err(failure) if failure.class == Class::AlreadyExists => self.made_before(&request.name, name).await,
            Err(failure) => Err(failure),
        }
    }

    /// With property values the service may leave rows out, and says that only in the reason of a change set that was
    /// made: then it is read again without them, and the rows that were left out are added.
    async fn describe_change_set(&self, id: &str) -> Outcome<ChangeSet> {
        let mut found = self.change_set(id, true).await?;
        if found.status == "CREATE_COMPLETE" && !found.status_reason.is_empty() {
            let whole = self.change_set(id, false).await?;
            let mut told: BTreeMap<String, ResourceChange> =
                found.changes.into_iter().map(|change| (change.logical_id.clone(), change)).collect();
            found.changes =
                whole.changes.into_iter().map(|change| told.remove(&change.logical_id).unwrap_or(change)).collect();
            found.changes.extend(told.into_values());
        }
        Ok(found)
    }

    async fn resource_identifiers(&self, request: &StackRequest) -> Outcome<Vec<ResourceIdentifiers>> {
        let call = self.client().await?.get_template_summary();
        let call = call.set_template_body(body(request)).set_template_url(request.template_url.clone());
        let answer = call.send().await.map_err(failed("cloudformation:GetTemplateSummary", &request.name))?;
        Ok(answer.resource_identifier_summaries().iter().map(convert::identifiers).collect())
    }

    async fn list_change_sets(&self, stack: &str) -> Outcome<Vec<ChangeSetSummary>> {
        // By name, and then only those of this very stack: there are servers that find none by ARN.
        let name = stack.split_once(":stack/").and_then(|(_, rest)| rest.split('/').next());
        let meant = |of: Option<&str>| name.is_none() || of == Some(stack);
        let mut pages =
            self.client().await?.list_change_sets().stack_name(name.unwrap_or(stack)).into_paginator().send();
        let mut sets = Vec::new();
        while let Some(page) = pages.next().await {
            match page.map_err(failed("cloudformation:ListChangeSets", stack)) {
                Ok(page) => {
                    sets.extend(page.summaries().iter().filter(|s| meant(s.stack_id())).map(convert::summary));
                }
                Err(failure) if failure.class == Class::NotFound => break,
                Err(failure) => return Err(failure),
            }
        }
        Ok(sets)
    }

    async fn execute_change_set(&self, id: &str, token: &str) -> Outcome<()> {
        let call = self.client().await?.execute_change_set().change_set_name(id).client_request_token(token);
        call.send().await.map_err(failed("cloudformation:ExecuteChangeSet", id))?;
        Ok(())
    }

    async fn delete_change_set(&self, id: &str) -> Outcome<()> {
        let answer = self.client().await?.delete_change_set().change_set_name(id).send().await;
        gone(answer.map(|_| ()).map_err(failed("cloudformation:DeleteChangeSet", id)))
    }

    async fn update_stack(&self, request: &StackRequest, token: &str) -> Outcome<()> {
        let call = self
            .client()
            .await?
            .update_stack()
            .stack_name(&request.name)
            .client_request_token(token)
            .set_template_body(body(request))
            .set_template_url(request.template_url.clone())
            .set_parameters(Some(parameters(request)))
            .set_tags(Some(tags(request)))
            .set_capabilities(Some(capabilities(request)))
            .set_role_arn(request.role_arn.clone())
            .set_notification_arns(request.notification_arns.clone());
        call.send().await.map_err(failed("cloudformation:UpdateStack", &request.name))?;
        Ok(())
    }

    async fn delete_stack(&self, name: &str, retain: &[String], token: &str) -> Outcome<()> {
        let retained = (!retain.is_empty()).then(|| retain.to_vec());
        let call = self.client().await?.delete_stack().stack_name(name).client_request_token(token);
        let answer = call.set_retain_resources(retained).send().await;
        gone(answer.map(|_| ()).map_err(failed("cloudformation:DeleteStack", name)))
    }

    async fn continue_update_rollback(&self, name: &str, skip: &[String], token: &str) -> Outcome<()> {
        let skipped = (!skip.is_empty()).then(|| skip.to_vec());
        let call = self.client().await?.continue_update_rollback().stack_name(name).client_request_token(token);
        let answer = call.set_resources_to_skip(skipped).send().await;
        answer.map_err(failed("cloudformation:ContinueUpdateRollback", name))?;
        Ok(())
    }

    async fn rollback_stack(&self, name: &str, token: &str) -> Outcome<()> {
        let call = self.client().await?.rollback_stack().stack_name(name).client_request_token(token);
        call.send().await.map_err(failed("cloudformation:RollbackStack", name))?;
        Ok(())
    }

    async fn set_termination_protection(&self, name: &str, on: bool) -> Outcome<()> {
        let call = self.client().await?.update_termination_protection().stack_name(name);
        let answer = call.enable_termination_protection(on).send().await;
        answer.map_err(failed("cloudformation:UpdateTerminationProtection", name))?;
        Ok(())
    }

    async fn set_stack_policy(&self, name: &str, policy: &str) -> Outcome<()> {
        let answer = self.client().await?.set_stack_policy().stack_name(name).stack_policy_body(policy).send().await;
        answer.map_err(failed("cloudformation:SetStackPolicy", name))?;
        Ok(())
    }

    async fn stack_events(&self, name: &str, after: Option<&str>) -> Outcome<Vec<StackEvent>> {
        let mut pages = self.client().await?.describe_stack_events().stack_name(name).into_paginator().send();
        let mut events = Vec::new();
        for _ in 0..EVENT_PAGES {
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(failed("cloudformation:DescribeStackEvents", name))?;
            for event in page.stack_events() {
                if after.is_some() && event.event_id() == after {
                    return Ok(events);
                }
                events.push(convert::event(event));
            }
        }
        Ok(events)
    }

    async fn stack_events_from(&self, name: &str, moment: Timestamp) -> Outcome<Vec<StackEvent>> {
        let mut pages = self.client().await?.describe_stack_events().stack_name(name).into_paginator().send();
        let mut events = Vec::new();
        for _ in 0..EVENT_PAGES {
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(failed("cloudformation:DescribeStackEvents", name))?;
            for event in page.stack_events().iter().map(convert::event) {
                if event.at < moment {
                    return Ok(events);
                }
                events.push(event);
            }
        }
        Ok(events)
    }

    async fn stack_resources(&self, name: &str) -> Outcome<Vec<StackResource>> {
        let mut pages = self.client().await?.list_stack_resources().stack_name(name).into_paginator().send();
        let mut resources = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("cloudformation:ListStackResources", name))?;
            resources.extend(page.stack_resource_summaries().iter().map(convert::resource));
        }
        Ok(resources)
    }

    async fn stack_of(&self, physical_id: &str) -> Outcome<Option<(String, String)>> {
        let call = self.client().await?.describe_stack_resources().physical_resource_id(physical_id);
        match call.send().await.map_err(failed("cloudformation:DescribeStackResources", physical_id)) {
            // The whole stack is told: which of it is meant, its id says.
            Ok(answer) => Ok(answer
                .stack_resources()
                .iter()
                .find(|resource| resource.physical_resource_id() == Some(physical_id))
                .and_then(|r| Some((r.stack_name()?.to_owned(), r.logical_resource_id()?.to_owned())))),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn detect_drift(&self, name: &str, deadline: Duration) -> Outcome<Vec<ResourceDrift>> {
        let client = self.client().await?;
        let began = client.detect_stack_drift().stack_name(name).send().await;
        let detection = began.map_err(failed("cloudformation:DetectStackDrift", name))?.stack_drift_detection_id;
        let ended = tokio::time::timeout(deadline, detected(client, name, &detection.unwrap_or_default())).await;
        ended.map_err(|_| {
            let message = "the drift detection has not ended in time";
            Failure::new(Class::TimedOut, "cloudformation:DescribeStackDriftDetectionStatus", name, message)
        })??;
        let mut pages = client.describe_stack_resource_drifts().stack_name(name).into_paginator().send();
        let mut drifts = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("cloudformation:DescribeStackResourceDrifts", name))?;
            drifts.extend(page.stack_resource_drifts().iter().map(convert::drift));
        }
        Ok(drifts)
    }

    async fn list_exports(&self) -> Outcome<Vec<Export>> {
        let mut pages = self.client().await?.list_exports().into_paginator().send();
        let mut exports = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("cloudformation:ListExports", ""))?;
            exports.extend(page.exports().iter().map(convert::export));
        }
        Ok(exports)
    }

    async fn list_imports(&self, export: &str) -> Outcome<Vec<String>> {
        let mut pages = self.client().await?.list_imports().export_name(export).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            match page.map_err(failed("cloudformation:ListImports", export)) {
                Ok(page) => names.extend(page.imports().iter().cloned()),
                // How the service says that nobody imports it.
                Err(failure) if failure.message.contains("is not imported by any stack") => break,
                Err(failure) => return Err(failure),
            }
        }
        Ok(names)
    }

    async fn list_stacks(&self) -> Outcome<Vec<(String, String)>> {
        let mut pages = self.client().await?.describe_stacks().into_paginator().send();
        let mut stacks = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("cloudformation:DescribeStacks", ""))?;
            stacks.extend(page.stacks().iter().map(convert::stack).map(|s| (s.name, s.id)));
        }
        Ok(stacks)
    }
}

/// Waits until a drift detection has ended.
async fn detected(client: &Client, name: &str, id: &str) -> Outcome<()> {
    let (mut pace, slowest) = DRIFT_PACE;
    loop {
        let call = client.describe_stack_drift_detection_status().stack_drift_detection_id(id);
        let answer = call.send().await.map_err(failed("cloudformation:DescribeStackDriftDetectionStatus", name))?;
        match answer.detection_status() {
            Some(StackDriftDetectionStatus::DetectionInProgress) => {
                #[expect(clippy::disallowed_methods, reason = "a detection runs in real time")]
                tokio::time::sleep(pace).await;
                pace = (pace * 2).min(slowest);
            }
            // It failed for some resource: those that could be checked are told all the same, the others as not checked.
            _ => return Ok(()),
        }
    }
}

/// The template's text, unless it is read from a bucket.
fn body(request: &StackRequest) -> Option<String> {
    request.template_url.is_none().then(|| request.template.clone())
}

fn parameters(request: &StackRequest) -> Vec<Parameter> {
    let given = request
        .parameters
        .iter()
        .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build());
    let kept = request
        .use_previous
        .iter()
        .map(|name| Parameter::builder().parameter_key(name).use_previous_value(true).build());
    given.chain(kept).collect()
}

fn tags(request: &StackRequest) -> Vec<Tag> {
    request.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn imports(request: &StackRequest) -> Vec<ResourceToImport> {
    let one = |import: &ImportedResource| {
        ResourceToImport::builder()
            .resource_type(&import.resource_type)
            .logical_resource_id(&import.logical_id)
            .set_resource_identifier(Some(import.identifier.clone().into_iter().collect()))
            .build()
    };
    request.imports.iter().map(one).collect()
}

fn capabilities(request: &StackRequest) -> Vec<Capability> {
    request.capabilities.iter().map(|c| Capability::from(c.as_str())).collect()
}

/// What is not there need not be deleted.
fn gone(answer: Outcome<()>) -> Outcome<()> {
    match answer {
        Err(failure) if failure.class == Class::NotFound => Ok(()),
        other => other,
    }
}
