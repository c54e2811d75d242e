//! Rules over what a plan is made of: packs of them, what they look at, what they find.
//!
//! Reading order: [`pack`] (what rules there are), `material.rs` (what they look at), `check.rs` (what they find), `own.rs` (Terrace's own rules, over what a plan does),
//! `waive.rs` (what is let pass), `remembered.rs` (what still counts although nobody declares it any more), `fixtures.rs` (whether they find what they should),
//! `coverage.rs` (which controls are claimed, and what proves them), `oscal.rs` (the same in the words of OSCAL), `artifact.rs` (a pack in a registry). [`judge`] is what the process does that judges (rule 41).

mod artifact;
mod check;
mod child;
pub mod coverage;
mod fixtures;
mod material;
pub mod oscal;
mod own;
pub mod pack;
mod remembered;
mod waive;

pub use artifact::{PackFiles, pull_pack, push_pack};
pub use check::{Checked, Error, Strictness, as_files, check};
pub use child::judge;
pub use fixtures::{Proof, prove};
pub use material::{Material, material};
pub use own::{Beside, OWN, OwnRule, RULES, looked, opens, own, secrets_in_clear};
pub use pack::{On, Pack};
pub use remembered::RuleBook;
pub use waive::{standing, waive};
