//! What takes any collection.

use super::{Answer, Context, Function, Problem, any, blame, function, list, number_value, problem, variadic};
use crate::{
    base::{Data, Number, SequenceKind, Value},
    lang::{convert, evaluate::equal},
};
use unicode_segmentation::UnicodeSegmentation as _;

pub(super) const TABLE: &[Function] = &[
    variadic(
        "coalesce",
        &[any("value").raw()],
        any("more").raw(),
        "the first value that is neither null nor an empty string",
        coalesce,
    ),
    variadic("coalescelist", &[any("list").raw()], any("more").raw(), "the first list that is not empty", coalescelist),
    function("contains", &[list("list").parts(), any("value")], "whether the value is in the list", contains),
    function("length", &[any("value").parts()], "how many elements, entries or characters it has", length),
];

fn coalesce(arguments: &[Value], _: &Context<'_>) -> Answer {
    let types: Vec<_> = arguments.iter().map(convert::type_of).collect();
    let Some(ty) = convert::unify(&types) else { return problem("all arguments must have the same type") };
    let mut mark = false;
    for value in arguments {
        if value.is_unknown() {
            return Ok(value.clone().with_mark(mark));
        }
        if value.is_null() || value.as_str() == Some("") {
            mark |= value.is_sensitive();
            continue;
        }
        return match convert::convert(value, &ty) {
            Ok(value) => Ok(value.with_mark(mark)),
            Err(mismatch) => problem(mismatch.to_string()),
        };
    }
    problem("no argument is other than null or empty")
}

fn coalescelist(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut mark = false;
    for (at, value) in arguments.iter().enumerate() {
        match value.data() {
            Data::Null => {}
            Data::Sequence(_, elements) if elements.is_empty() => {}
            Data::Unknown(_) | Data::Sequence(..) => return Ok(value.clone().with_mark(mark)),
            _ => return blame(at, format!("a list is required, not {}", convert::word(value))),
        }
        mark |= value.is_sensitive();
    }
    problem("no argument is a list with an element")
}

fn contains(arguments: &[Value], _: &Context<'_>) -> Answer {
    let (Some(list), Some(wanted)) = (arguments.first(), arguments.get(1)) else { return problem("") };
    let mark = list.has_sensitive();
    let mut unknown = None;
    for element in list.as_seq().into_iter().flat_map(|l| l.iter()) {
        let same = equal(element, wanted);
        match same.as_bool() {
            Some(true) => return Ok(Value::from(true).with_mark(mark)),
            Some(false) => {}
            None => {
                unknown.get_or_insert(same);
            }
        }
    }
    Ok(unknown.unwrap_or_else(|| false.into()).with_mark(mark))
}

fn length(arguments: &[Value], _: &Context<'_>) -> Answer {
    let value = arguments.first().unwrap_or(&Value::NULL);
    let count = match value.data() {
        Data::Sequence(SequenceKind::Set, elements) => {
            if let Some(unknown) = elements.iter().find(|e| e.is_unknown()) {
                return Ok(unknown.clone());
            }
            elements.len()
        }
        Data::Sequence(_, elements) => elements.len(),
        Data::Mapping(_, entries) => entries.len(),
        Data::String(text) => text.graphemes(true).count(),
        _ => {
            let text = format!("a string, list or map is required, not {}", convert::word(value));
            return Err(Problem { argument: Some(0), text });
        }
    };
    Ok(number_value(Number::count(count)))
}
