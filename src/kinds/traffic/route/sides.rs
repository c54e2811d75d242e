//! What receives the traffic of each side, as it is noted on a route.

use super::Form;
use crate::{
    base::{Side, canonical_text},
    world::Weights,
};
use serde_json::{Map, Value as Json, json};

/// The annotation that notes what receives a side's traffic.
fn note(side: Side) -> String {
    format!("terrace.dev/{side}")
}

/// A service that receives a side's traffic.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Bound {
    pub(super) service: String,
    pub(super) namespace: String,
    pub(super) port: u16,
}

/// The sides of a route, and how much each gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) blue: Option<Bound>,
    pub(super) green: Option<Bound>,
    pub(super) weights: Weights,
}

impl Sides {
    /// Of a route that nothing was bound to yet.
    pub(super) const NONE: Self = Self { blue: None, green: None, weights: Weights::to(Side::Blue, 100) };

    /// As an object notes them.
    pub(super) fn of(form: Form, object: &Json) -> Self {
        let bound = |side: Side| {
            let noted = object["metadata"]["annotations"][note(side)].as_str()?;
            serde_json::from_str::<Bound>(noted).ok()
        };
        let mut sides = Self { blue: bound(Side::Blue), green: bound(Side::Green), ..Self::NONE };
        sides.weights = form.weights(object, &sides).0;
        sides
    }

    pub(super) fn on(&self, side: Side) -> Option<&Bound> {
        match side {
            Side::Blue => self.blue.as_ref(),
            Side::Green => self.green.as_ref(),
        }
    }

    pub(super) fn set(&mut self, side: Side, bound: Option<Bound>) {
        match side {
            Side::Blue => self.blue = bound,
            Side::Green => self.green = bound,
        }
    }

    /// The side that has all the traffic, or most of it.
    pub(super) const fn active(&self) -> Side {
        if self.weights.of(Side::Green) > 50 { Side::Green } else { Side::Blue }
    }

    /// Those that are bound, with their weights.
    pub(super) fn bound(&self) -> impl Iterator<Item = (Side, &Bound, u8)> {
        let side = |side: Side| Some((side, self.on(side)?, self.weights.of(side)));
        [Side::Blue, Side::Green].into_iter().filter_map(side)
    }

    /// The annotations that note them.
    pub(super) fn notes(&self) -> Map<String, Json> {
        let mut notes: Map<String, Json> =
            self.bound().map(|(side, bound, _)| (note(side), json!(canonical_text(&json!(bound))))).collect();
        notes.insert(ACTIVE.to_owned(), json!(self.active().to_string()));
        notes
    }
}

/// The annotation that says which side has the traffic of a route that takes no weights.
pub(super) const ACTIVE: &str = "terrace.dev/active";

/// The weights of two shares; blue has all where neither has any.
pub(super) fn percent(blue: u64, green: u64) -> Option<Weights> {
    let all = blue.saturating_add(green);
    let green = (green.saturating_mul(200).saturating_add(all)).checked_div(all.saturating_mul(2))?;
    Some(Weights::to(Side::Green, u8::try_from(green).unwrap_or(100)))
}
