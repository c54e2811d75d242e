//! The little templating of chart files: `${release}`, `${namespace}`, `${values.a.b|values.c|default}`.
//!
//! Alternatives are tried from the left; what is neither a known word nor a value is a literal. A string that is one
//! expression takes its value's type; a field whose value is null is left out; the field `<<` merges a map into the one
//! that holds it, and wins. Nothing is executed and nothing fails: an unknown name is a literal.

use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// What expressions may name.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    /// `release`, `namespace`, `fullname`, `name`, `chart`, `version`, `app_version`.
    pub(super) words: BTreeMap<&'static str, String>,
    /// The chart's values.
    pub(super) values: &'a Json,
}

impl Scope<'_> {
    /// Fills in every expression of a template. Null where all of it is null.
    pub(super) fn fill(&self, template: &Json) -> Json {
        match template {
            Json::String(text) => self.fill_text(text),
            Json::Array(items) => items.iter().map(|item| self.fill(item)).filter(|item| !item.is_null()).collect(),
            Json::Object(fields) => {
                let mut filled = Map::new();
                for (name, value) in fields.iter().filter(|(name, _)| *name != "<<") {
                    let value = self.fill(value);
                    if !value.is_null() {
                        filled.insert(self.text(name), value);
                    }
                }
                if let Some(Json::Object(more)) = fields.get("<<").map(|more| self.fill(more)) {
                    filled.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
                }
                Json::Object(filled)
            }
            other => other.clone(),
        }
    }

    /// Fills in a string, as text.
    pub(super) fn text(&self, template: &str) -> String {
        plain(&self.fill_text(template))
    }

    /// True where the field is missing, or its expression is neither null, false, zero nor empty.
    pub(super) fn holds(&self, condition: Option<&Json>) -> bool {
        let truthy = |value: Json| match value {
            Json::Null => false,
            Json::Bool(value) => value,
            Json::Number(number) => number.as_f64() != Some(0.0),
            Json::String(text) => !text.is_empty(),
            Json::Array(items) => !items.is_empty(),
            Json::Object(fields) => !fields.is_empty(),
        };
        match condition {
            None => true,
            Some(Json::Array(all)) => all.iter().all(|one| truthy(self.fill(one))),
            Some(one) => truthy(self.fill(one)),
        }
    }

    fn fill_text(&self, template: &str) -> Json {
        let Some(start) = template.find("${") else { return template.into() };
        if start == 0
            && let Some(end) = template.find('}')
            && end + 1 == template.len()
        {
            return self.evaluate(&template[2..end]);
        }
        let mut text = String::new();
        let mut rest = template;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            text.push_str(&rest[..start]);
            text.push_str(&plain(&self.evaluate(&rest[start + 2..start + length])));
            rest = &rest[start + length + 1..];
        }
        text.push_str(rest);
        text.into()
    }

    fn evaluate(&self, expression: &str) -> Json {
        for alternative in expression.split('|') {
            let alternative = alternative.trim();
            if let Some(path) = alternative.strip_prefix("values.") {
                let found = path.split('.').try_fold(self.values, |value, name| match value {
                    Json::Array(items) => items.get(name.parse::<usize>().ok()?),
                    other => other.get(name),
                });
                match found {
                    Some(value) if !value.is_null() => return value.clone(),
                    _ => continue,
                }
            }
            return match self.words.get(alternative) {
                Some(word) => word.clone().into(),
                None => super::yaml::read(alternative).unwrap_or_else(|_| alternative.into()),
            };
        }
        Json::Null
    }
}

/// A value as text: strings bare, null as nothing.
pub(super) fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_take_values_then_defaults_and_keep_their_type() {
        let values = json!({"server": {"replicas": 3, "labels": {"color": "blue", "none": null}}, "off": false});
        let scope = Scope { words: BTreeMap::from([("release", "web".to_owned())]), values: &values };
        let filled = scope.fill(&json!({
            "replicas": "${values.server.replicas|1}", "other": "${values.x|2}", "none": "${values.x}",
            "name": "${release}-${values.x|server}", "labels": {"app": "${release}", "<<": "${values.server.labels}"},
            "image": "repo:${values.tag|v1.10}",
        }));
        let expected = json!({
            "replicas": 3, "other": 2, "name": "web-server", "labels": {"app": "web", "color": "blue"}, "image": "repo:v1.10",
        });
        assert_eq!(filled, expected);
        assert!(!scope.holds(Some(&json!("${values.off|true}"))));
        assert!(scope.holds(Some(&json!("${values.x|true}"))));
        assert_eq!(scope.text("broken ${values"), "broken ${values");
    }
}
