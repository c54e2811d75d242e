//! AWS's part of `sandbox show` and `sandbox drift`.

use super::{
    Scope,
    eks::{self, AddonRecord, ClusterRecord, InsightRecord, NodegroupRecord},
    loose, metrics,
    record::{ResourceRecord, StackRecord},
    secrets::{ParameterRecord, SecretRecord},
};
use crate::world::{
    Class, Export, Failure, Outcome,
    sandbox::{Drift, Row, Tx, cluster},
};
use serde_json::Value as Json;

fn row(kind: &str, place: &str, name: &str, status: &str, detail: String) -> Row {
    Row { kind: kind.to_owned(), place: place.to_owned(), name: name.to_owned(), status: status.to_owned(), detail }
}

/// Stacks, their resources and exports, clusters, add-ons, and the names of secrets and parameters.
pub(in crate::world::sandbox) fn show(tx: &Tx<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (id, stack) in tx.scan::<StackRecord>("stack", "") {
        let place = stack.scope.to_string();
        let living = tx.get::<String>("stack-name", &stack.scope.key(&stack.name)).as_deref() == Some(id.as_str());
        if !living {
            continue;
        }
        rows.push(row("stack", &place, &stack.name, &stack.status, stack.reason.clone()));
        for (_, resource) in tx.scan::<ResourceRecord>("resource", &format!("{id}|")) {
            let drifted = match (resource.gone, &resource.live) {
                (true, _) => ", deleted behind the stack's back",
                (_, Some(_)) => ", changed behind the stack's back",
                _ => "",
            };
            let name = format!("{}/{}", stack.name, resource.logical);
            let detail = format!("{} {}{drifted}", resource.resource_type, resource.physical);
            rows.push(row("resource", &place, &name, &resource.status, detail));
        }
    }
    for (key, found) in tx.scan::<ResourceRecord>("loose", "") {
        let Some((scope, _)) = Scope::split(&key) else { continue };
        rows.push(row("loose", &scope.to_string(), &found.physical, "", found.resource_type));
    }
    let mut named = |kind: &str, key: &str, status: &str, detail: String| {
        if let Some((scope, name)) = Scope::split(key) {
            rows.push(row(kind, &scope.to_string(), name, status, detail));
        }
    };
    for (key, export) in tx.scan::<Export>("export", "") {
        named("export", &key, "", export.value);
    }
    for (key, found) in tx.scan::<ClusterRecord>("cluster", "") {
        named("cluster", &key, &found.status, format!("Kubernetes {}, {} nodes", found.version, found.nodes));
    }
    for (key, found) in tx.scan::<AddonRecord>("addon", "") {
        named("addon", &key, &found.status, found.version);
    }
    for (key, found) in tx.scan::<NodegroupRecord>("eks-nodegroup", "") {
        named("nodegroup", &key, &found.status, format!("Kubernetes {}", found.version));
    }
    for (key, found) in tx.scan::<InsightRecord>("insight", "") {
        named("insight", &key, &found.status, format!("{} {}", found.category, found.version));
    }
    for (key, found) in tx.scan::<SecretRecord>("secret", "") {
        named("secret", &key, "", format!("version {}", found.version));
    }
    for (key, found) in tx.scan::<ParameterRecord>("parameter", "") {
        let kind = if found.secure { "SecureString" } else { "String" };
        named("parameter", &key, "", format!("{kind}, version {}", found.version));
    }
    rows
}

fn fail(drift: &Drift, class: Class, message: impl Into<String>) -> Failure {
    Failure::new(class, "sandbox:Drift", &drift.target, message)
}

/// Changes something of AWS behind everybody's back; `None` where the target is not AWS's.
pub(in crate::world::sandbox) fn drift(tx: &mut Tx<'_>, drift: &Drift) -> Option<Outcome<()>> {
    let (kind, name) = drift.target.split_once('/')?;
    Some(match kind {
        "stack" | "resource" => drift_stack(tx, drift, name),
        "loose" => drift_loose(tx, drift, name),
        "addon" => drift_addon(tx, drift, name),
        "insight" => drift_insight(tx, drift, name),
        "secret" => drift_secret(tx, drift, name),
        "parameter" => drift_parameter(tx, drift, name),
        "alarm" => metrics::drift_alarm(tx, drift, name),
        // Clusters have metrics, too: they are asked next.
        "metric" => {
            metrics::drift_metric(tx, drift, name);
            return None;
        }
        "service" if name == "cloudformation" => service(tx, drift),
        _ => return None,
    })
}

/// What CloudFormation itself can do here: `revert_drift` turns drift-aware change sets on or off, as where they are not known.
fn service(tx: &mut Tx<'_>, drift: &Drift) -> Outcome<()> {
    match drift.set.as_slice() {
        [(name, value)] if name == "revert_drift" && (value == "true" || value == "false") => {
            tx.put("meta", "no-revert-drift", &(value == "false"));
            Ok(())
        }
        _ => Err(fail(drift, Class::Invalid, "set revert_drift=true or revert_drift=false")),
    }
}

fn here(drift: &Drift, place: &str) -> bool {
    drift.place.as_deref().is_none_or(|wanted| place.contains(wanted))
}

fn drift_stack(tx: &mut Tx<'_>, drift: &Drift, name: &str) -> Outcome<()> {
    let (stack, logical) = match name.split_once('/') {
        Some((stack, logical)) => (stack, Some(logical)),
        None => (name, None),
    };
    let suffix = format!("/{stack}");
    let id = tx
        .scan::<String>("stack-name", "")
        .into_iter()
        .find(|(key, _)| key.ends_with(&suffix) && here(drift, key))
        .map(|(_, id)| id)
        .ok_or_else(|| fail(drift, Class::NotFound, format!("there is no stack `{stack}`")))?;
    let Some(logical) = logical else { return drift_protection(tx, drift, &id) };
    let key = format!("{id}|{logical}");
    let mut record: ResourceRecord = tx
        .get("resource", &key)
        .ok_or_else(|| fail(drift, Class::NotFound, format!("the stack `{stack}` has no resource `{logical}`")))?;
    if drift.delete {
        record.gone = true;
        // What is in a cluster goes with it, whoever deletes it.
        if record.resource_type == "AWS::EKS::Cluster"
            && let Some(stack) = tx.get::<StackRecord>("stack", &id)
        {
            eks::remove_cluster(tx, &stack.scope.key(&record.physical));
        }
    } else {
        let mut live = record.live.take().unwrap_or_else(|| record.properties.clone());
        set_all(&mut live, drift)?;
        record.live = (live != record.properties).then_some(live);
    }
    tx.put("resource", &key, &record);
    Ok(())
}

/// Makes, changes or deletes a resource that belongs to no stack.
fn drift_loose(tx: &mut Tx<'_>, drift: &Drift, name: &str) -> Outcome<()> {
    let Some((kind, physical)) = name.split_once('/').filter(|(kind, id)| kind.contains("::") && !id.is_empty()) else {
        return Err(fail(drift, Class::Invalid, "name it by TYPE/ID, such as loose/AWS::S3::Bucket/my-bucket"));
    };
    let names = loose::identifiers(kind);
    if names.is_empty() {
        return Err(fail(drift, Class::Invalid, format!("there is no type `{kind}`")));
    }
    let place = drift.place.as_deref().filter(|p| p.split('/').count() == 2).unwrap_or("000000000000/us-east-1");
    let (account, region) = place.split_once('/').unwrap_or(("", ""));
    let scope = Scope { account: account.to_owned(), region: region.to_owned() };
    if drift.delete {
        let there = loose::remove(tx, &scope, kind, physical);
        return if there { Ok(()) } else { Err(fail(drift, Class::NotFound, format!("there is no `{physical}`"))) };
    }
    let mut properties = loose::properties(tx, &scope, kind, physical).unwrap_or(Json::Null);
    set_all(&mut properties, drift)?;
    if let (1, Some(name)) = (names.len(), names.first()) {
        let read_only = crate::cfn::resource_schema(kind).is_some_and(|s| s.read_only.contains(name));
        if !read_only {
            set(&mut properties, name, Json::String(physical.to_owned()));
        }
    }
    loose::make(tx, &scope, kind, physical, properties);
    Ok(())
}

fn drift_protection(tx: &mut Tx<'_>, drift: &Drift, id: &str) -> Outcome<()> {
    let mut record: StackRecord = tx.get("stack", id).ok_or_else(|| fail(drift, Class::NotFound, "no such stack"))?;
    match drift.set.as_slice() {
        [(path, value)] if path == "termination_protection" && !drift.delete => {
            record.termination_protection = value == "true";
            tx.put("stack", id, &record);
            Ok(())
        }
        _ => Err(fail(drift, Class::Invalid, "of a stack as a whole only `termination_protection` can be set")
            .hint("name a resource: stack/NAME/LOGICAL")),
    }
}

fn drift_addon(tx: &mut Tx<'_>, drift: &Drift, name: &str) -> Outcome<()> {
    let suffix = format!("/{name}");
    let found = tx.scan::<AddonRecord>("addon", "").into_iter().find(|(k, _)| k.ends_with(&suffix) && here(drift, k));
    let (key, mut record) = found
        .ok_or_else(|| fail(drift, Class::NotFound, format!("there is no add-on `{name}`; name CLUSTER/ADDON")))?;
    let of = key.rsplit_once('/').map_or(key.as_str(), |(cluster, _)| cluster).to_owned();
    if drift.delete {
        tx.delete("addon", &key);
        cluster::on_addon_changed(tx, &of, &record.name, None);
        return Ok(());
    }
    for (path, value) in &drift.set {
        match path.as_str() {
            "version" => record.version.clone_from(value),
            "configuration" => record.configuration.clone_from(value),
            "status" => record.status.clone_from(value),
            "service_account_role_arn" => record.role = Some(value.clone()),
            _ => {
                let message = format!("an add-on has no `{path}`");
                let hint = "it has version, configuration, status and service_account_role_arn";
                return Err(fail(drift, Class::Invalid, message).hint(hint));
            }
        }
    }
    tx.put("addon", &key, &record);
    cluster::on_addon_changed(tx, &of, &record.name, Some(&record.version));
    Ok(())
}

/// Seeds what EKS finds about a cluster before its version moves.
fn drift_insight(tx: &mut Tx<'_>, drift: &Drift, name: &str) -> Outcome<()> {
    let Some((cluster, insight)) = name.split_once('/').filter(|(_, insight)| !insight.is_empty()) else {
        return Err(fail(drift, Class::Invalid, "name an insight by CLUSTER/NAME"));
    };
    let suffix = format!("/{cluster}");
    let of = tx.keys("cluster", "").into_iter().find(|key| key.ends_with(&suffix) && here(drift, key));
    let of = of.ok_or_else(|| fail(drift, Class::NotFound, format!("there is no cluster `{cluster}`")))?;
    let key = format!("{of}/{insight}");
    if drift.delete {
        let there = tx.delete("insight", &key);
        return if there { Ok(()) } else { Err(fail(drift, Class::NotFound, format!("nobody seeded `{insight}`"))) };
    }
    let mut record = tx.get::<InsightRecord>("insight", &key).unwrap_or_else(|| InsightRecord {
        name: insight.to_owned(),
        category: "UPGRADE_READINESS".to_owned(),
        status: "ERROR".to_owned(),
        ..InsightRecord::default()
    });
    for (path, value) in &drift.set {
        match path.as_str() {
            "status" => record.status.clone_from(value),
            "category" => record.category.clone_from(value),
            "version" => record.version.clone_from(value),
            "reason" => record.reason.clone_from(value),
            "recommendation" => record.recommendation.clone_from(value),
            "resources" => record.resources = value.split(',').map(|r| r.trim().to_owned()).collect(),
            _ => {
                let message = format!("an insight has no `{path}`");
                let hint = "it has status, category, version, reason, recommendation and resources";
                return Err(fail(drift, Class::Invalid, message).hint(hint));
            }
        }
    }
    tx.put("insight", &key, &record);
    Ok(())
}

/// The key of a named thing, or where it is to be made: in `place`, else in the account of zeros and `us-east-1`.
fn key_of(tx: &Tx<'_>, drift: &Drift, table: &str, name: &str) -> (String, bool) {
    let found = tx
        .keys(table, "")
        .into_iter()
        .find(|key| Scope::split(key).is_some_and(|(scope, rest)| rest == name && here(drift, &scope.to_string())));
    if let Some(key) = found {
        return (key, true);
    }
    let place = drift.place.as_deref().filter(|p| p.split('/').count() == 2).unwrap_or("000000000000/us-east-1");
    (format!("{place}/{name}"), false)
}

fn drift_secret(tx: &mut Tx<'_>, drift: &Drift, name: &str) -> Outcome<()> {
    let (key, there) = key_of(tx, drift, "secret", name);
    if drift.delete {
        tx.delete("secret", &key);
        return if there { Ok(()) } else { Err(fail(drift, Class::NotFound, format!("there is no secret `{name}`"))) };
    }
    let [(path, value)] = drift.set.as_slice() else {
        return Err(fail(drift, Class::Invalid, "set `value` of a secret"));
    };
    if path != "value" {
        return Err(fail(drift, Class::Invalid, format!("a secret has no `{path}`")).hint("set `value`"));
    }
    let mut record = tx.get::<SecretRecord>("secret", &key).unwrap_or_else(|| {
        let (account, region) = key.split_once('/').map_or(("", ""), |(a, r)| (a, r.split('/').next().unwrap_or(r)));
        let arn = format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-sandbx");
        SecretRecord { arn, value: String::new(), version: 0 }
    });
    record.value.clone_from(value);
    record.version += 1;
    tx.put("secret", &key, &record);
    Ok(())
}

fn drift_parameter(tx: &mut Tx<'_>, drift: &Drift, name: &str) -> Outcome<()> {
    // A hierarchical name begins with a slash of its own: parameter//app/x names `/app/x`.
    let (key, there) = key_of(tx, drift, "parameter", name);
    if drift.delete {
        tx.delete("parameter", &key);
        return if there {
            Ok(())
        } else {
            Err(fail(drift, Class::NotFound, format!("there is no parameter `{name}`")))
        };
    }
    let fresh = ParameterRecord { value: String::new(), secure: false, version: 0 };
    let mut record = tx.get::<ParameterRecord>("parameter", &key).unwrap_or(fresh);
    for (path, value) in &drift.set {
        match path.as_str() {
            "value" => record.value.clone_from(value),
            "secure" => record.secure = value == "true",
            _ => {
                let message = format!("a parameter has no `{path}`");
                return Err(fail(drift, Class::Invalid, message).hint("it has value and secure"));
            }
        }
    }
    record.version += 1;
    tx.put("parameter", &key, &record);
    Ok(())
}

/// Sets every path of a drift in a JSON value.
fn set_all(value: &mut Json, drift: &Drift) -> Outcome<()> {
    for (path, text) in &drift.set {
        let new = serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()));
        if !set(value, path, new) {
            return Err(fail(drift, Class::Invalid, format!("`{path}` leads through something that has no parts")));
        }
    }
    Ok(())
}

/// Sets a dotted path, making objects on the way; false where it leads through a scalar or past a list's end.
fn set(value: &mut Json, path: &str, new: Json) -> bool {
    let mut at = value;
    for step in path.split('.') {
        if at.is_null() {
            *at = Json::Object(serde_json::Map::new());
        }
        at = match at {
            Json::Object(entries) => entries.entry(step).or_insert(Json::Null),
            Json::Array(items) => match step.parse::<usize>().ok().and_then(|n| items.get_mut(n)) {
                Some(item) => item,
                None => return false,
            },
            _ => return false,
        };
    }
    *at = new;
    true
}
