//! Health, drift by owner and teardown as people meet them, over a real control plane.

#![expect(clippy::disallowed_methods, reason = "reads the plan that it changes")]

use crate::{
    kubernetes::project,
    support::{self, cluster::ControlPlane, web::Reply},
};
use serde_json::{Value as Json, json};

/// A Deployment of two pods, and its Service.
fn web(namespace: &str, replicas: u32) -> String {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "example.com/web"}]}}}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    format!("{deployment}\n---\n{service}\n")
}

const EVERY: &str = "    every  = \"200ms\"\n    within = \"30s\"\n";

/// A manifest with a probe of each sort, and a check that asks Prometheus.
fn probes(namespace: &str) -> String {
    let condition = |name: &str, how: &str| {
        format!(
            "  verify \"{name}\" {{\n    condition {{\n      api_version = \"apps/v1\"\n      kind        = \"Deployment\"\n      name        = \"web\"\n      \
             namespace   = \"{namespace}\"\n      {how}\n    }}\n{EVERY}  }}\n"
        )
    };
    let verifies = [
        format!(
            "  verify \"http\" {{\n    http {{\n      namespace        = \"{namespace}\"\n      service          = \"web\"\n      path             = \"/health\"\n      \
             json_path        = \"$.parts[?@.name == 'db'].state\"\n      json_value       = \"ok\"\n    }}\n    consecutive = 2\n{EVERY}  }}\n"
        ),
        format!(
            "  verify \"tcp\" {{\n    tcp {{\n      namespace = \"{namespace}\"\n      service   = \"web\"\n      port      = 80\n    }}\n{EVERY}  }}\n"
        ),
        format!(
            "  verify \"pods\" {{\n    pods {{\n      namespace = \"{namespace}\"\n      selector  = {{ app = \"web\" }}\n      min_ready = 2\n    }}\n{EVERY}  }}\n"
        ),
        condition("available", "type = \"Available\""),
        condition("rolled", "cel = \"object.status.readyReplicas == object.spec.replicas\""),
        condition("two", "json_path = \".status.readyReplicas\"\n      value = 2"),
    ];
    format!(
        "manifest \"web\" {{\n  yaml = \"web.yaml\"\n{}}}\n\nprometheus \"main\" {{\n  service    = \"web\"\n  namespace  = \"{namespace}\"\n  \
         kubernetes = kubernetes.main\n}}\n\ncheck \"errors\" {{\n  prometheus {{\n    server = prometheus.main\n    query  = \"rate(errors[5m])\"\n    max    = 0.05\n  }}\n{EVERY}  depends_on = [manifest.web]\n}}\n",
        verifies.concat()
    )
}

fn rate(value: &str) -> Reply {
    Reply::json(
        &json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, value]}]}}),
    )
}

#[test]
fn every_probe_is_asked_of_the_cluster_and_what_it_found_is_kept() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("health");
    let answers = cluster.pods_answer(&namespace, &[8080]);
    answers.set(
        "/health",
        Reply::json(&json!({"parts": [{"name": "web", "state": "ok"}, {"name": "db", "state": "ok"}]})),
    );
    answers.set("/api/v1/query", rate("0.01"));
    let project = project(&server.account(), cluster, &probes(&namespace));
    project.write("web.yaml", &web(&namespace, 2));
    project.ends(&["apply", "--auto-approve"], 0);
    assert!(answers.asked().iter().filter(|path| *path == "/health").count() >= 2, "{:?}", answers.asked());

    let status: Json = serde_json::from_str(&project.ends(&["status", "--json"], 0).out).unwrap();
    let verdicts = status.to_string();
    for name in ["http", "tcp", "pods", "available", "rolled", "two"] {
        assert!(verdicts.contains(&format!("manifest.web/{name}")) || verdicts.contains(name), "{name}: {status:#}");
    }
    assert!(verdicts.contains("0.01"), "the value that Prometheus gave is kept: {status:#}");

    // A check is asked whenever something was changed, and what it found is said; as long as it did not pass, at every apply.
    answers.set("/api/v1/query", rate("0.5"));
    project.write("web.yaml", &web(&namespace, 2).replace("example.com/web", "example.com/web:2"));
    let said = project.ends(&["apply", "--auto-approve"], 1).words();
    assert!(said.contains("check.errors") && said.contains("0.5") && said.contains("0.05"), "{said}");
    answers.set("/api/v1/query", rate("NaN"));
    let said = project.ends(&["apply", "--auto-approve"], 1).words();
    assert!(said.contains("check.errors") && said.contains("NaN"), "{said}");
}

#[test]
fn a_probe_that_is_never_passed_says_what_it_found() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("health");
    let answers = cluster.pods_answer(&namespace, &[8080]);
    answers.set("/health", Reply::text(503, "the database does not answer"));
    let declarations = probes(&namespace).replace("within = \"30s\"", "within = \"2s\"");
    let project = project(&server.account(), cluster, &declarations);
    project.write("web.yaml", &web(&namespace, 1));
    let said = project.ends(&["apply", "--auto-approve"], 1).words();
    let why = "manifest.web: failed after";
    assert!(
        said.contains(why) && said.contains("verify \"http\" did not pass: status 503: the database does not answer"),
        "{said}"
    );
    assert!(said.contains("check.errors: skipped because manifest.web failed"), "{said}");
}

#[test]
fn drift_names_who_changed_a_field_and_an_autoscaler_is_named_beside_declared_replicas() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("health");
    let project = project(&server.account(), cluster, "manifest \"web\" {\n  yaml = \"web.yaml\"\n}\n");
    project.write("web.yaml", &web(&namespace, 2));
    project.ends(&["apply", "--auto-approve"], 0);
    cluster.kubectl(&["patch", "deployment/web", "--patch", r#"{"spec":{"replicas":5}}"#, "--namespace", &namespace]);
    let said = project.ends(&["drift", "--detailed-exitcode"], 2).words();
    assert!(said.contains("spec.replicas") && said.contains("2 -> 5"), "{said}");
    assert!(said.contains("kubectl-patch (Update at ") && said.contains("we do not own it any more"), "{said}");

    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    cluster.post(&format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"), &scaler).ok();
    let said = project.ends(&["plan"], 0).words();
    assert!(said.contains("autoscaled_replicas") && said.contains("HorizontalPodAutoscaler web"), "{said}");
    let ignoring =
        "manifest \"web\" {\n  yaml = \"web.yaml\"\n  lifecycle {\n    ignore_changes = [spec.replicas]\n  }\n}\n";
    let connection = std::fs::read_to_string(project.path().join("plans/app/app.hcl")).unwrap();
    let (connection, _) = connection.split_once("manifest \"web\"").unwrap();
    project.write("plans/app/app.hcl", &format!("{connection}{ignoring}"));
    let said = project.ends(&["plan"], 0).words();
    assert!(said.contains("No changes."), "{said}");
}

#[test]
fn a_probe_that_is_wrong_itself_ends_at_once_and_what_did_not_drift_cannot_be_ignored() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("health");
    let verify = format!(
        "  verify \"sum\" {{\n    condition {{\n      api_version = \"apps/v1\"\n      kind        = \"Deployment\"\n      name        = \"web\"\n      \
         namespace   = \"{namespace}\"\n      cel         = \"object.spec.replicas = 2\"\n    }}\n    within = \"2h\"\n  }}\n"
    );
    let project =
        project(&server.account(), cluster, &format!("manifest \"web\" {{\n  yaml = \"web.yaml\"\n{verify}}}\n"));
    project.write("web.yaml", &web(&namespace, 2));
    let said = project.ends(&["plan"], 1).words();
    assert!(said.contains("wrong_value") && said.contains("CEL"), "what is written as it is, is read first: {said}");
    let word =
        |text: &str| text.replace("\"object.spec.replicas = 2\"", "join(\" = \", [\"object.spec.replicas\", \"2\"])");
    project.edit(word);
    let said = project.ends(&["apply", "--auto-approve"], 1).words();
    assert!(said.contains("verify \"sum\" did not pass") && said.contains("CEL"), "{said}");
    let said = project.ends(&["status"], 0).words();
    assert!(said.contains("manifest.web not verified"), "{said}");
    let said = project.ends(&["drift", "--ignore", "manifest.web", "--reason", "a test"], 1).words();
    assert!(said.contains("no_drift") && said.contains("nothing of manifest.web drifted"), "{said}");
}

fn finalizers(cluster: &ControlPlane, path: &str, finalizers: &[&str]) {
    cluster.patch(path, &json!({"metadata": {"finalizers": finalizers}})).ok();
}

#[test]
fn what_holds_a_namespace_is_named_with_who_clears_it() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("health") + "-x";
    let declarations = "manifest \"space\" {\n  yaml = \"space.yaml\"\n  timeouts {\n    delete = \"20s\"\n  }\n}\n";
    let project = project(&server.account(), cluster, declarations);
    project.write("space.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}\n"));
    project.ends(&["apply", "--auto-approve"], 0);
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["karpenter.sh/termination"]}});
    cluster.post(&maps, &map).ok();
    let said = project.ends(&["destroy", "--auto-approve", "--allow-destroy"], 1).words();
    assert!(said.contains("karpenter.sh/termination") && said.contains("that Karpenter clears"), "{said}");
    finalizers(cluster, &format!("{maps}/held"), &[]);
    cluster.until(&format!("/api/v1/namespaces/{namespace}"), |answer| answer.status == 404);
    project.ends(&["destroy", "--auto-approve", "--allow-destroy"], 0);
}

#[test]
fn custom_resources_of_others_are_named_before_their_definition_goes() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("health");
    let group = format!("{namespace}.example.com");
    let project = project(&server.account(), cluster, "manifest \"type\" {\n  yaml = \"type.yaml\"\n}\n");
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("gadgets.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    project.write("type.yaml", &definition.to_string());
    project.ends(&["apply", "--auto-approve"], 0);
    let gadget = json!({"apiVersion": format!("{group}/v1"), "kind": "Gadget", "metadata": {"name": "theirs"}});
    cluster.post(&format!("/apis/{group}/v1/namespaces/{namespace}/gadgets"), &gadget).ok();
    let said = project.ends(&["plan", "--destroy"], 0).words();
    assert!(said.contains(&format!("Gadget {namespace}/theirs")) && said.contains("that others made"), "{said}");
    project.ends(&["destroy", "--auto-approve", "--allow-destroy"], 0);
    assert_eq!(cluster.get(&format!("/apis/{group}/v1/namespaces/{namespace}/gadgets/theirs")).status, 404);
}
