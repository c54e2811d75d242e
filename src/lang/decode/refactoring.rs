//! `moved`, `import` and `removed`.

use super::Decoder;
use crate::{
    base::{Address, Data, Diagnostic},
    lang::{
        ast::{Block, Expr, Node},
        builtin,
        check::{Checked, check, check_labels},
        configuration::{Import, MoveEnd, Moved, Removed},
        literal::literal,
        schema::BlockSchema,
    },
};

impl Decoder<'_> {
    pub(super) fn moved(&mut self, block: &Block) {
        self.checked(block, &builtin::MOVED);
        let expr = |name: &str| block.body.attributes.get(name).map(|a| &a.expr);
        let (Some(from), Some(to)) = (expr("from"), expr("to")) else { return };
        let (Some(from), Some(to_end)) = (self.move_end(from), self.move_end(to)) else { return };
        if matches!(from, MoveEnd::Module(_)) != matches!(to_end, MoveEnd::Module(_)) {
            self.diagnostics.push(
                Diagnostic::error("wrong_address", "a module becomes a module, and a resource a resource")
                    .at(&to.span, ""),
            );
            return;
        }
        if let (MoveEnd::Resource(a), MoveEnd::Resource(b)) = (&from, &to_end)
            && a.kind() != b.kind()
        {
            self.diagnostics.push(
                Diagnostic::error("wrong_address", format!("a `{}` does not become a `{}`", a.kind(), b.kind()))
                    .at(&to.span, "")
                    .because("a moved thing stays what it is, only its address changes"),
            );
            return;
        }
        self.module.moved.push(Moved { from, to: to_end, span: block.header.clone() });
    }

    pub(super) fn import(&mut self, block: &Block) {
        self.checked(block, &builtin::IMPORT);
        let expr = |name: &str| block.body.attributes.get(name).map(|a| &a.expr);
        let (Some(to), Some(id)) = (expr("to"), expr("id")) else { return };
        if let Some(to) = self.address(to) {
            self.module.imports.push(Import { to, id: id.clone(), span: block.header.clone() });
        }
    }

    pub(super) fn removed(&mut self, block: &Block) {
        self.checked(block, &builtin::REMOVED);
        let Some(from) = block.body.attributes.get("from").map(|a| &a.expr) else { return };
        if let Some(from) = self.address(from) {
            self.module.removed.push(Removed { from, span: block.header.clone() });
        }
    }

    fn checked(&mut self, block: &Block, schema: &BlockSchema) {
        check(Checked::block(block), schema, self.diagnostics);
        check_labels(block, 0, self.diagnostics);
    }

    fn address(&mut self, expr: &Expr) -> Option<Address> {
        let text = self.address_text(expr)?;
        match text.parse::<Address>() {
            Ok(address) => Some(address),
            Err(error) => {
                self.diagnostics.push(Diagnostic::error("wrong_address", error.to_string()).at(&expr.span, ""));
                None
            }
        }
    }

    fn move_end(&mut self, expr: &Expr) -> Option<MoveEnd> {
        let text = self.address_text(expr)?;
        // `module.a` is no address of a resource; with a name behind it, it is the place of one.
        if format!("{text}.x.y").parse::<Address>().is_ok_and(|a| a.kind() == "x" && !a.module().is_empty()) {
            return Some(MoveEnd::Module(text));
        }
        self.address(expr).map(MoveEnd::Resource)
    }

    fn address_text(&mut self, expr: &Expr) -> Option<String> {
        let text = address_text(expr);
        if text.is_none() {
            self.diagnostics.push(
                Diagnostic::error("wrong_address", "this is no address")
                    .at(&expr.span, "")
                    .hint("write it as stack.network, stack.topic[\"orders\"] or module.a.stack.network"),
            );
        }
        text
    }
}

fn address_text(expr: &Expr) -> Option<String> {
    match &expr.node {
        Node::Name(name) => Some(name.to_string()),
        Node::Attribute(of, name) => Some(format!("{}.{name}", address_text(of)?)),
        Node::Index(of, index) => {
            let of = address_text(of)?;
            match literal(index)?.data() {
                // The address itself knows how a key is written.
                Data::String(key) => {
                    let keyed = Address::new(Vec::new(), "x", "y", Some(key.clone())).to_string();
                    Some(format!("{of}{}", keyed.strip_prefix("x.y")?))
                }
                _ => None,
            }
        }
        _ => None,
    }
}
