//! `eks_addon`: an add-on that EKS manages on a cluster.

mod change;
mod configuration;
mod issue;
#[cfg(test)]
mod lifecycle;
mod live;
mod operation;
mod schema;
mod version;

pub(super) use operation::wait;
pub(super) use schema::SCHEMA;

use crate::{
    base::{ActionWord, Diagnostic, Diagnostics, Path, Value},
    kinds::{
        Applied, Change, Context, Desired, Difference, Finding, Kind, Observed, Prepare, Preview, Prior, Recovered,
        Step, Undo, Written,
    },
    lang::schema::KindSchema,
    world::{Class, Failure, Outcome},
};
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The kind.
pub(super) struct AddonKind;

#[async_trait]
impl Kind for AddonKind {
    fn schema(&self) -> &'static KindSchema {
        &SCHEMA
    }

    fn service(&self) -> &'static str {
        "eks"
    }

    fn noun(&self) -> Option<&'static str> {
        Some("add-on")
    }

    fn default_timeout(&self, action: ActionWord) -> Duration {
        Duration::from_secs(if action == ActionWord::Read { 2 * 60 } else { 20 * 60 })
    }

    fn prepare(&self, request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
        let given = |name: &str| request.inputs.get(name).filter(|v| !v.is_null());
        let mut inputs: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for name in ["cluster", "addon", "configuration", "service_account_role_arn", "tags"] {
            if let Some(value) = given(name) {
                inputs.insert(name.into(), value.clone());
            }
        }
        if let Some(pods) = given("pod_identity") {
            inputs.insert("pod_identity".into(), pods_by_name(pods));
        }
        for (name, default) in
            [("version", Value::from("default")), ("resolve_conflicts", "none".into()), ("preserve", false.into())]
        {
            inputs.insert(name.into(), given(name).cloned().unwrap_or(default));
        }
        if let Some(version) = given("version").and_then(Value::as_str)
            && !change::is_word(Some(&version.into()))
            && !version.starts_with('v')
        {
            let problem = Diagnostic::error("addon_version", format!("`{version}` is no version of an add-on"))
                .because("versions of add-ons look like `v1.12.4-eksbuild.1`")
                .hint("write the whole version, `latest` or `default`");
            let span = (request.place)(&Path::default().key("version"));
            return Err(match span {
                Some(span) => problem.at(&span, ""),
                None => problem,
            }
            .into());
        }
        let text = |name: &str| given(name).and_then(Value::as_str);
        let identity =
            text("cluster").zip(text("addon")).map(|(cluster, addon)| json!({ "cluster": cluster, "addon": addon }));
        Ok(Desired { inputs: Value::object(inputs), documents: BTreeMap::new(), identity })
    }

    fn ingredients(&self, desired: &Desired) -> crate::kinds::Ingredients {
        let version = desired.inputs.get("version").and_then(crate::base::Value::as_str);
        let mut found = crate::kinds::Ingredients::default();
        if let Some(word @ ("latest" | "default")) = version {
            let hint = "write the exact version: aws eks describe-addon-versions lists them".to_owned();
            found.floating.push((format!("its version is `{word}`, which means another one tomorrow"), hint));
        }
        found
    }

    async fn read(&self, context: &Context, identity: &Json, desired: Option<&Desired>) -> Outcome<Option<Observed>> {
        live::read(context, identity, desired).await
    }

    /// Turns `latest` and `default` into one version, looks whether a version is one of the cluster's, and holds the
    /// configuration to the schema of that version.
    async fn preview(
        &self,
        context: &Context,
        desired: &Desired,
        observed: Option<&Observed>,
        _token: &str,
    ) -> Outcome<Option<Preview>> {
        let text = |name: &str| desired.inputs.get(name).and_then(Value::as_str).unwrap_or_default();
        let (cluster, addon) = (text("cluster"), text("addon"));
        let pinned = version::pin(context, (cluster, addon), text("version"), observed).await?;
        let configuration = desired.inputs.get("configuration").and_then(Value::to_json);
        let remarks = if context.outlook.pinned.is_empty() {
            configuration::check(context, addon, &pinned.version, configuration.as_ref()).await?
        } else {
            Vec::new()
        };
        let exports = Value::object([("version", Value::from(pinned.version.as_str()))]);
        Ok(Some(Preview { facts: pinned.facts, exports: Some(exports), remarks, ..Preview::default() }))
    }

    fn diff(&self, difference: &Difference<'_>) -> Change {
        change::diff(difference)
    }

    fn removal(&self, _prior: Option<&Prior>, _observed: Option<&Observed>) -> Change {
        let undo = Undo::None("a deleted add-on is not brought back".to_owned());
        Change { undo, ..Change::new(ActionWord::Delete, Value::NULL) }
    }

    async fn apply(&self, context: &Context, step: &Step<'_>) -> Outcome<Applied> {
        operation::apply(context, step).await
    }

    async fn recover(&self, context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
        operation::recover(context, step).await
    }

    async fn undo(&self, context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String> {
        operation::undo(context, identity, image, token).await
    }

    async fn examine(&self, context: &Context, identity: &Json) -> Outcome<Vec<Finding>> {
        let Some(addon) = live::find(context, identity).await? else { return Ok(Vec::new()) };
        let healthy = matches!(addon.status.as_str(), "ACTIVE" | "CREATING" | "UPDATING" | "DELETING");
        Ok(if healthy {
            Vec::new()
        } else {
            vec![Finding {
                what: format!(
                    "the add-on {} on {} is {}: {}",
                    addon.name,
                    addon.cluster,
                    addon.status,
                    issue::told(&addon)
                ),
                mend: operation::mend_of(&addon),
                automatic: addon.status == "DELETE_FAILED",
            }]
        })
    }

    async fn mend(
        &self,
        context: &Context,
        identity: &Json,
        _token: &str,
        _named: &crate::kinds::Named,
    ) -> Outcome<Vec<String>> {
        operation::mend(context, identity).await
    }

    async fn written(&self, context: &Context, identity: &Json) -> Outcome<Option<Written>> {
        let Some(live) = live::read(context, identity, None).await? else { return Ok(None) };
        let names = ["cluster", "addon", "version", "configuration", "service_account_role_arn", "tags"];
        let told = |name: &'static str| {
            let value = live.inputs.get(name)?;
            let empty = value.as_map().is_some_and(|m| m.is_empty());
            (!empty).then(|| (name, value.clone()))
        };
        let notes = vec!["the version is pinned; `default` or `latest` move with the cluster".to_owned()];
        Ok(Some(Written { attributes: names.into_iter().filter_map(told).collect(), file: None, notes }))
    }

    fn import_identity(&self, id: &str) -> Result<Json, String> {
        match id.split_once(':') {
            Some((cluster, addon)) if !cluster.is_empty() && !addon.is_empty() && !addon.contains(':') => {
                Ok(json!({ "cluster": cluster, "addon": addon }))
            }
            _ => Err("an add-on is imported by CLUSTER:ADDON".to_owned()),
        }
    }
}

/// Service accounts by name with their roles: an order of blocks is no difference.
fn pods_by_name(pods: &Value) -> Value {
    let Some(blocks) = pods.as_seq() else { return pods.clone() };
    let names: Option<Vec<(String, Value)>> = blocks
        .iter()
        .map(|pod| {
            let name = pod.get("service_account")?.as_str()?.to_owned();
            Some((name, pod.get("role_arn").cloned().unwrap_or(Value::UNKNOWN)))
        })
        .collect();
    names.map_or(Value::UNKNOWN, Value::object)
}

/// A failure about an add-on.
fn failure(class: Class, operation: &str, cluster: &str, addon: &str, message: impl Into<String>) -> Failure {
    Failure::new(class, format!("eks:{operation}"), format!("{cluster}:{addon}"), message)
}

#[cfg(test)]
mod tests;
