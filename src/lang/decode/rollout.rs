//! `verify` and `rollout` blocks, whose probes the kinds' room knows.

use super::Decoder;
use crate::{
    base::{Diagnostic, format_duration},
    lang::{
        ast::{Block, Body},
        builtin,
        check::{Checked, check, check_exactly_one, check_labels},
        configuration::{DEFAULT_ERROR_LIMIT, Rollout, Verify},
    },
};
use std::time::Duration;

/// Where a `verify` block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// In a resource or a phase.
    Alone,
    /// In a `rollout` block.
    InRollout,
}

/// What means something in a rollout only: attributes of the block, and of the probe in it.
const ROLLOUTS_OWN: [&str; 4] = ["initial_delay", "inconclusive_limit", "error_limit", "dry_run"];
const COMPARISONS: [&str; 2] = ["max_ratio", "max_increase"];

impl Decoder<'_> {
    /// The `verify` blocks of a body, checked.
    pub(super) fn verify_blocks(&mut self, body: &Body, stands: Stands) -> Vec<Verify> {
        let mut found: Vec<Verify> = Vec::new();
        for block in body.blocks.iter().filter(|b| &*b.kind == "verify") {
            if let Some(verify) = self.verify(block, stands) {
                if let Some(first) = found.iter().find(|v| v.name == verify.name) {
                    let (what, first) = (format!("`verify \"{}\"`", verify.name), first.span.clone());
                    self.duplicate(&what, &first, &verify.span);
                }
                found.push(verify);
            }
        }
        found
    }

    fn verify(&mut self, block: &Block, stands: Stands) -> Option<Verify> {
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
        if let (Some(0), Some(attribute)) = (count, body.attributes.get("count")) {
            self.diagnostics
                .push(Diagnostic::error("wrong_value", "`count` is at least 1").at(&attribute.expr.span, ""));
        }
        let probe = body.blocks.iter().find(|b| probes.contains(&&*b.kind));
        if stands == Stands::Alone {
            self.without_rollout(body, &ROLLOUTS_OWN);
            if let Some(probe) = probe {
                self.without_rollout(&probe.body, &COMPARISONS);
            }
        }
        let initial_delay = self.plain_duration(body, "initial_delay");
        let inconclusive_limit = self.plain_count(body, "inconclusive_limit");
        let error_limit = self.plain_count(body, "error_limit");
        let dry_run = self.plain_bool(body, "dry_run");
        let controls = self.proved(body, stands);
        let (name, _) = block.labels.first()?;
        let verify = Verify {
            name: name.clone(),
            span: block.header.clone(),
            probe: probe?.clone(),
            every: every.unwrap_or(Duration::from_secs(5)),
            within: within.unwrap_or(Duration::from_secs(300)),
            consecutive: consecutive.unwrap_or(1).max(1),
            failure_limit: failure_limit.unwrap_or(0),
            count,
            initial_delay: initial_delay.unwrap_or_default(),
            inconclusive_limit: inconclusive_limit.unwrap_or(0),
            error_limit: error_limit.unwrap_or(DEFAULT_ERROR_LIMIT),
            dry_run: dry_run.unwrap_or(false),
            controls,
        };
        if stands == Stands::InRollout {
            self.fits(&verify);
        }
        Some(verify)
    }

    /// The controls that a `verify` block proves.
    fn proved(&mut self, body: &Body, stands: Stands) -> Vec<String> {
        let Some(attribute) = body.attributes.get("controls") else { return Vec::new() };
        if stands == Stands::InRollout {
            self.diagnostics.push(
                Diagnostic::error("wrong_value", "`controls` does not count in a `rollout`")
                    .at(&attribute.name_span, "")
                    .because("what is measured there is a version on its way in, and no last answer of it is kept")
                    .hint("write a `verify` block with it beside the `rollout`"),
            );
        }
        let value = self.plain(body, "controls");
        let texts = value.iter().filter_map(crate::base::Value::as_seq).flat_map(|all| all.iter());
        let texts: Vec<String> = texts.filter_map(|one| one.as_str().map(str::to_owned)).collect();
        self.diagnostics.extend(crate::lang::controls::problems(&texts, &attribute.expr.span));
        texts
    }

    /// Refuses what means something in a rollout only.
    fn without_rollout(&mut self, body: &Body, names: &[&str]) {
        for (name, attribute) in names.iter().filter_map(|name| Some((name, body.attributes.get(*name)?))) {
            self.diagnostics.push(
                Diagnostic::error("only_in_rollout", format!("`{name}` counts in a `rollout` only"))
                    .at(&attribute.name_span, "")
                    .because("a plain `verify` is tried until `within` and compares nothing")
                    .hint("leave it out, or move the block into a `rollout`"),
            );
        }
    }

    /// Refuses limits that no run of measurements could meet.
    fn fits(&mut self, verify: &Verify) {
        let needed = verify.count.filter(|_| verify.consecutive < 2).unwrap_or(verify.consecutive);
        let time = verify.every.saturating_mul(needed.saturating_sub(1));
        if time > verify.within {
            let (every, within) = (format_duration(verify.every), format_duration(verify.within));
            let message = format!("{needed} measurements, one every {every}, do not fit in {within}");
            self.diagnostics.push(
                Diagnostic::error("wrong_value", message)
                    .at(&verify.span, "")
                    .because("what has not passed `within` its time has failed")
                    .hint(format!("give it more time: within = \"{}s\"", time.as_secs() + 60)),
            );
        }
        if let Some(count) = verify.count.filter(|count| *count < verify.consecutive) {
            let message = format!("{count} measurements never pass {} times in a row", verify.consecutive);
            self.diagnostics.push(Diagnostic::error("wrong_value", message).at(&verify.span, ""));
        }
    }

    /// The `rollout` block of a body, checked.
    pub(super) fn rollout(&mut self, body: &Body) -> Option<Rollout> {
        let block = body.blocks.iter().find(|b| &*b.kind == "rollout")?;
        self.check_but_verify(block, &builtin::ROLLOUT);
        check_labels(block, 0, self.diagnostics);
        let verify = self.verify_blocks(&block.body, Stands::InRollout);
        let strategy = block.body.attributes.get("strategy").map(|a| a.expr.clone());
        Some(Rollout { strategy, block: block.clone(), verify })
    }
}
