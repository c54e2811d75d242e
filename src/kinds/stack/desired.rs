//! From what is written in a `stack` block to what CloudFormation is asked for, checked before any service is.

use crate::{
    base::{Data, Diagnostic, Diagnostics, Path, Value},
    cfn::{Capability, Template},
    kinds::{
        Desired, Prepare, is_own_tag,
        stack::{colored, import, nested},
    },
    lang::normalize,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The longest name of a stack, by the API reference of CreateStack.
const NAME_LIMIT: usize = 128;
/// The name of the template among the documents.
pub(super) const TEMPLATE: &str = "template";
/// The name of the stack policy among the documents.
pub(super) const POLICY: &str = "stack_policy";

/// Makes the normal form: parameters as the strings that the service takes, defaults filled in, the template a document.
pub(super) fn prepare(request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut documents = BTreeMap::new();
    let mut inputs: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let given = |name: &str| request.inputs.get(name).filter(|v| !v.is_null());

    let mut template = None;
    let mut inner = BTreeSet::new();
    if let Some(path) = given("template").and_then(Value::as_str) {
        inputs.insert("template".into(), path.into());
        if let Some((path, text)) = read(request, "template", path, &mut problems) {
            let (parsed, found) = Template::parse(&path, &text);
            problems.extend(found);
            let packaged = nested::package(&parsed, &text, request.sources, &mut documents, &mut problems);
            documents.insert(TEMPLATE.to_owned(), Arc::from(packaged.text.as_str()));
            inner = packaged.capabilities;
            template = Some(parsed);
        }
    }
    if let Some(path) = given("stack_policy").and_then(Value::as_str)
        && let Some((_, text)) = read(request, "stack_policy", path, &mut problems)
    {
        if serde_json::from_str::<serde_json::Value>(&text).is_err() {
            problems.push(at(
                request,
                "stack_policy",
                Diagnostic::error("stack_policy", "the stack policy is no JSON"),
            ));
        }
        documents.insert(POLICY.to_owned(), Arc::from(text.as_str()));
        inputs.insert("stack_policy".into(), path.into());
    }

    let parameters = parameters(request, template.as_ref().filter(|_| !problems.has_errors()), &mut problems);
    inputs.insert("parameters".into(), parameters);
    if let Some(tags) = given("tags") {
        for (key, _) in tags.as_map().into_iter().flat_map(|m| m.iter()) {
            if !is_own_tag(key) {
                let problem = Diagnostic::error("reserved_tag", format!("the tag `{key}` is reserved")).because(
                    "tags that begin with `aws:` are CloudFormation's, those with `terrace:` say whose the stack is",
                );
                problems.push(at(request, "tags", problem));
            }
        }
        if tags.as_map().is_none_or(|m| !m.is_empty()) {
            inputs.insert("tags".into(), tags.clone());
        }
    }
    if let Some(written) = given("import_resources") {
        inputs.insert("import_resources".into(), import::prepare(request, written, template.as_ref(), &mut problems));
    }
    inputs.insert("capabilities".into(), capabilities(request.inputs, template.as_ref(), &inner));
    for name in ["role_arn", "termination_protection", "notification_arns", "on_create_failure"] {
        if let Some(value) = given(name) {
            inputs.insert(name.into(), value.clone());
        }
    }
    let name = match given("name") {
        Some(name) if name.is_unknown() => None,
        Some(name) => name.as_str().map(str::to_owned),
        None => Some(
            request
                .fixed
                .and_then(|f| f["name"].as_str())
                .map_or_else(|| request.marks.physical_name(request.address, NAME_LIMIT), str::to_owned),
        ),
    };
    if let Some(name) = &name {
        if !is_name(name) {
            let problem = Diagnostic::error("stack_name", format!("`{name}` is no stack name"))
                .because("a stack's name begins with a letter and has at most 128 letters, digits and hyphens");
            problems.push(at(request, "name", problem));
        }
        inputs.insert("name".into(), name.as_str().into());
    } else {
        inputs.insert("name".into(), Value::UNKNOWN);
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let desired =
        Desired { inputs: Value::object(inputs), documents, identity: name.map(|name| json!({ "name": name })) };
    if request.address.unit().is_some() {
        colored::check(request, &desired)?;
    }
    Ok(desired)
}

/// The template among the documents of a desired or live stack.
pub(super) fn template_of(documents: &BTreeMap<String, Arc<str>>, inputs: &Value) -> Option<Template> {
    let text = documents.get(TEMPLATE)?;
    let file = inputs.get("template").and_then(Value::as_str).unwrap_or("template");
    Some(Template::parse(file, text).0)
}

/// Parameters whose value is known, and names of those whose value is not.
pub(super) fn known_parameters(inputs: &Value) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut known = BTreeMap::new();
    let mut later = BTreeSet::new();
    for (name, value) in inputs.get("parameters").and_then(Value::as_map).into_iter().flat_map(|m| m.iter()) {
        match value.as_str() {
            Some(text) => drop(known.insert(name.to_string(), text.to_owned())),
            None => drop(later.insert(name.to_string())),
        }
    }
    (known, later)
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_LIMIT
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn read(request: &Prepare<'_>, attribute: &str, path: &str, problems: &mut Diagnostics) -> Option<(String, String)> {
    let found = normalize("", path)
        .and_then(|path| request.sources.read(&path).map(|bytes| (path, bytes)))
        .map_err(|e| e.to_string())
        .and_then(|(path, bytes)| {
            String::from_utf8(bytes.to_vec())
                .map(|text| (path.clone(), text))
                .map_err(|_| format!("{path} is no UTF-8 text"))
        });
    match found {
        Ok(found) => Some(found),
        Err(why) => {
            let problem = Diagnostic::error("unreadable_file", format!("`{attribute}` cannot be read"))
                .because(why)
                .hint("paths are relative to the project; write \"${path.project}/...\" or \"${path.module}/...\"");
            problems.push(at(request, attribute, problem));
            None
        }
    }
}

/// Every parameter as the service takes it: text, lists joined with commas. A `NoEcho` one is sensitive, and one with a
/// default that is not given has that.
fn parameters(request: &Prepare<'_>, template: Option<&Template>, problems: &mut Diagnostics) -> Value {
    let mut out: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let written = request.inputs.get("parameters");
    let entries = written.and_then(Value::as_map);
    for (name, value) in entries.into_iter().flat_map(|m| m.iter()).filter(|(_, v)| !v.is_null()) {
        match parameter_text(value) {
            Ok(text) => {
                let mark = value.has_sensitive() || written.is_some_and(Value::is_sensitive);
                out.insert(name.clone(), text.with_mark(mark));
            }
            Err(why) => {
                let problem = Diagnostic::error("parameter_type", format!("the parameter `{name}` {why}"))
                    .because("a template's parameter takes a string, a number, a bool, or a list of these");
                problems.push(place(request, &["parameters", name], problem));
            }
        }
    }
    if let Some(template) = template {
        for (name, declared) in &template.parameters {
            if let Some(value) = out.get_mut(name.as_str()) {
                *value = value.clone().with_mark(declared.no_echo);
            }
        }
        // Where the parameters as a whole are not known yet, none of them can be missing.
        if !written.is_some_and(Value::is_unknown) {
            let mut known = BTreeMap::new();
            let mut later = BTreeSet::new();
            for (name, value) in &out {
                match value.as_str() {
                    Some(text) => drop(known.insert(name.to_string(), text.to_owned())),
                    None => drop(later.insert(name.to_string())),
                }
            }
            for mut problem in template.check_known_parameters(&known, &later).0 {
                let name = problem.summary.split('`').rev().nth(1).unwrap_or_default().to_owned();
                let path = Path::default().key("parameters");
                let span = (request.place)(&path.key(&name)).or_else(|| (request.place)(&path));
                if let Some(span) = span.or_else(|| (request.place)(&Path::default().key("template"))) {
                    problem.labels.insert(0, crate::base::Label { span, text: String::new() });
                }
                problems.push(problem);
            }
        }
        for (name, declared) in &template.parameters {
            if let Some(default) = &declared.default
                && !out.contains_key(name.as_str())
            {
                out.insert(name.as_str().into(), Value::from(default.as_str()).with_mark(declared.no_echo));
            }
        }
    }
    Value::object(out)
}

pub(super) fn parameter_text(value: &Value) -> Result<Value, String> {
    Ok(match value.data() {
        Data::String(_) | Data::Unknown(_) | Data::Sealed(_) => value.clone(),
        Data::Bool(b) => Value::from(b.to_string()),
        Data::Number(n) => Value::from(n.to_string()),
        Data::Sequence(_, elements) => {
            if let Some(unknown) = elements.iter().find(|v| v.is_unknown()) {
                return Ok(unknown.clone());
            }
            let texts: Option<Vec<String>> =
                elements.iter().map(|v| parameter_text(v).ok().and_then(|v| v.as_str().map(str::to_owned))).collect();
            Value::from(texts.ok_or("is a list of something else than strings, numbers and bools")?.join(","))
        }
        Data::Mapping(..) => return Err("is an object".to_owned()),
        Data::Null => return Err("is null".to_owned()),
    })
}

/// What the template and those nested in it need acknowledged, and what is asked for beside. A nested stack may bring
/// named resources that its parent knows nothing of, and the stronger acknowledgement holds for both.
fn capabilities(inputs: &Value, template: Option<&Template>, inner: &BTreeSet<Capability>) -> Value {
    let mut needed = template.map(Template::capabilities).unwrap_or_default();
    needed.extend(inner);
    if needed.contains(&Capability::NamedIam) {
        needed.remove(&Capability::Iam);
    }
    let mut all: BTreeSet<String> = needed.iter().map(ToString::to_string).collect();
    for given in inputs.get("capabilities").and_then(Value::as_seq).into_iter().flat_map(|s| s.iter()) {
        all.extend(given.as_str().map(str::to_owned));
    }
    Value::tuple(all.into_iter().map(Value::from).collect())
}

fn at(request: &Prepare<'_>, attribute: &str, problem: Diagnostic) -> Diagnostic {
    place(request, &[attribute], problem)
}

pub(super) fn place(request: &Prepare<'_>, path: &[&str], problem: Diagnostic) -> Diagnostic {
    let path = path.iter().fold(Path::default(), |p, key| p.key(key));
    match (request.place)(&path) {
        Some(span) => problem.at(&span, ""),
        None => problem,
    }
}
