//! The whole platform: `plans/eks-platform` as it is shipped, in one run over two real servers, stacks on MiniStack and objects and
//! charts on the testbed's cluster. What stands in for what is not to be had there is held to what it stands in for.

#![expect(clippy::disallowed_methods, reason = "reads the shipped files and the testbed's")]

use crate::support::{
    cluster::{ControlPlane, cluster_of_its_own},
    ministack,
    platform::Platform,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use terrace::cfn::Template;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn template(path: &Path) -> Template {
    let (template, diagnostics) = Template::parse(&path.to_string_lossy(), &fs::read_to_string(path).unwrap());
    assert!(!diagnostics.has_errors(), "{}: {diagnostics:?}", path.display());
    template
}

/// All files below a folder, in order, each by its path within it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                if !entry.ends_with(".terrace") {
                    folders.push(entry);
                }
            } else {
                found.insert(entry.strip_prefix(folder).unwrap().to_owned(), fs::read(&entry).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_template_that_stands_in_has_the_parameters_and_outputs_of_the_shipped_one() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("testbed/platform/cfn-templates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let (own, shipped) = (template(&path), template(&root().join("cfn-templates").join(name)));
        let parameters =
            |t: &Template| t.parameters.iter().map(|(n, p)| (n.clone(), p.default.clone())).collect::<Vec<_>>();
        assert_eq!(parameters(&own), parameters(&shipped), "{name:?}");
        assert!(own.outputs.keys().eq(shipped.outputs.keys()), "{name:?}");
        names.insert(name.to_owned());
    }
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn each_chart_of_the_platform_has_one_that_stands_in_with_its_name_and_version() {
    let mut wanted = BTreeSet::new();
    for folder in ["plans/eks-platform", "modules/observability"] {
        for (path, text) in files(&root().join(folder)) {
            let text = String::from_utf8(text).unwrap();
            let is_plan = path.extension().is_some_and(|end| end == "hcl");
            for block in text.split("\nhelm \"").skip(usize::from(!text.starts_with("helm \""))).filter(|_| is_plan) {
                let of = |name: &str| {
                    let line = block.lines().find(|line| line.trim_start().starts_with(name));
                    line.and_then(|line| line.split('"').nth(1)).unwrap_or_default().to_owned()
                };
                wanted.insert((of("chart "), of("version ")));
            }
        }
    }
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(root().join("testbed/platform/charts")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path().join("Chart.yaml")).unwrap();
        let of =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        there.insert((of("name:"), of("version:")));
    }
    assert_eq!(wanted, there);
    assert_eq!(there.len(), 13);
}

/// The releases of the plan and its module, each with its namespace.
const RELEASES: [(&str, &str); 13] = [
    ("kube-system", "aws-load-balancer-controller"),
    ("istio-system", "istio-base"),
    ("istio-system", "istiod"),
    ("istio-system", "istio-ingress"),
    ("istio-system", "kiali"),
    ("observability", "loki"),
    ("observability", "mimir"),
    ("observability", "prometheus"),
    ("observability", "grafana"),
    ("velero", "velero"),
    ("kubecost", "kubecost"),
    ("trivy-system", "trivy-operator"),
    ("headlamp", "headlamp"),
];

#[test]
fn the_whole_platform_applies_in_one_run_over_two_real_servers() {
    let (Some(cluster), Some(server)) = (cluster_of_its_own(), ministack()) else { return };
    let Some(platform) = Platform::new(&cluster, server, "helm4") else { return };
    for folder in ["plans", "modules"] {
        assert_eq!(files(&root().join(folder)), files(&platform.path().join(folder)), "{folder} is not as shipped");
    }
    let said = platform.ends(&["apply", "eks-platform", "--env", "dev", "--auto-approve"], 0);
    println!("{}", said.err);

    // Looked at without Terrace: each release is deployed, and what it made is ready.
    for (namespace, release) in RELEASES {
        let records = format!("/api/v1/namespaces/{namespace}/secrets?labelSelector=owner%3Dhelm,name%3D{release}");
        let records = cluster.get(&records).ok();
        let statuses: Vec<_> =
            records["items"].as_array().unwrap().iter().map(|r| &r["metadata"]["labels"]["status"]).collect();
        assert_eq!(statuses, ["deployed"], "{namespace}/{release}");
    }
    for namespace in RELEASES.map(|(namespace, _)| namespace) {
        let deployments = cluster.get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments")).ok();
        for deployment in deployments["items"].as_array().unwrap() {
            let status = &deployment["status"];
            assert_eq!(status["readyReplicas"], status["replicas"], "{}", deployment["metadata"]["name"]);
        }
    }
    let path = "/apis/security.istio.io/v1/namespaces/istio-system/peerauthentications/default";
    assert_eq!(cluster.get(path).ok()["spec"]["mtls"]["mode"], "STRICT");
    let class = cluster.get("/apis/storage.k8s.io/v1/storageclasses/gp3").ok();
    assert_eq!(class["parameters"]["encrypted"], "true");
    let volumes = cluster.get("/api/v1/namespaces/observability/persistentvolumeclaims").ok();
    assert!(volumes["items"].as_array().unwrap().iter().all(|claim| claim["status"]["phase"] == "Bound"), "{volumes}");

    // The password went from AWS to Grafana, and nowhere else.
    let grafana = cluster.get("/api/v1/namespaces/observability/secrets/grafana").ok();
    let password = STANDARD.decode(grafana["data"]["admin-password"].as_str().unwrap()).unwrap();
    let password = String::from_utf8(password).unwrap();
    assert!(password.len() >= 16 && !said.out.contains(&password) && !said.err.contains(&password));
    for (path, text) in files(&platform.path().join(".terrace")) {
        assert!(!String::from_utf8_lossy(&text).contains(&password), "the password is in {}", path.display());
    }

    let again = platform.ends(&["plan", "eks-platform", "--env", "dev"], 0);
    assert!(again.out.contains("No changes"), "{}", again.out);
    goes_again(&platform, &cluster);
}

/// Destroys the platform, with what somebody else has in its cluster by then.
fn goes_again(platform: &Platform, cluster: &ControlPlane) {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "theirs"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "theirs"}}});
    cluster.post("/api/v1/namespaces/default/services", &service).ok();
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "theirs"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "resources": {"requests": {"storage": "1Gi"}}}});
    cluster.post("/api/v1/namespaces/default/persistentvolumeclaims", &claim).ok();

    let foundation = platform.path().join("plans/eks-platform/foundation.hcl");
    let text = fs::read_to_string(&foundation).unwrap();
    fs::write(&foundation, text.replace("prevent_destroy = true", "prevent_destroy = false")).unwrap();
    let on = ["eks-platform", "--env", "dev"];
    platform.ends(&[&["apply"], &on[..], &["--auto-approve"]].concat(), 0);
    let said = platform.ends(&[&["plan", "--destroy"], &on[..]].concat(), 0);
    for part in ["drains the cluster", "Service default/theirs", "PersistentVolumeClaim default/theirs"] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    let said = platform.ends(&[&["destroy"], &on[..], &["--auto-approve", "--allow-destroy"]].concat(), 0);
    println!("{}", said.err);

    for gone in ["services/theirs", "persistentvolumeclaims/theirs"] {
        assert_eq!(cluster.get(&format!("/api/v1/namespaces/default/{gone}")).status, 404, "{gone}");
    }
    for (namespace, release) in RELEASES {
        let records = format!("/api/v1/namespaces/{namespace}/secrets?labelSelector=owner%3Dhelm,name%3D{release}");
        assert_eq!(cluster.get(&records).ok()["items"], json!([]), "{namespace}/{release}");
    }
    let said = platform.ends(&[&["state", "list"], &on[..]].concat(), 0);
    assert!(said.words().contains("nothing is remembered"), "{}", said.words());
}
