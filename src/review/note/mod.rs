//! A note on a plan by a model: what it does in plain words, what may worry a reviewer, what the author should be asked.
//!
//! It is advice. Nothing here is read by what decides: neither verdict nor counts, ranks or findings come from it, and it is no part of a plan nor of its digest. What the
//! model sees is made in `prompt.rs`, what is left of its answer in `answer.rs`, and `ask.rs` asks.

mod answer;
mod ask;
mod prompt;
#[cfg(test)]
mod tests;
mod withhold;

pub use answer::{Answer, Dropped, Note, Sentence, check, read};
pub use ask::ask;
pub use prompt::{LEAST, Prompt, VERSION, prompt};

use crate::world::Enquiry;

/// So many sentences of each sort are shown.
const SENTENCES: usize = 6;

/// A prompt as it is asked.
#[must_use]
pub fn enquiry(prompt: &Prompt, max_tokens: u32) -> Enquiry {
    Enquiry {
        system: prompt.system.clone(),
        text: prompt.text.clone(),
        form: prompt::FORM,
        purpose: prompt::PURPOSE,
        schema: prompt::schema(),
        max_tokens,
    }
}
