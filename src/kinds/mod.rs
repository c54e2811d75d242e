//! What can be declared, one folder a kind, each behind the trait [`Kind`].
//!
//! To add a kind: write its folder and one line of each of the two tables below.

mod attribute;
mod check;
mod command;
mod context;
mod data;
mod data_plan_outputs;
mod data_secret;
mod data_ssm_parameter;
mod difference;
mod drain;
mod eks_addon;
mod eks_upgrade;
pub mod exposure;
mod footprint;
mod former;
mod graft;
mod helm;
mod holding;
mod images;
mod kind;
mod manifest;
mod marks;
mod matter;
mod notation;
mod objects;
mod ownership;
mod probe;
mod reason;
mod stack;
mod terraform;
#[cfg(test)]
mod testing;
pub mod traffic;
mod value;
mod written;

pub use context::{Context, FIRST_POLL, Pace, PlanOutputs, Programs, SLOWEST_POLL, Seen, backoff};
pub use difference::{Comparison, Sides, keep_ignored, parse_path, put_at};
pub use drain::{Drain, Drained, Found, Removed, appeared, drain, look as look_at_drain, lost_with, named};
pub use footprint::{Clash, Footprint, Port};
pub use former::{Former, Sealing};
pub use holding::{Held, Holding, Holdings, of_objects as held_by_objects, of_template as held_by_template};
pub use images::{Missing, NOT_KNOWN, Runs, named as object_named, of_objects as images_of_objects};
pub use kind::{
    Ahead, Applied, BEING_DELETED, Cause, Change, ChildChange, Condition, ConditionEffect, Desired, Difference,
    FieldChange, FieldName, FieldOwner, Finding, GoesOn, Ingredients, Kind, Named, Observed, Outlook, Owner, Part,
    Prepare, Preview, Prior, REVERT_DRIFT, REVERT_FIELDS, Recovered, Rendering, Sole, Step, Undo, WrittenAt,
};
pub use marks::{Marks, address_of_tag, is_given_tag, is_mark, is_own_tag, physical_stack_name, release_name};
pub use matter::{Matter, pods_of, without_secrets};
pub use objects::sealed;
pub use probe::{
    Measurement, compare, look_back, looks_back, probe, probe_aws, probe_cluster, probe_defaults, probe_needs_cluster,
    under_test,
};
pub use stack::of_template as template_document;
pub use written::{Block, Written};

use crate::{base::yaml, lang::schema::Schema};

/// The kind of this name, as it stands in an address (`helm`, `data.secret`).
#[must_use]
pub fn kind(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// Every kind by its name in an address.
static KINDS: &[(&str, &dyn Kind)] = &[
    ("command", &command::CommandKind),
    ("check", &check::CheckKind),
    ("data.plan_outputs", &data_plan_outputs::SOURCE),
    ("data.secret", &data_secret::SOURCE),
    ("data.ssm_parameter", &data_ssm_parameter::SOURCE),
    ("eks_addon", &eks_addon::AddonKind),
    ("eks_upgrade", &eks_upgrade::UpgradeKind),
    ("helm", &helm::HelmKind),
    ("manifest", &manifest::ManifestKind),
    ("stack", &stack::StackKind),
    ("terraform", &terraform::TerraformKind),
    ("traffic", &traffic::TrafficKind),
    ("value", &value::ValueKind),
];

/// The table of all kinds, for the language.
#[must_use]
pub fn schema() -> &'static Schema {
    static SCHEMA: Schema = Schema {
        kinds: &[
            stack::SCHEMA,
            eks_addon::SCHEMA,
            eks_upgrade::SCHEMA,
            helm::SCHEMA,
            manifest::SCHEMA,
            terraform::SCHEMA,
            traffic::SCHEMA,
            command::SCHEMA,
            value::SCHEMA,
            check::SCHEMA,
            data_secret::SCHEMA,
            data_ssm_parameter::SCHEMA,
            data_plan_outputs::SCHEMA,
        ],
        probes: probe::PROBES,
    };
    &SCHEMA
}

#[cfg(test)]
mod tests;
