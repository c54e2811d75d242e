//! The types that the API server of the sandbox has by itself. Others come with CRDs.

use crate::world::ResourceType;
use std::collections::BTreeMap;

/// `apiVersion`, then `Kind/plural` each; a leading `!` marks what is cluster-wide.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "v1",
        "Pod/pods Service/services ConfigMap/configmaps Secret/secrets ServiceAccount/serviceaccounts !Namespace/namespaces \
         !Node/nodes !PersistentVolume/persistentvolumes PersistentVolumeClaim/persistentvolumeclaims \
         ResourceQuota/resourcequotas LimitRange/limitranges Endpoints/endpoints Event/events PodTemplate/podtemplates \
         ReplicationController/replicationcontrollers",
    ),
    (
        "apps/v1",
        "Deployment/deployments StatefulSet/statefulsets DaemonSet/daemonsets ReplicaSet/replicasets \
         ControllerRevision/controllerrevisions",
    ),
    ("batch/v1", "Job/jobs CronJob/cronjobs"),
    ("autoscaling/v1", "HorizontalPodAutoscaler/horizontalpodautoscalers"),
    ("autoscaling/v2", "HorizontalPodAutoscaler/horizontalpodautoscalers"),
    ("policy/v1", "PodDisruptionBudget/poddisruptionbudgets"),
    ("networking.k8s.io/v1", "Ingress/ingresses NetworkPolicy/networkpolicies !IngressClass/ingressclasses"),
    (
        "rbac.authorization.k8s.io/v1",
        "Role/roles RoleBinding/rolebindings !ClusterRole/clusterroles !ClusterRoleBinding/clusterrolebindings",
    ),
    (
        "storage.k8s.io/v1",
        "!StorageClass/storageclasses !CSIDriver/csidrivers !CSINode/csinodes !VolumeAttachment/volumeattachments \
         CSIStorageCapacity/csistoragecapacities",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "!MutatingWebhookConfiguration/mutatingwebhookconfigurations \
         !ValidatingWebhookConfiguration/validatingwebhookconfigurations \
         !ValidatingAdmissionPolicy/validatingadmissionpolicies \
         !ValidatingAdmissionPolicyBinding/validatingadmissionpolicybindings",
    ),
    ("apiextensions.k8s.io/v1", "!CustomResourceDefinition/customresourcedefinitions"),
    ("apiregistration.k8s.io/v1", "!APIService/apiservices"),
    ("scheduling.k8s.io/v1", "!PriorityClass/priorityclasses"),
    ("coordination.k8s.io/v1", "Lease/leases"),
    ("discovery.k8s.io/v1", "EndpointSlice/endpointslices"),
    ("node.k8s.io/v1", "!RuntimeClass/runtimeclasses"),
    ("certificates.k8s.io/v1", "!CertificateSigningRequest/certificatesigningrequests"),
    (
        "flowcontrol.apiserver.k8s.io/v1",
        "!FlowSchema/flowschemas !PriorityLevelConfiguration/prioritylevelconfigurations",
    ),
];

/// The type, where the server has it without any CRD.
pub(super) fn built_in(api_version: &str, kind: &str) -> Option<ResourceType> {
    let (_, kinds) = BUILT_IN.iter().find(|(version, _)| *version == api_version)?;
    kinds.split_whitespace().find_map(|entry| {
        let (namespaced, entry) = entry.strip_prefix('!').map_or((true, entry), |rest| (false, rest));
        let (name, plural) = entry.split_once('/')?;
        (name == kind).then(|| ResourceType {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced,
        })
    })
}

/// The versions in which the server has a kind of this name, as `sandbox drift` needs it, which knows kinds only.
pub(super) fn versions_of(kind: &str) -> Vec<&'static str> {
    let mut versions: BTreeMap<&str, &str> = BTreeMap::new();
    for (version, _) in BUILT_IN {
        if built_in(version, kind).is_some() {
            versions.insert(group(version), version);
        }
    }
    versions.into_values().collect()
}

/// The group of an `apiVersion`; empty for the core.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_cluster_wide_and_deployments_are_not() {
        assert!(!built_in("v1", "Namespace").unwrap().namespaced);
        assert_eq!(built_in("apps/v1", "Deployment").unwrap().plural, "deployments");
        assert!(built_in("apps/v2", "Deployment").is_none());
    }
}
