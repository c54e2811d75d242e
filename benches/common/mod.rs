//! What the benchmarks share.

pub(crate) mod machine;
pub(crate) mod measure;
pub(crate) mod page;
pub(crate) mod words;

pub(crate) use measure::{Measured, Stopwatch, output};
