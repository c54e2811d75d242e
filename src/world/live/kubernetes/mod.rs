//! A cluster's API server over kube's client: how it is reached, one request path for all calls, and the trait on top.
//!
//! `reach` makes a kubeconfig of every kind of connection, so that the client of this process and the programs that it starts
//! meet the same server as the same user. `cluster` holds the one request path: a budget, a timeout for each call, tries
//! again where the server asks for them, a credential that has run out renewed once. What a failure means is in `failure`.

mod api;
mod capabilities;
mod client;
mod cluster;
mod discovery;
mod exec;
mod failure;
mod forward;
mod gather;
#[allow(dead_code, reason = "for programs that meet the cluster: the room of helm calls it")]
mod kubeconfig;
mod paths;
mod proxy;
mod reach;
mod token;
mod watch;

pub(in crate::world::live) use api::Api;
pub(in crate::world::live) use cluster::Cluster;
#[allow(unused_imports, reason = "for programs that meet the cluster: the room of helm names it")]
pub(in crate::world::live) use kubeconfig::KubeconfigFile;
pub(in crate::world::live) use reach::{Account, is_own};
