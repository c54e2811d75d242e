//! What a cluster's own rules refuse, seen when planning: an admission policy, a quota, a webhook that does not answer.

#![expect(clippy::disallowed_methods, reason = "waits until a rule counts, which nothing tells of")]

use crate::support::{self, Project, cluster::ControlPlane};
use serde_json::{Value as Json, json};
use std::{
    thread,
    time::{Duration, Instant},
};

fn project(server: &support::server::Server, cluster: &ControlPlane) -> Project {
    let block = format!(
        "kubernetes \"main\" {{\n  kubeconfig {{\n    path = \"{}\"\n  }}\n}}\n\nmanifest \"maps\" {{\n  yaml = \"maps.yaml\"\n}}\n",
        cluster.kubeconfig().display()
    );
    Project::new(&server.account(), &block)
}

/// Waits until making this is refused with these words: a rule counts a moment after it was made.
fn until_refused(cluster: &ControlPlane, namespace: &str, object: &Json, words: &str) {
    let begun = Instant::now();
    loop {
        let answer = cluster.post(&format!("/api/v1/namespaces/{namespace}/configmaps?dryRun=All"), object);
        if answer.body["message"].as_str().is_some_and(|said| said.contains(words)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the rule does not count: {answer:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_policy_of_the_cluster_refuses_when_planning_with_its_words_at_our_line() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("rule");
    let policies = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({"metadata": {"name": namespace}, "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}]},
        "validations": [{
            "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels || object.metadata.name == 'kube-root-ca.crt'",
            "message": "every ConfigMap names its team"}],
    }});
    cluster.post(&format!("{policies}/validatingadmissionpolicies"), &policy).ok();
    let binding = json!({"metadata": {"name": namespace}, "spec": {
        "policyName": namespace, "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}}});
    cluster.post(&format!("{policies}/validatingadmissionpolicybindings"), &binding).ok();
    until_refused(cluster, &namespace, &json!({"metadata": {"name": "try"}}), "names its team");

    let project = project(server, cluster);
    let map = |name: &str, labels: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {namespace}\n{labels}")
    };
    let yaml = format!("{}---\n{}", map("good", "  labels: { team: shop }\n"), map("bad", ""));
    project.write("maps.yaml", &yaml);
    let said = project.ends(&["plan"], 1);
    assert!(said.err.contains("--> maps.yaml:8:1"), "the object's first line: {}", said.err);
    let words = said.words();
    assert!(words.contains(&format!("the cluster refuses ConfigMap {namespace}/bad")), "{words}");
    assert!(words.contains(&format!("ValidatingAdmissionPolicy '{namespace}'")), "{words}");
    assert!(words.contains("every ConfigMap names its team") && words.contains("mend the object"), "{words}");
    assert!(!words.contains(&format!("refuses ConfigMap {namespace}/good")), "{words}");
    project.write("maps.yaml", &yaml.replace("name: bad\n", "name: bad\n  labels: { team: shop }\n"));
    project.ends(&["apply", "--auto-approve"], 0);
    cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps/bad")).ok();
}

#[test]
fn a_quota_that_is_used_up_refuses_with_what_is_used() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("rule");
    let quotas = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": {"count/configmaps": "2"}}});
    cluster.post(&quotas, &quota).ok();
    cluster.until(&format!("{quotas}/few"), |answer| !answer.body["status"]["used"]["count/configmaps"].is_null());
    let project = project(server, cluster);
    let map =
        |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, namespace: {namespace} }}\n");
    project.write("maps.yaml", &[map("a"), map("b"), map("c")].join("---\n"));
    let said = project.run(&["apply", "--auto-approve"]);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.words().contains("exceeded quota: few"), "{}{}", said.out, said.err);
}

#[test]
fn a_webhook_that_does_not_answer_is_named_soon_when_planning() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("rule");
    let name = format!("{namespace}.example.com");
    let nobody = support::server::free_port();
    let hook = json!({"metadata": {"name": namespace}, "webhooks": [{
        "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 2,
        "clientConfig": {"url": format!("https://127.0.0.1:{nobody}/admit")},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]}]});
    let hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    cluster.post(hooks, &hook).ok();
    until_refused(cluster, &namespace, &json!({"metadata": {"name": "try"}}), "failed calling webhook");
    let project = project(server, cluster);
    let map =
        |n: usize| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: m{n}, namespace: {namespace} }}\n");
    project.write("maps.yaml", &(0..60).map(map).collect::<Vec<_>>().join("---\n"));
    let begun = Instant::now();
    let said = project.ends(&["plan"], 1).words();
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert!(said.contains(&format!("the admission webhook {name} does not answer")), "{said}");
    assert!(said.contains(&format!("see whether the pods behind {name} are ready")), "{said}");
    cluster.delete(&format!("{hooks}/{namespace}")).ok();
}
