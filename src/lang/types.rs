//! Type constraints: `string`, `list(number)`, `object({ a = optional(string, "x") })`.

use crate::base::Value;
use std::{collections::BTreeMap, sync::Arc};

/// A type constraint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Type {
    /// Anything.
    #[default]
    Any,
    /// `bool`.
    Bool,
    /// `number`.
    Number,
    /// `string`.
    String,
    /// `list(T)`.
    List(Box<Type>),
    /// `set(T)`.
    Set(Box<Type>),
    /// `map(T)`.
    Map(Box<Type>),
    /// `tuple([A, B])`.
    Tuple(Vec<Type>),
    /// `object({ a = T, b = optional(U, default) })`.
    Object(BTreeMap<Arc<str>, Field>),
}

/// A field of an object type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its type.
    pub ty: Type,
    /// Whether it may be left out.
    pub optional: bool,
    /// What it is where left out; null where none is given.
    pub default: Option<Value>,
}
