//! Templates in quotes and heredocs: text with its escapes, interpolations, directives, strip markers, indentation.
//!
//! The order of things is HCL's, since results depend on it: escapes, then strip markers on single pieces of text (a
//! heredoc's pieces are its lines), then the indentation that `<<-` takes away, then joining.

use super::{Balance, Parsed, Parser, Stop, Tall};
use crate::{
    base::{Diagnostic, Span, Value},
    lang::{
        ast::{Expr, Node, TemplatePart},
        lex::{Kind, Token},
    },
};
use std::sync::Arc;

/// A piece of a template before directives are matched up.
enum Piece {
    Text(String),
    Interpolation(Tall),
    If(Tall, Span),
    For { key: Option<Arc<str>>, value: Arc<str>, collection: Tall, span: Span },
    Else(Span),
    EndIf(Span),
    EndFor(Span),
}

/// How a run of parts ended.
enum Ending {
    Template,
    Else(Span),
    EndIf(Span),
    EndFor(Span),
}

struct Run {
    parts: Vec<TemplatePart>,
    height: usize,
    ending: Ending,
}

impl Parser<'_, '_> {
    pub(super) fn quoted(&mut self) -> Parsed<Tall> {
        let open = self.take();
        let (pieces, end) = self.pieces(open, Kind::CloseQuote)?;
        self.template(pieces, open.start, end)
    }

    pub(super) fn heredoc(&mut self) -> Parsed<Tall> {
        let open = self.take();
        let flush = open.text(self.text).starts_with("<<-");
        let (mut pieces, end) = self.pieces(open, Kind::CloseHeredoc)?;
        if flush {
            unindent(&mut pieces);
        }
        self.template(pieces, open.start, end)
    }

    fn template(&mut self, pieces: Vec<Piece>, start: u32, end: u32) -> Parsed<Tall> {
        let span = self.span(start, end);
        let alone = pieces.len() == 1;
        let mut pieces = pieces.into_iter().peekable();
        // "${x}" is x itself, whatever its type.
        if alone && let Some(Piece::Interpolation(inner)) = pieces.next_if(|p| matches!(p, Piece::Interpolation(_))) {
            return Ok(Tall { expr: Expr { span, ..inner.expr }, height: inner.height });
        }
        let Run { mut parts, height, ending } = self.parts(&mut pieces)?;
        match ending {
            Ending::Template => {}
            Ending::Else(at) => return Err(self.stray(&at, "else", "if")),
            Ending::EndIf(at) => return Err(self.stray(&at, "endif", "if")),
            Ending::EndFor(at) => return Err(self.stray(&at, "endfor", "for")),
        }
        let literal = match parts.as_mut_slice() {
            [] => Some(Value::string("")),
            [TemplatePart::Text(text)] => Some(Value::string(text.clone())),
            _ => None,
        };
        if let Some(value) = literal {
            return Ok(Tall { expr: Expr { node: Node::Literal(value), span }, height: 1 });
        }
        self.node(Node::Template(parts), span, height)
    }

    fn stray(&mut self, at: &Span, word: &str, opener: &str) -> Stop {
        let diagnostic = Diagnostic::error("syntax", format!("an `{word}` without its `{opener}`")).at(at, "");
        self.diagnostics.push(diagnostic);
        Stop
    }

    /// Reads up to the closing quote or word. Returns its end as well.
    fn pieces(&mut self, open: Token, close: Kind) -> Parsed<(Vec<Piece>, u32)> {
        let mut pieces = Vec::new();
        let mut strip_next = false;
        loop {
            // Within a template no blank may be skipped, so the token is taken as it is.
            let token = self.tokens[self.at];
            if token.kind != Kind::End {
                self.at += 1;
            }
            let strip = std::mem::take(&mut strip_next);
            match token.kind {
                kind if kind == close => return Ok((pieces, token.end)),
                Kind::QuotedText | Kind::HeredocText => {
                    let mut text = String::new();
                    if token.kind == Kind::QuotedText {
                        self.unescape(token, &mut text);
                    } else {
                        text = token.text(self.text).replace("$${", "${").replace("%%{", "%{");
                    }
                    if strip {
                        text.drain(..text.len() - text.trim_start().len());
                    }
                    pieces.push(Piece::Text(text));
                }
                Kind::Interpolation | Kind::Directive => {
                    if token.text(self.text).ends_with('~')
                        && let Some(Piece::Text(text)) = pieces.last_mut()
                    {
                        text.truncate(text.trim_end().len());
                    }
                    let piece = self.nested(false, |parser| {
                        let piece = if token.kind == Kind::Directive {
                            parser.directive(token)?
                        } else {
                            Piece::Interpolation(parser.expression()?)
                        };
                        parser.close_sequence(token).map(|close| (piece, close))
                    });
                    let (piece, close) = piece?;
                    strip_next = close.text(self.text).starts_with('~');
                    pieces.push(piece);
                }
                _ if close == Kind::CloseQuote => return Err(self.unclosed_quote(open)),
                _ => {
                    self.balance = Balance::Lost;
                    let word = open.text(self.text).trim_end().trim_start_matches(['<', '-']).to_owned();
                    return Err(self.fail_with_hint(
                        open,
                        "a heredoc that is not closed".to_owned(),
                        &format!("end it with a line that holds nothing but {word}"),
                    ));
                }
            }
        }
    }

    fn close_sequence(&mut self, open: Token) -> Parsed<Token> {
        let token = self.peek();
        if token.kind == Kind::CloseSequence {
            return Ok(self.take());
        }
        let found = self.describe(token);
        let open_text = open.text(self.text).trim_end_matches('~').to_owned();
        let escaped = format!("{}{open_text}", &open_text[..1]);
        let stop = self.fail_with_hint(
            token,
            format!("expected `}}` and the end of the `{open_text}`, found {found}"),
            &format!("to have {open_text} as text, as in a shell script, write {escaped}"),
        );
        let opened = self.span(open.start, open.end);
        if let Some(last) = self.diagnostics.last_mut() {
            last.labels.push(crate::base::Label { span: opened, text: "opened here".to_owned() });
        }
        Err(stop)
    }

    fn directive(&mut self, open: Token) -> Parsed<Piece> {
        let word = self.expect(Kind::Ident, "`if`, `else`, `endif`, `for` or `endfor`")?;
        let span = self.span(open.start, word.end);
        Ok(match word.text(self.text) {
            "if" => Piece::If(self.expression()?, span),
            "else" => Piece::Else(span),
            "endif" => Piece::EndIf(span),
            "endfor" => Piece::EndFor(span),
            "for" => {
                let (key, value) = self.for_names()?;
                Piece::For { key, value, collection: self.expression()?, span }
            }
            other => {
                let summary = format!("there is no directive `{other}`");
                return Err(self.fail_with_hint(word, summary, "directives are if, else, endif, for and endfor"));
            }
        })
    }

    /// Matches up directives: a run of parts up to the end or to a directive that ends a run.
    fn parts(&mut self, pieces: &mut std::iter::Peekable<std::vec::IntoIter<Piece>>) -> Parsed<Run> {
        let mut parts: Vec<TemplatePart> = Vec::new();
        let mut text = String::new();
        let mut height = 1;
        let ending = loop {
            let piece = pieces.next();
            if !matches!(piece, Some(Piece::Text(_))) && !text.is_empty() {
                parts.push(TemplatePart::Text(std::mem::take(&mut text).into()));
            }
            match piece {
                None => break Ending::Template,
                Some(Piece::Text(more)) => text.push_str(&more),
                Some(Piece::Interpolation(inner)) => {
                    height = height.max(inner.height);
                    parts.push(TemplatePart::Interpolation(inner.expr));
                }
                Some(Piece::Else(at)) => break Ending::Else(at),
                Some(Piece::EndIf(at)) => break Ending::EndIf(at),
                Some(Piece::EndFor(at)) => break Ending::EndFor(at),
                Some(Piece::If(condition, at)) => {
                    let newlines = self.newlines;
                    let then = self.nested(newlines, |parser| parser.parts(pieces))?;
                    let mut inner = condition.height.max(then.height);
                    let mut otherwise = Vec::new();
                    let mut ending = then.ending;
                    if matches!(ending, Ending::Else(_)) {
                        let parsed = self.nested(newlines, |parser| parser.parts(pieces))?;
                        inner = inner.max(parsed.height);
                        otherwise = parsed.parts;
                        ending = parsed.ending;
                    }
                    if !matches!(ending, Ending::EndIf(_)) {
                        return Err(self.unended(&at, "if"));
                    }
                    height = height.max(inner + 1);
                    parts.push(TemplatePart::If { condition: condition.expr, then: then.parts, otherwise });
                }
                Some(Piece::For { key, value, collection, span }) => {
                    let newlines = self.newlines;
                    let body = self.nested(newlines, |parser| parser.parts(pieces))?;
                    if !matches!(body.ending, Ending::EndFor(_)) {
                        return Err(self.unended(&span, "for"));
                    }
                    height = height.max(collection.height.max(body.height) + 1);
                    parts.push(TemplatePart::For { key, value, collection: collection.expr, body: body.parts });
                }
            }
        };
        Ok(Run { parts, height, ending })
    }

    fn unended(&mut self, at: &Span, word: &str) -> Stop {
        let diagnostic = Diagnostic::error("syntax", format!("this `{word}` has no `end{word}` of its own"))
            .at(at, "")
            .hint(format!("end it with %{{ end{word} }}"));
        self.diagnostics.push(diagnostic);
        Stop
    }

    /// Resolves the escapes of text in quotes.
    pub(super) fn unescape(&mut self, token: Token, out: &mut String) {
        let text = token.text(self.text);
        let mut rest = text;
        while let Some(at) = rest.find(['\\', '$', '%']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                out.push_str(&rest[1..3]);
                rest = &rest[3..];
                continue;
            }
            if !rest.starts_with('\\') {
                out.push_str(&rest[..1]);
                rest = &rest[1..];
                continue;
            }
            let selector = rest[1..].chars().next();
            let mut length = 1 + selector.map_or(0, char::len_utf8);
            let resolved = match selector {
                Some('n') => Some('\n'),
                Some('r') => Some('\r'),
                Some('t') => Some('\t'),
                Some('"') => Some('"'),
                Some('\\') => Some('\\'),
                Some(wide @ ('u' | 'U')) => {
                    let digits = if wide == 'u' { 4 } else { 8 };
                    let hex = rest.get(2..2 + digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
                    if hex.is_some() {
                        length += digits;
                    }
                    hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32)
                }
                _ => None,
            };
            if let Some(c) = resolved {
                out.push(c);
            } else {
                let start = token.start as usize + (text.len() - rest.len());
                let diagnostic = Diagnostic::error("syntax", format!("there is no escape `{}`", &rest[..length]))
                    .at(&Span::new(self.file.clone(), start..start + length), "")
                    .hint("escapes are \\n \\r \\t \\\" \\\\ \\uXXXX \\UXXXXXXXX; for a backslash write \\\\");
                self.diagnostics.push(diagnostic);
            }
            rest = &rest[length..];
        }
        out.push_str(rest);
    }
}

/// Takes away as many blanks from each line as the least indented one has; lines of nothing but blanks do not count.
fn unindent(pieces: &mut [Piece]) {
    let mut line_start = true;
    let mut least = usize::MAX;
    let mut lines = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        if std::mem::take(&mut line_start) {
            let mut blanks = 0;
            if let Piece::Text(text) = piece {
                let trimmed = text.trim_start();
                if trimmed.is_empty() && text.ends_with('\n') {
                    blanks = usize::MAX;
                } else {
                    blanks = text[..text.len() - trimmed.len()].chars().count();
                    lines.push(at);
                }
            }
            least = least.min(blanks);
        }
        line_start = matches!(piece, Piece::Text(text) if text.ends_with('\n'));
    }
    for at in lines {
        if let Piece::Text(text) = &mut pieces[at] {
            let cut = text.char_indices().nth(least).map_or(text.len(), |(cut, _)| cut);
            text.drain(..cut);
        }
    }
}
