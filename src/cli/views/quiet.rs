//! What happens, for who wants to hear only of what went wrong.

use crate::{
    base::{Event, Events, NodeEnd},
    cli::{style, terminal::Terminal},
};

/// Prints failures and nothing else.
pub(crate) struct QuietEvents(pub(crate) Terminal);

impl Events for QuietEvents {
    fn emit(&self, event: Event) {
        match event {
            Event::NodeEnded { address, end: NodeEnd::Failed { why } | NodeEnd::BeyondPlan { why }, .. } => {
                self.0.complain(&format!("{address}: {}: {}", style::red("failed"), style::clean(&why)));
            }
            Event::Undone { address, what, ok: false } => {
                self.0.complain(&format!("{address}: {}: {}", style::red("not undone"), style::clean(&what)));
            }
            _ => {}
        }
    }
}
