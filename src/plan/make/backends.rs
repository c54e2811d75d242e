//! The services that are to receive the traffic of what is rolled out: one that nothing brings, or that lacks the port, is told before
//! anything is done, not by targets that are waited for in vain.

use crate::plan::make::{Maker, sole};
use crate::{
    base::{ActionWord, Address, Diagnostic},
    kinds::{Footprint, Port},
    lang::Declaration,
    plan::{
        backend::{backend, text},
        connect::{self, Connections},
        instance::Instance,
        look,
    },
    world::{Backend, ObjectRef},
};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds whose effects may make a service that no plan can see.
const UNSEEN: [&str; 3] = ["command", "terraform", "eks_addon"];

/// What is looked for, and what is there.
#[derive(Default)]
pub(super) struct Backends {
    wanted: Vec<Wanted>,
    /// Services that declarations of this plan bring, by cluster: namespace and name.
    brought: BTreeMap<String, BTreeSet<(String, String)>>,
}

/// A service that is to receive the traffic of a colour.
struct Wanted {
    address: Address,
    backend: Backend,
    connections: Connections,
    /// What the colour itself brings to the backend's namespace.
    brings: Vec<String>,
}

impl Maker<'_> {
    /// Notes which services something brings.
    pub(super) fn note_services(&mut self, instance: &Instance, print: &Footprint) {
        let place = sole::place(&instance.connections);
        let services = print.all_services().map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
        self.backends.brought.entry(place).or_default().extend(services);
    }

    /// Notes which service is to receive the traffic of a colour that a rollout is planned for. A port that the service of the colour
    /// does not have is told at once.
    pub(super) fn note_backend(&mut self, instance: &Instance, unit: &Address, print: &Footprint) {
        let address = &instance.address;
        let inputs = &instance.desired.inputs;
        // What makes services by itself is not seen here: an operator, behind an object of a type of its own.
        if inputs.has_unknown() || !print.is_closed() {
            return;
        }
        let Ok(value) = self.evaluator.rollout(address) else { return };
        let fixed = self.state.resources.get(address).map(|resource| resource.identity.clone());
        let own = |name: &str| {
            let fixed = fixed.as_ref().and_then(|identity| identity[name].as_str()).map(str::to_owned);
            fixed.or_else(|| text(inputs.get(name)))
        };
        let problem = match backend(value.as_ref(), address, own) {
            Ok(None) => return,
            Err(what) => Diagnostic::error("rollout_backend", what)
                .because("what receives a colour's traffic is a service of its own, by name, namespace and port"),
            Ok(Some(backend)) => match print.ports(&backend.namespace, &backend.service) {
                Some(ports) if ports.iter().any(|port| port.is(&backend.port)) => return,
                Some(ports) => {
                    let has = ports.iter().map(Port::to_string).collect::<Vec<_>>().join(", ");
                    let Backend { service, namespace, port } = &backend;
                    let what = format!("{unit}: the Service {namespace}/{service} has no port {port}; it has {has}");
                    Diagnostic::error("rollout_backend", what)
                        .because("its targets would never become healthy")
                        .hint("write one of its ports into `backend`, by number or name")
                }
                None => {
                    let brings = print.services(&backend.namespace).iter().map(|name| (*name).to_owned()).collect();
                    let connections = instance.connections.clone();
                    self.backends.wanted.push(Wanted { address: address.clone(), backend, connections, brings });
                    return;
                }
            },
        };
        self.tell_backend(unit, problem);
    }

    /// Tells of services that nothing in the plan brings and that are not there, once everything is seen. What may come of something that
    /// could not be looked through is given the benefit of the doubt.
    pub(super) async fn missing_backends(&mut self) {
        let unseen = |kind: &str, action: ActionWord| match action {
            ActionWord::NoOp | ActionWord::Read | ActionWord::Verify => false,
            ActionWord::Defer => true,
            _ => UNSEEN.contains(&kind),
        };
        let wanted = std::mem::take(&mut self.backends.wanted);
        if wanted.is_empty() || self.nodes.iter().any(|node| unseen(node.address.kind(), node.action)) {
            return;
        }
        for Wanted { address, backend, connections, brings } in wanted {
            let key = (backend.namespace.clone(), backend.service.clone());
            let brought = self.backends.brought.get(&sole::place(&connections)).is_some_and(|all| all.contains(&key));
            if brought || self.request.offline || !self.is_absent(&address, &connections, &backend).await {
                continue;
            }
            let Backend { service, namespace, .. } = &backend;
            let unit = address.with_color(None);
            let thing = if unit.kind() == "helm" { "the chart" } else { "it" };
            let what = match brings.as_slice() {
                [] => format!("{unit}: {thing} brings no Service to {namespace}, and {service} is not there"),
                all => format!("{unit}: {thing} brings no Service {namespace}/{service}; it brings {}", all.join(", ")),
            };
            let problem = Diagnostic::error("rollout_backend", what)
                .because("without it no target of the new version would ever become healthy")
                .hint("name in `backend` the service that selects the pods of one colour");
            self.tell_backend(&unit, problem);
        }
    }

    /// Whether the cluster says that a service is not there.
    async fn is_absent(&self, address: &Address, connections: &Connections, backend: &Backend) -> bool {
        let timeout = self.request.read_timeout;
        let Ok(context) = connect::context(self.subject, address, connections, timeout, look::quiet()) else {
            return false;
        };
        let Ok(cluster) = context.cluster() else { return false };
        let service = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            namespace: Some(backend.namespace.clone()),
            name: backend.service.clone(),
        };
        matches!(context.patiently(|| cluster.kubernetes.get(&service)).await, Ok(None))
    }

    /// Tells it at the `backend` block.
    fn tell_backend(&mut self, unit: &Address, problem: Diagnostic) {
        let declared = self.subject.configuration.resource(&Declaration::from(unit));
        let Some(rollout) = declared.and_then(|resource| resource.rollout.as_ref()) else { return };
        let own = rollout.block.body.blocks.iter().find(|block| &*block.kind == "backend");
        let place = own.map_or(&rollout.block.header, |block| &block.header);
        self.problems.push(problem.at(place, "what receives its traffic"));
    }
}
