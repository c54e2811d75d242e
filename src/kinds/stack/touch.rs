//! An update that puts back drift, for a service without drift-aware change sets: a template as reality is, and then the
//! former one again. Pure.
//!
//! CloudFormation compares templates, not the world: a property whose template does not change is never touched. So the first
//! update makes the template say what is live, which changes nothing, and the second one takes that back, which changes just
//! what drifted.

use crate::{
    cfn::Template,
    kinds::{ChildChange, stack::children::of_drift},
    world::{PropertyDifference, ResourceDrift},
};
use serde_json::Value as Json;

/// The template with each property that drifted as it is live.
///
/// # Errors
/// Why that cannot be written: a resource is gone, or what drifted hangs on a function.
pub(super) fn as_live(text: &str, drifts: &[ResourceDrift]) -> Result<String, String> {
    let mut template = Template::parse("template", text).0.to_json();
    for drift in drifts.iter().filter(|d| d.status == "MODIFIED" || d.status == "DELETED") {
        let id = &drift.logical_id;
        if drift.status == "DELETED" {
            return Err(format!("{id} ({}) was deleted, and no update makes it again", drift.resource_type));
        }
        let Some(resource) = template["Resources"].get_mut(id).and_then(Json::as_object_mut) else {
            return Err(format!("the template has no {id}: a macro made it"));
        };
        let mut properties = resource.remove("Properties").unwrap_or_else(|| Json::Object(serde_json::Map::new()));
        // From behind, so that taking an element out of a list moves no other that is still to be changed.
        let mut differences: Vec<&PropertyDifference> = drift.differences.iter().collect();
        differences.sort_by_key(|d| std::cmp::Reverse(order(&d.path)));
        for difference in differences {
            let steps: Vec<&str> = difference.path.trim_start_matches('/').split('/').collect();
            put(&mut properties, &steps, &difference.actual)
                .map_err(|why| format!("{id} {}: {why}", difference.path.trim_start_matches('/')))?;
        }
        resource.insert("Properties".to_owned(), properties);
    }
    Ok(template.to_string())
}

/// Every property that drifted, as a plan lists it.
pub(super) fn named(drifts: &[ResourceDrift]) -> Vec<String> {
    let of = |child: ChildChange| -> Vec<String> {
        if child.fields.is_empty() {
            return vec![child.name];
        }
        child.fields.iter().map(|f| format!("{} {}", child.name, f.path)).collect()
    };
    of_drift(drifts).into_iter().flat_map(of).collect()
}

/// Paths in an order in which elements of one list stand by their number.
fn order(path: &str) -> Vec<(usize, &str)> {
    path.split('/').map(|step| (step.parse().unwrap_or(usize::MAX), step)).collect()
}

fn put(node: &mut Json, steps: &[&str], actual: &str) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    if is_function(node) {
        return Err("it is part of what a function of the template makes".to_owned());
    }
    let gone = actual == "null";
    // As a JSON pointer escapes it.
    let step = step.replace("~1", "/").replace("~0", "~");
    match node {
        Json::Object(entries) if rest.is_empty() => {
            if gone {
                entries.remove(&step);
            } else {
                let live = fitting(actual, entries.get(&step))?;
                entries.insert(step, live);
            }
            Ok(())
        }
        Json::Object(entries) => {
            let inner = entries.entry(step).or_insert_with(|| Json::Object(serde_json::Map::new()));
            put(inner, rest, actual)
        }
        Json::Array(items) => {
            let at: usize = step.parse().map_err(|_| format!("`{step}` is no place in a list"))?;
            let last = items.len();
            if rest.is_empty() && gone {
                if at < last {
                    items.remove(at);
                }
                return Ok(());
            }
            match items.get_mut(at) {
                Some(item) if rest.is_empty() => *item = fitting(actual, Some(item))?,
                Some(item) => return put(item, rest, actual),
                None if rest.is_empty() && at == last => items.push(fitting(actual, None)?),
                None => return Err("the template's list is shorter than the live one".to_owned()),
            }
            Ok(())
        }
        _ => Err("the template has something else there".to_owned()),
    }
}

fn is_function(node: &Json) -> bool {
    let Json::Object(entries) = node else { return false };
    entries.len() == 1 && entries.keys().all(|k| k == "Ref" || k == "Condition" || k.starts_with("Fn::"))
}

/// A live value, told as a text, in the type that the template writes there.
fn fitting(actual: &str, former: Option<&Json>) -> Result<Json, String> {
    let parsed = || serde_json::from_str::<Json>(actual).ok();
    let of = |fits: fn(&Json) -> bool| parsed().filter(fits).ok_or_else(|| format!("`{actual}` is not of its type"));
    match former {
        Some(Json::Number(_)) => Ok(of(Json::is_number).unwrap_or_else(|_| Json::String(actual.to_owned()))),
        Some(Json::Bool(_)) => Ok(of(Json::is_boolean).unwrap_or_else(|_| Json::String(actual.to_owned()))),
        Some(Json::Array(_)) => of(Json::is_array),
        Some(node @ Json::Object(_)) if !is_function(node) => of(Json::is_object),
        // Where the template says nothing or a function, only lists and objects are no text.
        None | Some(Json::Object(_)) => {
            Ok(parsed().filter(|j| j.is_array() || j.is_object()).unwrap_or_else(|| Json::String(actual.to_owned())))
        }
        Some(_) => Ok(Json::String(actual.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "\
Parameters:
  Size: { Type: Number, Default: 3 }
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 30
      FifoQueue: true
      MessageRetentionPeriod: !Ref Size
      Tags:
        - { Key: team, Value: blue }
        - { Key: cost, Value: a }
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      Subscription: !If [Never, [], []]
";

    fn drift(id: &str, differences: &[(&str, &str)]) -> ResourceDrift {
        ResourceDrift {
            logical_id: id.to_owned(),
            physical_id: String::new(),
            resource_type: "AWS::SQS::Queue".to_owned(),
            status: "MODIFIED".to_owned(),
            differences: differences
                .iter()
                .map(|(path, actual)| PropertyDifference {
                    path: (*path).to_owned(),
                    expected: String::new(),
                    actual: (*actual).to_owned(),
                })
                .collect(),
        }
    }

    #[test]
    fn the_template_says_what_is_live_in_the_types_it_writes() {
        let drifts = [drift(
            "Queue",
            &[
                ("/VisibilityTimeout", "45"),
                ("/FifoQueue", "false"),
                ("/MessageRetentionPeriod", "600"),
                ("/DelaySeconds", "5"),
                ("/Tags/0", "null"),
                ("/Tags/1/Value", "b"),
            ],
        )];
        let now: Json = serde_json::from_str(&as_live(TEMPLATE, &drifts).unwrap()).unwrap();
        let properties = &now["Resources"]["Queue"]["Properties"];
        assert_eq!(
            *properties,
            serde_json::json!({
                "VisibilityTimeout": 45, "FifoQueue": false, "MessageRetentionPeriod": "600", "DelaySeconds": "5",
                "Tags": [{ "Key": "cost", "Value": "b" }],
            })
        );
        assert_eq!(now["Parameters"]["Size"]["Default"], 3);
    }

    #[test]
    fn what_cannot_be_written_is_said_and_never_guessed() {
        let inside = as_live(TEMPLATE, &[drift("Topic", &[("/Subscription/0/Endpoint", "x")])]);
        assert!(inside.unwrap_err().contains("function"));
        let gone = ResourceDrift { status: "DELETED".to_owned(), ..drift("Queue", &[]) };
        assert!(as_live(TEMPLATE, &[gone]).unwrap_err().contains("deleted"));
        let far = as_live(TEMPLATE, &[drift("Queue", &[("/Tags/7", "{}")])]);
        assert!(far.unwrap_err().contains("shorter"));
        let wrong = as_live(TEMPLATE, &[drift("Queue", &[("/Tags", "none")])]);
        assert!(wrong.unwrap_err().contains("type"));
    }

    #[test]
    fn what_did_not_drift_is_not_touched() {
        let same = ResourceDrift { status: "IN_SYNC".to_owned(), ..drift("Queue", &[("/VisibilityTimeout", "45")]) };
        let now: Json = serde_json::from_str(&as_live(TEMPLATE, &[same]).unwrap()).unwrap();
        assert_eq!(now, Template::parse("t", TEMPLATE).0.to_json());
    }
}
