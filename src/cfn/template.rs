//! A template as it was read: its sections, with the place of every part.
//!
//! [`Template::parse`] never fails: what cannot be read becomes a diagnostic, and the rest is there all the same.

use crate::{
    base::{Diagnostics, Path, Span},
    cfn::{Context, Expr, ExprKind, Function, ParameterDecl, Resolved, order::Needs, syntax::Tree},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A text with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// One CloudFormation template.
#[derive(Debug, Clone)]
pub struct Template {
    /// The file, as spans name it.
    pub file: Arc<str>,
    /// Description.
    pub description: Option<String>,
    /// Metadata.
    pub metadata: Option<Expr>,
    /// Parameters by name.
    pub parameters: BTreeMap<String, ParameterDecl>,
    /// Rules by name.
    pub rules: BTreeMap<String, Rule>,
    /// Mappings by name.
    pub mappings: BTreeMap<String, Mapping>,
    /// Conditions by name.
    pub conditions: BTreeMap<String, Expr>,
    /// Names of the macros in Transform.
    pub transforms: Vec<Spanned>,
    /// Resources by logical id.
    pub resources: BTreeMap<String, ResourceDecl>,
    /// Outputs by name.
    pub outputs: BTreeMap<String, OutputDecl>,
    pub(super) tree: Tree,
}

/// A resource as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDecl {
    /// The place of its logical id.
    pub span: Span,
    /// Such as `AWS::EC2::Subnet`; empty where it is missing.
    pub resource_type: String,
    /// The place of the type.
    pub type_span: Span,
    /// Properties.
    pub properties: Option<Expr>,
    /// DependsOn.
    pub depends_on: Vec<Spanned>,
    /// Condition.
    pub condition: Option<Spanned>,
    /// DeletionPolicy.
    pub deletion_policy: Option<Expr>,
    /// UpdateReplacePolicy.
    pub update_replace_policy: Option<Expr>,
    /// CreationPolicy.
    pub creation_policy: Option<Expr>,
    /// UpdatePolicy.
    pub update_policy: Option<Expr>,
    /// Metadata.
    pub metadata: Option<Expr>,
}

/// An output as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputDecl {
    /// The place of its name.
    pub span: Span,
    /// The value.
    pub value: Expr,
    /// Description.
    pub description: String,
    /// `Export.Name`.
    pub export: Option<Expr>,
    /// Condition.
    pub condition: Option<Spanned>,
}

/// A two-level table of literal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The place of its name.
    pub span: Span,
    /// First key, second key, value.
    pub entries: BTreeMap<String, BTreeMap<String, Expr>>,
}

/// A rule over parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The place of its name.
    pub span: Span,
    /// When it holds; always, where `None`.
    pub condition: Option<Expr>,
    /// What must be true.
    pub assertions: Vec<RuleAssertion>,
}

/// One assertion of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAssertion {
    /// What must be true.
    pub assert: Expr,
    /// What to say where it is not.
    pub description: String,
}

impl Template {
    /// Reads YAML or JSON. All problems at once; the template holds whatever could be understood.
    ///
    /// Never panics; texts nested deeper than 100 levels are refused with a diagnostic.
    pub fn parse(file: &str, text: &str) -> (Self, Diagnostics) {
        let (tree, mut problems) = super::syntax::read(file, text);
        let broken = problems.has_errors();
        let template = super::lower::lower(file, tree, &mut problems);
        if !broken {
            super::check::check(&template, &mut problems);
        }
        problems.normalize();
        (template, problems)
    }

    /// Works out conditions, functions and pseudo parameters. A problem that only values can show (an index out of
    /// range, a missing map key) is a diagnostic, and the value an unknown.
    pub fn resolve(&self, context: &Context<'_>) -> (Resolved, Diagnostics) {
        super::resolve::resolve(self, context)
    }

    /// What each resource needs of the same template, by Ref, GetAtt, Sub and DependsOn, whatever the conditions.
    pub fn dependencies(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.needs(|expr, see| expr.walk(see))
    }

    /// As [`Self::dependencies`], without what only a branch of `Fn::If` asks for.
    pub(super) fn firm_dependencies(&self) -> Needs {
        self.needs(walk_firm)
    }

    fn needs(&self, walk: for<'e> fn(&'e Expr, &mut dyn FnMut(&'e Expr))) -> Needs {
        let of = |resource: &ResourceDecl| {
            let mut of: BTreeSet<String> = resource.depends_on.iter().map(|d| d.text.clone()).collect();
            for expr in resource.expressions() {
                walk(expr, &mut |e| of.extend(references(e).into_iter().map(str::to_owned)));
            }
            of.retain(|name| self.resources.contains_key(name));
            of
        };
        self.resources.iter().map(|(id, resource)| (id.clone(), of(resource))).collect()
    }

    /// Which other conditions each condition asks for.
    pub(super) fn condition_needs(&self) -> Needs {
        let of = |expr: &Expr| {
            let mut of = BTreeSet::new();
            expr.walk(&mut |e| {
                if let ExprKind::Function(function) = &e.kind
                    && let Function::Condition(other) | Function::If(other, _, _) = &**function
                {
                    of.insert(other.clone());
                }
            });
            of
        };
        self.conditions.iter().map(|(name, expr)| (name.clone(), of(expr))).collect()
    }

    /// The place of a logical id, or of the nearest part of a path within its Properties that the template writes.
    /// `None` where no resource, output, parameter, condition or mapping has that name.
    pub fn span_of(&self, logical_id: &str, path: Option<&Path>) -> Option<Span> {
        self.tree.span_of(logical_id, path)
    }

    /// The template as JSON in the long form, functions as `Fn::…` objects.
    pub fn to_json(&self) -> serde_json::Value {
        self.tree.to_json()
    }

    /// True where a macro makes more of the template than its text says.
    pub(super) fn has_macros(&self) -> bool {
        self.transforms.iter().any(|t| t.text != "AWS::LanguageExtensions")
    }

    pub(super) fn has_inline_transform(&self) -> bool {
        let mut found = false;
        for resource in self.resources.values() {
            for expr in resource.expressions() {
                expr.walk(&mut |e| {
                    if let ExprKind::Function(f) = &e.kind {
                        found |= matches!(**f, Function::Transform(..));
                    }
                });
            }
        }
        found
    }
}

impl ResourceDecl {
    /// Its expressions that may hold references.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        [
            &self.properties,
            &self.creation_policy,
            &self.update_policy,
            &self.metadata,
            &self.deletion_policy,
            &self.update_replace_policy,
        ]
        .into_iter()
        .flatten()
    }
}

fn walk_firm<'e>(expr: &'e Expr, see: &mut dyn FnMut(&'e Expr)) {
    if let ExprKind::Function(function) = &expr.kind
        && matches!(**function, Function::If(..))
    {
        return;
    }
    see(expr);
    for child in expr.children() {
        walk_firm(child, see);
    }
}

/// Names that one expression refers to directly, parameters and pseudo parameters included.
pub(super) fn references(expr: &Expr) -> Vec<&str> {
    use super::SubPart;
    let ExprKind::Function(function) = &expr.kind else { return Vec::new() };
    match &**function {
        Function::Ref(name) | Function::GetAtt(name, _) => vec![name],
        Function::Sub(parts, variables) => parts
            .iter()
            .filter_map(|part| match part {
                SubPart::Name(name, _) if variables.iter().all(|(v, _)| v != name) => Some(name.as_str()),
                SubPart::Attribute(id, attribute, _)
                    if variables.iter().all(|(v, _)| *v != format!("{id}.{attribute}")) =>
                {
                    Some(id.as_str())
                }
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}
