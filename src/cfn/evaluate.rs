//! Evaluates expressions of a template against a context: functions, conditions, references.
//!
//! Used by [`resolve`](super::resolve) and by the rules. A problem becomes a diagnostic and the value an unknown.

use super::{
    context::{Context, url_suffix_of},
    dynamic_reference, function,
    order::layers,
    parameter::split_list,
};
use crate::{
    base::{Diagnostic, Diagnostics, Path, Span},
    cfn::{
        Because, Expr, ExprKind, Function, Node, ParameterDecl, ParameterType, Reference, Source, SubPart, Template,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// State of one resolution.
pub(super) struct Evaluator<'a> {
    pub(super) template: &'a Template,
    context: &'a Context<'a>,
    /// Conditions that are decided.
    pub(super) conditions: BTreeMap<String, Option<bool>>,
    /// Conditions that are being decided, so that a circle ends.
    pub(super) deciding: BTreeSet<String>,
    /// Where the value that is worked out stands.
    pub(super) path: Path,
    /// Where its parts came from.
    pub(super) references: BTreeSet<Reference>,
    problems: Diagnostics,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(template: &'a Template, context: &'a Context<'a>) -> Self {
        let mut evaluator = Self {
            template,
            context,
            conditions: BTreeMap::new(),
            deciding: BTreeSet::new(),
            path: Path::default(),
            references: BTreeSet::new(),
            problems: Diagnostics::new(),
        };
        // In order of need, so that a long chain of conditions does not nest as deep.
        for name in layers(&template.condition_needs()).iter().flatten() {
            evaluator.condition_named(name);
        }
        evaluator
    }

    /// What went wrong on the way.
    pub(super) fn finish(self) -> Diagnostics {
        self.problems
    }

    /// One whole value, with where its parts came from. `None` is `AWS::NoValue`.
    pub(super) fn root(&mut self, expr: &Expr) -> (Option<Node>, BTreeSet<Reference>) {
        self.path = Path::default();
        self.references.clear();
        let mut node = self.value(expr);
        if let Some(node) = &mut node {
            let lookup = self.context.dynamic;
            dynamic_reference::fill(node, &mut Path::default(), lookup, &mut self.references);
        }
        (node, std::mem::take(&mut self.references))
    }

    pub(super) fn refuse(&mut self, span: &Span, why: impl Into<String>) -> Node {
        let problem = Diagnostic::error("template_value", "the service would refuse this value");
        let secret = self.references.iter().any(|r| r.path == self.path && r.source.is_sensitive());
        let why = if secret { "it holds a secret, so no more is said".to_owned() } else { why.into() };
        self.problems.push(problem.because(why).at(span, ""));
        Node::unknown(Because::Invalid)
    }

    fn note(&mut self, source: Source) {
        self.references.insert(Reference { path: self.path.clone(), source });
    }

    /// The value of an expression; `None` is `AWS::NoValue`.
    fn value(&mut self, expr: &Expr) -> Option<Node> {
        Some(match &expr.kind {
            ExprKind::Null => Node::Null,
            ExprKind::Bool(b) => Node::Bool(*b),
            ExprKind::Number(n) => Node::Number(n.clone()),
            ExprKind::String(s) => Node::String(s.clone()),
            ExprKind::Array(items) => {
                let mut all = Vec::new();
                for item in items {
                    let outer = self.path.clone();
                    self.path = outer.index(all.len());
                    all.extend(self.value(item));
                    self.path = outer;
                }
                Node::Array(all)
            }
            ExprKind::Object(entries) => {
                let mut all = BTreeMap::new();
                for (key, _, value) in entries {
                    let outer = self.path.clone();
                    self.path = outer.key(key);
                    if let Some(value) = self.value(value) {
                        all.insert(key.clone(), value);
                    }
                    self.path = outer;
                }
                Node::Object(all)
            }
            ExprKind::Function(function) => return self.function(function, &expr.span),
        })
    }

    /// An argument, in which `AWS::NoValue` makes no sense and counts as null.
    pub(super) fn argument(&mut self, expr: &Expr) -> Node {
        self.value(expr).unwrap_or(Node::Null)
    }

    pub(super) fn function(&mut self, function: &Function, span: &Span) -> Option<Node> {
        let outcome = match function {
            Function::Ref(name) if name == "AWS::NoValue" => return None,
            Function::Ref(name) => return self.reference(name, span),
            Function::GetAtt(id, attribute) => match self.argument(attribute) {
                Node::String(attribute) => return Some(self.attribute(id, Some(&attribute), span)),
                unknown @ Node::Unknown(_) => Ok(unknown),
                _ => Err("the attribute must be a string".to_owned()),
            },
            Function::Sub(parts, variables) => {
                let mut filled = Vec::new();
                for part in parts {
                    filled.push(self.sub_part(part, variables, span));
                }
                function::concat(&filled)
            }
            Function::Join(delimiter, list) => {
                let (delimiter, list) = (self.argument(delimiter), self.argument(list));
                function::join(&delimiter, &list)
            }
            Function::Select(index, list) => {
                let (index, list) = (self.argument(index), self.argument(list));
                function::select(&index, &list)
            }
            Function::Split(delimiter, text) => {
                let (delimiter, text) = (self.argument(delimiter), self.argument(text));
                function::split(&delimiter, &text)
            }
            Function::If(name, yes, no) => return self.choose(name, yes, no),
            Function::Equals(..) | Function::And(_) | Function::Or(_) | Function::Not(_) | Function::Condition(_) => {
                return Some(match self.decide_function(function, span) {
                    Some(b) => Node::Bool(b),
                    None => Node::unknown(Because::Condition("of this value".to_owned())),
                });
            }
            Function::FindInMap(map, top, second, default) => self.find(map, top, second, default.as_ref()),
            Function::ImportValue(name) => match self.argument(name) {
                Node::Unknown(unknown) => {
                    Ok(Node::unknown_of(unknown.because, format!("Fn::ImportValue({})", unknown.shape)))
                }
                name => match name.scalar() {
                    None => Err(format!("it takes the name of an export, not {}", function::kind(&name))),
                    Some(name) => {
                        self.note(Source::Import(name.clone()));
                        let found = (self.context.imports)(&name);
                        Ok(found.map_or_else(|| Node::unknown(Because::Import(name)), Node::String))
                    }
                },
            },
            Function::StackOutput(arguments) => {
                let arguments = self.argument(arguments);
                let text = |key: &str| arguments.get(key).map(function::shape).unwrap_or_default();
                let mut because = arguments.waits_for();
                because.insert(Because::Import(format!("{}.{}", text("StackName"), text("OutputName"))));
                let shape = format!("Fn::GetStackOutput({}, {})", text("StackName"), text("OutputName"));
                Ok(Node::unknown_of(because, shape))
            }
            Function::Cidr(block, count, bits) => {
                let (block, count) = (self.argument(block), self.argument(count));
                let bits = bits.as_ref().map(|b| self.argument(b));
                function::cidr(&block, &count, bits.as_ref())
            }
            Function::Base64(text) => function::base64(&self.argument(text)),
            Function::GetAzs(region) => Ok(self.zones(region)),
            Function::Length(list) => function::length(&self.argument(list)),
            Function::ToJsonString(value) => function::to_json_string(&self.argument(value)),
            Function::Transform(name, parameters) => {
                let parameters = self.argument(parameters);
                let mut because = parameters.waits_for();
                because.insert(Because::Transform(name.clone()));
                Ok(Node::unknown_of(because, format!("Fn::Transform({name}, {})", parameters.to_json_shown())))
            }
            Function::Rule(name, _) | Function::Unsupported(name) => {
                // Reported when it was read.
                Ok(Node::unknown_of([Because::Invalid], name.clone()))
            }
        };
        Some(outcome.unwrap_or_else(|why| self.refuse(span, why)))
    }

    fn sub_part(&mut self, part: &SubPart, variables: &[(String, Expr)], span: &Span) -> Node {
        let variable = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, e)| e);
        match part {
            SubPart::Text(text) => Node::String(text.clone()),
            SubPart::Name(name, _) => match variable(name) {
                Some(expr) => self.argument(expr),
                None if name == "AWS::NoValue" => Node::String(String::new()),
                None => self.reference(name, span).unwrap_or(Node::Null),
            },
            SubPart::Attribute(id, attribute, _) => match variable(&format!("{id}.{attribute}")) {
                Some(expr) => self.argument(expr),
                None => self.attribute(id, Some(attribute), span),
            },
        }
    }

    fn choose(&mut self, name: &str, yes: &Expr, no: &Expr) -> Option<Node> {
        match self.condition_named(name) {
            Some(true) => self.value(yes),
            Some(false) => self.value(no),
            None => {
                let (yes, no) = (self.value(yes), self.value(no));
                if yes == no {
                    return yes;
                }
                let text = |node: &Option<Node>| node.as_ref().map_or("AWS::NoValue".to_owned(), function::shape);
                let shape = format!("Fn::If({name}, {}, {})", text(&yes), text(&no));
                Some(Node::unknown_of([Because::Condition(name.to_owned())], shape))
            }
        }
    }

    fn find(&mut self, map: &Expr, top: &Expr, second: &Expr, default: Option<&Expr>) -> function::Outcome {
        let keys = [self.argument(map), self.argument(top), self.argument(second)];
        if keys.iter().any(Node::is_unknown) {
            let because: BTreeSet<Because> = keys.iter().flat_map(Node::waits_for).collect();
            let inside = keys.iter().map(function::shape).collect::<Vec<_>>().join(", ");
            return Ok(Node::unknown_of(because, format!("Fn::FindInMap({inside})")));
        }
        let [map, top, second] = keys.map(|k| k.scalar().unwrap_or_default());
        let found = self.template.mappings.get(&map).and_then(|m| m.entries.get(&top)).and_then(|m| m.get(&second));
        match (found, default) {
            (Some(value), _) => Ok(self.argument(value)),
            (None, Some(default)) => Ok(self.argument(default)),
            (None, None) => Err(format!("the mapping {map} has no value under {top}, {second}")),
        }
    }

    fn zones(&mut self, region: &Expr) -> Node {
        let region = self.argument(region);
        let name = match region.scalar() {
            Some(name) if !name.is_empty() => name,
            Some(_) => self.context.region.clone(),
            None => function::shape(&region),
        };
        if name == self.context.region && !self.context.zones.is_empty() {
            return Node::Array(self.context.zones.iter().map(Node::string).collect());
        }
        let mut because = region.waits_for();
        because.insert(Because::Pseudo("AWS::Region".to_owned()));
        Node::unknown_of(because, format!("Fn::GetAZs({name})"))
    }

    /// What Ref gives; `None` is `AWS::NoValue`.
    fn reference(&mut self, name: &str, span: &Span) -> Option<Node> {
        let context = self.context;
        // A rule is judged without an account; what is not given is unknown.
        let given = |value: &str| {
            if value.is_empty() { Node::unknown(Because::Pseudo(name.to_owned())) } else { Node::string(value) }
        };
        Some(match name {
            "AWS::AccountId" => given(&context.account),
            "AWS::Region" => given(&context.region),
            "AWS::Partition" | "AWS::URLSuffix" if context.region.is_empty() => given(""),
            "AWS::Partition" => given(&context.partition),
            "AWS::StackName" => given(&context.stack_name),
            "AWS::URLSuffix" => given(url_suffix_of(&context.partition)),
            "AWS::NotificationARNs" => Node::Array(context.notification_arns.iter().map(Node::string).collect()),
            "AWS::StackId" => match &context.stack_id {
                Some(id) => Node::string(id),
                None => Node::unknown(Because::Pseudo(name.to_owned())),
            },
            "AWS::NoValue" => return None,
            _ => match self.template.parameters.get(name) {
                Some(declared) => self.parameter(name, declared),
                None => self.attribute(name, None, span),
            },
        })
    }

    fn parameter(&mut self, name: &str, declared: &ParameterDecl) -> Node {
        self.note(Source::Parameter { name: name.to_owned(), no_echo: declared.no_echo });
        let unknown = || Node::unknown(Because::Parameter(name.to_owned()));
        if self.context.unknown_parameters.contains(name) {
            return unknown();
        }
        let Some(given) = self.context.parameters.get(name).or(declared.default.as_ref()) else { return unknown() };
        let typed = |parameter_type: &ParameterType, text: &str| {
            if parameter_type.is_list() {
                Node::Array(split_list(text).into_iter().map(Node::string).collect())
            } else {
                Node::string(text)
            }
        };
        match &declared.parameter_type {
            ParameterType::SsmValue(inner) => match self.context.ssm_values.get(given) {
                Some(value) => typed(inner, value),
                None => Node::unknown_of([Because::Dynamic(format!("ssm:{given}"))], format!("${{{name}}}")),
            },
            other => typed(other, given),
        }
    }

    fn attribute(&mut self, id: &str, attribute: Option<&str>, span: &Span) -> Node {
        let because = Because::Resource { logical_id: id.to_owned(), attribute: attribute.map(str::to_owned) };
        let Some(resource) = self.template.resources.get(id) else {
            // Reported by the check, or made by a macro.
            return Node::unknown(because);
        };
        if let Some(condition) = &resource.condition
            && self.condition_named(&condition.text) == Some(false)
        {
            let why = format!("it refers to {id}, which is left out because the condition {} is false", condition.text);
            return self.refuse(span, why);
        }
        self.note(Source::Resource { logical_id: id.to_owned(), attribute: attribute.map(str::to_owned) });
        (self.context.attribute)(id, attribute).unwrap_or_else(|| Node::unknown(because))
    }
}
