//! Rules over what a plan is made of: packs of them, what they look at, what they find.
//!
//! Reading order: [`pack`] (what rules there are), `material.rs` (what they look at), `check.rs` (what they find), `own.rs` (Terrace's own rules, over what a plan does),
//! `waive.rs` (what is let pass), `fixtures.rs` (whether they find what they should). [`judge`] is what the process does that judges (rule 41).

mod check;
mod child;
mod fixtures;
mod material;
mod own;
pub mod pack;
mod waive;

pub use check::{Checked, Error, Strictness, check};
pub use child::judge;
pub use fixtures::{Proof, prove};
pub use material::{Material, material};
pub use own::{OWN, OwnRule, RULES, opens, own};
pub use pack::{On, Pack};
pub use waive::{standing, waive};
