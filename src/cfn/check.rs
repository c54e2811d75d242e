//! What a template's parts must be to each other: every reference leads somewhere, every function stands where it may,
//! nothing goes in a circle. Looks at the text only; what values can show is for resolution.

use super::{
    order::{Needs, cycles},
    suggest::did_you_mean,
    template::references,
};
use crate::{
    base::{Diagnostic, Diagnostics, Span},
    cfn::{Expr, ExprKind, Function, ResourceDecl, SubPart, Template, context::PSEUDO_PARAMETERS, resource_schema},
};
use std::collections::{BTreeMap, BTreeSet};

/// Checks a whole template.
pub(super) fn check(template: &Template, problems: &mut Diagnostics) {
    let mut check = Check { template, problems };
    check.names();
    for condition in template.conditions.values() {
        check.condition(condition);
    }
    for (id, resource) in &template.resources {
        check.resource(id, resource);
    }
    for output in template.outputs.values() {
        check.condition_name(output.condition.as_ref().map(|c| (c.text.as_str(), &c.span)));
        check.value(&output.value);
        output.export.iter().for_each(|e| check.value(e));
    }
    check.circles();
}

struct Check<'a> {
    template: &'a Template,
    problems: &'a mut Diagnostics,
}

impl Check<'_> {
    fn names(&mut self) {
        let template = self.template;
        let resources = template.resources.iter().map(|(n, r)| (n, &r.span, "logical id"));
        let parameters = template.parameters.iter().map(|(n, p)| (n, &p.span, "parameter's name"));
        let outputs = template.outputs.iter().map(|(n, o)| (n, &o.span, "output's name"));
        for (name, span, what) in resources.chain(parameters).chain(outputs) {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
                self.problems.push(
                    Diagnostic::error("invalid_name", format!("`{name}` is no {what}"))
                        .because("letters and digits are allowed, nothing else")
                        .at(span, ""),
                );
            }
        }
        for (name, parameter) in &template.parameters {
            if let Some(resource) = template.resources.get(name) {
                self.problems.push(
                    Diagnostic::error("duplicate_name", format!("`{name}` is a parameter and a resource"))
                        .because("a Ref could mean either")
                        .at(&resource.span, "the resource")
                        .at(&parameter.span, "the parameter"),
                );
            }
        }
    }

    fn resource(&mut self, id: &str, resource: &ResourceDecl) {
        self.condition_name(resource.condition.as_ref().map(|c| (c.text.as_str(), &c.span)));
        for other in &resource.depends_on {
            if !self.template.resources.contains_key(&other.text) {
                let what = format!("DependsOn names `{}`, which is no resource", other.text);
                let problem = Diagnostic::error("undefined_reference", what).at(&other.span, "");
                self.problems.push(did_you_mean(problem, &other.text, self.template.resources.keys()));
            }
        }
        for (key, policy, allowed) in [
            (
                "DeletionPolicy",
                &resource.deletion_policy,
                &["Delete", "Retain", "Snapshot", "RetainExceptOnCreate"] as &[&str],
            ),
            ("UpdateReplacePolicy", &resource.update_replace_policy, &["Delete", "Retain", "Snapshot"]),
        ] {
            if let Some(policy) = policy
                && !matches!(policy.kind, ExprKind::Function(_))
                && !policy.as_str().is_some_and(|p| allowed.contains(&p))
            {
                let what = format!("the {key} of `{id}` is none");
                let problem = Diagnostic::error("invalid_policy", what);
                self.problems
                    .push(problem.because(format!("it is one of {}", allowed.join(", "))).at(&policy.span, ""));
            }
        }
        for expr in resource.expressions() {
            self.value(expr);
        }
        super::against_schema::check(self.template, id, resource, self.problems);
    }

    fn condition_name(&mut self, name: Option<(&str, &Span)>) {
        let Some((name, span)) = name else { return };
        if !self.template.conditions.contains_key(name) {
            let what = format!("the condition `{name}` is not defined");
            let problem = Diagnostic::error("undefined_condition", what).at(span, "");
            self.problems.push(did_you_mean(problem, name, self.template.conditions.keys()));
        }
    }

    fn undefined(&mut self, name: &str, span: &Span) {
        let known = self.template.parameters.keys().chain(self.template.resources.keys()).map(String::as_str);
        let problem = Diagnostic::error("undefined_reference", format!("`{name}` is not defined"))
            .because("no parameter or resource has this name")
            .at(span, "");
        self.problems.push(did_you_mean(problem, name, known.chain(PSEUDO_PARAMETERS.iter().copied())));
    }

    /// References of one expression and all in it, in a resource or an output.
    fn value(&mut self, root: &Expr) {
        let template = self.template;
        let mut all = Vec::new();
        root.walk(&mut |e| all.push(e));
        for expr in all {
            let ExprKind::Function(function) = &expr.kind else { continue };
            match &**function {
                Function::Ref(name) if !self.is_name(name) => self.undefined(name, &expr.span),
                Function::GetAtt(id, attribute) => {
                    self.attribute(id, attribute.as_str(), &expr.span);
                }
                Function::Sub(parts, variables) => {
                    for part in parts {
                        match part {
                            SubPart::Name(name, span) => {
                                if !self.is_name(name) && variables.iter().all(|(v, _)| v != name) {
                                    self.undefined(name, span);
                                }
                            }
                            SubPart::Attribute(id, attribute, span) => {
                                let whole = format!("{id}.{attribute}");
                                if variables.iter().all(|(v, _)| *v != whole) {
                                    self.attribute(id, Some(attribute), span);
                                }
                            }
                            SubPart::Text(_) => {}
                        }
                    }
                }
                Function::If(name, _, _) | Function::Condition(name) => {
                    self.condition_name(Some((name, &expr.span)));
                }
                Function::FindInMap(map, top, second, default) => {
                    if let Some(name) = map.as_str() {
                        self.mapping(name, top, second, default.is_some(), &map.span);
                    }
                }
                Function::Rule(name, _) => {
                    let what = format!("`{name}` stands outside of Rules");
                    self.problems.push(Diagnostic::error("misplaced_function", what).at(&expr.span, ""));
                }
                Function::And(_) | Function::Or(_) | Function::Not(_) | Function::Equals(..) => {
                    self.problems.push(
                        Diagnostic::error("misplaced_function", "a condition's function stands outside of Conditions")
                            .at(&expr.span, "")
                            .hint("name it under Conditions, and use that name with Fn::If"),
                    );
                }
                Function::Length(_) | Function::ToJsonString(_)
                    if !template.transforms.iter().any(|t| t.text == "AWS::LanguageExtensions") =>
                {
                    self.problems.push(
                        Diagnostic::error("misplaced_function", "this function needs a transform")
                            .at(&expr.span, "")
                            .hint("add Transform: AWS::LanguageExtensions"),
                    );
                }
                _ => {}
            }
        }
    }

    /// A condition: parameters, mappings and other conditions, never a resource.
    fn condition(&mut self, root: &Expr) {
        let template = self.template;
        let mut all = Vec::new();
        root.walk(&mut |e| all.push(e));
        for expr in all {
            let ExprKind::Function(function) = &expr.kind else { continue };
            match &**function {
                Function::Condition(name) | Function::If(name, _, _) => {
                    self.condition_name(Some((name, &expr.span)));
                }
                Function::FindInMap(map, top, second, default) => {
                    if let Some(name) = map.as_str() {
                        self.mapping(name, top, second, default.is_some(), &map.span);
                    }
                }
                Function::GetAtt(..) | Function::ImportValue(_) | Function::Cidr(..) | Function::GetAzs(_) => {
                    self.problems.push(
                        Diagnostic::error("misplaced_function", "a condition cannot use this function")
                            .because("conditions are decided before anything is made or looked up")
                            .at(&expr.span, ""),
                    );
                }
                _ => {
                    for name in references(expr) {
                        if template.resources.contains_key(name) {
                            self.problems.push(
                                Diagnostic::error(
                                    "misplaced_function",
                                    format!("a condition refers to the resource `{name}`"),
                                )
                                .because("conditions are decided before anything is made")
                                .at(&expr.span, ""),
                            );
                        } else if !self.is_name(name) {
                            self.undefined(name, &expr.span);
                        }
                    }
                }
            }
        }
    }

    fn is_name(&self, name: &str) -> bool {
        self.template.parameters.contains_key(name)
            || self.template.resources.contains_key(name)
            || PSEUDO_PARAMETERS.contains(&name)
            // What a macro or a module makes is not in the text.
            || self.template.has_macros()
            || self
                .template
                .resources
                .iter()
                .any(|(id, r)| r.resource_type.ends_with("::MODULE") && name.starts_with(id.as_str()))
    }

    fn attribute(&mut self, id: &str, attribute: Option<&str>, span: &Span) {
        let Some(resource) = self.template.resources.get(id) else {
            if self.template.parameters.contains_key(id) {
                let what = format!("`{id}` is a parameter and has no attributes");
                self.problems.push(Diagnostic::error("undefined_reference", what).at(span, "").hint("use Ref"));
            } else if !self.is_name(id) {
                let problem = Diagnostic::error("undefined_reference", format!("the resource `{id}` is not defined"));
                self.problems.push(did_you_mean(problem.at(span, ""), id, self.template.resources.keys()));
            }
            return;
        };
        let Some(attribute) = attribute else { return };
        let Some(schema) = resource_schema(&resource.resource_type) else { return };
        if !schema.has_attribute(attribute) {
            let what = format!("{} has no attribute `{attribute}`", resource.resource_type);
            let problem = Diagnostic::error("undefined_attribute", what).at(span, "");
            let problem = did_you_mean(problem, attribute, &schema.attributes);
            self.problems.push(if schema.attributes.is_empty() {
                problem.because("it has none at all; Ref gives what identifies it")
            } else {
                problem.because(format!("it has {}", schema.attributes.join(", ")))
            });
        }
    }

    fn mapping(&mut self, name: &str, top: &Expr, second: &Expr, default: bool, span: &Span) {
        let Some(mapping) = self.template.mappings.get(name) else {
            if !default {
                let what = format!("the mapping `{name}` is not defined");
                let problem = Diagnostic::error("undefined_mapping", what).at(span, "");
                self.problems.push(did_you_mean(problem, name, self.template.mappings.keys()));
            }
            return;
        };
        let mut missing = |key: &str, at: &Span, keys: Vec<&String>| {
            let what = format!("the mapping `{name}` has no key `{key}`");
            self.problems.push(did_you_mean(Diagnostic::error("undefined_mapping_key", what).at(at, ""), key, keys));
        };
        if default {
            return;
        }
        match top.as_str() {
            Some(key) => match mapping.entries.get(key) {
                None => missing(key, &top.span, mapping.entries.keys().collect()),
                Some(inner) => {
                    if let Some(key) = second.as_str().filter(|k| !inner.contains_key(*k)) {
                        missing(key, &second.span, inner.keys().collect());
                    }
                }
            },
            None => {
                if let Some(key) = second.as_str()
                    && mapping.entries.values().all(|inner| !inner.contains_key(key))
                {
                    let keys: BTreeSet<&String> = mapping.entries.values().flat_map(BTreeMap::keys).collect();
                    missing(key, &second.span, keys.into_iter().collect());
                }
            }
        }
    }

    fn circles(&mut self) {
        let template = self.template;
        // With macros the text is not the last word on who needs whom.
        let resources = if template.has_macros() { Needs::new() } else { template.firm_dependencies() };
        for (what, needs) in [("resources", resources), ("conditions", template.condition_needs())] {
            self.problems.0.extend(cycles(&needs).iter().map(|cycle| circle(template, what, cycle)));
        }
    }
}

/// The diagnostic for one cycle, shown whole.
pub(super) fn circle(template: &Template, what: &str, cycle: &[String]) -> Diagnostic {
    let round: Vec<&str> = cycle.iter().chain(cycle.first()).map(String::as_str).collect();
    let mut problem = Diagnostic::error("dependency_cycle", format!("{what} depend on each other in a circle"))
        .because(round.join(" needs "));
    for name in cycle {
        let resource = template.resources.get(name).map(|r| &r.span);
        if let Some(span) = resource.or_else(|| template.conditions.get(name).map(|c| &c.span)) {
            problem = problem.at(span, "");
        }
    }
    if what == "resources" {
        let hint = "move one of the references into a resource of its own, such as AWS::EC2::SecurityGroupIngress";
        problem = problem.hint(hint);
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<Diagnostic> {
        Template::parse("t.yaml", text).1.0
    }

    /// The one problem with this code, as `span text | summary | detail | hint`.
    fn check(text: &str, code: &str) -> String {
        let all = problems(text);
        let found: Vec<&Diagnostic> = all.iter().filter(|d| d.code == code).collect();
        assert_eq!(found.len(), 1, "{code} in {text}: {all:#?}");
        let at = found[0].labels.first().map_or("", |l| &text[l.span.range()]);
        format!("{at} | {} | {} | {}", found[0].summary, found[0].detail, found[0].hint.as_deref().unwrap_or(""))
    }

    const BUCKET: &str = "Resources: { B: { Type: 'AWS::S3::Bucket' }";

    #[test]
    fn every_reference_leads_somewhere_or_says_what_was_meant() {
        for (rest, code, at, hint) in [
            ("}\nOutputs: { O: { Value: !Ref Bb } }", "undefined_reference", "!Ref Bb", "did you mean `B`?"),
            (
                "}\nOutputs: { O: { Value: !Ref AWS::Regio } }", // spellchecker:disable-line
                "undefined_reference",
                "!Ref AWS::Regio", // spellchecker:disable-line
                "did you mean `AWS::Region`?",
            ),
            (
                "}\nOutputs: { O: { Value: !Sub 'x-${Q}' } }",
                "undefined_reference",
                "!Sub 'x-${Q}'",
                "did you mean `B`?",
            ),
            (
                "}\nOutputs: { O: { Value: !GetAtt C.Arn } }",
                "undefined_reference",
                "!GetAtt C.Arn",
                "did you mean `B`?",
            ),
            (
                "}\nOutputs: { O: { Value: !GetAtt B.Arnn } }",
                "undefined_attribute",
                "!GetAtt B.Arnn",
                "did you mean `Arn`?",
            ),
            (
                "}\nOutputs: { O: { Value: !Sub '${B.Arm}' } }",
                "undefined_attribute",
                "!Sub '${B.Arm}'",
                "did you mean `Arn`?",
            ),
            (
                "}\nOutputs: { O: { Value: x, Condition: Cc } }\nConditions: { C: !Equals [1, 1] }",
                "undefined_condition",
                "Cc",
                "did you mean `C`?",
            ),
            (
                "}\nOutputs: { O: { Value: !If [D, 1, 2] } }\nConditions: { C: !Equals [1, 1] }",
                "undefined_condition",
                "!If [D, 1, 2]",
                "did you mean `C`?",
            ),
            (", D: { Type: 'AWS::S3::Bucket', DependsOn: X } }", "undefined_reference", "X", "did you mean `B`?"),
            (
                "}\nMappings: { M: { a: { b: 1 } } }\nOutputs: { O: { Value: !FindInMap [N, a, b] } }",
                "undefined_mapping",
                "N",
                "did you mean `M`?",
            ),
            (
                "}\nMappings: { M: { a: { b: 1 } } }\nOutputs: { O: { Value: !FindInMap [M, a, c] } }",
                "undefined_mapping_key",
                "c",
                "did you mean `b`?",
            ),
            (
                "}\nMappings: { M: { a: { b: 1 } } }\nOutputs: { O: { Value: !FindInMap [M, !Ref AWS::Region, c] } }",
                "undefined_mapping_key",
                "c",
                "did you mean `b`?",
            ),
        ] {
            let found = check(&format!("{BUCKET}{rest}"), code);
            assert!(found.starts_with(&format!("{at} | ")), "{rest}: {found}");
            assert!(found.ends_with(hint), "{rest}: {found}");
        }
    }

    #[test]
    fn a_cycle_is_shown_whole() {
        let text = "
Resources:
  A: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: !Ref B } }
  B: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: !Sub '${C.GroupId}' } }
  C: { Type: 'AWS::EC2::SecurityGroup', DependsOn: [A], Properties: { GroupDescription: x } }
Conditions:
  X: !Not [!Condition Y]
  Y: !Not [!Condition X]
";
        let cycles: Vec<String> =
            problems(text).into_iter().filter(|d| d.code == "dependency_cycle").map(|d| d.detail).collect();
        assert_eq!(cycles, ["A needs B needs C needs A", "X needs Y needs X"]);
    }

    #[test]
    fn a_circle_that_a_condition_may_break_is_judged_when_it_is_decided() {
        let text = "
Parameters: { P: { Type: String } }
Conditions: { C: !Equals [!Ref P, x] }
Resources:
  A: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: !If [C, !Ref B, a] } }
  B: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: !If [C, b, !Ref A] } }
  D: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: !If [C, !Ref D, a] } }
";
        let (template, problems) = Template::parse("t.yaml", text);
        assert!(problems.is_empty());
        for (value, expected) in [("x", vec!["D needs D"]), ("y", vec![])] {
            let mut context = crate::cfn::Context::offline("1", "us-east-1", "s");
            context.parameters.insert("P".to_owned(), value.to_owned());
            let (_, problems) = template.resolve(&context);
            assert_eq!(problems.iter().map(|d| d.detail.as_str()).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn sections_declarations_and_policies_are_what_the_anatomy_says() {
        for (text, code, at) in [
            ("Resource: {}\nResources: {}", "unknown_section", "Resource"),
            ("AWSTemplateFormatVersion: 2010-09-10\nResources: {}", "template_version", "2010-09-10"),
            ("Parameters: {}", "no_resources", "Parameters: {}"),
            ("Resources: { B: { Properties: {} } }", "missing_type", "B"),
            ("Resources: { B: { Type: Bucket } }", "unknown_resource_type", "Bucket"),
            ("Resources: { B: { Type: 'AWS::S3::Buket' } }", "unknown_resource_type", "'AWS::S3::Buket'"),
            ("Resources: { B: { Type: 'AWS::S3::Bucket', Propertys: {} } }", "unknown_attribute", "Propertys"), // spellchecker:disable-line
            ("Resources: { B: { Type: 'AWS::S3::Bucket', Properties: { Name: x } } }", "unknown_property", "Name"),
            ("Resources: { B: { Type: 'AWS::EC2::Subnet' } }", "missing_property", "B"),
            ("Resources: { B: { Type: 'AWS::S3::Bucket', DeletionPolicy: Keep } }", "invalid_policy", "Keep"),
            ("Resources: { B-1: { Type: 'AWS::S3::Bucket' } }", "invalid_name", "B-1"),
            (
                "Parameters: { B: { Type: String } }\nResources: { B: { Type: 'AWS::S3::Bucket' } }",
                "duplicate_name",
                "B",
            ),
            ("Resources: { B: { Type: 'AWS::S3::Bucket' } }\nOutputs: { O: { Description: x } }", "missing_value", "O"),
            ("Resources: [1]", "template_shape", "[1]"),
            ("Resources: { B: 1 }", "template_shape", "1"),
            ("- 1", "template_shape", "- 1"),
        ] {
            let found = check(text, code);
            assert!(found.starts_with(&format!("{at} | ")), "{text}: {found}");
        }
    }

    #[test]
    fn a_function_with_the_wrong_arguments_says_what_it_takes() {
        for function in [
            "!Join [',']",
            "!Join [1, [a]]",
            "!Join [',', abc]",
            "!Select [a, [b]]",
            "!Select [0]",
            "!Split ['', a]",
            "!If [C, 1]",
            "!If [[C], 1, 2]",
            "!FindInMap [M, a]",
            "!FindInMap [M, a, b, c]",
            "!Cidr [10.0.0.0/16]",
            "!Sub '${'",
            "!Sub [a, b, c]",
            "!Sub '${a b}'",
            "!GetAtt B",
            "!GetAtt [B, c, d]",
            "!Base64 [a]",
            "!ImportValue [a]",
            "!Ref [a]",
            "!Transform { Parameters: {} }",
            "!GetAZs [a]",
        ] {
            check(&format!("{BUCKET}}}\nOutputs: {{ O: {{ Value: {function} }} }}"), "wrong_arguments");
        }
    }

    #[test]
    fn a_function_in_the_wrong_place_is_refused() {
        for text in [
            format!("{BUCKET}}}\nOutputs: {{ O: {{ Value: !Equals [1, 1] }} }}"),
            format!("{BUCKET}}}\nOutputs: {{ O: {{ Value: !Length [1, 1] }} }}"),
            format!("{BUCKET}}}\nOutputs: {{ O: {{ Value: !Contains [[a], a] }} }}"),
            format!("{BUCKET}}}\nConditions: {{ C: !Equals [!Ref B, 1] }}"),
            format!("{BUCKET}}}\nConditions: {{ C: !Equals [!GetAtt B.Arn, 1] }}"),
        ] {
            check(&text, "misplaced_function");
        }
        check(&format!("{BUCKET}}}\nOutputs: {{ O: {{ Value: {{ 'Fn::Subb': x }} }} }}"), "unknown_function");
        check(&format!("{BUCKET}}}\nOutputs: {{ O: {{ Value: {{ 'Fn::Sub': x, y: 1 }} }} }}"), "function_not_alone");
    }

    #[test]
    fn all_problems_come_at_once_and_in_the_order_of_the_text() {
        let text = "Resourcez: {}\nResources:\n  A: { Type: 'AWS::S3::Bucket', Properties: { BucketName: !Join [','] } }\n  B: { Properties: {} }\n  C: { Type: 'AWS::S3::Bucket', DependsOn: Z }\n";
        let all = problems(text);
        let codes: Vec<&str> = all.iter().map(|d| &*d.code).collect();
        assert_eq!(codes, ["unknown_section", "wrong_arguments", "missing_type", "undefined_reference"]);
    }

    #[test]
    fn an_iam_condition_is_no_function() {
        let text = "
Resources:
  R:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{ Effect: Allow, Action: 'sts:AssumeRole', Condition: { StringEquals: { a: b } } }]
";
        assert_eq!(problems(text), []);
    }

    #[test]
    fn what_a_macro_may_make_is_not_called_missing() {
        let text = "Transform: AWS::Serverless-2016-10-31\nResources: { F: { Type: 'AWS::Serverless::Function' } }\nOutputs: { O: { Value: !GetAtt FRole.Arn }, P: { Value: !Ref FVersion } }";
        assert_eq!(problems(text), []);
    }

    proptest::proptest! {
        #[test]
        fn no_template_makes_it_panic(
            text in "(Resources|Outputs|Parameters|Mappings|Conditions|Rules|Transform|Metadata):( |\n  )(\\{|- |A:|\\[)?(Type|Value|Ref|Fn::Sub|Fn::If|Properties|Default)?:? ?[!A-Za-z:${}\\[\\], '\"\n.-]{0,60}"
        ) {
            let (template, _) = Template::parse("t.yaml", &text);
            let _ = template.resolve(&crate::cfn::Context::offline("0", "r", "s"));
            let _ = (template.order(), template.capabilities(), template.to_json());
            let _ = template.check_parameters(&BTreeMap::new());
        }
    }
}
