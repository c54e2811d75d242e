//! Clusters that could not be asked: told once each, with all that lies behind them.

use crate::{
    base::{Address, Diagnostic},
    lang::Declaration,
    plan::{make::Maker, subject::world_problem},
    world::{ClusterConnection, Failure},
};
use std::collections::BTreeMap;

/// How many of what lies behind a cluster are named.
const TOLD: usize = 10;

/// Whoever met a cluster that could not be asked who it is, by cluster and the words of the failure.
pub(super) type Silent = BTreeMap<(ClusterConnection, String), (Failure, Vec<Address>)>;

impl Maker<'_> {
    /// Notes that something could not be read. Where its cluster could not even be asked who it is, that is told once for all
    /// that lives there.
    pub(super) fn unread(&mut self, address: &Address, cluster: Option<&ClusterConnection>, failure: &Failure) {
        if let Some(cluster) = cluster.filter(|_| failure.operation == "kubernetes:Identity") {
            let key = (cluster.clone(), failure.to_string());
            let (_, behind) = self.silent.entry(key).or_insert_with(|| (failure.clone(), Vec::new()));
            behind.push(address.clone());
        } else {
            let problem = self.declared_at(world_problem(address, failure), address);
            self.problems.push(problem);
        }
    }

    /// Tells of the clusters that could not be asked.
    pub(super) fn tell_silent(&mut self) {
        for ((cluster, _), (failure, mut behind)) in std::mem::take(&mut self.silent) {
            behind.sort();
            behind.dedup();
            let problem = match &behind[..] {
                [one] => world_problem(one, &failure),
                all => {
                    let mut names: Vec<String> = all.iter().take(TOLD).map(ToString::to_string).collect();
                    if all.len() > TOLD {
                        names.push(format!("{} more", all.len() - TOLD));
                    }
                    let summary =
                        format!("{} things in {} could not be read", all.len(), crate::kinds::named(&cluster));
                    let mut problem = Diagnostic::error("world", summary)
                        .because(format!("{failure}; behind it: {}", names.join(", ")));
                    problem.hint.clone_from(&failure.hint);
                    problem
                }
            };
            let problem = match behind.first() {
                Some(first) => self.declared_at(problem, first),
                None => problem,
            };
            self.problems.push(problem);
        }
    }

    fn declared_at(&self, problem: Diagnostic, address: &Address) -> Diagnostic {
        match self.subject.configuration.resource(&Declaration::from(address)) {
            Some(resource) => problem.at(&resource.span, "declared here"),
            None => problem,
        }
    }
}
