//! Lists, and the tuples and sets that pass for them.

use super::{
    Answer, Context, Function, any, blame, elements, function, list, list_of, list_of_texts, num, number, number_value,
    problem, size, strings, too_many, variadic, whole,
};
use crate::{
    base::{Data, Number, SequenceKind, Value},
    lang::{convert, evaluate::equal, types::Type},
};
use std::sync::Arc;

/// How many elements `range` makes at most, as in Terraform.
const RANGE_LIMIT: usize = 1024;

pub(super) const TABLE: &[Function] = &[
    function("alltrue", &[list("list")], "whether all elements are true; so it is of an empty list", |a, _| {
        all(a, false)
    }),
    function("anytrue", &[list("list")], "whether an element is true; of an empty list, false", |a, _| all(a, true)),
    function("chunklist", &[list("list").parts(), number("size")], "the list cut into lists of that size", chunklist),
    function("compact", &[strings("list")], "the list without nulls and empty strings", compact),
    variadic("concat", &[list("list").parts()], list("more").parts(), "the lists, one behind the other", concat),
    function("distinct", &[list("list")], "the list without repetitions", distinct),
    function(
        "element",
        &[list("list").parts(), number("index")],
        "the element at that index, counted round and round",
        element,
    ),
    function("flatten", &[list("list").parts()], "the list with the lists in it dissolved, all the way down", flatten),
    function("index", &[list("list"), any("value")], "the index of the first element that is the value", index),
    function("one", &[list("list").parts()], "the only element, or null where there is none", one),
    variadic("range", &[number("limit")], number("more"), "numbers from a start, to a limit, by a step", range),
    function("reverse", &[list("list").parts()], "the list back to front", reverse),
    function(
        "slice",
        &[list("list").parts(), number("start"), number("end")],
        "the elements from start to before end",
        slice,
    ),
    function("sort", &[strings("list")], "the strings in order", sort),
];

fn all(arguments: &[Value], wanted: bool) -> Answer {
    for element in elements(arguments, 0) {
        if element.is_null() {
            if wanted {
                continue;
            }
            return Ok(false.into());
        }
        match convert::convert(element, &Type::Bool).ok().and_then(|v| v.as_bool()) {
            Some(truth) if truth == wanted => return Ok(wanted.into()),
            Some(_) => {}
            None => return blame(0, format!("all elements must be bools, and one is {}", convert::word(element))),
        }
    }
    Ok((!wanted).into())
}

fn chunklist(arguments: &[Value], _: &Context<'_>) -> Answer {
    let elements = elements(arguments, 0);
    let size = match size(arguments, 1)? {
        0 => elements.len().max(1),
        n => n,
    };
    let like = |chunk: &[Value]| list_of(chunk.to_vec());
    Ok(list_of(elements.chunks(size).map(like).collect()))
}

fn compact(arguments: &[Value], _: &Context<'_>) -> Answer {
    Ok(list_of_texts(elements(arguments, 0).iter().filter_map(Value::as_str).filter(|s| !s.is_empty())))
}

fn concat(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut out = Vec::new();
    let mut lists = true;
    for (at, argument) in arguments.iter().enumerate() {
        match argument.data() {
            Data::Sequence(SequenceKind::Set, _) => {
                return blame(at, "the elements of a set have no order; write tolist(...) around it");
            }
            Data::Sequence(kind, elements) => {
                lists &= *kind != SequenceKind::Tuple;
                out.extend(elements.iter().cloned());
            }
            _ => return problem("all arguments must be lists"),
        }
    }
    let tuple = Value::tuple(out);
    if lists && let Ok(list) = convert::convert(&tuple, &Type::List(Box::new(Type::Any))) {
        return Ok(list);
    }
    Ok(tuple)
}

fn distinct(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut out: Vec<Value> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let elements = match convert::convert(&arguments[0], &Type::List(Box::new(Type::Any))) {
        Ok(list) => list,
        Err(mismatch) => return blame(0, mismatch.to_string()),
    };
    for element in elements.as_seq().into_iter().flat_map(|l| l.iter()) {
        if seen.insert(element.to_json_lossy().to_string()) {
            out.push(element.clone());
        }
    }
    Ok(list_of(out))
}

fn element(arguments: &[Value], _: &Context<'_>) -> Answer {
    let elements = elements(arguments, 0);
    if elements.is_empty() {
        return blame(0, "it is empty");
    }
    if matches!(arguments.first().map(Value::data), Some(Data::Sequence(SequenceKind::Set, _))) {
        return blame(0, "the elements of a set have no order; write tolist(...) around it");
    }
    let count = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    match usize::try_from(whole(arguments, 1)? % count) {
        Ok(at) => Ok(elements[at].clone()),
        Err(_) => blame(1, "it must not be negative"),
    }
}

fn flatten(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut out = Vec::new();
    let mut mark = false;
    match dissolve(elements(arguments, 0), &mut out, &mut mark) {
        Some(unknown) => Ok(unknown.with_mark(mark)),
        None => Ok(Value::tuple(out).with_mark(mark)),
    }
}

/// Dissolves lists in lists. An unknown element may yet turn out to be a list; then so is the result.
fn dissolve(elements: &[Value], out: &mut Vec<Value>, mark: &mut bool) -> Option<Value> {
    for element in elements {
        match element.data() {
            Data::Sequence(_, inner) => {
                *mark |= element.is_sensitive();
                if let Some(unknown) = dissolve(inner, out, mark) {
                    return Some(unknown);
                }
            }
            Data::Unknown(_) => return Some(element.clone()),
            _ => out.push(element.clone()),
        }
    }
    None
}

fn index(arguments: &[Value], _: &Context<'_>) -> Answer {
    let wanted = arguments.get(1).unwrap_or(&Value::NULL);
    match elements(arguments, 0).iter().position(|e| equal(e, wanted).as_bool() == Some(true)) {
        Some(at) => Ok(number_value(Number::count(at))),
        None => blame(1, "it is not in the list"),
    }
}

fn one(arguments: &[Value], _: &Context<'_>) -> Answer {
    match elements(arguments, 0) {
        [] => Ok(Value::NULL),
        [only] => Ok(only.clone()),
        more => blame(0, format!("it must have one element or none, and has {}", more.len())),
    }
}

fn range(arguments: &[Value], _: &Context<'_>) -> Answer {
    too_many(arguments, 3)?;
    let zero = Number::from(0);
    let (start, limit) = match arguments.len() {
        1 => (zero.clone(), num(arguments, 0)),
        _ => (num(arguments, 0), num(arguments, 1)),
    };
    let down = limit < start;
    let step = if arguments.len() == 3 { num(arguments, 2) } else { Number::from(if down { -1 } else { 1 }) };
    if step == zero {
        return blame(2, "it must not be zero");
    }
    if down && step > zero || !down && step < zero && limit != start {
        let way = if down { "negative, since the start is above the limit" } else { "positive" };
        return blame(2, format!("it must be {way}"));
    }
    let mut out = Vec::new();
    let mut at = start;
    while if down { at > limit } else { at < limit } {
        if out.len() >= RANGE_LIMIT {
            return problem(format!("it would have more than {RANGE_LIMIT} elements"));
        }
        let next = at.add(&step);
        out.push(number_value(at));
        at = next;
    }
    Ok(list_of(out))
}

fn reverse(arguments: &[Value], _: &Context<'_>) -> Answer {
    let kind = match arguments.first().map(Value::data) {
        Some(Data::Sequence(SequenceKind::Tuple, _)) => SequenceKind::Tuple,
        _ => SequenceKind::List,
    };
    Ok(Data::Sequence(kind, Arc::new(elements(arguments, 0).iter().rev().cloned().collect())).into())
}

fn slice(arguments: &[Value], _: &Context<'_>) -> Answer {
    let (from, to) = (size(arguments, 1)?, size(arguments, 2)?);
    let kind = match arguments.first().map(Value::data) {
        Some(Data::Sequence(SequenceKind::Set, _)) => {
            return blame(0, "the elements of a set have no order; write tolist(...) around it");
        }
        Some(Data::Sequence(kind, _)) => *kind,
        _ => SequenceKind::List,
    };
    let elements = elements(arguments, 0);
    if from > to {
        return blame(1, "it must not be behind the end");
    }
    match elements.get(from..to) {
        Some(part) => Ok(Data::Sequence(kind, Arc::new(part.to_vec())).into()),
        None => blame(2, format!("it must not be behind the list's end, which is {}", elements.len())),
    }
}

fn sort(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut texts: Vec<&str> = Vec::new();
    for element in elements(arguments, 0) {
        match element.as_str() {
            Some(text) => texts.push(text),
            None => return blame(0, "an element is null"),
        }
    }
    texts.sort_unstable();
    Ok(list_of_texts(texts))
}
