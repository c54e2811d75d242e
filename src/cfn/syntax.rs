//! A document as a tree with places, from YAML or JSON alike. Short forms of functions are spelled out on the way in.
//!
//! [`lower`](super::lower) makes a template of it; it also answers where something stands.

use crate::base::{Diagnostics, Path, Span, Step};

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    /// Where it stands.
    pub(super) span: Span,
    /// What it is.
    pub(super) kind: TreeKind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TreeKind {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Tree>),
    /// In the order of the text, each key once: key, place of the key, value.
    Object(Vec<(String, Span, Tree)>),
}

/// Deepest nesting that is read.
pub(super) const MAX_DEPTH: usize = 100;

/// Reads a text: JSON where it begins with a brace and is JSON, else YAML.
pub(super) fn read(file: &str, text: &str) -> (Tree, Diagnostics) {
    if text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('{') {
        let (json, problems) = super::json::read(file, text);
        if !problems.has_errors() {
            return (json, problems);
        }
        // A flow mapping of YAML begins with a brace too. Whoever calls a file JSON hears about JSON.
        let (yaml, yaml_problems) = super::yaml::read(file, text);
        let is_json = file.rsplit('.').next().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        return if is_json || (yaml_problems.has_errors() && !text.contains('!')) {
            (json, problems)
        } else {
            (yaml, yaml_problems)
        };
    }
    super::yaml::read(file, text)
}

impl Tree {
    /// The value under a key of an object.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The place of a key and the value under it.
    pub(super) fn entry(&self, key: &str) -> Option<(&Span, &Self)> {
        let TreeKind::Object(entries) = &self.kind else { return None };
        entries.iter().find(|(k, _, _)| k == key).map(|(_, span, value)| (span, value))
    }

    /// The string, where it is one.
    pub(super) fn as_str(&self) -> Option<&str> {
        if let TreeKind::String(s) = &self.kind { Some(s) } else { None }
    }

    /// The text of a scalar.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.kind {
            TreeKind::Bool(b) => Some(b.to_string()),
            TreeKind::Number(n) => Some(n.to_string()),
            TreeKind::String(s) => Some(s.clone()),
            _ => None,
        }
    }

    /// What it is, for messages: `a list`.
    pub(super) const fn what(&self) -> &'static str {
        match self.kind {
            TreeKind::Null => "nothing",
            TreeKind::Bool(_) => "a boolean",
            TreeKind::Number(_) => "a number",
            TreeKind::String(_) => "a string",
            TreeKind::Array(_) => "a list",
            TreeKind::Object(_) => "an object",
        }
    }

    /// The place of a name of any section, or of the nearest written part of a path within a resource's Properties.
    pub(super) fn span_of(&self, name: &str, path: Option<&Path>) -> Option<Span> {
        const SECTIONS: &[&str] = &["Resources", "Parameters", "Outputs", "Conditions", "Mappings", "Rules"];
        let (span, declared) = SECTIONS.iter().find_map(|s| self.get(s)?.entry(name))?;
        let Some(path) = path else { return Some(span.clone()) };
        let Some((span, properties)) = declared.entry("Properties") else { return Some(span.clone()) };
        let (mut span, mut node) = (span, properties);
        for step in &path.0 {
            let next = match (&node.kind, step) {
                (TreeKind::Object(_), Step::Key(key)) => node.entry(key),
                (TreeKind::Array(items), Step::Index(at)) => items.get(*at).map(|n| (&n.span, n)),
                // The diff names a tag by its key.
                (TreeKind::Array(items), Step::Key(key)) => {
                    items.iter().find(|n| n.get("Key").and_then(Self::as_str) == Some(&**key)).map(|n| (&n.span, n))
                }
                _ => None,
            };
            let Some(next) = next else { break };
            (span, node) = next;
        }
        Some(span.clone())
    }

    /// As JSON in the long form.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.kind {
            TreeKind::Null => Json::Null,
            TreeKind::Bool(b) => Json::Bool(*b),
            TreeKind::Number(n) => Json::Number(n.clone()),
            TreeKind::String(s) => Json::String(s.clone()),
            TreeKind::Array(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            TreeKind::Object(entries) => {
                Json::Object(entries.iter().map(|(k, _, v)| (k.clone(), v.to_json())).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json_of(text: &str) -> serde_json::Value {
        let (tree, problems) = read("t.yaml", text);
        assert!(problems.is_empty(), "{problems:?}");
        tree.to_json()
    }

    #[test]
    fn short_forms_are_spelled_out() {
        let yaml = "a: !Ref X\nb: !GetAtt X.Y.Z\nc: !Join [',', [!Sub '${A}-b', 2]]\nd: !Select [0, !GetAZs '']\ne: !Condition C\nf: !GetAtt [X, Y]\n";
        let expected = serde_json::json!({
            "a": {"Ref": "X"},
            "b": {"Fn::GetAtt": ["X", "Y.Z"]},
            "c": {"Fn::Join": [",", [{"Fn::Sub": "${A}-b"}, 2]]},
            "d": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
            "e": {"Condition": "C"},
            "f": {"Fn::GetAtt": ["X", "Y"]},
        });
        assert_eq!(json_of(yaml), expected);
        assert_eq!(json_of(&expected.to_string()), expected);
    }

    #[test]
    fn scalars_are_what_the_service_takes_them_for() {
        for (text, expected) in [
            ("true", serde_json::json!(true)),
            ("No", serde_json::json!(false)),
            ("'true'", serde_json::json!("true")),
            ("80", serde_json::json!(80)),
            ("-1", serde_json::json!(-1)),
            ("1.5", serde_json::json!(1.5)),
            ("0123", serde_json::json!("0123")),
            ("2012-10-17", serde_json::json!("2012-10-17")),
            ("10.0.0.0/16", serde_json::json!("10.0.0.0/16")),
            ("~", serde_json::Value::Null),
            ("1e3", serde_json::json!("1e3")),
            ("!!str 80", serde_json::json!("80")),
            ("! 80", serde_json::json!("80")),
        ] {
            assert_eq!(json_of(&format!("a: {text}\n"))["a"], expected, "{text}");
        }
    }

    #[test]
    fn places_hold_in_texts_with_letters_of_several_bytes() {
        let text = "# ÄÖÜ\nResources:\n  Vpc:\n    Type: AWS::EC2::VPC\n    Properties:\n      Tags:\n        - { Key: Name, Value: ä }\n        - { Key: b, Value: c }\n";
        let (tree, _) = read("t.yaml", text);
        assert_eq!(&text[tree.span_of("Vpc", None).unwrap().range()], "Vpc");
        let path = Path::default().key("Tags").index(1).key("Value");
        assert_eq!(&text[tree.span_of("Vpc", Some(&path)).unwrap().range()], "Value");
        let path = Path::default().key("Tags").index(0);
        assert_eq!(&text[tree.span_of("Vpc", Some(&path)).unwrap().range()], "{ Key: Name, Value: ä }");
        let path = Path::default().key("Nothing");
        assert_eq!(&text[tree.span_of("Vpc", Some(&path)).unwrap().range()], "Properties");
    }

    #[test]
    fn duplicate_keys_are_all_reported_in_both_notations() {
        for text in ["a: 1\nb: 2\na: 3\nb: 4\n", "{\"a\": 1, \"b\": 2, \"a\": 3, \"b\": 4}"] {
            let (_, problems) = read("t.json", text);
            assert_eq!(problems.iter().filter(|d| d.code == "duplicate_key").count(), 2, "{text} {problems:?}");
        }
    }

    #[test]
    fn what_the_service_does_not_take_is_refused() {
        for (text, code) in [
            ("a: &x 1\nb: *x\n", "yaml_alias"),
            ("a: 1\n---\nb: 2\n", "several_documents"),
            ("a: !Rfe X\n", "unknown_function"),
            ("a: [1, 2\n", "template_syntax"),
            ("a:\n\t- b\n", "template_syntax"),
            ("? [a, b]\n: c\n", "template_key"),
        ] {
            let (_, problems) = read("t.yaml", text);
            assert!(problems.iter().any(|d| d.code == code), "{text:?} {problems:?}");
        }
    }

    #[test]
    fn nesting_beyond_the_bound_is_a_problem_and_not_a_crash() {
        for text in [
            "[".repeat(100_000),
            "{\"a\":".repeat(100_000),
            "- ".repeat(5_000),
            "a: ".to_owned() + &"[".repeat(101) + &"]".repeat(101),
        ] {
            let (_, problems) = read("t.yaml", &text);
            assert!(problems.has_errors());
        }
    }

    #[test]
    fn a_document_just_within_the_bound_goes_all_the_way_through() {
        use crate::cfn::{Context, Template, diff};
        let (open, close) = ("!Join ['', [".repeat(48), "]]".repeat(48));
        let text =
            format!("Resources: {{ B: {{ Type: 'AWS::S3::Bucket', Properties: {{ BucketName: {open}x{close} }} }} }}");
        let (template, problems) = Template::parse("t.yaml", &text);
        assert!(problems.is_empty(), "{problems:?}");
        let (resolved, _) = template.resolve(&Context::offline("1", "us-east-1", "s"));
        assert_eq!(resolved.resources["B"].properties.get("BucketName").and_then(|n| n.as_str()), Some("x"));
        assert!(diff(Some(&resolved), Some(&resolved), &std::collections::BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_very_long_chain_of_conditions_does_not_overflow() {
        use crate::cfn::{Context, Template};
        let chain: Vec<String> = (0..5_000).map(|n| format!("  C{n}: !Not [!Condition C{}]", n + 1)).collect();
        let head =
            "Resources: { B: { Type: 'AWS::S3::Bucket', Condition: C0 } }\nConditions:\n  C5000: !Equals [a, a]\n";
        let text = format!("{head}{}\n", chain.join("\n"));
        let (template, problems) = Template::parse("t.yaml", &text);
        assert!(problems.is_empty());
        let (resolved, _) = template.resolve(&Context::offline("1", "us-east-1", "s"));
        assert_eq!(resolved.conditions["C0"], Some(true));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-c:{}\\[\\]\"'!&*#|> \n\t,.0-9?é]{0,120}") {
            let _ = read("t.yaml", &text);
        }

        #[test]
        fn json_reads_back_as_it_was_written(numbers in proptest::collection::vec(any::<i64>(), 0..5), text in ".{0,20}") {
            let json = serde_json::json!({"n": numbers, "t": text, "o": {"x": null, "y": [true]}});
            let (tree, problems) = read("t.json", &json.to_string());
            prop_assert!(problems.is_empty());
            prop_assert_eq!(tree.to_json(), json);
        }
    }
}
