//! Single fields of objects that drifted, with the program and on a real control plane: told with who owns them, put back one by one,
//! taken for right, left alone; of manifests, and of releases by helm 3 and helm 4.

#![expect(clippy::disallowed_methods, reason = "reads the file that it changes")]

use crate::{
    helm::{Releases, WEB},
    kubernetes::project,
    support::{self, Project, cluster::ControlPlane},
};
use serde_json::{Value as Json, json};

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: NAMESPACE
spec:
  replicas: 2
  minReadySeconds: 1
  selector:
    matchLabels: { app: web }
  template:
    metadata:
      labels: { app: web }
    spec:
      containers:
      - name: web
        image: example.com/web
        ports:
        - containerPort: 80
          name: http
";

struct Web {
    project: Project,
    cluster: &'static ControlPlane,
    namespace: String,
}

impl Web {
    /// An applied Deployment of which somebody changed two fields.
    fn meddled() -> Option<Self> {
        let (server, cluster) = (support::ministack()?, support::cluster()?);
        let namespace = cluster.namespace("fields");
        let project = project(&server.account(), cluster, "manifest \"web\" {\n  yaml = \"web.yaml\"\n}\n");
        let web = Self { project, cluster, namespace };
        web.project.write("web.yaml", &DEPLOYMENT.replace("NAMESPACE", &web.namespace));
        web.project.ends(&["apply", "--auto-approve"], 0);
        web.patched(&json!({"spec": {"replicas": 5, "minReadySeconds": 7}}));
        Some(web)
    }

    fn patched(&self, fields: &Json) {
        let patch = fields.to_string();
        self.cluster.kubectl(&["patch", "deployment/web", "--patch", &patch, "--namespace", &self.namespace]);
    }

    fn spec(&self, field: &str) -> Json {
        self.cluster.get(&format!("/apis/apps/v1/namespaces/{}/deployments/web", self.namespace)).ok()["spec"][field]
            .clone()
    }

    fn named(&self, field: &str) -> String {
        format!("manifest.web:Deployment/{}/web:{field}", self.namespace)
    }

    /// The fields that drifted, by the word that selects each.
    fn drifting(&self) -> Vec<Json> {
        let said = self.project.ends(&["drift", "--json"], 0);
        let lines: Vec<Json> = said.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let drift = lines.iter().find_map(|line| line["drift"].as_array()).unwrap();
        let children = drift.iter().flat_map(|d| d["children"].as_array().unwrap().clone());
        children.flat_map(|child| child["fields"].as_array().unwrap().clone()).collect()
    }

    fn selects(&self) -> Vec<String> {
        self.drifting().iter().map(|field| field["select"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn one_field_is_put_back_by_force_and_the_other_stays_with_who_set_it() {
    let Some(web) = Web::meddled() else { return };
    let (replicas, ready) = (web.named("spec.replicas"), web.named("spec.minReadySeconds"));
    let fields = web.drifting();
    assert_eq!(web.selects(), [ready.as_str(), replicas.as_str()]);
    assert_eq!((&fields[1]["before"], &fields[1]["after"]), (&json!(2), &json!(5)));
    assert_eq!(fields[1]["owner"]["manager"], "kubectl-patch");
    assert_eq!(fields[1]["owner"]["ours"], false);
    assert!(fields[1]["owner"]["time"].is_string(), "{fields:#?}");

    let slip = web.project.ends(&["drift", "--revert", &web.named("spec.replica"), "--auto-approve"], 1).words();
    assert!(slip.contains("no_drift") && slip.contains(&format!("did you mean `{replicas}`?")), "{slip}");
    let refused = web.project.ends(&["drift", "--revert", &replicas], 64).words();
    assert!(refused.contains("--auto-approve"), "{refused}");
    assert_eq!(web.spec("replicas"), 5, "nothing is done unasked");

    let said = web.project.ends(&["drift", "--revert", &replicas, "--auto-approve"], 0).words();
    assert!(said.contains("5 -> 2") && !said.contains("minReadySeconds"), "{said}");
    assert!(said.contains("spec.replicas is taken back from kubectl-patch by force"), "{said}");
    assert!(said.contains("looked again"), "{said}");
    assert_eq!((web.spec("replicas"), web.spec("minReadySeconds")), (json!(2), json!(7)));
    assert_eq!(web.selects(), [ready.as_str()]);
    let none = web.project.ends(&["drift", "--revert", &replicas, "--auto-approve"], 1).words();
    assert!(none.contains("no_drift"), "{none}");
    // Of a whole object, and of a part of a list.
    web.patched(
        &json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "example.com/other"}]}}}}),
    );
    let image = web.named("spec.template.spec.containers.web.image");
    web.project.ends(&["drift", "--revert", &image, "--auto-approve"], 0);
    assert_eq!(web.spec("template")["spec"]["containers"][0]["image"], "example.com/web");
    assert_eq!(web.spec("template")["spec"]["containers"][0]["ports"][0]["name"], "http");
    assert_eq!(web.selects(), [ready.as_str()]);
    let object = format!("manifest.web:Deployment/{}/web", web.namespace);
    web.project.ends(&["drift", "--revert", &object, "--auto-approve"], 0);
    assert_eq!(web.spec("minReadySeconds"), 1);
    assert!(web.project.ends(&["plan"], 0).words().contains("No changes."));
}

#[test]
fn a_field_that_is_left_alone_stays_with_whoever_sets_it_until_the_decision_is_taken_back() {
    let Some(web) = Web::meddled() else { return };
    let (replicas, ready) = (web.named("spec.replicas"), web.named("spec.minReadySeconds"));
    web.project.ends(&["drift", "--ignore", &replicas], 64);
    let slip = web.project.ends(&["drift", "--ignore", "manifest.web:spec.replicas", "--reason", "a test"], 1).words();
    assert!(slip.contains(&format!("did you mean `{replicas}`?")), "{slip}");
    let said = web.project.ends(&["drift", "--ignore", &replicas, "--reason", "load test"], 0).words();
    assert!(said.contains(&format!("drift of {replicas} is left alone")), "{said}");
    let told = web.project.ends(&["drift", "--detailed-exitcode"], 2).words();
    assert!(told.contains(&format!("left alone: {replicas}: load test")) && !told.contains("2 -> 5"), "{told}");
    let shown = web.project.ends(&["state", "show", "manifest.web"], 0).words();
    assert!(shown.contains("load test"), "{shown}");
    // What is not left alone is put back; what is, is not sent, whatever else changes.
    web.project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!((web.spec("replicas"), web.spec("minReadySeconds")), (json!(5), json!(1)));
    let text = std::fs::read_to_string(web.project.path().join("web.yaml")).unwrap();
    web.project.write("web.yaml", &text.replace("minReadySeconds: 1", "minReadySeconds: 3"));
    web.project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!((web.spec("replicas"), web.spec("minReadySeconds")), (json!(5), json!(3)));
    assert!(web.project.ends(&["plan"], 0).words().contains("No changes."));
    let wrong = web.project.ends(&["drift", "--heed", &ready], 1).words();
    assert!(wrong.contains("not_ignored"), "{wrong}");
    web.project.ends(&["drift", "--heed", &replicas], 0);
    assert_eq!(web.selects(), [replicas.as_str()]);
    // What is made anew is made with all that is declared.
    web.project.ends(&["drift", "--ignore", &replicas, "--reason", "load test"], 0);
    web.cluster.delete(&format!("/apis/apps/v1/namespaces/{}/deployments/web", web.namespace)).ok();
    web.project.ends(&["apply", "--auto-approve"], 0);
    assert_eq!(web.spec("replicas"), 2);
}

#[test]
fn a_field_that_is_taken_for_right_comes_with_the_edit_that_declares_it() {
    let Some(web) = Web::meddled() else { return };
    let (replicas, ready) = (web.named("spec.replicas"), web.named("spec.minReadySeconds"));
    let said = web.project.ends(&["drift", "--accept", &replicas, "--reason", "so be it"], 0);
    assert!(said.out.contains("web.yaml:7: Deployment") && said.out.contains("spec.replicas: 2 -> 5"), "{said:?}");
    assert!(said.out.contains("-  replicas: 2\n+  replicas: 5\n"), "{said:?}");
    assert_eq!(web.selects(), [ready.as_str()]);
    // Until it is declared, it is a change like any other.
    let plan = web.project.ends(&["plan"], 0).words();
    assert!(plan.contains("5 -> 2"), "{plan}");
    let text = std::fs::read_to_string(web.project.path().join("web.yaml")).unwrap();
    web.project.write("web.yaml", &text.replace("replicas: 2", "replicas: 5"));
    web.project.ends(&["drift", "--revert", &ready, "--auto-approve"], 0);
    assert!(web.project.ends(&["plan"], 0).words().contains("No changes."));
    assert_eq!(web.spec("replicas"), 5);
}

fn of_a_release(helm: &'static str) {
    let Some(releases) = Releases::new(helm, WEB) else { return };
    releases.applied();
    let deployment = format!("/apis/apps/v1/namespaces/{}/deployments/web", releases.namespace);
    let map = format!("/api/v1/namespaces/{}/configmaps/web", releases.namespace);
    let meddle = |replicas: u32| {
        let by = |path: &str| format!("{path}?fieldManager=somebody");
        releases.cluster.patch(&by(&deployment), &json!({"spec": {"replicas": replicas}})).ok();
        releases.cluster.patch(&by(&map), &json!({"data": {"text": "theirs"}})).ok();
    };
    let replicas = format!("helm.web:Deployment/{}/web:spec.replicas", releases.namespace);
    let text = format!("helm.web:ConfigMap/{}/web:data.text", releases.namespace);
    let live = || {
        let spec = releases.live("deployments", "web")["spec"]["replicas"].clone();
        (spec, releases.live("configmaps", "web")["data"]["text"].clone())
    };
    meddle(5);
    let said = releases.project.ends(&["drift", "--revert", &replicas, "--auto-approve"], 0).words();
    assert!(said.contains("spec.replicas is taken back from somebody by force"), "{said}");
    assert_eq!(live(), (json!(1), json!("theirs")));
    assert_eq!(releases.statuses("web"), ["deployed"], "no revision is made");

    // Left alone, it stays while the rest is put back; taken back, it is told again.
    meddle(6);
    releases.project.ends(&["drift", "--ignore", &text, "--reason", "a test"], 0);
    let said = releases.applied();
    assert!(!said.contains("data.text"), "{said}");
    assert_eq!(live(), (json!(1), json!("theirs")));
    assert!(releases.planned().contains("No changes."));
    releases.project.ends(&["drift", "--heed", &text], 0);
    let said = releases.project.ends(&["drift", "--accept", &text], 0);
    assert!(said.out.contains("data.text: hello -> theirs"), "{said:?}");
    assert!(releases.planned().contains("No changes."));
    releases.project.ends(&["drift", "--detailed-exitcode"], 0);
    releases.cluster.patch(&map, &json!({"data": {"text": "again"}})).ok();
    releases.project.ends(&["drift", "--detailed-exitcode"], 2);

    // Helm goes on as if nothing had been: an upgrade by it alone, and one by us.
    releases.project.ends(&["drift", "--revert", &text, "--auto-approve"], 0);
    assert_eq!(live(), (json!(1), json!("hello")));
    releases.declare(&WEB.replace("replicas = 1", "replicas = 3, text = \"new\""));
    releases.applied();
    assert_eq!(live(), (json!(3), json!("new")));
    assert_eq!(releases.statuses("web"), ["superseded", "deployed"]);
    assert!(releases.planned().contains("No changes."));
    // One that is gone is made again alone.
    releases.cluster.delete(&map).ok();
    let object = format!("helm.web:ConfigMap/{}/web", releases.namespace);
    releases.project.ends(&["drift", "--revert", &object, "--auto-approve"], 0);
    assert_eq!(live(), (json!(3), json!("new")));
    releases.declare(&WEB.replace("replicas = 1", "replicas = 2, text = \"newer\""));
    releases.applied();
    assert_eq!(live(), (json!(2), json!("newer")));
}

#[test]
fn fields_of_a_release_of_helm_3_are_put_back_left_alone_and_taken_for_right() {
    of_a_release("helm3");
}

#[test]
fn fields_of_a_release_of_helm_4_are_put_back_left_alone_and_taken_for_right() {
    of_a_release("helm4");
}
