//! Models that are asked for advice: Bedrock's by AWS's SDK, Anthropic's by their own API.

mod anthropic;
mod bedrock;

pub use anthropic::ANTHROPIC;
pub(super) use anthropic::Anthropic;
pub(super) use bedrock::Bedrock;

use crate::world::{Class, Failure, Unadvised};

/// So much of what a service says of a failure is told.
const SAID: usize = 160;

/// A text of a service on one line, without anything that could steer a terminal, and not all of it.
fn said(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(SAID).collect()
}

/// The failure of an answer that did not become one: the model stopped for another reason than that it was done.
fn stopped(operation: &str, model: &str, reason: &str) -> Unadvised {
    let (class, what, hint) = match reason {
        "max_tokens" => {
            (Class::Limit, "the answer is longer than it may be".to_owned(), "raise `max_tokens` of [note]")
        }
        "model_context_window_exceeded" => {
            (Class::Limit, "the plan is longer than the model can read".to_owned(), "lower `budget_tokens` of [note]")
        }
        "refusal" | "content_filtered" | "guardrail_intervened" => (
            Class::Failed,
            "the model declined to answer".to_owned(),
            "another model may; nothing of the plan depends on it",
        ),
        other => {
            let what = format!("the model ended without the answer that it was asked for ({})", said(other));
            (Class::Failed, what, "a model that can be made to use a tool is needed")
        }
    };
    Failure::new(class, operation, model, what).hint(hint).into()
}
