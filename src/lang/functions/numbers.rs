//! Numbers.

use super::{
    Answer, Context, Function, blame, elements, function, list, num, number, number_value, problem, string, text,
    variadic, whole,
};
use crate::{
    base::{Data, Number, Value},
    lang::{convert, types::Type},
};
use std::cmp::Ordering;

pub(super) const TABLE: &[Function] = &[
    function("abs", &[number("number")], "the number without its sign", |a, _| Ok(number_value(num(a, 0).abs()))),
    function("ceil", &[number("number")], "the next whole number that is not below it", |a, _| {
        Ok(number_value(num(a, 0).ceil()))
    }),
    function("floor", &[number("number")], "the next whole number that is not above it", |a, _| {
        Ok(number_value(num(a, 0).floor()))
    }),
    function("log", &[number("number"), number("base")], "the logarithm of the number to the base", |a, _| {
        finite(num(a, 0).log(&num(a, 1)))
    }),
    variadic("max", &[number("number")], number("more"), "the largest of the numbers", |a, _| {
        Ok(extreme(a, Ordering::Greater))
    }),
    variadic("min", &[number("number")], number("more"), "the smallest of the numbers", |a, _| {
        Ok(extreme(a, Ordering::Less))
    }),
    function(
        "parseint",
        &[string("string"), number("base")],
        "the whole number written in the base, 2 to 62",
        parseint,
    ),
    function("pow", &[number("number"), number("power")], "the number raised to the power", |a, _| {
        finite(num(a, 0).pow(&num(a, 1)))
    }),
    function("signum", &[number("number")], "-1, 0 or 1, as the number is below zero, zero or above", |a, _| {
        Ok((num(a, 0).sign() as i64).into())
    }),
    function("sum", &[list("list")], "the sum of the numbers in the list", sum),
];

fn finite(result: Option<Number>) -> Answer {
    result.map_or_else(|| problem("the result is not finite"), |n| Ok(number_value(n)))
}

fn extreme(arguments: &[Value], wanted: Ordering) -> Value {
    let mut best = num(arguments, 0);
    for at in 1..arguments.len() {
        let next = num(arguments, at);
        if next.cmp(&best) == wanted {
            best = next;
        }
    }
    number_value(best)
}

fn parseint(arguments: &[Value], _: &Context<'_>) -> Answer {
    let base = whole(arguments, 1)?;
    let Some(radix) = u32::try_from(base).ok().filter(|b| (2..=62).contains(b)) else {
        return blame(1, "the base must be 2 to 62");
    };
    let digits = text(arguments, 0);
    match Number::parse_radix(digits, radix) {
        Ok(number) => Ok(number_value(number)),
        Err(_) => blame(0, format!("{digits:?} is no whole number in base {radix}")),
    }
}

fn sum(arguments: &[Value], _: &Context<'_>) -> Answer {
    let elements = elements(arguments, 0);
    if elements.is_empty() {
        return blame(0, "it is empty");
    }
    let mut total = Number::from(0);
    for element in elements {
        match convert::convert(element, &Type::Number).map(Value::into_data) {
            Ok(Data::Number(n)) => total = total.add(&n),
            _ => return blame(0, format!("all elements must be numbers, and one is {}", convert::word(element))),
        }
    }
    Ok(number_value(total))
}
