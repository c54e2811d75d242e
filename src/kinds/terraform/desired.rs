//! What is written, brought to normal form: which root, which state of it, which values.

use crate::{
    base::{Diagnostic, Diagnostics, Digest, Path, Value},
    kinds::{Desired, Marks, Prepare},
    lang::normalize,
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// What is handed on as it is written.
const AS_WRITTEN: [&str; 4] = ["inputs", "sensitive_inputs", "backend", "environment"];
/// What says which state it is: another one is another root.
const WHERE: [&str; 2] = ["workspace", "backend"];
/// The longest name of a root's own folder, less its digest.
const KEY_LIMIT: usize = 48;

pub(super) fn prepare(request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
    let mut problems = Diagnostics::new();
    let given = |name: &str| request.inputs.get(name).filter(|v| !v.is_null());
    let mut inputs: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for name in AS_WRITTEN {
        if let Some(value) = given(name) {
            // Each by itself, so that each is known again in what the root made of it.
            let value = if name == "sensitive_inputs" { value.sensitive_leaves() } else { value.clone() };
            inputs.insert(name.into(), value);
        }
    }
    let mut fail = |path: Path, what: String, hint: Option<&str>| {
        let mut problem = Diagnostic::error("terraform", what);
        if let Some(hint) = hint {
            problem = problem.hint(hint);
        }
        problems.push(match (request.place)(&path) {
            Some(span) => problem.at(&span, ""),
            None => problem,
        });
    };
    let at = |name: &str| Path::default().key(name);
    let root = given("root").cloned().unwrap_or(Value::NULL);
    match root.as_str().map(|folder| normalize("", folder)) {
        Some(Ok(folder)) => {
            match request.sources.list(&folder) {
                Err(error) => fail(at("root"), error.to_string(), Some("`root` is a folder of the project")),
                Ok(names) if !names.iter().any(|n| is_configuration(n)) => fail(
                    at("root"),
                    format!("`{folder}` is no root module: there is no .tf file in it"),
                    Some("name the folder that holds the root's .tf files"),
                ),
                Ok(_) => {}
            }
            inputs.insert("root".into(), folder.into());
        }
        Some(Err(error)) => fail(at("root"), error.to_string(), None),
        None => drop(inputs.insert("root".into(), root)),
    }
    let files = given("var_files").and_then(Value::as_seq).into_iter().flat_map(|s| s.iter().cloned());
    let mut cleaned = Vec::new();
    for (index, file) in files.enumerate() {
        match file.as_str().map(|f| normalize("", f)) {
            Some(Ok(file)) => cleaned.push(file.into()),
            Some(Err(error)) => fail(at("var_files").index(index), error.to_string(), None),
            None => cleaned.push(file),
        }
    }
    if !cleaned.is_empty() {
        inputs.insert("var_files".into(), Value::tuple(cleaned));
    }
    let keys = |name: &str| given(name).and_then(Value::as_map).cloned().unwrap_or_default();
    let secret = keys("sensitive_inputs");
    for name in keys("inputs").keys().filter(|name| secret.contains_key(*name)) {
        fail(at("inputs").key(name), format!("`{name}` is in `inputs` and in `sensitive_inputs`"), Some("keep one"));
    }
    inputs.insert("program".into(), given("program").cloned().unwrap_or_else(|| "terraform".into()));
    let workspace = given("workspace").cloned().unwrap_or_else(|| default_workspace(request.marks).into());
    inputs.insert("workspace".into(), workspace);
    let inputs = Value::object(inputs);
    let key = request.fixed.and_then(|f| f["key"].as_str()).map_or_else(|| key(request), str::to_owned);
    let identity = identity(&inputs, &key);
    if let (Some(wanted), Some(fixed)) = (&identity, request.fixed) {
        let moved = |name: &&&str| {
            // What is being taken over says less than what was applied.
            let says = fixed["key"].is_string() || fixed.get(**name).is_some();
            says && nothing(&fixed[**name]) != nothing(&wanted[**name])
        };
        for name in WHERE.iter().filter(moved) {
            fail(
                at(name),
                format!("`{name}` says which state the root has, and is another one than it was applied with"),
                Some(
                    "put it back; to move the state, do so with the program's own `init -migrate-state`, then \
                     `terrace state rm` and `import` it under its new place",
                ),
            );
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Desired { inputs, documents: BTreeMap::new(), identity })
}

/// No settings at all are the same as none written.
fn nothing(value: &Json) -> Option<&Json> {
    Some(value).filter(|v| !v.is_null() && v.as_object().is_none_or(|m| !m.is_empty()))
}

fn is_configuration(name: &str) -> bool {
    [".tf", ".tf.json", ".tofu", ".tofu.json"].iter().any(|ending| name.ends_with(ending))
}

/// The environment's name; on the sandbox another, since the program is the real one there, and what it makes for a try must
/// not be mixed with what the environment itself has.
fn default_workspace(marks: &Marks) -> String {
    if &*marks.world == "sandbox" { format!("{}-sandbox", marks.env) } else { marks.env.to_string() }
}

/// The name of the folder that the root's program works in.
fn key(request: &Prepare<'_>) -> String {
    let marks = request.marks;
    let whole = json!([marks.project, marks.plan, marks.env, marks.world, marks.account, request.address.as_str()]);
    let digest = Digest::of_value(&whole);
    format!("{}-{}", marks.physical_name(request.address, KEY_LIMIT), digest.short())
}

/// Which state a root has, as a key that tells states apart and in words. Settings of its backend are known by their values,
/// secret ones too.
pub(super) fn state_of(desired: &Desired) -> Option<(Digest, String)> {
    let identity = desired.identity.as_ref()?;
    let (root, workspace) = (identity["root"].as_str()?, identity["workspace"].as_str()?);
    let backend = match desired.inputs.get("backend").filter(|b| !b.is_null()) {
        Some(backend) => backend.to_json()?,
        None => json!({}),
    };
    let key = Digest::of_value(&json!([root, workspace, backend]));
    Some((key, format!("the state of `{root}` in the workspace `{workspace}`")))
}

/// What state must keep so that the root can be read and destroyed when nothing declares it any more: where it is and what it
/// is given, but for what is secret. `None` where a part of where it is is not known.
fn identity(inputs: &Value, key: &str) -> Option<Json> {
    let text = |name: &str| inputs.get(name).and_then(Value::as_str);
    let workspace = text("workspace")?;
    let mut identity = json!({
        "id": workspace,
        "key": key,
        "root": text("root")?,
        "program": text("program")?,
        "workspace": workspace,
    });
    let mut withheld: Vec<String> = inputs
        .get("sensitive_inputs")
        .and_then(Value::as_map)
        .into_iter()
        .flat_map(|m| m.keys().map(ToString::to_string))
        .collect();
    for name in ["backend", "environment", "var_files", "inputs"] {
        let Some(value) = inputs.get(name) else { continue };
        let Some(entries) = value.as_map() else {
            identity[name] = value.to_json()?;
            continue;
        };
        let mut kept = serde_json::Map::new();
        for (entry, value) in entries.iter() {
            if value.has_sensitive() {
                withheld.push(entry.to_string());
            } else if let Some(json) = value.to_json() {
                kept.insert(entry.to_string(), json);
            } else if name == "backend" {
                return None;
            }
        }
        identity[name] = Json::Object(kept);
    }
    if !withheld.is_empty() {
        identity["withheld"] = json!(withheld);
    }
    Some(identity)
}
