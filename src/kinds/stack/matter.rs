//! A stack's templates as rules look at them.

use super::{
    desired::{TEMPLATE, known_parameters},
    live::context_of,
};
use crate::{
    base::Value,
    cfn::{Node, PropertyKind, Template, resource_schema},
    kinds::{Desired, Matter},
    lang::normalize,
};
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// What the documents of nested templates are called: this and their file.
const NESTED: &str = "template:";

/// The template with its parameters, and those nested in it, whose parameters their parents know.
pub(super) fn of(desired: &Desired) -> Vec<Matter> {
    let inputs = &desired.inputs;
    let tags = tags(inputs);
    let mut found = Vec::new();
    for (name, text) in &desired.documents {
        if name == TEMPLATE {
            let file = inputs.get("template").and_then(Value::as_str).unwrap_or(TEMPLATE);
            let file = normalize("", file).unwrap_or_else(|_| file.to_owned());
            found.push(matter(&file, text, Some(inputs), &tags));
        } else if let Some(file) = name.strip_prefix(NESTED) {
            found.push(matter(file, text, None, &tags));
        }
    }
    found
}

fn matter(file: &str, text: &Arc<str>, inputs: Option<&Value>, tags: &BTreeMap<String, String>) -> Matter {
    let template = Template::parse(file, text).0;
    Matter::Template { file: file.into(), text: text.clone(), document: document(&template, inputs, tags) }
}

/// A template's resources as rules look at them. Without inputs no parameter is known that has no default.
fn document(template: &Template, inputs: Option<&Value>, tags: &BTreeMap<String, String>) -> Json {
    let name = inputs.and_then(|inputs| inputs.get("name")).and_then(Value::as_str).unwrap_or("stack");
    let mut context = context_of("", name);
    if let Some(inputs) = inputs {
        (context.parameters, context.unknown_parameters) = known_parameters(inputs);
    }
    for (name, declared) in &template.parameters {
        let secret = declared.no_echo || is_sensitive(inputs, name);
        let given = context.parameters.contains_key(name) || declared.default.is_some();
        if secret || !given {
            context.parameters.remove(name);
            context.unknown_parameters.insert(name.clone());
        }
    }
    let resolved = template.resolve(&context).0;
    let mut resources = Map::new();
    for (id, resource) in resolved.resources {
        let mut entry = Map::new();
        entry.insert("Type".to_owned(), resource.resource_type.as_str().into());
        let properties = with_tags(resource.properties.to_json_shown(), &resource.resource_type, tags);
        entry.insert("Properties".to_owned(), properties);
        for (name, policy) in
            [("DeletionPolicy", resource.deletion_policy), ("UpdateReplacePolicy", resource.update_replace_policy)]
        {
            entry.extend(policy.map(|policy| (name.to_owned(), policy.into())));
        }
        entry.extend(resource.metadata.as_ref().map(|m: &Node| ("Metadata".to_owned(), m.to_json_shown())));
        resources.insert(id, Json::Object(entry));
    }
    json!({ "Resources": resources })
}

fn is_sensitive(inputs: Option<&Value>, parameter: &str) -> bool {
    let parameters = inputs.and_then(|inputs| inputs.get("parameters"));
    parameters.is_some_and(|all| all.is_sensitive() || all.get(parameter).is_some_and(Value::has_sensitive))
}

/// The stack's own tags. CloudFormation gives them to each of its resources that can have any.
fn tags(inputs: &Value) -> BTreeMap<String, String> {
    let all = inputs.get("tags").and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    all.map(|(key, value)| {
        let text = if value.has_sensitive() { None } else { value.as_str() };
        (key.to_string(), text.unwrap_or("${tag}").to_owned())
    })
    .collect()
}

/// The properties with the tags of the stack, where the type has tags and they do not name the same ones.
fn with_tags(mut properties: Json, resource_type: &str, tags: &BTreeMap<String, String>) -> Json {
    let Some(schema) = resource_schema(resource_type) else { return properties };
    let Some(property) = schema.tags.as_deref().filter(|name| !name.contains('/') && !tags.is_empty()) else {
        return properties;
    };
    let is_map = matches!(schema.properties.get(property), Some(PropertyKind::Object));
    let Some(entries) = properties.as_object_mut() else { return properties };
    let empty = if is_map { json!({}) } else { json!([]) };
    match entries.entry(property.to_owned()).or_insert(empty) {
        Json::Array(list) => {
            for (key, value) in tags {
                if !list.iter().any(|tag| tag["Key"] == key.as_str()) {
                    list.push(json!({ "Key": key, "Value": value }));
                }
            }
        }
        Json::Object(map) => {
            for (key, value) in tags {
                map.entry(key.clone()).or_insert_with(|| value.as_str().into());
            }
        }
        _ => {}
    }
    properties
}

/// A template by itself as rules look at it: as a fixture stands for one.
#[must_use]
pub fn of_template(file: &str, text: &str) -> Json {
    document(&Template::parse(file, text).0, None, &BTreeMap::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE_TEXT: &str = "
Parameters:
  Name: { Type: String }
  Password: { Type: String, NoEcho: true }
Resources:
  Bucket: { Type: AWS::S3::Bucket, DeletionPolicy: Retain, Properties: { BucketName: !Sub '${Name}-b', Tags: [{ Key: Name, Value: own }] } }
  Nodes: { Type: AWS::EKS::Nodegroup, Properties: { ClusterName: !Ref Bucket, NodeRole: !Ref Password } }
";

    #[test]
    fn parameters_are_put_in_stack_tags_are_inherited_and_secrets_are_not_seen() {
        let inputs = Value::object([
            ("template", "t.yaml".into()),
            ("name", "shop".into()),
            (
                "parameters",
                Value::object([("Name", "shop".into()), ("Password", Value::from("hunter2").with_mark(true))]),
            ),
            ("tags", Value::object([("Name", "stack".into()), ("Project", "shop".into())])),
        ]);
        let documents = BTreeMap::from([(TEMPLATE.to_owned(), Arc::from(TEMPLATE_TEXT))]);
        let found = of(&Desired { inputs, documents, identity: None });
        let [Matter::Template { document, .. }] = found.as_slice() else { panic!("{found:?}") };
        let bucket = &document["Resources"]["Bucket"];
        assert_eq!(bucket["DeletionPolicy"], "Retain");
        assert_eq!(bucket["Properties"]["BucketName"], "shop-b");
        let tags = json!([{ "Key": "Name", "Value": "own" }, { "Key": "Project", "Value": "shop" }]);
        assert_eq!(bucket["Properties"]["Tags"], tags);
        let nodes = &document["Resources"]["Nodes"]["Properties"];
        assert_eq!((&nodes["ClusterName"], &nodes["Tags"]["Project"]), (&json!("${Bucket}"), &json!("shop")));
        assert!(!document.to_string().contains("hunter2"));
    }

    #[test]
    fn a_template_by_itself_has_what_has_a_default() {
        let document = of_template("t.yaml", TEMPLATE_TEXT);
        assert_eq!(document["Resources"]["Bucket"]["Properties"]["BucketName"], "${Name}-b");
    }
}
