//! From what helm prints of a chart to objects: CRDs of `crds/` folders, hooks, and the rest in install order.

use crate::{base::yaml, world::Rendered};
use serde_json::Value as Json;

/// The objects of a manifest: its documents, lists taken apart.
///
/// # Errors
/// What is no YAML, by its source.
pub(super) fn objects(manifest: &str) -> Result<Vec<Json>, String> {
    Ok(documents(manifest)?.into_iter().map(|(_, object)| object).collect())
}

/// What `helm template --include-crds` printed.
///
/// # Errors
/// What is no YAML, by its source.
pub(super) fn rendered(text: &str) -> Result<Rendered, String> {
    let mut out = Rendered::default();
    for (source, object) in documents(text)? {
        let hook = &object["metadata"]["annotations"]["helm.sh/hook"];
        if is_crd_file(&source) {
            out.crds.push(object);
        } else if hook.is_string() {
            out.hooks.push(object);
        } else {
            out.objects.push(object);
        }
    }
    Ok(out)
}

/// `web/crds/x.yaml`, `web/charts/sub/crds/x.yaml`; not `web/templates/crds/x.yaml`.
fn is_crd_file(source: &str) -> bool {
    let parts: Vec<&str> = source.split('/').collect();
    parts.iter().position(|part| *part == "crds").is_some_and(|at| at > 0 && !parts[..at].contains(&"templates"))
}

/// Every object with the file that it comes from.
fn documents(text: &str) -> Result<Vec<(String, Json)>, String> {
    let mut out = Vec::new();
    let (mut source, mut part) = (String::new(), String::new());
    let mut close = |source: &str, part: &mut String| -> Result<(), String> {
        let found = yaml::documents(part).map_err(|why| format!("{source}: {why}"))?;
        for object in found {
            let list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
            match object["items"].as_array().filter(|_| list) {
                Some(items) => out.extend(items.iter().map(|item| (source.to_owned(), item.clone()))),
                None if object.is_object() => out.push((source.to_owned(), object)),
                None => {}
            }
        }
        part.clear();
        Ok(())
    };
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") {
            close(&source, &mut part)?;
            continue;
        }
        if let Some(file) = line.strip_prefix("# Source: ") {
            file.trim().clone_into(&mut source);
        }
        part.push_str(line);
        part.push('\n');
    }
    close(&source, &mut part)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crds_hooks_and_objects_are_told_apart_and_lists_taken_apart() {
        let text = "---\n# Source: web/crds/a.yaml\nkind: CustomResourceDefinition\nmetadata: {name: a}\n---\nkind: CustomResourceDefinition\nmetadata: {name: b}\n---\n# Source: web/templates/crds/c.yaml\nkind: CustomResourceDefinition\nmetadata: {name: c}\n---\n# Source: web/templates/empty.yaml\n---\n# Source: web/templates/list.yaml\nkind: List\nitems:\n- kind: ConfigMap\n  metadata: {name: d}\n- kind: ConfigMap\n  metadata: {name: e}\n---\n# Source: web/templates/hook.yaml\nkind: Job\nmetadata:\n  name: f\n  annotations: {\"helm.sh/hook\": pre-install}\n";
        let out = rendered(text).unwrap();
        let names = |all: &[Json]| -> Vec<String> {
            all.iter().map(|o| o["metadata"]["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!((names(&out.crds), names(&out.hooks)), (vec!["a".into(), "b".into()], vec!["f".into()]));
        assert_eq!(names(&out.objects), ["c", "d", "e"]);
        let wrong = rendered("---\n# Source: web/templates/x.yaml\na: [\n").unwrap_err();
        assert!(wrong.starts_with("web/templates/x.yaml: "), "{wrong}");
    }
}
