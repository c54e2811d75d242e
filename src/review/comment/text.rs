//! Text of others in a Markdown comment: as code, as prose, in HTML and in a fence, so that it is read and never obeyed.
//!
//! Values, names and reasons come from plan files, charts and live systems; whoever may write one of them must not speak as
//! Terrace, call people, load pictures or end a block that holds it.

use std::fmt::Write as _;

/// So many characters of a name or a sentence are shown; the rest is counted.
const LONGEST: usize = 400;

/// Keeps what stands around a sign from being joined to it: `@name` calls nobody with this between.
const APART: char = '\u{200b}';

/// On one line, with everything that cannot be seen or that turns the direction of text made visible, and no begin of an
/// HTML comment: the marker is ours alone.
pub(in crate::review) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("    "),
            c if is_invisible(c) => {
                let _ = write!(out, "(U+{:04X})", u32::from(c));
            }
            c => out.push(c),
        }
    }
    if out.contains("<!--") { out.replace("<!--", "<! --") } else { out }
}

/// Control characters, those that turn the direction of text, and those that take no room.
pub(in crate::review) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// At most so many characters, and how many more there are.
pub(in crate::review) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} more characters)", &text[..at], text[at..].chars().count()),
    }
}

/// A name as code: nothing in code is obeyed.
pub(super) fn code(text: &str) -> String {
    let text = cut(&line(text), LONGEST);
    if text.trim().is_empty() {
        return "(nothing)".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text) + 1);
    let edge = |c: char| c == '`' || c == ' ';
    let room = if text.starts_with(edge) || text.ends_with(edge) { " " } else { "" };
    format!("{ticks}{room}{text}{room}{ticks}")
}

/// A name as code in a table, where a bar would begin another cell, in code as well.
pub(super) fn code_in_table(text: &str) -> String {
    code(&text.replace('|', "¦"))
}

/// A sentence: signs of Markdown and HTML are escaped, and what would call people or refer to something stands apart.
pub(super) fn prose(text: &str) -> String {
    let text = cut(&line(text), LONGEST);
    let mut out = String::with_capacity(text.len() + 16);
    let mut digits = 0;
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let joined = chars.peek().is_some_and(|next| !next.is_whitespace());
        // Seven digits of a commit are enough for a forge to make a link of them.
        digits = if c.is_ascii_hexdigit() { digits + 1 } else { 0 };
        if digits == 7 {
            out.push(APART);
            digits = 1;
        }
        // `www.` alone makes a link, whatever follows.
        if c == '.' && before.eq_ignore_ascii_case(&'w') {
            out.push(APART);
        }
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '{' | '}' | '#' | '!' | '|' | '~' | '$' | '^' | '"' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        // Mentions, references, short names of pictures, links without brackets, addresses of mail, `GH-12`.
        let refers = matches!(c, '@' | '#' | '!' | '%' | '&' | '~' | '$' | '^' | ':')
            || c == '-' && before.is_ascii_alphabetic() && chars.peek().is_some_and(char::is_ascii_digit);
        if refers && joined {
            out.push(APART);
        }
        before = c;
    }
    out
}

/// A name within HTML of ours, as code.
pub(super) fn html_code(text: &str) -> String {
    let mut out = String::from("<code>");
    for c in cut(&line(text), LONGEST).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out.push_str("</code>");
    out
}

/// A fence around lines that are safe by themselves: longer than any run of ticks in them.
pub(super) fn fence(language: &str, lines: &str) -> String {
    let ticks = "`".repeat(longest_run(lines).max(2) + 1);
    format!("{ticks}{language}\n{lines}{ticks}\n")
}

/// The longest run of ticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A word as a POSIX shell takes it, on one line.
pub(super) fn shell(word: &str) -> String {
    let word = line(word);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A name as a marker holds it: nothing in it can end an HTML comment, and two names never give the same.
pub(super) fn marked(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' {
            out.push(char::from(byte));
        } else if byte == b'-' && !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
