//! What `terrace sandbox show`, `drift`, `fault` and `advance` do: looking into the world and meddling with it.

use super::{
    Fault, Sandbox,
    aws::{self, Rule, TargetGroup},
    cluster, registry,
};
use crate::world::{Class, Clock as _, Failure, Outcome};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// One thing in the world.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// `stack`, `resource`, `export`, `cluster`, `addon`, `release`, `object`, `rule`, `target-group`, `secret`, `parameter`, `image`.
    pub kind: String,
    /// Where: `ACCOUNT/REGION`, or the cluster's key `ACCOUNT/REGION/NAME`.
    pub place: String,
    /// Its name within the place; with the kind in front it is what `sandbox drift` takes as its target.
    pub name: String,
    /// Its status; may be empty.
    pub status: String,
    /// More about it, never a secret's value.
    pub detail: String,
}

/// The world at a glance.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Show {
    /// The version of this form.
    pub format: u32,
    /// The virtual time.
    pub now: Timestamp,
    /// What there is, by kind, place and name.
    pub rows: Vec<Row>,
    /// The faults that wait, and those that are spent.
    pub faults: Vec<Fault>,
    /// The rules of listeners, with the weights of their target groups.
    pub rules: Vec<Rule>,
    /// Target groups, with the health of their targets.
    pub target_groups: Vec<TargetGroup>,
    /// How often each operation was called.
    pub calls: BTreeMap<String, u64>,
}

/// A change behind Terrace's back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drift {
    /// `stack/NAME/LOGICAL`, `object/NAMESPACE/KIND/NAME` (`-` for no namespace), `release/NAMESPACE/NAME`,
    /// `metric/TEXT` (the `value` that queries of Prometheus and metrics of CloudWatch with this text in them get from now on; an
    /// empty one is no data), `alarm/NAME` (`state` and `reason`), `addon/CLUSTER/NAME`,
    /// `insight/CLUSTER/NAME`, `secret/NAME`, `parameter/NAME`, `image/REFERENCE` (`content`: what its tag holds from now on).
    pub target: String,
    /// Dotted paths and what to set there; a value that reads as JSON is taken as JSON, any other as a string.
    pub set: Vec<(String, String)>,
    /// The thing is deleted instead.
    pub delete: bool,
    /// Only in this account, region or cluster (a part of the row's `place`); anywhere, where `None`.
    pub place: Option<String>,
}

impl Sandbox {
    /// Everything there is, of all kinds or of one.
    ///
    /// # Errors
    /// `Local`: a store that cannot be read.
    pub fn show(&self, kind: Option<&str>) -> Outcome<Show> {
        self.transact(|tx| {
            let mut rows = aws::show(tx);
            rows.extend(cluster::show(tx));
            rows.extend(registry::show(tx));
            let (mut rules, mut target_groups) = aws::routes(tx);
            rows.extend(rules.iter().map(Rule::row));
            rows.extend(target_groups.iter().map(TargetGroup::row));
            if kind.is_some_and(|kind| kind != "rule") {
                rules.clear();
            }
            if kind.is_some_and(|kind| kind != "target-group") {
                target_groups.clear();
            }
            rows.retain(|row| kind.is_none_or(|kind| row.kind == kind));
            rows.sort_by(|a, b| (&a.kind, &a.place, &a.name).cmp(&(&b.kind, &b.place, &b.name)));
            Show {
                format: 1,
                now: tx.now(),
                rows,
                rules,
                target_groups,
                faults: tx.scan("fault", "").into_iter().map(|(_, fault)| fault).collect(),
                calls: tx.scan("calls", "").into_iter().collect(),
            }
        })
    }

    /// True where nothing was ever made in it.
    ///
    /// # Errors
    /// `Local`: a store that cannot be read.
    pub fn is_empty(&self) -> Outcome<bool> {
        self.show(None).map(|show| show.rows.is_empty())
    }

    /// Changes or deletes a thing as somebody with a console would.
    ///
    /// # Errors
    /// `NotFound` where there is no such thing, `Invalid` for a target or path that is none.
    pub fn drift(&self, drift: &Drift) -> Outcome<()> {
        self.transact(|tx| {
            let mark = tx.savepoint();
            let known = registry::drift(tx, drift).or_else(|| aws::drift(tx, drift)).or_else(|| cluster::drift(tx, drift));
            let done = known.unwrap_or_else(|| {
                let message = format!("`{}` is no target", drift.target);
                let hint = "targets are stack/NAME/LOGICAL, object/NAMESPACE/KIND/NAME, release/NAMESPACE/NAME, metric/TEXT, alarm/NAME, \
                            addon/CLUSTER/NAME, insight/CLUSTER/NAME, secret/NAME, parameter/NAME and image/REFERENCE; `terrace sandbox show` lists them";
                Err(Failure::new(Class::Invalid, "sandbox:Drift", &drift.target, message).hint(hint))
            });
            if done.is_err() {
                tx.rollback(mark);
            }
            done
        })?
    }

    /// Adds a fault and returns its id.
    ///
    /// # Errors
    /// `Local`: a store that cannot be written.
    pub fn add_fault(&self, fault: &Fault) -> Outcome<String> {
        self.transact(|tx| {
            let count: u64 = tx.get("meta", "faults").unwrap_or_default();
            tx.put("meta", "faults", &(count + 1));
            let id = format!("fault-{:03}", count + 1);
            tx.put("fault", &id, &Fault { id: id.clone(), seen: 0, ..fault.clone() });
            id
        })
    }

    /// All faults, in the order in which they were added.
    ///
    /// # Errors
    /// `Local`: a store that cannot be read.
    pub fn faults(&self) -> Outcome<Vec<Fault>> {
        self.transact(|tx| tx.scan("fault", "").into_iter().map(|(_, fault)| fault).collect())
    }

    /// Removes one fault, or all; returns how many.
    ///
    /// # Errors
    /// `Local`: a store that cannot be written.
    pub fn clear_faults(&self, id: Option<&str>) -> Outcome<usize> {
        self.transact(|tx| {
            let keys: Vec<String> = tx.keys("fault", "").into_iter().filter(|k| id.is_none_or(|id| id == k)).collect();
            keys.iter().filter(|key| tx.delete("fault", key)).count()
        })
    }

    /// Lets virtual time jump and settles what is due; returns the new time.
    ///
    /// # Errors
    /// `Local`: a store that cannot be written.
    pub fn advance(&self, duration: Duration) -> Outcome<Timestamp> {
        self.transact(|_| ())?;
        self.virtual_clock().advance(duration);
        let now = self.virtual_clock().now();
        self.transact(|tx| {
            tx.put("meta", "clock", &now.as_millisecond());
            tx.now()
        })
    }

    /// Forgets everything but the seed; virtual time goes on.
    ///
    /// # Errors
    /// `Local`: a store that cannot be written.
    pub fn reset(&self) -> Outcome<()> {
        self.transact(|tx| tx.clear(&["meta"]))
    }
}
