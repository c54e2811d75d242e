//! From what is written in a `manifest` block to objects by name.

use crate::{
    base::{Data, Diagnostic, Diagnostics, Digest, Hidden, Path, Value},
    kinds::{
        Desired, Footprint, Matter, Part, Prepare, Runs, Sole, images::with_placeholders, images_of_objects,
        without_secrets, yaml,
    },
    lang::{Sources, normalize},
    world::ObjectRef,
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// The namespace of objects that name none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";
/// Kinds of Kubernetes itself that live in no namespace; of others the server is asked.
const CLUSTER_WIDE: [&str; 14] = [
    "Namespace",
    "Node",
    "PersistentVolume",
    "StorageClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "APIService",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "PriorityClass",
    "IngressClass",
    "RuntimeClass",
    "CSIDriver",
];

pub(super) fn prepare(request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
    let mut problems = Diagnostics::new();
    let given = |name: &str| request.inputs.get(name).filter(|v| !v.is_null());
    let flag = |name: &str, default: bool| given(name).cloned().unwrap_or_else(|| default.into());
    let namespace = given("namespace").cloned().unwrap_or_else(|| DEFAULT_NAMESPACE.into());

    let mut known = true;
    let mut objects: Vec<Declared> = Vec::new();
    let root = Path::default();
    if let Some(object) = given("object") {
        known &= !object.is_unknown();
        objects.push(Declared { object: object.clone(), path: root.key("object"), origin: None });
    }
    match given("yaml").map(|yaml| (yaml, yaml.data())) {
        None => {}
        Some((yaml, Data::String(text))) => {
            read(request, text, yaml.is_sensitive(), &root.key("yaml"), &mut objects, &mut problems);
        }
        Some((yaml, Data::Sequence(_, texts))) => {
            for (n, text) in texts.iter().enumerate() {
                match text.as_str() {
                    Some(path) => {
                        let mark = yaml.is_sensitive() || text.is_sensitive();
                        read(request, path, mark, &root.key("yaml").index(n), &mut objects, &mut problems);
                    }
                    None => known = false,
                }
            }
        }
        Some((_, Data::Unknown(_) | Data::Sealed(_))) => known = false,
        Some(_) => {
            let problem = Diagnostic::error("manifest_yaml", "`yaml` is a text, a path or a list of paths");
            problems.push(at(request, &root.key("yaml"), problem));
        }
    }

    match given("kustomize").map(|folder| (folder, folder.as_str())) {
        None => {}
        Some((folder, Some(path))) => {
            built(request, path, folder.is_sensitive(), &root.key("kustomize"), &mut objects, &mut problems);
        }
        Some(_) => known = false,
    }

    let mut by_key: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let mut references = Vec::new();
    for Declared { object, path, origin } in &objects {
        if object.is_unknown() {
            continue;
        }
        let from = origin.as_deref().map(|origin| format!(" (in {origin})")).unwrap_or_default();
        match reference(object, &namespace) {
            Ok(Some(reference)) => {
                let key = reference.to_string();
                let key =
                    if by_key.contains_key(key.as_str()) { format!("{} {key}", reference.api_version) } else { key };
                if references.contains(&reference) {
                    let problem = Diagnostic::error("object_twice", format!("{reference} is declared twice{from}"));
                    problems.push(at(request, path, problem));
                }
                by_key.insert(key.as_str().into(), secret_marked(object));
                references.push(reference);
            }
            Ok(None) => {
                known = false;
                by_key.insert(format!("unnamed {}", by_key.len()).into(), secret_marked(object));
            }
            Err(why) => {
                let problem = Diagnostic::error("no_object", format!("this is no Kubernetes object: {why}{from}"))
                    .because("an object has `apiVersion`, `kind` and `metadata.name`");
                problems.push(at(request, path, problem));
            }
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    references.sort();
    let objects = if known || !by_key.is_empty() { Value::object(by_key) } else { Value::UNKNOWN };
    let inputs = Value::object([
        ("objects", objects),
        ("namespace", namespace),
        ("force_conflicts", flag("force_conflicts", false)),
        ("wait", flag("wait", true)),
    ]);
    Ok(Desired { inputs, documents: BTreeMap::new(), identity: known.then(|| json!({ "objects": references })) })
}

/// An object as it is declared.
struct Declared {
    object: Value,
    /// The input that it is in.
    path: Path,
    /// Where in that, of several: `document 2 of manifests/app.yaml`.
    origin: Option<String>,
}

/// The references of an identity.
pub(super) fn references(identity: &Json) -> Vec<ObjectRef> {
    serde_json::from_value(identity["objects"].clone()).unwrap_or_default()
}

/// The objects of the normal form with their references; what is not wholly known is left out.
pub(super) fn known_objects(inputs: &Value) -> Vec<(String, ObjectRef, Json)> {
    let namespace = inputs.get("namespace").cloned().unwrap_or_else(|| DEFAULT_NAMESPACE.into());
    let entries = inputs.get("objects").and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    entries
        .filter_map(|(key, object)| {
            let reference = reference(object, &namespace).ok().flatten()?;
            Some((key.to_string(), reference, object.to_json()?))
        })
        .collect()
}

/// What the objects take up whose names are known.
pub(super) fn footprint(inputs: &Value) -> Footprint {
    let namespace = inputs.get("namespace").cloned().unwrap_or_else(|| DEFAULT_NAMESPACE.into());
    let objects = inputs.get("objects").and_then(Value::as_map).into_iter().flat_map(|m| m.values());
    let known = objects.filter_map(|object| {
        let reference = reference(object, &namespace).ok().flatten()?;
        Some((reference, object.to_json_lossy()))
    });
    let known: Vec<(ObjectRef, Json)> = known.collect();
    Footprint::of(known.iter().map(|(reference, object)| (reference, object)))
}

/// The images that the objects run.
pub(super) fn images(inputs: &Value) -> Vec<Runs> {
    let Some(objects) = inputs.get("objects").and_then(Value::as_map) else {
        return vec![Runs::unknown("", "its objects are not known before something is applied")];
    };
    let plain: Vec<Json> = objects.values().map(|object| with_placeholders(object).0).collect();
    images_of_objects(&plain, &Hidden::of([inputs]))
}

/// The objects as rules look at them: what is not known stands as a placeholder, and no secret does.
pub(super) fn matters(inputs: &Value) -> Vec<Matter> {
    let hidden = Hidden::of([inputs]);
    let objects = inputs.get("objects").and_then(Value::as_map).into_iter().flat_map(|m| m.values());
    let seen: Vec<Json> = objects.map(|object| without_secrets(with_placeholders(object).0, &hidden)).collect();
    if seen.is_empty() { Vec::new() } else { vec![Matter::Objects(seen)] }
}

/// Each object whose name is known: of one group and kind, in whatever version.
pub(super) fn soles(inputs: &Value) -> Vec<Sole> {
    let namespace = inputs.get("namespace").cloned().unwrap_or_else(|| DEFAULT_NAMESPACE.into());
    let objects = inputs.get("objects").and_then(Value::as_map).into_iter().flat_map(|m| m.values());
    let sole = |object: &Value| {
        let reference = reference(object, &namespace).ok().flatten()?;
        let group = reference.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let key = json!([group, reference.kind, reference.namespace, reference.name]);
        Some(Sole {
            key: Digest::of_value(&key),
            part: Some(Part { group: group.to_owned(), name: reference.to_string() }),
            problem: Diagnostic::error("object_twice", format!("declare {reference}"))
                .because(
                    "each would take the other one's fields away, and removing one would delete the object of both",
                )
                .hint("declare it in one of them only; what the other one needs of it, it can refer to"),
        })
    };
    objects.filter_map(sole).collect()
}

/// `None` where a part of the name is not known yet.
fn reference(object: &Value, namespace: &Value) -> Result<Option<ObjectRef>, String> {
    if object.as_map().is_none() {
        return Err("it is no map".to_owned());
    }
    let metadata = object.get("metadata");
    if metadata.is_some_and(Value::is_unknown) {
        return Ok(None);
    }
    let mut unknown = false;
    let mut text = |value: Option<&Value>, what: &str| match value.map(|v| (v, v.as_str())) {
        Some((_, Some(text))) if !text.is_empty() => Ok(text.to_owned()),
        Some((v, _)) if v.is_unknown() => {
            unknown = true;
            Ok(String::new())
        }
        _ => Err(format!("{what} is missing or no string")),
    };
    let api_version = text(object.get("apiVersion"), "apiVersion")?;
    let kind = text(object.get("kind"), "kind")?;
    let name = text(metadata.and_then(|m| m.get("name")), "metadata.name")?;
    let own = metadata.and_then(|m| m.get("namespace")).filter(|v| !v.is_null());
    let namespace = if CLUSTER_WIDE.contains(&kind.as_str()) {
        None
    } else {
        Some(text(Some(own.unwrap_or(namespace)), "metadata.namespace")?)
    };
    Ok((!unknown).then_some(ObjectRef { api_version, kind, namespace, name }))
}

/// A Secret's content is never shown.
pub(super) fn secret_marked(object: &Value) -> Value {
    let Some(entries) = object.as_map().filter(|_| object.get("kind").and_then(Value::as_str) == Some("Secret")) else {
        return object.clone();
    };
    let marked = entries.iter().map(|(key, value)| {
        let value = match (&**key, value.as_map()) {
            ("data" | "stringData", Some(content)) => {
                Value::object(content.iter().map(|(k, v)| (k.clone(), v.clone().sensitive())))
            }
            _ => value.clone(),
        };
        (key.clone(), value)
    });
    Value::object(marked).with_mark(object.is_sensitive())
}

/// A text with a line break is YAML itself; anything else is a path.
fn read(
    request: &Prepare<'_>,
    text: &str,
    sensitive: bool,
    place: &Path,
    objects: &mut Vec<Declared>,
    problems: &mut Diagnostics,
) {
    if text.trim().is_empty() {
        let problem = Diagnostic::error("manifest_yaml", "`yaml` is empty")
            .hint("name a file, a folder, a glob, or write the YAML itself");
        return problems.push(at(request, place, problem));
    }
    let is_text = text.contains('\n');
    let texts = if is_text { Ok(vec![("the text".to_owned(), text.to_owned())]) } else { files(request.sources, text) };
    let found = texts.and_then(|texts| {
        texts
            .into_iter()
            .map(|(file, text)| match yaml::documents(&text) {
                Ok(documents) => Ok((file, documents)),
                Err(why) if is_text => Err(why),
                Err(why) => Err(format!("{file}: {why}")),
            })
            .collect::<Result<Vec<_>, _>>()
    });
    match found {
        Ok(texts) if texts.iter().all(|(_, documents)| documents.is_empty()) => {
            let summary = if is_text {
                "there is no object in `yaml`".to_owned()
            } else {
                format!("there is no object in {text}")
            };
            let problem = Diagnostic::error("manifest_yaml", summary)
                .because("it holds nothing but comments and empty documents")
                .hint("write an object, or take it out of `yaml`");
            problems.push(at(request, place, problem));
        }
        Ok(texts) => {
            for (file, documents) in texts {
                take(documents, sensitive, place, &file, objects);
            }
        }
        Err(why) => {
            let problem = Diagnostic::error("manifest_yaml", "the YAML cannot be read").because(why);
            problems.push(at(request, place, problem));
        }
    }
}

/// What kustomize makes of a folder.
fn built(
    request: &Prepare<'_>,
    path: &str,
    sensitive: bool,
    place: &Path,
    objects: &mut Vec<Declared>,
    problems: &mut Diagnostics,
) {
    let found = normalize("", path)
        .and_then(|folder| request.sources.kustomize(&folder))
        .map_err(|e| e.to_string())
        .and_then(|bytes| String::from_utf8(bytes.to_vec()).map_err(|_| "what it makes is no UTF-8 text".to_owned()))
        .and_then(|text| yaml::documents(&text));
    match found {
        Ok(documents) => take(documents, sensitive, place, &format!("what {path} makes"), objects),
        Err(why) => {
            let problem = Diagnostic::error("manifest_kustomize", "the kustomization cannot be built").because(why);
            problems.push(at(request, place, problem));
        }
    }
}

/// The objects of the documents of one text; those of a list one by one.
fn take(documents: Vec<Json>, sensitive: bool, path: &Path, file: &str, objects: &mut Vec<Declared>) {
    for (n, document) in documents.into_iter().enumerate() {
        // A list has no name of its own, whatever type it is a list of.
        let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        let items = match document.get("items").and_then(Json::as_array).filter(|_| is_list) {
            Some(items) => items.clone(),
            None => vec![document],
        };
        let declared = |object: &Json| Declared {
            object: Value::from_json(object).with_mark(sensitive),
            path: path.clone(),
            origin: Some(format!("document {} of {file}", n + 1)),
        };
        objects.extend(items.iter().map(declared));
    }
}

/// A file, the YAML files of a folder, or those that a pattern with `*` names.
pub(super) fn files(sources: &dyn Sources, path: &str) -> Result<Vec<(String, String)>, String> {
    let path = normalize("", path).map_err(|e| e.to_string())?;
    let one = |path: &str| -> Result<(String, String), String> {
        let bytes = sources.read(path).map_err(|e| e.to_string())?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| format!("{path} is no UTF-8 text"))?;
        Ok((path.to_owned(), text))
    };
    let is_yaml = |name: &str| [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
    if !path.contains('*') {
        return match sources.read(&path) {
            Ok(_) => Ok(vec![one(&path)?]),
            Err(error) => {
                let names = sources.list(&path).map_err(|_| error.to_string())?;
                let found: Vec<_> = names.iter().filter(|n| is_yaml(n)).collect();
                if found.is_empty() {
                    return Err(format!("the folder {path} has no file that ends with .yaml, .yml or .json"));
                }
                found.into_iter().map(|n| one(&format!("{path}/{n}"))).collect()
            }
        };
    }
    let (folder, pattern) = path.rsplit_once('/').unwrap_or((".", &path));
    if folder.contains('*') {
        return Err(format!("{path}: `*` matches within a file's name, not within a folder's"));
    }
    let names = sources.list(folder).map_err(|e| e.to_string())?;
    let found: Vec<_> = names.iter().filter(|n| matches(pattern, n)).map(|n| format!("{folder}/{n}")).collect();
    if found.is_empty() {
        return Err(format!("{path} matches no file"));
    }
    found.iter().map(|path| one(path.trim_start_matches("./"))).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len().saturating_sub(1)] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    !name.ends_with('/') && (parts.len() == 1 && rest.is_empty() || parts.len() > 1 && rest.ends_with(last))
}

fn at(request: &Prepare<'_>, path: &Path, problem: Diagnostic) -> Diagnostic {
    let span = (request.place)(path).or_else(|| (request.place)(&Path(path.0[..1.min(path.0.len())].to_vec())));
    match span {
        Some(span) => problem.at(&span, ""),
        None => problem,
    }
}
