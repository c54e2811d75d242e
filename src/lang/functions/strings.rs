//! Texts. Characters are what a reader takes for one: grapheme clusters, as in Terraform.

use super::{
    Answer, Context, Function, Problem, blame, elements, function, list_of_texts, number, size, string, strings, text,
    variadic, whole,
};
use crate::base::Value;
use unicode_segmentation::UnicodeSegmentation as _;

pub(super) const TABLE: &[Function] = &[
    function("chomp", &[string("string")], "the string without line ends at its end", chomp),
    function("endswith", &[string("string"), string("suffix")], "whether the string ends so", |a, _| {
        Ok(text(a, 0).ends_with(text(a, 1)).into())
    }),
    function(
        "indent",
        &[number("spaces"), string("string")],
        "the string with all lines but the first indented",
        indent,
    ),
    variadic("join", &[string("separator"), strings("list")], strings("more"), "the strings joined", join),
    function("lower", &[string("string")], "the string in lower case", |a, _| {
        Ok(text(a, 0).chars().map(|c| single(c, c.to_lowercase())).collect::<String>().into())
    }),
    function("split", &[string("separator"), string("string")], "the parts of the string", split),
    function("startswith", &[string("string"), string("prefix")], "whether the string begins so", |a, _| {
        Ok(text(a, 0).starts_with(text(a, 1)).into())
    }),
    function("strcontains", &[string("string"), string("part")], "whether the part is in the string", |a, _| {
        Ok(text(a, 0).contains(text(a, 1)).into())
    }),
    function("strrev", &[string("string")], "the string back to front", |a, _| {
        Ok(text(a, 0).graphemes(true).rev().collect::<String>().into())
    }),
    function(
        "substr",
        &[string("string"), number("offset"), number("length")],
        "a part of the string; a negative offset counts from its end, a length of -1 is all the rest",
        substr,
    ),
    function("title", &[string("string")], "the string with each word's first letter in upper case", title),
    function("trim", &[string("string"), string("characters")], "the string without these at both ends", |a, _| {
        let characters = text(a, 1);
        Ok(text(a, 0).trim_matches(|c| characters.contains(c)).into())
    }),
    function("trimprefix", &[string("string"), string("prefix")], "the string without its prefix", |a, _| {
        Ok(text(a, 0).strip_prefix(text(a, 1)).unwrap_or(text(a, 0)).into())
    }),
    function("trimspace", &[string("string")], "the string without blanks at both ends", |a, _| {
        Ok(text(a, 0).trim().into())
    }),
    function("trimsuffix", &[string("string"), string("suffix")], "the string without its suffix", |a, _| {
        Ok(text(a, 0).strip_suffix(text(a, 1)).unwrap_or(text(a, 0)).into())
    }),
    function("upper", &[string("string")], "the string in upper case", |a, _| {
        Ok(text(a, 0).chars().map(|c| single(c, c.to_uppercase())).collect::<String>().into())
    }),
];

fn chomp(arguments: &[Value], _: &Context<'_>) -> Answer {
    Ok(text(arguments, 0).trim_end_matches(['\r', '\n']).into())
}

fn indent(arguments: &[Value], _: &Context<'_>) -> Answer {
    let blanks = " ".repeat(size(arguments, 0)?.min(10_000));
    Ok(text(arguments, 1).replace('\n', &format!("\n{blanks}")).into())
}

fn join(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut parts = Vec::new();
    for at in 1..arguments.len() {
        for element in elements(arguments, at) {
            match element.as_str() {
                Some(part) => parts.push(part),
                None => return blame(at, "an element is null"),
            }
        }
    }
    Ok(parts.join(text(arguments, 0)).into())
}

fn split(arguments: &[Value], _: &Context<'_>) -> Answer {
    let (separator, whole) = (text(arguments, 0), text(arguments, 1));
    if separator.is_empty() {
        return Ok(list_of_texts(whole.chars().map(String::from)));
    }
    Ok(list_of_texts(whole.split(separator)))
}

fn substr(arguments: &[Value], _: &Context<'_>) -> Answer {
    let characters: Vec<&str> = text(arguments, 0).graphemes(true).collect();
    let count = i64::try_from(characters.len()).unwrap_or(i64::MAX);
    let (mut offset, length) = (whole(arguments, 1)?, whole(arguments, 2)?);
    if offset < 0 {
        offset = (offset + count).max(0);
    }
    let at = |n: i64| -> Result<usize, Problem> { Ok(usize::try_from(n.clamp(0, count)).unwrap_or(0)) };
    let end = if length < 0 { count } else { offset.saturating_add(length) };
    let (from, to) = (at(offset)?, at(end)?);
    Ok(characters.get(from..to.max(from)).unwrap_or_default().concat().into())
}

fn title(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut out = String::new();
    let mut in_word = false;
    for c in text(arguments, 0).chars() {
        if in_word {
            out.push(c);
        } else {
            out.push(single(c, c.to_uppercase()));
        }
        // As Go's `strings.Title`, on which Terraform's is built.
        in_word = if c.is_ascii() { c.is_ascii_alphanumeric() || c == '_' } else { !c.is_whitespace() };
    }
    Ok(out.into())
}

/// A letter in another case, where that is one letter as well: Terraform leaves an `ß` as it is.
fn single(c: char, mut cased: impl Iterator<Item = char>) -> char {
    match (cased.next(), cased.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}
