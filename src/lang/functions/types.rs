//! Conversions, marks, and the two functions that try.

use super::{Answer, Context, Function, any, blame, function, problem, variadic};
use crate::{
    base::{Data, Value},
    lang::{convert, types::Type},
};

pub(super) const TABLE: &[Function] = &[
    // The evaluator runs these two itself, since they decide what is evaluated.
    function("can", &[any("expression").raw()], "whether the expression has a value, and no error", never),
    variadic("try", &[any("expression").raw()], any("more").raw(), "the first argument that has a value", never),
    function("issensitive", &[any("value").raw()], "whether the value is sensitive", is_sensitive),
    function("nonsensitive", &[any("value").raw()], "the value without its sensitive mark", nonsensitive),
    function("sensitive", &[any("value").raw()], "the value, marked sensitive", sensitive),
    function("tobool", &[any("value").nullable()], "the value as a bool", |a, _| to(&Type::Bool, a)),
    function("tolist", &[any("value").parts().nullable()], "the value as a list", |a, _| to(&list(), a)),
    function("tomap", &[any("value").parts().nullable()], "the value as a map", |a, _| to(&map(), a)),
    function("tonumber", &[any("value").nullable()], "the value as a number", |a, _| to(&Type::Number, a)),
    function("toset", &[any("value").parts().nullable()], "the value as a set", |a, _| to(&set(), a)),
    function("tostring", &[any("value").nullable()], "the value as a string", |a, _| to(&Type::String, a)),
    function("type", &[any("value").raw()], "the type of the value, as text", type_text),
];

fn never(_: &[Value], _: &Context<'_>) -> Answer {
    problem("it is evaluated where it is called")
}

fn list() -> Type {
    Type::List(Box::new(Type::Any))
}

fn set() -> Type {
    Type::Set(Box::new(Type::Any))
}

fn map() -> Type {
    Type::Map(Box::new(Type::Any))
}

fn to(ty: &Type, arguments: &[Value]) -> Answer {
    let value = arguments.first().unwrap_or(&Value::NULL);
    convert::convert(value, ty).or_else(|mismatch| blame(0, mismatch.to_string()))
}

fn is_sensitive(arguments: &[Value], _: &Context<'_>) -> Answer {
    Ok(arguments.first().is_some_and(Value::is_sensitive).into())
}

fn sensitive(arguments: &[Value], _: &Context<'_>) -> Answer {
    Ok(arguments.first().cloned().unwrap_or(Value::NULL).sensitive())
}

fn nonsensitive(arguments: &[Value], _: &Context<'_>) -> Answer {
    let value = arguments.first().cloned().unwrap_or(Value::NULL);
    if matches!(value.data(), Data::Sealed(_)) {
        return blame(0, "only a hash of it was stored, so that it cannot be shown");
    }
    Ok(value.unmarked())
}

fn type_text(arguments: &[Value], _: &Context<'_>) -> Answer {
    let ty = arguments.first().map_or(Type::Any, convert::type_of);
    Ok(Value::string(ty.to_string()))
}
