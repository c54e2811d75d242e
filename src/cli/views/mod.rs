//! How things look: diagnostics, plans, values, events. A view makes text or draws; it decides nothing.

mod beside;
pub(crate) mod diagnostics;
pub(crate) mod difference;
mod document;
pub(crate) mod finding;
mod human;
pub(crate) mod json;
pub(crate) mod note;
pub(crate) mod plan;
mod quiet;
pub(crate) mod report;
pub(crate) mod rollout;
pub(crate) mod table;
pub(crate) mod value;
mod words;

pub(crate) use beside::Beside;

use crate::{
    base::{Event, Events},
    cli::terminal::Terminal,
};

/// Whatever tells of a run as the command line asked for it.
pub(crate) enum View {
    /// Bars or plain lines.
    Human(human::HumanEvents),
    /// JSON, a line an event.
    Json(json::JsonEvents),
    /// Failures only.
    Quiet(quiet::QuietEvents),
}

impl View {
    /// The view that the terminal's flags ask for.
    pub(crate) fn new(terminal: &Terminal) -> Self {
        match terminal {
            terminal if terminal.json => Self::Json(json::JsonEvents(terminal.clone())),
            terminal if terminal.quiet => Self::Quiet(quiet::QuietEvents(terminal.clone())),
            terminal => Self::Human(human::HumanEvents::new(terminal.clone())),
        }
    }

    /// Nothing more will be drawn; whatever is printed afterwards stands below.
    pub(crate) fn finish(&self) {
        if let Self::Human(human) = self {
            human.finish();
        }
    }
}

impl Events for View {
    fn emit(&self, event: Event) {
        match self {
            Self::Human(view) => view.emit(event),
            Self::Json(view) => view.emit(event),
            Self::Quiet(view) => view.emit(event),
        }
    }
}
