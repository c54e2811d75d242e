//! Manifests that go wrong, by the program over a real control plane: what came half-way, what is declared twice, what is going away,
//! what cannot be reached.

use crate::{
    kubernetes::project,
    support::{self, cluster::ControlPlane},
};
use serde_json::{Value as Json, json};

const YAML: &str =
    "manifest \"web\" {\n  yaml = \"web.yaml\"\n  timeouts {\n    create = \"8s\"\n    update = \"8s\"\n  }\n}\n";

/// A Deployment whose pods crash, or are well.
fn deployment(namespace: &str, name: &str, image: &str, crashes: bool) -> String {
    let annotations = if crashes { json!({"testbed.terrace/pod": "crash-loop"}) } else { json!({}) };
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}, "annotations": annotations},
            "spec": {"containers": [{"name": "web", "image": image}]}}}})
    .to_string()
}

fn map(namespace: &str, name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"k": "v"}})
        .to_string()
}

fn uid(cluster: &ControlPlane, path: &str) -> Json {
    cluster.get(path).ok()["metadata"]["uid"].clone()
}

#[test]
fn a_manifest_that_came_half_way_is_gone_on_with_and_nothing_is_deleted() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("objects");
    let project = project(&server.account(), cluster, YAML);
    let both = |image: &str, crashes| {
        format!("{}\n---\n{}\n", map(&namespace, "settings"), deployment(&namespace, "web", image, crashes))
    };
    project.write("web.yaml", &both("example.com/web", true));
    project.ends(&["apply", "--auto-approve"], 1);
    let (settings, web) = (
        format!("/api/v1/namespaces/{namespace}/configmaps/settings"),
        format!("/apis/apps/v1/namespaces/{namespace}/deployments/web"),
    );
    let former = (uid(cluster, &settings), uid(cluster, &web));

    // Nothing differs, and it is not ready: it is waited for again, and says again why.
    let said = project.ends(&["plan"], 0).words();
    assert!(said.contains("manifest.web update") && said.contains("gone on with"), "{said}");
    assert!(!said.contains("replace"), "{said}");
    let said = project.ends(&["apply", "--auto-approve"], 1).words();
    assert!(said.contains("CrashLoopBackOff"), "{said}");

    project.write("web.yaml", &both("example.com/web", false));
    let said = project.ends(&["apply", "--auto-approve"], 0).words();
    assert!(said.contains("1 updated") && !said.contains("destroyed"), "{said}");
    assert_eq!((uid(cluster, &settings), uid(cluster, &web)), former, "nothing was deleted");
    assert!(project.ends(&["plan"], 0).words().contains("No changes."));

    // The same of an update that did not get ready.
    project.write("web.yaml", &both("example.com/web:2", true));
    project.ends(&["apply", "--auto-approve"], 1);
    let said = project.ends(&["plan"], 0).words();
    assert!(said.contains("gone on with"), "{said}");
    project.write("web.yaml", &both("example.com/web:2", false));
    project.ends(&["apply", "--auto-approve"], 0);
    assert!(project.ends(&["plan"], 0).words().contains("No changes."));
    assert_eq!(uid(cluster, &web), former.1);
}

#[test]
fn what_some_objects_are_refused_for_leaves_the_others_and_is_gone_on_with() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("objects");
    let quotas = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    cluster.post(&quotas, &json!({"metadata": {"name": "few"}, "spec": {"hard": {"count/configmaps": "3"}}})).ok();
    cluster.until(&format!("{quotas}/few"), |answer| !answer.body["status"]["used"]["count/configmaps"].is_null());
    let project = project(&server.account(), cluster, YAML);
    let maps: Vec<String> = ["a", "b", "c", "d"].iter().map(|name| map(&namespace, name)).collect();
    project.write("web.yaml", &maps.join("\n---\n"));
    let said = project.ends(&["apply", "--auto-approve"], 1).words();
    assert!(said.contains("exceeded quota: few"), "{said}");
    let listed = || {
        let found = cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps")).ok();
        let items = found["items"].as_array().unwrap().clone();
        let ours = items.into_iter().filter(|o| o["data"]["k"] == "v");
        ours.map(|o| (o["metadata"]["name"].to_string(), o["metadata"]["uid"].clone())).collect::<Vec<_>>()
    };
    let made = listed();
    assert!((1..4).contains(&made.len()), "{made:?}");
    cluster.delete(&format!("{quotas}/few"));
    cluster.until(&format!("{quotas}/few"), |answer| answer.status == 404);
    project.ends(&["apply", "--auto-approve"], 0);
    let all = listed();
    assert_eq!(all.len(), 4);
    assert!(made.iter().all(|one| all.contains(one)), "{made:?} {all:?}");
}

#[test]
fn an_object_that_two_manifests_declare_is_refused_with_both() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("objects");
    let one = |name: &str| format!("manifest \"{name}\" {{\n  yaml = \"{name}.yaml\"\n}}\n");
    let project = project(&server.account(), cluster, &[one("one"), one("two")].concat());
    project.write("one.yaml", &map(&namespace, "a"));
    project.write("two.yaml", &format!("{}\n---\n{}", map(&namespace, "b"), map(&namespace, "a")));
    let said = project.ends(&["plan"], 1).words();
    let what = format!("manifest.one and manifest.two both declare ConfigMap {namespace}/a");
    assert!(said.contains(&what) && said.contains("object_twice") && said.contains("in one of them only"), "{said}");
    project.write("two.yaml", &map(&namespace, "b"));
    project.ends(&["apply", "--auto-approve"], 0);
}

#[test]
fn an_object_that_moves_to_another_manifest_is_refused_and_stays() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("objects");
    let one = |name: &str| format!("manifest \"{name}\" {{\n  yaml = \"{name}.yaml\"\n}}\n");
    let project = project(&server.account(), cluster, &[one("one"), one("two")].concat());
    let maps = |names: &[&str]| names.iter().map(|name| map(&namespace, name)).collect::<Vec<_>>().join("\n---\n");
    project.write("one.yaml", &maps(&["a"]));
    project.write("two.yaml", &maps(&["b", "c"]));
    project.ends(&["apply", "--auto-approve"], 0);
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/b");
    let uid = cluster.get(&path).ok()["metadata"]["uid"].clone();
    project.write("one.yaml", &maps(&["a", "b"]));
    project.write("two.yaml", &maps(&["c"]));
    let what = format!("manifest.two would delete ConfigMap {namespace}/b, which manifest.one declares");
    for words in [&["plan"][..], &["apply", "--auto-approve"]] {
        let said = project.ends(words, 1).words();
        assert!(said.contains(&what) && said.contains("object_moves"), "{said}");
    }
    // Nor does taking the whole block away delete it.
    project.edit(|text| text.replace(&one("two"), ""));
    let said = project.ends(&["plan"], 1).words();
    assert!(said.contains(&what), "{said}");
    assert_eq!(cluster.get(&path).ok()["metadata"]["uid"], uid);
}

#[test]
fn a_namespace_of_ours_that_is_going_away_is_said_when_planning() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("objects");
    let own = format!("{namespace}-own");
    let project = project(&server.account(), cluster, "manifest \"web\" {\n  yaml = \"web.yaml\"\n}\n");
    let place = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": own}}).to_string();
    project.write("web.yaml", &format!("{place}\n---\n{}", map(&own, "a")));
    project.ends(&["apply", "--auto-approve"], 0);
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/held"]}});
    cluster.post(&format!("/api/v1/namespaces/{own}/configmaps"), &held).ok();
    cluster.delete(&format!("/api/v1/namespaces/{own}")).ok();
    let conditions = |answer: &support::cluster::Answer| answer.body["status"]["conditions"].is_array();
    cluster.until(&format!("/api/v1/namespaces/{own}"), conditions);

    let said = project.ends(&["plan"], 1).words();
    assert!(said.contains(&format!("being deleted: Namespace {own} since ")), "{said}");
    assert!(said.contains("example.com/held"), "{said}");
    let said = project.ends(&["plan", "--destroy"], 0).words();
    assert!(said.contains("manifest.web is being deleted already, and does not go"), "{said}");
    assert!(said.contains("namespace_held") && said.contains("example.com/held"), "{said}");

    let freed = json!({"metadata": {"finalizers": null}});
    cluster.patch(&format!("/api/v1/namespaces/{own}/configmaps/held"), &freed).ok();
    cluster.until(&format!("/api/v1/namespaces/{own}"), |answer| answer.status == 404);
    project.ends(&["apply", "--auto-approve"], 0);
}

#[test]
fn a_cluster_that_cannot_be_asked_is_told_once_with_all_behind_it() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("objects");
    let one = |n: usize| format!("manifest \"m{n:02}\" {{\n  yaml = \"m{n}.yaml\"\n}}\n");
    let project = project(&server.account(), cluster, &(0..14).map(one).collect::<String>());
    for n in 0..14 {
        project.write(&format!("m{n}.yaml"), &map(&namespace, &format!("m{n}")));
    }
    let admin = cluster.kubeconfig().display().to_string();
    let expired = cluster.kubeconfig_with("nonsense").display().to_string();
    project.edit(|text| text.replace(&admin, &expired));
    let said = project.ends(&["plan"], 1);
    assert_eq!(said.err.matches("error[").count(), 1, "{}", said.err);
    let words = said.words();
    assert!(words.contains("14 things in the cluster of") && words.contains("manifest.m00, manifest.m01"), "{words}");
    assert!(words.contains("and 4 more") || words.contains("manifest.m09, 4 more"), "{words}");
    assert!(words.contains("run out"), "{words}");
}

#[test]
fn yaml_without_an_object_is_refused_and_an_unknown_kind_is_told_at_its_line() {
    let (Some(server), Some(cluster)) = (support::ministack(), support::cluster()) else { return };
    let namespace = cluster.namespace("objects");
    let project = project(&server.account(), cluster, "manifest \"web\" {\n  yaml = \"manifests\"\n}\n");
    project.write("manifests/notes.txt", "nothing here");
    let said = project.ends(&["plan"], 1).words();
    assert!(said.contains("the folder manifests has no file that ends with .yaml, .yml or .json"), "{said}");
    project.write("manifests/a.yaml", "# later\n---\n");
    let said = project.ends(&["plan"], 1).words();
    assert!(said.contains("there is no object in manifests"), "{said}");
    let stranger = "apiVersion: nobody.example.com/v1\nkind: Thing\nmetadata: { name: a }\n";
    project.write("manifests/a.yaml", &format!("{}\n---\n{stranger}", map(&namespace, "a")));
    let said = project.ends(&["plan"], 1);
    assert!(said.err.contains("unknown_type") && said.err.contains("--> manifests/a.yaml:3:1"), "{}", said.err);
    project.write("manifests/a.yaml", &format!("{}\n---\nkind: ConfigMap\n", map(&namespace, "a")));
    let said = project.ends(&["plan"], 1).words();
    assert!(said.contains("apiVersion is missing or no string (in document 2 of manifests/a.yaml)"), "{said}");
}
