//! An event as a line of words, for the views that print lines.

use crate::{
    base::{ActionWord, Event, NodeEnd, format_duration},
    cli::style::{bold, clean, dim, green, red, yellow},
};

/// The line of an event that is worth one. With `drawn`, what the bars show already has none.
pub(crate) fn of(event: &Event, drawn: bool) -> Option<String> {
    Some(match event {
        Event::ObserveStarted { total } if !drawn && *total > 0 => dim(format!("Reading what is live ({total})")),
        Event::PhaseStarted { phase, total } if *total > 0 => {
            format!("{} {}", bold(format!("Phase {phase}")), dim(format!("({total} to do)")))
        }
        Event::PhaseEnded { phase, passed: true, elapsed } => {
            dim(format!("Phase {phase} done in {}", format_duration(*elapsed)))
        }
        Event::PhaseEnded { phase, passed: false, elapsed } => {
            red(format!("Phase {phase} not done after {}", format_duration(*elapsed)))
        }
        Event::NodeStarted { address, action, .. } if !drawn => {
            format!("{:>5} {address}: {}", action.sign(), doing(*action))
        }
        Event::DrainStarted { address, cluster, total } if !drawn => {
            let objects = if *total == 1 { "1 object".to_owned() } else { format!("{total} objects") };
            format!("{:>5} {address}: draining {} first ({objects})", ActionWord::Delete.sign(), clean(cluster))
        }
        Event::Drained { object, left, .. } => {
            let left = if *left == 0 { String::new() } else { dim(format!(" ({left} left)")) };
            format!("      {} drained{left}", clean(object))
        }
        Event::NodeRetried { address, attempt, after, why } => format!(
            "      {address}: {} (try {attempt}, again in {}): {}",
            yellow("failed for now"),
            format_duration(*after),
            clean(why)
        ),
        Event::NodeEnded { address, action, end, elapsed, .. } => {
            let lead = format!("{:>5} {address}:", action.sign());
            let time = format_duration(*elapsed);
            match end {
                NodeEnd::Done => format!("{lead} {} {}", green(done(*action)), dim(format!("in {time}"))),
                NodeEnd::Failed { why } => format!("{lead} {} after {time}: {}", red("failed"), clean(why)),
                NodeEnd::Left { why } => format!("{lead} {} after {time}: {}", yellow("stopped"), clean(why)),
                NodeEnd::Skipped { because } => format!("{lead} {} because {because} failed", yellow("skipped")),
                NodeEnd::NotStarted => format!("{lead} {}", yellow("not started")),
                NodeEnd::BeyondPlan { why } => {
                    format!("{lead} {}: {}", red("not started, it goes beyond the plan"), clean(why))
                }
            }
        }
        Event::UndoStarted { phase, total } => {
            format!("{} {}", bold(format!("Undoing phase {phase}")), dim(format!("({total} to undo)")))
        }
        Event::Undone { address, what, ok: true } => format!("      {address}: {}", clean(what)),
        Event::Undone { address, what, ok: false } => {
            format!("      {address}: {}: {}", red("not undone"), clean(what))
        }
        Event::Notice { message } => format!("{} {}", yellow("!"), clean(message)),
        _ => return None,
    })
}

const fn doing(action: ActionWord) -> &'static str {
    match action {
        ActionWord::Create => "creating",
        ActionWord::Update => "updating",
        ActionWord::Replace => "replacing",
        ActionWord::Delete => "destroying",
        ActionWord::Read => "reading",
        ActionWord::Import => "importing",
        ActionWord::Forget => "forgetting",
        ActionWord::Defer => "planning",
        ActionWord::Verify => "verifying",
        ActionWord::Shift => "shifting",
        ActionWord::NoOp => "checking",
    }
}

const fn done(action: ActionWord) -> &'static str {
    match action {
        ActionWord::Create => "created",
        ActionWord::Update => "updated",
        ActionWord::Replace => "replaced",
        ActionWord::Delete => "destroyed",
        ActionWord::Read => "read",
        ActionWord::Import => "imported",
        ActionWord::Forget => "forgotten",
        ActionWord::Defer => "planned",
        ActionWord::Verify => "verified",
        ActionWord::Shift => "shifted",
        ActionWord::NoOp => "as declared",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Address;
    use std::time::Duration;

    fn line(end: NodeEnd) -> String {
        let (address, phase) = (Address::root("helm", "loki"), "services".into());
        let event =
            Event::NodeEnded { address, phase, action: ActionWord::Create, end, elapsed: Duration::from_secs(72) };
        anstream::adapter::strip_str(&of(&event, true).unwrap()).to_string()
    }

    #[test]
    fn an_end_is_told_with_its_time_and_its_cause() {
        assert_eq!(line(NodeEnd::Done), "    + helm.loki: created in 1m 12s");
        assert_eq!(
            line(NodeEnd::Failed { why: "timed out".into() }),
            "    + helm.loki: failed after 1m 12s: timed out"
        );
        let because = Address::root("stack", "net");
        assert_eq!(line(NodeEnd::Skipped { because }), "    + helm.loki: skipped because stack.net failed");
    }

    #[test]
    fn what_is_drained_is_told_one_by_one() {
        let plain = |event: Event, drawn| of(&event, drawn).map(|l| anstream::adapter::strip_str(&l).to_string());
        let address = Address::root("stack", "cluster");
        let started =
            || Event::DrainStarted { address: address.clone(), cluster: "the cluster c".to_owned(), total: 2 };
        let line = plain(started(), false);
        assert_eq!(line.as_deref(), Some("    - stack.cluster: draining the cluster c first (2 objects)"));
        assert_eq!(plain(started(), true), None, "the bars show it");
        let gone = |left| Event::Drained { address: address.clone(), object: "Service shop/web".to_owned(), left };
        assert_eq!(plain(gone(1), false).as_deref(), Some("      Service shop/web drained (1 left)"));
        assert_eq!(plain(gone(0), true).as_deref(), Some("      Service shop/web drained"));
    }
}
