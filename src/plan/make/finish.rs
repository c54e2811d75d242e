//! The plan as a whole: in order, with its outputs and its header.

use crate::plan::make::{Made, Maker};
use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Severity},
    graph::{self},
    lang::{Declaration, configuration::Verify},
    plan::{Error, FORMAT, Header, Mode, Moment, OutputChange, Plan, PlannedPhase, StateId, Subject},
};
use std::{collections::BTreeMap, sync::Arc};

impl Maker<'_> {
    /// The plan, or every problem that was found.
    pub(super) fn finish(mut self) -> Result<Made, Error> {
        self.keep_what_others_declare();
        self.tell_silent();
        if self.problems.has_errors() {
            self.problems.normalize();
            return Err(self.problems.into());
        }
        let outputs = self.outputs()?;
        self.order();
        self.write_held();
        for node in &mut self.nodes {
            let declaration = Declaration::from(&node.address);
            let before = self.subject.graph.prerequisites(&declaration);
            node.after = before.iter().map(graph::address).collect();
            let declared = self.subject.configuration.resource(&declaration).filter(|_| node.moment == Moment::Phase);
            node.proves = declared.map(|declared| proves(&declared.verify)).unwrap_or_default();
        }
        self.debts.sort_by(|a, b| a.address.cmp(&b.address));
        self.drift.sort_by(|a, b| a.address.cmp(&b.address));
        let subject = self.subject;
        let configuration = &subject.configuration;
        let mut notes: Vec<Diagnostic> =
            self.problems.0.into_iter().filter(|d| d.severity == Severity::Warning).collect();
        notes.sort_by(|a, b| (&a.code, &a.summary).cmp(&(&b.code, &b.summary)));
        let plan = Plan {
            header: Header {
                format: FORMAT,
                terrace: env!("CARGO_PKG_VERSION").to_owned(),
                project: subject.project.clone(),
                plan: configuration.label.clone(),
                folder: configuration.folder.clone(),
                env: subject.given.env.name.clone(),
                protected: subject.protected,
                world: subject.world_id(),
                clusters: subject.other_clusters(),
                mode: self.request.mode,
                targets: self.request.targets.clone(),
                replace: self.request.replace.clone(),
                offline: self.request.offline,
                release: subject.release.clone(),
                configuration: configuration_digest(subject)?,
                state: StateId { lineage: subject.state.lineage.clone(), serial: subject.state.serial },
            },
            phases: configuration
                .phases
                .iter()
                .map(|p| PlannedPhase {
                    name: p.name.clone(),
                    description: p.description.clone(),
                    after: p.after.iter().map(|(name, _)| name.clone()).collect(),
                    on_failure: p.on_failure,
                    gate: p.verify.iter().map(|v| v.name.clone()).collect(),
                    proves: proves(&p.verify),
                })
                .collect(),
            nodes: self.nodes,
            outputs,
            drift: self.drift,
            debts: self.debts,
            notes,
            judgement: None,
            variables: subject.given.variables.iter().map(|(k, v)| (k.clone(), subject.seal.seal_value(v))).collect(),
            sources: BTreeMap::new(),
        };
        self.attachment.made = Some(subject.world.clock().now());
        Ok(Made { plan, attachment: self.attachment })
    }

    /// By phase, then dependencies, then address, traffic behind what it moves between; removals last, in the order of destruction.
    pub(super) fn order(&mut self) {
        let graph = &self.subject.graph;
        let rank: BTreeMap<Declaration, usize> =
            graph.order().into_iter().enumerate().filter_map(|(at, id)| Some((graph.inner[id].unit()?, at))).collect();
        let phase: BTreeMap<&str, usize> = graph.phases.iter().enumerate().map(|(at, p)| (&**p, at + 1)).collect();
        self.nodes.sort_by_cached_key(|n| match n.moment {
            Moment::Removal => (1, 0, 0, None, false, None),
            Moment::Phase => (
                0,
                phase.get(&*n.phase).copied().unwrap_or(0),
                rank.get(&Declaration::from(&n.address)).copied().unwrap_or(0),
                Some(n.address.with_color(None)),
                n.action == ActionWord::Shift,
                Some(n.address.clone()),
            ),
        });
    }

    pub(super) fn outputs(&mut self) -> Result<BTreeMap<Arc<str>, OutputChange>, Diagnostics> {
        let former = &self.state.outputs;
        let mut out = BTreeMap::new();
        match self.request.mode {
            Mode::Destroy if self.request.targets.is_empty() => {
                for (name, before) in former {
                    out.insert(name.clone(), OutputChange { before: Some(before.clone()), after: None });
                }
                return Ok(out);
            }
            Mode::RefreshOnly | Mode::Destroy | Mode::RevertDrift | Mode::Import | Mode::Verify | Mode::Retire => {
                return Ok(out);
            }
            Mode::Normal if self.targets.is_some() => return Ok(out),
            Mode::Normal => {}
        }
        let mut problems = Diagnostics::new();
        for name in self.subject.configuration.root.outputs.keys() {
            match self.evaluator.output(name) {
                Ok(value) => {
                    let after = self.subject.seal.seal_value(&value);
                    let before = former.get(name).cloned();
                    if before.as_ref() != Some(&after) {
                        out.insert(name.clone(), OutputChange { before, after: Some(after) });
                    }
                }
                Err(found) => problems.extend(found),
            }
        }
        for (name, before) in former {
            if !self.subject.configuration.root.outputs.contains_key(name) {
                out.insert(name.clone(), OutputChange { before: Some(before.clone()), after: None });
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(out) }
    }
}

/// The controls that `verify` blocks prove, by label.
fn proves(blocks: &[Verify]) -> BTreeMap<Arc<str>, Vec<String>> {
    let named = blocks.iter().filter(|verify| !verify.controls.is_empty());
    named.map(|verify| (verify.name.clone(), verify.controls.clone())).collect()
}

/// The digest of every file that was read so far.
fn configuration_digest(subject: &Subject) -> Result<crate::base::Digest, serde_json::Error> {
    let texts: BTreeMap<&str, crate::base::Digest> = subject
        .configuration
        .sources
        .iter()
        .map(|(path, text)| (&**path, crate::base::Digest::of(text.as_bytes())))
        .collect();
    crate::base::Digest::of_json(&texts)
}
