//! What only one declaration may have: the state of a Terraform root, an object of a cluster. Two with one would be planned as two
//! creations, and then undo each other's work.

use crate::{
    base::{ActionWord, Address, Diagnostic, Diagnostics, Span},
    kinds::{Desired, Kind, Part},
    lang::Declaration,
    plan::{
        connect::Connections,
        make::{Maker, remembered_connections},
    },
    world::ClusterConnection,
};

/// How many of those that two declare are told one by one.
const TOLD: usize = 5;

impl Maker<'_> {
    /// Notes what an instance has to have alone; told with both addresses where another one has it. `place` is the cluster that
    /// it lives in, as far as that is known.
    pub(super) fn alone(
        &mut self,
        address: &Address,
        kind: &dyn Kind,
        desired: &Desired,
        place: &str,
    ) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut more = 0_usize;
        for sole in kind.sole(desired) {
            if let Some(part) = sole.part.clone() {
                self.parts.insert((place.to_owned(), part), address.clone());
            }
            let first = self.sole.entry((place.to_owned(), sole.key)).or_insert_with(|| address.clone()).clone();
            // Of two colours it is told apart, once what stands there now is known too.
            let of_both = || {
                let (unit, _) = address.unit()?;
                first.unit().filter(|(other, _)| *other == unit)?;
                Some(first.painted(&unit, None) == address.painted(&unit, None))
            };
            if first == *address || of_both() == Some(true) {
                continue;
            }
            if problems.0.len() >= TOLD {
                more += 1;
                continue;
            }
            let mut both = [&first, address];
            both.sort();
            let mut problem = sole.problem;
            problem.summary = format!("{} and {} both {}", both[0], both[1], problem.summary);
            let (here, there) = (Declaration::from(address), Declaration::from(&first));
            let span = |declaration: &Declaration| -> Option<Span> {
                self.subject.configuration.resource(declaration).map(|r| r.span.clone())
            };
            if let Some(span) = span(&here) {
                problem = problem.at(&span, "declared here");
            }
            if let Some(span) = span(&there).filter(|_| here != there) {
                problem = problem.at(&span, "and here");
            }
            problems.push(problem);
        }
        if more > 0 {
            let what = format!("{address}: {more} more of what it declares is declared elsewhere, too");
            problems.push(Diagnostic::error("object_twice", what));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Maker<'_> {
    /// Refuses to delete an object with one declaration that another one declares by now: it would be gone, or come again as another.
    pub(super) fn keep_what_others_declare(&mut self) {
        let mut problems = Diagnostics::new();
        for node in &self.nodes {
            let deleted = node.children.iter().filter(|child| child.action == ActionWord::Delete);
            for child in deleted {
                let Some(resource) = self.state.resources.get(&node.address) else { continue };
                let place = place(&remembered_connections(self.subject, resource));
                let Some(other) = self.parts.get(&(place, Part::of(child))).filter(|other| **other != node.address)
                else {
                    continue;
                };
                let mut problem = Diagnostic::error(
                    "object_moves",
                    format!("{} would delete {}, which {other} declares", node.address, child.name),
                )
                .because("whichever came first, the object and what it holds would be lost, or made anew")
                .hint(format!(
                    "leave it where it was; or let go of it without deleting: removed {{ from = {} }}, and import {{ to = {other} }}",
                    node.address
                ));
                if let Some(declared) = self.subject.configuration.resource(&Declaration::from(other)) {
                    problem = problem.at(&declared.span, "declared here");
                }
                problems.push(problem);
            }
        }
        self.problems.extend(problems);
    }
}

/// The cluster of these connections: the same text for one cluster under two names or as two people.
pub(super) fn place(connections: &Connections) -> String {
    match &connections.cluster {
        None => String::new(),
        Some(ClusterConnection::Eks { name, aws, .. }) => format!("eks {} {} {name}", aws.account_id, aws.region),
        Some(ClusterConnection::Kubeconfig { path, context, .. }) => {
            format!("kubeconfig {path} {}", context.as_deref().unwrap_or_default())
        }
        Some(ClusterConnection::InCluster { .. }) => "in_cluster".to_owned(),
    }
}
