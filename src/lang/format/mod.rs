//! The canonical layout of plan files, the one that `terraform fmt` gives: two blanks a level, `=` and trailing comments of
//! neighbouring lines one below the other, blank lines and comments kept.
//!
//! Called by `terrace fmt` and the language server. It changes nothing but blanks, apart from two things that mean the same:
//! `"${x}"` as a whole value becomes `x`, and labels get their quotes.

mod rewrite;
mod spaces;

use crate::{
    base::Diagnostics,
    lang::{
        lex::{Kind, tokens},
        parse::parse_file,
    },
};
use std::{borrow::Cow, sync::Arc};
use unicode_segmentation::UnicodeSegmentation;

/// A file in canonical layout. Idempotent.
///
/// # Errors
/// The syntax errors of a file that has some: it stays as it is.
pub fn format(text: &str, file: &Arc<str>) -> Result<String, Diagnostics> {
    let (_, diagnostics) = parse_file(text, file);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let byte_order_mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let mut words: Vec<Word<'_>> = tokens(text, 0..text.len())
        .into_iter()
        .filter(|token| token.kind != Kind::End)
        .map(|token| Word { kind: token.kind, text: Cow::Borrowed(token.text(text)), blanks: 0 })
        .collect();
    rewrite::rewrite(&mut words);
    let lines = lines(&words);
    indent(&mut words, &lines);
    for line in &lines {
        spaces::within(&mut words, line.lead.clone());
        spaces::within(&mut words, line.assign.clone());
    }
    align(&mut words, &lines);
    let mut out = String::with_capacity(text.len());
    out.push_str(byte_order_mark);
    for word in &words {
        out.extend(std::iter::repeat_n(' ', word.blanks));
        out.push_str(&word.text);
    }
    Ok(out)
}

/// A token with the blanks that go before it.
#[derive(Debug, Clone)]
struct Word<'t> {
    kind: Kind,
    text: Cow<'t, str>,
    blanks: usize,
}

impl Word<'_> {
    fn ends_line(&self) -> bool {
        match self.kind {
            Kind::Newline => true,
            Kind::Comment => self.text.ends_with('\n'),
            _ => false,
        }
    }

    /// How many brackets it opens, less those that it closes.
    fn brackets(&self) -> isize {
        match self.kind {
            Kind::OpenBrace | Kind::OpenBracket | Kind::OpenParen | Kind::Interpolation | Kind::Directive => 1,
            Kind::CloseBrace | Kind::CloseBracket | Kind::CloseParen | Kind::CloseSequence => -1,
            _ => 0,
        }
    }
}

/// A line in its three cells, as ranges of words; a cell that is not there is empty.
struct Line {
    lead: std::ops::Range<usize>,
    /// From `=` on, where the value ends on the line.
    assign: std::ops::Range<usize>,
    comment: std::ops::Range<usize>,
}

/// A heredoc counts as one line with what opens it.
fn lines(words: &[Word<'_>]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    while start < words.len() {
        let end = words[start..].iter().position(Word::ends_line).map_or(words.len(), |at| start + at + 1);
        let mut lead = start..end;
        let mut comment = end..end;
        if lead.len() > 1 && words[end - 1].kind == Kind::Comment {
            comment = end - 1..end;
            lead.end = end - 1;
        }
        let mut assign = lead.end..lead.end;
        let equals = words[lead.clone()].iter().skip(1).position(|w| w.kind == Kind::Assign).map(|at| start + at + 1);
        if let Some(equals) = equals
            && words[equals..lead.end].iter().map(Word::brackets).sum::<isize>() == 0
        {
            assign = equals..lead.end;
            lead.end = equals;
        }
        lines.push(Line { lead, assign, comment });
        start = end;
    }
    lines
}

/// Indents each line by the brackets that are open before it. Brackets that one line opens are one level together.
fn indent(words: &mut [Word<'_>], lines: &[Line]) {
    let mut levels: Vec<isize> = Vec::new();
    for line in lines {
        if words[line.lead.start].kind == Kind::Newline {
            continue;
        }
        let mut net = 0;
        for word in &words[line.lead.clone()] {
            net += word.brackets();
            if word.kind == Kind::OpenHeredoc {
                break;
            }
        }
        net += words[line.assign.clone()].iter().map(Word::brackets).sum::<isize>();
        if net > 0 {
            words[line.lead.start].blanks = 2 * levels.len();
            levels.push(net);
            continue;
        }
        let mut closed = -net;
        while closed > 0
            && let Some(level) = levels.last_mut()
        {
            if closed < *level {
                *level -= closed;
                break;
            }
            closed -= *level;
            levels.pop();
        }
        words[line.lead.start].blanks = 2 * levels.len();
    }
}

/// Puts `=` and trailing comments of neighbouring lines one below the other.
fn align(words: &mut [Word<'_>], lines: &[Line]) {
    fn chains(lines: &[Line], cell: impl Fn(&Line) -> bool) -> Vec<&[Line]> {
        lines.chunk_by(|a, b| cell(a) == cell(b)).filter(|chain| cell(&chain[0])).collect()
    }
    let width = |words: &[Word<'_>]| words.iter().map(|w| w.blanks + w.text.graphemes(true).count()).sum::<usize>();
    for chain in chains(lines, |line| !line.assign.is_empty()) {
        let widths: Vec<usize> = chain.iter().map(|line| width(&words[line.lead.clone()])).collect();
        let widest = widths.iter().copied().max().unwrap_or(0);
        for (line, own) in chain.iter().zip(widths) {
            words[line.assign.start].blanks = widest - own + 1;
        }
    }
    for chain in chains(lines, |line| !line.comment.is_empty()) {
        let widths: Vec<usize> = chain.iter().map(|line| width(&words[line.lead.start..line.comment.start])).collect();
        let widest = widths.iter().copied().max().unwrap_or(0);
        for (line, own) in chain.iter().zip(widths) {
            words[line.comment.start].blanks = widest - own + 1;
        }
    }
}

#[cfg(test)]
mod tests;
