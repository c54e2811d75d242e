//! What tests and benchmarks share: servers that stand in for AWS, a proxy that makes trouble in front of one, and project
//! folders whose plans go to them. Included by path, for it is no program of its own.

pub(crate) mod action;
pub(crate) mod browser;
pub(crate) mod cluster;
pub(crate) mod message;
pub(crate) mod platform;
pub(crate) mod project;
pub(crate) mod prometheus;
pub(crate) mod proof;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod trouble;
pub(crate) mod web;

pub(crate) use cluster::cluster;
pub(crate) use project::{Project, Said};
pub(crate) use proxy::Proxy;
pub(crate) use server::{Account, ministack, moto};
pub(crate) use trouble::Trouble;
