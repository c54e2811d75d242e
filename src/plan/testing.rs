//! Plans made by hand, for tests of whatever looks at one.

use crate::{
    base::{ActionWord, Digest, Value},
    kinds::{Cause, ChildChange, FieldChange},
    lang::configuration::OnFailure,
    plan::{FORMAT, Header, Mode, Plan, Planned, PlannedPhase, StateId, WorldId, make::blank},
};
use std::collections::BTreeMap;

/// A plan of three phases with these nodes.
pub(crate) fn plan(nodes: Vec<Planned>) -> Plan {
    let phase = |name: &str, after: &[&str], on_failure| PlannedPhase {
        name: name.into(),
        description: None,
        after: after.iter().map(|a| (*a).into()).collect(),
        on_failure,
        gate: if name == "cluster" { vec!["nodes".into()] } else { Vec::new() },
        proves: BTreeMap::new(),
    };
    Plan {
        header: Header {
            format: FORMAT,
            terrace: "0.1.0".to_owned(),
            project: "shop".into(),
            plan: "platform".into(),
            folder: "plans/platform".into(),
            env: "dev".into(),
            protected: false,
            world: WorldId { name: "sandbox".into(), account: "111111111111".into(), region: "us-east-1".into() },
            clusters: BTreeMap::new(),
            mode: Mode::Normal,
            targets: Vec::new(),
            replace: Vec::new(),
            offline: false,
            release: None,
            configuration: Digest::of(b""),
            state: StateId { lineage: "l".into(), serial: 12 },
        },
        phases: vec![
            phase("foundation", &[], OnFailure::Halt),
            phase("cluster", &["foundation"], OnFailure::Halt),
            phase("services", &["cluster"], OnFailure::Rollback),
        ],
        nodes,
        outputs: BTreeMap::new(),
        debts: Vec::new(),
        drift: Vec::new(),
        notes: Vec::new(),
        judgement: None,
        variables: BTreeMap::new(),
        sources: BTreeMap::new(),
    }
}

/// A node that nothing more is known of.
pub(crate) fn node(address: &str, phase: &str, action: ActionWord) -> Planned {
    blank(&address.parse().unwrap(), phase.into(), action)
}

/// A field that differs as declared.
pub(crate) fn field(path: &str, before: Option<Value>, after: Option<Value>) -> FieldChange {
    FieldChange {
        path: path.to_owned(),
        before,
        after,
        cause: Cause::Declared,
        forces_replacement: false,
        because: None,
        owner: None,
    }
}

/// A part that nothing more is known of.
pub(crate) fn child(name: &str, kind: &str, action: ActionWord) -> ChildChange {
    ChildChange {
        name: name.to_owned(),
        kind: kind.to_owned(),
        action,
        maybe_replace: false,
        policy: None,
        stateful: false,
        fields: Vec::new(),
    }
}
