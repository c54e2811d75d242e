//! Where output goes: data to stdout, status to stderr, questions to a terminal. All printing of the program is here.
//!
//! Views hand over text with colours in it; they are taken out where the stream is no terminal or colour is unwanted. A
//! stream that was closed by its reader is no error: the rest is dropped, and the command goes on.

use crate::{base::canonical_json, cli::surroundings::Surroundings};
use std::io::{BufRead as _, Write};

/// The width that is taken where there is no terminal to ask.
const PLAIN_WIDTH: usize = 100;
/// Widths are kept between these.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=160;

/// The streams of this process and how they are used.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "streams and wishes are independent of each other")]
pub(crate) struct Terminal {
    /// `--json`.
    pub(crate) json: bool,
    /// `--quiet`.
    pub(crate) quiet: bool,
    /// Somebody can be asked.
    pub(crate) can_ask: bool,
    /// Progress bars can be drawn.
    pub(crate) can_draw: bool,
    /// Columns.
    pub(crate) width: usize,
    colour_out: bool,
    colour_err: bool,
}

/// What the command line says about output.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wishes {
    /// `--json`.
    pub(crate) json: bool,
    /// `--quiet`.
    pub(crate) quiet: bool,
    /// `--no-color`.
    pub(crate) no_color: bool,
}

impl Terminal {
    /// The streams as the surroundings and the command line want them.
    pub(crate) fn new(surroundings: &Surroundings, wishes: Wishes) -> Self {
        let unwanted = wishes.no_color
            || surroundings.variable("NO_COLOR").is_some()
            || surroundings.variable("TERM") == Some("dumb");
        let forced = surroundings.variable("CLICOLOR_FORCE").is_some_and(|v| v != "0");
        let colour = |terminal: bool| !unwanted && !wishes.json && (terminal || forced);
        let dumb = surroundings.variable("TERM") == Some("dumb");
        Self {
            json: wishes.json,
            quiet: wishes.quiet,
            can_ask: surroundings.stdin && surroundings.stderr && !wishes.json,
            can_draw: surroundings.stderr && !dumb && !wishes.json && !wishes.quiet,
            width: surroundings.width.unwrap_or(PLAIN_WIDTH).clamp(*WIDTHS.start(), *WIDTHS.end()),
            colour_out: colour(surroundings.stdout),
            colour_err: colour(surroundings.stderr),
        }
    }

    /// Data: to stdout, as it is.
    pub(crate) fn data(&self, text: &str) {
        write(std::io::stdout().lock(), self.colour_out, text);
    }

    /// Data that takes the place of what was written before it, where a person looks at a terminal; behind it elsewhere.
    pub(crate) fn picture(&self, text: &str, again: bool) {
        use std::io::IsTerminal as _;
        let clear = if again && std::io::stdout().is_terminal() { "\u{1b}[H\u{1b}[2J" } else { "" };
        write(std::io::stdout().lock(), self.colour_out, &format!("{clear}{text}"));
    }

    /// Data that is bytes.
    #[expect(clippy::unused_self, reason = "whoever prints holds the terminal")]
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// One JSON document on a line of its own, to stdout.
    pub(crate) fn json_line(&self, value: &impl serde::Serialize) {
        if let Ok(mut line) = canonical_json(value) {
            line.push(b'\n');
            self.bytes(&line);
        }
    }

    /// What goes on: to stderr, a line; nothing with `--quiet` or `--json`.
    pub(crate) fn status(&self, line: &str) {
        if !self.quiet && !self.json {
            self.complain(line);
        }
    }

    /// What must be seen: to stderr, a line.
    pub(crate) fn complain(&self, line: &str) {
        write(std::io::stderr().lock(), self.colour_err, &format!("{line}\n"));
    }

    /// A text for stderr that somebody else writes: without colours where they are unwanted.
    pub(crate) fn paint(&self, text: &str) -> String {
        if self.colour_err { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() }
    }

    /// Asks and returns the answer; `None` where nobody can be asked or input ended.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        if !self.can_ask {
            return None;
        }
        write(std::io::stderr().lock(), self.colour_err, &format!("{question} "));
        let mut answer = String::new();
        match std::io::stdin().lock().read_line(&mut answer) {
            Ok(1..) => Some(answer.trim().to_owned()),
            _ => None,
        }
    }
}

fn write(mut stream: impl Write, colour: bool, text: &str) {
    // A stream whose reader has gone away takes nothing more, and that is all there is to it.
    let _ = if colour {
        stream.write_all(text.as_bytes())
    } else {
        stream.write_all(anstream::adapter::strip_str(text).to_string().as_bytes())
    };
    let _ = stream.flush();
}
