//! When two values are the same to the service: key order and the notation of scalars make no difference.

use crate::cfn::Node;

/// True where the service would see no change: `80` is `"80"`, `true` is `"true"`, keys have no order.
pub(super) fn same(a: &Node, b: &Node) -> bool {
    match (a, b) {
        (Node::Null, Node::Null) => true,
        (Node::Unknown(a), Node::Unknown(b)) => a == b,
        (Node::Array(a), Node::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Node::Object(a), Node::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        _ => matches!((text(a), text(b)), (Some(a), Some(b)) if a == b),
    }
}

/// The text of a scalar; a number that is whole has no fraction.
fn text(node: &Node) -> Option<String> {
    match node {
        Node::Number(n) if !n.is_i64() && !n.is_u64() => {
            let text = n.to_string();
            Some(text.strip_suffix(".0").map(str::to_owned).unwrap_or(text))
        }
        other => other.scalar(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_makes_no_difference_and_value_does() {
        let node = |json| Node::from(json);
        for (a, b, expected) in [
            (serde_json::json!(80), serde_json::json!("80"), true),
            (serde_json::json!(80.0), serde_json::json!(80), true),
            (serde_json::json!(true), serde_json::json!("true"), true),
            (serde_json::json!({"a": 1, "b": [2]}), serde_json::json!({"b": ["2"], "a": "1"}), true),
            (serde_json::json!("80"), serde_json::json!("080"), false),
            (serde_json::json!([1, 2]), serde_json::json!([2, 1]), false),
            (serde_json::json!(null), serde_json::json!(""), false),
            (serde_json::json!({"a": 1}), serde_json::json!({"a": 1, "b": null}), false),
        ] {
            assert_eq!(same(&node(a.clone()), &node(b.clone())), expected, "{a} {b}");
        }
    }
}
