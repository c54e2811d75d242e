//! The functions of strings and lists over nodes, without a template around them. Unknowns pass through: what comes
//! out waits for what went in, and its form says what will be done with it.

use crate::cfn::{Because, Node, Unknown};
use base64::Engine as _;
use std::collections::BTreeSet;

/// What a function gives: a node, or why the service would refuse it.
pub(super) type Outcome = Result<Node, String>;

/// How a node reads inside of a form.
pub(super) fn shape(node: &Node) -> String {
    match node {
        Node::Unknown(unknown) => unknown.shape.clone(),
        Node::Array(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(", ")),
        other => other.scalar().unwrap_or_else(|| other.to_json_shown().to_string()),
    }
}

fn pending(nodes: &[&Node], shape: String) -> Node {
    let because: BTreeSet<Because> = nodes.iter().flat_map(|n| n.waits_for()).collect();
    Node::Unknown(Unknown { because, shape })
}

/// Scalars side by side: `Fn::Sub` and the inside of `Fn::Join`.
pub(super) fn concat(parts: &[Node]) -> Outcome {
    let mut text = String::new();
    for part in parts {
        match part {
            Node::Unknown(unknown) => text.push_str(&unknown.shape),
            other => text.push_str(&other.scalar().ok_or_else(|| format!("{} cannot stand in a string", kind(other)))?),
        }
    }
    if parts.iter().all(Node::is_known) {
        return Ok(Node::String(text));
    }
    Ok(pending(&parts.iter().collect::<Vec<_>>(), text))
}

/// `Fn::Join`.
pub(super) fn join(delimiter: &Node, list: &Node) -> Outcome {
    let between = delimiter.as_str().ok_or("the delimiter must be a string")?;
    match list {
        Node::Array(items) => {
            let mut parts = Vec::new();
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    parts.push(Node::string(between));
                }
                parts.push(item.clone());
            }
            concat(&parts)
        }
        Node::Unknown(_) => Ok(pending(&[list], format!("Fn::Join({between:?}, {})", shape(list)))),
        other => Err(format!("what is joined must be a list, not {}", kind(other))),
    }
}

/// `Fn::Select`.
pub(super) fn select(index: &Node, list: &Node) -> Outcome {
    if index.is_unknown() || list.is_unknown() {
        return Ok(pending(&[index, list], format!("Fn::Select({}, {})", shape(index), shape(list))));
    }
    let at: usize =
        index.scalar().and_then(|s| s.trim().parse().ok()).ok_or("the index must be a whole number from 0")?;
    let Node::Array(items) = list else { return Err(format!("it selects from a list, not from {}", kind(list))) };
    match items.get(at) {
        None => Err(format!("the index {at} is beyond the end of a list of {}", items.len())),
        Some(Node::Null) => Err(format!("the element {at} is null")),
        Some(item) => Ok(item.clone()),
    }
}

/// `Fn::Split`.
pub(super) fn split(delimiter: &Node, text: &Node) -> Outcome {
    let between = delimiter.as_str().filter(|d| !d.is_empty()).ok_or("the delimiter must be a string")?;
    match text {
        Node::Unknown(_) => Ok(pending(&[text], format!("Fn::Split({between:?}, {})", shape(text)))),
        other => {
            let text = other.scalar().ok_or_else(|| format!("what is split must be a string, not {}", kind(other)))?;
            Ok(Node::Array(text.split(between).map(Node::string).collect()))
        }
    }
}

/// `Fn::Cidr`.
pub(super) fn cidr(block: &Node, count: &Node, bits: Option<&Node>) -> Outcome {
    let all: Vec<&Node> = [block, count].into_iter().chain(bits).collect();
    if all.iter().any(|n| n.is_unknown()) {
        let inside = all.iter().map(|n| shape(n)).collect::<Vec<_>>().join(", ");
        return Ok(pending(&all, format!("Fn::Cidr({inside})")));
    }
    let text = block.scalar().ok_or_else(|| format!("the block must be a string, not {}", kind(block)))?;
    let number = |node: &Node, what: &str| {
        node.scalar().and_then(|s| s.trim().parse::<u32>().ok()).ok_or_else(|| format!("{what} must be a whole number"))
    };
    let bits = match bits {
        Some(bits) => number(bits, "the number of bits")?,
        None if text.contains(':') => 64,
        None => 8,
    };
    let blocks = super::cidr::cidr(text.trim(), number(count, "the count")?, bits)?;
    Ok(Node::Array(blocks.into_iter().map(Node::String).collect()))
}

/// `Fn::Base64`.
pub(super) fn base64(text: &Node) -> Outcome {
    match text {
        Node::Unknown(_) => Ok(pending(&[text], format!("Fn::Base64({})", shape(text)))),
        other => {
            let text = other.scalar().ok_or_else(|| format!("it encodes a string, not {}", kind(other)))?;
            Ok(Node::String(base64::engine::general_purpose::STANDARD.encode(text)))
        }
    }
}

/// `Fn::Length`.
pub(super) fn length(list: &Node) -> Outcome {
    match list {
        Node::Array(items) => Ok(Node::Number(items.len().into())),
        Node::Unknown(_) => Ok(pending(&[list], format!("Fn::Length({})", shape(list)))),
        other => Err(format!("it counts a list, not {}", kind(other))),
    }
}

/// `Fn::ToJsonString`.
pub(super) fn to_json_string(value: &Node) -> Outcome {
    match value {
        Node::Array(_) | Node::Object(_) => match value.to_json() {
            Some(json) => Ok(Node::String(json.to_string())),
            None => Ok(pending(&[value], value.to_json_shown().to_string())),
        },
        Node::Unknown(_) => Ok(pending(&[value], format!("Fn::ToJsonString({})", shape(value)))),
        other => Err(format!("it takes an object or a list, not {}", kind(other))),
    }
}

/// What a node is, for messages.
pub(super) const fn kind(node: &Node) -> &'static str {
    match node {
        Node::Null => "null",
        Node::Bool(_) => "a boolean",
        Node::Number(_) => "a number",
        Node::String(_) => "a string",
        Node::Array(_) => "a list",
        Node::Object(_) => "an object",
        Node::Unknown(_) => "an unknown value",
    }
}
