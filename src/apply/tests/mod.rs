//! What the executor must hold, as lives of plans on the sandbox.

mod aborts;
mod adoption;
mod backends;
mod clusters;
mod crashes;
mod drift;
mod drift_fields;
mod events;
mod failures;
mod faults;
mod lives;
mod manifests;
mod pipeline;
mod platforms;
mod retiring;
mod rollouts;
mod rules;
mod secrets;
mod shared;
mod stacks;
mod teardown;
mod upgrades;
mod wholes;
