//! Dynamic references: `{{resolve:SERVICE:...}}` inside of strings, filled in from a look-up.

use crate::{
    base::Path,
    cfn::{Because, Node, Reference, Source, Unknown},
};
use std::collections::BTreeSet;

const SERVICES: &[&str] = &["ssm:", "ssm-secure:", "secretsmanager:"];

/// Fills in every dynamic reference of a value and notes it. One that is not found makes its string an unknown.
pub(super) fn fill(
    node: &mut Node,
    path: &mut Path,
    lookup: &dyn Fn(&str) -> Option<String>,
    references: &mut BTreeSet<Reference>,
) {
    match node {
        Node::String(text) => {
            if let Some(filled) = filled(text, path, lookup, references) {
                *node = filled;
            }
        }
        Node::Unknown(unknown) => {
            // A part of it is not known; what it names is noted all the same.
            for inside in names(&unknown.shape) {
                unknown.because.insert(Because::Dynamic(inside.clone()));
                references.insert(Reference { path: path.clone(), source: Source::Dynamic(inside) });
            }
        }
        Node::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                fill(item, &mut path.index(at), lookup, references);
            }
        }
        Node::Object(entries) => {
            for (key, value) in entries {
                fill(value, &mut path.key(key), lookup, references);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
    }
}

fn filled(
    text: &str,
    path: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
    references: &mut BTreeSet<Reference>,
) -> Option<Node> {
    let mut out = String::new();
    let mut because = BTreeSet::new();
    let mut rest = text;
    let mut found = false;
    while let Some((before, inside, after)) = next(rest) {
        found = true;
        out.push_str(before);
        references.insert(Reference { path: path.clone(), source: Source::Dynamic(inside.to_owned()) });
        match lookup(inside) {
            Some(value) => out.push_str(&value),
            None => {
                because.insert(Because::Dynamic(inside.to_owned()));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    found.then(|| {
        // A form shows the reference and never a value that was looked up.
        if because.is_empty() { Node::String(out) } else { Node::Unknown(Unknown { because, shape: text.to_owned() }) }
    })
}

fn names(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((_, inside, after)) = next(rest) {
        all.push(inside.to_owned());
        rest = after;
    }
    all
}

/// The next reference: what stands before it, in it, and behind it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find("{{resolve:")?;
        let inner = start + "{{resolve:".len();
        let end = inner + text.get(inner..)?.find("}}")?;
        let inside = text.get(inner..end)?;
        if SERVICES.iter().any(|s| inside.starts_with(s)) {
            return Some((text.get(..start)?, inside, text.get(end + 2..)?));
        }
        from = inner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_filled_in_where_they_are_found() {
        let lookup = |text: &str| (text == "ssm:/a/b:2").then(|| "value".to_owned());
        for (text, expected) in [
            ("plain", Some("plain")),
            ("{{resolve:ssm:/a/b:2}}", Some("value")),
            ("x-{{resolve:ssm:/a/b:2}}-{{resolve:ssm:/a/b:2}}", Some("x-value-value")),
            ("{{resolve:secretsmanager:db:SecretString:password}}", None),
            ("{{resolve:other:x}}", Some("{{resolve:other:x}}")),
            ("{{resolve:ssm:/a", Some("{{resolve:ssm:/a")),
        ] {
            let mut node = Node::string(text);
            let mut references = BTreeSet::new();
            fill(&mut node, &mut Path::default(), &lookup, &mut references);
            assert_eq!(node.as_str(), expected, "{text}");
        }
    }

    #[test]
    fn a_value_that_was_found_never_shows_in_the_form_of_an_unknown() {
        let mut node = Node::string("{{resolve:ssm-secure:/p}}{{resolve:secretsmanager:s}}");
        let mut references = BTreeSet::new();
        fill(&mut node, &mut Path::default(), &|t| t.starts_with("ssm").then(|| "hunter2".into()), &mut references);
        assert!(!format!("{node:?}").contains("hunter2"));
        assert!(references.iter().all(|r| r.source.is_sensitive()));
        assert_eq!(references.len(), 2);
    }
}
