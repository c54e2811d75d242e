//! Resolution: conditions first, then every resource and output, with where each value came from.
//!
//! Nothing is looked up here but through the [`Context`].

use super::evaluate::Evaluator;
use crate::{
    base::Diagnostics,
    cfn::{Context, ExprKind, Node, Resolved, ResolvedOutput, ResolvedResource, Source, Template},
};
use std::collections::{BTreeMap, BTreeSet};

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
            None => (None, BTreeSet::new()),
            Some(expr) if matches!(expr.kind, ExprKind::Null) => (None, BTreeSet::new()),
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
                condition: declared.condition.as_ref().map(|c| c.text.clone()),
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
            references,
            certain,
        };
        outputs.insert(name.clone(), output);
    }

    let metadata = template.metadata.as_ref().and_then(|m| evaluator.root(m).0);
    let mut problems = evaluator.finish();
    let resolved = Resolved { resources, outputs, conditions, metadata };
    let cycles = super::order::cycles(&resolved.needs());
    problems.0.extend(cycles.iter().map(|cycle| super::check::circle(template, "resources", cycle)));
    problems.normalize();
    (resolved, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cfn::{Because, Reference};

    const HEAD: &str = "
Parameters:
  Name: { Type: String, Default: web }
  Count: { Type: Number, Default: 3 }
  Subnets: { Type: 'List<AWS::EC2::Subnet::Id>', Default: 'subnet-1, subnet-2' }
  Image: { Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default: /ami/latest }
  Later: { Type: String }
  Secret: { Type: String, NoEcho: true, Default: hunter2 }
Mappings:
  RegionMap: { us-east-1: { HVM64: ami-0ff8a91507f77f867, zones: [a, b] }, eu-west-1: { HVM64: ami-047bb4163c506cd98 } }
Conditions:
  Three: !Equals [!Ref Count, 3]
  Prod: !Equals [!Ref Name, prod]
  Either: !Or [!Condition Three, !Condition Prod]
  Both: !And [!Condition Three, !Condition Prod]
  Waits: !Equals [!Ref Later, x]
  StillFalse: !And [!Condition Waits, !Condition Prod]
Resources:
  Made: { Type: 'AWS::S3::Bucket' }
  New: { Type: 'AWS::S3::Bucket' }
  Absent: { Type: 'AWS::S3::Bucket', Condition: Prod }
  Perhaps: { Type: 'AWS::S3::Bucket', Condition: Waits }
";

    fn resolved(rest: &str) -> (Resolved, Diagnostics) {
        let (template, problems) = Template::parse("t.yaml", &format!("{HEAD}{rest}"));
        assert!(!problems.has_errors(), "{rest}: {problems:?}");
        let mut context = Context::offline("111122223333", "us-east-1", "shop");
        context.zones = ["us-east-1a", "us-east-1b"].map(str::to_owned).to_vec();
        context.ssm_values.insert("/ami/latest".to_owned(), "ami-1".to_owned());
        context.unknown_parameters.insert("Later".to_owned());
        context.notification_arns = vec!["arn:n".to_owned()];
        let attribute = |id: &str, attribute: Option<&str>| {
            (id == "Made").then(|| Node::string(attribute.map_or("made-1".to_owned(), |a| format!("made-1:{a}"))))
        };
        let imports = |name: &str| (name == "net-VpcId").then(|| "vpc-9".to_owned());
        let dynamic = |text: &str| (text == "ssm:/plain").then(|| "p".to_owned());
        let context = Context { attribute: &attribute, imports: &imports, dynamic: &dynamic, ..context };
        template.resolve(&context)
    }

    fn value(expression: &str) -> Node {
        let (resolved, problems) = resolved(&format!("Outputs: {{ O: {{ Value: {expression} }} }}"));
        assert!(problems.is_empty(), "{expression}: {problems:?}");
        resolved.outputs["O"].value.clone()
    }

    #[test]
    fn functions_give_what_the_reference_says() {
        for (expression, expected) in [
            ("!Ref Name", serde_json::json!("web")),
            ("!Ref Count", serde_json::json!("3")),
            ("!Ref Subnets", serde_json::json!(["subnet-1", "subnet-2"])),
            ("!Ref Image", serde_json::json!("ami-1")),
            ("!Ref Made", serde_json::json!("made-1")),
            ("!GetAtt Made.Arn", serde_json::json!("made-1:Arn")),
            ("!Ref AWS::Region", serde_json::json!("us-east-1")),
            ("!Ref AWS::AccountId", serde_json::json!("111122223333")),
            ("!Ref AWS::Partition", serde_json::json!("aws")),
            ("!Ref AWS::URLSuffix", serde_json::json!("amazonaws.com")),
            ("!Ref AWS::StackName", serde_json::json!("shop")),
            ("!Ref AWS::NotificationARNs", serde_json::json!(["arn:n"])),
            ("!Join [':', [a, b, c]]", serde_json::json!("a:b:c")),
            ("!Join ['', ['arn:', !Ref AWS::Partition, ':s3:::', 1]]", serde_json::json!("arn:aws:s3:::1")),
            ("!Join [',', !Ref Subnets]", serde_json::json!("subnet-1,subnet-2")),
            ("!Join [',', [a, !Ref AWS::NoValue, b]]", serde_json::json!("a,b")),
            ("!Select ['1', [apples, grapes, oranges]]", serde_json::json!("grapes")),
            ("!Select [0, !Ref Subnets]", serde_json::json!("subnet-1")),
            ("!Split ['|', 'a|b|c']", serde_json::json!(["a", "b", "c"])),
            ("!Split ['|', 'a||c|']", serde_json::json!(["a", "", "c", ""])),
            ("!Select [2, !Split [',', 'x,y,z']]", serde_json::json!("z")),
            ("!Sub 'arn:${AWS::Partition}:s3:::${Name}-${Made}'", serde_json::json!("arn:aws:s3:::web-made-1")),
            ("!Sub '${Made.Arn}/*'", serde_json::json!("made-1:Arn/*")),
            ("!Sub ['www.${Domain}-${Name}', { Domain: !Ref AWS::Region }]", serde_json::json!("www.us-east-1-web")),
            ("!Sub '${!Literal} ${Count}'", serde_json::json!("${Literal} 3")),
            ("!FindInMap [RegionMap, !Ref AWS::Region, HVM64]", serde_json::json!("ami-0ff8a91507f77f867")),
            ("!Select [1, !FindInMap [RegionMap, us-east-1, zones]]", serde_json::json!("b")),
            ("!Base64 AWS CloudFormation", serde_json::json!("QVdTIENsb3VkRm9ybWF0aW9u")),
            ("!GetAZs ''", serde_json::json!(["us-east-1a", "us-east-1b"])),
            ("!GetAZs us-east-1", serde_json::json!(["us-east-1a", "us-east-1b"])),
            ("!Select [0, !Cidr [192.168.0.0/24, 6, 5]]", serde_json::json!("192.168.0.0/27")),
            ("!Select [1, !Cidr [10.0.0.0/16, !Ref Count, '8']]", serde_json::json!("10.0.1.0/24")),
            ("!Select [1, !Cidr [10.0.0.0/16, 2]]", serde_json::json!("10.0.1.0/24")),
            ("!ImportValue net-VpcId", serde_json::json!("vpc-9")),
            ("!If [Three, yes3, no3]", serde_json::json!("yes3")),
            ("!If [Prod, a, !If [Either, b, c]]", serde_json::json!("b")),
            ("!If [Both, a, b]", serde_json::json!("b")),
            ("!If [StillFalse, a, b]", serde_json::json!("b")),
            ("'x-{{resolve:ssm:/plain}}'", serde_json::json!("x-p")),
            ("{ a: !If [Prod, 1, !Ref AWS::NoValue], b: [!Ref AWS::NoValue, 2] }", serde_json::json!({"b": [2]})),
        ] {
            assert_eq!(value(expression).to_json(), Some(expected), "{expression}");
        }
    }

    #[test]
    fn what_is_not_known_says_what_it_waits_for_and_keeps_its_form() {
        let new = |attribute: Option<&str>| Because::Resource {
            logical_id: "New".to_owned(),
            attribute: attribute.map(str::to_owned),
        };
        let later = || Because::Parameter("Later".to_owned());
        for (expression, because, shape) in [
            ("!Ref New", vec![new(None)], "${New}"),
            ("!GetAtt New.Arn", vec![new(Some("Arn"))], "${New.Arn}"),
            ("!Sub '${New}-${Name}-${Later}'", vec![new(None), later()], "${New}-web-${Later}"),
            ("!Join ['-', [a, !Ref New]]", vec![new(None)], "a-${New}"),
            ("!Select [0, !Split [',', !Ref Later]]", vec![later()], "Fn::Select(0, Fn::Split(\",\", ${Later}))"),
            ("!Base64 { Ref: New }", vec![new(None)], "Fn::Base64(${New})"),
            ("!ImportValue other", vec![Because::Import("other".to_owned())], "${import other}"),
            ("!If [Waits, a, b]", vec![Because::Condition("Waits".to_owned())], "Fn::If(Waits, a, b)"),
            ("!Ref AWS::StackId", vec![Because::Pseudo("AWS::StackId".to_owned())], "${AWS::StackId}"),
            (
                "!Select [0, !GetAZs eu-west-1]",
                vec![Because::Pseudo("AWS::Region".to_owned())],
                "Fn::Select(0, Fn::GetAZs(eu-west-1))",
            ),
            (
                "'{{resolve:secretsmanager:db:SecretString:p}}'",
                vec![Because::Dynamic("secretsmanager:db:SecretString:p".to_owned())],
                "{{resolve:secretsmanager:db:SecretString:p}}",
            ),
        ] {
            assert_eq!(value(expression), Node::unknown_of(because, shape), "{expression}");
        }
        assert_eq!(value("!If [Waits, a, a]"), Node::string("a"));
    }

    #[test]
    fn what_the_service_would_refuse_is_a_problem_with_its_place() {
        for expression in [
            "!Select [3, [a]]",
            "!FindInMap [RegionMap, !Ref Name, HVM64]",
            "!Cidr [10.0.0.0/24, 3, 7]",
            "!Ref Absent",
            "!Sub '${Subnets}'",
        ] {
            let rest = format!("Outputs: {{ O: {{ Value: {expression} }} }}");
            let (_, problems) = resolved(&rest);
            assert_eq!(problems.0.len(), 1, "{expression} {problems:?}");
            let text = format!("{HEAD}{rest}");
            assert_eq!(&text[problems.0[0].labels[0].span.range()], expression);
        }
        // A branch that is not taken asks nothing.
        assert_eq!(value("!If [Prod, !Ref Absent, none]"), Node::string("none"));
    }

    #[test]
    fn conditions_decide_what_there_is() {
        let (resolved, _) = resolved("");
        assert_eq!(resolved.resources.keys().collect::<Vec<_>>(), ["Made", "New", "Perhaps"]);
        assert!(!resolved.resources["Perhaps"].certain && resolved.resources["Made"].certain);
        let decided: Vec<Option<bool>> = resolved.conditions.values().copied().collect();
        assert_eq!(decided, [Some(false), Some(true), Some(false), Some(false), Some(true), None]);
    }

    #[test]
    fn values_remember_where_they_came_from() {
        let (template, _) = Template::parse(
            "t.yaml",
            &format!(
                "{HEAD}  R:\n    Type: AWS::SSM::Parameter\n    DependsOn: New\n    Properties:\n      Type: String\n      Value: !Sub '${{Made.Arn}}'\n      Tags: {{ a: !Ref Secret, b: '{{{{resolve:ssm-secure:/x}}}}' }}\n"
            ),
        );
        let (resolved, problems) = template.resolve(&Context::offline("1", "us-east-1", "s"));
        assert!(problems.is_empty(), "{problems:?}");
        let resource = &resolved.resources["R"];
        let path = |keys: &[&str]| keys.iter().fold(crate::base::Path::default(), |p, k| p.key(k));
        let source = Source::Resource { logical_id: "Made".to_owned(), attribute: Some("Arn".to_owned()) };
        assert!(resource.references.contains(&Reference { path: path(&["Value"]), source }));
        assert_eq!(resource.dependencies(), BTreeSet::from(["Made", "New"]));
        assert!(resource.is_sensitive(&path(&["Tags", "a"])) && resource.is_sensitive(&path(&["Tags", "b"])));
        assert!(resource.is_sensitive(&path(&["Tags"])) && !resource.is_sensitive(&path(&["Value"])));
        let layers = resolved.order();
        assert!(layers[1].contains(&"R".to_owned()), "{layers:?}");
    }

    #[test]
    fn an_output_with_a_secret_is_marked() {
        let (resolved, _) = resolved(
            "Outputs: { O: { Value: !Sub 'x${Secret}', Export: { Name: !Sub '${AWS::StackName}-o' } }, P: { Value: a, Condition: Prod } }",
        );
        assert!(resolved.outputs["O"].sensitive);
        assert_eq!(resolved.outputs["O"].export, Some(Node::string("shop-o")));
        assert!(!resolved.outputs.contains_key("P"));
    }
}
