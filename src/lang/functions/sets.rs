//! Sets.

use super::{Answer, Context, Function, blame, elements, function, list, problem, set, variadic};
use crate::{
    base::{Data, SequenceKind, Value},
    lang::convert,
};
use std::sync::Arc;

pub(super) const TABLE: &[Function] = &[
    variadic("setintersection", &[set("set")], set("more"), "what is in all of the sets", |a, _| {
        combine(a, |all, next| all.retain(|v| next.contains(v)))
    }),
    variadic(
        "setproduct",
        &[list("set").parts()],
        list("more").parts(),
        "every combination of one element of each",
        setproduct,
    ),
    function("setsubtract", &[set("a"), set("b")], "what is in the first set and not in the second", |a, _| {
        combine(a, |all, next| all.retain(|v| !next.contains(v)))
    }),
    variadic("setunion", &[set("set")], set("more"), "what is in any of the sets", |a, _| {
        combine(a, |all, next| all.extend(next.iter().cloned()))
    }),
];

/// How many combinations are made at most.
const PRODUCT_LIMIT: usize = 1_000_000;

fn combine(arguments: &[Value], step: fn(&mut Vec<Value>, &[Value])) -> Answer {
    // All in one type first, so that 1 and "1" are the same where they meet.
    let types: Vec<_> = arguments.iter().map(convert::type_of).collect();
    let Some(ty) = convert::unify(&types) else { return problem("the sets have no type in common") };
    let mut all: Option<Vec<Value>> = None;
    for (at, argument) in arguments.iter().enumerate() {
        let converted = match convert::convert(argument, &ty) {
            Ok(converted) => converted,
            Err(mismatch) => return blame(at, mismatch.to_string()),
        };
        let next = converted.as_seq().map(|s| s.to_vec()).unwrap_or_default();
        match &mut all {
            None => all = Some(next),
            Some(all) => step(all, &next),
        }
    }
    Ok(convert::set_of(all.unwrap_or_default()))
}

fn setproduct(arguments: &[Value], _: &Context<'_>) -> Answer {
    if arguments.len() < 2 {
        return problem("it takes at least two arguments");
    }
    let count = (0..arguments.len()).try_fold(1usize, |n, at| n.checked_mul(elements(arguments, at).len()));
    if count.is_none_or(|n| n > PRODUCT_LIMIT) {
        return problem(format!("it would have more than {PRODUCT_LIMIT} elements"));
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for at in 0..arguments.len() {
        rows = rows
            .into_iter()
            .flat_map(|row| {
                elements(arguments, at).iter().map(move |next| {
                    let mut row = row.clone();
                    row.push(next.clone());
                    row
                })
            })
            .collect();
    }
    let rows: Vec<Value> = rows.into_iter().map(Value::tuple).collect();
    let sets = arguments.iter().any(|a| matches!(a.data(), Data::Sequence(SequenceKind::Set, _)));
    if sets {
        return Ok(convert::set_of(rows));
    }
    Ok(Data::Sequence(SequenceKind::List, Arc::new(rows)).into())
}
