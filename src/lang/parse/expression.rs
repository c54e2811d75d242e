//! Expressions but for templates: operators by precedence, references, calls, collections.

use super::{Parsed, Parser, Tall};
use crate::{
    base::{Data, Number, Value},
    lang::{
        ast::{BinaryOp, Expr, ForExpr, Node, ObjectKey, SplatStep, UnaryOp},
        lex::{Kind, Token},
    },
};

impl Parser<'_, '_> {
    /// Any expression.
    pub(super) fn expression(&mut self) -> Parsed<Tall> {
        let newlines = self.newlines;
        self.nested(newlines, Self::conditional)
    }

    fn conditional(&mut self) -> Parsed<Tall> {
        let condition = self.binary(0)?;
        if self.take_if(Kind::Question).is_none() {
            return Ok(condition);
        }
        let then = self.expression()?;
        self.expect(Kind::Colon, "`:` and what holds otherwise")?;
        let otherwise = self.expression()?;
        let span = self.span(condition.expr.span.start, otherwise.expr.span.end);
        let height = condition.height.max(then.height).max(otherwise.height);
        let node = Node::Conditional(condition.expr.into(), then.expr.into(), otherwise.expr.into());
        self.node(node, span, height)
    }

    fn binary(&mut self, level: u8) -> Parsed<Tall> {
        let mut left = self.unary()?;
        while let Some((op, own)) = operator(self.peek().kind).filter(|(_, own)| *own >= level) {
            self.take();
            let right = self.binary(own + 1)?;
            let span = self.span(left.expr.span.start, right.expr.span.end);
            let height = left.height.max(right.height);
            left = self.node(Node::Binary(op, left.expr.into(), right.expr.into()), span, height)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Tall> {
        let mut operators = Vec::new();
        loop {
            let token = self.peek();
            let op = match token.kind {
                Kind::Minus => UnaryOp::Neg,
                Kind::Not => UnaryOp::Not,
                _ => break,
            };
            operators.push((op, token.start));
            self.take();
        }
        let mut operand = self.postfix()?;
        for (op, start) in operators.into_iter().rev() {
            let span = self.span(start, operand.expr.span.end);
            operand = self.node(Node::Unary(op, operand.expr.into()), span, operand.height)?;
        }
        Ok(operand)
    }

    fn postfix(&mut self) -> Parsed<Tall> {
        let mut inner = self.primary()?;
        loop {
            let start = inner.expr.span.start;
            match self.peek().kind {
                Kind::Dot => {
                    let dot = self.take();
                    let step = self.take();
                    match step.kind {
                        Kind::Ident => {
                            let name = self.name(step);
                            let span = self.span(start, step.end);
                            inner = self.node(Node::Attribute(inner.expr.into(), name), span, inner.height)?;
                        }
                        Kind::Number => {
                            let index = self.number(step)?;
                            let span = self.span(start, step.end);
                            inner = self.node(Node::Index(inner.expr.into(), index.into()), span, inner.height)?;
                        }
                        Kind::Star => inner = self.splat(inner, step, true)?,
                        _ => {
                            self.at -= usize::from(step.kind != Kind::End);
                            let found = self.describe(step);
                            return Err(self.fail(
                                if step.kind == Kind::Newline { dot } else { step },
                                format!("expected a name behind the dot, found {found}"),
                            ));
                        }
                    }
                }
                Kind::OpenBracket => {
                    let open = self.take();
                    if self.peek().kind == Kind::Star && self.peek_second().kind == Kind::CloseBracket {
                        self.take();
                        let close = self.take();
                        inner = self.splat(inner, close, false)?;
                        continue;
                    }
                    let index = self.nested(false, Self::expression)?;
                    let end = self.close(open, Kind::CloseBracket, "]")?;
                    let span = self.span(start, end);
                    let height = inner.height.max(index.height);
                    inner = self.node(Node::Index(inner.expr.into(), index.expr.into()), span, height)?;
                }
                _ => return Ok(inner),
            }
        }
    }

    /// What follows `.*` (names only) or `[*]` (names and indices).
    fn splat(&mut self, inner: Tall, star: Token, names_only: bool) -> Parsed<Tall> {
        let mut steps = Vec::new();
        let mut height = inner.height;
        let mut end = star.end;
        loop {
            match self.peek().kind {
                Kind::Dot => {
                    let second = self.peek_second();
                    let step = match second.kind {
                        Kind::Ident => SplatStep::Attribute(self.name(second)),
                        Kind::Number => SplatStep::Index(self.number(second)?),
                        _ => break,
                    };
                    self.take();
                    self.take();
                    steps.push(step);
                    end = second.end;
                }
                Kind::OpenBracket if !names_only => {
                    let open = self.take();
                    if self.peek().kind == Kind::Star {
                        let star = self.peek();
                        return Err(self.fail_with_hint(
                            star,
                            "a splat within a splat".to_owned(),
                            "write a `for` expression",
                        ));
                    }
                    let index = self.nested(false, Self::expression)?;
                    end = self.close(open, Kind::CloseBracket, "]")?;
                    height = height.max(index.height);
                    steps.push(SplatStep::Index(index.expr));
                }
                _ => break,
            }
        }
        let span = self.span(inner.expr.span.start, end);
        self.node(Node::Splat(inner.expr.into(), steps), span, height)
    }

    fn primary(&mut self) -> Parsed<Tall> {
        let token = self.peek();
        match token.kind {
            Kind::Number => {
                self.take();
                Ok(Tall { expr: self.number(token)?, height: 1 })
            }
            Kind::Ident => self.word(),
            Kind::OpenQuote => self.quoted(),
            Kind::OpenHeredoc => self.heredoc(),
            Kind::OpenParen => {
                self.take();
                let mut inner = self.nested(false, Self::expression)?;
                let end = self.close(token, Kind::CloseParen, ")")?;
                inner.expr.span = self.span(token.start, end);
                Ok(inner)
            }
            Kind::OpenBracket => {
                self.take();
                self.nested(false, |parser| parser.tuple(token))
            }
            Kind::OpenBrace => {
                self.take();
                let is_for = self.nested(false, |parser| Ok(parser.starts_for()))?;
                self.nested(!is_for, |parser| if is_for { parser.for_expression(token) } else { parser.object(token) })
            }
            _ => {
                let found = self.describe(token);
                Err(self.fail(token, format!("expected a value, found {found}")))
            }
        }
    }

    fn number(&mut self, token: Token) -> Parsed<Expr> {
        let span = self.span(token.start, token.end);
        match token.text(self.text).parse::<Number>() {
            Ok(number) => Ok(Expr { node: Node::Literal(Data::Number(number).into()), span }),
            Err(error) => Err(self.fail(token, error.to_string())),
        }
    }

    /// `true`, a function's call, or the first name of a reference.
    fn word(&mut self) -> Parsed<Tall> {
        let first = self.take();
        let mut end = first.end;
        let mut namespaced = false;
        while self.peek().kind == Kind::DoubleColon {
            self.take();
            end = self.expect(Kind::Ident, "a function's name")?.end;
            namespaced = true;
        }
        let text = self.text.get(first.start as usize..end as usize).unwrap_or_default();
        if self.peek().kind == Kind::OpenParen {
            let name = self.names.entry(text).or_insert_with(|| text.into()).clone();
            let open = self.take();
            return self.nested(false, |parser| parser.call(name, first, open));
        }
        if namespaced {
            let next = self.peek();
            return Err(self.fail(next, "expected `(` behind a function's name".to_owned()));
        }
        let node = match text {
            "true" => Node::Literal(true.into()),
            "false" => Node::Literal(false.into()),
            "null" => Node::Literal(Value::NULL),
            _ => Node::Name(self.name(first)),
        };
        let span = self.span(first.start, first.end);
        Ok(Tall { expr: Expr { node, span }, height: 1 })
    }

    fn call(&mut self, name: std::sync::Arc<str>, first: Token, open: Token) -> Parsed<Tall> {
        let mut arguments = Vec::new();
        let mut expand = false;
        let mut height = 1;
        while self.peek().kind != Kind::CloseParen {
            let argument = self.expression()?;
            height = height.max(argument.height);
            arguments.push(argument.expr);
            if self.take_if(Kind::Ellipsis).is_some() {
                expand = true;
                self.take_if(Kind::Comma);
                break;
            }
            if self.take_if(Kind::Comma).is_none() {
                break;
            }
        }
        let end = self.close(open, Kind::CloseParen, ")")?;
        let span = self.span(first.start, end);
        self.node(Node::Call { name, arguments, expand }, span, height)
    }

    fn tuple(&mut self, open: Token) -> Parsed<Tall> {
        if self.starts_for() {
            return self.for_expression(open);
        }
        let mut elements = Vec::new();
        let mut height = 1;
        while self.peek().kind != Kind::CloseBracket {
            let element = self.expression()?;
            height = height.max(element.height);
            elements.push(element.expr);
            if self.take_if(Kind::Comma).is_none() {
                break;
            }
        }
        let end = self.close(open, Kind::CloseBracket, "]")?;
        let span = self.span(open.start, end);
        self.node(Node::Tuple(elements), span, height)
    }

    fn object(&mut self, open: Token) -> Parsed<Tall> {
        let mut entries = Vec::new();
        let mut height = 1;
        loop {
            while self.take_if(Kind::Newline).is_some() {}
            if self.peek().kind == Kind::CloseBrace {
                break;
            }
            let key = self.object_key()?;
            if self.take_if(Kind::Assign).is_none() && self.take_if(Kind::Colon).is_none() {
                let next = self.peek();
                let found = self.describe(next);
                return Err(self.fail(next, format!("expected `=` and a value behind the key, found {found}")));
            }
            while self.take_if(Kind::Newline).is_some() {}
            let value = self.expression()?;
            height = height.max(value.height);
            entries.push((key, value.expr));
            if self.take_if(Kind::Comma).is_none() && self.peek().kind != Kind::Newline {
                break;
            }
        }
        let end = self.close(open, Kind::CloseBrace, "}")?;
        let span = self.span(open.start, end);
        self.node(Node::Object(entries), span, height)
    }

    fn object_key(&mut self) -> Parsed<ObjectKey> {
        let first = self.peek();
        if first.kind == Kind::Ident && matches!(self.peek_second().kind, Kind::Assign | Kind::Colon) {
            self.take();
            return Ok(ObjectKey::Name(self.name(first)));
        }
        let key = self.expression()?.expr;
        match key.node {
            Node::Literal(ref value) if first.kind == Kind::OpenQuote => match value.data() {
                Data::String(text) => Ok(ObjectKey::Name(text.clone())),
                _ => Ok(ObjectKey::Expr(key)),
            },
            Node::Attribute(..) | Node::Index(..) if first.kind == Kind::Ident => Err(self.fail_with_hint(
                first,
                "a key that could be a reference or a name".to_owned(),
                "put it in parentheses to use its value, or in quotes to take it as text",
            )),
            _ => Ok(ObjectKey::Expr(key)),
        }
    }

    /// True before the `for` of a `for` expression, and not a key of that name.
    fn starts_for(&mut self) -> bool {
        let first = self.peek();
        first.kind == Kind::Ident && first.text(self.text) == "for" && self.peek_second().kind == Kind::Ident
    }

    fn for_expression(&mut self, open: Token) -> Parsed<Tall> {
        self.take();
        let (key, value) = self.for_names()?;
        let collection = self.expression()?;
        self.expect(Kind::Colon, "`:` and the result")?;
        let mut result = self.expression()?;
        let mut height = collection.height.max(result.height);
        let mut result_key = None;
        if self.take_if(Kind::FatArrow).is_some() {
            let value = self.expression()?;
            height = height.max(value.height);
            result_key = Some(std::mem::replace(&mut result, value).expr);
        }
        let ellipsis = self.take_if(Kind::Ellipsis);
        let mut condition = None;
        if self.peek().kind == Kind::Ident && self.peek().text(self.text) == "if" {
            self.take();
            let parsed = self.expression()?;
            height = height.max(parsed.height);
            condition = Some(parsed.expr);
        }
        let (kind, close) =
            if open.kind == Kind::OpenBrace { (Kind::CloseBrace, "}") } else { (Kind::CloseBracket, "]") };
        let end = self.close(open, kind, close)?;
        match (open.kind, &result_key, ellipsis) {
            (Kind::OpenBrace, None, _) => {
                return Err(self.fail_with_hint(
                    open,
                    "a `for` in braces without a key".to_owned(),
                    "write KEY => VALUE, or use [ ] for a list",
                ));
            }
            (Kind::OpenBracket, Some(_), _) => {
                return Err(self.fail_with_hint(
                    open,
                    "a `for` in brackets with a key".to_owned(),
                    "leave out KEY =>, or use { } for an object",
                ));
            }
            (Kind::OpenBracket, None, Some(ellipsis)) => {
                return Err(self.fail(ellipsis, "`...` groups values by key, and there is none here".to_owned()));
            }
            _ => {}
        }
        let span = self.span(open.start, end);
        let each = ForExpr {
            key,
            value,
            collection: collection.expr,
            result_key,
            result: result.expr,
            group: ellipsis.is_some(),
            condition,
        };
        self.node(Node::For(Box::new(each)), span, height)
    }

    /// `k, v in` of a `for` expression or directive.
    pub(super) fn for_names(&mut self) -> Parsed<(Option<std::sync::Arc<str>>, std::sync::Arc<str>)> {
        let first = self.expect(Kind::Ident, "a variable's name")?;
        let mut key = None;
        let mut value = self.name(first);
        if self.take_if(Kind::Comma).is_some() {
            let second = self.expect(Kind::Ident, "a variable's name")?;
            key = Some(std::mem::replace(&mut value, self.name(second)));
        }
        let word = self.peek();
        if word.kind != Kind::Ident || word.text(self.text) != "in" {
            let found = self.describe(word);
            return Err(self.fail(word, format!("expected `in`, found {found}")));
        }
        self.take();
        Ok((key, value))
    }

    /// Takes a closing bracket, or says which one is open. Returns its end.
    fn close(&mut self, open: Token, kind: Kind, text: &str) -> Parsed<u32> {
        let token = self.peek();
        if token.kind == kind {
            return Ok(self.take().end);
        }
        let found = self.describe(token);
        let stop = self.fail(token, format!("expected `,` or `{text}`, found {found}"));
        let opened = self.span(open.start, open.end);
        if let Some(last) = self.diagnostics.last_mut() {
            last.labels.push(crate::base::Label { span: opened, text: "opened here".to_owned() });
        }
        Err(stop)
    }
}

fn operator(kind: Kind) -> Option<(BinaryOp, u8)> {
    Some(match kind {
        Kind::Or => (BinaryOp::Or, 1),
        Kind::And => (BinaryOp::And, 2),
        Kind::Equal => (BinaryOp::Eq, 3),
        Kind::NotEqual => (BinaryOp::NotEq, 3),
        Kind::Less => (BinaryOp::Less, 4),
        Kind::LessEqual => (BinaryOp::LessEq, 4),
        Kind::Greater => (BinaryOp::Greater, 4),
        Kind::GreaterEqual => (BinaryOp::GreaterEq, 4),
        Kind::Plus => (BinaryOp::Add, 5),
        Kind::Minus => (BinaryOp::Sub, 5),
        Kind::Star => (BinaryOp::Mul, 6),
        Kind::Slash => (BinaryOp::Div, 6),
        Kind::Percent => (BinaryOp::Rem, 6),
        _ => return None,
    })
}
