//! Resources, data sources and checks, and the meta-arguments that they share.

use super::Decoder;
use crate::{
    base::{Diagnostic, Span},
    lang::{
        ast::{Block, Body, Expr, Node},
        builtin,
        check::{Checked, check, check_labels},
        configuration::{Lifecycle, Resource},
        literal::literal,
        schema::{AttributeSchema, ConnectionNeed, KindSchema, NestedSchema, Role, Shape},
    },
};
use std::collections::BTreeMap;

const AWS: AttributeSchema = AttributeSchema {
    name: "aws",
    shape: Shape::Reference,
    required: false,
    sensitive: false,
    one_of: &[],
    doc: "The account and region it is in: aws.NAME. By default the environment's.",
    reads: None,
};

const KUBERNETES: AttributeSchema =
    AttributeSchema { name: "kubernetes", doc: "The cluster it is in: kubernetes.NAME.", ..AWS };

impl Decoder<'_> {
    pub(super) fn resource(&mut self, block: &Block, kind: &'static KindSchema) {
        let is_data = kind.role == Role::Data;
        self.check_resource(block, kind);
        if !check_labels(block, if is_data { 2 } else { 1 }, self.diagnostics)
            && block.labels.len() <= usize::from(is_data)
        {
            return;
        }
        let (name, at) = &block.labels[usize::from(is_data)];
        self.check_name(name, at);
        let body = &block.body;
        let expr = |name: &str| body.attributes.get(name).map(|a| a.expr.clone());
        let phase = match body.attributes.get("phase") {
            Some(attribute) if is_data => {
                self.diagnostics.push(
                    Diagnostic::error("unknown_attribute", "a data source has no phase")
                        .at(&attribute.name_span, "")
                        .because("it is read as soon as what it names is known")
                        .hint("leave it out"),
                );
                None
            }
            Some(attribute) => self.phase_ref(&attribute.expr),
            None => None,
        };
        let connection = match kind.connection.of(body) {
            ConnectionNeed::None => None,
            ConnectionNeed::Kubernetes => expr("kubernetes"),
            ConnectionNeed::Aws | ConnectionNeed::KubernetesWith(_) => expr("aws"),
        };
        let depends_on = self.elements(body, "depends_on").to_vec();
        let resource = Resource {
            kind: if is_data { format!("data.{}", kind.name).into() } else { block.kind.clone() },
            name: name.clone(),
            role: kind.role,
            span: block.header.clone(),
            body: inputs(body, kind),
            for_each: expr("for_each"),
            when: expr("when"),
            depends_on,
            phase,
            controls: expr("controls"),
            connection,
            lifecycle: self.lifecycle(body),
            verify: if kind.role == Role::Managed {
                self.verify_blocks(body, super::rollout::Stands::Alone)
            } else {
                Vec::new()
            },
            timeouts: self.timeouts(body),
            rollout: if kind.rollout { self.rollout(body) } else { None },
        };
        self.insert(resource);
    }

    fn check_resource(&mut self, block: &Block, kind: &KindSchema) {
        let mut attributes = builtin::META_ATTRIBUTES.to_vec();
        match kind.connection.of(&block.body) {
            ConnectionNeed::None => {}
            ConnectionNeed::Kubernetes => attributes.push(KUBERNETES),
            ConnectionNeed::Aws | ConnectionNeed::KubernetesWith(_) => attributes.push(AWS),
        }
        let allowed = |nested: &&NestedSchema| match (nested.name, kind.role) {
            ("rollout", _) => kind.rollout,
            ("verify", role) => role == Role::Managed,
            ("lifecycle" | "timeouts", role) => role != Role::Check,
            _ => true,
        };
        let own = |name: &str| kind.block.attributes.iter().any(|a| a.name == name);
        attributes.retain(|a| !own(a.name));
        // `verify` and `rollout` are checked where they are decoded: the probes come from elsewhere.
        let blocks: Vec<NestedSchema> = builtin::META_BLOCKS
            .iter()
            .filter(allowed)
            .map(|nested| match nested.name {
                "verify" | "rollout" => NestedSchema { block: &crate::lang::check::ANYTHING, ..*nested },
                _ => *nested,
            })
            .collect();
        let checked = Checked { attributes: &attributes, blocks: &blocks, ..Checked::block(block) };
        check(checked, kind.block, self.diagnostics);
    }

    fn lifecycle(&mut self, body: &Body) -> Lifecycle {
        let Some(block) = body.blocks.iter().find(|b| &*b.kind == "lifecycle") else { return Lifecycle::default() };
        let body = &block.body;
        let mut ignore_changes = Vec::new();
        match body.attributes.get("ignore_changes").map(|a| &a.expr) {
            Some(Expr { node: Node::Name(all), .. }) if &**all == "all" => ignore_changes.push("*".to_owned()),
            Some(_) => {
                for element in self.elements(body, "ignore_changes") {
                    match path_text(element) {
                        Some(path) => ignore_changes.push(path),
                        None => self.diagnostics.push(
                            Diagnostic::error("wrong_type", "this names no attribute")
                                .at(&element.span, "")
                                .hint("write it as values.replicas or values[\"a.b\"], without quotes around it"),
                        ),
                    }
                }
            }
            None => {}
        }
        Lifecycle {
            prevent_destroy: self.plain_bool(body, "prevent_destroy").unwrap_or(false),
            ignore_changes,
            replace_triggered_by: self.elements(body, "replace_triggered_by").to_vec(),
            create_before_destroy: self.plain_bool(body, "create_before_destroy").unwrap_or(false),
            preconditions: Self::conditions(block, "precondition"),
            postconditions: Self::conditions(block, "postcondition"),
        }
    }

    fn timeouts(&mut self, body: &Body) -> BTreeMap<std::sync::Arc<str>, std::time::Duration> {
        let Some(block) = body.blocks.iter().find(|b| &*b.kind == "timeouts") else { return BTreeMap::new() };
        let names: Vec<_> = block.body.attributes.keys().cloned().collect();
        names.into_iter().filter_map(|name| Some((name.clone(), self.plain_duration(&block.body, &name)?))).collect()
    }
}

/// The body without what belongs to the language and not to the kind.
fn inputs(body: &Body, kind: &KindSchema) -> Body {
    let own = |name: &str| {
        kind.block.attributes.iter().any(|a| a.name == name) || kind.block.blocks.iter().any(|b| b.name == name)
    };
    let meta = |name: &str| {
        builtin::META_ATTRIBUTES.iter().any(|a| a.name == name)
            || builtin::META_BLOCKS.iter().any(|b| b.name == name)
            || matches!(name, "aws" | "kubernetes")
    };
    let keep = |name: &str| own(name) || !meta(name);
    Body {
        attributes: body.attributes.iter().filter(|(n, _)| keep(n)).map(|(n, a)| (n.clone(), a.clone())).collect(),
        blocks: body.blocks.iter().filter(|b| keep(&b.kind)).cloned().collect(),
        span: Span::clone(&body.span),
    }
}

/// `values.replicas`, `values["a.b"]`, `values[0]` as a path is written; a string is taken for a path as it is.
fn path_text(expr: &Expr) -> Option<String> {
    use crate::base::{Data, Path};
    fn path(expr: &Expr) -> Option<Path> {
        match &expr.node {
            Node::Name(name) => Some(Path::default().key(name)),
            Node::Attribute(of, name) => Some(path(of)?.key(name)),
            Node::Index(of, index) => match literal(index)?.data() {
                Data::String(key) => Some(path(of)?.key(key)),
                Data::Number(n) => Some(path(of)?.index(usize::try_from(n.as_i64()?).ok()?)),
                _ => None,
            },
            _ => None,
        }
    }
    path(expr).map(|path| path.to_string())
}
