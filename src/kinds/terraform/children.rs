//! A plan in the program's own JSON, read: each resource that changes, what somebody changed behind its back, outputs. Pure.
//!
//! The form is <https://developer.hashicorp.com/terraform/internals/json-format>, of which OpenTofu's is the same.

use crate::{
    base::{ActionWord, Hidden, Value},
    kinds::{Cause, ChildChange, FieldChange},
};
use serde_json::{Map, Value as Json};
use std::{collections::BTreeMap, sync::Arc};

/// Types whose loss is the loss of data, by what their names begin with or are.
const STATEFUL: &[&str] = &[
    "aws_db_",
    "aws_docdb_cluster",
    "aws_dynamodb_table",
    "aws_ebs_volume",
    "aws_ecr_repository",
    "aws_efs_file_system",
    "aws_elasticache_",
    "aws_elasticsearch_domain",
    "aws_fsx_",
    "aws_kinesis_stream",
    "aws_kms_key",
    "aws_memorydb_cluster",
    "aws_msk_cluster",
    "aws_neptune_cluster",
    "aws_opensearch_domain",
    "aws_rds_",
    "aws_redshift_",
    "aws_s3_bucket",
    "aws_secretsmanager_secret",
    "aws_timestreamwrite_",
    "azurerm_managed_disk",
    "azurerm_mssql_database",
    "azurerm_storage_account",
    "google_bigquery_dataset",
    "google_compute_disk",
    "google_sql_database_instance",
    "google_storage_bucket",
    "kubernetes_persistent_volume",
];

/// Whether what is of this type holds data.
pub(super) fn holds_data(kind: &str) -> bool {
    STATEFUL.iter().any(|known| if known.ends_with('_') { kind.starts_with(known) } else { kind == *known })
}

/// What a plan says.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    /// What it would do, and what drifted and would be put back with it.
    pub(super) children: Vec<ChildChange>,
    /// What drifted and would be left as it is.
    pub(super) left: Vec<ChildChange>,
    /// Why something is destroyed or made anew, where no field says so.
    pub(super) reasons: Vec<String>,
    /// The outputs afterwards.
    pub(super) outputs: Value,
    /// Failed `check` blocks and conditions, as far as they are known.
    pub(super) failed_checks: Vec<String>,
    /// Providers that reach beyond the program itself.
    pub(super) providers: Vec<String>,
}

/// Reads a plan. Whatever is or holds one of `hidden` is sensitive, whether or not the root says so.
pub(super) fn read(plan: &Json, hidden: &Hidden) -> Told {
    let drifted: BTreeMap<&str, &Json> =
        each(&plan["resource_drift"]).map(|d| (d["address"].as_str().unwrap_or_default(), d)).collect();
    let mut told = Told {
        children: Vec::new(),
        left: Vec::new(),
        reasons: Vec::new(),
        outputs: outputs(&plan["output_changes"], hidden),
        failed_checks: Vec::new(),
        providers: Vec::new(),
    };
    let mut put_back = Vec::new();
    for change in each(&plan["resource_changes"]) {
        let Some(mut child) = child(change, hidden) else { continue };
        told.reasons.extend(reason(change));
        if let Some(drift) = drifted.get(child.name.as_str()) {
            let before = fields(&drift["change"], hidden);
            for field in &mut child.fields {
                // Put back is what is given now the value that it had before somebody changed it.
                if before.iter().any(|d| d.path == field.path && d.before == field.after && d.after == field.before) {
                    field.cause = Cause::Drift;
                }
            }
            put_back.push(child.name.clone());
        }
        told.children.push(child);
    }
    for (address, drift) in drifted.into_iter().filter(|(address, _)| !put_back.iter().any(|p| p == address)) {
        let action = action_of(&drift["change"]["actions"]).unwrap_or(ActionWord::Update);
        let mut changed = fields(&drift["change"], hidden);
        for field in &mut changed {
            field.cause = Cause::DriftLeft;
        }
        if action == ActionWord::Delete || !changed.is_empty() {
            told.left.push(ChildChange { fields: changed, ..blank(address, drift, action) });
        }
    }
    for check in each(&plan["checks"]).filter(|c| c["status"] == "fail") {
        let name = check["address"]["to_display"].as_str().unwrap_or_default();
        let why = each(&check["instances"]).flat_map(|i| each(&i["problems"])).filter_map(|p| p["message"].as_str());
        let why: Vec<&str> = why.collect();
        told.failed_checks.push(if why.is_empty() { name.to_owned() } else { format!("{name}: {}", why.join("; ")) });
    }
    let providers = plan["configuration"]["provider_config"].as_object().into_iter().flat_map(Map::values);
    let named = providers.filter_map(|p| p["full_name"].as_str().or(p["name"].as_str()));
    told.providers = named.filter(|n| !n.contains("builtin") && *n != "terraform").map(str::to_owned).collect();
    told
}

fn each(array: &Json) -> impl Iterator<Item = &Json> {
    array.as_array().into_iter().flatten()
}

fn action_of(actions: &Json) -> Option<ActionWord> {
    let words: Vec<&str> = each(actions).filter_map(Json::as_str).collect();
    Some(match words.as_slice() {
        ["create"] => ActionWord::Create,
        ["update"] => ActionWord::Update,
        ["delete"] => ActionWord::Delete,
        ["forget"] => ActionWord::Forget,
        ["no-op"] => ActionWord::NoOp,
        // `["create", "forget"]`: the old one is let go of, and stays.
        ["delete", "create"] | ["create", "delete" | "forget"] => ActionWord::Replace,
        _ => return None,
    })
}

fn blank(address: &str, change: &Json, action: ActionWord) -> ChildChange {
    let kind = change["type"].as_str().unwrap_or_default();
    ChildChange {
        name: address.to_owned(),
        kind: kind.to_owned(),
        action,
        maybe_replace: false,
        policy: each(&change["change"]["actions"]).any(|a| a == "forget").then(|| "Retain".to_owned()),
        stateful: holds_data(kind),
        fields: Vec::new(),
    }
}

/// What happens to a resource; nothing for what stays as it is, and for data, which is only read.
fn child(change: &Json, hidden: &Hidden) -> Option<ChildChange> {
    let address = change["address"].as_str()?;
    if change["mode"] != "managed" {
        return None;
    }
    let inner = &change["change"];
    let action = action_of(&inner["actions"])?;
    let imported = inner["importing"].is_object();
    let moved = change["previous_address"].as_str();
    let mut child = blank(address, change, action);
    if matches!(action, ActionWord::Create | ActionWord::Update | ActionWord::Replace) {
        child.fields = fields(inner, hidden);
    }
    if let Some(from) = moved {
        child.fields.insert(0, said("address", Some(from), address));
    }
    if imported {
        let id = inner["importing"]["id"].as_str().unwrap_or("not known before it is applied");
        child.fields.insert(0, said("import", None, id));
    }
    match action {
        ActionWord::NoOp if imported => child.action = ActionWord::Import,
        ActionWord::NoOp if moved.is_none() => return None,
        _ => {}
    }
    Some(child)
}

fn said(path: &str, before: Option<&str>, after: &str) -> FieldChange {
    FieldChange {
        path: path.to_owned(),
        before: before.map(Value::from),
        after: Some(after.into()),
        cause: Cause::Declared,
        forces_replacement: false,
        because: None,
        owner: None,
    }
}

/// Why, where the program says so and the fields do not.
fn reason(change: &Json) -> Option<String> {
    let address = change["address"].as_str()?;
    let why = match change["action_reason"].as_str()? {
        "replace_because_tainted" => "is made anew: it is tainted, since making it failed before".to_owned(),
        "replace_by_request" => "is made anew: that was asked for".to_owned(),
        "replace_by_triggers" => "is made anew: what its replace_triggered_by names changes".to_owned(),
        "delete_because_no_resource_config" => "is destroyed: it is no longer in the configuration".to_owned(),
        "delete_because_no_module" => "is destroyed: its module is no longer in the configuration".to_owned(),
        "delete_because_count_index" => "is destroyed: its count has no such index any more".to_owned(),
        "delete_because_each_key" => "is destroyed: its for_each has no such key any more".to_owned(),
        "delete_because_wrong_repetition" => {
            "is destroyed: it has count or for_each now where it had not, or the other way round".to_owned()
        }
        "delete_because_no_move_target" => "is destroyed: what it was moved to is not in the configuration".to_owned(),
        // The fields say what cannot be changed in place.
        "replace_because_cannot_update" => return None,
        other if other.starts_with("read_") => return None,
        other => format!("is planned so because of `{other}`"),
    };
    Some(format!("{address} {why}"))
}

/// The fields in which a change's two sides differ.
fn fields(change: &Json, hidden: &Hidden) -> Vec<FieldChange> {
    let forced: Vec<String> = each(&change["replace_paths"]).map(path_of).collect();
    let sides = Sides {
        before: &change["before"],
        after: &change["after"],
        unknown: &change["after_unknown"],
        before_secret: &change["before_sensitive"],
        after_secret: &change["after_sensitive"],
    };
    let mut out = Vec::new();
    compare("", sides, hidden, &mut out);
    for field in &mut out {
        let inside = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        field.forces_replacement = forced.iter().any(|f| inside(f, &field.path) || inside(&field.path, f));
    }
    out
}

fn path_of(steps: &Json) -> String {
    each(steps).fold(String::new(), |path, step| match step {
        Json::String(key) => joined(&path, key),
        other => format!("{path}[{other}]"),
    })
}

fn joined(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", Json::from(key)),
    }
}

/// A value before and after, with what is unknown and sensitive in it.
#[derive(Clone, Copy)]
struct Sides<'a> {
    before: &'a Json,
    after: &'a Json,
    unknown: &'a Json,
    before_secret: &'a Json,
    after_secret: &'a Json,
}

impl<'a> Sides<'a> {
    fn key(self, key: &str) -> Self {
        self.map(|json| &json[key])
    }

    fn index(self, index: usize) -> Self {
        self.map(|json| &json[index])
    }

    /// The same step on every side; a mark on the whole stays on every part.
    fn map(self, step: impl Fn(&'a Json) -> &'a Json) -> Self {
        let mark = |json: &'a Json| if json.is_boolean() { json } else { step(json) };
        Self {
            before: step(self.before),
            after: step(self.after),
            unknown: mark(self.unknown),
            before_secret: mark(self.before_secret),
            after_secret: mark(self.after_secret),
        }
    }

    fn secret(self) -> bool {
        *self.before_secret == Json::Bool(true) || *self.after_secret == Json::Bool(true)
    }
}

fn compare(path: &str, sides: Sides<'_>, hidden: &Hidden, out: &mut Vec<FieldChange>) {
    let whole = sides.secret() || *sides.unknown == Json::Bool(true);
    let map = |json: &Json| json.is_object() || json.is_null();
    if !whole
        && map(sides.before)
        && map(sides.after)
        && !(sides.before.is_null() && sides.after.is_null() && !sides.unknown.is_object())
    {
        // Below the top, what appears or goes as a whole is told as a whole.
        let both = sides.before.is_object() && sides.after.is_object();
        if path.is_empty() || both {
            let keys =
                |json: &Json| json.as_object().map(|m| m.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
            let mut all: Vec<String> = [sides.before, sides.after, sides.unknown].into_iter().flat_map(keys).collect();
            all.sort();
            all.dedup();
            for key in all {
                compare(&joined(path, &key), sides.key(&key), hidden, out);
            }
            return;
        }
    }
    if let (false, Some(before), Some(after)) = (whole, sides.before.as_array(), sides.after.as_array())
        && before.len() == after.len()
    {
        (0..before.len()).for_each(|at| compare(&format!("{path}[{at}]"), sides.index(at), hidden, out));
        return;
    }
    let unknown = any_true(sides.unknown);
    if !unknown && sides.before == sides.after {
        return;
    }
    let present = |json: &Json| !json.is_null();
    let before = present(sides.before).then(|| marked(sides.before, &Json::Null, sides.before_secret, hidden));
    let after =
        (unknown || present(sides.after)).then(|| marked(sides.after, sides.unknown, sides.after_secret, hidden));
    if before.is_none() && after.is_none() {
        return;
    }
    // What takes the place of a secret, or had the place of one, tells of it.
    let secret = sides.secret() || [&before, &after].into_iter().flatten().any(Value::has_sensitive);
    out.push(FieldChange {
        path: path.to_owned(),
        before: before.map(|v| v.with_mark(secret)),
        after: after.map(|v| v.with_mark(secret)),
        cause: Cause::Declared,
        forces_replacement: false,
        because: None,
        owner: None,
    });
}

/// Hides all that was there before: a secret that nobody can know again may be in it.
pub(super) fn hide_before(told: &mut Told) {
    for field in told.children.iter_mut().chain(&mut told.left).flat_map(|child| &mut child.fields) {
        let secret = !matches!(field.path.as_str(), "address" | "import");
        field.before = field.before.take().map(|value| value.with_mark(secret));
        if field.cause != Cause::Declared {
            field.after = field.after.take().map(|value| value.with_mark(secret));
        }
    }
}

fn any_true(json: &Json) -> bool {
    match json {
        Json::Bool(yes) => *yes,
        Json::Array(items) => items.iter().any(any_true),
        Json::Object(entries) => entries.values().any(any_true),
        _ => false,
    }
}

/// A value in which what is or holds one of `hidden` is sensitive.
pub(super) fn mark(json: &Json, hidden: &Hidden) -> Value {
    marked(json, &Json::Null, &Json::Null, hidden)
}

/// A value with what is unknown and sensitive in it marked.
fn marked(json: &Json, unknown: &Json, secret: &Json, hidden: &Hidden) -> Value {
    let own = *secret == Json::Bool(true);
    if *unknown == Json::Bool(true) {
        return Value::UNKNOWN.with_mark(own);
    }
    let value = match json {
        Json::Object(_) | Json::Null if json.is_object() || unknown.is_object() => {
            let keys =
                |json: &Json| json.as_object().map(|m| m.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
            let all: std::collections::BTreeSet<String> = keys(json).into_iter().chain(keys(unknown)).collect();
            Value::object(all.into_iter().map(|key| {
                let value = marked(&json[&key], &unknown[&key], &secret[&key], hidden);
                (Arc::<str>::from(key.as_str()), value)
            }))
        }
        Json::Array(items) => Value::tuple(
            items.iter().enumerate().map(|(at, item)| marked(item, &unknown[at], &secret[at], hidden)).collect(),
        ),
        Json::String(text) => Value::from_json(json).with_mark(hidden.is_in(text)),
        Json::Number(number) => Value::from_json(json).with_mark(hidden.is_in(&number.to_string())),
        _ => Value::from_json(json),
    };
    value.with_mark(own)
}

/// The outputs that there will be.
fn outputs(changes: &Json, hidden: &Hidden) -> Value {
    let all =
        changes.as_object().into_iter().flatten().filter(|(_, change)| {
            !each(&change["actions"]).any(|a| a == "delete") || each(&change["actions"]).count() > 1
        });
    Value::object(all.map(|(name, change)| {
        let value = marked(&change["after"], &change["after_unknown"], &change["after_sensitive"], hidden);
        (Arc::<str>::from(name.as_str()), value)
    }))
}
