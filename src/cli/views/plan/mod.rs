//! A plan on screen: which world first, then phase by phase what changes, then removals, drift, outputs and a summary.
//!
//! The JSON form is the plan itself in an envelope, see `json.rs`.

mod capacity;
mod cost;
mod drift;
mod field;
mod fold;
mod marked;
mod node;
mod policy;
mod risk;
mod rollout;
mod screen;
mod summary;
#[cfg(test)]
mod tests;

pub(crate) use marked::Marked;

use crate::{
    base::{Diagnostics, SourceMap},
    cli::style::{bold, clean, dim, red, wrap, yellow},
    plan::{Mode, Moment, Plan, Planned, SourceText},
    review::{self, Book},
};

/// The text of a plan, with colours.
pub(crate) fn render(plan: &Plan, book: &Book, width: usize) -> String {
    let mut page = Page { text: String::new(), width };
    header(plan, &mut page);
    risk::write(plan, &mut page);
    policy::write(plan, &mut page);
    cost::write(plan, &review::cost(plan, book), &mut page);
    capacity::write(plan, review::capacity(plan, book), &mut page);
    phases(plan, &mut page);
    removals(plan, &mut page);
    rollout::debts(plan, &mut page);
    drift::write(plan, &mut page);
    outputs(plan, &mut page);
    notes(plan, &mut page);
    summary::write(plan, &mut page);
    page.text
}

/// The text of drift alone, with colours.
pub(crate) fn drift(drift: &[crate::plan::Drift], width: usize) -> String {
    let mut page = Page { text: String::new(), width };
    for drift in drift {
        drift::one(drift, &mut page);
    }
    page.text
}

/// What there is to say of a change beside what differs, in lines without colours.
pub(crate) fn told(plan: &Plan, planned: &Planned) -> Vec<String> {
    let rollback = crate::lang::configuration::OnFailure::Rollback;
    let undone = plan.phases.iter().any(|phase| phase.name == planned.phase && phase.on_failure == rollback);
    let mut page = Page { text: String::new(), width: 110 };
    node::told(planned, undone, &mut page);
    let text = anstream::adapter::strip_str(&page.text).to_string();
    let indent = text.lines().map(|line| line.len() - line.trim_start_matches(' ').len()).min().unwrap_or(0);
    text.lines().map(|line| line[indent..].to_owned()).collect()
}

/// Lines as they are gathered.
struct Page {
    text: String,
    width: usize,
}

impl Page {
    /// One line, as it is.
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// An empty line, where the last is not empty already.
    fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Words in lines of the page's width: the first begins with `lead`, the rest stands under its end.
    fn prose(&mut self, lead: &str, words: &str) {
        let indent = crate::cli::style::width(lead);
        let room = self.width.saturating_sub(indent).max(24);
        for (at, line) in wrap(&clean(words), room).iter().enumerate() {
            let lead = if at == 0 { lead.to_owned() } else { " ".repeat(indent) };
            self.line(&format!("{lead}{line}"));
        }
    }
}

fn header(plan: &Plan, page: &mut Page) {
    let header = &plan.header;
    let world = &header.world;
    let place = format!("{}, account {}, region {}", world.name, world.account, world.region);
    page.line(&format!("World  {}", bold(clean(&place))));
    for (label, cluster) in &header.clusters {
        page.prose("       ", &format!("kubernetes.{label} is {cluster}, as terrace.toml says"));
    }
    let protected = if header.protected { yellow(" (protected)") } else { String::new() };
    page.line(&format!("Plan   {} in environment {}{protected}", bold(&header.plan), bold(&header.env)));
    match header.mode {
        Mode::Normal => {}
        Mode::Destroy => page.line(&format!("       {}", red("destroys everything that state remembers"))),
        Mode::RevertDrift => page.line("       only puts back what changed behind Terrace's back"),
        Mode::Verify => page.line("       only asks again what verifies it; changes nothing"),
        Mode::Retire => page.line("       only retires colours that have no traffic any more"),
        Mode::Import => page.line("       only takes over into state what exists; changes nothing else"),
        Mode::RefreshOnly => page.line("       only takes over into state what is live; changes nothing"),
    }
    if !header.targets.is_empty() {
        let targets: Vec<&str> = header.targets.iter().map(crate::base::Address::as_str).collect();
        page.prose("       ", &format!("limited to {} and what they need", targets.join(", ")));
    }
    if header.offline {
        page.line(&yellow("       offline: state stands in for what is live"));
    }
    if header.state.lineage.is_empty() {
        page.line(&dim("State  nothing remembered yet"));
    } else {
        page.line(&dim(format!("State  serial {}", header.state.serial)));
    }
}

/// True for a node that has a place in the plan's text.
fn shown(node: &Planned) -> bool {
    use crate::base::ActionWord::{NoOp, Read};
    node.moved_from.is_some() || !matches!(node.action, NoOp | Read)
}

fn phases(plan: &Plan, page: &mut Page) {
    let of = |phase: &str| -> Vec<&Planned> {
        plan.nodes.iter().filter(|n| n.moment == Moment::Phase && &*n.phase == phase && shown(n)).collect()
    };
    let loose: Vec<&Planned> = plan
        .nodes
        .iter()
        .filter(|n| n.moment == Moment::Phase && shown(n) && !plan.phases.iter().any(|p| p.name == n.phase))
        .collect();
    if !loose.is_empty() {
        page.gap();
        page.line(&bold("Read later"));
        for planned in loose {
            node::write(planned, false, page);
        }
    }
    // Where no phase is declared there is one, and it goes without saying.
    let implicit = plan.phases.len() == 1 && plan.phases[0].description.is_none() && &*plan.phases[0].name == "main";
    for phase in &plan.phases {
        let nodes = of(&phase.name);
        if nodes.is_empty() {
            continue;
        }
        page.gap();
        let undone = phase.on_failure == crate::lang::configuration::OnFailure::Rollback;
        if !implicit {
            let mut facts = vec![summary::counted(nodes.iter().copied())];
            if undone {
                facts.push("undone as a whole where something fails".to_owned());
            }
            if !phase.gate.is_empty() {
                let gate: Vec<&str> = phase.gate.iter().map(|g| &**g).collect();
                facts.push(format!("gate: {}", gate.join(", ")));
            }
            page.line(&format!("{}  {}", bold(format!("Phase {}", phase.name)), dim(facts.join("; "))));
        }
        for planned in nodes {
            node::write(planned, undone, page);
        }
    }
}

fn removals(plan: &Plan, page: &mut Page) {
    let nodes: Vec<&Planned> = plan.nodes.iter().filter(|n| n.moment == Moment::Removal && shown(n)).collect();
    if nodes.is_empty() {
        return;
    }
    page.gap();
    let when = if plan.header.mode == Mode::Destroy { "In this order" } else { "After all phases" };
    page.line(&format!("{}  {}", bold(when), dim(summary::counted(nodes.iter().copied()))));
    for planned in nodes {
        node::write(planned, false, page);
    }
}

fn outputs(plan: &Plan, page: &mut Page) {
    if plan.outputs.is_empty() {
        return;
    }
    page.gap();
    page.line(&bold("Outputs"));
    let room = page.width.saturating_sub(2);
    for (name, change) in &plan.outputs {
        for line in super::difference::lines(name, change.before.as_ref(), change.after.as_ref(), room) {
            page.line(&line.paint(2));
        }
    }
}

fn notes(plan: &Plan, page: &mut Page) {
    if plan.notes.is_empty() {
        return;
    }
    let mut sources = SourceMap::default();
    for (path, text) in &plan.sources {
        if let SourceText::Text(text) = text {
            sources.insert(path.as_str().into(), text.clone());
        }
    }
    page.gap();
    let text = super::diagnostics::render(&Diagnostics(plan.notes.clone()), &sources, page.width);
    page.text.push_str(&text);
}
