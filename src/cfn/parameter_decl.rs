//! Reads the declaration of one parameter, and checks that its constraints and its default fit each other.

use super::{
    lower::{known_keys, shape, string},
    suggest::did_you_mean,
    syntax::{Tree, TreeKind},
};
use crate::{
    base::{Diagnostic, Diagnostics, Span},
    cfn::{ParameterDecl, ParameterType},
};

const KEYS: &[&str] = &[
    "Type",
    "Default",
    "Description",
    "NoEcho",
    "AllowedValues",
    "AllowedPattern",
    "MinLength",
    "MaxLength",
    "MinValue",
    "MaxValue",
    "ConstraintDescription",
];

const TYPES: &[&str] = &[
    "String",
    "Number",
    "List<Number>",
    "CommaDelimitedList",
    "AWS::EC2::AvailabilityZone::Name",
    "AWS::EC2::Image::Id",
    "AWS::EC2::Instance::Id",
    "AWS::EC2::KeyPair::KeyName",
    "AWS::EC2::SecurityGroup::GroupName",
    "AWS::EC2::SecurityGroup::Id",
    "AWS::EC2::Subnet::Id",
    "AWS::EC2::VPC::Id",
    "AWS::EC2::Volume::Id",
    "AWS::Route53::HostedZone::Id",
    "AWS::SSM::Parameter::Name",
    "AWS::SSM::Parameter::Value<String>",
    "List<AWS::EC2::SecurityGroup::Id>",
    "List<AWS::EC2::Subnet::Id>",
    "List<AWS::EC2::AvailabilityZone::Name>",
    "AWS::SSM::Parameter::Value<List<String>>",
    "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
];

/// Reads a declaration; `None` where it has no usable type.
pub(super) fn read(name: &str, at: &Span, tree: &Tree, problems: &mut Diagnostics) -> Option<ParameterDecl> {
    if !matches!(tree.kind, TreeKind::Object(_)) {
        shape(tree, &format!("the parameter {name} must be an object with a Type, not {}", tree.what()), problems);
        return None;
    }
    known_keys(tree, "a parameter", KEYS, problems);
    let Some(type_tree) = tree.get("Type") else {
        let problem = Diagnostic::error("missing_type", format!("the parameter `{name}` has no Type"));
        problems.push(problem.at(at, "").hint("such as Type: String"));
        return None;
    };
    let written = string(type_tree, "Type", problems)?;
    let Some(parameter_type) = ParameterType::parse(&written) else {
        let problem = Diagnostic::error("parameter_type", format!("there is no parameter type `{written}`"));
        problems.push(did_you_mean(problem.at(&type_tree.span, ""), &written, TYPES));
        return None;
    };
    let mut text = |key: &str| tree.get(key).and_then(|t| string(t, key, problems));
    let (description, constraint_description) = (text("Description"), text("ConstraintDescription"));
    let (default, allowed_pattern) = (text("Default"), text("AllowedPattern"));
    let no_echo = match text("NoEcho").as_deref() {
        None => false,
        Some(t) if t.eq_ignore_ascii_case("true") => true,
        Some(t) if t.eq_ignore_ascii_case("false") => false,
        Some(_) => {
            shape(tree.get("NoEcho").unwrap_or(tree), "NoEcho is true or false", problems);
            // What may be a secret is treated as one.
            true
        }
    };
    let declared = ParameterDecl {
        span: at.clone(),
        no_echo,
        allowed_values: allowed_values(tree, problems),
        allowed_pattern,
        min_length: number(tree, "MinLength", problems),
        max_length: number(tree, "MaxLength", problems),
        min_value: number(tree, "MinValue", problems),
        max_value: number(tree, "MaxValue", problems),
        parameter_type,
        default,
        constraint_description,
        description,
    };
    pattern(&declared, tree, problems);
    consistent(name, &declared, tree, problems);
    Some(declared)
}

fn allowed_values(tree: &Tree, problems: &mut Diagnostics) -> Vec<String> {
    match tree.get("AllowedValues") {
        None => Vec::new(),
        Some(Tree { kind: TreeKind::Array(items), .. }) => {
            items.iter().filter_map(|t| string(t, "an allowed value", problems)).collect()
        }
        Some(other) => {
            shape(other, "AllowedValues must be a list", problems);
            Vec::new()
        }
    }
}

fn number<T: std::str::FromStr>(tree: &Tree, key: &str, problems: &mut Diagnostics) -> Option<T> {
    let found = tree.get(key)?;
    let number = found.scalar().and_then(|text| text.parse().ok());
    if number.is_none() {
        shape(found, &format!("{key} must be a number"), problems);
    }
    number
}

/// The service's expressions are Java's; one that is none of ours is left to it.
fn pattern(declared: &ParameterDecl, tree: &Tree, problems: &mut Diagnostics) {
    let Some(pattern) = &declared.allowed_pattern else { return };
    if regex::Regex::new(pattern).is_err() {
        let span = tree.get("AllowedPattern").map_or(&declared.span, |t| &t.span);
        problems.push(
            Diagnostic::warning("parameter_pattern", "this AllowedPattern cannot be checked here")
                .because("it is no regular expression that Terrace can run; the service will judge the values")
                .at(span, ""),
        );
    }
}

/// Whether the declaration can be met at all, by its own default first.
fn consistent(name: &str, declared: &ParameterDecl, tree: &Tree, problems: &mut Diagnostics) {
    let mut bad = |key: &str, why: String| {
        let span = tree.entry(key).map_or(&declared.span, |(at, _)| at);
        let what = format!("the parameter `{name}` is badly declared");
        problems.push(Diagnostic::error("parameter_declaration", what).because(why).at(span, ""));
    };
    let numeric = matches!(declared.parameter_type, ParameterType::Number | ParameterType::NumberList);
    if !numeric && (declared.min_value.is_some() || declared.max_value.is_some()) {
        bad("MinValue", "MinValue and MaxValue are for numbers".to_owned());
    }
    if matches!((declared.min_value, declared.max_value), (Some(min), Some(max)) if min > max) {
        bad("MinValue", "MinValue is above MaxValue".to_owned());
    }
    if matches!((declared.min_length, declared.max_length), (Some(min), Some(max)) if min > max) {
        bad("MinLength", "MinLength is above MaxLength".to_owned());
    }
    let (default, no_echo) = (declared.default.clone(), declared.no_echo);
    if let Some(default) = default {
        let mut found = Diagnostics::new();
        declared.check(name, &default, &mut found);
        for problem in &found {
            let shown = if no_echo { "its Default".to_owned() } else { format!("its Default `{default}`") };
            bad("Default", format!("{shown} is not allowed: {}", problem.detail));
        }
    }
}
