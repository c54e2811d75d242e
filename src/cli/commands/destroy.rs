//! `terrace destroy`: everything that a plan made in an environment, taken away in reverse order.

use crate::{
    cli::{
        args::{Consent, PlanArg},
        commands::apply::{Fresh, plan_and_apply},
        context::Context,
        error::Result,
        exit::Exit,
    },
    plan::{Mode, Request},
};

/// Arguments of `destroy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    plan: PlanArg,
    /// Only this and what stands on it; may be repeated
    #[arg(long, value_name = "ADDR")]
    target: Vec<crate::base::Address>,
    #[command(flatten)]
    consent: Consent,
}

/// Destroys.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let fresh = Fresh {
        command: "destroy",
        release: None,
        plan: args.plan.plan.as_deref(),
        request: Request { mode: Mode::Destroy, targets: args.target, ..Request::default() },
    };
    Box::pin(plan_and_apply(fresh, &args.consent, context)).await
}
