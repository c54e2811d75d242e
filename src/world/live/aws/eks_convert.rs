//! From the types of EKS's SDK to the world's. What the service leaves out stays absent or empty.

use super::convert::moment;
use crate::world::{
    Addon, AddonRequest, Class, Cluster, EksUpdate, Failure, Insight, InsightCategory, Nodegroup, Outcome, PodIdentity,
    ResolveConflicts,
};
use aws_sdk_eks::types as sdk;

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

pub(super) fn cluster(name: &str, cluster: &sdk::Cluster) -> Cluster {
    Cluster {
        name: cluster.name().unwrap_or(name).to_owned(),
        arn: text(cluster.arn()),
        status: cluster.status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        version: text(cluster.version()),
        endpoint: text(cluster.endpoint()),
        certificate_authority: text(cluster.certificate_authority().and_then(|c| c.data())),
    }
}

pub(super) fn addon(cluster: &str, name: &str, addon: &sdk::Addon) -> Addon {
    Addon {
        name: addon.addon_name().unwrap_or(name).to_owned(),
        cluster: addon.cluster_name().unwrap_or(cluster).to_owned(),
        arn: text(addon.addon_arn()),
        status: addon.status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        version: text(addon.addon_version()),
        configuration: text(addon.configuration_values()),
        service_account_role_arn: addon.service_account_role_arn().filter(|arn| !arn.is_empty()).map(str::to_owned),
        pod_identity_associations: addon.pod_identity_associations().to_vec(),
        tags: addon.tags().cloned().unwrap_or_default().into_iter().collect(),
        issues: addon
            .health()
            .into_iter()
            .flat_map(sdk::AddonHealth::issues)
            .map(|i| (i.code().map(|c| c.as_str().to_owned()).unwrap_or_default(), text(i.message())))
            .collect(),
        modified: addon.modified_at().map(|at| moment(Some(at))),
    }
}

pub(super) const fn conflicts(wish: ResolveConflicts) -> sdk::ResolveConflicts {
    match wish {
        ResolveConflicts::None => sdk::ResolveConflicts::None,
        ResolveConflicts::Overwrite => sdk::ResolveConflicts::Overwrite,
        ResolveConflicts::Preserve => sdk::ResolveConflicts::Preserve,
    }
}

/// The associations that a request asks for; `None` where it leaves them as they are.
pub(super) fn pods(request: &AddonRequest) -> Outcome<Option<Vec<sdk::AddonPodIdentityAssociations>>> {
    let Some(pods) = &request.pod_identity else { return Ok(None) };
    let built: Result<Vec<_>, _> = pods
        .iter()
        .map(|pod| {
            sdk::AddonPodIdentityAssociations::builder()
                .service_account(&pod.service_account)
                .role_arn(&pod.role_arn)
                .build()
        })
        .collect();
    built.map(Some).map_err(|e| Failure::new(Class::Invalid, "eks:UpdateAddon", request.addon.clone(), e.to_string()))
}

pub(super) fn pod(association: &sdk::PodIdentityAssociation) -> PodIdentity {
    PodIdentity { service_account: text(association.service_account()), role_arn: text(association.role_arn()) }
}

pub(super) const fn category(category: InsightCategory) -> sdk::Category {
    match category {
        InsightCategory::Upgrade => sdk::Category::UpgradeReadiness,
        InsightCategory::Rollback => sdk::Category::RollbackReadiness,
    }
}

fn status(status: Option<&sdk::InsightStatus>) -> (String, String) {
    let word = status.and_then(|s| s.status()).map(|s| s.as_str().to_owned());
    (word.unwrap_or_else(|| "UNKNOWN".to_owned()), text(status.and_then(|s| s.reason())))
}

pub(super) fn insight_summary(insight: &sdk::InsightSummary) -> Insight {
    let (status, reason) = status(insight.insight_status());
    Insight {
        id: text(insight.id()),
        name: text(insight.name()),
        kubernetes_version: text(insight.kubernetes_version()),
        status,
        reason,
        recommendation: String::new(),
        resources: Vec::new(),
    }
}

pub(super) fn insight(insight: &sdk::Insight) -> Insight {
    let (status, reason) = status(insight.insight_status());
    let own = insight.resources().iter().filter_map(|r| r.kubernetes_resource_uri().or_else(|| r.arn()));
    let deprecated = insight
        .category_specific_summary()
        .into_iter()
        .flat_map(sdk::InsightCategorySpecificSummary::deprecation_details);
    let usages = deprecated.filter_map(|d| d.usage());
    let mut resources: Vec<String> = own.chain(usages).map(str::to_owned).collect();
    resources.dedup();
    Insight {
        id: text(insight.id()),
        name: text(insight.name()),
        kubernetes_version: text(insight.kubernetes_version()),
        status,
        reason,
        recommendation: text(insight.recommendation()),
        resources,
    }
}

pub(super) fn update(update: &sdk::Update) -> EksUpdate {
    EksUpdate {
        id: text(update.id()),
        status: update.status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        kind: update.r#type().map(|t| t.as_str().to_owned()).unwrap_or_default(),
        params: update
            .params()
            .iter()
            .filter_map(|p| Some((p.r#type()?.as_str().to_owned(), text(p.value()))))
            .collect(),
        created: update.created_at().map(|at| moment(Some(at))),
        errors: update
            .errors()
            .iter()
            .map(|e| {
                let code = e.error_code().map(|c| c.as_str().to_owned()).unwrap_or_default();
                (code, text(e.error_message()), e.resource_ids().to_vec())
            })
            .collect(),
    }
}

/// The id of an update that was begun.
pub(super) fn update_id(operation: &str, subject: &str, update: Option<sdk::Update>) -> Outcome<String> {
    update
        .and_then(|u| u.id)
        .ok_or_else(|| Failure::new(Class::Unavailable, operation, subject, "the answer has no update"))
}

pub(super) fn nodegroup(name: &str, group: &sdk::Nodegroup) -> Nodegroup {
    Nodegroup {
        name: group.nodegroup_name().unwrap_or(name).to_owned(),
        version: text(group.version()),
        status: group.status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        issues: group
            .health()
            .into_iter()
            .flat_map(sdk::NodegroupHealth::issues)
            .map(|i| (i.code().map(|c| c.as_str().to_owned()).unwrap_or_default(), text(i.message())))
            .collect(),
    }
}
