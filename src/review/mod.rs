//! What a reviewer has to know of a plan, made from facts: how much each change may go wrong, and why. Nothing here changes what a plan does.

pub mod capacity;
mod change;
pub mod comment;
pub mod cost;
pub mod forge;
pub mod note;
mod plain;
pub mod report;
mod risk;
mod withheld;

pub use capacity::{Capacity, capacity};
pub use cost::{Book, Cost, cost};
pub(crate) use plain::is_invisible;
pub use risk::{Rank, Reason, Risk, risks};
