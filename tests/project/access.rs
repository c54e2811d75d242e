//! Who may do what on a cluster, as people meet it: tokens of EKS that the program signs itself, credentials that have run out, rights
//! that are missing, and programs that give credentials.

#![expect(clippy::disallowed_methods, reason = "writes kubeconfigs and programs, reads what these wrote")]

use crate::{
    cluster::token,
    support::{
        self, Project, Said,
        cluster::ControlPlane,
        web::{Reply, Web},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const YAML: &str = "manifest \"maps\" {\n  yaml = \"maps.yaml\"\n}\n";

fn map(namespace: &str, name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, namespace: {namespace} }}\ndata: {{ k: \"{value}\" }}\n"
    )
}

fn ends(mut command: Command, code: i32, change: impl FnOnce(&mut Command)) -> Said {
    change(&mut command);
    let said = Said::of(&command.output().unwrap());
    assert_eq!(said.code, Some(code), "{command:?}\n{}{}", said.out, said.err);
    said
}

/// EKS as far as a connection asks it: one cluster of this name, and how often it was asked for.
fn eks(cluster: &ControlPlane, name: &str) -> (Web, Arc<Mutex<u32>>) {
    let asked = Arc::new(Mutex::new(0));
    let (count, path) = (Arc::clone(&asked), format!("/clusters/{name}"));
    let found = json!({"cluster": {
        "name": name, "status": "ACTIVE", "version": "1.34", "endpoint": cluster.url,
        "arn": format!("arn:aws:eks:eu-central-1:000000000000:cluster/{name}"),
        "certificateAuthority": {"data": STANDARD.encode(&cluster.ca)},
    }});
    let web = Web::new(move |request| {
        if request.word(1) != path {
            return Reply::text(404, "{\"message\": \"No cluster found\"}");
        }
        *count.lock().unwrap() += 1;
        Reply::json(&found)
    });
    (web, asked)
}

#[test]
fn a_cluster_of_eks_is_reached_by_its_name_with_tokens_that_the_program_signs() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("access");
    let name = format!("{namespace}-eks");
    cluster.authenticator.cluster(&name);
    let (eks, asked) = eks(cluster, &name);
    let account = server.account();
    let project =
        Project::new(&account, &format!("kubernetes \"main\" {{\n  eks {{\n    name = \"{name}\"\n  }}\n}}\n\n{YAML}"));
    project.write("maps.yaml", &map(&namespace, "a", "v"));
    let to_eks = |command: &mut Command| {
        command.env("AWS_ENDPOINT_URL_EKS", &eks.url);
    };
    ends(project.command(&["apply", "--auto-approve"]), 0, to_eks);
    assert_eq!(*asked.lock().unwrap(), 1, "one connection asks once");
    let made = cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps/a")).ok();
    assert_eq!(made["data"]["k"], "v");
    // The cluster takes the signature of whoever may sign: that of another secret is none.
    let said = ends(project.command(&["plan"]), 1, |command| {
        to_eks(command);
        command.env("AWS_SECRET_ACCESS_KEY", "another");
    });
    assert!(said.words().contains("the cluster does not know the caller"), "{}", said.err);
    let said = ends(project.command(&["plan"]), 0, to_eks);
    assert!(said.out.contains("No changes."), "{}", said.out);
}

/// A project whose connection is this kubeconfig.
fn project(server: &support::server::Server, kubeconfig: &Path) -> Project {
    let block =
        format!("kubernetes \"main\" {{\n  kubeconfig {{\n    path = \"{}\"\n  }}\n}}\n\n", kubeconfig.display());
    Project::new(&server.account(), &format!("{block}{YAML}"))
}

#[test]
fn a_token_that_has_run_out_is_told_as_such_when_planning() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("access");
    cluster.authenticator.cluster(&namespace);
    let minute = Duration::from_secs(60);
    let good = project(server, &cluster.kubeconfig_with(&token(&namespace, minute)));
    good.write("maps.yaml", &map(&namespace, "a", "v"));
    good.ends(&["plan"], 0);
    let late = project(server, &cluster.kubeconfig_with(&token(&namespace, 20 * minute)));
    late.write("maps.yaml", &map(&namespace, "a", "v"));
    let said = late.ends(&["plan"], 1);
    assert!(said.words().contains("the credentials have run out: log in again"), "{}", said.err);
    assert!(said.err.contains("plans/app/app.hcl"), "with its place: {}", said.err);
}

#[test]
fn a_right_that_is_missing_is_named_when_planning_by_verb_resource_and_namespace() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("access");
    let token = cluster.service_account(&namespace, "planner");
    let project = project(server, &cluster.kubeconfig_with(&token));
    project.write("maps.yaml", &map(&namespace, "a", "v"));
    let who = format!("User \"system:serviceaccount:{namespace}:planner\" cannot");
    let said = project.ends(&["plan"], 1);
    let missing = format!("{who} get resource \"namespaces\" in API group \"\" in the namespace \"kube-system\"");
    assert!(said.words().contains(&missing), "{}", said.err);

    // With the rights of a reader it is the dry run that is refused.
    let account = json!({"kind": "ServiceAccount", "name": "planner", "namespace": namespace});
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let group = "rbac.authorization.k8s.io";
    let rules =
        json!([{"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}]);
    cluster.post(&format!("{rbac}/clusterroles"), &json!({"metadata": {"name": namespace}, "rules": rules})).ok();
    let whole = json!({"metadata": {"name": namespace}, "subjects": [account],
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": namespace}});
    cluster.post(&format!("{rbac}/clusterrolebindings"), &whole).ok();
    let view = json!({"metadata": {"name": "view"}, "subjects": [account],
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"}});
    cluster.post(&format!("{rbac}/namespaces/{namespace}/rolebindings"), &view).ok();
    let missing = format!("{who} patch resource \"configmaps\" in API group \"\" in the namespace \"{namespace}\"");
    let begun = Instant::now();
    let said = loop {
        let said = project.ends(&["plan"], 1);
        if said.words().contains(&missing) || begun.elapsed() > Duration::from_secs(20) {
            break said;
        }
        thread::sleep(Duration::from_millis(100));
    };
    assert!(said.words().contains(&missing), "{}", said.err);
    assert!(said.err.contains("plans/app/app.hcl"), "with its place: {}", said.err);
}

#[test]
fn a_program_that_gives_credentials_runs_once_for_a_connection_and_not_for_a_pull_request() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("access");
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let (_, rest) = text.split_once("token: ").unwrap();
    let token = rest.split([' ', '}', '\n']).next().unwrap().to_owned();
    let runs = folder.path().join("runs");
    let credential =
        json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}});
    let script = format!("echo run >> {}; echo '{credential}'", runs.display());
    std::fs::write(folder.path().join("login.sh"), script).unwrap();
    let plugin = format!(
        "exec: {{ apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: /bin/sh, args: [{}] }}",
        folder.path().join("login.sh").display()
    );
    let kubeconfig = folder.path().join("config");
    std::fs::write(&kubeconfig, text.replace(&format!("token: {token}"), &plugin)).unwrap();
    let project = project(server, &kubeconfig);
    let maps: Vec<String> = (0..40).map(|n| map(&namespace, &format!("m{n}"), "v")).collect();
    project.write("maps.yaml", &maps.join("---\n"));
    project.ends(&["apply", "--auto-approve"], 0);
    let ran = std::fs::read_to_string(&runs).unwrap();
    assert_eq!(ran.lines().count(), 1, "planning and applying share the connection");
    // Who opens a pull request may name a kubeconfig of theirs.
    let said = project.ends(&["plan", "--pull-request"], 1);
    assert!(said.words().contains("a plan for a pull request does not start what a kubeconfig names"), "{}", said.err);
    assert!(said.words().contains("--allow kubeconfig"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), ran, "it was not started");
    project.ends(&["plan", "--pull-request", "--allow", "kubeconfig"], 0);
    assert_ne!(std::fs::read_to_string(&runs).unwrap(), ran);
}
