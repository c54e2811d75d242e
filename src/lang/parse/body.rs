//! Bodies of files and blocks: attributes, blocks, labels.

use super::{Balance, MAX_ERRORS, Parsed, Parser, Stop};
use crate::{
    base::{Diagnostic, Span},
    lang::{
        ast::{Attribute, Block, Body},
        lex::{Kind, Token},
    },
};
use std::{collections::BTreeMap, sync::Arc};

impl Parser<'_, '_> {
    /// Everything up to `end`, which is not taken. After an error it goes on with the next item.
    pub(super) fn body(&mut self, end: Kind) -> Body {
        let mut body = Body { attributes: BTreeMap::new(), blocks: Vec::new(), span: self.span(0, 0) };
        loop {
            let token = self.peek();
            if token.kind == end || token.kind == Kind::End {
                return body;
            }
            if token.kind == Kind::Newline {
                self.take();
                continue;
            }
            let first = self.at;
            if self.item(&mut body, end).is_err() {
                self.skip_item(first, end);
                if self.diagnostics.len() >= MAX_ERRORS {
                    self.at = self.tokens.len() - 1;
                }
            }
        }
    }

    fn item(&mut self, body: &mut Body, end: Kind) -> Parsed<()> {
        let token = self.take();
        match token.kind {
            Kind::Ident => {}
            Kind::CloseBrace => {
                self.balance = Balance::Lost;
                // Behind another error it is only the end of what that one broke.
                if !self.diagnostics.is_empty() {
                    return Err(Stop);
                }
                return Err(self.fail(token, "a `}` that closes nothing".to_owned()));
            }
            Kind::OpenQuote => {
                return Err(self.fail_with_hint(
                    token,
                    "expected an attribute or a block, found a string".to_owned(),
                    "names of attributes and blocks stand without quotes",
                ));
            }
            _ => {
                let found = self.describe(token);
                return Err(self.fail(token, format!("expected an attribute or a block, found {found}")));
            }
        }
        match self.peek().kind {
            Kind::Assign => {
                self.take();
                self.attribute(body, token)?;
            }
            Kind::Colon => {
                let colon = self.peek();
                return Err(self.fail_with_hint(
                    colon,
                    format!("expected `=` behind `{}`, found `:`", token.text(self.text)),
                    "write NAME = VALUE",
                ));
            }
            Kind::OpenBrace | Kind::OpenQuote | Kind::Ident => self.block(body, token)?,
            _ => {
                let next = self.peek();
                let found = self.describe(next);
                return Err(self.fail_with_hint(
                    next,
                    format!("expected `=` or `{{` behind `{}`, found {found}", token.text(self.text)),
                    "an attribute is NAME = VALUE, a block is NAME \"label\" { ... }",
                ));
            }
        }
        let next = self.peek();
        match next.kind {
            Kind::Newline | Kind::End => Ok(()),
            kind if kind == end => Ok(()),
            _ => {
                let found = self.describe(next);
                Err(self.fail_with_hint(
                    next,
                    format!("expected the end of the line, found {found}"),
                    "each attribute and each block has a line of its own",
                ))
            }
        }
    }

    fn attribute(&mut self, body: &mut Body, name: Token) -> Parsed<()> {
        let expr = self.expression()?.expr;
        let name_span = self.span(name.start, name.end);
        let name = self.name(name);
        if let Some(first) = body.attributes.get(&name) {
            let diagnostic = Diagnostic::error("duplicate_attribute", format!("`{name}` is set twice"))
                .at(&name_span, "again here")
                .at(&first.name_span, "first here");
            self.diagnostics.push(diagnostic);
            return Ok(());
        }
        body.attributes.insert(name, Attribute { name_span, expr });
        Ok(())
    }

    fn block(&mut self, body: &mut Body, kind: Token) -> Parsed<()> {
        let errors = self.diagnostics.len();
        let mut labels = Vec::new();
        let mut header_end = kind.end;
        let open = loop {
            let token = self.take();
            match token.kind {
                Kind::OpenBrace => break token,
                Kind::Ident => {
                    header_end = token.end;
                    let span = self.span(token.start, token.end);
                    labels.push((self.name(token), span));
                }
                Kind::OpenQuote => {
                    let (label, end) = self.label(token)?;
                    header_end = end;
                    labels.push((label, self.span(token.start, end)));
                }
                Kind::Assign if labels.len() == 1 => {
                    return Err(self.fail(token, "an attribute's name is one word".to_owned()));
                }
                _ => {
                    let found = self.describe(token);
                    self.at -= usize::from(token.kind != Kind::End);
                    return Err(self.fail(token, format!("expected `{{` or a label, found {found}")));
                }
            }
        };
        let header = self.span(kind.start, header_end);
        let kind = self.name(kind);
        let inner = self.nested(true, |parser| Ok(parser.body(Kind::CloseBrace)))?;
        let close = self.peek();
        if close.kind == Kind::End {
            self.balance = Balance::Lost;
            let diagnostic = Diagnostic::error("syntax", format!("the block `{kind}` is not closed"))
                .at(&header, "opened here")
                .hint("a `}` is missing");
            self.diagnostics.push(diagnostic);
        } else {
            self.take();
        }
        let span: Span = self.span(open.end, close.start);
        let broken = self.diagnostics.len() > errors;
        body.blocks.push(Block { kind, labels, body: Body { span, ..inner }, header, broken });
        Ok(())
    }

    /// A quoted label, which holds no template. Returns its end as well.
    fn label(&mut self, open: Token) -> Parsed<(Arc<str>, u32)> {
        let mut text = String::new();
        loop {
            let token = self.tokens[self.at];
            match token.kind {
                Kind::QuotedText => {
                    self.at += 1;
                    self.unescape(token, &mut text);
                }
                Kind::CloseQuote => {
                    self.at += 1;
                    return Ok((text.into(), token.end));
                }
                Kind::Interpolation | Kind::Directive => {
                    return Err(self.fail(token, "a label is plain text, without templates".to_owned()));
                }
                _ => return Err(self.unclosed_quote(open)),
            }
        }
    }

    pub(super) fn unclosed_quote(&mut self, open: Token) -> Stop {
        self.balance = Balance::Lost;
        self.fail_with_hint(
            open,
            "a string that is not closed on its line".to_owned(),
            "close it with `\"`; for several lines write a heredoc, <<-EOT",
        )
    }

    /// Goes on behind an item with an error: at the end of the line on which the brackets of the item are closed again.
    fn skip_item(&mut self, first: usize, end: Kind) {
        let reached = self.at;
        let mut open = 0_usize;
        let mut line_end = None;
        for at in first..self.tokens.len() {
            let kind = self.tokens[at].kind;
            match kind {
                Kind::OpenBrace | Kind::OpenBracket | Kind::OpenParen | Kind::Interpolation | Kind::Directive => {
                    open += 1;
                }
                Kind::OpenQuote | Kind::OpenHeredoc => open += 1,
                Kind::CloseBrace if open == 0 && at >= reached && end == Kind::CloseBrace => {
                    self.at = at;
                    return;
                }
                Kind::CloseBrace | Kind::CloseBracket | Kind::CloseParen | Kind::CloseSequence => {
                    open = open.saturating_sub(1);
                }
                Kind::CloseQuote | Kind::CloseHeredoc | Kind::UnclosedQuote => open = open.saturating_sub(1),
                Kind::Newline if at >= reached => {
                    if open == 0 {
                        self.at = at;
                        return;
                    }
                    line_end = line_end.or(Some(at));
                }
                _ => {}
            }
        }
        self.balance = Balance::Lost;
        self.at = line_end.unwrap_or(self.tokens.len() - 1);
    }
}
