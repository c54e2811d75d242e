//! Where in the plan's files a field of an object is written: for what the cluster refuses. Looked for only then.

use crate::{
    base::{Path, Span, Step},
    kinds::{Context, manifest::desired, parse_path},
    world::ObjectRef,
};
use saphyr::{LoadableYamlNode as _, MarkedYaml, YamlData};
use serde_json::Value as Json;
use std::{fmt::Write as _, ops::Range};

/// A place in what is declared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Place {
    /// The input that it is in, as far as it leads.
    pub(super) path: Path,
    /// `manifests/app.yaml:12`, or `line 12 of the text`, where it is YAML.
    pub(super) line: Option<String>,
    /// The same as a span, where the YAML is a file.
    pub(super) span: Option<Span>,
}

/// The place of the first field that the server's words name; that of the object where they name none.
pub(super) fn of_failure(context: &Context, reference: &ObjectRef, object: &Json, message: &str) -> Place {
    let field =
        field(message).map(|text| indexed(&text, object)).and_then(|text| parse_path(&text)).unwrap_or_default();
    let written = &context.written;
    let root = Path::default();
    if written.get("object").is_some_and(|o| !o.is_null()) {
        let mut path = root.key("object");
        path.0.extend(field.0);
        return Place { path, ..Place::default() };
    }
    let yaml = written.get("yaml").filter(|y| !y.is_null());
    let texts: Vec<(Path, &str)> = match yaml.map(|y| (y.as_str(), y.as_seq())) {
        Some((Some(text), _)) => vec![(root.key("yaml"), text)],
        Some((_, Some(items))) => {
            let at = |n: usize| root.key("yaml").index(n);
            items.iter().enumerate().filter_map(|(n, item)| Some((at(n), item.as_str()?))).collect()
        }
        _ => Vec::new(),
    };
    for (path, text) in texts {
        if text.contains('\n') {
            if let Some(found) = in_text(text, reference, &field) {
                return Place { path, line: Some(format!("line {} of the text", found.line)), span: None };
            }
            continue;
        }
        for (file, content) in desired::files(&*context.sources, text).unwrap_or_default() {
            if let Some(found) = in_text(&content, reference, &field) {
                let span = Span::new(file.as_str(), found.bytes);
                return Place { path, line: Some(format!("{file}:{}", found.line)), span: Some(span) };
            }
        }
    }
    let attribute = if written.get("kustomize").is_some_and(|k| !k.is_null()) { "kustomize" } else { "yaml" };
    Place { path: root.key(attribute), ..Place::default() }
}

/// The field that the server's words are about: `spec.replicas`, `spec.template.spec.containers[name="web"].image`.
fn field(message: &str) -> Option<String> {
    let quoted = |before: &str| {
        let rest = &message[message.find(before)? + before.len()..];
        Some(rest[..rest.find('"')?].to_owned())
    };
    if let Some(unknown) = quoted("unknown field \"") {
        return Some(unknown);
    }
    // `failed to create typed patch object (ns/name; v1, Kind=X): .spec.foo: field not declared in schema`, or
    // `conflict with "kubectl" using apps/v1: .spec.replicas`.
    if let Some(at) = message.find(": .") {
        return Some(path_at(&message[at + 3..]).to_owned());
    }
    // `X "name" is invalid: spec.replicas: Invalid value`, or several of them in brackets.
    let rest = &message[message.find("is invalid: ")? + "is invalid: ".len()..];
    let path = path_at(rest.trim_start_matches('['));
    path.starts_with(|c: char| c.is_ascii_lowercase()).then(|| path.to_owned())
}

/// The path that a text begins with: it ends before `: `, a space or a comma outside of brackets.
fn path_at(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ':' | ' ' | ',' | '\n' if depth <= 0 => return &text[..at],
            _ => {}
        }
    }
    text
}

/// `containers[name="web"]` as `containers[1]`, by the object.
fn indexed(path: &str, object: &Json) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(open) = rest.find('[') {
        let Some(close) = rest[open..].find(']').map(|n| open + n) else { break };
        out.push_str(&rest[..open]);
        let inside = &rest[open + 1..close];
        if inside.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str(&rest[open..=close]);
        } else {
            let keys: Vec<(&str, &str)> = inside.split(',').filter_map(|pair| pair.split_once('=')).collect();
            let items =
                parse_path(&out).and_then(|p| at(object, &p).and_then(Json::as_array).cloned()).unwrap_or_default();
            let fits = |item: &Json| {
                keys.iter().all(|(key, value)| {
                    let quoted = serde_json::from_str::<Json>(value).ok();
                    quoted.is_some_and(|value| value == item[*key]) || item[*key].as_str() == Some(value)
                })
            };
            match items.iter().position(|item| !keys.is_empty() && fits(item)) {
                Some(n) => {
                    let _ = write!(out, "[{n}]");
                }
                None => return out,
            }
        }
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    out
}

fn at<'j>(object: &'j Json, path: &Path) -> Option<&'j Json> {
    path.0.iter().try_fold(object, |json, step| match step {
        Step::Key(key) => json.get(&**key),
        Step::Index(n) => json.get(n),
    })
}

/// A place in a text.
struct Found {
    line: usize,
    bytes: Range<usize>,
    /// Of the value, where it is a scalar.
    value: Option<Range<usize>>,
}

/// Where the field of an object is in a text of YAML documents; as far as the path leads.
fn in_text(text: &str, reference: &ObjectRef, field: &Path) -> Option<Found> {
    let documents = MarkedYaml::load_from_str(text).ok()?;
    let object = documents.iter().find_map(|document| find(document, reference))?;
    let mut node = object;
    let mut shown = object.span;
    let mut left = field.0.len();
    for step in &field.0 {
        match (&node.data, step) {
            (YamlData::Mapping(entries), Step::Key(name)) => {
                let Some((key, value)) = entries.iter().find(|(key, _)| text_of(key) == Some(name)) else { break };
                shown = key.span;
                node = value;
            }
            (YamlData::Sequence(items), step) => {
                // Plans name elements by their names.
                let is = |item: &&MarkedYaml<'_>| matches!(step, Step::Key(name) if entry(item, "name").and_then(text_of) == Some(name));
                let item = match step {
                    Step::Index(n) => items.get(*n),
                    Step::Key(_) => items.iter().find(is),
                };
                let Some(item) = item else { break };
                shown = item.span;
                node = item;
            }
            _ => break,
        }
        left -= 1;
    }
    let byte = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
    let (start, end) = (byte(shown.start.index()), byte(shown.end.index()));
    // Of a whole object only its first line is shown.
    let end = text[start..end].find('\n').map_or(end, |n| start + n);
    let is_scalar = matches!(node.data, YamlData::Value(_) | YamlData::Representation(..));
    // The blanks behind a quoted value are in its span.
    let trimmed = |range: Range<usize>| range.start..range.start + text[range].trim_end().len();
    let value = (left == 0 && is_scalar).then(|| trimmed(byte(node.span.start.index())..byte(node.span.end.index())));
    Some(Found { line: shown.start.line(), bytes: start..end, value })
}

/// Where the value of a field of an object is written in a text of YAML documents, where it is a scalar there.
pub(super) fn value_of(text: &str, object: &str, field: &Path) -> Option<Range<usize>> {
    let documents = MarkedYaml::load_from_str(text).ok()?;
    let mut objects: Vec<ObjectRef> = Vec::new();
    for document in &documents {
        listed(document, &mut objects);
    }
    // What names no namespace gets that of its block.
    let without =
        object.split_once(' ').map(|(kind, name)| format!("{kind} {}", name.rsplit('/').next().unwrap_or(name)));
    let named = |r: &&ObjectRef| r.to_string() == object || (r.namespace.is_none() && Some(r.to_string()) == without);
    in_text(text, objects.iter().find(named)?, field)?.value
}

/// The objects of a document.
fn listed(document: &MarkedYaml<'_>, out: &mut Vec<ObjectRef>) {
    if let Some(YamlData::Sequence(items)) = entry(document, "items").map(|items| &items.data) {
        for item in items {
            listed(item, out);
        }
        return;
    }
    let text = |node: Option<&MarkedYaml<'_>>, name: &str| {
        node.and_then(|n| entry(n, name)).and_then(text_of).map(str::to_owned)
    };
    let metadata = entry(document, "metadata");
    let parts = (text(Some(document), "apiVersion"), text(Some(document), "kind"), text(metadata, "name"));
    if let (Some(api_version), Some(kind), Some(name)) = parts {
        out.push(ObjectRef { api_version, kind, namespace: text(metadata, "namespace"), name });
    }
}

/// The object itself, or the one in a list.
fn find<'n, 'y>(document: &'n MarkedYaml<'y>, reference: &ObjectRef) -> Option<&'n MarkedYaml<'y>> {
    if entry(document, "kind").and_then(text_of) == Some("List") {
        let YamlData::Sequence(items) = &entry(document, "items")?.data else { return None };
        return items.iter().find_map(|item| find(item, reference));
    }
    let metadata = entry(document, "metadata")?;
    let namespace = entry(metadata, "namespace").and_then(text_of);
    let is = entry(document, "apiVersion").and_then(text_of) == Some(&reference.api_version)
        && entry(document, "kind").and_then(text_of) == Some(&reference.kind)
        && entry(metadata, "name").and_then(text_of) == Some(&reference.name)
        && namespace.is_none_or(|n| reference.namespace.as_deref() == Some(n));
    is.then_some(document)
}

fn entry<'n, 'y>(node: &'n MarkedYaml<'y>, name: &str) -> Option<&'n MarkedYaml<'y>> {
    let YamlData::Mapping(entries) = &node.data else { return None };
    entries.iter().find(|(key, _)| text_of(key) == Some(name)).map(|(_, value)| value)
}

fn text_of<'n>(node: &'n MarkedYaml<'_>) -> Option<&'n str> {
    match &node.data {
        YamlData::Value(saphyr::Scalar::String(text)) | YamlData::Representation(text, ..) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_servers_words_name_a_field() {
        for (message, expected) in [
            ("failed to create typed patch object (/x; v1, Kind=ConfigMap): .dta: field not declared in schema", "dta"),
            (
                "failed to create typed patch object (/x; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string",
                "spec.replicas",
            ),
            (
                "Deployment.apps \"x\" is invalid: [spec.replicas: Invalid value: -2: must be, spec.b: Required value]",
                "spec.replicas",
            ),
            (
                "Deployment.apps \"x\" is invalid: spec.template.spec.containers[0].image: Required value",
                "spec.template.spec.containers[0].image",
            ),
            ("strict decoding error: unknown field \"spec.extent\"", "spec.extent"),
            ("Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas", "spec.replicas"),
        ] {
            assert_eq!(field(message).as_deref(), Some(expected), "{message}");
        }
        assert_eq!(field("admission webhook \"a\" denied the request: no"), None);
    }

    #[test]
    fn an_element_that_is_named_by_its_keys_is_found_by_its_place() {
        let object = json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}});
        assert_eq!(indexed("spec.containers[name=\"b\"].image", &object), "spec.containers[1].image");
        assert_eq!(
            indexed("spec.containers[1].ports[containerPort=80,protocol=\"TCP\"].hostPort", &object),
            "spec.containers[1].ports[0].hostPort"
        );
        assert_eq!(indexed("spec.containers[name=\"c\"].image", &object), "spec.containers");
    }

    #[test]
    fn a_field_has_its_line_in_the_document_that_is_meant() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\nkind: List\nitems:\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata:\n    name: web\n  spec:\n    replicas: two\n";
        let reference = ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        let found = |path: &str| {
            let found = in_text(text, &reference, &parse_path(path).unwrap()).unwrap();
            (found.line, &text[found.bytes])
        };
        assert_eq!(found("spec.replicas"), (13, "replicas"));
        assert_eq!(found("spec.template.spec"), (12, "spec"));
    }
}
