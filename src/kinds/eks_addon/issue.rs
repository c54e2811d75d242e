//! What EKS says is wrong with an add-on, in its words, and the way out of it.

use crate::world::Addon;

/// What is wrong with it, in EKS's words; a conflict by the fields that it names.
pub(super) fn told(addon: &Addon) -> String {
    let said: Vec<String> = addon
        .issues
        .iter()
        .map(|(code, message)| match conflicts(message) {
            fields if code == "ConfigurationConflict" && !fields.is_empty() => {
                format!("{code}: somebody else owns {}", fields.join(", "))
            }
            _ => format!("{code}: {message}"),
        })
        .collect();
    if said.is_empty() { "it does not say why".to_owned() } else { said.join("; ") }
}

/// The fields that a ConfigurationConflict names: `DaemonSet.apps aws-node .spec.template`.
fn conflicts(message: &str) -> Vec<String> {
    let Some((_, list)) = message.split_once("Conflicts:") else { return Vec::new() };
    let parts = list.split(['\n', ';']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.replacen(" - ", " ", 1)).collect()
}

/// The way out, by the first issue's code. Source: AddonIssue of the API reference.
pub(super) fn way_out(addon: &Addon) -> Option<&'static str> {
    Some(match addon.issues.first().map(|(code, _)| code.as_str())? {
        "ConfigurationConflict" => {
            "`resolve_conflicts = \"overwrite\"` takes these fields back, \"preserve\" leaves them as they are"
        }
        "AccessDenied" | "AddonPermissionFailure" => {
            "give its role what it needs: `service_account_role_arn`, or a `pod_identity` block"
        }
        "AddonSubscriptionNeeded" => "subscribe to the add-on in AWS Marketplace, then apply again",
        "AdmissionRequestDenied" => {
            "a policy of the cluster refused it: let eks:addon-manager pass there, then apply again"
        }
        "ClusterUnreachable" => {
            "EKS could not reach the API server: look at the cluster's security groups and webhooks"
        }
        "InsufficientNumberOfReplicas" => {
            "its pods do not come up: look at them with `kubectl -n kube-system get pods`, and whether nodes have room"
        }
        "UnsupportedAddonModification" => "EKS takes no such change of this add-on: put the setting back",
        "K8sResourceNotFound" => {
            "an object of it was deleted by hand: `resolve_conflicts = \"overwrite\"` makes it again"
        }
        _ => "try again; where it stays so, ask AWS Support with the add-on's ARN",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addon(code: &str, message: &str) -> Addon {
        Addon {
            name: "vpc-cni".into(),
            cluster: "c".into(),
            arn: String::new(),
            status: "UPDATE_FAILED".into(),
            version: String::new(),
            configuration: String::new(),
            service_account_role_arn: None,
            pod_identity_associations: Vec::new(),
            tags: [].into(),
            issues: vec![(code.to_owned(), message.to_owned())],
            modified: None,
        }
    }

    #[test]
    fn a_conflict_is_told_field_by_field_with_the_way_out() {
        let conflict = addon(
            "ConfigurationConflict",
            "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts:\nDaemonSet.apps aws-node - .spec.template.spec.containers\nConfigMap amazon-vpc-cni - .data.enable-windows-ipam",
        );
        assert_eq!(
            told(&conflict),
            "ConfigurationConflict: somebody else owns DaemonSet.apps aws-node .spec.template.spec.containers, ConfigMap amazon-vpc-cni .data.enable-windows-ipam"
        );
        assert!(way_out(&conflict).unwrap().contains("resolve_conflicts"));
    }

    #[test]
    fn every_code_of_the_api_has_a_way_out_of_its_own() {
        let codes = [
            "AccessDenied",
            "AddonSubscriptionNeeded",
            "AdmissionRequestDenied",
            "ClusterUnreachable",
            "ConfigurationConflict",
            "InsufficientNumberOfReplicas",
            "InternalFailure",
            "K8sResourceNotFound",
            "UnsupportedAddonModification",
        ];
        let ways: std::collections::BTreeSet<_> = codes.iter().map(|code| way_out(&addon(code, "x"))).collect();
        assert_eq!(ways.len(), codes.len());
    }
}
