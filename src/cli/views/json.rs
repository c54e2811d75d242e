//! What happens as JSON: one versioned object a line, to stdout. docs/formats.md describes them.

use crate::{
    base::{Event, Events},
    cli::terminal::Terminal,
    plan::{Plan, Saved},
    review::{self, Book},
};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// The version of every JSON form that the command line prints.
pub(crate) const FORMAT: u32 = 1;

/// Prints each event as a line.
pub(crate) struct JsonEvents(pub(crate) Terminal);

impl Events for JsonEvents {
    fn emit(&self, event: Event) {
        self.0.json_line(&of_event(&event));
    }
}

/// An event in its envelope.
pub(crate) fn of_event(event: &Event) -> Json {
    let mut object = json!({ "format": FORMAT, "type": "event" });
    if let (Some(object), Ok(Json::Object(fields))) = (object.as_object_mut(), serde_json::to_value(event)) {
        object.extend(fields.into_iter().map(|(name, value)| (name, in_seconds(value))));
    }
    object
}

/// A duration, which serde writes in two parts, as seconds.
fn in_seconds(value: Json) -> Json {
    match serde_json::from_value::<Duration>(value.clone()) {
        Ok(duration) if value.is_object() => json!(duration.as_secs_f64()),
        _ => value,
    }
}

/// A plan in its envelope: the content as it is digested, its digest, the counts, and what it costs by these prices.
pub(crate) fn of_plan(saved: &Saved, book: &Book) -> Json {
    envelope(&saved.content, Some(saved.digest.as_str()), book)
}

fn envelope(plan: &Plan, digest: Option<&str>, book: &Book) -> Json {
    json!({
        "format": FORMAT, "type": "plan", "digest": digest, "has_changes": plan.has_changes(),
        "counts": plan.counts(None), "cost": review::cost(plan, book), "capacity": review::capacity(plan, book),
        "risks": review::risks(plan), "plan": plan,
    })
}

/// Any other answer: its type and its fields beside it.
pub(crate) fn answer(kind: &str, fields: Json) -> Json {
    let mut object = json!({ "format": FORMAT, "type": kind });
    if let (Some(object), Json::Object(fields)) = (object.as_object_mut(), fields) {
        object.extend(fields);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ActionWord, Address, NodeEnd};

    #[test]
    fn an_event_is_one_flat_object_with_its_version() {
        let event = Event::NodeEnded {
            address: Address::root("stack", "network"),
            phase: "foundation".into(),
            action: ActionWord::Create,
            end: NodeEnd::Failed { why: "no".to_owned() },
            elapsed: std::time::Duration::from_millis(1500),
        };
        insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!(of_event(&event), @r#"
        {
          "action": "create",
          "address": "stack.network",
          "elapsed": 1.5,
          "end": "failed",
          "event": "node_ended",
          "format": 1,
          "phase": "foundation",
          "type": "event",
          "why": "no"
        }
        "#);
        });
    }
}
