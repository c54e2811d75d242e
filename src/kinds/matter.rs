//! What rules look at: a template with what is known of its parameters put in, the objects of a manifest.
//!
//! Secrets are taken out before anybody judges: rules see that there is a value, and never which.

use super::images::pod_template;
use crate::base::Hidden;
use serde_json::Value as Json;
use std::sync::Arc;

/// Something of a declaration that rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matter {
    /// A CloudFormation template.
    Template {
        /// Its file.
        file: Arc<str>,
        /// Its text.
        text: Arc<str>,
        /// Its resources as JSON, `Resources` by logical id, with parameters, conditions and functions worked out. What is not known
        /// stands as its form, like `${Vpc}`.
        document: Json,
    },
    /// Kubernetes objects.
    Objects(Vec<Json>),
}

/// The pods of an object, whatever its kind: their spec, and all containers of it in one list, those that come first and those for
/// debugging among them. `None` where it has no pods.
#[must_use]
pub fn pods_of(object: &Json) -> Option<(&Json, Vec<&Json>)> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let spec = &pod_template(kind, object)["spec"];
    if !spec["containers"].is_array() {
        return None;
    }
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let all = lists.iter().filter_map(|name| spec[*name].as_array()).flatten();
    Some((spec, all.collect()))
}

/// Objects without what is hidden in them.
#[must_use]
pub fn without_secrets(object: Json, hidden: &Hidden) -> Json {
    match object {
        Json::String(text) => hidden.out_of(&text).into(),
        Json::Array(items) => items.into_iter().map(|item| without_secrets(item, hidden)).collect(),
        Json::Object(entries) => {
            Json::Object(entries.into_iter().map(|(key, value)| (key, without_secrets(value, hidden))).collect())
        }
        other => other,
    }
}
