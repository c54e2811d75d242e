//! Which container images objects run: every container of every pod template, and volumes that are images.
//!
//! What is not known before something is applied is said to be so and never left out. Custom resources whose operator makes pods
//! of them name their images in ways of their own, and are not looked into.
//!
//! Sources: PodSpec of the Kubernetes API (`containers`, `initContainers`, `ephemeralContainers`, `volumes[].image`).

use crate::base::{Data, Hidden, Path, Value};
use serde_json::Value as Json;

/// What stands where a value is not known: a word that is a name, a tag and a path alike, so that charts can be rendered with it.
pub const NOT_KNOWN: &str = "terrace-does-not-know-this-yet";

/// Why an image is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// The plan decides it, and it is not known here and now.
    Later(String),
    /// The plan leaves it to the cluster.
    Cluster(String),
}

/// An image that something runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Runs {
    /// The reference as it is written, or why it is not known.
    pub image: Result<String, Missing>,
    /// What runs it: `Deployment shop/web`.
    pub by: String,
}

impl Runs {
    /// Something whose images are not known.
    #[must_use]
    pub fn unknown(by: impl Into<String>, why: impl Into<String>) -> Self {
        Self { image: Err(Missing::Later(why.into())), by: by.into() }
    }
}

/// The images that objects run, in the order of the objects. Nothing hidden is told.
#[must_use]
pub fn of_objects<'o>(objects: impl IntoIterator<Item = &'o Json>, hidden: &Hidden) -> Vec<Runs> {
    let mut found = Vec::new();
    for object in objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        if let Some(items) = object["items"].as_array().filter(|_| kind.ends_with("List")) {
            found.extend(of_objects(items, hidden));
            continue;
        }
        let template = pod_template(kind, object);
        if template["spec"].is_null() || (kind != "Pod" && !template["spec"]["containers"].is_array()) {
            // What has no pods; but where all of it is not known, it may well have.
            let shy = [template, &template["spec"], &template["spec"]["containers"]];
            if shy.iter().any(|part| part.as_str() == Some(NOT_KNOWN)) {
                found.push(Runs::unknown(named(object), "its pods are not known before something is applied"));
            }
            continue;
        }
        of_pods(&template["spec"], &named(object), hidden, &mut found);
    }
    found
}

/// The pod template of an object of this kind; null where there is none.
pub(super) fn pod_template<'o>(kind: &str, object: &'o Json) -> &'o Json {
    match kind {
        "Pod" => object,
        "PodTemplate" => &object["template"],
        "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => &object["spec"]["template"],
    }
}

/// An object as messages name it: `Deployment shop/web`.
#[must_use]
pub fn named(object: &Json) -> String {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn of_pods(spec: &Json, by: &str, hidden: &Hidden, found: &mut Vec<Runs>) {
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = &spec[field];
        if containers.as_str() == Some(NOT_KNOWN) {
            found.push(Runs::unknown(by, format!("its {field} are not known before something is applied")));
        }
        for container in containers.as_array().into_iter().flatten() {
            found.push(Runs { image: written(&container["image"], hidden), by: by.to_owned() });
        }
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        if volume["image"].is_object() {
            found.push(Runs { image: written(&volume["image"]["reference"], hidden), by: by.to_owned() });
        }
    }
}

fn written(image: &Json, hidden: &Hidden) -> Result<String, Missing> {
    let later = |why: &str| Err(Missing::Later(why.to_owned()));
    let cluster = |why: &str| Err(Missing::Cluster(why.to_owned()));
    match image.as_str().map(str::trim) {
        None | Some("") => cluster("it is not written; the cluster fills it in"),
        // Istio's injection: "Customizing injection" of its documentation.
        Some("auto") => cluster("Istio fills it in when a pod starts"),
        Some(text) if text.contains(NOT_KNOWN) => later("it is not known before something is applied"),
        Some(text) if hidden.is_in(text) => later("it holds a secret"),
        Some(text) => Ok(text.to_owned()),
    }
}

/// Plain JSON in which [`NOT_KNOWN`] stands for every part that is not known, with the paths of those.
pub(super) fn with_placeholders(value: &Value) -> (Json, Vec<String>) {
    let mut unknown = Vec::new();
    let json = filled(value, &Path::default(), &mut unknown);
    (json, unknown)
}

fn filled(value: &Value, path: &Path, unknown: &mut Vec<String>) -> Json {
    match value.data() {
        Data::Unknown(_) | Data::Sealed(_) => {
            unknown.push(path.to_string());
            NOT_KNOWN.into()
        }
        Data::Sequence(_, elements) => {
            let each = elements.iter().enumerate();
            each.map(|(at, element)| filled(element, &path.index(at), unknown)).collect()
        }
        Data::Mapping(_, entries) => {
            let each = entries.iter();
            Json::Object(each.map(|(key, value)| (key.to_string(), filled(value, &path.key(key), unknown))).collect())
        }
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) => value.to_json_lossy(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn runs(object: &Json) -> Vec<Result<String, Missing>> {
        of_objects([object], &Hidden::default()).into_iter().map(|runs| runs.image).collect()
    }

    fn pods(image: &str) -> Json {
        json!({"spec": {"containers": [{"name": "a", "image": image}]}})
    }

    #[test]
    fn every_container_of_every_kind_of_pod_template_is_found() {
        let spec = json!({"template": pods("a:1")});
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController", "Rollout"]
        {
            let object = json!({"kind": kind, "metadata": {"name": "x"}, "spec": spec});
            assert_eq!(runs(&object), [Ok("a:1".to_owned())], "{kind}");
        }
        let cron = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": spec}}});
        assert_eq!(runs(&cron), [Ok("a:1".to_owned())]);
        let template = json!({"kind": "PodTemplate", "template": pods("a:1")});
        assert_eq!(runs(&template), [Ok("a:1".to_owned())]);
        let list = json!({"kind": "List", "items": [cron, template]});
        assert_eq!(runs(&list).len(), 2);
        assert_eq!(runs(&json!({"kind": "ConfigMap", "data": {"image": "a:1"}})), []);
        assert_eq!(runs(&json!({"kind": "Service", "spec": {"selector": {}}})), []);
    }

    #[test]
    fn init_and_ephemeral_containers_and_volumes_count() {
        let pod = json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": {
            "containers": [{"image": "a"}, {"image": "b"}], "initContainers": [{"image": "c"}],
            "ephemeralContainers": [{"image": "d"}], "volumes": [{"image": {"reference": "e"}}, {"emptyDir": {}}],
        }});
        let found = of_objects([&pod], &Hidden::default());
        let images: Vec<&str> = found.iter().map(|r| r.image.as_deref().unwrap()).collect();
        assert_eq!(images, ["c", "a", "b", "d", "e"]);
        assert!(found.iter().all(|r| r.by == "Pod n/p"));
    }

    #[test]
    fn what_is_not_known_is_said_and_not_left_out() {
        for (image, said) in [
            (json!(format!("a:{NOT_KNOWN}")), "not known before"),
            (json!(null), "the cluster fills it in"),
            (json!("auto"), "Istio"),
            (json!("a:hunter22"), "a secret"),
        ] {
            let pod = json!({"kind": "Pod", "spec": {"containers": [{"image": image}]}});
            let hidden = Hidden::of([&Value::from("hunter22").sensitive()]);
            let found = of_objects([&pod], &hidden);
            let Err(Missing::Later(why) | Missing::Cluster(why)) = &found[0].image else { panic!("{found:?}") };
            assert!(why.contains(said), "{found:?}");
        }
        for spec in [json!(NOT_KNOWN), json!({"containers": NOT_KNOWN})] {
            let found = runs(&json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}}));
            assert!(matches!(found.as_slice(), [Err(_)]), "{found:?}");
        }
        let whole = runs(&json!({"kind": "Deployment", "spec": {"template": NOT_KNOWN}}));
        assert!(matches!(whole.as_slice(), [Err(_)]), "{whole:?}");
    }

    #[test]
    fn a_value_that_is_not_known_leaves_a_word_and_its_path() {
        let value = Value::object([
            ("image", Value::object([("tag", Value::UNKNOWN), ("name", "a".into())])),
            ("list", Value::tuple(vec![1.into(), Value::UNKNOWN])),
        ]);
        let (json, unknown) = with_placeholders(&value);
        assert_eq!(json, json!({"image": {"name": "a", "tag": NOT_KNOWN}, "list": [1, NOT_KNOWN]}));
        assert_eq!(unknown, ["image.tag", "list[1]"]);
    }
}
