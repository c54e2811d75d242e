//! Resolution: conditions first, then every resource and output, with where each value came from.
//!
//! Nothing is looked up here but through the [`Context`].

use super::evaluate::Evaluator;
use crate::{
    base::Diagnostics,
    cfn::{Context, ExprKind, Node, Resolved, ResolvedOutput, ResolvedResource, Source, Template},
};
use std::collections::BTreeMap;

/// Resolves a template.
pub(super) fn resolve(template: &Template, context: &Context<'_>) -> (Resolved, Diagnostics) {
    let mut evaluator = Evaluator::new(template, context);
    let names: Vec<&String> = template.conditions.keys().collect();
    let conditions: BTreeMap<String, Option<bool>> =
        names.into_iter().map(|name| (name.clone(), evaluator.condition_named(name))).collect();

    let mut resources = BTreeMap::new();
    for (id, declared) in &template.resources {
        let certain = match declared.condition.as_ref().map(|c| evaluator.condition_named(&c.text)) {
            Some(Some(false)) => continue,
            Some(None) => false,
            Some(Some(true)) | None => true,
        };
        let mut value = |expr: &Option<crate::cfn::Expr>| expr.as_ref().and_then(|e| evaluator.root(e).0);
        let (creation_policy, update_policy, metadata) =
            (value(&declared.creation_policy), value(&declared.update_policy), value(&declared.metadata));
        let mut policy = |expr| value(expr).and_then(|node: Node| node.scalar());
        let (deletion_policy, update_replace_policy) =
            (policy(&declared.deletion_policy), policy(&declared.update_replace_policy));
        let (properties, references) = match &declared.properties {
            None => (None, Default::default()),
            Some(expr) if matches!(expr.kind, ExprKind::Null) => (None, Default::default()),
            Some(expr) => evaluator.root(expr),
        };
        let depends_on = declared.depends_on.iter().map(|d| d.text.clone()).collect();
        resources.insert(
            id.clone(),
            ResolvedResource {
                resource_type: declared.resource_type.clone(),
                properties: properties.unwrap_or_else(|| Node::Object(BTreeMap::new())),
                depends_on,
                deletion_policy,
                update_replace_policy,
                creation_policy,
                update_policy,
                metadata,
                references,
                certain,
            },
        );
    }

    let mut outputs = BTreeMap::new();
    for (name, declared) in &template.outputs {
        let certain = match declared.condition.as_ref().map(|c| evaluator.condition_named(&c.text)) {
            Some(Some(false)) => continue,
            Some(None) => false,
            Some(Some(true)) | None => true,
        };
        let (value, references) = evaluator.root(&declared.value);
        let export = declared.export.as_ref().and_then(|e| evaluator.root(e).0);
        let output = ResolvedOutput {
            value: value.unwrap_or(Node::Null),
            export,
            description: declared.description.clone(),
            sensitive: references.iter().any(|r| Source::is_sensitive(&r.source)),
            certain,
        };
        outputs.insert(name.clone(), output);
    }

    let metadata = template.metadata.as_ref().and_then(|m| evaluator.root(m).0);
    let mut problems = evaluator.finish();
    problems.normalize();
    (Resolved { resources, outputs, conditions, metadata }, problems)
}
