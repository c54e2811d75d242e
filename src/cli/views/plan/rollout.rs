//! A rollout on screen: whose traffic goes where, by which steps, what judges them, and what happens when one fails.

use super::Page;
use crate::{
    base::format_duration,
    cli::{
        style::{bold, dim},
        views::rollout::owed,
    },
    plan::{Debt, Plan, Shift},
    rollout::{Limits, Pause, Spec, Strategy},
};

/// The lines under the node that moves the traffic, in a phase that is undone as a whole where something fails, or is not.
pub(super) fn write(shift: &Shift, undone: bool, page: &mut Page) {
    let lead = |word: &str| format!("        {} ", dim(word));
    let (to, spec) = (shift.to, &shift.spec);
    match shift.from {
        None => {
            return page.prose(
                &lead("traffic"),
                &format!("{to} is the first: it gets all of {} as soon as its targets are healthy", spec.traffic),
            );
        }
        Some(from) if shift.switch => {
            let what = format!("{to} is still warm: all of {} goes from {from} to {to} at once", spec.traffic);
            return page.prose(&lead("traffic"), &what);
        }
        Some(from) => page.prose(&lead("traffic"), &format!("of {} goes from {from} to {to}", spec.traffic)),
    }
    for step in &spec.steps {
        let held = match step.pause {
            None => String::new(),
            Some(Pause::For(pause)) => format!(", held for {}", format_duration(pause)),
            Some(Pause::Person) => ", held until `terrace rollout promote`".to_owned(),
        };
        page.line(&format!("        {:>5} %{held}", step.weight));
    }
    for (name, limits) in &spec.analyses {
        page.prose(&lead("judged by"), &judged(name, limits));
    }
    page.prose(&lead("then"), &ends(shift, spec));
    let back = shift.from.map_or_else(|| "nothing".to_owned(), |from| from.to_string());
    let then = if undone {
        format!("{to} is undone with its phase")
    } else {
        format!("{to} is kept for {} to be looked at", format_duration(spec.keep))
    };
    page.prose(&lead("failing,"), &format!("all traffic goes back to {back} by one call, and {then}"));
    let held: Vec<String> = spec
        .steps
        .iter()
        .filter(|step| step.pause == Some(Pause::Person))
        .map(|step| format!("{} %", step.weight))
        .collect();
    let held = match held.as_slice() {
        [] => String::new(),
        held => format!(", and as long as a person holds it at {}", held.join(" and ")),
    };
    let least = format_duration(spec.expected());
    page.prose(
        &lead("takes"),
        &format!("{least} at least once {to} is up{held}; nothing aborts it while no process runs"),
    );
}

fn judged(name: &str, limits: &Limits) -> String {
    let times = match limits.count {
        Some(count) => format!("{count} measurements"),
        None if limits.consecutive == 1 => "one pass".to_owned(),
        None => format!("{} passes in a row", limits.consecutive),
    };
    let dry = if limits.dry_run { ", without a say" } else { "" };
    format!("{name}: {times}, one every {}{dry}", format_duration(limits.every))
}

fn ends(shift: &Shift, spec: &Spec) -> String {
    let bake = match spec.bake {
        bake if bake.is_zero() => String::new(),
        bake => format!("well for {}; ", format_duration(bake)),
    };
    match (spec.strategy, shift.from) {
        (Strategy::Canary, _) => {
            format!("{bake}the stable one is updated and gets all traffic back, and the canary goes")
        }
        (Strategy::BlueGreen, Some(from)) => {
            format!("{bake}{from} is kept warm for {}, then it is retired", format_duration(spec.keep))
        }
        (Strategy::BlueGreen, None) => bake,
    }
}

/// Colours that are kept warm.
pub(super) fn debts(plan: &Plan, page: &mut Page) {
    if plan.debts.is_empty() {
        return;
    }
    page.gap();
    page.line(&bold("Kept warm"));
    for Debt { address, due, failed } in &plan.debts {
        page.prose("  ", &owed(address, *due, failed.as_deref(), None));
    }
}
