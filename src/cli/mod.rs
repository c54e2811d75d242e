//! The command line: the only room that prints, reads the environment, the disk and the real clock, or chooses between the
//! live and the sandbox world.
//!
//! Reading order: `args`, `commands` (one file each), then what they share: `project`, `loaded`, `place`,
//! `views`.

mod args;
mod audited;
mod commands;
mod consent;
mod context;
mod delivery;
mod error;
mod event;
mod exit;
mod forge;
mod images;
mod kustomize;
mod loaded;
mod made_of;
mod note;
mod notify;
mod packs;
mod place;
mod policies;
mod prices;
mod project;
mod pull_request;
mod registries;
mod releases;
mod run;
mod running;
mod settings;
mod signatures;
mod sources;
mod stage;
mod style;
mod surroundings;
mod terminal;
mod variables;
mod views;

pub use run::main;
