//! The difference between two values as lines: by structure where there is any, by text lines where there is none.

use super::{
    document,
    value::{block, hidden, inline, name},
};
use crate::{
    base::{Data, Value},
    cli::style,
};
use similar::{Algorithm, ChangeTag, DiffOp, TextDiff, capture_diff_slices};

/// Texts with more lines are not compared line by line.
const LINES_LIMIT: usize = 5_000;
/// Sequences with more elements are compared place by place.
const ELEMENTS_LIMIT: usize = 2_000;
/// Unchanged lines around changed ones.
const CONTEXT: usize = 2;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Only for orientation.
    Same,
    /// Came to be.
    Added,
    /// Went.
    Removed,
    /// Changed.
    Changed,
}

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// What became of it.
    pub(crate) sign: Sign,
    /// How far it is indented.
    pub(crate) depth: usize,
    /// The text, without colour.
    pub(crate) text: String,
}

impl Line {
    fn new(sign: Sign, depth: usize, text: impl Into<String>) -> Self {
        Self { sign, depth, text: text.into() }
    }

    /// The line with its sign and colour, indented by `indent` columns.
    pub(crate) fn paint(&self, indent: usize) -> String {
        let lead = " ".repeat(indent + self.depth * 2);
        match self.sign {
            Sign::Same => format!("{lead}  {}", style::dim(&self.text)),
            Sign::Added => format!("{lead}{}", style::green(format!("+ {}", self.text))),
            Sign::Removed => format!("{lead}{}", style::red(format!("- {}", self.text))),
            Sign::Changed => format!("{lead}{} {}", style::yellow("~"), self.text),
        }
    }
}

/// A piece of a difference, which a view lays out as lines or side by side.
pub(crate) enum Piece {
    /// A single value became another.
    Changed {
        /// How far it is indented.
        depth: usize,
        /// Where.
        path: String,
        /// What it was, on one line.
        before: String,
        /// What it is now, on one line.
        after: String,
    },
    /// Something came or went as a whole.
    Whole {
        /// What became of it.
        sign: Sign,
        /// How far it is indented.
        depth: usize,
        /// Where.
        path: String,
        /// Its lines, each with its own depth.
        lines: Vec<(usize, String)>,
    },
    /// A heading, or a line of a text.
    Line(Line),
}

/// The lines that say how `before` became `after` under this path. Empty where nothing did.
pub(crate) fn lines(path: &str, before: Option<&Value>, after: Option<&Value>, room: usize) -> Vec<Line> {
    let mut out = Vec::new();
    for piece in pieces(path, before, after, room) {
        match piece {
            Piece::Line(line) => out.push(line),
            Piece::Changed { depth, path, before, after } => {
                changed_lines(depth, &path, &before, &after, room, &mut out);
            }
            Piece::Whole { sign, depth, path, lines } => {
                let lead = lead(&path);
                let lines = lines.into_iter().enumerate().map(|(at, (inner, text))| {
                    Line::new(sign, depth + inner, if at == 0 { format!("{lead}{text}") } else { text })
                });
                out.extend(lines);
            }
        }
    }
    out
}

/// How `before` became `after` under this path, for lines of so many columns.
pub(crate) fn pieces(path: &str, before: Option<&Value>, after: Option<&Value>, room: usize) -> Vec<Piece> {
    let mut out = Vec::new();
    compare(path, before, after, 0, room, &mut out);
    out
}

/// What stands before a value.
fn lead(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path} = ") }
}

fn changed_lines(depth: usize, path: &str, before: &str, after: &str, room: usize, out: &mut Vec<Line>) {
    let lead = lead(path);
    let line = format!("{lead}{before} -> {after}");
    if line.chars().count() + depth * 2 + 2 <= room {
        return out.push(Line::new(Sign::Changed, depth, line));
    }
    out.push(Line::new(Sign::Changed, depth, format!("{lead}{before}")));
    let indent = " ".repeat(lead.chars().count().saturating_sub(3));
    out.push(Line::new(Sign::Changed, depth, format!("{indent}-> {after}")));
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, depth: usize, room: usize, out: &mut Vec<Piece>) {
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (None, Some(after)) => return whole(Sign::Added, path, after, depth, room, out),
        (Some(before), None) => return whole(Sign::Removed, path, before, depth, room, out),
        (None, None) => return,
    };
    if before == after {
        return;
    }
    if hidden(before).is_some() || hidden(after).is_some() {
        let note = if inline(before) == inline(after) { ", changed" } else { "" };
        return changed(path, &inline(before), &format!("{}{note}", inline(after)), depth, out);
    }
    match (before.data(), after.data()) {
        (Data::Mapping(_, left), Data::Mapping(_, right)) if !left.is_empty() && !right.is_empty() => {
            let mut keys: Vec<_> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                compare(&join(path, key), left.get(key), right.get(key), depth, room, out);
            }
        }
        (Data::Sequence(_, left), Data::Sequence(_, right)) if !left.is_empty() && !right.is_empty() => {
            sequences(path, left, right, depth, room, out);
        }
        (Data::String(left), Data::String(right)) => strings(path, left, right, depth, room, out),
        _ => changed(path, &inline(before), &inline(after), depth, out),
    }
}

/// A path and one more key.
pub(crate) fn join(path: &str, key: &str) -> String {
    let key = name(key);
    match (path.is_empty(), key.starts_with('"')) {
        (true, _) => key,
        (false, true) => format!("{path}[{key}]"),
        (false, false) => format!("{path}.{key}"),
    }
}

/// Something that came or went as a whole.
fn whole(sign: Sign, path: &str, value: &Value, depth: usize, room: usize, out: &mut Vec<Piece>) {
    let room = room.saturating_sub(depth * 2 + 2 + lead(path).chars().count());
    out.push(Piece::Whole { sign, depth, path: path.to_owned(), lines: block(value, room) });
}

fn changed(path: &str, before: &str, after: &str, depth: usize, out: &mut Vec<Piece>) {
    let (path, before, after) = (path.to_owned(), before.to_owned(), after.to_owned());
    out.push(Piece::Changed { depth, path, before, after });
}

fn sequences(path: &str, left: &[Value], right: &[Value], depth: usize, room: usize, out: &mut Vec<Piece>) {
    let element = |at: usize| format!("{path}[{at}]");
    if left.len().max(right.len()) > ELEMENTS_LIMIT {
        for at in 0..left.len().max(right.len()) {
            compare(&element(at), left.get(at), right.get(at), depth, room, out);
        }
        return;
    }
    let text = |values: &[Value]| values.iter().map(|v| format!("{v:?}{}", v.to_json_lossy())).collect::<Vec<_>>();
    for op in capture_diff_slices(Algorithm::Myers, &text(left), &text(right)) {
        match op {
            DiffOp::Equal { .. } => {}
            DiffOp::Delete { old_index, old_len, .. } => {
                for (at, value) in left.iter().enumerate().skip(old_index).take(old_len) {
                    whole(Sign::Removed, &element(at), value, depth, room, out);
                }
            }
            DiffOp::Insert { new_index, new_len, .. } => {
                for (at, value) in right.iter().enumerate().skip(new_index).take(new_len) {
                    whole(Sign::Added, &element(at), value, depth, room, out);
                }
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                for n in 0..old_len.max(new_len) {
                    let old = (n < old_len).then(|| &left[old_index + n]);
                    let new = (n < new_len).then(|| &right[new_index + n]);
                    let at = if n < new_len { new_index + n } else { old_index + n };
                    compare(&element(at), old, new, depth, room, out);
                }
            }
        }
    }
}

fn strings(path: &str, before: &str, after: &str, depth: usize, room: usize, out: &mut Vec<Piece>) {
    if let Some((format, left, right)) = document::both(before, after) {
        if left == right {
            out.push(Piece::Line(Line::new(
                Sign::Changed,
                depth,
                format!("{path} ({}, only its layout differs)", format.name()),
            )));
            return text_lines(before, after, depth + 1, out);
        }
        out.push(Piece::Line(Line::new(Sign::Changed, depth, format!("{path} ({})", format.name()))));
        return compare("", Some(&left), Some(&right), depth + 1, room, out);
    }
    if !before.trim_end().contains('\n') && !after.trim_end().contains('\n') {
        let quoted = |text: &str| inline(&Value::string(text));
        return changed(path, &quoted(before), &quoted(after), depth, out);
    }
    let (old, new) = (before.lines().count(), after.lines().count());
    if old.max(new) > LINES_LIMIT {
        return changed(path, &format!("({old} lines)"), &format!("({new} lines)"), depth, out);
    }
    out.push(Piece::Line(Line::new(Sign::Changed, depth, format!("{path} (text)"))));
    text_lines(before, after, depth + 1, out);
}

fn text_lines(before: &str, after: &str, depth: usize, out: &mut Vec<Piece>) {
    if before.lines().count().max(after.lines().count()) > LINES_LIMIT {
        return;
    }
    let diff = TextDiff::from_lines(before, after);
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            out.push(Piece::Line(Line::new(Sign::Same, depth, "...")));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => Sign::Same,
                ChangeTag::Delete => Sign::Removed,
                ChangeTag::Insert => Sign::Added,
            };
            let text = change.value();
            let end = if text.ends_with('\n') { "" } else { "  (no line end)" };
            let shown = style::clean(text.trim_end_matches('\n')).into_owned();
            out.push(Piece::Line(Line::new(sign, depth, format!("{shown}{end}").trim_end().to_owned())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &Value, after: &Value) -> String {
        let lines: Vec<String> = lines("at", Some(before), Some(after), 70).iter().map(|l| l.paint(0)).collect();
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn structures_differ_leaf_by_leaf() {
        let before =
            Value::from_json(&serde_json::json!({"a": {"b": 1, "c d": true}, "l": ["x", "y", "z"], "gone": {}}));
        let after = Value::from_json(&serde_json::json!({"a": {"b": 2, "c d": true}, "l": ["y", "z", {"k": 1}]}));
        insta::assert_snapshot!(shown(&before, &after), @r#"
        ~ at.a.b = 1 -> 2
        - at.gone = {}
        - at.l[0] = "x"
        + at.l[2] = { k = 1 }
        "#);
    }

    #[test]
    fn yaml_in_a_string_differs_by_what_it_says() {
        let before = Value::string("server:\n  port: 80 # old\n  tls: false\n");
        let after = Value::string("server:\n  tls: false\n  port: 8080\n");
        insta::assert_snapshot!(shown(&before, &after), @r"
        ~ at (YAML)
          ~ server.port = 80 -> 8080
        ");
        let comment = Value::string("server:\n  port: 80\n  tls: false\n");
        insta::assert_snapshot!(shown(&before, &comment), @r"
        ~ at (YAML, only its layout differs)
            server:
          -   port: 80 # old
          +   port: 80
              tls: false
        ");
    }

    #[test]
    fn text_of_several_lines_differs_line_by_line() {
        let before = (1..=20).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
        let after = before.replace("line 10\n", "line ten\n");
        insta::assert_snapshot!(shown(&Value::string(before), &Value::string(after)), @r"
        ~ at (text)
            line 8
            line 9
          - line 10
          + line ten
            line 11
            line 12
        ");
    }

    #[test]
    fn secrets_show_that_they_changed_and_nothing_else() {
        let seal = |n: &str| Value::from(Data::Sealed(n.into())).sensitive();
        assert_eq!(shown(&seal("a"), &seal("b")), "~ at = (sensitive) -> (sensitive), changed");
        assert_eq!(shown(&Value::string("x"), &Value::UNKNOWN), "~ at = \"x\" -> (known after apply)");
    }
}
