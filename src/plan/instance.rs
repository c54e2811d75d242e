//! One instance of a declaration, evaluated and prepared: what the plan and the executor both begin with.

use crate::{
    base::{ActionWord, Address, Diagnostic, Diagnostics, Digest, Path, Value},
    kinds::{
        Cause, ChildChange, Comparison, Desired, FieldChange, FieldName, Kind, Outlook, Prepare, Preview, kind, sealed,
    },
    lang::{
        Declaration,
        configuration::Resource,
        evaluate::{Evaluated, Evaluator, FailedCondition},
        schema::{ConnectionNeed, Role},
    },
    plan::{
        DeferReason, Subject, accepted_part,
        connect::{Connections, connections},
        upgrade,
    },
    state::{IgnoredField, SealKey, Snapshot},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// An instance that is ready to be compared with the world.
#[derive(Clone)]
pub struct Instance {
    /// Which.
    pub address: Address,
    /// Its kind.
    pub kind: &'static dyn Kind,
    /// Managed, data or check.
    pub role: Role,
    /// Its root phase; empty where it has none.
    pub phase: Arc<str>,
    /// As evaluated.
    pub evaluated: Evaluated,
    /// As the kind sees it.
    pub desired: Desired,
    /// Where it lives.
    pub connections: Connections,
    /// The digest of its declaration's text.
    pub declaration: Digest,
    /// Paths that are left as they are: its `ignore_changes`, and what another declaration moves in its place.
    pub ignore: Vec<String>,
    /// Drift inside it that somebody took for right, sealed: each part and field with both its values.
    pub accepted: BTreeSet<Arc<str>>,
    /// What the plan knows beside it.
    pub outlook: Outlook,
}

impl Instance {
    /// Takes in what somebody decided about its drift: fields that are left alone are as good as named in `ignore_changes`.
    pub fn heed(&mut self, state: &Snapshot) {
        if let Some(fields) = state.ignored_fields.get(&self.address) {
            let path = |f: &IgnoredField| FieldName { part: f.part.clone(), path: Some(f.path.clone()) }.as_path();
            self.ignore.extend(fields.iter().map(|field| path(field).to_string()));
        }
        if self.kind.drifts_by_field()
            && let Some(accepted) = state.accepted.get(&self.address)
        {
            self.accepted.clone_from(&accepted.what);
        }
    }

    /// A look ahead without the drift that is left alone, or taken for right; `None` where there is none of that.
    #[must_use]
    pub fn without_what_is_left(&self, preview: Option<&Preview>, seal: &SealKey) -> Option<Preview> {
        let preview =
            preview.filter(|_| self.kind.drifts_by_field() && !(self.accepted.is_empty() && self.ignore.is_empty()))?;
        let comparison = Comparison { seal: &|plain| seal.seal(plain), ignore: &self.ignore };
        let told = sealed(preview.children.clone(), &|plain| seal.seal(plain));
        let is_left = |part: &str, field: &FieldChange| {
            let name = FieldName { part: Some(part.into()), path: Some(field.path.as_str().into()) };
            let happened = FieldChange { before: field.after.clone(), after: field.before.clone(), ..field.clone() };
            field.cause == Cause::Drift
                && (comparison.ignores(&name.as_path())
                    || self.accepted.contains(&accepted_part(seal, part, Some(&happened))))
        };
        let mut left = false;
        let children = preview.children.iter().zip(&told).filter_map(|(child, told)| {
            let gone =
                child.action == ActionWord::Create && self.accepted.contains(&accepted_part(seal, &child.name, None));
            let mut fields = child.fields.clone();
            if child.action == ActionWord::Update {
                let mut told = told.fields.iter();
                fields.retain(|_| told.next().is_none_or(|field| !is_left(&child.name, field)));
            }
            let emptied = fields.is_empty() && !child.fields.is_empty();
            left |= gone || fields.len() != child.fields.len();
            (!gone && !emptied).then(|| ChildChange { fields, ..child.clone() })
        });
        let children = children.collect();
        left.then(|| Preview { children, ..preview.clone() })
    }
}

/// What became of preparing an instance.
pub enum Prepared {
    /// It can be compared with the world.
    Ready(Box<Instance>),
    /// It has to wait.
    Waits {
        /// Why.
        reason: DeferReason,
        /// For what.
        waits_for: Vec<Address>,
        /// As far as it could be evaluated.
        evaluated: Box<Evaluated>,
        /// As the kind sees it, as far as it is known.
        desired: Box<Desired>,
    },
}

/// Evaluates and prepares one instance. `fixed` is its identity in state.
///
/// # Errors
/// Everything that is wrong with it.
pub fn prepare(
    subject: &Subject,
    evaluator: &mut Evaluator,
    address: &Address,
    fixed: Option<&Json>,
) -> Result<Prepared, Diagnostics> {
    let declaration = Declaration::from(address);
    let resource = resource(subject, &declaration)?;
    let kind = kind(&resource.kind).ok_or_else(|| unsupported(resource))?;
    let evaluated = evaluator.evaluate(address)?;
    let need = kind.schema().connection.of(&resource.body);
    let probes = resource.verify.iter().map(|v| &v.probe).chain(&resource.body.blocks);
    let probes_need_cluster =
        probes.into_iter().any(|probe| crate::graph::probe_needs_cluster(&subject.configuration, probe));
    // A check may take a cluster, and needs one only where its probe asks one.
    let need = if resource.role == Role::Check && !probes_need_cluster { ConnectionNeed::None } else { need };
    let marks = subject.marks();
    let header = resource.span.clone();
    let place = |path: &Path| Some(evaluated.place(path).unwrap_or(&header).clone());
    let desired = kind.prepare(&Prepare {
        address,
        inputs: &evaluated.inputs,
        place: &place,
        sources: &*subject.sources,
        marks: &marks,
        fixed,
    })?;
    let connections = match connections(subject, evaluator, evaluated.connection.as_ref(), need, probes_need_cluster)? {
        Ok(connections) => connections,
        Err(waiting) if need == ConnectionNeed::Kubernetes || resource.role == Role::Check => {
            return Ok(Prepared::Waits {
                reason: DeferReason::Connection { connection: waiting.connection },
                waits_for: waiting.for_,
                evaluated: Box::new(evaluated),
                desired: Box::new(desired),
            });
        }
        // Only its probes need the cluster, and they run after it is applied.
        Err(_) => Connections { aws: subject.aws.clone(), cluster: None },
    };
    let moved_elsewhere = upgrade::parameters_of(&subject.configuration, evaluator, address)?;
    Ok(Prepared::Ready(Box::new(Instance {
        address: address.clone(),
        kind,
        role: resource.role,
        phase: subject.graph.phase.get(&declaration).cloned().unwrap_or_default(),
        desired,
        connections,
        declaration: declaration_digest(subject, resource),
        accepted: BTreeSet::new(),
        ignore: resource.lifecycle.ignore_changes.iter().cloned().chain(moved_elsewhere).collect(),
        outlook: Outlook::default(),
        evaluated,
    })))
}

/// The resource of a declaration that the graph knows.
///
/// # Errors
/// A declaration that the configuration does not have, which is a defect told as a diagnostic.
pub fn resource<'s>(subject: &'s Subject, declaration: &Declaration) -> Result<&'s Resource, Diagnostics> {
    subject.configuration.resource(declaration).ok_or_else(|| {
        let address = crate::graph::address(declaration);
        Diagnostic::error("undeclared", format!("{address} is not declared")).into()
    })
}

fn unsupported(resource: &Resource) -> Diagnostics {
    Diagnostic::error("unsupported_kind", format!("this version of terrace does not run `{}`", resource.kind))
        .at(&resource.span, "declared here")
        .into()
}

/// The digest of a declaration's own text.
#[must_use]
pub fn declaration_digest(subject: &Subject, resource: &Resource) -> Digest {
    let span = &resource.body.span;
    let text = subject.configuration.sources.text(&span.file).and_then(|t| t.get(span.range()));
    Digest::of(text.unwrap_or_default().as_bytes())
}

/// What others see of an instance: what is written in it and what it exports.
#[must_use]
pub fn attributes(inputs: &Value, exports: &Value) -> Value {
    let entries = |value: &Value| value.as_map().cloned().unwrap_or_default();
    let mut all: BTreeMap<Arc<str>, Value> = (*entries(inputs)).clone();
    all.extend(entries(exports).iter().map(|(k, v)| (k.clone(), v.clone())));
    Value::object(all)
}

/// The exports of a kind, all known only after an address is applied.
#[must_use]
pub fn unknown_exports(kind: &dyn Kind, address: &Address) -> Value {
    Value::object(
        kind.schema().exports.iter().map(|e| (e.name, Value::unknown_until(address.clone()).with_mark(e.sensitive))),
    )
}

/// A `precondition` or `postcondition` that does not hold.
#[must_use]
pub fn failed_condition(address: &Address, failed: &FailedCondition) -> Diagnostic {
    Diagnostic::error("condition", format!("{address}: {}", failed.message)).at(&failed.span, "this does not hold")
}
