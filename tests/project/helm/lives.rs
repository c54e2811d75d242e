//! A release's life: made, left alone, changed, drifted, failed and put back, taken over, destroyed.

use super::{Releases, WEB};
use serde_json::json;

fn a_life(helm: &'static str) {
    let Some(releases) = Releases::new(helm, WEB) else { return };
    let plan = releases.planned();
    assert!(plan.contains("helm.web") && plan.contains("Deployment"), "{plan}");
    releases.applied();
    assert_eq!(releases.statuses("web"), ["deployed"]);
    assert_eq!(releases.live("deployments", "web")["status"]["readyReplicas"], 1);
    let plan = releases.planned();
    assert!(plan.contains("No changes."), "{plan}");

    releases.declare(&WEB.replace("replicas = 1", "replicas = 2, text = \"new\""));
    let plan = releases.planned();
    assert!(plan.contains("spec.replicas") && plan.contains("data.text"), "{plan}");
    releases.project.ends(&["plan", "--out", "p"], 0);
    releases.project.ends(&["apply", "p", "--auto-approve"], 0);
    assert_eq!(releases.statuses("web"), ["superseded", "deployed"]);
    assert_eq!(releases.live("configmaps", "web")["data"]["text"], "new");
    assert!(releases.planned().contains("No changes."));

    // Somebody changes one object and deletes another: both are put back.
    let maps = format!("/api/v1/namespaces/{}/configmaps/web", releases.namespace);
    releases.cluster.delete(&maps).ok();
    let deployment = format!("/apis/apps/v1/namespaces/{}/deployments/web", releases.namespace);
    releases.cluster.patch(&format!("{deployment}?fieldManager=somebody"), &json!({ "spec": { "replicas": 5 } })).ok();
    let plan = releases.planned();
    assert!(plan.contains("spec.replicas") && plan.contains("ConfigMap"), "{plan}");
    releases.applied();
    assert_eq!(releases.live("deployments", "web")["spec"]["replicas"], 2);
    assert_eq!(releases.live("configmaps", "web")["data"]["text"], "new");
    assert!(releases.planned().contains("No changes."));

    releases.project.ends(&["destroy", "--auto-approve"], 0);
    assert_eq!(releases.statuses("web"), Vec::<String>::new());
    assert_eq!(releases.live("configmaps", "web")["reason"], "NotFound");
}

#[test]
fn a_release_lives_its_life_with_helm_3() {
    a_life("helm3");
}

#[test]
fn a_release_lives_its_life_with_helm_4() {
    a_life("helm4");
}

fn a_failed_upgrade(helm: &'static str) {
    let Some(releases) = Releases::new(helm, WEB) else { return };
    releases.applied();
    let broken = "replicas = 1, pod = { \"testbed.terrace/pod\" = \"image-pull\" }";
    releases.declare(&WEB.replace("replicas = 1", broken).replace("values ", "timeout = \"5s\"\n  values "));
    let said = releases.project.ends(&["apply", "--auto-approve"], 1);
    let text = format!("{}{}", said.out, said.err);
    assert!(text.contains("went back to revision 1"), "{text}");
    assert!(text.contains("ImagePullBackOff") || text.contains("ErrImagePull"), "{text}");
    assert_eq!(releases.statuses("web").last().map(String::as_str), Some("deployed"));
    assert_eq!(releases.live("deployments", "web")["spec"]["template"]["metadata"]["annotations"], json!(null));
    releases.declare(WEB);
    let plan = releases.planned();
    assert!(plan.contains("No changes."), "{plan}");
}

#[test]
fn an_upgrade_that_fails_goes_back_and_says_why_with_helm_3() {
    a_failed_upgrade("helm3");
}

#[test]
fn an_upgrade_that_fails_goes_back_and_says_why_with_helm_4() {
    a_failed_upgrade("helm4");
}

#[test]
fn an_install_that_fails_leaves_nothing() {
    let declared = WEB.replace("values ", "timeout = \"4s\"\n  values ");
    let broken = declared.replace("replicas = 1", "pod = { \"testbed.terrace/pod\" = \"crash-loop\" }");
    let Some(releases) = Releases::new("helm4", &broken) else { return };
    let said = releases.project.ends(&["apply", "--auto-approve"], 1);
    let text = format!("{}{}", said.out, said.err);
    assert!(text.contains("uninstalled what was made") && text.contains("CrashLoopBackOff"), "{text}");
    assert_eq!(releases.statuses("web"), Vec::<String>::new());
    releases.declare(&declared);
    releases.applied();
}

#[test]
fn a_release_made_by_hand_is_taken_over() {
    let Some(releases) = Releases::new("helm3", "") else { return };
    let chart = releases.project.path().join("charts/web");
    let mut helm = releases.cluster.helm3().unwrap();
    helm.args(["install", "by-hand"]).arg(&chart);
    helm.args(["--namespace", &releases.namespace, "--set", "text=mine,replicas=2"]);
    assert!(helm.output().unwrap().status.success());
    let declared = r#"
import {
  to = helm.web
  id = "NAMESPACE/by-hand"
}
helm "web" {
  chart     = "./charts/web"
  name      = "by-hand"
  namespace = "NAMESPACE"
  values    = { text = "mine", replicas = 2 }
}
"#;
    // Without the import it is nobody's, and the plan says how to take it over.
    releases.declare(declared.split("}\nhelm").nth(1).map(|rest| format!("helm{rest}")).unwrap().as_str());
    let refused = releases.project.run(&["plan"]);
    assert!(refused.code != Some(0) && refused.err.contains("import"), "{refused:?}");
    releases.declare(declared);
    releases.applied();
    assert_eq!(releases.statuses("by-hand"), ["deployed"], "nothing was installed anew");
    assert!(releases.planned().contains("No changes."));
    another_content_is_seen(&releases);
}

/// What was taken over is changed with its folder like what was made.
fn another_content_is_seen(releases: &Releases) {
    let chart = |version: &str| {
        let text = format!("apiVersion: v2\nname: web\nversion: {version}\nappVersion: \"7\"\n");
        releases.project.write("charts/web/Chart.yaml", &text);
    };
    chart("1.0.1");
    let plan = releases.planned();
    assert!(plan.contains("chart.version") && plan.contains("1.0.1"), "{plan}");
    chart("1.0.0");
    releases
        .project
        .write("charts/web/templates/more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: more }\n");
    let plan = releases.planned();
    assert!(plan.contains("ConfigMap") && plan.contains("more"), "{plan}");
    releases.applied();
    assert!(releases.planned().contains("No changes."));
}

#[test]
fn a_release_taken_over_by_command_is_changed_with_its_folder() {
    let Some(releases) = Releases::new("helm4", WEB) else { return };
    let mut helm = releases.cluster.helm3().unwrap();
    helm.args(["install", "web"]).arg(releases.project.path().join("charts/web"));
    assert!(helm.args(["--namespace", &releases.namespace]).output().unwrap().status.success());
    releases.declare(&WEB.replace("replicas = 1", ""));
    let id = format!("{}/web", releases.namespace);
    releases.project.ends(&["import", "helm.web", &id, "--auto-approve"], 0);
    assert!(releases.planned().contains("No changes."));
    another_content_is_seen(&releases);
}

#[test]
fn what_an_uninstall_takes_away_is_told_by_its_plan() {
    let Some(releases) = Releases::new("helm3", WEB) else { return };
    let kept =
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: kept\n  annotations: { helm.sh/resource-policy: keep }\n";
    releases.project.write("charts/web/templates/kept.yaml", kept);
    releases.applied();
    let plan = releases.project.ends(&["plan", "--destroy"], 0).out;
    for part in ["3 objects", "- Deployment", "- ConfigMap", "/kept"] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    releases.declare("");
    let plan = releases.planned();
    assert!(plan.contains("- Deployment") && plan.contains("ConfigMap"), "{plan}");
    releases.applied();
    assert_eq!(releases.live("configmaps", "web")["reason"], "NotFound");
    assert_eq!(releases.live("configmaps", "kept")["metadata"]["name"], "kept");
}

#[test]
fn a_namespace_that_was_made_for_a_release_stays_with_what_others_have_in_it() {
    let Some(releases) = Releases::new("helm4", &WEB.replace("\"NAMESPACE\"", "\"NAMESPACE-made\"")) else { return };
    let namespace = format!("{}-made", releases.namespace);
    let path = format!("/api/v1/namespaces/{namespace}");
    let policy = serde_json::json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "theirs"},
        "spec": {"podSelector": {}}});
    releases.applied();
    releases.cluster.post(&format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"), &policy).ok();
    releases.project.ends(&["destroy", "--auto-approve", "--allow-destroy"], 0);
    let left = releases.cluster.get(&path).ok();
    assert!(left["metadata"]["deletionTimestamp"].is_null(), "{left}");
    // Once it is empty it goes with the next release of it.
    releases.applied();
    releases.cluster.delete(&format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/theirs"));
    releases.project.ends(&["destroy", "--auto-approve", "--allow-destroy"], 0);
    releases.cluster.until(&path, |answer| answer.status == 404);
}

#[test]
fn a_release_that_somebody_uninstalled_is_made_again() {
    let Some(releases) = Releases::new("helm4", WEB) else { return };
    releases.applied();
    let mut helm = releases.cluster.helm4().unwrap();
    helm.args(["uninstall", "web", "--keep-history", "--namespace", &releases.namespace]);
    assert!(helm.output().unwrap().status.success());
    let plan = releases.planned();
    assert!(plan.contains("helm.web"), "{plan}");
    releases.applied();
    assert_eq!(releases.statuses("web").last().map(String::as_str), Some("deployed"));
}

#[test]
fn what_became_of_a_release_is_told_as_what_it_is() {
    let Some(releases) = Releases::new("helm4", WEB) else { return };
    let (here, there) = (releases.namespace.clone(), format!("{}-two", releases.namespace));
    releases.applied();
    releases.declare(&WEB.replace("NAMESPACE", &there));
    let plan = releases.planned();
    assert!(plan.contains("another namespace is another release"), "{plan}");
    assert!(
        plan.contains(&format!("+ Deployment {there}/web")) && plan.contains(&format!("- Deployment {here}/web")),
        "{plan}"
    );
    let forcing: Vec<&str> = plan.lines().filter(|line| line.contains("forces replacement")).collect();
    assert!(forcing.len() == 1 && forcing[0].contains("namespace"), "{plan}");

    let chart = |folder: &str, name: &str, version: &str| {
        releases.chart(folder);
        let text = format!("apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: \"7\"\n");
        releases.project.write(&format!("{folder}/Chart.yaml"), &text);
    };
    chart("charts/other", "other", "1.0.0");
    releases.declare(&WEB.replace("charts/web", "charts/other"));
    let plan = releases.planned();
    assert!(plan.contains("chart = \"web\" -> \"charts/other\"") && !plan.contains("digest"), "{plan}");

    chart("charts/web", "web", "1.0.1");
    releases.declare(WEB);
    let plan = releases.planned();
    assert!(plan.contains("chart.version = \"1.0.0\" -> \"1.0.1\"") && !plan.contains("digest"), "{plan}");

    let mut helm = releases.cluster.helm4().unwrap();
    helm.args(["uninstall", "web", "--wait", "--namespace", &here]);
    assert!(helm.output().unwrap().status.success());
    let plan = releases.planned();
    assert!(plan.contains("somebody destroyed it behind our back") && !plan.contains("leaves it as it is"), "{plan}");
    releases.applied();
    let map = format!("/api/v1/namespaces/{here}/configmaps/web");
    releases.cluster.delete(&map).ok();
    let plan = releases.planned();
    assert!(plan.contains("deleted behind Terrace's back, and made again"), "{plan}");
    let drift = releases.project.ends(&["drift"], 0);
    assert!(drift.out.contains(&format!("ConfigMap {here}/web")) && drift.out.contains("is gone"), "{drift:?}");
}

#[test]
fn what_a_release_waits_for_is_told() {
    let late = "pod = { \"testbed.terrace/ready-after\" = \"14s\" }";
    let Some(releases) = Releases::new("helm3", &WEB.replace("replicas = 1", late)) else { return };
    let said = releases.applied();
    assert!(said.contains("waiting for Deployment web (0/1)"), "{said}");
}

#[test]
fn what_is_secret_is_in_no_output_and_in_no_list_of_processes() {
    let secret = "hunter2-of-the-test";
    let declared = format!(
        "{}\nvariable \"password\" {{\n  type = string\n  sensitive = true\n}}\n",
        WEB.replace("values ", "sensitive_values = { text = var.password }\n  values ")
            .replace("replicas = 1", "replicas = 1, pod = { \"testbed.terrace/ready-after\" = \"3s\" }")
    );
    let Some(releases) = Releases::new("helm3", &declared) else { return };
    let password = format!("password={secret}");
    let child = releases.project.start(&["apply", "--auto-approve", "--var", &password]);
    let own = child.id();
    let mut seen = 0;
    for _ in 0..200 {
        for (pid, words) in super::kills::processes() {
            if words.contains(&releases.namespace) && pid != own {
                seen += 1;
                assert!(!words.contains(secret), "{words}");
            }
        }
        if seen > 20 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(seen > 0, "helm was never seen");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains(secret), "{text}");
    assert_eq!(releases.live("configmaps", "web")["data"]["text"], secret);
    let plan = releases.project.ends(&["plan", "--var", "password=another-of-the-test"], 0);
    assert!(plan.out.contains("data.text") && !plan.out.contains("of-the-test"), "{}", plan.out);
}
