//! From a declaration to the account, region and cluster that it lives in.

use crate::{
    base::{Address, Diagnostic, Diagnostics, Value, later},
    kinds::{Context, Former, Outlook},
    lang::{
        evaluate::{ConnectionRef, Evaluator},
        schema::ConnectionNeed,
    },
    plan::Subject,
    world::{ActingAs, AssumeRole, AwsConnection, ClusterConnection, Outcome},
};
use std::{sync::Arc, time::Duration};

/// Where a thing lives: stored with it, so that it can be found when nothing declares it any more (rule 7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Connections {
    /// The account and region.
    pub aws: AwsConnection,
    /// The cluster, where it lives in one or its probes ask one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cluster: Option<ClusterConnection>,
}

/// A connection that needs something that is not applied yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// As written: `kubernetes.main`.
    pub connection: String,
    /// What it waits for.
    pub for_: Vec<Address>,
}

/// The connections of a declaration; `Err` in the second place where one is not known yet.
///
/// # Errors
/// A connection that is not declared, or whose block is wrong.
pub fn connections(
    subject: &Subject,
    evaluator: &mut Evaluator,
    named: Option<&ConnectionRef>,
    need: ConnectionNeed,
    probes_need_cluster: bool,
) -> Result<Result<Connections, Waiting>, Diagnostics> {
    let mut out = Connections { aws: subject.aws.clone(), cluster: None };
    if let Some(reference) = named.filter(|r| &*r.kind == "aws") {
        let body = evaluator.connection("aws", &reference.name, reference.key.as_deref())?;
        if body.has_unknown() {
            return Ok(Err(Waiting { connection: label(reference), for_: body.waits_for() }));
        }
        out.aws = aws(&subject.aws, &body);
    }
    let cluster = match named.filter(|r| &*r.kind == "kubernetes") {
        Some(reference) => Some(reference.clone()),
        None if need == ConnectionNeed::Kubernetes || probes_need_cluster => {
            match subject.configuration.default_connection("kubernetes") {
                Some(name) => Some(ConnectionRef { kind: "kubernetes".into(), name, key: None }),
                None if need == ConnectionNeed::Kubernetes => return Err(no_cluster(subject).into()),
                None => None,
            }
        }
        None => None,
    };
    if let Some(reference) = cluster {
        if let Some(instead) = subject.clusters.instead_of(&reference) {
            out.cluster = Some(instead.clone());
            return Ok(Ok(out));
        }
        let body = evaluator.connection("kubernetes", &reference.name, reference.key.as_deref())?;
        if body.has_unknown() {
            return Ok(Err(Waiting { connection: label(&reference), for_: body.waits_for() }));
        }
        let home = match eks_account(&body) {
            Some((name, key)) => {
                let account = evaluator.connection("aws", &name, key.as_deref())?;
                if account.has_unknown() {
                    return Ok(Err(Waiting { connection: label(&reference), for_: account.waits_for() }));
                }
                aws(&subject.aws, &account)
            }
            None => out.aws.clone(),
        };
        out.cluster = cluster_of(&home, &body);
    }
    Ok(Ok(out))
}

fn label(reference: &ConnectionRef) -> String {
    match &reference.key {
        Some(key) => format!("{}.{}[\"{key}\"]", reference.kind, reference.name),
        None => format!("{}.{}", reference.kind, reference.name),
    }
}

fn no_cluster(subject: &Subject) -> Diagnostic {
    let declared: Vec<String> = subject.configuration.kubernetes.keys().map(|n| format!("kubernetes.{n}")).collect();
    if declared.is_empty() {
        Diagnostic::error("no_cluster", "this needs a cluster, and the plan declares none")
            .hint("declare one: kubernetes \"main\" { eks { name = stack.cluster.outputs.ClusterName } }")
    } else {
        Diagnostic::error("no_cluster", "this needs a cluster, and none is the default one")
            .because(format!("{} are declared, and none is named `default`", declared.join(", ")))
            .hint(format!("write `kubernetes = {}` in it", declared[0]))
    }
}

/// An `aws` block over the environment's own connection.
fn aws(own: &AwsConnection, body: &Value) -> AwsConnection {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let role = body.get("assume_role").filter(|r| !r.is_null()).map(assume_role);
    let of_role = role.as_ref().and_then(|r| account_of_role(&r.role_arn));
    let account_id = text("account_id").or(of_role).unwrap_or_else(|| own.account_id.clone());
    let other_role = role.is_some();
    AwsConnection {
        region: text("region").unwrap_or_else(|| own.region.clone()),
        account_id: account_id.clone(),
        endpoint_url: text("endpoint_url").or_else(|| own.endpoint_url.clone()),
        profile: text("profile").or_else(|| own.profile.clone()),
        assume_role: role.or_else(|| own.assume_role.clone()),
        // Another role is taken on with what CI has, not in the place of the environment's own.
        ci_role_arn: text("ci_role_arn").or_else(|| own.ci_role_arn.clone().filter(|_| !other_role)),
        // A bucket is read in its own region only, and is nobody's but its account's.
        template_bucket: text("template_bucket").or_else(|| {
            let here = text("region").is_none_or(|region| region == own.region) && account_id == own.account_id;
            own.template_bucket.clone().filter(|_| here)
        }),
    }
}

/// An `assume_role` block.
#[must_use]
pub fn assume_role(role: &Value) -> AssumeRole {
    let text = |name: &str| role.get(name).and_then(Value::as_str).map(str::to_owned);
    let tags = role.get("tags").and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    AssumeRole {
        role_arn: text("role_arn").unwrap_or_default(),
        session_name: text("session_name"),
        external_id: text("external_id"),
        mfa_serial: text("mfa_serial"),
        duration_seconds: text("duration")
            .and_then(|d| crate::base::parse_duration(&d).ok())
            .and_then(|d| u32::try_from(d.as_secs()).ok()),
        tags: tags.filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned()))).collect(),
    }
}

/// The account that a role is in: who takes it on is in that one.
#[must_use]
pub fn account_of_role(arn: &str) -> Option<String> {
    let account = arn.split(':').nth(4)?;
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).then(|| account.to_owned())
}

/// The `aws` block that an `eks` block names: its name, and its key where it has several.
fn eks_account(body: &Value) -> Option<(String, Option<String>)> {
    let named = body.get("eks")?.get("aws")?.as_str()?.strip_prefix("aws.")?;
    Some(match named.split_once("[\"") {
        Some((name, key)) => (name.to_owned(), key.strip_suffix("\"]").map(str::to_owned)),
        None => (named.to_owned(), None),
    })
}

fn cluster_of(aws: &AwsConnection, body: &Value) -> Option<ClusterConnection> {
    let text = |block: &Value, name: &str| block.get(name).and_then(Value::as_str).map(str::to_owned);
    let groups = body.get("as_groups").and_then(Value::as_seq).map_or(&[][..], |groups| groups);
    let acting_as = ActingAs {
        user: text(body, "as"),
        groups: groups.iter().filter_map(|group| group.as_str().map(str::to_owned)).collect(),
    };
    if let Some(eks) = body.get("eks").filter(|b| !b.is_null()) {
        let (name, role_arn) = (text(eks, "name")?, text(eks, "role_arn"));
        return Some(ClusterConnection::Eks { name, aws: Box::new(aws.clone()), role_arn, acting_as });
    }
    if let Some(file) = body.get("kubeconfig").filter(|b| !b.is_null()) {
        let (path, context) = (text(file, "path").unwrap_or_default(), text(file, "context"));
        return Some(ClusterConnection::Kubeconfig { path, context, acting_as });
    }
    body.get("in_cluster").filter(|b| !b.is_null()).map(|_| ClusterConnection::InCluster { acting_as })
}

/// Where a thing lives, where that is not the environment's own account and region.
#[must_use]
pub fn elsewhere(subject: &Subject, connections: &Connections) -> Option<AwsConnection> {
    (connections.aws != subject.aws).then(|| connections.aws.clone())
}

/// A context for work on an address over these connections.
///
/// # Errors
/// Where the world has no such connection.
pub fn context(
    subject: &Subject,
    address: &Address,
    connections: &Connections,
    timeout: Duration,
    progress: Arc<dyn Fn(&str) + Send + Sync>,
) -> Outcome<Context> {
    let clock = subject.world.clock();
    let now = clock.now();
    let seal = subject.seal.clone();
    let inputs = subject.state.resources.get(address).map_or(Value::NULL, |r| r.inputs.clone());
    Ok(Context {
        address: address.clone(),
        aws: Some((connections.aws.clone(), subject.world.aws(&connections.aws)?)),
        cluster: match &connections.cluster {
            Some(cluster) => Some((cluster.clone(), subject.world.cluster(cluster)?)),
            None => None,
        },
        command: subject.world.command(),
        terraform: subject.world.terraform(),
        programs: subject.programs.clone(),
        http: subject.world.http(),
        deadline: later(now, timeout),
        clock,
        entropy: subject.world.entropy(),
        sources: subject.sources.clone(),
        marks: subject.marks(),
        plan_outputs: subject.plan_outputs.clone(),
        seen: crate::kinds::Seen::default(),
        written: Value::NULL,
        outlook: Outlook::default(),
        former: Former::new(inputs, Arc::new(move |plain| seal.seal(plain))),
        planning: false,
        progress,
    })
}
