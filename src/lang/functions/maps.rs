//! Maps and objects.

use super::{
    Answer, Context, Function, any, blame, elements, entries, function, list, list_of_texts, map, problem, string,
    strings, text, too_many, variadic,
};
use crate::{
    base::{Data, MappingKind, SequenceKind, Value},
    lang::{convert, evaluate::equal, suggest, types::Type},
};
use std::{collections::BTreeMap, sync::Arc};

pub(super) const TABLE: &[Function] = &[
    function("keys", &[map("map").parts()], "the keys of the map, in order", keys),
    variadic(
        "lookup",
        &[map("map").parts(), string("key")],
        any("default").raw(),
        "the map's value for the key, or the default",
        lookup,
    ),
    function(
        "matchkeys",
        &[list("values").parts(), list("keys"), list("wanted")],
        "the values at whose place in the second list stands one of the third",
        matchkeys,
    ),
    variadic("merge", &[], any("map").parts().nullable(), "the maps in one, later ones first", merge),
    function("transpose", &[map("map")], "a map of lists of strings, the other way round", transpose),
    function("values", &[map("map").parts()], "the values of the map, in order of their keys", values),
    function("zipmap", &[strings("keys"), list("values").parts()], "a map of the keys to the values", zipmap),
];

fn keys(arguments: &[Value], _: &Context<'_>) -> Answer {
    let texts = entries(arguments, 0).keys().map(|k| Value::string(k.clone())).collect();
    Ok(match arguments.first().map(Value::data) {
        Some(Data::Mapping(MappingKind::Object, _)) => Value::tuple(texts),
        _ => Data::Sequence(SequenceKind::List, Arc::new(texts)).into(),
    })
}

fn lookup(arguments: &[Value], _: &Context<'_>) -> Answer {
    too_many(arguments, 3)?;
    let entries = entries(arguments, 0);
    let key = text(arguments, 1);
    if let Some(found) = entries.get(key) {
        return Ok(found.clone());
    }
    if let Some(default) = arguments.get(2) {
        match arguments.first().map(convert::type_of) {
            Some(Type::Map(element)) => convert::convert(default, &element)
                .or_else(|mismatch| blame(2, format!("it must have the type of the map's elements: {mismatch}"))),
            _ => Ok(default.clone()),
        }
    } else {
        let hint = suggest::hint(key, entries.keys().map(|k| &**k));
        blame(1, format!("there is no {key:?} in it{}", hint.map(|h| format!("; {h}")).unwrap_or_default()))
    }
}

fn matchkeys(arguments: &[Value], _: &Context<'_>) -> Answer {
    let (values, keys, wanted) = (elements(arguments, 0), elements(arguments, 1), elements(arguments, 2));
    if values.len() != keys.len() {
        return blame(1, format!("it has {} elements, and the values are {}", keys.len(), values.len()));
    }
    let is = |key: &Value| wanted.iter().any(|w| equal(key, w).as_bool() == Some(true));
    let found: Vec<Value> =
        values.iter().zip(keys).filter(|(_, key)| is(key)).map(|(value, _)| value.clone()).collect();
    as_list(found)
}

fn as_list(elements: Vec<Value>) -> Answer {
    let tuple = Value::tuple(elements);
    convert::convert(&tuple, &Type::List(Box::new(Type::Any))).or_else(|mismatch| problem(mismatch.to_string()))
}

fn merge(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut out = BTreeMap::new();
    let mut maps = true;
    for (at, argument) in arguments.iter().enumerate() {
        match argument.data() {
            Data::Null => {}
            Data::Mapping(kind, entries) => {
                maps &= *kind == MappingKind::Map;
                out.extend(entries.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
            _ => return blame(at, format!("a map is required, not {}", convert::word(argument))),
        }
    }
    let some = arguments.iter().any(|a| !a.is_null());
    if !some {
        return Ok(if arguments.is_empty() { Value::object::<&str>([]) } else { Value::NULL });
    }
    let object: Value = Data::Mapping(MappingKind::Object, Arc::new(out)).into();
    if maps && let Ok(map) = convert::convert(&object, &Type::Map(Box::new(Type::Any))) {
        return Ok(map);
    }
    Ok(object)
}

fn transpose(arguments: &[Value], _: &Context<'_>) -> Answer {
    let mut out: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    let strings = Type::Map(Box::new(Type::List(Box::new(Type::String))));
    let map = match convert::convert(arguments.first().unwrap_or(&Value::NULL), &strings) {
        Ok(map) => map,
        Err(mismatch) => return blame(0, mismatch.to_string()),
    };
    for (key, list) in map.as_map().into_iter().flat_map(|m| m.iter()) {
        for value in list.as_seq().into_iter().flat_map(|l| l.iter()) {
            match value.data() {
                Data::String(value) => out.entry(value.clone()).or_default().push(key.clone()),
                _ => return blame(0, "a value in it is null"),
            }
        }
    }
    let entries = out.into_iter().map(|(k, mut v)| {
        v.sort();
        (k, list_of_texts(v))
    });
    Ok(Data::Mapping(MappingKind::Map, Arc::new(entries.collect())).into())
}

fn values(arguments: &[Value], _: &Context<'_>) -> Answer {
    let values: Vec<Value> = entries(arguments, 0).values().cloned().collect();
    Ok(match arguments.first().map(Value::data) {
        Some(Data::Mapping(MappingKind::Object, _)) => Value::tuple(values),
        _ => Data::Sequence(SequenceKind::List, Arc::new(values)).into(),
    })
}

fn zipmap(arguments: &[Value], _: &Context<'_>) -> Answer {
    let (keys, values) = (elements(arguments, 0), elements(arguments, 1));
    if keys.len() != values.len() {
        return problem(format!("there are {} keys and {} values", keys.len(), values.len()));
    }
    let mut out = BTreeMap::new();
    for (key, value) in keys.iter().zip(values) {
        match key.data() {
            Data::String(key) => out.insert(key.clone(), value.clone()),
            _ => return blame(0, "a key is null"),
        };
    }
    let kind = match arguments.get(1).map(Value::data) {
        Some(Data::Sequence(SequenceKind::Tuple, _)) => MappingKind::Object,
        _ => MappingKind::Map,
    };
    Ok(Data::Mapping(kind, Arc::new(out)).into())
}
