//! Rules over what a plan is made of: packs of them, what they look at, what they find.
//!
//! Reading order: [`pack`] (what rules there are), `material.rs` (what they look at), `check.rs` (what they find), `fixtures.rs` (whether
//! they find what they should). [`judge`] is what the process does that judges (rule 41).

mod check;
mod child;
mod finding;
mod fixtures;
mod material;
pub mod pack;

pub use check::{Checked, Error, Strictness, check};
pub use child::judge;
pub use finding::{Finding, Place, Severity};
pub use fixtures::{Proof, prove};
pub use material::{Material, material};
pub use pack::{On, Pack};
