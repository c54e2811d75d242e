//! Whether CloudFormation would take a request, in its own words where it would not.

use super::{
    Scope, objects,
    record::{self, Config, StackRecord},
    secrets,
};
use crate::{
    base::{Diagnostics, Severity},
    cfn::{self, ParameterType, Template},
    world::{Class, Failure, Outcome, StackRequest, sandbox::Tx},
};
use std::collections::{BTreeMap, BTreeSet};

/// The most that a request may carry as a template.
const TEMPLATE_LIMIT: usize = 51_200;

/// Who asks for what, for failures.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) operation: &'a str,
    pub(super) subject: &'a str,
}

impl Ask<'_> {
    /// A ValidationError.
    pub(super) fn invalid(&self, message: impl Into<String>) -> Failure {
        self.fail(Class::Invalid, message)
    }

    /// A failure of this class.
    pub(super) fn fail(&self, class: Class, message: impl Into<String>) -> Failure {
        Failure::new(class, self.operation, self.subject, message)
    }

    /// What there is not.
    pub(super) fn missing_stack(&self, name: &str) -> Failure {
        self.fail(Class::NotFound, format!("Stack with id {name} does not exist"))
    }
}

/// Checks a request against the stack it is for and makes the configuration it asks for.
pub(super) fn accept(
    tx: &Tx<'_>,
    ask: Ask<'_>,
    scope: &Scope,
    request: &StackRequest,
    stack: Option<&StackRecord>,
) -> Outcome<(Template, Config)> {
    if !name_is_valid(&request.name) {
        let name = &request.name;
        return Err(ask.invalid(format!(
            "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )));
    }
    let text = text(tx, ask, request)?;
    if request.template_url.is_none() && text.len() > TEMPLATE_LIMIT {
        return Err(ask.invalid(format!(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length \
             less than or equal to {TEMPLATE_LIMIT}"
        )));
    }
    let (template, problems) = record::parse(&text);
    refuse_template(ask, &template, &problems)?;
    let former: Option<Config> = stack.and_then(|s| tx.get("stack-config", &s.id));
    let parameters = parameters(ask, &template, request, former.as_ref())?;
    let needed: Vec<String> = template
        .capabilities()
        .iter()
        .map(ToString::to_string)
        .filter(|needed| !acknowledged(&request.capabilities, needed))
        .collect();
    if !needed.is_empty() {
        let message = format!("Requires capabilities : [{}]", needed.join(", "));
        return Err(ask.invalid(message).hint("acknowledge it in `capabilities`"));
    }
    let ssm_values = ssm_values(tx, ask, scope, &template, &parameters)?;
    let config = Config {
        template: text,
        parameters,
        ssm_values,
        tags: request.tags.clone(),
        capabilities: request.capabilities.clone(),
        role_arn: request.role_arn.clone(),
        notification_arns: request
            .notification_arns
            .clone()
            .unwrap_or_else(|| former.map(|f| f.notification_arns).unwrap_or_default()),
    };
    Ok((template, config))
}

/// The template of a request.
pub(super) fn text(tx: &Tx<'_>, ask: Ask<'_>, request: &StackRequest) -> Outcome<String> {
    match &request.template_url {
        None => Ok(request.template.clone()),
        Some(url) => objects::read(tx, url).ok_or_else(|| {
            ask.invalid(format!("S3 error: The specified key does not exist. For more information check {url}"))
        }),
    }
}

fn name_is_valid(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn acknowledged(given: &[String], needed: &str) -> bool {
    given.iter().any(|g| g == needed || (needed == "CAPABILITY_IAM" && g == "CAPABILITY_NAMED_IAM"))
}

fn refuse_template(ask: Ask<'_>, template: &Template, problems: &Diagnostics) -> Outcome<()> {
    if let Some(first) = problems.iter().find(|p| p.severity == Severity::Error) {
        return Err(ask.invalid(format!("Template format error: {first}")));
    }
    let unknown = |kind: &&str| {
        let own = kind.starts_with("Custom::") || kind.ends_with("::MODULE");
        !own && *kind != "AWS::CloudFormation::CustomResource" && cfn::resource_schema(kind).is_none()
    };
    let types: BTreeSet<&str> = template.resources.values().map(|r| r.resource_type.as_str()).filter(unknown).collect();
    if types.is_empty() {
        return Ok(());
    }
    let types = types.into_iter().collect::<Vec<_>>().join(", ");
    Err(ask.invalid(format!("Template format error: Unrecognized resource types: [{types}]")))
}

fn parameters(
    ask: Ask<'_>,
    template: &Template,
    request: &StackRequest,
    former: Option<&Config>,
) -> Outcome<BTreeMap<String, String>> {
    let mut parameters = request.parameters.clone();
    for name in &request.use_previous {
        let Some(former) = former else {
            return Err(ask.invalid(format!("Invalid input for parameter key {name}. Cannot specify usePreviousValue as true for a parameter key not in the previous template")));
        };
        if let Some(value) = former.parameters.get(name) {
            parameters.insert(name.clone(), value.clone());
        }
    }
    let unknown: Vec<&str> =
        parameters.keys().filter(|p| !template.parameters.contains_key(*p)).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(ask.invalid(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let missing: Vec<&str> = template
        .parameters
        .iter()
        .filter(|(name, declared)| declared.default.is_none() && !parameters.contains_key(*name))
        .map(|(name, _)| name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(ask.invalid(format!("Parameters: [{}] must have values", missing.join(", "))));
    }
    let wrong = template.check_parameters(&parameters);
    match wrong.iter().find(|p| p.severity == Severity::Error) {
        Some(problem) => Err(ask.invalid(problem.to_string())),
        None => Ok(parameters),
    }
}

fn ssm_values(
    tx: &Tx<'_>,
    ask: Ask<'_>,
    scope: &Scope,
    template: &Template,
    parameters: &BTreeMap<String, String>,
) -> Outcome<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, declared) in &template.parameters {
        if !matches!(declared.parameter_type, ParameterType::SsmValue(_)) {
            continue;
        }
        let Some(key) = parameters.get(name).or(declared.default.as_ref()) else { continue };
        if let Some(found) = secrets::parameter(tx, scope, key) {
            values.insert(key.clone(), found.value);
        } else {
            missing.push(key.as_str());
        }
    }
    if missing.is_empty() {
        return Ok(values);
    }
    let missing = missing.join(",");
    Err(ask.invalid(format!("Unable to fetch parameters [{missing}] from parameter store for this account.")))
}

/// Refuses where the stack's status forbids an update.
pub(super) fn updatable(ask: Ask<'_>, stack: &StackRecord) -> Outcome<()> {
    if stack.told().status.updatable() {
        return Ok(());
    }
    let message = format!("Stack:{} is in {} state and can not be updated.", stack.id, stack.status);
    let class = if stack.told().status.in_progress() { Class::Conflict } else { Class::Invalid };
    Err(ask.fail(class, message))
}
