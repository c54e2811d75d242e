//! Values of variables from outside: files, `--var`, `TERRACE_VAR_name`, and which of them wins.
//!
//! Called by the command line, which reads the process's environment and hands it over as a map, and by whatever plans an
//! environment. Values stay as they are given; turning them into the variable's type, and defaults, are the evaluator's.

mod read;
#[cfg(test)]
mod tests;

use crate::{
    base::{Diagnostic, Diagnostics, SourceMap, Span, Value},
    lang::{
        configuration::{Configuration, Variable},
        literal::literal,
        parse::parse_expression,
        sources::{SourceError, Sources, normalize},
        suggest,
        types::Type,
    },
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What begins the names of environment variables that set a variable.
pub const ENVIRONMENT_PREFIX: &str = "TERRACE_VAR_";

/// Where a value was given. Later ones win over earlier ones (rule 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// `TERRACE_VAR_name`.
    Process,
    /// `environments/NAME.toml` or `.hcl`.
    Environment,
    /// `--var-file`.
    File,
    /// `--var`.
    Argument,
}

/// A value that was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The value, marked where the variable is sensitive.
    pub value: Value,
    /// Where it was given.
    pub origin: Origin,
    /// Where in a file.
    pub span: Option<Span>,
}

/// Values by the variable's name.
pub type Values = BTreeMap<Arc<str>, Given>;

/// The variables of a module by name.
pub type Variables = BTreeMap<Arc<str>, Variable>;

/// One value for each variable: of several, the one whose origin wins; of the same origin, the later one.
#[must_use]
pub fn merge(layers: impl IntoIterator<Item = Values>) -> Values {
    let mut merged = Values::new();
    for (name, given) in layers.into_iter().flatten() {
        match merged.get(&name) {
            Some(first) if first.origin > given.origin => {}
            _ => {
                merged.insert(name, given);
            }
        }
    }
    merged
}

/// The values of an environment, from `environments/NAME.toml` or `.hcl` in the plan's folder; none where there is no such
/// file. What is read is added to `texts`, for excerpts.
pub fn of_environment(
    sources: &dyn Sources,
    configuration: &Configuration,
    environment: &str,
    texts: &mut SourceMap,
) -> (Values, Diagnostics) {
    let mut values = Values::new();
    let mut diagnostics = Diagnostics::new();
    let mut found: Option<String> = None;
    for extension in ["toml", "hcl"] {
        let Ok(path) = normalize(&configuration.folder, &format!("environments/{environment}.{extension}")) else {
            continue;
        };
        let bytes = match sources.read(&path) {
            Ok(bytes) => bytes,
            Err(SourceError::Missing(_)) => continue,
            Err(error) => {
                diagnostics.push(Diagnostic::error("unreadable", error.to_string()));
                continue;
            }
        };
        if let Some(first) = &found {
            diagnostics.push(
                Diagnostic::error("duplicate", format!("there is {first} and {path}"))
                    .because("an environment has one file of values")
                    .hint("move everything into one of them"),
            );
        }
        let (read, problems) = of_file(&bytes, &path, Origin::Environment, &configuration.root.variables, texts);
        values.extend(read);
        diagnostics.extend(problems);
        found = Some(path);
    }
    (values, diagnostics)
}

/// The values in a file, whose name ends with `.toml`, `.hcl` or `.json`.
pub fn of_file(
    bytes: &[u8],
    path: &str,
    origin: Origin,
    variables: &Variables,
    texts: &mut SourceMap,
) -> (Values, Diagnostics) {
    let file: Arc<str> = path.into();
    let Ok(text) = std::str::from_utf8(bytes) else {
        return (
            Values::new(),
            Diagnostic::error("not_utf8", format!("{path} is not UTF-8")).hint("save it as UTF-8").into(),
        );
    };
    texts.insert(file.clone(), text.into());
    let (entries, mut diagnostics) = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("toml") => read::toml(text, &file),
        Some("hcl") => read::hcl(text, &file),
        Some("json") => read::json(text, &file),
        _ => {
            let diagnostic = Diagnostic::error("unknown_format", format!("{path} is no file of values"))
                .because("its name says what is in it")
                .hint("its name ends with .toml, .hcl or .json");
            return (Values::new(), diagnostic.into());
        }
    };
    let mut values = Values::new();
    for read::Entry { name, value, span } in entries {
        let Some(variable) = variables.get(&*name) else {
            diagnostics.push(unknown(&name, variables).at(&span, ""));
            continue;
        };
        if variable.sensitive && origin == Origin::Environment {
            diagnostics.push(
                Diagnostic::error(
                    "sensitive_value",
                    format!("`{name}` is sensitive, and stands in a file of the project"),
                )
                .at(&span, "")
                .at(&variable.span, "declared here")
                .because("whoever reads the project would read it")
                .hint(format!(
                    "give it as {ENVIRONMENT_PREFIX}{name} or with --var-file, or read it with data \"secret\""
                )),
            );
            continue;
        }
        let value = value.with_mark(variable.sensitive);
        values.insert(variable.name.clone(), Given { value, origin, span: Some(span) });
    }
    (values, diagnostics)
}

/// The values in environment variables named `TERRACE_VAR_name`. Names that no variable has are left alone: another plan
/// may want them.
pub fn of_process(environment: &BTreeMap<String, String>, variables: &Variables) -> (Values, Diagnostics) {
    let mut values = Values::new();
    let mut diagnostics = Diagnostics::new();
    for (key, text) in environment {
        let Some(variable) = key.strip_prefix(ENVIRONMENT_PREFIX).and_then(|name| variables.get(name)) else {
            continue;
        };
        match of_text(text, variable, key) {
            Ok(value) => {
                values.insert(variable.name.clone(), Given { value, origin: Origin::Process, span: None });
            }
            Err(problem) => diagnostics.push(problem),
        }
    }
    (values, diagnostics)
}

/// The values of `--var name=text`.
pub fn of_arguments<'a>(arguments: impl IntoIterator<Item = &'a str>, variables: &Variables) -> (Values, Diagnostics) {
    let mut values = Values::new();
    let mut diagnostics = Diagnostics::new();
    for argument in arguments {
        let Some((name, text)) = argument.split_once('=') else {
            // The text is not shown: it may be half a secret.
            diagnostics.push(
                Diagnostic::error("wrong_value", "--var without a `=`").hint("write --var name=value, in one argument"),
            );
            continue;
        };
        let name = name.trim();
        let Some(variable) = variables.get(name) else {
            diagnostics.push(unknown(name, variables));
            continue;
        };
        match of_text(text, variable, &format!("--var {name}")) {
            Ok(value) => {
                values.insert(variable.name.clone(), Given { value, origin: Origin::Argument, span: None });
            }
            Err(problem) => diagnostics.push(problem),
        }
    }
    (values, diagnostics)
}

/// What is missing: variables without a default that were given no value.
#[must_use]
pub fn missing(variables: &Variables, values: &Values, environment: &str) -> Diagnostics {
    let missing = variables.values().filter(|v| v.default.is_none() && !values.contains_key(&v.name));
    let say = |variable: &Variable| {
        let name = &variable.name;
        let hint = if variable.sensitive {
            format!("give it as {ENVIRONMENT_PREFIX}{name} or with --var-file")
        } else {
            format!("set it in environments/{environment}.toml, or give --var {name}=...")
        };
        Diagnostic::error("missing_value", format!("the variable `{name}` has no value"))
            .at(&variable.span, "declared here, without a default")
            .because(variable.description.clone().unwrap_or_default())
            .hint(hint)
    };
    Diagnostics(missing.map(say).collect())
}

/// A text as a value: as it is for a string, as an expression for anything else.
fn of_text(text: &str, variable: &Variable, from: &str) -> Result<Value, Diagnostic> {
    let file: Arc<str> = from.into();
    let read = || parse_expression(text, &file).ok().as_ref().and_then(literal);
    let value = match &variable.ty {
        Type::String => Some(Value::string(text)),
        // Without a type, what is no expression is a string.
        Type::Any => Some(read().unwrap_or_else(|| Value::string(text))),
        _ => read(),
    };
    let value = value.ok_or_else(|| {
        let example = match &variable.ty {
            Type::Bool => "true".to_owned(),
            Type::Number => "3".to_owned(),
            Type::List(_) | Type::Set(_) | Type::Tuple(_) => "[\"a\", \"b\"]".to_owned(),
            _ => "{ a = \"b\" }".to_owned(),
        };
        // The text itself is not shown: it may be a secret.
        Diagnostic::error("wrong_value", format!("{from} is no value of type {}", variable.ty))
            .at(&variable.span, "declared here")
            .because("what is no string is written as in a plan file, without references")
            .hint(format!("write it like '{example}', quoted for the shell"))
    })?;
    Ok(value.with_mark(variable.sensitive))
}

fn unknown(name: &str, variables: &Variables) -> Diagnostic {
    let mut diagnostic = Diagnostic::error("unknown_variable", format!("the plan has no variable `{name}`"));
    diagnostic.hint = suggest::hint(name, variables.keys().map(|n| &**n))
        .or_else(|| Some("declare it with variable \"NAME\" {}, or leave it out".to_owned()));
    diagnostic
}

/// In words, for messages.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "an environment variable",
            Self::Environment => "the environment's file",
            Self::File => "--var-file",
            Self::Argument => "--var",
        })
    }
}
