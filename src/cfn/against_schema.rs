//! A resource against the schema of its type: does the type exist, do its properties, are the required ones there.
//!
//! Warnings only, because the service may be ahead of the data that Terrace carries.

use super::{schema, suggest::did_you_mean};
use crate::{
    base::{Diagnostic, Diagnostics, Span},
    cfn::{Expr, ExprKind, ResourceDecl, Template, resource_schema},
};

/// Checks one resource.
pub(super) fn check(template: &Template, id: &str, resource: &ResourceDecl, problems: &mut Diagnostics) {
    let type_name = resource.resource_type.as_str();
    if type_name.is_empty() || schema::is_custom(type_name) || template.has_macros() {
        return;
    }
    let Some(schema) = resource_schema(type_name) else {
        if type_name.starts_with("AWS::") && template.transforms.is_empty() {
            let what = format!("the resource type `{type_name}` is not known here");
            let problem = Diagnostic::warning("unknown_resource_type", what)
                .because("the schemas that Terrace carries do not have it, so its changes cannot be foretold")
                .at(&resource.type_span, "");
            problems.push(did_you_mean(problem, type_name, schema::resource_types()));
        } else if !type_name.contains("::") {
            let what = format!("`{type_name}` is no resource type");
            problems.push(Diagnostic::error("unknown_resource_type", what).at(&resource.type_span, ""));
        }
        return;
    };
    let written: &[(String, Span, Expr)] = match resource.properties.as_ref().map(|p| &p.kind) {
        None | Some(ExprKind::Null) => &[],
        Some(ExprKind::Object(entries)) => entries,
        Some(_) => return,
    };
    for (name, at, _) in written {
        if !schema.properties.contains_key(name) && name != "Fn::Transform" && !name.starts_with("Fn::ForEach") {
            let what = format!("{type_name} has no property `{name}`");
            let problem = Diagnostic::warning("unknown_property", what).at(at, "");
            problems.push(did_you_mean(problem, name, schema.properties.keys()));
        }
    }
    if written.iter().any(|(name, _, _)| name.starts_with("Fn::")) {
        return;
    }
    for name in &schema.required {
        if !written.iter().any(|(n, _, _)| n == name) {
            let what = format!("`{id}` lacks the property {name}, which {type_name} requires");
            problems.push(Diagnostic::warning("missing_property", what).at(&resource.span, ""));
        }
    }
}
