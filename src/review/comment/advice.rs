//! A model's note behind a comment: folded, as text, under words that say whose it is.

use super::text::{code, html_code, prose};
use crate::review::note::{Note, Sentence};
use std::fmt::Write as _;

/// A note that is longer than this stands in no comment.
const LONGEST: usize = 16_000;

/// The note of a model on the plan of an environment, for the end of a comment; nothing where it says nothing.
#[must_use]
pub fn advice(note: &Note, model: &str, environment: &str) -> String {
    if note.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\n<details><summary>Advice of a model on {} ({}): it decides nothing, and nobody has checked it</summary>\n\n",
        html_code(environment),
        html_code(model)
    );
    for (head, all) in
        [("What it does", &note.summary), ("What worries it", &note.worries), ("What it would ask", &note.questions)]
    {
        if !all.is_empty() {
            let _ = writeln!(out, "{head}:\n\n{}", all.iter().map(item).collect::<String>());
        }
    }
    for dropped in note.dropped.words() {
        let _ = writeln!(out, "{}\n", prose(&dropped));
    }
    out.push_str("</details>\n");
    // It comes last, and takes the room of nothing that was worked out.
    if out.len() > LONGEST { String::new() } else { out }
}

fn item(one: &Sentence) -> String {
    let addresses: Vec<String> = one.addresses.iter().map(|address| code(address)).collect();
    let about = if addresses.is_empty() { String::new() } else { format!(" ({})", addresses.join(", ")) };
    format!("- {}{about}\n", prose(&one.text))
}
