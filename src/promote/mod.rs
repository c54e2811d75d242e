//! Releases on their way from one environment to the next.

pub mod artifact;
mod back;
mod difference;
mod freeze;
pub mod image_signatures;
pub mod images;
pub mod stored;

pub use back::beyond_return;
pub use difference::{Difference, ImageChange, difference, image_difference};
pub use freeze::{ENVIRONMENTS, Ingredients, environment_blocks, freeze, without_environments};
