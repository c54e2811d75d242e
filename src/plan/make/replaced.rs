//! A cluster that a stack would replace, or drop, in its phase: nothing is drained there, and what is in it would be lost or left
//! behind. As long as something is, it is refused.

use crate::{
    base::{ActionWord, Address, Diagnostic, Diagnostics, Value},
    kinds::{self, Removed},
    lang::Declaration,
    plan::{
        connect, gone, look,
        make::{
            Maker, remembered_connections,
            teardown::{clusters_of, same},
        },
        subject::world_problem,
    },
    world::{Class, ClusterConnection, Outcome},
};
use std::{collections::BTreeMap, fmt::Write as _};

const CLUSTER: &str = "AWS::EKS::Cluster";
/// How many of what is in a cluster are named.
const TOLD: usize = 10;

/// What is in a cluster.
struct Inside {
    ours: Vec<Address>,
    others: Vec<String>,
}

impl Maker<'_> {
    /// Refuses to replace a cluster with something in it.
    pub(super) async fn replaced_clusters(&mut self) {
        if self.request.offline {
            return;
        }
        let goes = |action| matches!(action, ActionWord::Replace | ActionWord::Delete);
        let loses: Vec<Address> = self
            .nodes
            .iter()
            .filter(|n| n.address.kind() == "stack" && matches!(n.action, ActionWord::Replace | ActionWord::Update))
            .filter(|n| {
                let part = n.children.iter().any(|c| c.kind == CLUSTER && goes(c.action) && !c.maybe_replace);
                n.action == ActionWord::Replace || part
            })
            .map(|n| n.address.clone())
            .collect();
        if loses.is_empty() {
            return;
        }
        let lives = self.lives();
        // What its `kubernetes` blocks lead to now is what the former stack told, not what a new one will.
        let next: Vec<_> = loses.iter().map(|a| self.evaluator.get(a).cloned()).collect();
        for stack in &loses {
            self.stand_in(stack);
        }
        let declared = self.declared_clusters(&lives);
        for (stack, next) in loses.iter().zip(next) {
            self.evaluator.set(stack, next.unwrap_or(Value::NULL));
        }
        for stack in loses {
            let Some(resource) = self.state.resources.get(&stack).cloned() else { continue };
            let refers = declared.get(&Declaration::from(&stack)).cloned().unwrap_or_default();
            let clusters = match clusters_of(self.subject, &resource, refers, &lives).await {
                Ok(clusters) => clusters,
                // A stack that is gone has no cluster left.
                Err(failure) if failure.class == Class::NotFound => continue,
                Err(failure) => {
                    self.problems.push(world_problem(&stack, &failure));
                    continue;
                }
            };
            let mut found = Diagnostics::new();
            for cluster in clusters {
                match self.inside(&stack, &cluster, &lives).await {
                    Ok(None) => {}
                    Ok(Some(inside)) => found.push(not_empty(&stack, &cluster, &inside)),
                    Err(failure) => found.push(
                        Diagnostic::error(
                            "cluster_not_drained",
                            format!("{stack} would replace its cluster, and what is in that cannot be seen"),
                        )
                        .because(failure.to_string())
                        .hint("load balancers and volumes that its controllers made would stay in the account: plan from where the cluster answers"),
                    ),
                }
            }
            if let Some(resource) = self.subject.configuration.resource(&Declaration::from(&stack)) {
                found.0 = found.0.into_iter().map(|problem| problem.at(&resource.span, "declared here")).collect();
            }
            self.problems.extend(found);
        }
    }

    /// What is in a cluster; `None` where nothing is, or the cluster is gone.
    async fn inside(
        &self,
        stack: &Address,
        cluster: &ClusterConnection,
        lives: &BTreeMap<Address, ClusterConnection>,
    ) -> Outcome<Option<Inside>> {
        let subject = self.subject;
        let connections = connect::Connections { aws: subject.aws.clone(), cluster: Some(cluster.clone()) };
        let context = connect::context(subject, stack, &connections, self.request.read_timeout, look::quiet())?;
        let ours: Vec<Address> =
            lives.iter().filter(|(a, c)| a.kind() != "stack" && same(c, cluster)).map(|(a, _)| a.clone()).collect();
        let mut removed = Removed::default();
        for address in &ours {
            removed.note(address.kind(), &self.state.resources[address].identity);
        }
        let found = match kinds::look_at_drain(&context, &removed).await {
            Ok(found) => found,
            Err(failure) if failure.class == Class::NotFound && gone::is_gone(subject, cluster).await? => {
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let others: Vec<String> = found.first.iter().chain(&found.last).map(|d| d.object.to_string()).collect();
        Ok((!ours.is_empty() || !others.is_empty()).then_some(Inside { ours, others }))
    }

    /// The clusters that what state remembers lives in.
    pub(super) fn lives(&self) -> BTreeMap<Address, ClusterConnection> {
        let lives = |r| remembered_connections(self.subject, r).cluster;
        self.state.resources.iter().filter_map(|(a, r)| Some((a.clone(), lives(r)?))).collect()
    }
}

fn not_empty(stack: &Address, cluster: &ClusterConnection, inside: &Inside) -> Diagnostic {
    let listed = |names: Vec<String>| {
        let more = names.len().saturating_sub(TOLD);
        let mut told: Vec<String> = names.into_iter().take(TOLD).collect();
        if more > 0 {
            told.push(format!("{more} more"));
        }
        told.join(", ")
    };
    let mut parts = Vec::new();
    if !inside.ours.is_empty() {
        parts.push(format!("of this plan, {}", listed(inside.ours.iter().map(ToString::to_string).collect())));
    }
    if !inside.others.is_empty() {
        let names = listed(inside.others.clone());
        parts.push(format!("made by controllers or others, and left behind in the account without it, {names}"));
    }
    let mut first = String::new();
    for address in &inside.ours {
        let _ = write!(first, " --target '{address}'");
    }
    let hint = if inside.ours.is_empty() {
        "delete these first, or bring up a second stack beside this one and move to it".to_owned()
    } else {
        format!(
            "take what is in it away first, `terrace destroy{first}`, or bring up a second stack beside this one and move to it; \
             a replacement of the cluster drains nothing"
        )
    };
    let summary = format!("{stack} would replace {}, and something is in it", kinds::named(cluster));
    Diagnostic::error("cluster_not_empty", summary).because(parts.join("; ")).hint(hint)
}
