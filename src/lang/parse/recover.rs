//! Where to start afresh in a file whose brackets or quotes do not match up.
//!
//! Called by the parser for such files only. It goes by layout, since nothing else can be trusted there: a block is taken
//! to begin at every line that starts, without indentation, like the head of one.

use crate::lang::lex::{continues_name, heredoc_opening, starts_name};
use std::ops::Range;

/// Cuts a text before each line that looks like the head of a block. Heredocs that end, and comments, are left whole.
pub(super) fn parts(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let mut at = 0;
    while at < text.len() {
        let line = &text[at..];
        let length = line.find('\n').map_or(line.len(), |end| end + 1);
        let line = &line[..length];
        if at > 0 && is_head(line) {
            starts.push(at);
        }
        at += length;
        if line.starts_with("/*") && !line.contains("*/") {
            at = text[at..].find("*/").map_or(at, |close| at + close + 2);
            // The rest of the comment's last line is no start of a line.
            at += text[at..].find('\n').map_or(text.len() - at, |end| end + 1);
        } else if let Some(end) = heredoc_end(text, line, at) {
            at = end;
        }
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| start..end).collect()
}

/// True for `word {`, `word "label" {` and so on at the very start.
fn is_head(line: &str) -> bool {
    if !line.starts_with(starts_name) {
        return false;
    }
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.starts_with('{') {
            return true;
        } else if let Some(label) = rest.strip_prefix('"') {
            match label.find(['"', '\n']) {
                Some(end) if label[end..].starts_with('"') => rest = &label[end + 1..],
                // An open quote in a head is what is wrong here.
                _ => return line.trim_end().ends_with('{'),
            }
        } else if rest.starts_with(starts_name) {
            rest = rest.trim_start_matches(continues_name);
        } else {
            return false;
        }
    }
}

/// The end of a heredoc that this line opens, where it has one.
fn heredoc_end(text: &str, line: &str, behind: usize) -> Option<usize> {
    let open = line.rfind("<<")?;
    let (_, word) = heredoc_opening(&line[open..])?;
    let word = &line[open..][word];
    let mut at = behind;
    for line in text[behind..].split_inclusive('\n') {
        at += line.len();
        if line.trim() == word {
            return Some(at);
        }
    }
    None
}
