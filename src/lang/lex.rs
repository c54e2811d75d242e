//! Text to tokens, for the parser and the formatter. Nothing is lost: comments and line ends are tokens, and what lies
//! between two tokens is blank. It reports nothing; what is wrong becomes a token that the parser stumbles over.
//!
//! Tokens are cut as HCL's own scanner cuts them (a heredoc's text line by line), since the strip markers `~` and the
//! indentation of `<<-` are defined on them.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Newline,
    /// With its line end, where it is one of `#` or `//` and not at the end of the text.
    Comment,
    Ident,
    Number,
    OpenQuote,
    CloseQuote,
    /// Text in quotes, escapes not yet resolved.
    QuotedText,
    /// A quote was not closed on its line; of no length.
    UnclosedQuote,
    /// `<<EOT` or `<<-EOT`, with its line end.
    OpenHeredoc,
    /// The closing word, with the blanks before it.
    CloseHeredoc,
    /// Text in a heredoc; ends behind each line end.
    HeredocText,
    /// `${` or `${~`.
    Interpolation,
    /// `%{` or `%{~`.
    Directive,
    /// The `}` or `~}` of one of these.
    CloseSequence,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    OpenParen,
    CloseParen,
    Assign,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Not,
    Question,
    Colon,
    DoubleColon,
    Comma,
    Dot,
    Ellipsis,
    FatArrow,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    /// A character that belongs nowhere, an unclosed comment, or a heredoc without its end.
    Invalid,
    End,
}

/// A token and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Token {
    /// Its place as indices.
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Its text.
    pub(crate) fn text(self, source: &str) -> &str {
        source.get(self.range()).unwrap_or_default()
    }
}

/// Where the scanner stands.
enum Mode {
    /// In `${ }` or `%{ }`, with the number of braces open in it.
    Sequence {
        braces: usize,
    },
    Quote,
    Heredoc {
        marker: Range<usize>,
        line_start: bool,
    },
}

struct Lexer<'t> {
    text: &'t str,
    end: usize,
    at: usize,
    modes: Vec<Mode>,
    tokens: Vec<Token>,
}

/// Cuts a part of a text into tokens. Places are those in the whole text; the last token is [`Kind::End`].
pub(crate) fn tokens(text: &str, part: Range<usize>) -> Vec<Token> {
    let mut lexer = Lexer {
        text: &text[..part.end],
        end: part.end,
        at: part.start,
        modes: Vec::new(),
        tokens: Vec::with_capacity(part.len() / 4),
    };
    if lexer.at == 0 && lexer.text.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    while lexer.at < lexer.end {
        match lexer.modes.last() {
            None | Some(Mode::Sequence { .. }) => lexer.code(),
            Some(Mode::Quote) => lexer.quoted(),
            Some(Mode::Heredoc { .. }) => lexer.heredoc(),
        }
    }
    lexer.push(Kind::End, 0);
    lexer.tokens
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let place = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.tokens.push(Token { kind, start: place(self.at), end: place(self.at + length) });
        self.at += length;
    }

    fn code(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return };
        let two = rest.as_bytes().get(1).copied();
        let (kind, length) = match first {
            ' ' | '\t' => {
                self.at += rest.find(|c| c != ' ' && c != '\t').unwrap_or(rest.len());
                return;
            }
            '\n' => (Kind::Newline, 1),
            '\r' if two == Some(b'\n') => (Kind::Newline, 2),
            '#' => (Kind::Comment, line_length(rest)),
            '/' if two == Some(b'/') => (Kind::Comment, line_length(rest)),
            '/' if two == Some(b'*') => match rest[2..].find("*/") {
                Some(close) => (Kind::Comment, close + 4),
                None => (Kind::Invalid, rest.len()),
            },
            '"' => {
                self.push(Kind::OpenQuote, 1);
                self.modes.push(Mode::Quote);
                return;
            }
            '<' if two == Some(b'<') => match heredoc_opening(rest) {
                Some((length, marker)) => {
                    let marker = self.at + marker.start..self.at + marker.end;
                    self.push(Kind::OpenHeredoc, length);
                    self.modes.push(Mode::Heredoc { marker, line_start: true });
                    return;
                }
                None => (Kind::Less, 1),
            },
            '{' => {
                if let Some(Mode::Sequence { braces }) = self.modes.last_mut() {
                    *braces += 1;
                }
                (Kind::OpenBrace, 1)
            }
            '}' => return self.close_brace(1),
            '~' if two == Some(b'}') => return self.close_brace(2),
            '[' => (Kind::OpenBracket, 1),
            ']' => (Kind::CloseBracket, 1),
            '(' => (Kind::OpenParen, 1),
            ')' => (Kind::CloseParen, 1),
            '=' if two == Some(b'=') => (Kind::Equal, 2),
            '=' if two == Some(b'>') => (Kind::FatArrow, 2),
            '=' => (Kind::Assign, 1),
            '!' if two == Some(b'=') => (Kind::NotEqual, 2),
            '!' => (Kind::Not, 1),
            '<' if two == Some(b'=') => (Kind::LessEqual, 2),
            '<' => (Kind::Less, 1),
            '>' if two == Some(b'=') => (Kind::GreaterEqual, 2),
            '>' => (Kind::Greater, 1),
            '&' if two == Some(b'&') => (Kind::And, 2),
            '|' if two == Some(b'|') => (Kind::Or, 2),
            '?' => (Kind::Question, 1),
            ':' if two == Some(b':') => (Kind::DoubleColon, 2),
            ':' => (Kind::Colon, 1),
            ',' => (Kind::Comma, 1),
            '.' if rest.starts_with("...") => (Kind::Ellipsis, 3),
            '.' => (Kind::Dot, 1),
            '+' => (Kind::Plus, 1),
            '-' => (Kind::Minus, 1),
            '*' => (Kind::Star, 1),
            '/' => (Kind::Slash, 1),
            '%' => (Kind::Percent, 1),
            '0'..='9' => {
                // `a.0.1` is two steps and no number with a fraction.
                let step = self.tokens.last().is_some_and(|t| t.kind == Kind::Dot && t.end as usize == self.at);
                (Kind::Number, number_length(rest, step))
            }
            c if starts_name(c) => (Kind::Ident, rest.find(|c| !continues_name(c)).unwrap_or(rest.len())),
            c => (Kind::Invalid, c.len_utf8()),
        };
        self.push(kind, length);
    }

    fn close_brace(&mut self, length: usize) {
        match self.modes.last_mut() {
            Some(Mode::Sequence { braces: 0 }) => {
                self.modes.pop();
                self.push(Kind::CloseSequence, length);
            }
            Some(Mode::Sequence { braces }) if length == 1 => {
                *braces -= 1;
                self.push(Kind::CloseBrace, 1);
            }
            _ if length == 1 => self.push(Kind::CloseBrace, 1),
            _ => self.push(Kind::Invalid, 1),
        }
    }

    /// Opens `${` or `%{` where the text stands before one.
    fn sequence(&mut self) -> bool {
        let rest = self.rest();
        let kind = match rest.as_bytes() {
            [b'$', b'{', ..] => Kind::Interpolation,
            [b'%', b'{', ..] => Kind::Directive,
            _ => return false,
        };
        let length = if rest.as_bytes().get(2) == Some(&b'~') { 3 } else { 2 };
        self.push(kind, length);
        self.modes.push(Mode::Sequence { braces: 0 });
        true
    }

    fn quoted(&mut self) {
        if self.sequence() {
            return;
        }
        let rest = self.rest().as_bytes();
        match rest[0] {
            b'"' => {
                self.modes.pop();
                return self.push(Kind::CloseQuote, 1);
            }
            b'\n' | b'\r' => {
                self.modes.pop();
                return self.push(Kind::UnclosedQuote, 0);
            }
            _ => {}
        }
        let mut length = 0;
        while let Some(&byte) = rest.get(length) {
            match byte {
                b'"' | b'\n' | b'\r' => break,
                b'\\' => {
                    length += 1;
                    // What is escaped may be a character of several bytes; its first is enough to step over a quote.
                    if rest.get(length).is_some_and(|b| *b != b'\n' && *b != b'\r') {
                        length += 1;
                    }
                }
                b'$' | b'%' if escaped_sequence(&rest[length..]) => length += 3,
                b'$' | b'%' if rest.get(length + 1) == Some(&b'{') => break,
                _ => length += 1,
            }
        }
        while !self.text.is_char_boundary(self.at + length) {
            length += 1;
        }
        self.push(Kind::QuotedText, length);
    }

    fn heredoc(&mut self) {
        let Some(Mode::Heredoc { marker, line_start }) = self.modes.last_mut() else { return };
        let line = &self.text[self.at..];
        if *line_start {
            let end = line.find('\n').unwrap_or(line.len());
            if line[..end].trim() == &self.text[marker.clone()] {
                let length = line[..end].strip_suffix('\r').unwrap_or(&line[..end]).len();
                self.modes.pop();
                return self.push(Kind::CloseHeredoc, length);
            }
        }
        *line_start = false;
        if self.sequence() {
            return;
        }
        let rest = self.rest().as_bytes();
        let mut length = 0;
        while let Some(&byte) = rest.get(length) {
            match byte {
                b'\n' => {
                    length += 1;
                    if let Some(Mode::Heredoc { line_start, .. }) = self.modes.last_mut() {
                        *line_start = true;
                    }
                    break;
                }
                b'$' | b'%' if escaped_sequence(&rest[length..]) => length += 3,
                b'$' | b'%' if rest.get(length + 1) == Some(&b'{') => break,
                _ => length += 1,
            }
        }
        self.push(Kind::HeredocText, length);
    }
}

/// True before `$${` and `%%{`.
fn escaped_sequence(rest: &[u8]) -> bool {
    matches!(rest, [b'$', b'$', b'{', ..] | [b'%', b'%', b'{', ..])
}

/// True for what a name may begin with.
pub(crate) fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// True for what a name may go on with.
pub(crate) fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn line_length(rest: &str) -> usize {
    rest.find('\n').map_or(rest.len(), |end| end + 1)
}

/// The length of `<<EOT` with its line end, and where in it the word is.
pub(crate) fn heredoc_opening(rest: &str) -> Option<(usize, Range<usize>)> {
    let start = if rest.as_bytes().get(2) == Some(&b'-') { 3 } else { 2 };
    let word = rest.get(start..)?;
    if !word.starts_with(starts_name) {
        return None;
    }
    let length = word.find(|c| !continues_name(c))?;
    let behind = &word[length..];
    let line_end = if behind.starts_with("\r\n") {
        2
    } else if behind.starts_with('\n') {
        1
    } else {
        return None;
    };
    Some((start + length + line_end, start..start + length))
}

fn number_length(rest: &str, whole: bool) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut length = digits(0);
    if whole {
        return length;
    }
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length += 1;
        length += digits(length);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        if bytes.get(length + 1 + sign).is_some_and(u8::is_ascii_digit) {
            length += 1 + sign;
            length += digits(length);
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text, 0..text.len()).iter().map(|t| t.kind).collect()
    }

    #[test]
    fn an_interpolation_in_quotes_holds_quotes_and_braces_of_its_own() {
        use Kind::{
            CloseBrace, CloseQuote, CloseSequence, End, Ident, Interpolation, OpenBrace, OpenQuote, QuotedText,
        };
        assert_eq!(
            kinds(r#""a${{x"}"}}b""#),
            [
                OpenQuote,
                QuotedText,
                Interpolation,
                OpenBrace,
                Ident,
                OpenQuote,
                QuotedText,
                CloseQuote,
                CloseBrace,
                CloseSequence,
                QuotedText,
                CloseQuote,
                End
            ]
        );
    }

    #[test]
    fn a_heredoc_is_cut_by_lines_and_ends_at_its_word_alone() {
        use Kind::{CloseHeredoc, End, HeredocText, Newline, OpenHeredoc};
        assert_eq!(
            kinds("<<EOT\n a\n EOTX\n  EOT\n"),
            [OpenHeredoc, HeredocText, HeredocText, CloseHeredoc, Newline, End]
        );
    }

    #[test]
    fn an_open_quote_ends_with_its_line() {
        assert_eq!(
            kinds("\"a\nb"),
            [Kind::OpenQuote, Kind::QuotedText, Kind::UnclosedQuote, Kind::Newline, Kind::Ident, Kind::End]
        );
    }

    proptest! {
        #[test]
        fn between_tokens_there_is_nothing_but_blanks(text in "(?s)[ a\"${}%~<E\n\r#/*\\\\0.é-]{0,60}") {
            let mut at = 0;
            for token in tokens(&text, 0..text.len()) {
                let range = token.range();
                prop_assert!(text[at..range.start].chars().all(|c| c == ' ' || c == '\t'));
                at = range.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
