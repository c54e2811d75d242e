//! What is measured: `verify` blocks after a change, checks, and the gates of phases.

use crate::apply::executor::{Executor, Job, Measured, tell};
use crate::{
    apply::{
        journal::Desk,
        verify::{Measure, measure},
        work::{self, End},
    },
    base::{ActionWord, Address, Digest, Event, Hidden, NodeEnd, Value, elapsed},
    graph::Id,
    kinds::{probe_aws, probe_cluster},
    lang::configuration::{Resource as Declared, Verify},
    lang::evaluate::ConnectionRef,
    plan::{
        Planned,
        connect::Connections,
        instance::{self, Instance},
    },
    state::{Record, Status, Verdict},
};
use std::{sync::Arc, time::Duration};

impl Executor<'_> {
    /// Runs the `verify` blocks of an instance, or is done with it. `all` where it was just changed.
    pub(super) fn verify(
        &mut self,
        id: Id,
        declared: &Declared,
        address: &Address,
        connections: &Connections,
        action: ActionWord,
        all: bool,
    ) {
        let digest = instance::declaration_digest(self.subject, declared);
        let due = |v: &&Verify| {
            let subject = format!("{address}/{}", v.name);
            let again = self.subject.verifies_all(self.plan.header.mode);
            all || again
                || self
                    .desk
                    .store
                    .with(|s| !s.verdicts.get(subject.as_str()).is_some_and(|v| v.passed && v.declaration == digest))
        };
        let due: Vec<Verify> = declared.verify.iter().filter(due).cloned().collect();
        let mut measures = Vec::new();
        for verify in &due {
            let measure = self.evaluator.probe(address.module(), Some(address), verify).map_err(|p| tell(&p));
            let measure = measure.and_then(|probe| {
                // What the probe leaves out follows from the thing: its namespace.
                let probe = self.asked_of(address, &probe);
                let subject = format!("{address}/{}", verify.name).into();
                let connections = self.connections_of(&probe, connections)?;
                Ok(one(subject, probe, connections, verify, &digest, address))
            });
            match measure {
                Ok(measure) => measures.push((measure, true)),
                Err(why) => return self.fail_instance(id, address, &why),
            }
        }
        let of = Measured::Instance { address: address.clone(), action };
        if measures.is_empty() {
            return self.measured(id, &of, Vec::new());
        }
        self.waiting.push_back(Job::Measures { id, measures, of });
    }

    /// The connections of a probe: the cluster that it names, else the thing's own, else the default one; the account and
    /// region that it names, else the thing's own.
    pub(super) fn connections_of(&mut self, probe: &Value, own: &Connections) -> Result<Connections, String> {
        let mut connections = own.clone();
        let named = probe_cluster(probe).and_then(|name| name.parse::<Address>().ok());
        let named =
            named.map(|a| ConnectionRef { kind: "kubernetes".into(), name: a.name().into(), key: a.key().cloned() });
        let default = self.subject.configuration.default_connection("kubernetes");
        if named.is_some() || connections.cluster.is_none() && default.is_some() {
            let (need, subject) = (crate::lang::schema::ConnectionNeed::None, self.subject);
            let found = crate::plan::connect::connections(subject, &mut self.evaluator, named.as_ref(), need, true);
            connections.cluster = match found {
                Ok(Ok(found)) => found.cluster,
                Ok(Err(_)) => None,
                Err(problems) => return Err(tell(&problems)),
            };
        }
        if let Some(named) = probe_aws(probe).and_then(|name| name.parse::<Address>().ok()) {
            let named = ConnectionRef { kind: "aws".into(), name: named.name().into(), key: named.key().cloned() };
            let (need, subject) = (crate::lang::schema::ConnectionNeed::None, self.subject);
            match crate::plan::connect::connections(subject, &mut self.evaluator, Some(&named), need, false) {
                Ok(Ok(found)) => connections.aws = found.aws,
                Ok(Err(waiting)) => return Err(format!("{} is not known yet", waiting.connection)),
                Err(problems) => return Err(tell(&problems)),
            }
        }
        Ok(connections)
    }

    pub(super) fn start_check(&mut self, id: Id, planned: &Planned, instance: &Instance) {
        let address = &instance.address;
        let subject: Arc<str> = address.as_str().into();
        let passed = self
            .desk
            .store
            .with(|s| s.verdicts.get(&subject).is_some_and(|v| v.passed && v.declaration == instance.declaration));
        if planned.action == ActionWord::NoOp && passed && self.touched.is_empty() {
            return self.instance_done(id);
        }
        self.begin(address, &instance.phase, ActionWord::Verify);
        let inputs = &instance.desired.inputs;
        let text = |name: &str| inputs.get(name).and_then(Value::as_str).unwrap_or_default();
        let time = |name: &str| crate::base::parse_duration(text(name)).unwrap_or(Duration::ZERO);
        let probe = inputs.get("probe").cloned().unwrap_or(Value::NULL);
        let connections = match self.connections_of(&probe, &instance.connections) {
            Ok(connections) => connections,
            Err(why) => return self.fail_instance(id, address, &why),
        };
        let measure = Measure {
            subject,
            probe,
            connections,
            every: time("every"),
            within: time("within"),
            consecutive: inputs
                .get("consecutive")
                .and_then(Value::as_i64)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(1),
            declaration: instance.declaration.clone(),
            address: address.clone(),
        };
        let is_error = text("severity") != "warning";
        let of = Measured::Check { address: address.clone() };
        self.waiting.push_back(Job::Measures { id, measures: vec![(measure, is_error)], of });
    }

    /// The gate of a phase: runs where something in the phase was changed, or where it did not pass last time.
    pub(super) fn visit_gate(&mut self, id: Id, phase: &Arc<str>) {
        let declared = self.subject.configuration.phases.iter().find(|p| p.name == *phase);
        let Some(declared) = declared.filter(|p| !p.verify.is_empty() && self.targets.is_none()) else {
            return self.phase_passed(id, phase);
        };
        let touched = self.touched.contains(phase);
        let address = Address::root("phase", phase);
        let environment = Connections { aws: self.subject.aws.clone(), cluster: None };
        let mut measures = Vec::new();
        for verify in &declared.verify {
            let text = self.subject.configuration.sources.text(&verify.span.file);
            let digest =
                Digest::of(text.and_then(|t| t.get(verify.probe.body.span.range())).unwrap_or_default().as_bytes());
            let subject: Arc<str> = format!("phase.{phase}/{}", verify.name).into();
            let passed =
                self.desk.store.with(|s| s.verdicts.get(&subject).is_some_and(|v| v.passed && v.declaration == digest));
            let again = self.subject.verifies_all(self.plan.header.mode);
            if !touched && !again && (passed || self.plan.header.mode.only_what_it_names()) {
                continue;
            }
            let measure = self.evaluator.probe(&[], None, verify).map_err(|p| tell(&p)).and_then(|probe| {
                let connections = self.connections_of(&probe, &environment)?;
                Ok(one(subject, probe, connections, verify, &digest, &address))
            });
            match measure {
                Ok(measure) => measures.push((measure, true)),
                Err(why) => return self.fail_gate(id, phase, &why),
            }
        }
        if measures.is_empty() {
            return self.phase_passed(id, phase);
        }
        self.begin(&address, phase, ActionWord::Verify);
        let of = Measured::Gate { phase: phase.clone() };
        self.waiting.push_back(Job::Measures { id, measures, of });
    }

    pub(super) fn phase_passed(&mut self, id: Id, phase: &Arc<str>) {
        let record = Record::PhasePassed { run: self.desk.run.clone(), phase: phase.clone() };
        if let Err(error) = self.desk.store.note(vec![record]) {
            return self.state_failed(error);
        }
        self.end_phase(phase, true);
        let graph = self.subject.graph.clone();
        self.walk.done(&graph, id);
    }

    pub(super) fn end_phase(&mut self, phase: &Arc<str>, passed: bool) {
        let elapsed = self.phase_started.remove(phase).map_or(Duration::ZERO, |s| elapsed(s, self.now()));
        self.desk.events.emit(Event::PhaseEnded { phase: phase.clone(), passed, elapsed });
    }

    pub(super) fn measured(&mut self, id: Id, of: &Measured, verdicts: Vec<(Arc<str>, Verdict, bool)>) {
        let failed = verdicts.iter().find(|(_, v, error)| !v.passed && *error);
        let why = failed.map(|(subject, v, _)| {
            let label = subject.rsplit_once('/').map_or("", |(_, label)| label);
            if label.is_empty() {
                format!("does not hold: {}", v.said)
            } else {
                format!("verify \"{label}\" did not pass: {}", v.said)
            }
        });
        for (subject, verdict, _) in verdicts.iter().filter(|(_, v, error)| !v.passed && !*error) {
            self.desk
                .events
                .emit(Event::Notice { message: format!("warning: {subject} does not hold: {}", verdict.said) });
        }
        let mut records: Vec<Record> =
            verdicts.into_iter().map(|(subject, verdict, _)| Record::Verdict { subject, verdict }).collect();
        if let (Measured::Instance { address, .. }, None) = (of, &why)
            && let Some(mut resource) = self.desk.store.with(|s| s.resources.get(address).cloned())
            && resource.status == Status::Applied
        {
            resource.status = Status::Verified;
            records.push(Record::Resource(Box::new(resource)));
        }
        if !records.is_empty()
            && let Err(error) = self.desk.store.note(records)
        {
            return self.state_failed(error);
        }
        match (of, why) {
            (Measured::Instance { address, action }, None) => {
                let phase = self.phase_of(address);
                self.end_node(address, &phase, *action, NodeEnd::Done);
                self.instance_ended(id, address);
            }
            (Measured::Check { address }, None) => {
                let phase = self.phase_of(address);
                self.end_node(address, &phase, ActionWord::Verify, NodeEnd::Done);
                self.instance_done(id);
            }
            (Measured::Gate { phase }, None) => {
                self.end_node(&Address::root("phase", phase), phase, ActionWord::Verify, NodeEnd::Done);
                self.phase_passed(id, phase);
            }
            (Measured::Instance { address, .. } | Measured::Check { address }, Some(why)) => {
                self.fail_instance(id, address, &why);
            }
            (Measured::Gate { phase }, Some(why)) => self.fail_gate(id, phase, &why),
        }
    }
}

/// One measurement of a `verify` block.
fn one(
    subject: Arc<str>,
    probe: Value,
    connections: Connections,
    verify: &Verify,
    digest: &Digest,
    address: &Address,
) -> Measure {
    Measure {
        subject,
        probe,
        connections,
        every: verify.every,
        within: verify.within,
        consecutive: verify.consecutive,
        declaration: digest.clone(),
        address: address.clone(),
    }
}

/// Measures all, side by side.
pub(super) async fn measure_all(desk: &Desk<'_>, measures: Vec<(Measure, bool)>) -> Vec<(Arc<str>, Verdict, bool)> {
    let jobs = measures.into_iter().map(|(one, error)| async move {
        let mut verdict = match work::context(desk, &one.address, &one.connections, one.within).await {
            Ok(context) => measure(&one, &context).await,
            Err(end) => {
                let said = if let End::Failed(why) = end { why } else { "no connection".to_owned() };
                let at = desk.subject.world.clock().now();
                Verdict { passed: false, said, declaration: one.declaration.clone(), at, measurements: Vec::new() }
            }
        };
        let secret = Hidden::of([&one.probe]);
        verdict.said = desk.hidden.out_of(&secret.out_of(&verdict.said));
        for measured in &mut verdict.measurements {
            measured.said = desk.hidden.out_of(&secret.out_of(&measured.said));
        }
        (one.subject, verdict, error)
    });
    futures::future::join_all(jobs).await
}
