//! Terrace: one declarative executor over CloudFormation, EKS add-ons, Helm, Kubernetes manifests and programs.
//!
//! Data goes one way: plan files, lang, graph, plan, apply, the [`world`], state. `ARCHITECTURE.md` says
//! what each room holds and which it may import; a test holds that.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests touch the disk"))]

pub mod apply;
pub mod base;
pub mod cfn;
pub mod cli;
pub mod gate;
pub mod graph;
pub mod kinds;
pub mod lang;
pub mod plan;
pub mod policy;
pub mod promote;
pub mod review;
pub mod rollout;
pub mod state;
pub mod world;
