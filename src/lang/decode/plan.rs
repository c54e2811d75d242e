//! What only the root of a plan declares: `plan`, `environment`, `phase`, connections, fixtures.

use super::{Decoder, Plan};
use crate::{
    base::Diagnostic,
    lang::{
        ast::{Block, Body, Expr, Node},
        builtin,
        configuration::{AwsBlock, Connection, Environment, Fixture, OnFailure, Phase, WorldBlock},
        schema::BlockSchema,
    },
};
use std::{collections::BTreeMap, sync::Arc};

impl Decoder<'_> {
    pub(super) fn plan(&mut self, block: &Block) {
        let Some((label, span)) = self.labelled(block, &builtin::PLAN) else { return };
        let description = self.plain_string(&block.body, "description");
        let requires_terrace = self
            .plain_string(&block.body, "requires_terrace")
            .zip(block.body.attributes.get("requires_terrace").map(|a| a.expr.span.clone()));
        if let Some(first) = &self.root.plan {
            let first = first.span.clone();
            return self.duplicate("the plan", &first, &span);
        }
        self.root.plan = Some(Plan { label, description, requires_terrace, span });
    }

    pub(super) fn environment(&mut self, block: &Block) {
        let Some((name, span)) = self.labelled(block, &builtin::ENVIRONMENT) else { return };
        let body = &block.body;
        let mut after = Vec::new();
        for element in self.elements(body, "after") {
            match named(element, "environment") {
                Some(name) => after.push(name),
                None => self.diagnostics.push(
                    Diagnostic::error("wrong_type", "this names no environment")
                        .at(&element.span, "")
                        .hint("write environment.NAME"),
                ),
            }
        }
        let nested = |name: &str| body.blocks.iter().find(|b| &*b.kind == name);
        let world = match (nested("aws"), nested("sandbox")) {
            (Some(aws), _) => WorldBlock::Aws(self.aws_block(&aws.body)),
            (None, sandbox) => {
                let text = |this: &mut Self, name| sandbox.and_then(|b| this.plain_string(&b.body, name));
                let region = text(self, "region").unwrap_or_else(|| "us-east-1".to_owned());
                let account_id = text(self, "account_id").unwrap_or_else(|| "000000000000".to_owned());
                WorldBlock::Sandbox { region, account_id }
            }
        };
        let environment = Environment {
            name: name.clone(),
            span: span.clone(),
            after,
            world,
            protected: self.plain_bool(body, "protected").unwrap_or(false),
            gates: self.gates(body),
            ttl: self.plain_duration(body, "ttl"),
        };
        if let Some(first) = self.root.environments.get(&name) {
            let first = first.span.clone();
            return self.duplicate(&format!("the environment `{name}`"), &first, &span);
        }
        self.root.environments.insert(name, environment);
    }

    fn aws_block(&mut self, body: &Body) -> AwsBlock {
        let mut rest = BTreeMap::new();
        if let Some(arn) = self.plain_string(body, "ci_role_arn") {
            rest.insert("ci_role_arn".into(), arn.into());
        }
        for block in body.blocks.iter().filter(|b| &*b.kind == "assume_role") {
            rest.insert(block.kind.clone(), self.plain_object(&block.body));
        }
        let account_id = self.plain_string(body, "account_id");
        if let (Some(id), Some(attribute)) = (&account_id, body.attributes.get("account_id"))
            && (id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit()))
        {
            self.diagnostics.push(
                Diagnostic::error("wrong_value", format!("`{id}` is no AWS account"))
                    .at(&attribute.expr.span, "")
                    .hint("an account is twelve digits, in quotes so that leading zeros stay"),
            );
        }
        AwsBlock {
            region: self.plain_string(body, "region").unwrap_or_default(),
            account_id,
            endpoint_url: self.plain_string(body, "endpoint_url"),
            profile: self.plain_string(body, "profile"),
            template_bucket: self.plain_string(body, "template_bucket"),
            rest,
        }
    }

    /// A block of plain values as JSON.
    fn plain_object(&mut self, body: &Body) -> serde_json::Value {
        let mut entries = serde_json::Map::new();
        for name in body.attributes.keys() {
            if let Some(json) = self.plain(body, name).and_then(|value| value.to_json()) {
                entries.insert(name.to_string(), json);
            }
        }
        for block in &body.blocks {
            entries.insert(block.kind.to_string(), self.plain_object(&block.body));
        }
        entries.into()
    }

    pub(super) fn phase(&mut self, block: &Block) {
        let Some((name, span)) = self.labelled(block, &builtin::PHASE) else { return };
        let mut after = Vec::new();
        for element in self.elements(&block.body, "after") {
            after.extend(self.phase_ref(element).map(|phase| (phase.name, phase.span)));
        }
        let on_failure = match self.plain_string(&block.body, "on_failure").as_deref() {
            Some("rollback") => OnFailure::Rollback,
            _ => OnFailure::Halt,
        };
        let description = self.plain_string(&block.body, "description");
        let verify = self.verify_blocks(&block.body, super::rollout::Stands::Alone);
        if let Some(first) = self.root.phases.get(&name).and_then(|p| p.span.clone()) {
            return self.duplicate(&format!("the phase `{name}`"), &first, &span);
        }
        let phase = Phase { name: name.clone(), span: Some(span), description, after, on_failure, verify };
        self.root.phases.insert(name, phase);
    }

    pub(super) fn connection(&mut self, block: &Block) {
        let aws = &*block.kind == "aws";
        let Some((name, span)) = self.labelled(block, if aws { &builtin::AWS } else { &builtin::KUBERNETES }) else {
            return;
        };
        let mut body = block.body.clone();
        let for_each = body.attributes.remove("for_each").map(|a| a.expr);
        let connection = Connection { name: name.clone(), span: span.clone(), for_each, body };
        let all = if aws { &mut self.root.aws } else { &mut self.root.kubernetes };
        if let Some(first) = all.get(&name) {
            let first = first.span.clone();
            return self.duplicate(&format!("`{}.{name}`", block.kind), &first, &span);
        }
        all.insert(name, connection);
    }

    pub(super) fn fixture(&mut self, block: &Block, schema: &BlockSchema) {
        let Some((name, span)) = self.labelled(block, schema) else { return };
        let mut body = block.body.clone();
        let phase = body.attributes.remove("phase").and_then(|a| self.phase_ref(&a.expr));
        let key = (block.kind.clone(), name.clone());
        if let Some(first) = self.root.fixtures.get(&key) {
            let first = first.span.clone();
            return self.duplicate(&format!("`{}.{name}`", block.kind), &first, &span);
        }
        let fixture = Fixture { kind: block.kind.clone(), name, span, phase, body };
        self.root.fixtures.insert(key, fixture);
    }
}

/// The name in `FIRST.NAME`.
fn named(expr: &Expr, first: &str) -> Option<Arc<str>> {
    match &expr.node {
        Node::Attribute(of, name) if matches!(&of.node, Node::Name(n) if &**n == first) => Some(name.clone()),
        _ => None,
    }
}
