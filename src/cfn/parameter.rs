//! Parameters: their declarations, and whether given values meet them before any service is asked.

use crate::{
    base::{Diagnostic, Diagnostics, Span},
    cfn::{Template, suggest::did_you_mean},
};
use std::collections::{BTreeMap, BTreeSet};

/// The type of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterType {
    /// `String`.
    String,
    /// `Number`.
    Number,
    /// `List<Number>`.
    NumberList,
    /// `CommaDelimitedList`, also as `List<String>`.
    CommaDelimitedList,
    /// An AWS-specific type such as `AWS::EC2::VPC::Id`; a string.
    Aws(String),
    /// A list of an AWS-specific type, by the element's type.
    AwsList(String),
    /// `AWS::SSM::Parameter::Name`: a name in the Parameter Store, passed on as it is.
    SsmName,
    /// `AWS::SSM::Parameter::Value<...>`: a name in the Parameter Store whose value is used, by the value's type.
    SsmValue(Box<Self>),
}

impl ParameterType {
    /// Reads a type; `None` where there is no such type.
    pub fn parse(text: &str) -> Option<Self> {
        let inside = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix('>');
        Some(match text {
            "String" => Self::String,
            "Number" => Self::Number,
            "List<Number>" => Self::NumberList,
            "CommaDelimitedList" | "List<String>" => Self::CommaDelimitedList,
            "AWS::SSM::Parameter::Name" => Self::SsmName,
            _ => {
                if let Some(inner) = inside("AWS::SSM::Parameter::Value<") {
                    match inner {
                        "String" => Self::SsmValue(Box::new(Self::String)),
                        "List<String>" | "CommaDelimitedList" => Self::SsmValue(Box::new(Self::CommaDelimitedList)),
                        _ => match Self::parse(inner)? {
                            inner @ (Self::Aws(_) | Self::AwsList(_)) => Self::SsmValue(Box::new(inner)),
                            _ => return None,
                        },
                    }
                } else if let Some(inner) = inside("List<") {
                    is_aws(inner).then(|| Self::AwsList(inner.to_owned()))?
                } else {
                    is_aws(text).then(|| Self::Aws(text.to_owned()))?
                }
            }
        })
    }

    /// True where a Ref to it gives a list.
    pub fn is_list(&self) -> bool {
        match self {
            Self::NumberList | Self::CommaDelimitedList | Self::AwsList(_) => true,
            Self::SsmValue(inner) => inner.is_list(),
            _ => false,
        }
    }
}

/// The AWS-specific types of the user guide. A new one of the same form passes too: the service knows best.
fn is_aws(text: &str) -> bool {
    text.starts_with("AWS::")
        && text.split("::").count() >= 3
        && text.split("::").all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// A parameter as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterDecl {
    /// The place of its name.
    pub span: Span,
    /// Type.
    pub parameter_type: ParameterType,
    /// Default.
    pub default: Option<String>,
    /// NoEcho: the value must not be shown.
    pub no_echo: bool,
    /// AllowedValues; empty means any.
    pub allowed_values: Vec<String>,
    /// AllowedPattern, anchored at both ends.
    pub allowed_pattern: Option<String>,
    /// MinLength, in characters.
    pub min_length: Option<u64>,
    /// MaxLength, in characters.
    pub max_length: Option<u64>,
    /// MinValue.
    pub min_value: Option<f64>,
    /// MaxValue.
    pub max_value: Option<f64>,
    /// ConstraintDescription.
    pub constraint_description: Option<String>,
    /// Description.
    pub description: Option<String>,
}

impl Template {
    /// Whether these values, with the defaults, are what the template's parameters and rules ask for. Names the
    /// parameter, never the value of a `NoEcho` one.
    pub fn check_parameters(&self, given: &BTreeMap<String, String>) -> Diagnostics {
        self.check_known_parameters(given, &BTreeSet::new())
    }

    /// As [`Self::check_parameters`], where the values of some are given later and are not judged yet.
    pub fn check_known_parameters(&self, given: &BTreeMap<String, String>, later: &BTreeSet<String>) -> Diagnostics {
        let mut problems = Diagnostics::new();
        for name in given.keys().chain(later) {
            if !self.parameters.contains_key(name) {
                let problem = Diagnostic::error("unknown_parameter", format!("the template has no parameter `{name}`"))
                    .because("CloudFormation refuses a parameter that the template does not declare");
                problems.push(did_you_mean(problem, name, self.parameters.keys()));
            }
        }
        for (name, declared) in &self.parameters {
            if later.contains(name) {
                continue;
            }
            match given.get(name).or(declared.default.as_ref()) {
                None => problems.push(
                    Diagnostic::error("missing_parameter", format!("the template's parameter `{name}` has no value"))
                        .because("it has no Default, so a value must be given")
                        .at(&declared.span, "declared here"),
                ),
                Some(value) => declared.check(name, value, &mut problems),
            }
        }
        if later.is_empty() && !problems.has_errors() {
            super::rules::check(self, given, &mut problems);
        }
        problems.normalize();
        problems
    }
}

impl ParameterDecl {
    /// Whether one value meets the declaration.
    pub(super) fn check(&self, name: &str, value: &str, problems: &mut Diagnostics) {
        let mut refuse = |why: String| {
            let shown = if self.no_echo { String::new() } else { format!(" `{value}`") };
            let mut problem = Diagnostic::error(
                "parameter_constraint",
                format!("the value{shown} of the parameter `{name}` is not allowed"),
            )
            .because(why)
            .at(&self.span, "declared here");
            if let Some(text) = &self.constraint_description {
                problem = problem.hint(text.clone());
            }
            problems.push(problem);
        };
        // A parameter of an SSM type is given a name; its constraints are about the name.
        let listed = matches!(
            self.parameter_type,
            ParameterType::NumberList | ParameterType::CommaDelimitedList | ParameterType::AwsList(_)
        );
        let items: Vec<&str> = if listed { split_list(value) } else { vec![value] };
        let numeric = matches!(self.parameter_type, ParameterType::Number | ParameterType::NumberList);
        for item in items {
            if numeric {
                match item.parse::<f64>() {
                    Ok(n) if n.is_finite() => {
                        if let Some(min) = self.min_value.filter(|min| n < *min) {
                            refuse(format!("it must be at least {min}"));
                        }
                        if let Some(max) = self.max_value.filter(|max| n > *max) {
                            refuse(format!("it must be at most {max}"));
                        }
                    }
                    _ => refuse("it must be a number".to_owned()),
                }
            }
            // A list is allowed by its elements or as it is written.
            let allowed = |a: &String| same(a, item, numeric) || (listed && a == value);
            if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(allowed) {
                refuse(format!("it must be one of {}", self.allowed_values.join(", ")));
            }
            let length = item.chars().count() as u64;
            if let Some(min) = self.min_length.filter(|min| length < *min) {
                refuse(format!("it must have at least {min} characters"));
            }
            if let Some(max) = self.max_length.filter(|max| length > *max) {
                refuse(format!("it must have at most {max} characters"));
            }
            if let Some(pattern) = &self.allowed_pattern
                && let Ok(regex) = regex::Regex::new(&format!("^(?:{pattern})$"))
                && !regex.is_match(item)
            {
                refuse(format!("it must match {pattern}"));
            }
        }
    }
}

/// The elements of a comma-delimited value, trimmed. The empty string is a list of one empty string, as the service has it.
pub(super) fn split_list(value: &str) -> Vec<&str> {
    value.split(',').map(str::trim).collect()
}

fn same(allowed: &str, given: &str, numeric: bool) -> bool {
    allowed == given
        || (numeric
            && matches!((allowed.parse::<f64>(), given.parse::<f64>()), (Ok(a), Ok(b)) if (a - b).abs() < f64::EPSILON))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(parameters: &str) -> (Template, Diagnostics) {
        let text = format!("Parameters:\n{parameters}\nResources: {{ B: {{ Type: 'AWS::S3::Bucket' }} }}\n");
        Template::parse("t.yaml", &text)
    }

    fn verdict(declaration: &str, value: &str) -> Vec<String> {
        let (template, problems) = template(&format!("  P: {declaration}"));
        assert!(!problems.has_errors(), "{declaration}: {problems:?}");
        let given = BTreeMap::from([("P".to_owned(), value.to_owned())]);
        template.check_parameters(&given).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn constraints_hold_as_the_user_guide_says() {
        for (declaration, good, bad) in [
            (
                "{ Type: Number, MinValue: 1, MaxValue: 3 }",
                &["1", "3", "2.5"] as &[&str],
                &["0", "4", "x", "", "inf"] as &[&str],
            ),
            ("{ Type: String, MinLength: 2, MaxLength: 3 }", &["ab", "äöü"], &["a", "abcd"]),
            ("{ Type: String, AllowedPattern: '[a-z]+' }", &["abc"], &["abc1", "1abc", ""]),
            ("{ Type: String, AllowedPattern: 'a|b' }", &["a", "b"], &["ab"]),
            ("{ Type: String, AllowedValues: [a, true] }", &["a", "true"], &["b"]),
            ("{ Type: Number, AllowedValues: [1, 3] }", &["1", "3.0"], &["2"]),
            ("{ Type: 'List<Number>' }", &["1,2, 3"], &["1,x", "1,,2"]),
            ("{ Type: CommaDelimitedList, AllowedValues: [a, b, 'c,d'] }", &["a", "a,b", "c,d"], &["a,c"]),
            ("{ Type: 'AWS::EC2::VPC::Id' }", &["vpc-1"], &[]),
        ] {
            for value in good {
                assert_eq!(verdict(declaration, value), [] as [String; 0], "{declaration} {value}");
            }
            for value in bad {
                assert_eq!(verdict(declaration, value).len(), 1, "{declaration} {value}");
            }
        }
    }

    #[test]
    fn missing_and_unknown_parameters_are_named() {
        let (template, _) = template("  VpcId: { Type: String }\n  Size: { Type: Number, Default: 1 }");
        let given = BTreeMap::from([("VpcIdd".to_owned(), "x".to_owned())]);
        let found = template.check_parameters(&given);
        let codes: Vec<&str> = found.iter().map(|d| &*d.code).collect();
        assert_eq!(codes, ["unknown_parameter", "missing_parameter"]);
        assert_eq!(found.0[0].hint.as_deref(), Some("did you mean `VpcId`?"));
        let later = BTreeSet::from(["VpcId".to_owned()]);
        assert!(template.check_known_parameters(&BTreeMap::new(), &later).is_empty());
    }

    #[test]
    fn a_secret_value_is_never_repeated() {
        let (template, _) = template("  P: { Type: String, NoEcho: true, MinLength: 20, AllowedPattern: '[0-9]+' }");
        let given = BTreeMap::from([("P".to_owned(), "hunter2".to_owned())]);
        let found = template.check_parameters(&given);
        assert_eq!(found.0.len(), 2);
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn a_bad_declaration_is_a_problem_of_the_template() {
        for (declaration, code) in [
            ("{ Type: Strin }", "parameter_type"),         // spellchecker:disable-line
            ("{ Type: 'List<Strin>' }", "parameter_type"), // spellchecker:disable-line
            ("{ Type: 'AWS::SSM::Parameter::Value<Number>' }", "parameter_type"),
            ("{ Default: x }", "missing_type"),
            ("{ Type: String, Defalt: x }", "unknown_attribute"), // spellchecker:disable-line
            ("{ Type: Number, Default: x }", "parameter_declaration"),
            ("{ Type: String, Default: c, AllowedValues: [a, b] }", "parameter_declaration"),
            ("{ Type: Number, MinValue: 3, MaxValue: 2 }", "parameter_declaration"),
            ("{ Type: String, MinLength: 3, MaxLength: 2 }", "parameter_declaration"),
            ("{ Type: String, AllowedPattern: '[a' }", "parameter_pattern"),
            ("{ Type: String, MinLength: x }", "template_shape"),
            ("{ Type: String, NoEcho: maybe }", "template_shape"),
            ("5", "template_shape"),
        ] {
            let (_, problems) = template(&format!("  P: {declaration}"));
            assert_eq!(problems.iter().map(|d| &*d.code).collect::<Vec<_>>(), [code], "{declaration}");
        }
    }

    #[test]
    fn types_are_those_of_the_user_guide() {
        for (text, list) in [
            ("String", false),
            ("Number", false),
            ("List<Number>", true),
            ("CommaDelimitedList", true),
            ("AWS::EC2::KeyPair::KeyName", false),
            ("List<AWS::EC2::Subnet::Id>", true),
            ("AWS::SSM::Parameter::Name", false),
            ("AWS::SSM::Parameter::Value<String>", false),
            ("AWS::SSM::Parameter::Value<List<String>>", true),
            ("AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", false),
            ("AWS::SSM::Parameter::Value<List<AWS::EC2::Image::Id>>", true),
        ] {
            assert_eq!(ParameterType::parse(text).map(|t| t.is_list()), Some(list), "{text}");
        }
    }

    #[test]
    fn rules_are_judged_before_any_service_is_asked() {
        let text = "
Parameters: { Env: { Type: String }, Size: { Type: String, Default: small } }
Rules:
  ProdIsLarge:
    RuleCondition: !Equals [!Ref Env, prod]
    Assertions:
      - Assert: { 'Fn::Contains': [[large, huge], !Ref Size] }
        AssertDescription: production needs a large one
  Region: { Assertions: [{ Assert: !Equals [!Ref AWS::Region, eu-west-1] }] }
Resources: { B: { Type: 'AWS::S3::Bucket' } }
";
        let (template, problems) = Template::parse("t.yaml", text);
        assert!(problems.is_empty(), "{problems:?}");
        let with = |env: &str, size: &str| {
            let given = [("Env", env), ("Size", size)].map(|(k, v)| (k.to_owned(), v.to_owned()));
            template.check_parameters(&BTreeMap::from(given)).iter().map(|d| d.detail.clone()).collect::<Vec<_>>()
        };
        assert_eq!(with("dev", "small"), [] as [String; 0]);
        assert_eq!(with("prod", "large"), [] as [String; 0]);
        assert_eq!(with("prod", "small"), ["production needs a large one"]);
    }
}
