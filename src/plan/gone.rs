//! Whether a cluster is gone. That it does not answer is never a word on that: EKS has to say so, and the stack that makes it, too.

use crate::{
    plan::{Subject, remembered_connections},
    world::{AwsConnection, Class, CloudFormation, ClusterConnection, Failure, Outcome},
};
use std::{sync::Arc, time::Duration};

/// How deep stacks are looked into for the one that makes a cluster.
const DEPTH: usize = 4;
/// How long a stack may take to find out what drifted in it.
const DRIFT_TIMEOUT: Duration = Duration::from_secs(2 * 60);

/// What the stack that makes a cluster says of it.
struct Word {
    cloudformation: Arc<dyn CloudFormation>,
    /// The stack: its name, or its ARN where another one made it.
    stack: String,
    /// The cluster's logical id.
    logical_id: String,
    /// The status of the resource: `CREATE_COMPLETE`.
    status: String,
}

/// Whether a cluster is gone, or never came to be: EKS has none of that name, deletes it, or failed to make it; and the stack that
/// makes it, where state remembers such a one, does not say otherwise. A cluster that is only just made is not gone.
///
/// # Errors
/// EKS or CloudFormation does not answer; `Conflict` where EKS has no such cluster and its stack says that it is there.
pub async fn is_gone(subject: &Subject, cluster: &ClusterConnection) -> Outcome<bool> {
    let ClusterConnection::Eks { name, aws, .. } = cluster else { return Ok(false) };
    let found = subject.world.aws(aws)?.eks.describe_cluster(name).await?;
    let status = found.as_ref().map(|cluster| cluster.status.as_str());
    if !matches!(status, None | Some("DELETING" | "FAILED")) {
        return Ok(false);
    }
    let Some(word) = word_of_its_stack(subject, aws, name).await? else { return Ok(status != Some("FAILED")) };
    let never_was = word.status == "CREATE_FAILED";
    if word.status.starts_with("DELETE") || never_was {
        return Ok(true);
    }
    match status {
        Some("FAILED") => Ok(false),
        None if word.finds_it_gone().await => Ok(true),
        _ => Err(contradiction(name, status, &word)),
    }
}

fn contradiction(name: &str, status: Option<&str>, word: &Word) -> Failure {
    let eks =
        status.map_or_else(|| "EKS has no such cluster".to_owned(), |status| format!("EKS says that it is {status}"));
    let what = format!("{eks}, and its stack {} says that {} is {}", word.stack, word.logical_id, word.status);
    Failure::new(Class::Conflict, "eks:DescribeCluster", name, what).hint(
        "check the account and region; where somebody deleted the cluster by hand, wait until EKS has deleted it, or delete its \
         stack: what was in the cluster is forgotten once the stack says that it is gone, too",
    )
}

impl Word {
    /// Whether the stack finds out, when it looks, that the cluster is not there any more.
    async fn finds_it_gone(&self) -> bool {
        let found = self.cloudformation.detect_drift(&self.stack, DRIFT_TIMEOUT).await.unwrap_or_default();
        found.iter().any(|drift| drift.logical_id == self.logical_id && drift.status == "DELETED")
    }
}

/// Asks the stacks that state remembers in this account and region, those first that name the cluster.
async fn word_of_its_stack(subject: &Subject, aws: &AwsConnection, cluster: &str) -> Outcome<Option<Word>> {
    let mut stacks: Vec<(bool, String, AwsConnection)> = subject
        .state
        .resources
        .values()
        .filter(|r| r.address.kind() == "stack")
        .filter_map(|r| {
            let home = remembered_connections(subject, r).aws;
            let here = (&home.account_id, &home.region) == (&aws.account_id, &aws.region);
            let told = serde_json::to_string(&(&r.exports, &r.inputs)).unwrap_or_default();
            let name = r.identity["name"].as_str().filter(|_| here)?.to_owned();
            Some((!told.contains(cluster), name, home))
        })
        .collect();
    stacks.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    for (_, stack, home) in stacks {
        let cloudformation = subject.world.aws(&home)?.cloudformation;
        if let Some(word) = word_of(&cloudformation, stack, cluster).await? {
            return Ok(Some(word));
        }
    }
    Ok(None)
}

/// What one stack, or one that is nested in it, says of a cluster; `None` where none of them has it.
async fn word_of(cloudformation: &Arc<dyn CloudFormation>, stack: String, cluster: &str) -> Outcome<Option<Word>> {
    let mut level = vec![stack];
    for _ in 0..DEPTH {
        let mut nested = Vec::new();
        for stack in level {
            let parts = match cloudformation.stack_resources(&stack).await {
                Ok(parts) => parts,
                // A stack that is gone says of all in it that it is gone.
                Err(failure) if failure.class == Class::NotFound => continue,
                Err(failure) => return Err(failure),
            };
            for part in parts {
                if part.resource_type == "AWS::EKS::Cluster" && part.physical_id == cluster {
                    let (logical_id, status) = (part.logical_id, part.status);
                    return Ok(Some(Word { cloudformation: cloudformation.clone(), stack, logical_id, status }));
                }
                if part.resource_type == "AWS::CloudFormation::Stack" && !part.physical_id.is_empty() {
                    nested.push(part.physical_id);
                }
            }
        }
        level = nested;
    }
    Ok(None)
}
