//! `terrace schema`: every block that may be written, as JSON.

use crate::{
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        views::json::answer,
    },
    kinds,
    lang::{builtin, schema::Role, suggest},
};
use serde_json::json;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this kind, like helm or data.secret
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

/// Prints the description.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit> {
    let schema = kinds::schema();
    let name = |kind: &crate::lang::schema::KindSchema| match kind.role {
        Role::Data => format!("data.{}", kind.name),
        Role::Managed | Role::Check => kind.name.to_owned(),
    };
    if let Some(wanted) = &args.kind {
        let Some(kind) = schema.kinds.iter().find(|kind| name(kind) == *wanted) else {
            let names: Vec<String> = schema.kinds.iter().map(name).collect();
            let near = suggest::nearest(wanted, names.iter().map(String::as_str));
            let hint = near.map_or_else(|| format!("kinds: {}", names.join(", ")), |n| format!("did you mean `{n}`?"));
            return Err(Error::usage("unknown_kind", format!("there is no kind `{wanted}`")).hint(hint));
        };
        print(context, &answer("schema", json!({ "kind": kind })));
        return Ok(Exit::Done);
    }
    let top: Vec<_> = builtin::TOP
        .iter()
        .map(|(word, labels, block)| json!({ "name": word, "labels": labels, "block": block }))
        .collect();
    print(context, &answer("schema", json!({ "blocks": top, "kinds": schema.kinds, "probes": schema.probes })));
    Ok(Exit::Done)
}

/// On one line with `--json`, as all else; for reading otherwise.
fn print(context: &Context, value: &serde_json::Value) {
    if context.terminal.json {
        return context.terminal.json_line(value);
    }
    context.terminal.data(&format!("{value:#}\n"));
}
