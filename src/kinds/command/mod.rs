//! `command`: a thing that programs make, read, change and delete. No shell stands between.

mod operation;
mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Path, Value},
    kinds::{
        Applied, Change, Comparison, Context, Desired, Difference, Kind, Observed, Prepare, Prior, Recovered, Sides,
        Step, Undo,
    },
    lang::{normalize, schema::KindSchema},
    world::Outcome,
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The kind.
pub(super) struct CommandKind;

/// The programs of a command.
const PROGRAMS: [&str; 5] = ["create", "read", "update", "delete", "undo"];

#[async_trait]
impl Kind for CommandKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "local"
    }

    fn default_timeout(&self, action: ActionWord) -> Duration {
        Duration::from_secs(if action == ActionWord::Read { 60 } else { 10 * 60 })
    }

    fn reads(&self, identity: &Json) -> bool {
        !identity["read"].is_null()
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        let mut problems = Diagnostics::new();
        let given = |name: &str| request.inputs.get(name).filter(|v| !v.is_null());
        let mut inputs: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for name in PROGRAMS.iter().chain(&["input", "environment", "sensitive_environment", "triggers_replace"]) {
            if let Some(value) = given(name) {
                inputs.insert((*name).into(), value.clone());
            }
        }
        let mut fail = |name: &str, what: String| {
            let problem = Diagnostic::error("command", what);
            problems.push(match (request.place)(&Path::default().key(name)) {
                Some(span) => problem.at(&span, ""),
                None => problem,
            });
        };
        for name in PROGRAMS {
            if given(name).and_then(Value::as_seq).is_some_and(|argv| argv.is_empty()) {
                fail(name, format!("`{name}` names no program"));
            }
        }
        match given("working_dir") {
            Some(folder) => match folder.as_str().map(|f| normalize("", f)) {
                Some(Ok(folder)) => drop(inputs.insert("working_dir".into(), folder.into())),
                Some(Err(error)) => fail("working_dir", error.to_string()),
                None => drop(inputs.insert("working_dir".into(), folder.clone())),
            },
            None => drop(inputs.insert("working_dir".into(), ".".into())),
        }
        if problems.has_errors() {
            return Err(problems);
        }
        let inputs = Value::object(inputs);
        let id = request.fixed.map(|fixed| fixed["id"].clone()).unwrap_or_default();
        let identity = operation::identity(&inputs, &id);
        Ok(Desired { inputs, documents: BTreeMap::new(), identity })
    }

    fn ingredients(&self, desired: &Desired) -> crate::kinds::Ingredients {
        let words = PROGRAMS.iter().filter_map(|name| desired.inputs.get(name)?.as_seq());
        let words =
            words.flat_map(|argv| argv.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect::<Vec<_>>());
        let folder = desired.inputs.get("working_dir").and_then(Value::as_str).unwrap_or(".");
        crate::kinds::Ingredients {
            programs: words.filter_map(|word| normalize(folder, &word).ok()).collect(),
            ..crate::kinds::Ingredients::default()
        }
    }

    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        operation::read(context, identity, desired).await
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        diff(difference)
    }

    fn removal(&self, prior: Option<&Prior>, _observed: Option<&Observed>) -> Change {
        let mut change = Change::new(ActionWord::Delete, Value::NULL);
        change.undo = Undo::None("what `delete` destroys is not brought back".to_owned());
        if prior.is_some_and(|p| p.identity["delete"].is_null()) {
            change.reasons.push("it has no `delete`: it is only forgotten".to_owned());
        }
        change
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        operation::apply(context, step).await
    }

    async fn recover(&self, context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
        operation::recover(context, step).await
    }

    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, _token: &str) -> Outcome<String> {
        operation::undo(context, identity, image).await
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        if id.is_empty() {
            Err("a command's id is any text but an empty one".to_owned())
        } else {
            Ok(json!({ "id": id }))
        }
    }
}

fn diff(difference: &Difference<'_>) -> Change {
    let Difference { desired, prior, observed, .. } = *difference;
    // The programs themselves are how, not what: another path to the same program changes nothing.
    let compared = |inputs: &Value| {
        let entries = inputs.as_map().map(|m| (**m).clone()).unwrap_or_default();
        Value::object(
            entries.into_iter().filter(|(k, _)| !PROGRAMS.contains(&&**k) || &**k == "create" || &**k == "update"),
        )
    };
    let wanted = compared(&desired.inputs);
    let applied = prior.map(|p| compared(&p.inputs));
    let unknown = Value::UNKNOWN;
    let mut fields = Comparison::from(difference).fields(
        &Path::default(),
        Sides { desired: Some(&wanted), live: observed.map(|_| &unknown), prior: applied.as_ref() },
    );
    let undo = match desired.inputs.get("undo") {
        Some(_) => Undo::Full,
        None => Undo::None("it has no `undo`".to_owned()),
    };
    let exports = |id: Value| Value::object([("id", id), ("result", Value::UNKNOWN), ("stdout", Value::UNKNOWN)]);
    let Some(live) = observed else {
        return Change { fields, undo, ..Change::new(ActionWord::Create, exports(Value::UNKNOWN)) };
    };
    for field in fields.iter_mut().filter(|f| f.path.starts_with("triggers_replace")) {
        field.forces_replacement = true;
    }
    if fields.is_empty() {
        return Change::new(ActionWord::NoOp, live.exports.clone());
    }
    let updates = desired.inputs.get("update").is_some() && !fields.iter().any(|f| f.forces_replacement);
    if updates {
        let id = live.exports.get("id").cloned().unwrap_or(Value::UNKNOWN);
        return Change { fields, undo, ..Change::new(ActionWord::Update, exports(id)) };
    }
    let mut change = Change { fields, ..Change::new(ActionWord::Replace, exports(Value::UNKNOWN)) };
    change.undo = Undo::None("the former one is destroyed".to_owned());
    if desired.inputs.get("update").is_none() {
        change.reasons.push("it has no `update`".to_owned());
    }
    change
}

#[cfg(test)]
mod tests;
