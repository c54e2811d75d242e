//! The vocabulary every room shares: addresses, values, spans, diagnostics, digests, secrets, events, durations.
//! No IO, no async, no clock.

mod address;
mod canonical;
mod color;
mod control;
mod diagnostic;
mod digest;
mod duration;
mod event;
mod few;
mod finding;
mod image;
mod moment;
mod number;
mod secret;
mod secret_name;
mod signature;
mod span;
mod value;
pub mod yaml;

pub use address::{Address, Key, ModulePath, ModuleStep};
pub use canonical::{canonical_json, canonical_text};
pub use color::{Color, Side};
pub use control::Control;
pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use digest::Digest;
pub use duration::{DurationError, format_duration, parse_duration};
pub use event::{ActionWord, Event, Events, NoEvents, NodeEnd, RunEnd};
pub use few::{few, plural};
pub use finding::Finding;
pub use image::Image;
pub use moment::{elapsed, later};
pub use number::{Number, NumberError};
pub use secret::{Hidden, Secret};
pub use secret_name::{names_a_secret, says_where_a_secret_is};
pub use signature::{PublicKey, SigningKey};
pub use span::{SourceMap, Span};
pub use value::{Data, Map, MappingKind, Path, Seq, SequenceKind, Step, Value, present};
