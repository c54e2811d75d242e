//! From a tree to a template: sections and declarations, with every problem on the way.

use super::{
    intrinsic::{Place, expression},
    suggest::did_you_mean,
    syntax::{Tree, TreeKind},
};
use crate::{
    base::{Diagnostic, Diagnostics, Span},
    cfn::{Expr, Mapping, OutputDecl, ResourceDecl, Rule, RuleAssertion, Spanned, Template},
};
use std::collections::BTreeMap;

const SECTIONS: &[&str] = &[
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
    "Globals",
    "Hooks",
];

/// Lowers a document. What is malformed is left out and reported.
pub(super) fn lower(file: &str, tree: Tree, problems: &mut Diagnostics) -> Template {
    let mut template = Template {
        file: file.into(),
        description: None,
        metadata: None,
        parameters: BTreeMap::new(),
        rules: BTreeMap::new(),
        mappings: BTreeMap::new(),
        conditions: BTreeMap::new(),
        transforms: Vec::new(),
        resources: BTreeMap::new(),
        outputs: BTreeMap::new(),
        tree,
    };
    let broken = problems.has_errors();
    let tree = template.tree.clone();
    let TreeKind::Object(sections) = &tree.kind else {
        if !broken {
            let what = format!("the template is {}, not an object", tree.what());
            let at = Span::new(file, tree.span.range());
            problems.push(Diagnostic::error("template_shape", what).at(&at, "").hint("begin with `Resources:`"));
        }
        return template;
    };
    // What a macro takes away again is no mistake of the template.
    template.transforms = tree.get("Transform").map(|t| transforms(t, problems)).unwrap_or_default();
    let macros = template.has_macros();
    for (name, at, section) in sections {
        match name.as_str() {
            "AWSTemplateFormatVersion" => {
                if section.as_str() != Some("2010-09-09") {
                    problems.push(
                        Diagnostic::error("template_version", "this template version does not exist")
                            .at(&section.span, "")
                            .hint("write AWSTemplateFormatVersion: \"2010-09-09\""),
                    );
                }
            }
            "Description" => template.description = string(section, name, problems),
            "Metadata" => template.metadata = Some(expression(section, Place::Literal, problems)),
            "Parameters" => each(section, name, problems, |name, at, tree, problems| {
                if let Some(parameter) = super::parameter_decl::read(name, at, tree, problems) {
                    template.parameters.insert(name.to_owned(), parameter);
                }
            }),
            "Mappings" => each(section, name, problems, |name, at, tree, problems| {
                if let Some(mapping) = mapping(name, at, tree, problems) {
                    template.mappings.insert(name.to_owned(), mapping);
                }
            }),
            "Conditions" => each(section, name, problems, |name, _, tree, problems| {
                template.conditions.insert(name.to_owned(), expression(tree, Place::Condition, problems));
            }),
            "Rules" => each(section, name, problems, |name, at, tree, problems| {
                template.rules.insert(name.to_owned(), rule(at, tree, problems));
            }),
            "Resources" => each(section, name, problems, |name, at, tree, problems| {
                if let Some(resource) = resource(name, at, tree, macros, problems) {
                    template.resources.insert(name.to_owned(), resource);
                }
            }),
            "Outputs" => each(section, name, problems, |name, at, tree, problems| {
                if let Some(output) = output(name, at, tree, problems) {
                    template.outputs.insert(name.to_owned(), output);
                }
            }),
            "Transform" | "Globals" | "Hooks" => {}
            _ if macros => {}
            _ => {
                let problem =
                    Diagnostic::error("unknown_section", format!("a template has no section `{name}`")).at(at, "");
                problems.push(did_you_mean(problem, name, SECTIONS));
            }
        }
    }
    if tree.get("Resources").is_none() && !broken {
        let what = "the template has no Resources";
        problems.push(
            Diagnostic::error("no_resources", what).because("a stack is made of at least one").at(&tree.span, ""),
        );
    }
    template
}

/// Calls `take` with every named part of a section.
fn each(
    section: &Tree,
    name: &str,
    problems: &mut Diagnostics,
    mut take: impl FnMut(&str, &Span, &Tree, &mut Diagnostics),
) {
    match &section.kind {
        TreeKind::Object(entries) => {
            for (key, at, tree) in entries {
                if key.starts_with("Fn::ForEach") || key == "Fn::Transform" {
                    problems.push(
                        Diagnostic::warning("macro_not_expanded", format!("what `{key}` makes is not seen here"))
                            .because("only the service expands it, when a change set is made")
                            .at(at, ""),
                    );
                } else {
                    take(key, at, tree, problems);
                }
            }
        }
        TreeKind::Null => {}
        _ => shape(section, &format!("{name} must be an object of names, not {}", section.what()), problems),
    }
}

pub(super) fn shape(tree: &Tree, what: &str, problems: &mut Diagnostics) {
    problems.push(Diagnostic::error("template_shape", what).at(&tree.span, ""));
}

/// Reports keys that the declaration does not have.
pub(super) fn known_keys(tree: &Tree, what: &str, keys: &[&str], problems: &mut Diagnostics) {
    let TreeKind::Object(entries) = &tree.kind else { return };
    for (key, at, _) in entries {
        if !keys.contains(&key.as_str()) && !key.starts_with("Fn::") {
            let problem = Diagnostic::error("unknown_attribute", format!("{what} has no `{key}`")).at(at, "");
            problems.push(did_you_mean(problem, key, keys));
        }
    }
}

pub(super) fn string(tree: &Tree, what: &str, problems: &mut Diagnostics) -> Option<String> {
    let text = tree.scalar();
    if text.is_none() {
        shape(tree, &format!("{what} must be a string, not {}", tree.what()), problems);
    }
    text
}

fn transforms(tree: &Tree, problems: &mut Diagnostics) -> Vec<Spanned> {
    let items = if let TreeKind::Array(items) = &tree.kind { items.as_slice() } else { std::slice::from_ref(tree) };
    let mut all = Vec::new();
    for item in items {
        let inner = item.get("Fn::Transform").unwrap_or(item);
        match inner.as_str().or_else(|| inner.get("Name").and_then(Tree::as_str)) {
            Some(name) => all.push(Spanned { text: name.to_owned(), span: item.span.clone() }),
            None => shape(item, "Transform names a macro, or has its Name and Parameters", problems),
        }
    }
    all
}

fn mapping(name: &str, at: &Span, tree: &Tree, problems: &mut Diagnostics) -> Option<Mapping> {
    let TreeKind::Object(tops) = &tree.kind else {
        shape(tree, &format!("the mapping {name} must be an object of objects"), problems);
        return None;
    };
    let mut entries = BTreeMap::new();
    for (top, at, inner) in tops {
        let TreeKind::Object(seconds) = &inner.kind else {
            if top != "Fn::Transform" {
                shape(inner, &format!("under `{top}` of the mapping {name} must stand an object"), problems);
            }
            continue;
        };
        let _ = at;
        let values = seconds.iter().map(|(k, _, t)| (k.clone(), expression(t, Place::Literal, problems))).collect();
        entries.insert(top.clone(), values);
    }
    Some(Mapping { span: at.clone(), entries })
}

fn rule(at: &Span, tree: &Tree, problems: &mut Diagnostics) -> Rule {
    known_keys(tree, "a rule", &["RuleCondition", "Assertions"], problems);
    let condition = tree.get("RuleCondition").map(|t| expression(t, Place::Condition, problems));
    let mut assertions = Vec::new();
    if let Some(TreeKind::Array(items)) = tree.get("Assertions").map(|t| &t.kind) {
        for item in items {
            let Some(assert) = item.get("Assert") else {
                shape(item, "an assertion must have Assert", problems);
                continue;
            };
            let description = item.get("AssertDescription").and_then(Tree::as_str).unwrap_or_default().to_owned();
            assertions.push(RuleAssertion { assert: expression(assert, Place::Condition, problems), description });
        }
    } else {
        shape(tree, "a rule must have a list of Assertions", problems);
    }
    Rule { span: at.clone(), condition, assertions }
}

fn resource(name: &str, at: &Span, tree: &Tree, macros: bool, problems: &mut Diagnostics) -> Option<ResourceDecl> {
    if !matches!(tree.kind, TreeKind::Object(_)) {
        shape(tree, &format!("the resource {name} must be an object with a Type, not {}", tree.what()), problems);
        return None;
    }
    if !macros {
        known_keys(
            tree,
            "a resource",
            &[
                "Type",
                "Properties",
                "DependsOn",
                "Condition",
                "DeletionPolicy",
                "UpdateReplacePolicy",
                "CreationPolicy",
                "UpdatePolicy",
                "Metadata",
                "Version",
            ],
            problems,
        );
    }
    let (resource_type, type_span) = match tree.get("Type") {
        None => {
            problems.push(
                Diagnostic::error("missing_type", format!("the resource `{name}` has no Type"))
                    .at(at, "")
                    .hint("such as Type: AWS::S3::Bucket"),
            );
            (String::new(), at.clone())
        }
        Some(found) => (string(found, "Type", problems).unwrap_or_default(), found.span.clone()),
    };
    let mut value = |key: &str| tree.get(key).map(|t| expression(t, Place::Value, problems));
    let properties = value("Properties");
    let (deletion_policy, update_replace_policy) = (value("DeletionPolicy"), value("UpdateReplacePolicy"));
    let (creation_policy, update_policy, metadata) =
        (value("CreationPolicy"), value("UpdatePolicy"), value("Metadata"));
    if let Some(Tree { kind: TreeKind::String(_) | TreeKind::Array(_) | TreeKind::Number(_), .. }) =
        tree.get("Properties")
    {
        shape(tree.get("Properties").unwrap_or(tree), "Properties must be an object", problems);
    }
    Some(ResourceDecl {
        span: at.clone(),
        resource_type,
        type_span,
        properties,
        depends_on: tree.get("DependsOn").map(|t| names(t, "DependsOn", problems)).unwrap_or_default(),
        condition: tree.get("Condition").and_then(|t| name_of(t, "Condition", problems)),
        deletion_policy,
        update_replace_policy,
        creation_policy,
        update_policy,
        metadata,
    })
}

fn names(tree: &Tree, what: &str, problems: &mut Diagnostics) -> Vec<Spanned> {
    match &tree.kind {
        TreeKind::Array(items) => items.iter().filter_map(|t| name_of(t, what, problems)).collect(),
        _ => name_of(tree, what, problems).into_iter().collect(),
    }
}

fn name_of(tree: &Tree, what: &str, problems: &mut Diagnostics) -> Option<Spanned> {
    let text = tree.as_str();
    if text.is_none() {
        shape(tree, &format!("{what} must be a name, not {}", tree.what()), problems);
    }
    text.map(|text| Spanned { text: text.to_owned(), span: tree.span.clone() })
}

fn output(name: &str, at: &Span, tree: &Tree, problems: &mut Diagnostics) -> Option<OutputDecl> {
    known_keys(tree, "an output", &["Value", "Description", "Export", "Condition"], problems);
    let Some(value) = tree.get("Value") else {
        let what = format!("the output `{name}` has no Value");
        problems.push(Diagnostic::error("missing_value", what).at(at, ""));
        return None;
    };
    let export = tree.get("Export").and_then(|export| {
        let name = export.get("Name");
        if name.is_none() {
            shape(export, "Export must have a Name", problems);
        }
        name.map(|name| expression(name, Place::Value, problems))
    });
    let value: Expr = expression(value, Place::Value, problems);
    Some(OutputDecl {
        span: at.clone(),
        value,
        description: tree.get("Description").and_then(|t| string(t, "Description", problems)).unwrap_or_default(),
        export,
        condition: tree.get("Condition").and_then(|t| name_of(t, "Condition", problems)),
    })
}
