//! The CloudFormation template model: what a template says, checked, resolved and compared without an account.
//!
//! Plan calls it offline, policy reads templates through it, and the sandbox builds stacks from it. It knows no
//! service: physical ids, exports and parameter-store values come in as values and functions of [`Context`].
//! It reads no file and no clock; a template is a text with the name of its file.

mod against_schema;
mod capability;
mod changes;
mod check;
mod cidr;
mod compare;
mod context;
mod decide;
mod diff;
mod dynamic_reference;
mod evaluate;
mod expression;
mod follow;
mod function;
mod intrinsic;
mod json;
mod lower;
mod node;
mod order;
mod outputs;
mod parameter;
mod parameter_decl;
mod resolve;
mod resolved;
mod rules;
mod schema;
#[cfg(test)]
mod shipped;
mod suggest;
mod syntax;
mod template;
mod yaml;

pub use capability::Capability;
pub use context::{Context, partition_of, url_suffix_of};
pub use diff::{Action, Evaluation, Field, PolicyAction, PropertyChange, Recreation, Replacement, ResourceDiff, diff};
pub use expression::{Expr, ExprKind, Function, SubPart};
pub use node::{Because, Node, Unknown};
pub use outputs::{OutputChange, output_changes};
pub use parameter::{ParameterDecl, ParameterType};
pub use resolved::{Reference, Resolved, ResolvedOutput, ResolvedResource, Source};
pub use schema::{
    PropertyKind, ResourceSchema, UpdateBehaviour, is_stateful, resource_schema, resource_types, schema_version,
    update_behaviour,
};
pub use template::{Mapping, OutputDecl, ResourceDecl, Rule, RuleAssertion, Spanned, Template};
