//! `terrace promote`: a release to the next environment, when it is eligible.

mod auto;
mod one;

pub(crate) use auto::ordered;
pub(crate) use one::{Promotion, Why, promote};

use crate::{
    cli::{args::Consent, context::Context, error::Result, exit::Exit},
    state::Passage,
};

/// Arguments of `promote`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release: its digest, the beginning of it, or `latest`
    #[arg(value_name = "RELEASE", required_unless_present = "auto", conflicts_with = "auto")]
    release: Option<String>,
    /// The environment that it goes to
    #[arg(long, value_name = "ENV", required_unless_present = "auto", conflicts_with = "auto")]
    to: Option<String>,
    /// Move every release that is eligible into environments that allow it
    #[arg(long)]
    auto: bool,
    /// Pass soak and order, for this reason
    #[arg(long, value_name = "REASON", conflicts_with = "auto")]
    hotfix: Option<String>,
    /// Pass windows, freezes and approvals, for this reason; somebody else must review the run
    #[arg(long, value_name = "REASON", conflicts_with = "auto")]
    break_glass: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

/// Promotes.
pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit> {
    let (Some(release), Some(to)) = (&args.release, &args.to) else {
        return Box::pin(auto::run(&args.consent, context)).await;
    };
    let passage = Passage { hotfix: args.hotfix.clone(), break_glass: args.break_glass.clone(), ..Passage::default() };
    let promotion = Promotion { release, to, why: Why::Named, passage, consent: &args.consent };
    Box::pin(promote(promotion, context)).await
}
