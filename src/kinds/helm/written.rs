//! How a live release would be declared: chart and version, the repository where this machine's helm knows it, its values.

use crate::{
    base::{Data, Value},
    kinds::{
        Context, Written,
        helm::live::{Revisions, names, revisions},
    },
    world::Outcome,
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc};

/// Words in the names of values that are taken for secret.
const SECRET: [&str; 8] = ["password", "passwd", "secret", "token", "apikey", "api_key", "privatekey", "credential"];

pub(super) async fn written(context: &Context, identity: &Json) -> Outcome<Option<Written>> {
    let Some(Revisions { newest, deployed }) = revisions(context, identity).await? else { return Ok(None) };
    let (name, namespace) = names(identity);
    let release = deployed.unwrap_or(newest);
    let helm = &context.cluster()?.helm;
    let repository = helm.known_repository(&release.chart, &release.version).await?;
    let mut attributes = vec![("chart", Value::from(release.chart.as_str()))];
    let mut notes = Vec::new();
    if let Some(repository) = repository {
        attributes.push(("repository", repository.into()));
    } else {
        notes.push(format!(
            "a release does not tell where its chart is from: add `repository = \"https://...\"`, or write `chart = \"oci://.../{}\"` or a folder (`./charts/{0}`, without `version`)",
            release.chart
        ));
    }
    attributes.push(("version", release.version.as_str().into()));
    attributes.push(("name", name.into()));
    attributes.push(("namespace", namespace.into()));
    let values = Value::from_json(&release.values);
    let (plain, secret) = parted(&values);
    if let Some(plain) = plain {
        attributes.push(("values", plain));
    }
    if let Some(secret) = secret {
        attributes.push(("sensitive_values", secret));
        notes.push("values whose names speak of secrets became variables: look through the others, too".to_owned());
    }
    Ok(Some(Written { attributes, file: None, notes }))
}

/// Values in clear, and those that are taken for secret.
fn parted(value: &Value) -> (Option<Value>, Option<Value>) {
    let Data::Mapping(kind, entries) = value.data() else { return (Some(value.clone()), None) };
    let (mut plain, mut secret) = ((**entries).clone(), (**entries).clone());
    plain.clear();
    secret.clear();
    for (key, entry) in entries.iter() {
        let name = key.to_ascii_lowercase();
        let is_text = matches!(entry.data(), Data::String(text) if !text.is_empty());
        if is_text && SECRET.iter().any(|word| name.contains(word)) {
            secret.insert(key.clone(), entry.clone().sensitive());
            continue;
        }
        let (clear, hidden) = parted(entry);
        plain.extend(clear.map(|clear| (key.clone(), clear)));
        secret.extend(hidden.map(|hidden| (key.clone(), hidden)));
    }
    let of = |entries: BTreeMap<Arc<str>, Value>| {
        (!entries.is_empty()).then(|| Value::from(Data::Mapping(*kind, Arc::new(entries))))
    };
    if entries.is_empty() {
        return (Some(value.clone()), None);
    }
    (of(plain), of(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_whose_names_speak_of_secrets_are_parted_from_the_others() {
        let values =
            json!({"auth": {"adminPassword": "p", "existingSecret": "", "user": "u"}, "replicas": 2, "more": {}});
        let (plain, secret) = parted(&Value::from_json(&values));
        let expected = json!({"auth": {"existingSecret": "", "user": "u"}, "replicas": 2, "more": {}});
        assert_eq!(plain.unwrap().to_json(), Some(expected));
        assert!(secret.unwrap().get("auth").unwrap().get("adminPassword").unwrap().is_sensitive());
    }
}
