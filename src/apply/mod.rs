//! The executor: dispatch, retry, journal, recover, roll back.
//!
//! Reading order: [`run()`] (a run from its first record to its last), `executor` (who has its turn), `work` (one instance),
//! `journal` (one effect), `verify`, `rollout` (traffic that moves), `rollback`, `unwind`; [`doctor()`] stands apart.

mod doctor;
mod executor;
mod interrupt;
mod journal;
mod report;
mod rollback;
mod rollout;
mod run;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trail;
mod unwind;
mod verify;
mod warrant;
mod work;

pub use doctor::{Diagnosis, doctor, mend};
pub use interrupt::Interrupt;
pub use report::{Error, Options, Report, RunFacts};
pub use run::{open_plan, resume, run};
pub use warrant::Warrant;
