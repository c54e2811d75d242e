//! The namespace of a release: made where it is missing, taken away when it is ours and empty (rule 22).

use crate::{
    kinds::{
        Context, FIRST_POLL,
        drain::{list, served},
        helm::preview::namespace_ref,
        objects::MANAGER,
    },
    world::{ApplyOptions, Class, Failure, Outcome},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// How long the end of a namespace is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Says that a namespace was made for a chart, and by which plan.
const MADE_FOR: &str = "terrace.dev/made-for-release";
/// What may be in a namespace, beside what definitions bring. What Kubernetes itself puts there is passed over.
const CONTENT: [(&str, &str); 23] = [
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("apps/v1", "ReplicaSet"),
    ("v1", "ReplicationController"),
    ("v1", "ResourceQuota"),
    ("v1", "LimitRange"),
    ("v1", "PodTemplate"),
    ("coordination.k8s.io/v1", "Lease"),
];

/// Makes it where it is missing. Idempotent.
pub(super) async fn ensure(context: &Context, name: &str) -> Outcome<()> {
    let kubernetes = &context.cluster()?.kubernetes;
    let reference = namespace_ref(name);
    match context.patiently(|| kubernetes.get(&reference)).await? {
        Some(object) if object["metadata"]["deletionTimestamp"].is_null() => return Ok(()),
        // One that is going away takes nothing in: it is waited for, and made again.
        Some(_) => gone(context, name, context.time_left()).await?,
        None => {}
    }
    let mut annotations = context.marks.annotations(&context.address);
    annotations.insert(MADE_FOR.to_owned(), "true".to_owned());
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "annotations": annotations },
    });
    let options = ApplyOptions { manager: MANAGER.to_owned(), force: false, dry_run: false };
    context.say(&format!("making the namespace {name}"));
    context.patiently(|| kubernetes.apply(&object, &options)).await?;
    Ok(())
}

/// Deletes it where this plan made it for a chart and nothing is left in it. Says whether it did.
pub(super) async fn release(context: &Context, name: &str) -> Outcome<bool> {
    let kubernetes = &context.cluster()?.kubernetes;
    let reference = namespace_ref(name);
    let Some(object) = context.patiently(|| kubernetes.get(&reference)).await? else { return Ok(false) };
    let annotation = |key: &str| object["metadata"]["annotations"][key].as_str().map(str::to_owned);
    let ours = context.marks.annotations(&context.address);
    let mine = ["project", "plan", "env"].iter().all(|part| {
        let key = format!("terrace.dev/{part}");
        annotation(&key).is_some() && annotation(&key).as_ref() == ours.get(&key)
    });
    if !mine || annotation(MADE_FOR).is_none() {
        return Ok(false);
    }
    let any = BTreeMap::new();
    let mut types: Vec<(String, String)> = CONTENT.iter().map(|(v, k)| ((*v).to_owned(), (*k).to_owned())).collect();
    let Ok(definitions) = list(context, "apiextensions.k8s.io/v1", "CustomResourceDefinition").await else {
        return Ok(false);
    };
    types.extend(definitions.iter().filter(|d| d["spec"]["scope"] == "Namespaced").filter_map(served));
    for (api_version, kind) in &types {
        if let Ok(None) = context.patiently(|| kubernetes.resource_type(api_version, kind)).await {
            continue;
        }
        // What cannot be seen may be there.
        let Ok(found) = context.patiently(|| kubernetes.list(api_version, kind, Some(name), &any)).await else {
            return Ok(false);
        };
        let kind = kind.as_str();
        let own = |object: &serde_json::Value| {
            let called = object["metadata"]["name"].as_str().unwrap_or_default();
            let going = !object["metadata"]["deletionTimestamp"].is_null();
            !going
                && !matches!((kind, called), ("ConfigMap", "kube-root-ca.crt") | ("ServiceAccount", "default"))
                && object["type"] != "kubernetes.io/service-account-token"
        };
        if found.iter().any(own) {
            return Ok(false);
        }
    }
    context.patiently(|| kubernetes.delete(&reference, None)).await?;
    // That it goes is certain; how soon is its finalizers' matter, and no failure of the release.
    let _ = gone(context, name, PATIENCE.min(context.time_left())).await;
    Ok(true)
}

/// Waits until a namespace that is going away is gone.
async fn gone(context: &Context, name: &str, limit: Duration) -> Outcome<()> {
    let kubernetes = &context.cluster()?.kubernetes;
    let reference = namespace_ref(name);
    let until = context.clock.now() + limit;
    while context.patiently(|| kubernetes.get(&reference)).await?.is_some() {
        if context.clock.now() >= until {
            let what = format!("the namespace {name} is going away and is not gone yet");
            return Err(Failure::new(Class::Unavailable, "create", name, what)
                .hint(format!("`kubectl get namespace {name} -o yaml` names the finalizers that hold it")));
        }
        context.say(&format!("the namespace {name} is going away"));
        context.clock.sleep(FIRST_POLL).await;
    }
    Ok(())
}
