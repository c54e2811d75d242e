//! What things hold on both sides of a plan, for reviews: kept while the plan is made, and written into its nodes at the end.
//!
//! Nothing here is asked of the world but to render charts that no look ahead rendered: those that wait for their cluster, and those
//! whose values are not all known. A chart that cannot be rendered is said to be unknown, and never keeps a plan from being made.

use crate::plan::make::Maker;
use crate::{
    base::{ActionWord, Address},
    kinds::{Desired, Held, Holding, Holdings, Kind, NOT_KNOWN, Observed, Preview, Rendering, kind},
    plan::{Moment, Planned, rendered, rendered_matter},
};
use futures::StreamExt as _;
use serde_json::json;
use std::collections::BTreeMap;

/// What is known of one thing.
#[derive(Debug, Default)]
struct Sides {
    before: Option<Held>,
    after: Option<Held>,
}

/// What is known of all things.
#[derive(Debug, Default)]
pub(super) struct Books {
    sides: BTreeMap<Address, Sides>,
    /// Charts that nothing has rendered yet.
    renderings: Vec<(Address, Rendering)>,
}

impl Books {
    /// Takes down what was seen of something that is declared.
    pub(super) fn seen(
        &mut self,
        address: &Address,
        kind: &dyn Kind,
        desired: &Desired,
        observed: Option<&Observed>,
        preview: Option<&Preview>,
    ) {
        let rendered = preview.and_then(|preview| preview.holdings.as_ref());
        let after = rendered.map(|both| both.after().clone()).or_else(|| self.wanted(address, kind, desired));
        let before = match (rendered, observed) {
            (Some(both), _) => Some(both.before().clone()),
            (None, Some(observed)) => live(address, kind, observed),
            (None, None) => Some(Held::default()),
        };
        self.sides.insert(address.clone(), Sides { before, after });
    }

    /// Takes down what is wanted of something that nobody could look at.
    pub(super) fn waits(&mut self, address: &Address, kind: &dyn Kind, desired: &Desired, is_there: bool) {
        let after = self.wanted(address, kind, desired);
        let before = (!is_there).then(Held::default);
        self.sides.insert(address.clone(), Sides { before, after });
    }

    /// Takes down what goes.
    pub(super) fn goes(&mut self, address: &Address, observed: Option<&Observed>) {
        let Some((kind, observed)) = kind(address.kind()).zip(observed) else { return };
        self.sides
            .insert(address.clone(), Sides { before: live(address, kind, observed), after: Some(Held::default()) });
    }

    /// What is wanted; `None` where it is to be rendered first.
    fn wanted(&mut self, address: &Address, kind: &dyn Kind, desired: &Desired) -> Option<Held> {
        let (held, renderings) = held(address, kind, desired);
        self.renderings.extend(renderings.into_iter().map(|rendering| (address.clone(), rendering)));
        held
    }

    /// Writes what is known of a node into it.
    fn write(&self, node: &mut Planned) {
        let Some(sides) = self.sides.get(&node.address) else {
            if node.action == ActionWord::Defer && makes_something(node.address.kind()) {
                node.holdings = Holdings::new(Held::default(), Held::unknown("its instances are not known yet"));
            }
            return;
        };
        let unseen = || Held::unknown("what is live was not read");
        let before = sides.before.clone();
        let after = sides.after.clone().unwrap_or_else(|| Held::unknown("its chart was not rendered"));
        node.holdings = match node.action {
            // It goes on as it is, whatever is declared: a colour that keeps the traffic, what is only taken over.
            ActionWord::NoOp | ActionWord::Verify | ActionWord::Import | ActionWord::Forget => {
                let stays = before.filter(|before| before.unknown.is_none()).unwrap_or(after);
                Holdings::new(stays.clone(), stays)
            }
            ActionWord::Create => Holdings::new(Held::default(), after),
            ActionWord::Delete => Holdings::new(before.unwrap_or_else(unseen), Held::default()),
            _ => Holdings::new(before.unwrap_or_else(unseen), after),
        };
    }
}

/// Kinds whose instances cost something or take room.
fn makes_something(kind: &str) -> bool {
    matches!(kind, "stack" | "helm" | "manifest" | "eks_addon" | "terraform")
}

/// What a live thing holds; `None` where that is not told.
fn live(address: &Address, kind: &dyn Kind, observed: &Observed) -> Option<Held> {
    if let Some(held) = &observed.held {
        return Some((**held).clone());
    }
    let as_wanted = Desired {
        inputs: observed.inputs.clone(),
        documents: observed.documents.clone(),
        identity: Some(observed.identity.clone()),
    };
    // A stack of which only state is known has no template.
    if address.kind() == "stack" && observed.documents.is_empty() {
        return None;
    }
    let mut held = held(address, kind, &as_wanted).0?;
    if held.parts.iter().any(|part| part.kind == "AWS::CloudFormation::Stack") {
        held.unknown = Some("what its nested stacks hold now is not told".to_owned());
    }
    Some(held)
}

/// What a thing of this kind holds, or what has to be rendered before that is known.
fn held(address: &Address, kind: &dyn Kind, desired: &Desired) -> (Option<Held>, Vec<Rendering>) {
    match address.kind() {
        "eks_addon" => {
            let name = desired.inputs.get("addon").and_then(crate::base::Value::as_str).unwrap_or(NOT_KNOWN);
            let configured = desired.inputs.get("configuration").is_some_and(|value| !value.is_null());
            let properties = if configured { json!({ "configured": true }) } else { serde_json::Value::Null };
            let part = Holding { name: name.to_owned(), kind: "eks_addon".to_owned(), properties, retained: false };
            (Some(Held::of(vec![part])), Vec::new())
        }
        "terraform" => (Some(Held::unknown("what a Terraform root makes is not reckoned with")), Vec::new()),
        name => {
            let made_of = kind.ingredients(desired);
            match (name, made_of.renderings.is_empty()) {
                ("helm", true) => (Some(Held::unknown("its values are not known yet")), Vec::new()),
                (_, false) => (None, made_of.renderings),
                _ => (Some(Held::of_matters(&made_of.matters)), Vec::new()),
            }
        }
    }
}

impl Maker<'_> {
    /// Renders the charts that no look ahead rendered.
    pub(super) async fn render_held(&mut self) {
        let mut renderings = std::mem::take(&mut self.held.renderings);
        renderings.retain(|(address, _)| self.held.sides.get(address).is_some_and(|sides| sides.after.is_none()));
        if self.request.offline {
            return;
        }
        let charts = self.subject.world.charts();
        let mut done = std::pin::pin!(rendered(&*charts, renderings));
        while let Some((address, rendering, outcome)) = done.next().await {
            let held = match outcome {
                Ok(rendered) => Held::of_matters([&rendered_matter(&rendering, rendered)]),
                Err(_) => Held::unknown("its chart could not be rendered"),
            };
            if let Some(sides) = self.held.sides.get_mut(&address) {
                sides.after = Some(held);
            }
        }
    }

    /// Writes what things hold into their nodes.
    pub(super) fn write_held(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.action != ActionWord::Shift) {
            if node.moment == Moment::Phase || !matches!(node.action, ActionWord::Forget) {
                self.held.write(node);
            }
        }
    }
}
