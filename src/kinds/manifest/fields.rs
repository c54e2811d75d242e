//! Single fields of objects: put back alone, taken for right, and found in what is written.
//!
//! An apply by one manager is about everything that this manager owns, and what it no longer sends is taken away. So what is
//! sent is what we own as it is live, and on it the named fields as they are declared: those, and nothing else, move. Source:
//! "Server-Side Apply", field management.

use crate::{
    base::{Path, SourceMap, Span, Step as PathStep, Value},
    kinds::{
        Applied, Context, Desired, FieldChange, FieldName, Step, graft,
        manifest::{
            desired::{known_objects, references},
            live::{Types, exports, objects, ours, owns},
            operation::{Sending, no_type},
            place, wait,
        },
        objects::clean,
        ownership::named,
        parse_path,
    },
    lang::ast::{Body, Expr, Node, ObjectKey},
    world::{Class, Failure, ObjectRef, Outcome},
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Puts back these fields of these objects.
pub(super) async fn put_back(
    context: &Context,
    step: &Step<'_>,
    desired: &Desired,
    parts: &BTreeMap<Arc<str>, Vec<Option<Path>>>,
) -> Outcome<Applied> {
    let identity = step.identity.cloned().or_else(|| desired.identity.clone()).unwrap_or(Json::Null);
    let wanted = known_objects(&desired.inputs);
    let all: BTreeSet<ObjectRef> =
        references(&identity).into_iter().chain(wanted.iter().map(|(_, reference, _)| reference.clone())).collect();
    let all: Vec<ObjectRef> = all.into_iter().collect();
    let types = Types::of(context, all.iter()).await?;
    let mut there = objects(context, &types, &all).await?;
    let sending = Sending { context, types: &types, force: false };
    let mut made = BTreeMap::new();
    for (part, paths) in parts {
        let Some((_, reference, object)) = wanted.iter().find(|(_, r, _)| r.to_string() == **part) else {
            let what = "it is not declared, or a part of it is not known";
            return Err(Failure::new(Class::Invalid, "apply", part.to_string(), what).hint("plan again"));
        };
        types.resolved(reference).ok_or_else(|| no_type(reference))?;
        let live = there.get(reference);
        let body = match live {
            Some(live) => graft::grafted(what_we_own(live), &clean(object), paths),
            None => object.clone(),
        };
        let (reference, done) = sending.one(reference, &body, live, false).await?;
        made.insert(reference, done);
    }
    if desired.inputs.get("wait").and_then(Value::as_bool).unwrap_or(true) {
        made = wait::ready(context, made).await?;
    }
    there.extend(made);
    let hidden = context.former.hidden(Some(&desired.inputs), step.observed.map(|o| &o.inputs));
    let count: usize = parts.values().map(Vec::len).sum();
    let note = if count == 1 { "1 field put back".to_owned() } else { format!("{count} fields put back") };
    Ok(Applied { identity, exports: exports(&there, there.values().next(), &hidden), note })
}

/// What an apply of ours has to send, so that it changes nothing.
fn what_we_own(live: &Json) -> Json {
    if owns(live) { ours(live) } else { named(json!({}), live) }
}

/// The objects that were applied last, with a field as somebody made it, or without an object.
pub(super) fn take_over(inputs: &Value, part: &str, field: Option<&FieldChange>) -> Option<Value> {
    let key: Arc<str> = part.into();
    inputs.get("objects")?.get(&key)?;
    let mut path = vec![PathStep::Key(Arc::from("objects")), PathStep::Key(key)];
    let with = match field {
        Some(field) => {
            path.extend(parse_path(&field.path)?.0);
            field.after.as_ref()
        }
        None => None,
    };
    graft::put_named(inputs, &path, with)
}

/// Where a field of an object is written: in `object`, else in the YAML files that the plan was made from.
pub(super) fn written_at(body: &Body, texts: &SourceMap, field: &FieldName) -> Vec<Span> {
    let path = FieldName { part: None, ..field.clone() }.as_path();
    if let Some(object) = body.attributes.get("object") {
        return in_block(&object.expr, &path.0).into_iter().collect();
    }
    let Some(part) = field.part.as_deref() else { return Vec::new() };
    let is_yaml = |name: &str| [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
    texts
        .iter()
        .filter(|(name, _)| is_yaml(name))
        .filter_map(|(name, text)| Some(Span::new(name.clone(), place::value_of(text, part, &path)?)))
        .collect()
}

fn in_block(expr: &Expr, path: &[PathStep]) -> Option<Span> {
    let Some((step, rest)) = path.split_first() else { return Some(expr.span.clone()) };
    let text = |expr: &Expr| match &expr.node {
        Node::Literal(value) => value.as_str().map(str::to_owned),
        _ => None,
    };
    let entry = |entries: &'_ [(ObjectKey, Expr)], name: &str| {
        entries.iter().position(|(key, _)| match key {
            ObjectKey::Name(word) => **word == *name,
            ObjectKey::Expr(key) => text(key).as_deref() == Some(name),
        })
    };
    match (&expr.node, step) {
        (Node::Object(entries), PathStep::Key(name)) => in_block(&entries[entry(entries, name)?].1, rest),
        (Node::Tuple(items), PathStep::Index(at)) => in_block(items.get(*at)?, rest),
        (Node::Tuple(items), PathStep::Key(name)) => {
            let is = |item: &&Expr| match &item.node {
                Node::Object(entries) => {
                    entry(entries, "name").and_then(|at| text(&entries[at].1)).as_deref() == Some(&**name)
                }
                _ => false,
            };
            in_block(items.iter().find(is)?, rest)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, path: &str) -> Option<String> {
        let (body, problems) = crate::lang::parse::parse_file(text, &"a.hcl".into());
        assert!(problems.0.is_empty(), "{problems:?}");
        let field = FieldName { part: Some("Deployment shop/web".into()), path: Some(path.into()) };
        let mut texts = SourceMap::default();
        texts.insert("a.hcl".into(), text.into());
        texts.insert("other.yaml".into(), YAML.replace("name: web\n  n", "name: api\n  n").into());
        texts.insert("web.yaml".into(), YAML.into());
        let spans = written_at(&body, &texts, &field);
        let [span] = spans.as_slice() else { return None };
        Some(format!("{}: {}", span.file, texts.text(&span.file)?.get(span.range())?))
    }

    const YAML: &str = "kind: Deployment
apiVersion: apps/v1
metadata:
  name: web
  namespace: shop
spec:
  replicas: 2
  template: { spec: { containers: [{ name: web, image: 'web:1' }] } }
";

    #[test]
    fn a_field_is_found_in_its_block_or_in_the_one_file_that_has_its_object() {
        let block = "object = {
  spec = {
    replicas = 2
    \"min\" = var.x
    containers = [{ name = \"a\" }, { name = \"web\", image = \"web:1\" }]
  }
}
";
        assert_eq!(found(block, "spec.replicas").as_deref(), Some("a.hcl: 2"));
        assert_eq!(found(block, "spec.min").as_deref(), Some("a.hcl: var.x"));
        assert_eq!(found(block, "spec.containers.web.image").as_deref(), Some("a.hcl: \"web:1\""));
        assert_eq!(found(block, "spec.paused"), None);
        let yaml = "yaml = \"web.yaml\"\n";
        assert_eq!(found(yaml, "spec.replicas").as_deref(), Some("web.yaml: 2"));
        assert_eq!(found(yaml, "spec.template.spec.containers.web.image").as_deref(), Some("web.yaml: 'web:1'"));
        assert_eq!(found(yaml, "spec.template"), None, "only a literal can be written over");
    }
}
