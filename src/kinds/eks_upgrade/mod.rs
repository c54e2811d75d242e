//! `eks_upgrade`: hops of the Kubernetes version by one minor. Making hops is not supported yet: where the version stays
//! there is nothing to do, and where it moves the plan is refused before any effect.

mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Path, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, Kind, Observed, Owner, Prepare, Prior, Recovered, Step,
        physical_stack_name,
    },
    lang::schema::KindSchema,
    world::{Class, Failure, Outcome},
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// The kind.
pub(super) struct UpgradeKind;

/// The minor of `1.34`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

/// The refusal of a move; `None` where none is to be made.
fn hop(from: Option<&str>, to: Option<&str>) -> Option<String> {
    let (from, to) = (from?, to?);
    if from == to || (minor(from).is_some() && minor(from) == minor(to)) {
        return None;
    }
    Some(format!("moving Kubernetes from {from} to {to} in hops is not supported yet"))
}

#[async_trait]
impl Kind for UpgradeKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "cloudformation"
    }

    fn default_timeout(&self, _action: ActionWord) -> Duration {
        Duration::from_secs(60)
    }

    fn owns(&self) -> bool {
        false
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        let parameter = request.inputs.get("parameter").and_then(Value::as_str).unwrap_or_default().to_owned();
        let stack = request.inputs.get("stack");
        let parameters = stack.and_then(|s| s.get("parameters")).filter(|p| !p.is_null());
        let wanted = parameters.and_then(|p| p.get(&parameter)).cloned();
        if let (Some(known), None) = (parameters.and_then(Value::as_map), &wanted)
            && !parameter.is_empty()
        {
            let names: Vec<&str> = known.keys().map(|k| &**k).collect();
            let problem =
                Diagnostic::error("upgrade_parameter", format!("the stack is given no parameter `{parameter}`"))
                    .because(format!("it is given {}", names.join(", ")));
            return Err(match (request.place)(&Path::default().key("parameter")) {
                Some(span) => problem.at(&span, ""),
                None => problem,
            }
            .into());
        }
        let name = physical_stack_name(stack, request.marks);
        let inputs = Value::object([
            ("parameter", Value::from(parameter.as_str())),
            ("version", wanted.unwrap_or(Value::NULL)),
            ("bake", request.inputs.get("bake").filter(|v| !v.is_null()).cloned().unwrap_or_else(|| "10m".into())),
        ]);
        let identity = name.map(|stack| json!({ "stack": stack, "parameter": parameter }));
        Ok(Desired { inputs, documents: BTreeMap::new(), identity })
    }

    /// Reads the version that the live stack has. A stack that is not there has none, and nothing to move.
    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        let parameter = identity["parameter"].as_str().unwrap_or_default();
        let stack = match identity["stack"].as_str() {
            Some(name) => {
                let cloudformation = &context.aws()?.cloudformation;
                context.patiently(|| cloudformation.describe_stack(name)).await?
            }
            None => None,
        };
        let there = stack.filter(|s| !s.status.in_review() && s.status.0 != "DELETE_COMPLETE");
        let live = there.and_then(|s| s.parameters.get(parameter).cloned());
        let wanted = desired.and_then(|d| d.inputs.get("version")).and_then(Value::as_str);
        if let Some(refusal) = hop(live.as_deref(), wanted) {
            return Err(Failure::new(Class::Unsupported, "eks_upgrade", context.address.to_string(), refusal).hint(
                "put the version back, or take the eks_upgrade block out and raise the stack's parameter by one minor",
            ));
        }
        let version = live.map_or(Value::NULL, Value::from);
        let exports = Value::object([("version", version)]);
        Ok(Some(Observed {
            identity: identity.clone(),
            inputs: Value::UNKNOWN,
            documents: BTreeMap::new(),
            fingerprint: crate::base::Digest::of(exports.to_json_lossy().to_string().as_bytes()),
            exports,
            owner: Owner::Nobody,
            condition: None,
            image: Value::NULL,
        }))
    }

    /// Nothing to do: whatever would be done was refused when it was read.
    fn diff(&self, difference: &Difference<'_>) -> Change {
        let version = difference.desired.inputs.get("version").cloned().unwrap_or(Value::UNKNOWN);
        Change::new(ActionWord::NoOp, Value::object([("version", version)]))
    }

    fn removal(&self, _prior: Option<&Prior>, _observed: Option<&Observed>) -> Change {
        Change::new(ActionWord::Delete, Value::NULL)
    }

    async fn apply(&self, _context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        let version = step.desired.and_then(|d| d.inputs.get("version")).cloned().unwrap_or(Value::NULL);
        let identity = match step.desired {
            Some(desired) => desired.identity.clone().or_else(|| step.identity.cloned()).unwrap_or(Json::Null),
            None => Json::Null,
        };
        Ok(Applied { identity, exports: Value::object([("version", version)]), note: String::new() })
    }

    async fn recover(&self, _context: &Context, _step: &Step<'_>) -> Outcome<Recovered> {
        Ok(Recovered::NotDone)
    }

    async fn undo(
        &self,
        _context: &Context,
        _identity: &Json,
        _image: Option<&Value>,
        _token: &str,
    ) -> Outcome<String> {
        Ok("nothing was done".to_owned())
    }

    fn import_identity(&self, _id: &str) -> Result<Json, String> {
        Err("an eks_upgrade stands for no thing of its own".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_move_of_the_minor_is_a_hop() {
        assert_eq!(hop(None, Some("1.34")), None);
        assert_eq!(hop(Some("1.34"), Some("1.34")), None);
        assert_eq!(hop(Some("1.34"), None), None);
        let refusal = hop(Some("1.32"), Some("1.34")).unwrap();
        assert!(refusal.contains("1.32") && refusal.contains("1.34"));
        assert!(hop(Some("1.34"), Some("1.33")).is_some());
    }
}
