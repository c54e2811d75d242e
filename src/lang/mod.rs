//! The language: plan files to a [`Configuration`], and expressions to values.
//!
//! Reading order: [`ast`], parse and lower, [`schema`], decode to [`configuration`], [`types`], [`scope`], evaluate,
//! functions. Reads only through [`Sources`]; never the disk, the environment or the clock.

pub mod ast;
pub mod configuration;
pub mod schema;
pub mod scope;
mod sources;
pub mod types;

pub use configuration::{Configuration, Declaration};
pub use sources::{MemorySources, SourceError, Sources, normalize};
