//! A model's note on screen and as JSON, under words that say whose it is; and what would be sent to have one.

use crate::{
    base::few,
    cli::{
        note::Written,
        style::{bold, clean, dim, one_line, width, wrap},
        views::json::answer,
    },
    review::note::{Prompt, Sentence},
};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// The note's text, with colours.
pub(crate) fn render(written: &Written, columns: usize) -> String {
    let mut out = String::new();
    let whose = format!("{} ({})", one_line(&written.model), written.provider);
    prose(
        &mut out,
        &format!("{}  ", bold("Note")),
        &format!("advice of a model, {whose}: it decides nothing, and nobody has checked it"),
        columns,
    );
    let note = &written.note;
    for (head, all) in
        [("What it does", &note.summary), ("What worries it", &note.worries), ("What it would ask", &note.questions)]
    {
        if !all.is_empty() {
            let _ = writeln!(out, "  {head}");
        }
        for one in all {
            prose(&mut out, "    | ", &Sentence::spoken(one), columns);
        }
    }
    if note.is_empty() {
        out.push_str("  Nothing is left of what it said.\n");
    }
    for dropped in note.dropped.words() {
        prose(&mut out, "  ", &dropped, columns);
    }
    if !written.left_out.is_empty() {
        prose(
            &mut out,
            "  ",
            &format!("It has not seen all of the plan: {} had no room.", few(&written.left_out, 10)),
            columns,
        );
    }
    let (input, output) = written.tokens;
    let when = if written.kept { "made before, by" } else { "made by" };
    let _ = writeln!(out, "{}", dim(format!("  {when} {input} tokens in and {output} out")));
    out
}

/// Words in lines; each further line stands under the first, behind the same bar, so that none can look like a line of ours.
fn prose(out: &mut String, lead: &str, words: &str, columns: usize) {
    let indent = width(lead);
    for (at, line) in wrap(&clean(words).replace('\n', " "), columns.saturating_sub(indent).max(24)).iter().enumerate()
    {
        let bar = if lead.contains('|') { "    | ".to_owned() } else { " ".repeat(indent) };
        out.push_str(if at == 0 { lead } else { &bar });
        out.push_str(line);
        out.push('\n');
    }
}

/// The note as JSON.
pub(crate) fn json(written: &Written) -> Json {
    let (input, output) = written.tokens;
    answer(
        "note",
        json!({
            "plan": written.plan, "provider": written.provider, "model": written.model, "advisory": true, "note": written.note,
            "left_out": written.left_out, "tokens": { "input": input, "output": output }, "made_before": written.kept,
        }),
    )
}

/// What would be sent: to where, the two texts as the model reads them, and the body that holds them.
pub(crate) fn request(url: &str, prompt: &Prompt, body: &str) -> String {
    format!(
        "POST {}\n\n{}\n{}\n\n{}\n{}\n{}\n{}\n",
        one_line(url),
        bold("What the model is told of its part"),
        clean(&prompt.system),
        bold("What it is asked"),
        clean(&prompt.text),
        bold("The body that holds both"),
        clean(body),
    )
}
