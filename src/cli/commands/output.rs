//! `terrace output`: the outputs that were applied last, from state.

use crate::{
    base::Value,
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
        place,
        views::{json::answer, value},
    },
    lang::suggest,
    state::Snapshot,
};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Arguments of `output`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A plan, an output's name, or both
    #[arg(value_names = ["PLAN", "NAME"], num_args = 0..=2)]
    words: Vec<String>,
    /// With a name: a string as it is, without quotes
    #[arg(long)]
    raw: bool,
}

/// Prints one output, or all.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let (plan, name) = match args.words.as_slice() {
        [plan, name] => (Some(plan.as_str()), Some(name.as_str())),
        [word] if context.is_plan(word) => (Some(word.as_str()), None),
        [word] => (None, Some(word.as_str())),
        _ => (None, None),
    };
    let loaded = load(context, plan)?;
    let chosen = loaded.choose(context).await?;
    let snapshot = place::snapshot(&place::ledger(context, &loaded, &chosen)?).await?;
    if let Some(name) = name {
        one(name, &snapshot, args.raw, context)?;
    } else {
        all(&snapshot, context);
    }
    Ok(Exit::Done)
}

fn one(name: &str, snapshot: &Snapshot, raw: bool, context: &Context) -> Result<()> {
    let Some(found) = snapshot.outputs.get(name) else {
        let error = Error::new("unknown_output", format!("nothing was applied with an output `{name}`"));
        return Err(match suggest::nearest(name, snapshot.outputs.keys().map(|n| &**n)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("outputs are there once the plan was applied: terrace apply"),
        });
    };
    if found.has_sealed() || found.has_sensitive() {
        return Err(sealed(name));
    }
    if context.terminal.json {
        context.terminal.json_line(&answer("output", json!({ "name": name, "value": found.to_json_lossy() })));
    } else if let (true, Some(text)) = (raw, found.as_str()) {
        context.terminal.bytes(text.as_bytes());
    } else {
        context.terminal.data(&format!("{}\n", whole(found, context.terminal.width)));
    }
    Ok(())
}

fn sealed(name: &str) -> Error {
    Error::new("sensitive_output", format!("the output `{name}` is sensitive, and state holds only its seal"))
        .because("nothing that Terrace stores holds a secret in clear")
        .hint("read it where it comes from, in Secrets Manager or Parameter Store")
}

fn all(snapshot: &Snapshot, context: &Context) {
    if context.terminal.json {
        let entry = |(name, value): (&Arc<str>, &Value)| {
            let hidden = value.has_sealed() || value.has_sensitive();
            let shown = if hidden { Json::Null } else { value.to_json_lossy() };
            (name.to_string(), json!({ "value": shown, "sensitive": hidden }))
        };
        let outputs: serde_json::Map<String, Json> = snapshot.outputs.iter().map(entry).collect();
        context.terminal.json_line(&answer("outputs", json!({ "outputs": outputs })));
    } else if snapshot.outputs.is_empty() {
        context.terminal.status("no outputs; they are there once a plan with outputs was applied");
    } else {
        context.terminal.data(&listed(snapshot.outputs.iter(), context.terminal.width));
    }
}

/// Outputs as lines `name = value`.
pub(crate) fn listed<'a>(outputs: impl Iterator<Item = (&'a Arc<str>, &'a Value)>, width: usize) -> String {
    let line = |(name, value): (&Arc<str>, &Value)| {
        format!("{name} = {}\n", whole(value, width.saturating_sub(name.len() + 3)))
    };
    outputs.map(line).collect::<Vec<_>>().concat()
}

fn whole(value: &Value, width: usize) -> String {
    let lines: Vec<String> =
        value::block(value, width).into_iter().map(|(depth, text)| format!("{}{text}", "  ".repeat(depth))).collect();
    lines.join("\n")
}
