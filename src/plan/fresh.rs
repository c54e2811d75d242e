//! Whether a plan is still about the world and the state that it was made from. Names all that moved, not the first.

use crate::{
    base::{Address, Digest},
    kinds::kind,
    plan::{Attachment, Plan, Request, Subject, make::observe_remembered},
    state::Resource,
    world::Outcome,
};
use futures::{StreamExt as _, stream};

/// Something that moved since the plan was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// The plan is about another world, account or region.
    World {
        /// Planned.
        planned: String,
        /// Now.
        now: String,
    },
    /// The state is another one, or was written since.
    State {
        /// Planned.
        planned: String,
        /// Now.
        now: String,
    },
    /// A variable has another value.
    Variable(String),
    /// A live thing is not as it was.
    Live {
        /// Which.
        address: Address,
        /// How.
        how: &'static str,
    },
    /// What the plan made ahead, a change set, can no longer be used.
    Spent {
        /// Whose.
        address: Address,
        /// Why.
        why: String,
    },
    /// A live thing could not be read, so it is not known whether it moved.
    Unreadable {
        /// Which.
        address: Address,
        /// Why.
        why: String,
    },
}

/// One line for a person.
impl std::fmt::Display for Moved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::World { planned, now } => write!(f, "the plan was made for {planned}, and this is {now}"),
            Self::State { planned, now } => {
                write!(f, "the state was at {planned} when the plan was made, and is at {now} now")
            }
            Self::Variable(name) => write!(f, "the variable {name} has another value than when the plan was made"),
            Self::Live { address, how } => write!(f, "{address} {how} since the plan was made"),
            Self::Spent { address, why } => write!(f, "{address}: {why}"),
            Self::Unreadable { address, why } => write!(f, "{address} could not be read again: {why}"),
        }
    }
}

/// What moved since a plan was made; empty where it is fresh. Reads every live thing that the plan read.
pub async fn moved(subject: &Subject, plan: &Plan, request: &Request) -> Vec<Moved> {
    let mut out = pinned(subject, plan);
    if out.iter().any(|moved| matches!(moved, Moved::World { .. })) {
        return out; // what is live in another world says nothing about this one
    }
    let state = &subject.state;
    let looks = plan.nodes.iter().filter(|n| !plan.header.offline && (n.fingerprint.is_some() || creates(n))).map(
        |node| async move {
            let former = node.moved_from.as_ref().unwrap_or(&node.address);
            let fingerprint = match state.resources.get(former) {
                Some(resource) => fingerprint(subject, request, resource).await,
                None => return live_unremembered(subject, node).await,
            };
            judge(node, fingerprint)
        },
    );
    let mut seen: Vec<Option<Moved>> = stream::iter(looks).buffered(request.parallelism.max(1)).collect().await;
    out.extend(seen.drain(..).flatten());
    out
}

/// Change sets and their kin of a saved plan that can no longer be used: somebody deleted them, or what they are about has
/// moved.
pub async fn spent(subject: &Subject, attachment: &Attachment, parallelism: usize) -> Vec<Moved> {
    let looks = attachment.previews.iter().map(|(address, left)| async move {
        let kind = kind(address.kind())?;
        let timeout = std::time::Duration::from_secs(120);
        let quiet = crate::plan::look::quiet();
        let context = crate::plan::connect::context(subject, address, &left.connections, timeout, quiet).ok()?;
        match kind.spent(&context, &left.attachment).await {
            Ok(why) => why.map(|why| Moved::Spent { address: address.clone(), why }),
            Err(failure) => Some(Moved::Unreadable { address: address.clone(), why: failure.to_string() }),
        }
    });
    let found: Vec<Option<Moved>> = stream::iter(looks).buffered(parallelism.max(1)).collect().await;
    found.into_iter().flatten().collect()
}

fn creates(node: &crate::plan::Planned) -> bool {
    node.action == crate::base::ActionWord::Create
}

fn judge(node: &crate::plan::Planned, now: Outcome<Option<Digest>>) -> Option<Moved> {
    let address = node.address.clone();
    match (now, &node.fingerprint) {
        (Err(failure), _) => Some(Moved::Unreadable { address, why: failure.to_string() }),
        (Ok(None), Some(_)) => Some(Moved::Live { address, how: "was destroyed" }),
        (Ok(Some(_)), None) if creates(node) => Some(Moved::Live { address, how: "came into being" }),
        (Ok(Some(now)), Some(then)) if now != *then => Some(Moved::Live { address, how: "changed" }),
        _ => None,
    }
}

/// The parts that need no call: world, state, variables.
#[must_use]
pub fn pinned(subject: &Subject, plan: &Plan) -> Vec<Moved> {
    let mut out = Vec::new();
    let text = |w: &crate::plan::WorldId| format!("{} {} {}", w.name, w.account, w.region);
    let world = subject.world_id();
    if world != plan.header.world {
        out.push(Moved::World { planned: text(&plan.header.world), now: text(&world) });
    }
    let clusters = subject.other_clusters();
    if clusters != plan.header.clusters {
        let text = |all: &std::collections::BTreeMap<String, String>| {
            let each: Vec<String> = all.iter().map(|(k, v)| format!("kubernetes.{k} as {v}")).collect();
            if each.is_empty() { "the plan's own clusters".to_owned() } else { each.join(", ") }
        };
        out.push(Moved::World { planned: text(&plan.header.clusters), now: text(&clusters) });
    }
    let (planned, now) = (&plan.header.state, &subject.state);
    // A state that was never written has no lineage yet: writing its first record gives it one.
    let same_lineage = planned.lineage == now.lineage || planned.lineage.is_empty();
    if planned.serial != now.serial || !same_lineage {
        out.push(Moved::State {
            planned: format!("serial {}", planned.serial),
            now: if same_lineage {
                format!("serial {}", now.serial)
            } else {
                format!("serial {} of another state", now.serial)
            },
        });
    }
    for (name, then) in &plan.variables {
        let now = subject.given.variables.get(name).map(|v| subject.seal.seal_value(v));
        // What was read from a file no longer tells a list from a tuple.
        let stored = |value: &crate::base::Value| serde_json::to_value(value).ok();
        if now.as_ref().and_then(stored) != stored(then) {
            out.push(Moved::Variable(name.to_string()));
        }
    }
    out
}

async fn fingerprint(subject: &Subject, request: &Request, resource: &Resource) -> Outcome<Option<Digest>> {
    let look = observe_remembered(subject, request, resource).await?;
    Ok(look.observed.map(|o| o.fingerprint))
}

/// A thing that the plan creates or imports must still be as it was: absent, or as it was read.
async fn live_unremembered(subject: &Subject, node: &crate::plan::Planned) -> Option<Moved> {
    let kind = kind(node.address.kind())?;
    // As it was read; what it is imported by says less.
    let identity = node.import.as_ref().filter(|_| node.identity.is_null()).unwrap_or(&node.identity);
    if identity.is_null() || !kind.reads(identity) || node.address.kind().starts_with("data.") {
        return None;
    }
    let aws = node.place.as_ref().unwrap_or(&subject.aws).clone();
    let connections = crate::plan::connect::Connections { aws, cluster: None };
    let declared = subject.configuration.resource(&crate::lang::Declaration::from(&node.address));
    let need = kind.schema().connection;
    let need = declared.map_or(need, |resource| need.of(&resource.body));
    if need == crate::lang::schema::ConnectionNeed::Kubernetes {
        return None; // its cluster is found when its turn comes, and it is read again then
    }
    let timeout = std::time::Duration::from_secs(120);
    let context =
        crate::plan::connect::context(subject, &node.address, &connections, timeout, crate::plan::look::quiet())
            .ok()?;
    let now = context.patiently(|| kind.read(&context, identity, None)).await;
    judge(node, now.map(|o| o.map(|o| o.fingerprint)))
}
