//! Plan files to the syntax tree of [`crate::lang::ast`], with every syntax error of a file and not just the first.
//!
//! Called by the loader for files, by the console and `--var` for single expressions. It knows nothing of what blocks
//! mean. After an error it goes on with the next attribute or block; where brackets or quotes do not match up, it starts
//! afresh at each block that begins a line.
//!
//! No input overflows the stack: how deep an expression may nest, and how high its tree may grow, is bounded.

mod body;
mod expression;
mod recover;
mod template;
#[cfg(test)]
pub(crate) mod tests;

use crate::{
    base::{Diagnostic, Diagnostics, Span},
    lang::{
        ast::{Body, Expr, Node, TemplatePart},
        lex::{Kind, Token, tokens},
    },
};
use std::{collections::HashMap, ops::Range, sync::Arc};

/// How deep brackets, templates and blocks may nest; brackets count twice, with what is in them.
const MAX_DEPTH: usize = 200;
/// After so many errors a part of a file is given up.
const MAX_ERRORS: usize = 200;
/// How high the tree of an expression may grow: `a + b + c` is two high.
const MAX_HEIGHT: usize = 250;

/// Parses a file. The tree holds what could be read; a block in which something could not is marked so.
pub fn parse_file(text: &str, file: &Arc<str>) -> (Body, Diagnostics) {
    let mut names = HashMap::new();
    let whole = Parser::new(text, file, 0..text.len(), &mut names).file();
    let (body, mut diagnostics) = match whole {
        (_, _, Balance::Lost) => {
            let mut all = Body {
                attributes: std::collections::BTreeMap::new(),
                blocks: Vec::new(),
                span: Span::new(file.clone(), 0..text.len()),
            };
            let mut diagnostics = Vec::new();
            for part in recover::parts(text) {
                let (mut body, mut found, _) = Parser::new(text, file, part, &mut names).file();
                // Behind a broken head, what was meant for its block seems to stand outside of it.
                if found.is_empty() {
                    all.attributes.append(&mut body.attributes);
                }
                all.blocks.append(&mut body.blocks);
                diagnostics.append(&mut found);
            }
            (all, diagnostics)
        }
        (body, diagnostics, Balance::Kept) => (body, diagnostics),
    };
    diagnostics.dedup();
    (body, Diagnostics(diagnostics))
}

/// Parses a text that is one expression.
///
/// # Errors
/// Every syntax error in it.
pub fn parse_expression(text: &str, file: &Arc<str>) -> Result<Expr, Diagnostics> {
    let mut names = HashMap::new();
    let mut parser = Parser::new(text, file, 0..text.len(), &mut names);
    parser.newlines = false;
    let parsed = parser.expression().and_then(|tall| {
        let next = parser.peek();
        if next.kind == Kind::End {
            return Ok(tall.expr);
        }
        Err(parser.fail(next, format!("unexpected {} behind the expression", parser.describe(next))))
    });
    match parsed {
        Ok(expr) if parser.diagnostics.is_empty() => Ok(expr),
        _ => Err(Diagnostics(parser.diagnostics)),
    }
}

/// Parses a text that is a template, as a file for `templatefile` is.
///
/// # Errors
/// Every syntax error in it.
pub fn parse_template(text: &str, file: &Arc<str>) -> Result<Expr, Diagnostics> {
    // A heredoc is a template up to a word that is not in it; its last line end is taken away again.
    let mut word = "END".to_owned();
    while text.contains(&word) {
        word.push('_');
    }
    let parsed = parse_expression(&format!("<<{word}\n{text}\n{word}\n"), file)?;
    let node = match parsed.node {
        Node::Literal(value) => {
            let text = value.as_str().unwrap_or_default();
            Node::Literal(text.strip_suffix('\n').unwrap_or(text).into())
        }
        Node::Template(mut parts) => {
            if let Some(TemplatePart::Text(text)) = parts.last_mut()
                && let Some(shorter) = text.strip_suffix('\n')
            {
                *text = shorter.into();
            }
            Node::Template(parts)
        }
        other => other,
    };
    Ok(Expr { node, span: Span::new(file.clone(), 0..text.len()) })
}

/// Whether every bracket and quote found its other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Balance {
    Kept,
    Lost,
}

/// Parsing of something was given up; the diagnostic is already noted.
struct Stop;

type Parsed<T> = Result<T, Stop>;

/// An expression and the height of its tree.
struct Tall {
    expr: Expr,
    height: usize,
}

struct Parser<'t, 'n> {
    text: &'t str,
    file: Arc<str>,
    part: Range<usize>,
    /// Without comments; a comment that ends its line stands as a line end.
    tokens: Vec<Token>,
    at: usize,
    /// Whether line ends count, or are blanks as between brackets.
    newlines: bool,
    depth: usize,
    /// Each name is allocated once a file.
    names: &'n mut HashMap<&'t str, Arc<str>>,
    diagnostics: Vec<Diagnostic>,
    balance: Balance,
}

impl<'t, 'n> Parser<'t, 'n> {
    fn new(text: &'t str, file: &Arc<str>, part: Range<usize>, names: &'n mut HashMap<&'t str, Arc<str>>) -> Self {
        let mut tokens = tokens(text, part.clone());
        tokens.retain_mut(|token| {
            if token.kind == Kind::Comment {
                token.kind = Kind::Newline;
                return token.text(text).ends_with('\n');
            }
            true
        });
        Self {
            text,
            file: file.clone(),
            part,
            tokens,
            at: 0,
            newlines: true,
            depth: 0,
            names,
            diagnostics: Vec::new(),
            balance: Balance::Kept,
        }
    }

    fn file(mut self) -> (Body, Vec<Diagnostic>, Balance) {
        let mut body = self.body(Kind::End);
        body.span = Span::new(self.file.clone(), self.part.clone());
        (body, self.diagnostics, self.balance)
    }

    /// The next token that counts.
    fn peek(&mut self) -> Token {
        if !self.newlines {
            while self.tokens[self.at].kind == Kind::Newline {
                self.at += 1;
            }
        }
        self.tokens[self.at]
    }

    /// The token behind the next one.
    fn peek_second(&mut self) -> Token {
        self.peek();
        let mut at = (self.at + 1).min(self.tokens.len() - 1);
        while !self.newlines && self.tokens[at].kind == Kind::Newline {
            at += 1;
        }
        self.tokens[at]
    }

    /// Takes the next token that counts; the end stays.
    fn take(&mut self) -> Token {
        let token = self.peek();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    /// Takes the next token where it is of this kind.
    fn take_if(&mut self, kind: Kind) -> Option<Token> {
        (self.peek().kind == kind).then(|| self.take())
    }

    /// Takes a token that must be there.
    fn expect(&mut self, kind: Kind, what: &str) -> Parsed<Token> {
        let token = self.peek();
        if token.kind == kind {
            return Ok(self.take());
        }
        Err(self.fail(token, format!("expected {what}, found {}", self.describe(token))))
    }

    /// Notes a syntax error at a token.
    fn fail(&mut self, token: Token, summary: String) -> Stop {
        if matches!(token.kind, Kind::End | Kind::UnclosedQuote | Kind::Invalid) {
            self.balance = Balance::Lost;
        }
        let range = match token.kind {
            // Nothing can be underlined behind the last character.
            Kind::End => self.last_place(),
            _ => token.range(),
        };
        let diagnostic = Diagnostic::error("syntax", summary).at(&Span::new(self.file.clone(), range), "");
        self.diagnostics.push(diagnostic);
        Stop
    }

    /// Notes a syntax error with a hint.
    fn fail_with_hint(&mut self, token: Token, summary: String, hint: &str) -> Stop {
        let stop = self.fail(token, summary);
        if let Some(last) = self.diagnostics.last_mut() {
            last.hint = Some(hint.to_owned());
        }
        stop
    }

    /// The last character that is no blank.
    fn last_place(&self) -> Range<usize> {
        let text = &self.text[..self.part.end];
        let end = text.trim_end().len();
        let start = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
        start..end
    }

    /// A token in words.
    fn describe(&self, token: Token) -> String {
        match token.kind {
            Kind::End => "the end of the file".to_owned(),
            Kind::Newline => "the end of the line".to_owned(),
            Kind::OpenQuote => "a string".to_owned(),
            Kind::OpenHeredoc => "a heredoc".to_owned(),
            Kind::UnclosedQuote => "a quote that is not closed".to_owned(),
            Kind::Invalid if token.text(self.text).starts_with("/*") => "a comment that is not closed".to_owned(),
            _ => format!("`{}`", token.text(self.text)),
        }
    }

    fn span(&self, start: u32, end: u32) -> Span {
        Span { file: self.file.clone(), start, end }
    }

    fn name(&mut self, token: Token) -> Arc<str> {
        let text = token.text(self.text);
        self.names.entry(text).or_insert_with(|| text.into()).clone()
    }

    /// Runs a part of the parser with line ends counted or not, and one level deeper.
    fn nested<T>(&mut self, newlines: bool, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let token = self.peek();
            return Err(self.fail(token, format!("nested more than {} deep", MAX_DEPTH / 2)));
        }
        let outer = std::mem::replace(&mut self.newlines, newlines);
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        self.newlines = outer;
        parsed
    }

    /// An expression over others, the highest of which has this height.
    fn node(&mut self, node: Node, span: Span, height: usize) -> Parsed<Tall> {
        if height >= MAX_HEIGHT {
            let diagnostic = Diagnostic::error("syntax", format!("an expression of more than {MAX_HEIGHT} steps"))
                .at(&span, "")
                .hint("give parts of it names in a `locals` block");
            self.diagnostics.push(diagnostic);
            // The tree is small enough to be dropped, but what comes on top might not be.
            return Err(Stop);
        }
        Ok(Tall { expr: Expr { node, span }, height: height + 1 })
    }
}
