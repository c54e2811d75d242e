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
    /// `CommaDelimitedList`, and `List<String>` inside `AWS::SSM::Parameter::Value<...>`.
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
            "CommaDelimitedList" => Self::CommaDelimitedList,
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
            if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(|a| same(a, item, numeric)) {
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
