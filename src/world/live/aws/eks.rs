//! EKS over its SDK. Source: the EKS API reference, one operation a method.

use super::{eks_convert as convert, failure::failed, session::Session};
use crate::world::{
    Addon, AddonRequest, AddonVersion, Class, Cluster, Eks, EksUpdate, Failure, Insight, InsightCategory, Nodegroup,
    Outcome, PodIdentity, UpdateOf,
};
use async_trait::async_trait;
use aws_sdk_eks::{Client, types as sdk};
use std::{collections::BTreeMap, sync::Arc};

/// EKS of one connection.
pub(super) struct LiveEks(pub(super) Arc<Session>);

impl LiveEks {
    async fn client(&self) -> Outcome<&Client> {
        Ok(&self.0.clients().await?.eks)
    }
}

#[async_trait]
impl Eks for LiveEks {
    async fn describe_cluster(&self, name: &str) -> Outcome<Option<Cluster>> {
        let answer = self.client().await?.describe_cluster().name(name).send().await;
        match answer.map_err(failed("eks:DescribeCluster", name)) {
            Ok(answer) => Ok(answer.cluster.map(|c| convert::cluster(name, &c))),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn describe_addon(&self, cluster: &str, addon: &str) -> Outcome<Option<Addon>> {
        let answer = self.client().await?.describe_addon().cluster_name(cluster).addon_name(addon).send().await;
        match answer.map_err(failed("eks:DescribeAddon", addon)) {
            Ok(answer) => Ok(answer.addon.map(|a| convert::addon(cluster, addon, &a))),
            // Where the answer does not say which of the two is missing, the cluster is asked for.
            Err(failure) if failure.class == Class::NotFound => {
                let gone = is_of_cluster(&failure) || self.describe_cluster(cluster).await?.is_none();
                if gone { Err(failure) } else { Ok(None) }
            }
            Err(failure) => Err(failure),
        }
    }

    async fn list_addons(&self, cluster: &str) -> Outcome<Vec<String>> {
        let mut pages = self.client().await?.list_addons().cluster_name(cluster).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            names.extend(page.map_err(failed("eks:ListAddons", cluster))?.addons.unwrap_or_default());
        }
        Ok(names)
    }

    async fn create_addon(&self, request: &AddonRequest, token: &str) -> Outcome<Addon> {
        let call = self
            .client()
            .await?
            .create_addon()
            .cluster_name(&request.cluster)
            .addon_name(&request.addon)
            .addon_version(&request.version)
            .set_configuration_values((!request.configuration.is_empty()).then(|| request.configuration.clone()))
            .set_service_account_role_arn(request.service_account_role_arn.clone())
            .set_pod_identity_associations(convert::pods(request)?)
            .resolve_conflicts(convert::conflicts(request.resolve_conflicts))
            .set_tags((!request.tags.is_empty()).then(|| request.tags.clone().into_iter().collect()))
            .client_request_token(token);
        let answer = call.send().await.map_err(failed("eks:CreateAddon", &request.addon))?;
        answer.addon.map(|a| convert::addon(&request.cluster, &request.addon, &a)).ok_or_else(|| {
            Failure::new(Class::Unavailable, "eks:CreateAddon", request.addon.clone(), "the answer has no add-on")
        })
    }

    async fn update_addon(&self, request: &AddonRequest, token: &str) -> Outcome<String> {
        let call = self
            .client()
            .await?
            .update_addon()
            .cluster_name(&request.cluster)
            .addon_name(&request.addon)
            .addon_version(&request.version)
            .configuration_values(&request.configuration)
            .set_service_account_role_arn(request.service_account_role_arn.clone())
            .set_pod_identity_associations(convert::pods(request)?)
            .resolve_conflicts(convert::conflicts(request.resolve_conflicts))
            .client_request_token(token);
        let answer = call.send().await.map_err(failed("eks:UpdateAddon", &request.addon))?;
        Ok(answer.update.and_then(|u| u.id).unwrap_or_default())
    }

    async fn delete_addon(&self, cluster: &str, addon: &str, preserve: bool) -> Outcome<()> {
        let call = self.client().await?.delete_addon().cluster_name(cluster).addon_name(addon).preserve(preserve);
        call.send().await.map_err(failed("eks:DeleteAddon", addon))?;
        Ok(())
    }

    async fn addon_versions(&self, addon: &str, kubernetes_version: &str) -> Outcome<Vec<AddonVersion>> {
        let call = self.client().await?.describe_addon_versions().addon_name(addon);
        let mut pages = call.kubernetes_version(kubernetes_version).into_paginator().send();
        let mut versions = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("eks:DescribeAddonVersions", addon))?;
            for info in page.addons().iter().flat_map(sdk::AddonInfo::addon_versions) {
                // Filtered by version, only that version's compatibility is listed; some endpoints list all of them.
                let own: Vec<&sdk::Compatibility> = info
                    .compatibilities()
                    .iter()
                    .filter(|c| c.cluster_version().is_none_or(|v| v == kubernetes_version))
                    .collect();
                if own.is_empty() && !info.compatibilities().is_empty() {
                    continue;
                }
                let fits = own.iter().any(|c| c.default_version());
                versions
                    .push(AddonVersion { version: info.addon_version().unwrap_or_default().to_owned(), default: fits });
            }
        }
        Ok(versions)
    }

    async fn addon_configuration_schema(&self, addon: &str, version: &str) -> Outcome<String> {
        let call = self.client().await?.describe_addon_configuration().addon_name(addon).addon_version(version);
        let answer = call.send().await.map_err(failed("eks:DescribeAddonConfiguration", addon))?;
        Ok(answer.configuration_schema.unwrap_or_default())
    }

    async fn tag_resource(&self, arn: &str, tags: &BTreeMap<String, String>) -> Outcome<()> {
        let tags = tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let call = self.client().await?.tag_resource().resource_arn(arn).set_tags(Some(tags));
        call.send().await.map_err(failed("eks:TagResource", arn)).map(drop)
    }

    async fn untag_resource(&self, arn: &str, keys: &[String]) -> Outcome<()> {
        let call = self.client().await?.untag_resource().resource_arn(arn).set_tag_keys(Some(keys.to_vec()));
        call.send().await.map_err(failed("eks:UntagResource", arn)).map(drop)
    }

    async fn pod_identity_association(&self, cluster: &str, association: &str) -> Outcome<Option<PodIdentity>> {
        let id = association.rsplit('/').next().unwrap_or(association);
        let call = self.client().await?.describe_pod_identity_association().cluster_name(cluster).association_id(id);
        match call.send().await.map_err(failed("eks:DescribePodIdentityAssociation", association)) {
            Ok(answer) => Ok(answer.association.as_ref().map(convert::pod)),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn list_insights(
        &self,
        cluster: &str,
        category: InsightCategory,
        kubernetes_version: &str,
    ) -> Outcome<Vec<Insight>> {
        let filter = sdk::InsightsFilter::builder()
            .categories(convert::category(category))
            .kubernetes_versions(kubernetes_version)
            .build();
        let call = self.client().await?.list_insights().cluster_name(cluster).filter(filter);
        let mut pages = call.into_paginator().send();
        let mut insights = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed("eks:ListInsights", cluster))?;
            insights.extend(page.insights().iter().map(convert::insight_summary));
        }
        Ok(insights)
    }

    async fn describe_insight(&self, cluster: &str, id: &str) -> Outcome<Insight> {
        let call = self.client().await?.describe_insight().cluster_name(cluster).id(id);
        let answer = call.send().await.map_err(failed("eks:DescribeInsight", cluster))?;
        let insight = answer.insight.as_ref().map(convert::insight);
        insight.ok_or_else(|| nothing("eks:DescribeInsight", cluster, "no insight"))
    }

    async fn update_cluster_version(
        &self,
        cluster: &str,
        version: &str,
        rollback_timeout_minutes: Option<u32>,
        token: &str,
    ) -> Outcome<String> {
        let rollback = rollback_timeout_minutes
            .map(|m| sdk::RollbackConfig::builder().timeout_minutes(i32::try_from(m).unwrap_or(i32::MAX)).build());
        let call = self
            .client()
            .await?
            .update_cluster_version()
            .name(cluster)
            .version(version)
            .set_rollback_config(rollback)
            .client_request_token(token);
        let answer = call.send().await.map_err(failed("eks:UpdateClusterVersion", cluster))?;
        convert::update_id("eks:UpdateClusterVersion", cluster, answer.update)
    }

    async fn list_updates(&self, cluster: &str, of: UpdateOf<'_>) -> Outcome<Vec<String>> {
        let call = self
            .client()
            .await?
            .list_updates()
            .name(cluster)
            .set_nodegroup_name(of.nodegroup.map(str::to_owned))
            .set_addon_name(of.addon.map(str::to_owned));
        let mut pages = call.into_paginator().send();
        let mut ids = Vec::new();
        while let Some(page) = pages.next().await {
            ids.extend(page.map_err(failed("eks:ListUpdates", cluster))?.update_ids.unwrap_or_default());
        }
        Ok(ids)
    }

    async fn describe_update(&self, cluster: &str, id: &str, of: UpdateOf<'_>) -> Outcome<EksUpdate> {
        let call = self
            .client()
            .await?
            .describe_update()
            .name(cluster)
            .update_id(id)
            .set_nodegroup_name(of.nodegroup.map(str::to_owned))
            .set_addon_name(of.addon.map(str::to_owned));
        let answer = call.send().await.map_err(failed("eks:DescribeUpdate", cluster))?;
        let update = answer.update.as_ref().map(convert::update);
        update.ok_or_else(|| nothing("eks:DescribeUpdate", cluster, "no update"))
    }

    async fn cancel_update(&self, cluster: &str, id: &str, token: &str) -> Outcome<()> {
        let call = self.client().await?.cancel_update().name(cluster).update_id(id).client_request_token(token);
        call.send().await.map_err(failed("eks:CancelUpdate", cluster)).map(drop)
    }

    async fn list_nodegroups(&self, cluster: &str) -> Outcome<Vec<String>> {
        let mut pages = self.client().await?.list_nodegroups().cluster_name(cluster).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            names.extend(page.map_err(failed("eks:ListNodegroups", cluster))?.nodegroups.unwrap_or_default());
        }
        Ok(names)
    }

    async fn describe_nodegroup(&self, cluster: &str, nodegroup: &str) -> Outcome<Option<Nodegroup>> {
        let call = self.client().await?.describe_nodegroup().cluster_name(cluster).nodegroup_name(nodegroup);
        match call.send().await.map_err(failed("eks:DescribeNodegroup", nodegroup)) {
            Ok(answer) => Ok(answer.nodegroup.as_ref().map(|group| convert::nodegroup(nodegroup, group))),
            Err(failure) if failure.class == Class::NotFound && is_of_cluster(&failure) => Err(failure),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn update_nodegroup_version(
        &self,
        cluster: &str,
        nodegroup: &str,
        version: &str,
        token: &str,
    ) -> Outcome<String> {
        let call = self
            .client()
            .await?
            .update_nodegroup_version()
            .cluster_name(cluster)
            .nodegroup_name(nodegroup)
            .version(version)
            .client_request_token(token);
        let answer = call.send().await.map_err(failed("eks:UpdateNodegroupVersion", nodegroup))?;
        convert::update_id("eks:UpdateNodegroupVersion", nodegroup, answer.update)
    }
}

/// Whether it is the cluster that was not found, and not what was asked for in it: "No cluster found for name: c." against
/// "No addon: coredns found in cluster: c".
fn is_of_cluster(failure: &Failure) -> bool {
    let said = failure.message.to_lowercase();
    said.contains("no cluster") || said.contains("cluster not found")
}

/// An answer without what it should hold.
fn nothing(operation: &str, subject: &str, what: &str) -> Failure {
    Failure::new(Class::Unavailable, operation, subject, format!("the answer has {what}"))
}

#[cfg(test)]
#[path = "eks_tests.rs"]
mod tests;
