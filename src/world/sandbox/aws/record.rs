//! What the world remembers of stacks and their resources, and how a template is resolved against it.

use super::{Scope, loose, physical::Thing, secrets};
use crate::{
    base::Diagnostics,
    cfn::{self, Context, Node, Resolved, Source, Template},
    world::{ImportedResource, OnCreateFailure, Stack, StackOutput, StackStatus, sandbox::Tx},
};
use jiff::Timestamp;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// A stack, under its ARN in the table `stack`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct StackRecord {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scope: Scope,
    /// How many stacks of this name there were, this one included.
    pub(super) incarnation: u32,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) termination_protection: bool,
    pub(super) created: Timestamp,
    pub(super) updated: Option<Timestamp>,
    pub(super) token: Option<String>,
    /// As the service shows them.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) outputs: BTreeMap<String, StackOutput>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) capabilities: Vec<String>,
    pub(super) role_arn: Option<String>,
    #[serde(default)]
    pub(super) notification_arns: Vec<String>,
    /// The id of its newest operation.
    #[serde(default)]
    pub(super) operation: Option<String>,
}

/// What a stack is made from, under its ARN in the table `stack-config`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Config {
    pub(super) template: String,
    /// In clear, defaults left out.
    pub(super) parameters: BTreeMap<String, String>,
    /// What Parameter Store held when the operation began.
    pub(super) ssm_values: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) capabilities: Vec<String>,
    pub(super) role_arn: Option<String>,
    #[serde(default)]
    pub(super) notification_arns: Vec<String>,
}

/// A resource, under `ARN|LOGICAL` in the table `resource`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct ResourceRecord {
    pub(super) logical: String,
    pub(super) resource_type: String,
    pub(super) physical: String,
    pub(super) generation: u32,
    pub(super) version: u32,
    pub(super) status: String,
    /// As the stack made it.
    pub(super) properties: Json,
    pub(super) metadata: Json,
    /// As it is, where somebody changed it behind the stack's back.
    pub(super) live: Option<Json>,
    /// Somebody deleted it behind the stack's back.
    pub(super) gone: bool,
    pub(super) deletion_policy: Option<String>,
    pub(super) replace_policy: Option<String>,
    pub(super) needs: BTreeSet<String>,
    /// Where it came into being, for one that was imported: its ids stay what they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
}

/// Where a resource came into being.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Origin {
    pub(super) stack: String,
    pub(super) logical: String,
}

/// A running operation, under the stack's ARN in the table `operation`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Operation {
    pub(super) stage: Stage,
    /// True for what began as a create.
    pub(super) creates: bool,
    pub(super) on_create_failure: OnCreateFailure,
    /// What the stack shall be.
    pub(super) target: Config,
    /// What it was.
    pub(super) former: Config,
    /// A fault's command.
    pub(super) fail: Option<Fail>,
    /// Stopped in `UPDATE_ROLLBACK_FAILED`, to be continued.
    pub(super) paused: bool,
    /// What comes into the stack as it is; then nothing else happens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) imports: Vec<ImportedResource>,
}

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Stage {
    /// Creating and updating.
    Forward,
    /// Deleting what an update left over.
    Cleanup,
    /// Restoring what a failed update changed.
    Back,
    /// Deleting what a failed update made.
    BackCleanup,
    /// Deleting what a failed create made.
    Undo,
    /// Deleting the stack.
    Delete,
}

/// One resource's part in a stage, under `ARN|LOGICAL` in the table `step`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Step {
    pub(super) verb: Verb,
    pub(super) needs: BTreeSet<String>,
    pub(super) state: State,
    /// The resource as it was before the step; for a deletion, what is deleted.
    pub(super) before: Option<ResourceRecord>,
    /// Why it is going to fail.
    pub(super) fails: Option<String>,
    /// A new physical thing takes the place of the old one.
    pub(super) replaced: bool,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Verb {
    Create,
    Modify,
    Restore,
    /// What exists comes into the stack.
    Import,
    /// The resource leaves the stack.
    Delete,
    /// A replaced physical thing goes; the resource stays.
    Discard,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum State {
    Waiting,
    /// Until this virtual millisecond.
    Running(i64),
    Done,
    Failed,
    /// Not done since another failed, or since its policy or a person says so.
    Skipped,
}

/// A failure on command.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Fail {
    pub(super) logical: String,
    pub(super) reason: String,
    pub(super) stuck: bool,
}

/// The stack of this name, or of this ARN where it is one.
pub(super) fn find(tx: &Tx<'_>, scope: &Scope, name: &str) -> Option<StackRecord> {
    if name.starts_with("arn:") {
        return tx.get::<StackRecord>("stack", name).filter(|s| s.scope == *scope);
    }
    let id: String = tx.get("stack-name", &scope.key(name))?;
    tx.get("stack", &id)
}

/// The resources of a stack by logical id.
pub(super) fn resources(tx: &Tx<'_>, stack: &str) -> BTreeMap<String, ResourceRecord> {
    tx.scan::<ResourceRecord>("resource", &format!("{stack}|"))
        .into_iter()
        .map(|(_, r)| (r.logical.clone(), r))
        .collect()
}

/// Every resource that a living stack of an account and region has.
pub(super) fn all(tx: &Tx<'_>, scope: &Scope) -> Vec<ResourceRecord> {
    living(tx, scope).into_iter().flat_map(|stack| resources(tx, &stack.id).into_values()).filter(|r| !r.gone).collect()
}

/// The living stack that has the resource of this physical id, and the resource.
pub(super) fn holder(tx: &Tx<'_>, scope: &Scope, physical: &str) -> Option<(StackRecord, ResourceRecord)> {
    living(tx, scope).into_iter().find_map(|stack| {
        let held = resources(tx, &stack.id).into_values().find(|r| r.physical == physical && !r.gone)?;
        Some((stack, held))
    })
}

fn living(tx: &Tx<'_>, scope: &Scope) -> Vec<StackRecord> {
    let stacks = tx.scan::<StackRecord>("stack", "").into_iter().map(|(_, stack)| stack);
    stacks.filter(|stack| stack.scope == *scope && stack.status != "DELETE_COMPLETE").collect()
}

/// The steps of a stack's operation by logical id.
pub(super) fn steps(tx: &Tx<'_>, stack: &str) -> BTreeMap<String, Step> {
    let prefix = format!("{stack}|");
    tx.scan::<Step>("step", &prefix).into_iter().map(|(k, s)| (k[prefix.len()..].to_owned(), s)).collect()
}

/// The key of a stack's resource or step.
pub(super) fn part(stack: &str, logical: &str) -> String {
    format!("{stack}|{logical}")
}

impl StackRecord {
    /// The stack as DescribeStacks tells it.
    pub(super) fn told(&self) -> Stack {
        Stack {
            id: self.id.clone(),
            name: self.name.clone(),
            status: StackStatus(self.status.clone()),
            status_reason: self.reason.clone(),
            parameters: self.parameters.clone(),
            outputs: self.outputs.clone(),
            tags: self.tags.clone(),
            capabilities: self.capabilities.clone(),
            role_arn: self.role_arn.clone(),
            notification_arns: Some(self.notification_arns.clone()),
            termination_protection: self.termination_protection,
            created: self.created,
            updated: self.updated,
            last_token: self.token.clone(),
        }
    }

    /// The first generation of its resources' ids.
    pub(super) fn first_generation(&self) -> u32 {
        self.incarnation.saturating_mul(1000).saturating_add(1)
    }

    /// What a resource's ids are made from.
    pub(super) fn thing<'a>(&'a self, of: &'a ResourceRecord) -> Thing<'a> {
        loose::thing(&self.scope, &self.name, of)
    }

    /// Resolves a configuration against what is there now: ids of resources that exist, exports, parameters, secrets.
    /// `fresh` names resources whose ids are not to be used, since they are about to change.
    pub(super) fn resolve(&self, tx: &Tx<'_>, config: &Config, fresh: &BTreeSet<String>) -> (Resolved, Diagnostics) {
        let template = parse(&config.template).0;
        let records = resources(tx, &self.id);
        let attribute = |logical: &str, attribute: Option<&str>| -> Option<Node> {
            let record = records.get(logical).filter(|_| !fresh.contains(logical))?;
            Some(match attribute {
                None => Node::String(record.physical.clone()),
                Some(name) => Node::from(self.thing(record).attribute(name)),
            })
        };
        let imports = |name: &str| export(tx, &self.scope, name).map(|e| e.value);
        let dynamic = |text: &str| secrets::dynamic(tx, &self.scope, text);
        let context = Context {
            account: self.scope.account.clone(),
            region: self.scope.region.clone(),
            partition: cfn::partition_of(&self.scope.region).to_owned(),
            stack_name: self.name.clone(),
            stack_id: Some(self.id.clone()),
            notification_arns: config.notification_arns.clone(),
            zones: ["a", "b", "c"].iter().map(|z| format!("{}{z}", self.scope.region)).collect(),
            parameters: config.parameters.clone(),
            unknown_parameters: BTreeSet::new(),
            ssm_values: config.ssm_values.clone(),
            imports: &imports,
            attribute: &attribute,
            dynamic: &dynamic,
        };
        template.resolve(&context)
    }
}

impl Config {
    /// Parameters with their defaults, as the service shows them.
    pub(super) fn shown_parameters(&self) -> BTreeMap<String, String> {
        let (template, _) = parse(&self.template);
        let shown = template.parameters.iter().map(|(name, declared)| {
            let value = self.parameters.get(name).or(declared.default.as_ref()).cloned().unwrap_or_default();
            (name.clone(), if declared.no_echo { "****".to_owned() } else { value })
        });
        shown.collect()
    }
}

/// Reads a template.
pub(super) fn parse(text: &str) -> (Template, Diagnostics) {
    Template::parse("template", text)
}

/// An export, under `SCOPE/NAME` in the table `export`.
pub(super) fn export(tx: &Tx<'_>, scope: &Scope, name: &str) -> Option<crate::world::Export> {
    tx.get("export", &scope.key(name))
}

/// Names of the stacks that import an export.
pub(super) fn importers(tx: &Tx<'_>, scope: &Scope, name: &str) -> Vec<String> {
    let prefix = format!("{}|", scope.key(name));
    tx.scan::<String>("import", &prefix).into_iter().map(|(_, stack)| stack).collect()
}

/// Remembers what a stack imports, and forgets what it imported.
pub(super) fn set_imports(tx: &mut Tx<'_>, stack: &StackRecord, resolved: Option<&Resolved>) {
    let suffix = format!("|{}", stack.id);
    for key in tx.keys("import", &format!("{}/", stack.scope)) {
        if key.ends_with(&suffix) {
            tx.delete("import", &key);
        }
    }
    for resource in resolved.into_iter().flat_map(|r| r.resources.values()) {
        for reference in &resource.references {
            if let Source::Import(name) = &reference.source {
                tx.put("import", &format!("{}{suffix}", stack.scope.key(name)), &stack.name);
            }
        }
    }
}

/// Every leaf in which two JSON values differ, by path with `/`, in order. With `owned`, only what the first one has.
pub(super) fn differences(
    one: Option<&Json>,
    two: Option<&Json>,
    path: &str,
    owned: bool,
    out: &mut Vec<(String, Option<Json>, Option<Json>)>,
) {
    if one == two || (owned && one.is_none()) {
        return;
    }
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") };
    match (one, two) {
        (Some(Json::Object(a)), Some(Json::Object(b))) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                differences(a.get(key), b.get(key), &join(key), owned, out);
            }
        }
        (Some(Json::Array(a)), Some(Json::Array(b))) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                differences(Some(a), Some(b), &join(&n.to_string()), owned, out);
            }
        }
        _ => {
            let text = |v: Option<&Json>| v.and_then(super::physical::scalar);
            if text(one).is_none() || text(one) != text(two) {
                out.push((path.to_owned(), one.cloned(), two.cloned()));
            }
        }
    }
}
