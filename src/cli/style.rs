//! Colours and signs. Colour only repeats what a sign or word says already.

use crate::{base::ActionWord, review};
use anstyle::{AnsiColor, Style};
use std::fmt::Display;

const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const MAGENTA: Style = AnsiColor::Magenta.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// What came to be.
pub(crate) fn green(text: impl Display) -> String {
    paint(GREEN, text)
}

/// What changes.
pub(crate) fn yellow(text: impl Display) -> String {
    paint(YELLOW, text)
}

/// What goes, and what went wrong.
pub(crate) fn red(text: impl Display) -> String {
    paint(RED, text)
}

/// What is read or waits.
pub(crate) fn cyan(text: impl Display) -> String {
    paint(CYAN, text)
}

/// Headings and names.
pub(crate) fn bold(text: impl Display) -> String {
    paint(BOLD, text)
}

/// What is only for the curious.
pub(crate) fn dim(text: impl Display) -> String {
    paint(DIM, text)
}

/// A text in the colour of an action.
pub(crate) fn of_action(action: ActionWord, text: impl Display) -> String {
    let style = match action {
        ActionWord::Create | ActionWord::Import => GREEN,
        ActionWord::Update => YELLOW,
        ActionWord::Replace => MAGENTA,
        ActionWord::Delete | ActionWord::Forget => RED,
        ActionWord::Read | ActionWord::Defer | ActionWord::Verify | ActionWord::Shift => CYAN,
        ActionWord::NoOp => DIM,
    };
    paint(style, text)
}

/// A text from outside with every control character but the line end made visible, and whatever takes no room or turns the direction of text: it
/// can neither steer the terminal nor look like another.
pub(crate) fn clean(text: &str) -> std::borrow::Cow<'_, str> {
    let harmless = |c: char| c == '\n' || !review::is_invisible(c);
    if text.chars().all(harmless) {
        return text.into();
    }
    text.chars()
        .map(|c| {
            if c == '\t' {
                "    ".to_owned()
            } else if harmless(c) {
                c.to_string()
            } else {
                c.escape_default().to_string()
            }
        })
        .collect::<String>()
        .into()
}

/// A name from outside, so that it can neither steer the terminal nor begin a line that looks like one of ours.
pub(crate) fn one_line(text: &str) -> String {
    clean(text).replace('\n', "\\n")
}

/// The columns that a text takes, colours left out.
pub(crate) fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(anstream::adapter::strip_str(text).to_string().as_str())
}

/// Words put into lines of at most this width; a word that is longer stands alone.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc"), "a\\u{1b}[2Jb\\r\nc");
        assert_eq!(clean("a\u{202e}b\u{200b}c é"), "a\\u{202e}b\\u{200b}c é");
        assert_eq!(clean("plain\ntext"), "plain\ntext");
        assert_eq!(one_line("a\n+ b"), "a\\n+ b");
    }

    #[test]
    fn words_wrap_and_colours_take_no_room() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(width(&red("日本")), 4);
    }
}
