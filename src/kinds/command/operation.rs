//! Running the programs of a command.

use crate::{
    base::{ActionWord, Hidden, Secret, Value},
    kinds::{Applied, Context, Desired, Observed, Owner, Recovered, Step, data::fingerprint, value::id_of},
    world::{Class, Failure, Outcome, Program, ProgramEnd},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// By this exit code `read` says that nothing is there.
const ABSENT: i32 = 3;

/// What state must keep so that the thing can be read, deleted and undone when it is no longer declared: the programs and
/// what they are given, but for what is secret. `None` where a program is not known yet.
pub(super) fn identity(inputs: &Value, id: &Json) -> Option<Json> {
    let mut identity = json!({ "id": id });
    for name in ["read", "delete", "undo", "environment", "working_dir", "input"] {
        let Some(value) = inputs.get(name) else { continue };
        if value.has_sensitive() {
            continue;
        }
        match value.to_json() {
            Some(json) => identity[name] = json,
            None if name == "read" => return None,
            None => {}
        }
    }
    Some(identity)
}

/// One run of one of the programs.
struct Run<'a> {
    /// `create`, `read` and so on.
    what: &'a str,
    /// Where the program and its surroundings are written.
    inputs: &'a Value,
}

impl Run<'_> {
    fn argv(&self) -> Vec<String> {
        let argv = self.inputs.get(self.what).and_then(Value::as_seq).into_iter().flat_map(|s| s.iter());
        argv.filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    /// `None` where there is no such program.
    async fn go(&self, context: &Context) -> Outcome<Option<ProgramEnd>> {
        let argv = self.argv();
        if argv.is_empty() {
            return Ok(None);
        }
        let mut environment = BTreeMap::new();
        for name in ["environment", "sensitive_environment"] {
            for (key, value) in self.inputs.get(name).and_then(Value::as_map).into_iter().flat_map(|m| m.iter()) {
                let Some(text) = value.as_str() else {
                    let what = format!("the variable {key} is not known, or was kept as a seal only");
                    return Err(Failure::new(Class::Invalid, self.what, context.address.to_string(), what));
                };
                environment.insert(key.to_string(), Secret::new(text.to_owned()));
            }
        }
        let input = self.inputs.get("input").map_or(Some(Json::Null), Value::to_json);
        let Some(input) = input else {
            let what = "the input is not known, or was kept as a seal only";
            return Err(Failure::new(Class::Invalid, self.what, context.address.to_string(), what));
        };
        let program = Program {
            argv,
            directory: self.inputs.get("working_dir").and_then(Value::as_str).unwrap_or(".").to_owned(),
            environment,
            stdin: Secret::new(format!("{input}\n")),
            timeout: context.time_left(),
        };
        context.command.run(&program).await.map(Some)
    }

    /// As [`Self::go`], where any exit code but 0 is a failure with the program's last words.
    async fn must(&self, context: &Context) -> Outcome<Option<ProgramEnd>> {
        match self.go(context).await? {
            Some(end) if end.code != Some(0) => Err(self.failure(context, &end)),
            other => Ok(other),
        }
    }

    fn failure(&self, context: &Context, end: &ProgramEnd) -> Failure {
        let said = if end.stderr.trim().is_empty() { &end.stdout } else { &end.stderr };
        // Hidden before it is cut, so that no half of a secret stays behind.
        let said = self.hidden().out_of(said);
        let last: Vec<&str> = said.trim_end().lines().rev().take(3).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let code = end.code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("ended with {code}"));
        let last = last.join(" / ");
        let said = if last.is_empty() { String::new() } else { format!(": {last}") };
        Failure::new(Class::Failed, self.what, context.address.to_string(), format!("`{}` {code}{said}", self.what))
    }

    /// The secrets that the program was given: whatever is marked, and all of `sensitive_environment`.
    fn hidden(&self) -> Hidden {
        let own = self.inputs.get("sensitive_environment").cloned().map(Value::sensitive);
        Hidden::of([self.inputs].into_iter().chain(&own))
    }
}

/// What `read` found: `None` where nothing is there.
async fn look(context: &Context, inputs: &Value) -> Outcome<Option<(Value, String)>> {
    let run = Run { what: "read", inputs };
    let Some(end) = run.go(context).await? else { return Ok(None) };
    match end.code {
        Some(0) => match serde_json::from_str::<Json>(&end.stdout) {
            Ok(json @ Json::Object(_)) => Ok(Some((Value::from_json(&json), end.stdout))),
            _ => Err(Failure::new(
                Class::Failed,
                "read",
                context.address.to_string(),
                "`read` did not print a JSON object",
            )),
        },
        Some(ABSENT) => Ok(None),
        _ => Err(run.failure(context, &end)),
    }
}

/// Whether results may be shown: programs that are given secrets may print them.
fn secretive(inputs: &Value) -> bool {
    inputs.get("sensitive_environment").is_some_and(|e| e.as_map().is_none_or(|m| !m.is_empty()))
        || inputs.get("input").is_some_and(Value::has_sensitive)
        || inputs.get("environment").is_some_and(Value::has_sensitive)
}

fn exports(id: &Json, result: Value, stdout: &str, secret: bool) -> Value {
    let stdout = stdout.strip_suffix('\n').unwrap_or(stdout);
    Value::object([
        ("id", Value::from_json(id)),
        ("result", result.with_mark(secret)),
        ("stdout", Value::from(stdout).with_mark(secret)),
    ])
}

pub(super) async fn read(context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
    let remembered = Value::from_json(identity);
    let known = desired.map(|d| &d.inputs).filter(|inputs| !inputs.has_unknown());
    let inputs = known.unwrap_or(&remembered);
    let id = identity["id"].clone();
    let observed = |exports: Value| Observed {
        held: None,
        identity: identity.clone(),
        inputs: Value::UNKNOWN,
        documents: BTreeMap::new(),
        fingerprint: fingerprint(&exports),
        exports,
        owner: Owner::Nobody,
        condition: None,
        image: Value::from_json(identity),
    };
    if inputs.get("read").is_none() {
        // Existence is what state remembers: without an id it was never made.
        let exports =
            Value::object([("id", Value::from_json(&id)), ("result", Value::UNKNOWN), ("stdout", Value::UNKNOWN)]);
        return Ok((!id.is_null()).then(|| observed(exports)));
    }
    let found = look(context, inputs).await?;
    Ok(found.map(|(result, stdout)| observed(exports(&id, result, &stdout, secretive(inputs)))))
}

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let remembered = Value::from_json(step.identity.unwrap_or(&Json::Null));
    let Some(desired) = step.desired.filter(|_| step.action != ActionWord::Delete) else {
        Run { what: "delete", inputs: &remembered }.must(context).await?;
        return Ok(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() });
    };
    let inputs = &desired.inputs;
    let what = if step.action == ActionWord::Create { "create" } else { "update" };
    let end = Run { what, inputs }.must(context).await?;
    let former = step.identity.map(|i| i["id"].clone()).filter(|id| !id.is_null() && step.action != ActionWord::Create);
    let id = former.unwrap_or_else(|| json!(id_of(step.token)));
    done(context, inputs, &id, end.map(|e| e.stdout).unwrap_or_default()).await
}

/// Reads what was made, where it can be read.
async fn done(context: &Context, inputs: &Value, id: &Json, stdout: String) -> Outcome<Applied> {
    let secret = secretive(inputs);
    let exports = if inputs.get("read").is_some() {
        let Some((result, _)) = look(context, inputs).await? else {
            let what = "it was made, but `read` says that nothing is there";
            return Err(Failure::new(Class::Failed, "read", context.address.to_string(), what));
        };
        exports(id, result, &stdout, secret)
    } else {
        let json = serde_json::from_str::<Json>(&stdout).ok();
        exports(id, json.map_or(Value::NULL, |json| Value::from_json(&json)), &stdout, secret)
    };
    let identity = identity(inputs, id).unwrap_or_else(|| json!({ "id": id }));
    Ok(Applied { identity, exports, note: String::new() })
}

/// `read` tells whether a create or a delete was done. Of an update, and without `read`, nobody can tell.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let remembered = Value::from_json(step.identity.unwrap_or(&Json::Null));
    let inputs = step.desired.map_or(&remembered, |d| &d.inputs);
    if inputs.get("read").is_none() {
        return Ok(match step.action {
            ActionWord::Delete if inputs.get("delete").is_none() => Recovered::NotDone,
            action => stuck(context, action),
        });
    }
    let found = look(context, inputs).await?;
    Ok(match (step.action, found) {
        (ActionWord::Delete, None) => {
            Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })
        }
        (ActionWord::Create, Some((result, stdout))) => {
            let id = json!(id_of(step.token));
            let identity = identity(inputs, &id).unwrap_or_else(|| json!({ "id": id }));
            let exports = exports(&id, result, &stdout, secretive(inputs));
            Recovered::Done(Applied { identity, exports, note: "found by `read`".to_owned() })
        }
        // An update is made again: it is given the same inputs.
        _ => Recovered::NotDone,
    })
}

/// What nobody can know is told with what may have to be done about it: the run is over, and what state remembers decides what
/// the next apply does.
fn stuck(context: &Context, action: ActionWord) -> Recovered {
    let address = &context.address;
    let next = match action {
        ActionWord::Create => format!(
            "look for yourself: as it stands, the next apply replaces it (`delete` where it has one, then `create`); where nothing of it is there, `terrace state rm '{address}'` first, and the next apply only creates it"
        ),
        ActionWord::Delete => format!(
            "look for yourself: as it stands, the next apply runs `delete` again; where it is gone, `terrace state rm '{address}'` first"
        ),
        _ => "look for yourself: the next apply runs `update` again".to_owned(),
    };
    Recovered::Stuck {
        why: format!("its program was cut off, and without `read` nobody knows how far it came; {next}"),
        command: "terrace apply".to_owned(),
    }
}

pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>) -> Outcome<String> {
    let remembered = Value::from_json(identity);
    // What is taken back is what the run applied; the program is told what was there before.
    let mut inputs = remembered.as_map().map(|m| (**m).clone()).unwrap_or_default();
    if let Some(former) = image.and_then(|i| i.get("input")) {
        inputs.insert("input".into(), former.clone());
    }
    let inputs = Value::object(inputs);
    match (Run { what: "undo", inputs: &inputs }).must(context).await? {
        Some(_) => Ok("undone by its program".to_owned()),
        None => Err(Failure::new(Class::Unsupported, "undo", context.address.to_string(), "it has no `undo`")),
    }
}
