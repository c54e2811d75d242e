//! EKS over its SDK. Source: the EKS API reference, one operation a method.

use super::{failure::failed, session::Session};
use crate::world::{Addon, AddonRequest, AddonVersion, Class, Cluster, Eks, Failure, Outcome, ResolveConflicts};
use async_trait::async_trait;
use aws_sdk_eks::{Client, types as sdk};
use std::sync::Arc;

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
            Ok(answer) => Ok(answer.cluster.map(|c| cluster(name, &c))),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn describe_addon(&self, cluster: &str, addon: &str) -> Outcome<Option<Addon>> {
        let answer = self.client().await?.describe_addon().cluster_name(cluster).addon_name(addon).send().await;
        match answer.map_err(failed("eks:DescribeAddon", addon)) {
            Ok(answer) => Ok(answer.addon.map(|a| addon_of(cluster, addon, &a))),
            Err(failure) if failure.class == Class::NotFound && failure.message.contains("cluster") => Err(failure),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
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
            .set_configuration_values(configuration(request))
            .set_service_account_role_arn(request.service_account_role_arn.clone())
            .resolve_conflicts(conflicts(request.resolve_conflicts))
            .set_tags((!request.tags.is_empty()).then(|| request.tags.clone().into_iter().collect()))
            .client_request_token(token);
        let answer = call.send().await.map_err(failed("eks:CreateAddon", &request.addon))?;
        answer.addon.map(|a| addon_of(&request.cluster, &request.addon, &a)).ok_or_else(|| {
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
            .resolve_conflicts(conflicts(request.resolve_conflicts))
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
                let fits = info.compatibilities().iter().any(sdk::Compatibility::default_version);
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
}

fn cluster(name: &str, cluster: &sdk::Cluster) -> Cluster {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Cluster {
        name: cluster.name().unwrap_or(name).to_owned(),
        arn: text(cluster.arn()),
        status: cluster.status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        version: text(cluster.version()),
        endpoint: text(cluster.endpoint()),
        certificate_authority: text(cluster.certificate_authority().and_then(|c| c.data())),
    }
}

fn addon_of(cluster: &str, name: &str, addon: &sdk::Addon) -> Addon {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Addon {
        name: addon.addon_name().unwrap_or(name).to_owned(),
        cluster: addon.cluster_name().unwrap_or(cluster).to_owned(),
        arn: text(addon.addon_arn()),
        status: addon.status().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        version: text(addon.addon_version()),
        configuration: text(addon.configuration_values()),
        service_account_role_arn: addon.service_account_role_arn().map(str::to_owned),
        tags: addon.tags().cloned().unwrap_or_default().into_iter().collect(),
        issues: addon
            .health()
            .into_iter()
            .flat_map(sdk::AddonHealth::issues)
            .map(|i| (i.code().map(|c| c.as_str().to_owned()).unwrap_or_default(), text(i.message())))
            .collect(),
    }
}

fn configuration(request: &AddonRequest) -> Option<String> {
    (!request.configuration.is_empty()).then(|| request.configuration.clone())
}

const fn conflicts(wish: ResolveConflicts) -> sdk::ResolveConflicts {
    match wish {
        ResolveConflicts::None => sdk::ResolveConflicts::None,
        ResolveConflicts::Overwrite => sdk::ResolveConflicts::Overwrite,
        ResolveConflicts::Preserve => sdk::ResolveConflicts::Preserve,
    }
}
