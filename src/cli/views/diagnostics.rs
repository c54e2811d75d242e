//! Diagnostics on screen: file, line, the excerpt underlined, what is wrong, why, and what to do instead.

pub(crate) use crate::base::plural;
use crate::{
    base::{Diagnostic, Diagnostics, Label, Severity, SourceMap},
    cli::style::{bold, clean, cyan, red, wrap, yellow},
};
use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet, renderer::DecorStyle};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Lines kept around a place.
const CONTEXT_LINES: usize = 2;
/// More of an excerpt than this is not shown: a file of one endless line helps nobody.
const EXCERPT_LIMIT: usize = 4_000;

/// All of them, one after the other, and a last line with their number where there are several.
pub(crate) fn render(diagnostics: &Diagnostics, sources: &SourceMap, width: usize) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&one(diagnostic, sources, width));
        out.push('\n');
    }
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors + warnings > 1 {
        let mut parts = Vec::new();
        if errors > 0 {
            parts.push(plural(errors, "error"));
        }
        if warnings > 0 {
            parts.push(plural(warnings, "warning"));
        }
        out.push_str(&bold(parts.join(" and ")));
        out.push('\n');
    }
    out
}

fn one(diagnostic: &Diagnostic, sources: &SourceMap, width: usize) -> String {
    let mut out = match excerpts(diagnostic, sources, width) {
        Some(text) => text,
        None => without_excerpt(diagnostic),
    };
    out.push('\n');
    if !diagnostic.detail.is_empty() {
        paragraph(&mut out, &bold("why"), 3, &diagnostic.detail, width);
    }
    if let Some(hint) = &diagnostic.hint {
        paragraph(&mut out, &cyan("fix"), 3, hint, width);
    }
    out
}

fn paragraph(out: &mut String, word: &str, word_width: usize, text: &str, width: usize) {
    let room = width.saturating_sub(word_width + 6).max(20);
    for (at, line) in wrap(&clean(text), room).iter().enumerate() {
        let lead = if at == 0 { format!("  {word}: ") } else { " ".repeat(word_width + 4) };
        let _ = writeln!(out, "{lead}{line}");
    }
}

fn without_excerpt(diagnostic: &Diagnostic) -> String {
    let head = match diagnostic.severity {
        Severity::Error => red(format!("error[{}]", diagnostic.code)),
        Severity::Warning => yellow(format!("warning[{}]", diagnostic.code)),
    };
    let mut out = format!("{}{}", bold(head), bold(format!(": {}", clean(&diagnostic.summary))));
    for label in &diagnostic.labels {
        let _ = write!(out, "\n  at {}", label.span.file);
        if !label.text.is_empty() {
            let _ = write!(out, ": {}", clean(&label.text));
        }
    }
    out
}

/// A piece of a file, cut at line ends, that holds some places.
struct Piece<'a> {
    text: &'a str,
    from: usize,
    line: usize,
}

fn excerpts(diagnostic: &Diagnostic, sources: &SourceMap, width: usize) -> Option<String> {
    let main = diagnostic.labels.first()?;
    let mut by_file: BTreeMap<&str, Vec<&Label>> = BTreeMap::new();
    for label in &diagnostic.labels {
        by_file.entry(&label.span.file).or_default().push(label);
    }
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let summary = clean(&diagnostic.summary);
    let mut group =
        level.primary_title(&*summary).id(&*diagnostic.code).elements(Vec::<Snippet<'_, Annotation<'_>>>::new());
    let mut files: Vec<&str> = by_file.keys().copied().collect();
    files.sort_by_key(|file| *file != &*main.span.file);
    for file in files {
        let text = sources.text(file)?;
        for piece in pieces(text, &by_file[file]) {
            let mut snippet = Snippet::source(piece.text).path(file.to_owned()).line_start(piece.line).fold(true);
            for label in &by_file[file] {
                if let Some(range) = within(&piece, label) {
                    let kind =
                        if std::ptr::eq(*label, main) { AnnotationKind::Primary } else { AnnotationKind::Context };
                    let annotation = kind.span(range);
                    let words = clean(&label.text).into_owned();
                    snippet = snippet.annotation(if words.is_empty() { annotation } else { annotation.label(words) });
                }
            }
            group = group.element(snippet);
        }
    }
    let renderer = Renderer::styled().decor_style(DecorStyle::Ascii).term_width(width);
    Some(renderer.render(&[group]))
}

/// Pieces of a text that hold all places, with some lines around; near ones are one piece.
fn pieces<'a>(text: &'a str, labels: &[&Label]) -> Vec<Piece<'a>> {
    let mut ranges: Vec<(usize, usize)> = labels
        .iter()
        .map(|label| {
            let start = floor(text, label.span.start as usize);
            let end = floor(text, label.span.end as usize).max(start);
            (back(text, start), forward(text, end.min(start + EXCERPT_LIMIT)))
        })
        .collect();
    ranges.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (from, to) in ranges {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
        .into_iter()
        .filter(|(from, to)| to - from <= EXCERPT_LIMIT * 2)
        .map(|(from, to)| Piece { text: &text[from..to], from, line: text[..from].matches('\n').count() + 1 })
        .collect()
}

/// The start of the line that lies some lines before.
fn back(text: &str, at: usize) -> usize {
    let mut starts = text[..at].rmatch_indices('\n').map(|(n, _)| n + 1);
    starts.nth(CONTEXT_LINES).unwrap_or(0)
}

/// The end of the line that lies some lines behind.
fn forward(text: &str, at: usize) -> usize {
    let at = floor(text, at);
    let mut ends = text[at..].match_indices('\n').map(|(n, _)| at + n);
    ends.nth(CONTEXT_LINES).unwrap_or(text.len())
}

/// The nearest place at or before `at` where a character begins.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A label's place within a piece.
fn within(piece: &Piece<'_>, label: &Label) -> Option<std::ops::Range<usize>> {
    let place = |n: u32| (n as usize).checked_sub(piece.from);
    let start = place(label.span.start).filter(|start| *start <= piece.text.len())?;
    let end = place(label.span.end)?.clamp(start, piece.text.len());
    Some(floor(piece.text, start)..floor(piece.text, end))
}

/// The versioned JSON form of one, with line and column for whoever has no use for bytes.
pub(crate) fn json(diagnostic: &Diagnostic, sources: &SourceMap) -> serde_json::Value {
    let labels: Vec<serde_json::Value> = diagnostic
        .labels
        .iter()
        .map(|label| {
            let (line, column) = sources.position(&label.span).unzip();
            serde_json::json!({
                "file": label.span.file, "start": label.span.start, "end": label.span.end,
                "line": line, "column": column, "text": label.text,
            })
        })
        .collect();
    serde_json::json!({
        "format": super::json::FORMAT, "type": "diagnostic",
        "severity": diagnostic.severity, "code": diagnostic.code, "summary": diagnostic.summary,
        "detail": diagnostic.detail, "hint": diagnostic.hint, "labels": labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;

    fn plain(diagnostics: impl Into<Diagnostics>, text: &str) -> String {
        let mut sources = SourceMap::default();
        sources.insert("plan.hcl".into(), text.into());
        anstream::adapter::strip_str(&render(&diagnostics.into(), &sources, 80)).to_string()
    }

    #[test]
    fn a_problem_shows_place_excerpt_reason_and_remedy() {
        let text = "plan \"x\" {}\n\nhelm \"loki\" {\n  phase = phase.servces\n}\n"; // spellchecker:disable-line
        let at = text.find("phase.ser").unwrap();
        let diagnostic = Diagnostic::error("unknown_reference", "there is no phase `servces`") // spellchecker:disable-line
            .at(&Span::new("plan.hcl", at..at + 13), "named here")
            .because("phases are declared with `phase` blocks in the plan's own folder")
            .hint("did you mean `phase.services`?");
        insta::assert_snapshot!(plain(diagnostic, text));
    }

    #[test]
    fn places_outside_the_text_or_inside_a_character_do_no_harm() {
        let text = "a = \"ä\"\n";
        for (start, end) in [(5, 6), (6, 6), (100, 200), (7, 3), (0, 4_000_000_000)] {
            let label = Label { span: Span { file: "plan.hcl".into(), start, end }, text: String::new() };
            let mut diagnostic = Diagnostic::error("x", "y");
            diagnostic.labels.push(label);
            assert!(plain(diagnostic, text).contains("error[x]: y"));
        }
    }

    #[test]
    fn a_problem_without_a_place_or_with_an_unknown_file_is_still_readable() {
        let diagnostic = Diagnostic::warning("w", "odd").at(&Span::new("other.hcl", 1..2), "here");
        assert_eq!(plain(diagnostic, ""), "warning[w]: odd\n  at other.hcl: here\n\n");
    }
}
