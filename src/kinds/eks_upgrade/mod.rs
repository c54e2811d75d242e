//! `eks_upgrade`: a move of a cluster's Kubernetes version, made in hops of one minor.
//!
//! The stack's own turn leaves its version parameter as it is, and the listed add-ons' turns their versions; this moves them.

mod back;
mod change;
mod hops;
mod live;
mod preview;
mod run;
mod schema;

pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Path, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, Kind, Observed, Prepare, Preview, Prior, Recovered, Step,
        physical_stack_name,
    },
    lang::schema::KindSchema,
    world::Outcome,
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

/// The kind.
pub(super) struct UpgradeKind;

#[async_trait]
impl Kind for UpgradeKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "cloudformation"
    }

    /// A hop takes a quarter of an hour to an hour, nodes more, and bakes as long as they are asked to.
    fn default_timeout(&self, action: ActionWord) -> Duration {
        Duration::from_secs(if action == ActionWord::Read { 5 * 60 } else { 24 * 3600 })
    }

    fn owns(&self) -> bool {
        false
    }

    fn stays_part_way(&self) -> bool {
        true
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
            ("addons", listed(request.inputs.get("addons"))),
            ("bake", request.inputs.get("bake").filter(|v| !v.is_null()).cloned().unwrap_or_else(|| "10m".into())),
        ]);
        let identity = name.map(|stack| json!({ "stack": stack, "parameter": parameter }));
        Ok(Desired { inputs, documents: BTreeMap::new(), identity })
    }

    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        live::read(context, identity, desired).await
    }

    async fn preview(
        &self,
        context: &Context,
        desired: &Desired,
        observed: Option<&Observed>,
        _token: &str,
    ) -> Outcome<Option<Preview>> {
        preview::preview(context, desired, observed).await
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        change::diff(difference)
    }

    fn removal(&self, _prior: Option<&Prior>, _observed: Option<&Observed>) -> Change {
        Change::new(ActionWord::Delete, Value::NULL)
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        run::apply(context, step).await
    }

    /// The same step taken again with the same token goes on where it was, and begins nothing twice.
    async fn recover(&self, _context: &Context, _step: &Step<'_>) -> Outcome<Recovered> {
        Ok(Recovered::NotDone)
    }

    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String> {
        match image.and_then(back::Former::of) {
            Some((cluster, former)) => back::go(context, &run::Route::new(&cluster, identity, token), &former).await,
            None => Ok("nothing was done".to_owned()),
        }
    }

    fn import_identity(&self, _id: &str) -> Result<Json, String> {
        Err("an eks_upgrade stands for no thing of its own".to_owned())
    }
}

/// The add-ons that are named, by name with the version that each is to have: one, a list, or those of a `for_each`.
fn listed(addons: Option<&Value>) -> Value {
    let Some(addons) = addons.filter(|v| !v.is_null()) else { return Value::object::<&str>([]) };
    if addons.is_unknown() {
        return Value::UNKNOWN;
    }
    let named = |one: &Value| {
        let name = one.get("addon")?.as_str()?.to_owned();
        Some((name, one.get("version").cloned().unwrap_or(Value::UNKNOWN)))
    };
    if let Some(one) = named(addons) {
        return Value::object([one]);
    }
    let each = addons.as_map().into_iter().flat_map(|m| m.values());
    let items = addons.as_seq().into_iter().flat_map(|s| s.iter());
    let all: Option<BTreeMap<String, Value>> = each.chain(items).map(named).collect();
    all.map_or(Value::UNKNOWN, Value::object)
}
