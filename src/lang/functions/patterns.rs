//! Regular expressions, in RE2's syntax as in Terraform.

use super::{Answer, Context, Function, Problem, blame, function, list_of, string, text};
use crate::base::Value;
use regex::{Captures, Regex, RegexBuilder};

/// How large a compiled pattern may be.
const SIZE_LIMIT: usize = 4 << 20;

pub(super) const TABLE: &[Function] = &[
    function(
        "regex",
        &[string("pattern"), string("string")],
        "the first match: a string, or what its groups matched as a list or by their names",
        regex,
    ),
    function("regexall", &[string("pattern"), string("string")], "a list of all matches, each as of `regex`", regexall),
    function(
        "replace",
        &[string("string"), string("part"), string("replacement")],
        "the string with each part replaced; the part is a pattern where it stands between slashes, and then $1 in the \
         replacement is its first group",
        replace,
    ),
];

fn compile(pattern: &str, at: usize) -> Result<Regex, Problem> {
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build().or_else(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        blame(at, format!("{pattern:?} is no regular expression: {last}"))
    })
}

fn regex(arguments: &[Value], _: &Context<'_>) -> Answer {
    let pattern = compile(text(arguments, 0), 0)?;
    match pattern.captures(text(arguments, 1)) {
        Some(captures) => matched(&pattern, &captures),
        None => blame(1, "the pattern does not match it"),
    }
}

fn regexall(arguments: &[Value], _: &Context<'_>) -> Answer {
    let pattern = compile(text(arguments, 0), 0)?;
    pattern.captures_iter(text(arguments, 1)).map(|c| matched(&pattern, &c)).collect::<Result<_, _>>().map(list_of)
}

fn matched(pattern: &Regex, captures: &Captures<'_>) -> Answer {
    let names: Vec<Option<&str>> = pattern.capture_names().skip(1).collect();
    let group = |at: usize| captures.get(at).map_or(Value::NULL, |m| m.as_str().into());
    if names.is_empty() {
        return Ok(group(0));
    }
    let with_name = names.iter().filter(|n| n.is_some()).count();
    if with_name == 0 {
        return Ok(Value::tuple((1..=names.len()).map(group).collect()));
    }
    if with_name < names.len() {
        return blame(0, "either all groups have a name, or none");
    }
    Ok(Value::object(names.iter().enumerate().filter_map(|(at, name)| Some(((*name)?, group(at + 1))))))
}

fn replace(arguments: &[Value], _: &Context<'_>) -> Answer {
    let (string, part, replacement) = (text(arguments, 0), text(arguments, 1), text(arguments, 2));
    match part.strip_prefix('/').and_then(|p| p.strip_suffix('/')) {
        Some(pattern) if part.len() > 1 => {
            Ok(compile(pattern, 1)?.replace_all(string, replacement).into_owned().into())
        }
        _ => Ok(string.replace(part, replacement).into()),
    }
}
