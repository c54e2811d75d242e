//! What holds for the project as a whole: the program as people run it, and what it is shipped with. One program with a
//! module for each, so that the crate is linked once.

#[cfg(test)]
mod access;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod aws;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod cluster;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "reads what the program wrote")]
mod comment;
#[cfg(test)]
mod contract;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "starts the program")]
mod cost;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod fields;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "starts servers and programs, reads what they wrote")]
mod forge;
#[cfg(test)]
mod health;
#[cfg(test)]
mod helm;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod ledgers;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod note;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod platform;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "makes folders, starts the program")]
mod policy;
#[cfg(test)]
mod proof;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "starts the program, and makes programs")]
mod pull_request;
#[cfg(test)]
mod readme;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "reads what the program wrote")]
mod report;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod stacks;
#[cfg(test)]
mod state_s3;
#[cfg(test)]
#[path = "../support/mod.rs"]
#[expect(clippy::disallowed_methods, reason = "starts servers, makes folders, opens connections")]
mod support;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod terraform;
#[cfg(test)]
mod tour;
#[cfg(test)]
mod traffic;
#[cfg(test)]
mod undone;
#[cfg(test)]
mod wholes;
#[cfg(test)]
mod workflows;
