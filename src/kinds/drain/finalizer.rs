//! Which controller clears a finalizer: what a person has to look at where a deletion does not end. Source: the finalizers that
//! Kubernetes and the controllers of an EKS platform document.

use serde_json::Value as Json;
use std::fmt::Write as _;

/// A finalizer, or what it begins with, and who clears it.
const CLEARED_BY: [(&str, &str); 17] = [
    ("service.k8s.aws/", "the AWS Load Balancer Controller"),
    ("ingress.k8s.aws/", "the AWS Load Balancer Controller"),
    ("group.ingress.k8s.aws/", "the AWS Load Balancer Controller"),
    ("elbv2.k8s.aws/", "the AWS Load Balancer Controller"),
    ("gateway.k8s.aws/", "the AWS Load Balancer Controller"),
    ("service.kubernetes.io/load-balancer-cleanup", "the cloud's service controller"),
    ("kubernetes.io/pvc-protection", "Kubernetes itself, once no pod uses the claim"),
    ("kubernetes.io/pv-protection", "Kubernetes itself, once no claim uses the volume"),
    ("external-attacher/ebs-csi-aws-com", "the EBS CSI driver"),
    ("external-provisioner.volume.kubernetes.io/", "the CSI driver of the volume"),
    ("karpenter.", "Karpenter"),
    ("finalizer.keda.sh", "KEDA"),
    ("resources-finalizer.argocd.argoproj.io", "Argo CD"),
    ("batch.kubernetes.io/job-tracking", "Kubernetes' job controller"),
    ("customresourcecleanup.apiextensions.k8s.io", "Kubernetes itself, once no object of the type is left"),
    ("foregroundDeletion", "Kubernetes' garbage collector, once what the object owns is gone"),
    ("kubernetes", "Kubernetes' namespace controller, once the namespace is empty"),
];

/// Who clears a finalizer, in words.
fn cleared_by(finalizer: &str) -> String {
    let known = CLEARED_BY
        .iter()
        .find(|(name, _)| if name.ends_with(['/', '.']) { finalizer.starts_with(name) } else { finalizer == *name });
    match (known, finalizer.split_once('/')) {
        (Some((_, who)), _) => format!("{finalizer}, which {}", clears(who)),
        (None, Some((domain, _))) => format!("{finalizer}, which the controller of {domain} clears"),
        (None, None) => format!("{finalizer}, which the controller that set it clears"),
    }
}

/// `X clears` it, or `X clears once ..`.
fn clears(who: &str) -> String {
    match who.split_once(", once ") {
        Some((who, when)) => format!("{who} clears once {when}"),
        None => format!("{who} clears"),
    }
}

/// What holds an object that is being deleted; `None` where no finalizer does. A namespace says itself what is left in it.
pub(in crate::kinds) fn held_by(object: &Json) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let left: Vec<&str> = conditions
        .filter(|c| c["type"].as_str().is_some_and(|t| t.starts_with("Namespace")) && c["status"] == "True")
        .filter_map(|c| c["message"].as_str())
        .filter(|message| !message.is_empty())
        .collect();
    if left.is_empty() {
        let places = [&object["metadata"]["finalizers"], &object["spec"]["finalizers"]];
        let finalizers = places.into_iter().filter_map(Json::as_array).flatten();
        let said: Vec<String> = finalizers.filter_map(Json::as_str).map(cleared_by).collect();
        return (!said.is_empty()).then(|| said.join("; "));
    }
    let mut said = left.join("; ");
    let known = CLEARED_BY.iter().filter(|(finalizer, _)| finalizer.contains(['.', '/']));
    if let Some((_, who)) = known.into_iter().find(|(finalizer, _)| said.contains(finalizer)) {
        let _ = write!(said, "; that {}", clears(who));
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_finalizer_is_told_with_who_clears_it() {
        let held = |f: &str| held_by(&json!({"metadata": {"finalizers": [f]}})).unwrap();
        assert!(held("service.k8s.aws/resources").ends_with("which the AWS Load Balancer Controller clears"));
        assert!(
            held("kubernetes.io/pvc-protection").ends_with("which Kubernetes itself clears once no pod uses the claim")
        );
        assert!(held("example.com/x").ends_with("which the controller of example.com clears"));
        assert!(held("mine").ends_with("which the controller that set it clears"));
        assert_eq!(held_by(&json!({"metadata": {}})), None);
    }

    #[test]
    fn a_namespace_that_cannot_go_says_what_is_left_in_it() {
        let conditions = json!([
            {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content successfully deleted"},
            {"type": "NamespaceFinalizersRemaining", "status": "True",
                "message": "Some content in the namespace has finalizers remaining: finalizer.keda.sh in 1 resource instances"}]);
        let said = held_by(&json!({"status": {"conditions": conditions}})).unwrap();
        assert!(said.starts_with("Some content") && said.ends_with("; that KEDA clears"), "{said}");
    }
}
