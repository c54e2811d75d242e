//! Rollouts: how a new version takes the place of the old one, as pure functions over what was recorded.
//!
//! Nothing here reads a clock or asks the world: whoever calls brings the moment, and what was measured.
//!
//! Reading order: [`Spec`] (what is asked), [`Going`] with [`Fact`] and [`Next`] (one rollout under way), [`Standing`] (what stands
//! when none is), [`Tally`] (what a row of measurements comes to). [`Outline`] is what the block alone tells of it.

mod analysis;
mod machine;
mod outline;
mod spec;
mod standing;

pub use analysis::{Limits, Mode, READINGS_KEPT, Reading, Tally, Verdict};
pub use machine::{Fact, Fault, Going, Next, Part, Paused, Stage};
pub use outline::{Leg, Outline};
pub use spec::{PROVED_WITHIN, Pause, Spec, Step, Strategy, TARGETS_WITHIN};
pub use standing::{Ended, Kept, Standing};
