//! Whether the nodes hold what a plan runs on them.

use super::Page;
use crate::{
    base::few,
    cli::{
        style::{bold, dim, red},
        views::diagnostics::plural,
    },
    plan::{Mode, Plan},
    review::{
        Capacity,
        capacity::{Room, gib, vcpu},
    },
};

/// So many workloads are named whose needs are not known.
const NAMED: usize = 3;

pub(super) fn write(plan: &Plan, capacity: Option<Capacity>, page: &mut Page) {
    // What a plan does not name is not in its sums.
    let whole = plan.header.mode == Mode::Normal && plan.header.targets.is_empty();
    let Some(found) = capacity.filter(|_| whole && plan.has_changes()) else { return };
    // Without nodes there is nothing to hold it against.
    if !found.has_nodes() {
        return;
    }
    page.gap();
    page.line(&format!("{}{}", bold("What it needs"), dim(format!("  with {} % to spare", found.buffer))));
    page.prose("  ", &format!("asked for: {}; with that to spare {}", room(found.asked), room(found.with_buffer)));
    let groups: Vec<String> =
        found.groups.iter().map(|group| format!("{} × {}", group.nodes, group.instance)).collect();
    let given = format!("{} give {}", groups.join(" + "), room(found.given));
    match found.fits {
        Some(true) if found.unknown.is_empty() => page.prose("  ", &format!("{given}: it fits")),
        Some(true) => page.prose("  ", &format!("{given}: what is known of it fits")),
        Some(false) => {
            page.prose("  ", &given);
            page.line(&format!("  {}", red(format!("it does not fit: {}", found.because.join("; ")))));
        }
        None => page.prose("  ", &format!("whether it fits cannot be told: {}", found.because.join("; "))),
    }
    if let Some(cheapest) = &found.cheapest {
        let is_so = found.groups.iter().map(|g| (&g.instance, g.nodes)).eq([(&cheapest.instance, cheapest.nodes)]);
        let words = format!("{} × {}, {} a month", cheapest.nodes, cheapest.instance, cheapest.monthly);
        let what = if found.unknown.is_empty() { "it" } else { "what is known" };
        page.line(&dim(if is_so {
            format!("  nothing cheaper would hold {what}: {words}")
        } else {
            format!("  the cheapest that would hold {what}: {words}")
        }));
    }
    if !found.unknown.is_empty() {
        let named: Vec<&str> = found
            .unknown
            .iter()
            .map(|one| if one.part.is_empty() { one.address.as_str() } else { one.part.as_str() })
            .collect();
        let count = plural(found.unknown.len(), "thing");
        page.prose("  ", &format!("not known of {count}: {}", few(&named, NAMED)));
    }
}

fn room(room: Room) -> String {
    format!("{} vCPU, {} GiB, {} pods", vcpu(room.cpu), gib(room.memory), room.pods)
}
