//! The language: plan files to a [`Configuration`], and expressions to values.
//!
//! Reading order: [`ast`], parse and lower, [`schema`], decode to [`configuration`], [`types`], [`scope`], evaluate,
//! functions. Reads only through [`Sources`]; never the disk, the environment or the clock.

pub mod ast;
pub mod builtin;
mod check;
pub mod configuration;
mod controls;
pub mod convert;
mod decode;
pub mod evaluate;
mod format;
pub mod functions;
pub mod gates;
mod lex;
mod literal;
mod load;
pub mod parse;
mod phases;
mod references;
mod resolve;
pub mod schema;
pub mod scope;
pub mod show;
mod sources;
pub mod suggest;
#[cfg(test)]
mod test_schema;
#[cfg(test)]
mod tests;
pub mod types;
pub mod values;
mod version;

pub use configuration::{Configuration, Declaration};
pub use evaluate::{
    Conditions, ConnectionRef, EnvValues, Evaluated, Evaluator, Expansion, FailedCondition, Given, InputPlaces,
    UnknownInstances,
};
pub use format::format;
pub use literal::literal;
pub use load::{is_plan_file, load, load_for};
pub use phases::IMPLICIT as IMPLICIT_PHASE;
pub use references::{references, references_beside, references_of_body};
pub use sources::{MemorySources, SourceError, Sources, normalize};
pub use version::{VersionError, meets};
