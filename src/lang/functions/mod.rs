//! The functions of the language: Terraform's, under their names, with their results.
//!
//! A table; each entry says what it takes and how marks pass through it, so that the functions themselves mostly see
//! plain values. Called by the evaluator; listed in docs/functions.md. A function reads
//! files through [`Sources`] and takes the time as a value.

#![expect(clippy::unnecessary_wraps, reason = "every entry of the table has one signature")]

mod address;
mod collections;
mod encoding;
mod files;
mod format;
mod hash;
mod lists;
mod maps;
mod numbers;
mod patterns;
mod sets;
mod strings;
#[cfg(test)]
mod tests;
mod time;
mod types;
mod yaml;

use crate::{
    base::{Data, Map, Number, SequenceKind, Value},
    lang::{Sources, convert, types::Type},
};
use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

/// A function.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes, in order.
    pub params: &'static [Param],
    /// What it takes beyond that, any number of times.
    pub rest: Option<Param>,
    /// What it returns, in one sentence.
    pub doc: &'static str,
    eval: Eval,
}

/// How a function is computed: its arguments have been counted, converted and stripped of their marks.
type Eval = fn(&[Value], &Context<'_>) -> Answer;

/// What a function answers.
pub(crate) type Answer = Result<Value, Problem>;

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What is taken.
    pub takes: Takes,
    /// Whether null is taken.
    pub null: bool,
    pub(crate) access: Access,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Anything.
    Any,
    /// A bool.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// A list, tuple or set of anything.
    List,
    /// A list of strings.
    Strings,
    /// A set.
    Set,
    /// A map or object of anything.
    Map,
}

/// How a function treats what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It looks into all of it: a mark or an unknown anywhere in it is one of the result.
    Whole,
    /// It passes the parts on: their marks stay on them, only the value's own is the result's.
    Parts,
    /// It sees it as it is.
    Raw,
}

/// What a function may look at beside its arguments.
pub(crate) struct Context<'a> {
    /// The project's files.
    pub(crate) sources: &'a dyn Sources,
    /// The time of the plan.
    pub(crate) plan_time: jiff::Timestamp,
}

/// Why a function has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Which argument is to blame, where one is.
    pub(crate) argument: Option<usize>,
    /// What is wrong.
    pub(crate) text: String,
}

/// A problem of the whole call.
fn problem<T>(text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { argument: None, text: text.into() })
}

/// A problem of one argument.
fn blame<T>(argument: usize, text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { argument: Some(argument), text: text.into() })
}

impl Param {
    const fn new(name: &'static str, takes: Takes) -> Self {
        Self { name, takes, null: false, access: Access::Whole }
    }

    const fn parts(self) -> Self {
        Self { access: Access::Parts, ..self }
    }

    const fn raw(self) -> Self {
        Self { access: Access::Raw, null: true, ..self }
    }

    const fn nullable(self) -> Self {
        Self { null: true, ..self }
    }

    /// The value as the parameter takes it, or what is wrong with it.
    pub(crate) fn fit(&self, value: Value) -> Result<Value, String> {
        if value.is_null() {
            return if self.null { Ok(value) } else { Err("it must not be null".to_owned()) };
        }
        let ty: Cow<'_, Type> = match self.takes {
            Takes::Any => return Ok(value),
            Takes::Bool => Cow::Owned(Type::Bool),
            Takes::Number => Cow::Owned(Type::Number),
            Takes::String => Cow::Owned(Type::String),
            Takes::Strings => Cow::Owned(Type::List(Box::new(Type::String))),
            Takes::Set => Cow::Owned(Type::Set(Box::new(Type::Any))),
            Takes::List if value.as_seq().is_some() => return Ok(value),
            Takes::List => return Err(format!("a list is required, not {}", convert::word(&value))),
            Takes::Map if value.as_map().is_some() => return Ok(value),
            Takes::Map => return Err(format!("a map is required, not {}", convert::word(&value))),
        };
        convert::convert(&value, &ty).map_err(|mismatch| mismatch.to_string())
    }
}

impl Function {
    /// How it is called: `split(separator, string)`.
    pub fn signature(&self) -> String {
        let mut names: Vec<String> = self.params.iter().map(|p| p.name.to_owned()).collect();
        names.extend(self.rest.iter().map(|p| format!("{}...", p.name)));
        format!("{}({})", self.name, names.join(", "))
    }

    pub(crate) fn run(&self, arguments: &[Value], context: &Context<'_>) -> Answer {
        (self.eval)(arguments, context)
    }
}

/// The functions by what they are about.
pub const FAMILIES: [(&str, &[Function]); 14] = [
    ("Strings", strings::TABLE),
    ("Regular expressions", patterns::TABLE),
    ("Format", format::TABLE),
    ("Numbers", numbers::TABLE),
    ("Collections", collections::TABLE),
    ("Lists", lists::TABLE),
    ("Maps", maps::TABLE),
    ("Sets", sets::TABLE),
    ("Types and marks", types::TABLE),
    ("Encodings", encoding::TABLE),
    ("Hashes", hash::TABLE),
    ("Time", time::TABLE),
    ("Files", files::TABLE),
    ("Networks", address::TABLE),
];

static TABLE: LazyLock<Vec<&'static Function>> = LazyLock::new(|| {
    let mut all: Vec<&'static Function> = FAMILIES.iter().flat_map(|(_, table)| table.iter()).collect();
    all.sort_by_key(|f| f.name);
    all
});

/// Every function, in order of name.
pub fn all() -> &'static [&'static Function] {
    &TABLE
}

/// A function by name.
pub fn find(name: &str) -> Option<&'static Function> {
    TABLE.binary_search_by_key(&name, |f| f.name).ok().map(|at| TABLE[at])
}

/// The name of every function.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|f| f.name)
}

/// What to do in place of a function of Terraform's that is left out on purpose.
pub(crate) fn absent(name: &str) -> Option<&'static str> {
    Some(match name {
        "abspath" | "pathexpand" => "paths start at the project's folder, so that a plan is the same on every machine",
        "uuid" | "bcrypt" => "a plan is the same for the same inputs; derive it with uuidv5 or a hash",
        "list" => "write [a, b], or tolist([a, b])",
        "map" => "write { a = b }, or tomap({ a = b })",
        "rsadecrypt" => "private keys do not belong in plan files; use data \"secret\"",
        _ => return None,
    })
}

// What the families share.

const fn any(name: &'static str) -> Param {
    Param::new(name, Takes::Any)
}
const fn number(name: &'static str) -> Param {
    Param::new(name, Takes::Number)
}
const fn string(name: &'static str) -> Param {
    Param::new(name, Takes::String)
}
const fn list(name: &'static str) -> Param {
    Param::new(name, Takes::List)
}
const fn strings(name: &'static str) -> Param {
    Param::new(name, Takes::Strings)
}
const fn map(name: &'static str) -> Param {
    Param::new(name, Takes::Map)
}
const fn set(name: &'static str) -> Param {
    Param::new(name, Takes::Set)
}

const fn function(name: &'static str, params: &'static [Param], doc: &'static str, eval: Eval) -> Function {
    Function { name, params, rest: None, doc, eval }
}

const fn variadic(
    name: &'static str,
    params: &'static [Param],
    rest: Param,
    doc: &'static str,
    eval: Eval,
) -> Function {
    Function { name, params, rest: Some(rest), doc, eval }
}

/// The text of an argument that its parameter made a string.
fn text(arguments: &[Value], at: usize) -> &str {
    arguments.get(at).and_then(Value::as_str).unwrap_or_default()
}

/// The number of an argument that its parameter made one.
fn num(arguments: &[Value], at: usize) -> Number {
    match arguments.get(at).map(Value::data) {
        Some(Data::Number(n)) => n.clone(),
        _ => 0.into(),
    }
}

/// A whole number.
fn whole(arguments: &[Value], at: usize) -> Result<i64, Problem> {
    match num(arguments, at).as_i64() {
        Some(n) => Ok(n),
        None => blame(at, "it must be a whole number"),
    }
}

/// A whole number that is not negative.
fn size(arguments: &[Value], at: usize) -> Result<usize, Problem> {
    match usize::try_from(whole(arguments, at)?) {
        Ok(n) => Ok(n),
        Err(_) => blame(at, "it must not be negative"),
    }
}

/// The elements of an argument that its parameter made a list.
fn elements(arguments: &[Value], at: usize) -> &[Value] {
    arguments.get(at).and_then(Value::as_seq).map(|s| &s[..]).unwrap_or_default()
}

/// The entries of an argument that its parameter made a map.
fn entries(arguments: &[Value], at: usize) -> Map {
    arguments.get(at).and_then(Value::as_map).cloned().unwrap_or_default()
}

fn list_of(elements: Vec<Value>) -> Value {
    Data::Sequence(SequenceKind::List, Arc::new(elements)).into()
}

fn list_of_texts<S: Into<Arc<str>>>(texts: impl IntoIterator<Item = S>) -> Value {
    list_of(texts.into_iter().map(Value::string).collect())
}

fn number_value(n: Number) -> Value {
    Data::Number(n).into()
}

fn too_many(arguments: &[Value], most: usize) -> Result<(), Problem> {
    if arguments.len() > most {
        problem(format!("it takes at most {most} arguments, not {}", arguments.len()))
    } else {
        Ok(())
    }
}
