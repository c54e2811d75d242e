//! `terrace console`: expressions from stdin, one a line, as a plan's root sees them. What is applied is not asked for:
//! attributes that only the world knows are shown as known after apply.

use crate::{
    base::{Diagnostics, SourceMap, Value},
    cli::{
        args::PlanArg,
        context::Context,
        error::Result,
        exit::Exit,
        loaded::{Chosen, Loaded, load},
        place, variables,
        views::{diagnostics, json::answer, value},
    },
    lang::{Evaluator, parse::parse_expression},
    state::Snapshot,
};
use serde_json::json;
use std::{io::BufRead as _, sync::Arc};

/// Arguments of `console`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
}

/// Reads and evaluates to the end of input. Ends with 1 where an expression was wrong and nobody sat there to see it.
pub(crate) async fn run(args: &Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let chosen = loaded.choose(context).await?;
    let (mut evaluator, _) = variables::evaluator(context, &loaded, &chosen)?;
    remembered(&mut evaluator, &loaded, &chosen, context).await;
    let file: Arc<str> = "stdin".into();
    let mut wrong = false;
    if context.terminal.can_ask {
        context.terminal.status("An expression a line; `exit`, or the end of input, ends.");
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match line.trim() {
            "" => continue,
            "exit" | "quit" => break,
            _ => {}
        }
        let outcome = parse_expression(&line, &file).and_then(|expression| evaluator.expression(&[], &expression));
        match outcome {
            Ok(value) => show(&value, context),
            Err(problems) => {
                wrong = true;
                complain(&problems, &file, &line, &loaded.configuration.sources, context);
            }
        }
    }
    Ok(if wrong && !context.terminal.can_ask { Exit::Error } else { Exit::Done })
}

/// What state remembers stands in for what is live.
async fn remembered(evaluator: &mut Evaluator, loaded: &Loaded, chosen: &Chosen, context: &Context) {
    let Ok(ledger) = place::ledger(context, loaded, chosen) else { return };
    tell(evaluator, &place::snapshot_or_empty(&ledger).await);
}

/// Tells an evaluator what state remembers.
pub(crate) fn tell(evaluator: &mut Evaluator, snapshot: &Snapshot) {
    for resource in snapshot.resources.values() {
        evaluator.set(&resource.address, merged(&resource.inputs, &resource.exports));
    }
}

/// An instance as others see it: what is written in it, and what it exports.
fn merged(inputs: &Value, exports: &Value) -> Value {
    let entries = [inputs, exports].into_iter().filter_map(Value::as_map).flat_map(|map| map.iter());
    Value::object(entries.map(|(key, value)| (key.clone(), value.clone())))
}

fn show(found: &Value, context: &Context) {
    if context.terminal.json {
        let hidden = found.has_sensitive() || found.has_sealed();
        let shown = if hidden || found.has_unknown() { serde_json::Value::Null } else { found.to_json_lossy() };
        let fields = json!({ "value": shown, "sensitive": hidden, "unknown": found.has_unknown() });
        return context.terminal.json_line(&answer("value", fields));
    }
    let lines: Vec<String> = value::block(found, context.terminal.width)
        .into_iter()
        .map(|(depth, text)| format!("{}{text}", "  ".repeat(depth)))
        .collect();
    context.terminal.data(&format!("{}\n", lines.join("\n")));
}

fn complain(problems: &Diagnostics, file: &Arc<str>, line: &str, texts: &SourceMap, context: &Context) {
    let mut texts = texts.clone();
    texts.insert(file.clone(), line.into());
    if context.terminal.json {
        problems.iter().for_each(|d| context.terminal.json_line(&diagnostics::json(d, &texts)));
    } else {
        context.terminal.complain(diagnostics::render(problems, &texts, context.terminal.width).trim_end());
    }
}
