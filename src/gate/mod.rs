//! Gates: whether a release may come to an environment, as a pure function over recorded facts.
//!
//! Nothing here reads a clock, a disk or the network: whoever asks brings the facts and the moment. [`judge`] returns every
//! reason that blocks, not the first.

mod approval;
mod eligible;
mod place;
#[cfg(test)]
mod tests;
mod window;

pub use approval::{Counted, Ignored, count, means};
pub use eligible::{Candidate, Docket, Reason, Way, candidate, judge};
pub use place::{Place, Seen};
pub use window::{is_open, opens};
