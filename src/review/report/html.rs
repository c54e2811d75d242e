//! HTML as it grows. Markup is a literal of this program, and whatever is not goes through escaping: the types leave no other way.

use crate::review::plain::{cut, escape, visible};
use std::fmt::Write as _;

/// So many characters of a name or a sentence are shown; the rest is counted.
const LONGEST: usize = 2_000;

/// A page, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup of ours.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text of whoever wrote it, on one line.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        escape(&cut(&visible(text), LONGEST), &mut self.0);
        self
    }

    /// Lines of text; only line ends that this program put between them may be in it.
    pub(super) fn lines(&mut self, text: &str) -> &mut Self {
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                self.0.push('\n');
            }
            escape(&visible(line), &mut self.0);
        }
        self
    }

    /// A number.
    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        self.0.push_str(&number.to_string());
        self
    }

    /// An attribute, behind the begin of a tag.
    pub(super) fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// A name, as code.
    pub(super) fn code(&mut self, text: &str) -> &mut Self {
        self.raw("<code>").text(text).raw("</code>")
    }

    /// JSON within a script that is not run: nothing in it can end it, or begin a comment.
    pub(super) fn json(&mut self, value: &serde_json::Value) -> &mut Self {
        for c in value.to_string().chars() {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
        self
    }

    /// Another part behind this one.
    pub(super) fn part(&mut self, part: &Self) -> &mut Self {
        self.0.push_str(&part.0);
        self
    }

    /// How long it is, in bytes.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The text.
    pub(super) fn done(self) -> String {
        self.0
    }
}
