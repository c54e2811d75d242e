//! `terrace graph`: the dependency graph of a plan, phases as clusters.

use crate::{
    cli::{
        args::PlanArg,
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::load,
    },
    graph, kinds,
};

/// Arguments of `graph`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Dot)]
    format: Format,
}

/// A form of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    /// For programs
    Json,
    /// A picture
    Svg,
}

/// Prints the graph.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit> {
    let loaded = load(context, args.plan.plan.as_deref())?;
    let (graph, problems) = graph::build(&loaded.configuration, kinds::schema());
    if problems.has_errors() {
        return Err(Error::from(problems).with_sources(loaded.configuration.sources.clone()));
    }
    let format = if context.terminal.json { Format::Json } else { args.format };
    match format {
        Format::Dot => context.terminal.data(&graph::dot(&graph)),
        Format::Mermaid => context.terminal.data(&graph::mermaid(&graph)),
        Format::Svg => context.terminal.data(&graph::svg(&graph)),
        Format::Json => context.terminal.json_line(&graph::json(&graph)),
    }
    Ok(Exit::Done)
}
