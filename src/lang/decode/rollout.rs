//! `verify` and `rollout` blocks, whose probes the kinds' room knows.

use super::Decoder;
use crate::{
    base::Diagnostic,
    lang::{
        ast::{Block, Body},
        builtin,
        check::{Checked, check, check_exactly_one, check_labels},
        configuration::{Rollout, Verify},
    },
};
use std::time::Duration;

impl Decoder<'_> {
    /// The `verify` blocks of a body, checked.
    pub(super) fn verify_blocks(&mut self, body: &Body) -> Vec<Verify> {
        let mut found: Vec<Verify> = Vec::new();
        for block in body.blocks.iter().filter(|b| &*b.kind == "verify") {
            if let Some(verify) = self.verify(block) {
                if let Some(first) = found.iter().find(|v| v.name == verify.name) {
                    let (what, first) = (format!("`verify \"{}\"`", verify.name), first.span.clone());
                    self.duplicate(&what, &first, &verify.span);
                }
                found.push(verify);
            }
        }
        found
    }

    fn verify(&mut self, block: &Block) -> Option<Verify> {
        let checked = Checked { blocks: self.schema.probes, ..Checked::block(block) };
        check(checked, &builtin::VERIFY, self.diagnostics);
        let probes: Vec<&str> = self.schema.probes.iter().map(|p| p.name).collect();
        if !block.broken {
            check_exactly_one(&checked, &probes, self.diagnostics);
        }
        check_labels(block, 1, self.diagnostics);
        let body = &block.body;
        let every = self.plain_duration(body, "every");
        let within = self.plain_duration(body, "within");
        let consecutive = self.plain_count(body, "consecutive");
        let failure_limit = self.plain_count(body, "failure_limit");
        let count = self.plain_count(body, "count");
        if let (Some(0), Some(attribute)) = (consecutive, body.attributes.get("consecutive")) {
            self.diagnostics
                .push(Diagnostic::error("wrong_value", "`consecutive` is at least 1").at(&attribute.expr.span, ""));
        }
        let (name, _) = block.labels.first()?;
        Some(Verify {
            name: name.clone(),
            span: block.header.clone(),
            probe: body.blocks.iter().find(|b| probes.contains(&&*b.kind))?.clone(),
            every: every.unwrap_or(Duration::from_secs(5)),
            within: within.unwrap_or(Duration::from_secs(300)),
            consecutive: consecutive.unwrap_or(1).max(1),
            failure_limit: failure_limit.unwrap_or(0),
            count,
        })
    }

    /// The `rollout` block of a body, checked.
    pub(super) fn rollout(&mut self, body: &Body) -> Option<Rollout> {
        let block = body.blocks.iter().find(|b| &*b.kind == "rollout")?;
        self.check_but_verify(block, &builtin::ROLLOUT);
        check_labels(block, 0, self.diagnostics);
        self.verify_blocks(&block.body);
        let strategy = block.body.attributes.get("strategy").map(|a| a.expr.clone());
        Some(Rollout { strategy, block: block.clone() })
    }
}
