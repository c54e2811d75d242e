//! A live cluster as people meet it: connections of every kind, and manifests by the program, over a real control plane.

#![expect(clippy::disallowed_methods, reason = "writes projects and kubeconfigs, kills what it started")]

use crate::{
    contract::place::{connection, live},
    support::{self, Account, Project, cluster::ControlPlane},
};
use serde_json::{Value as Json, json};
use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};
use terrace::world::{ActingAs, Class, ClusterConnection, Failure, ObjectRef};

/// A kubeconfig's connection, as it is.
fn by_file(path: &Path) -> ClusterConnection {
    let path = path.to_string_lossy().into_owned();
    ClusterConnection::Kubeconfig { path, context: None, acting_as: ActingAs::default() }
}

async fn refusal(connection: &ClusterConnection) -> Failure {
    live().cluster(connection).unwrap().kubernetes.identity().await.unwrap_err()
}

/// The control plane's kubeconfig with a part of it replaced.
fn other(cluster: &ControlPlane, folder: &Path, from: &str, to: &str) -> ClusterConnection {
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    assert!(text.contains(from), "{text}");
    let path = folder.join("config");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    by_file(&path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told_what_and_where() {
    let Some(cluster) = support::cluster() else { return };
    let connection = by_file(&cluster.kubeconfig_of_nobody());
    let api = live().cluster(&connection).unwrap().kubernetes;
    let map = ObjectRef {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: Some("default".to_owned()),
        name: "a".to_owned(),
    };
    let failure = api.get(&map).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "{failure}");
    let said = "User \"nobody\" cannot get resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    assert!(failure.message.contains(said), "{failure}");
    assert!(failure.hint.unwrap().contains("docs/kubernetes.md"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acting_as_another_is_being_that_one() {
    let Some(cluster) = support::cluster() else { return };
    let ClusterConnection::Kubeconfig { path, context, .. } = connection(cluster) else { unreachable!() };
    let acting_as = |user: &str, groups: &[&str]| ClusterConnection::Kubeconfig {
        path: path.clone(),
        context: context.clone(),
        acting_as: ActingAs { user: Some(user.to_owned()), groups: groups.iter().map(|g| (*g).to_owned()).collect() },
    };
    let failure = refusal(&acting_as("eve", &[])).await;
    assert!(failure.message.contains("User \"eve\" cannot get resource \"namespaces\""), "{failure}");
    let api = live().cluster(&acting_as("eve", &["system:masters"])).unwrap().kubernetes;
    assert_eq!(api.identity().await.unwrap().len(), 36);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_be_met_says_why_and_is_never_an_empty_one() {
    let Some(cluster) = support::cluster() else { return };
    let folder = tempfile::tempdir().unwrap();
    let failure = refusal(&by_file(&cluster.kubeconfig_with("nonsense"))).await;
    assert_eq!(failure.class, Class::Denied, "{failure}");
    assert!(failure.hint.as_ref().unwrap().contains("run out"), "{failure:?}");

    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let (_, rest) = text.split_once("certificate-authority-data: ").unwrap();
    let ca = rest.split([' ', '}', '\n']).next().unwrap();
    let ca = format!(", certificate-authority-data: {ca}");
    let failure = refusal(&other(cluster, folder.path(), &ca, "")).await;
    assert_eq!(failure.class, Class::Invalid, "{failure}");
    assert!(failure.message.contains("UnknownIssuer"), "{failure}");

    let port = support::server::free_port();
    let failure = refusal(&other(cluster, folder.path(), &cluster.url, &format!("https://127.0.0.1:{port}"))).await;
    assert_eq!(failure.class, Class::Unavailable, "{failure}");
    assert!(failure.message.contains("cannot be reached"), "{failure}");
    let gone = live().cluster(&by_file(&folder.path().join("config"))).unwrap().kubernetes;
    let map = ObjectRef {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: Some("default".to_owned()),
        name: "a".to_owned(),
    };
    assert!(gone.get(&map).await.is_err() && gone.get_all(&[map]).await.is_err());

    let failure = refusal(&by_file(&folder.path().join("nowhere"))).await;
    assert_eq!(failure.class, Class::Local, "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exec_plugin_of_a_kubeconfig_is_asked_for_credentials() {
    let Some(cluster) = support::cluster() else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let (_, rest) = text.split_once("token: ").unwrap();
    let token = rest.split([' ', '}', '\n']).next().unwrap().to_owned();
    let credential =
        json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}});
    std::fs::write(folder.path().join("credential.json"), credential.to_string()).unwrap();
    let plugin = format!(
        "exec: {{ apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: cat, args: [{}] }}",
        folder.path().join("credential.json").display()
    );
    let connection = other(cluster, folder.path(), &format!("token: {token}"), &plugin);
    let api = live().cluster(&connection).unwrap().kubernetes;
    assert_eq!(api.identity().await.unwrap().len(), 36);
}

/// A project whose plan has a `kubernetes` block of the control plane.
pub(crate) fn project(account: &Account, cluster: &ControlPlane, declarations: &str) -> Project {
    let block = format!(
        "kubernetes \"main\" {{\n  kubeconfig {{\n    path = \"{}\"\n  }}\n}}\n\n{declarations}",
        cluster.kubeconfig().display()
    );
    Project::new(account, &block)
}

/// A manifest of so many ConfigMaps.
fn maps(namespace: &str, count: usize, data: &str) -> String {
    let one = |n: usize| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: m{n}, namespace: {namespace} }}\ndata: {{ k: \"{data}\" }}\n"
        )
    };
    (0..count).map(one).collect::<Vec<_>>().join("---\n")
}

fn live_maps(cluster: &ControlPlane, namespace: &str) -> Vec<(String, String)> {
    let found = cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps")).ok();
    let items = found["items"].as_array().unwrap();
    let text = |v: &Json| v.as_str().unwrap_or_default().to_owned();
    let all = items.iter().map(|o| (text(&o["metadata"]["name"]), text(&o["data"]["k"])));
    all.filter(|(name, _)| name.starts_with('m')).collect()
}

const YAML: &str = "manifest \"maps\" {\n  yaml = \"maps.yaml\"\n}\n";

#[test]
fn a_manifest_is_applied_left_alone_changed_and_pruned() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("kube");
    let project = project(&server.account(), cluster, YAML);
    project.write("maps.yaml", &maps(&namespace, 30, "v"));
    project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!(live_maps(cluster, &namespace).len(), 30);
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("No changes."), "{}", said.out);

    project.write("maps.yaml", &maps(&namespace, 20, "w"));
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("data.k"), "{}", said.out);
    project.ends(&["apply", "--auto-approve"], 0);
    let left = live_maps(cluster, &namespace);
    assert_eq!(left.len(), 20);
    assert!(left.iter().all(|(_, value)| value == "w"), "{left:?}");

    cluster
        .patch(
            &format!("/api/v1/namespaces/{namespace}/configmaps/m3?fieldManager=somebody"),
            &json!({"data": {"k": "x"}}),
        )
        .ok();
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("m3") && !said.out.contains("m4"), "{}", said.out);
    project.ends(&["apply", "--auto-approve"], 0);
    assert!(live_maps(cluster, &namespace).contains(&("m3".to_owned(), "w".to_owned())));
    project.ends(&["destroy", "--auto-approve"], 0);
    assert_eq!(live_maps(cluster, &namespace), Vec::new());
}

#[test]
fn what_the_cluster_refuses_is_told_at_plan_time_with_its_line() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("kube");
    let project = project(&server.account(), cluster, YAML);
    let head = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: {namespace}\n");
    project.write("maps.yaml", &format!("{head}dta:\n  k: v\n"));
    let said = project.ends(&["plan"], 1);
    assert!(said.err.contains("object_refused"), "{}", said.err);
    assert!(said.err.contains("--> maps.yaml:6:1"), "{}", said.err);
    assert!(said.words().contains(".dta: field not declared in schema, at maps.yaml:6"), "{}", said.err);
    project.write("maps.yaml", "apiVersion: nobody.example.com/v1\nkind: Thing\nmetadata: { name: a }\n");
    let said = project.ends(&["plan"], 1);
    assert!(said.err.contains("unknown_type") && said.err.contains("nobody.example.com/v1 Thing"), "{}", said.err);
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: a, namespace: {namespace} }}\ndata: {{ a: no base64 }}\n"
    );
    project.write("maps.yaml", &secret);
    let said = project.ends(&["plan"], 1);
    assert!(said.err.contains("object_refused") && said.err.contains("base64"), "{}", said.err);
    project.write("maps.yaml", &maps("nowhere", 1, "v"));
    let said = project.ends(&["plan"], 1);
    assert!(said.err.contains("unknown_namespace") && said.err.contains("no namespace nowhere"), "{}", said.err);
    // Another manifest that makes it is enough, wherever it stands.
    let other = format!(
        "{YAML}\nmanifest \"nowhere\" {{\n  object = {{ apiVersion = \"v1\", kind = \"Namespace\", metadata = {{ name = \"nowhere\" }} }}\n}}\n"
    );
    let block = format!(
        "kubernetes \"main\" {{\n  kubeconfig {{\n    path = \"{}\"\n  }}\n}}\n\n{other}",
        cluster.kubeconfig().display()
    );
    project.write("plans/app/app.hcl", &block);
    project.ends(&["plan"], 0);
    assert_eq!(live_maps(cluster, &namespace), Vec::new());
}

#[test]
fn a_field_that_cannot_change_is_a_shown_replacement() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("kube");
    let project = project(&server.account(), cluster, YAML);
    let deployment = |label: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web, namespace: {namespace} }}\nspec:\n  selector: {{ matchLabels: {{ app: {label} }} }}\n  template:\n    metadata: {{ labels: {{ app: {label} }} }}\n    spec: {{ containers: [{{ name: web, image: example.com/web }}] }}\n"
        )
    };
    project.write("maps.yaml", &deployment("a"));
    project.ends(&["apply", "--auto-approve"], 0);
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    let former = cluster.get(&path).ok();
    assert_eq!(former["status"]["readyReplicas"], 1, "apply waits until it is ready");
    project.write("maps.yaml", &deployment("b"));
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("replace") && said.out.contains("spec.selector"), "{}", said.out);
    project.ends(&["apply", "--auto-approve"], 0);
    let now = cluster.get(&path).ok();
    assert_ne!(now["metadata"]["uid"], former["metadata"]["uid"]);
    assert_eq!(now["spec"]["selector"]["matchLabels"]["app"], "b");
}

#[test]
fn a_failure_to_become_ready_says_why() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("kube");
    cluster.pods_log(&namespace, &["starting", "panic: no configuration"]);
    let declarations = "manifest \"maps\" {\n  yaml = \"maps.yaml\"\n  timeouts {\n    create = \"8s\"\n  }\n}\n";
    let project = project(&server.account(), cluster, declarations);
    project.write(
        "maps.yaml",
        &format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web, namespace: {namespace} }}\nspec:\n  selector: {{ matchLabels: {{ app: a }} }}\n  template:\n    metadata: {{ labels: {{ app: a }}, annotations: {{ testbed.terrace/pod: crash-loop }} }}\n    spec: {{ containers: [{{ name: web, image: example.com/web }}] }}\n"
        ),
    );
    let said = project.ends(&["apply", "--auto-approve"], 1);
    let text = format!("{}{}", said.out, said.err);
    assert!(text.contains("CrashLoopBackOff") && text.contains("panic: no configuration"), "{text}");
}

#[test]
fn a_definition_and_its_objects_are_made_by_one_manifest() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("kube");
    let project = project(&server.account(), cluster, YAML);
    let group = format!("{namespace}.example.com");
    project.write(
        "maps.yaml",
        &format!(
            "apiVersion: {group}/v1\nkind: Gadget\nmetadata: {{ name: a, namespace: {namespace}-x }}\nspec: {{ size: 3 }}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace}-x }}\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: gadgets.{group} }}\nspec:\n  group: {group}\n  scope: Namespaced\n  names: {{ kind: Gadget, plural: gadgets, singular: gadget }}\n  versions:\n  - {{ name: v1, served: true, storage: true, schema: {{ openAPIV3Schema: {{ type: object, properties: {{ spec: {{ type: object, properties: {{ size: {{ type: integer }} }} }} }} }} }} }}\n"
        ),
    );
    project.ends(&["apply", "--auto-approve"], 0);
    let path = format!("/apis/{group}/v1/namespaces/{namespace}-x/gadgets/a");
    assert_eq!(cluster.get(&path).ok()["spec"]["size"], 3);
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("No changes."), "{}", said.out);
    project.ends(&["destroy", "--auto-approve", "--allow-destroy"], 0);
    assert_eq!(cluster.get(&format!("/api/v1/namespaces/{namespace}-x")).status, 404);
}

#[test]
fn killed_in_the_middle_of_a_manifest_a_run_ends_in_the_same_world() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    for wait in [0, 1, 5, 25] {
        let namespace = cluster.namespace("kube");
        let project = project(&server.account(), cluster, YAML);
        project.write("maps.yaml", &maps(&namespace, 300, "v"));
        let mut child = project.start(&["apply", "--auto-approve"]);
        let begun = Instant::now();
        while live_maps(cluster, &namespace).is_empty() && begun.elapsed() < Duration::from_secs(60) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        // Where the run had ended before the kill there is nothing to resume.
        let said = project.run(&["resume", "--auto-approve"]);
        assert!(
            said.code == Some(0) || said.err.contains("no_open_run") || said.err.contains("no run"),
            "{}",
            said.err
        );
        assert_eq!(live_maps(cluster, &namespace).len(), 300);
        let said = project.ends(&["plan"], 0);
        assert!(said.out.contains("No changes."), "{}", said.out);
    }
}

#[test]
fn another_cluster_under_the_same_connection_is_refused_before_any_change() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("kube");
    let project = project(&server.account(), cluster, YAML);
    project.write("maps.yaml", &maps(&namespace, 2, "v"));
    project.ends(&["apply", "--auto-approve"], 0);
    // Another cluster is one whose kube-system has another uid. The state is told that it met one.
    let pulled = project.ends(&["state", "pull"], 0).out;
    let uid = cluster.get("/api/v1/namespaces/kube-system").ok()["metadata"]["uid"].as_str().unwrap().to_owned();
    assert!(pulled.contains(&uid), "the first contact is recorded: {pulled}");
}

#[test]
fn a_plan_runs_on_the_cluster_that_the_settings_name_and_says_so() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("kube");
    let block = format!("kubernetes \"main\" {{\n  eks {{\n    name = \"nowhere\"\n  }}\n}}\n\n{YAML}");
    let project = Project::new(&server.account(), &block);
    project.write("maps.yaml", &maps(&namespace, 1, "v"));
    let said = project.ends(&["plan"], 1);
    assert!(said.err.contains("no cluster found for name: nowhere"), "{}", said.err);
    let settings = format!(
        "name = \"test\"\n\n[environment.dev.kubernetes.main]\nkubeconfig = \"{}\"\n",
        cluster.kubeconfig().display()
    );
    project.write("terrace.toml", &settings);
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("kubernetes.main is") && said.out.contains("terrace.toml"), "{}", said.out);
    project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!(live_maps(cluster, &namespace).len(), 1);
}

#[test]
fn a_live_object_is_taken_over_with_the_block_that_is_written_for_it() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("kube");
    let project = project(&server.account(), cluster, "");
    let file = project.path().join("legacy.yaml");
    project.write(
        "legacy.yaml",
        &format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web, namespace: {namespace} }}\nspec:\n  selector: {{ matchLabels: {{ app: a }} }}\n  template:\n    metadata: {{ labels: {{ app: a }} }}\n    spec: {{ containers: [{{ name: web, image: example.com/web }}] }}\n"
        ),
    );
    cluster.kubectl(&["apply", "-f", &file.to_string_lossy()]);
    cluster.kubectl(&["scale", "deployment/web", "-n", &namespace, "--replicas", "2"]);
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}});
    cluster.post(&format!("/api/v1/namespaces/{namespace}/services"), &service).ok();
    let secret = json!({"metadata": {"name": "web"}, "stringData": {"password": "s3cret"}});
    cluster.post(&format!("/api/v1/namespaces/{namespace}/secrets"), &secret).ok();
    let written = |address: &str, id: &str| {
        let id = format!("{id} {namespace}/web");
        project.ends(&["import", address, &id, "--generate"], 0).out
    };
    let (web, front) = (written("manifest.web", "apps/v1 Deployment"), written("manifest.front", "v1 Service"));
    assert!(web.contains("example.com/web") && !web.contains("revisionHistoryLimit"), "{web}");
    assert!(front.contains("port") && !front.contains("clusterIP"), "{front}");
    let hidden = written("manifest.hidden", "v1 Secret");
    assert!(hidden.contains("var.hidden_password") && !hidden.contains("czNjcmV0"), "{hidden}");
    project.write("plans/app/taken.hcl", &format!("{web}\n{front}"));
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("2 to import") && !said.out.contains("to change"), "{}", said.out);
    project.ends(&["apply", "--auto-approve"], 0);
    let said = project.ends(&["plan"], 0);
    assert!(said.out.contains("No changes."), "{}", said.out);
    let missing = project.ends(&["import", "manifest.gone", &format!("v1 Service {namespace}/gone"), "--generate"], 1);
    assert!(missing.err.contains("import_absent"), "{}", missing.err);
}
