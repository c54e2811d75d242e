//! Looking into clusters and meddling with them: `terrace sandbox show` and `drift`.

use super::{
    super::{Drift, Row, Tx},
    helm::{self, release},
    prometheus, record, removal, server, types, workload,
};
use crate::world::{Class, Failure, ObjectRef, Outcome};
use serde_json::Value as Json;

/// What there is in all clusters: objects (without what a namespace always has) and releases.
pub(super) fn show(tx: &Tx<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for cluster in record::clusters(tx) {
        for record in record::all(tx, &cluster) {
            let object = record.reference();
            let place = object.namespace.as_deref().unwrap_or("-");
            rows.push(Row {
                kind: "object".into(),
                place: cluster.clone(),
                name: format!("{place}/{}/{}", object.kind, object.name),
                status: status(tx, &cluster, &record),
                detail: object.api_version.clone(),
            });
        }
        for stored in release::newest_of_all(tx, &cluster) {
            let release = stored.release;
            rows.push(Row {
                kind: "release".into(),
                place: cluster.clone(),
                name: format!("{}/{}", release.namespace, release.name),
                status: release.status,
                detail: format!("{} {}, revision {}", release.chart, release.version, release.revision),
            });
        }
    }
    rows
}

fn status(tx: &Tx<'_>, cluster: &str, record: &record::Record) -> String {
    if record.is_terminating() {
        return "Terminating".into();
    }
    if workload::is_workload(&record.reference()) {
        let pods = workload::pods(tx, cluster, record);
        return format!("{}/{} ready", pods.updated_ready, pods.wanted);
    }
    server::view(tx, cluster, record)["status"]["phase"].as_str().unwrap_or_default().to_owned()
}

fn fail(drift: &Drift, class: Class, message: impl Into<String>) -> Failure {
    Failure::new(class, "sandbox:Drift", &drift.target, message)
}

/// Changes something; `None` where the target is none of this room's. Targets are `object/NAMESPACE/KIND/NAME`,
/// `release/NAMESPACE/NAME` and `metric/TEXT-IN-QUERY` (set `value`).
pub(super) fn drift(tx: &mut Tx<'_>, drift: &Drift) -> Option<Outcome<()>> {
    let (what, rest) = drift.target.split_once('/')?;
    let clusters: Vec<String> = record::clusters(tx)
        .into_iter()
        .filter(|cluster| {
            drift.place.as_deref().is_none_or(|place| cluster == place || cluster.split('/').any(|part| part == place))
        })
        .collect();
    match what {
        "object" => Some(drift_object(tx, drift, &clusters, rest)),
        "release" => Some(drift_release(tx, drift, &clusters, rest)),
        "metric" => {
            let value = drift.set.iter().find(|(path, _)| path == "value").map(|(_, value)| value.as_str());
            for cluster in &clusters {
                prometheus::set(tx, cluster, rest, value.filter(|_| !drift.delete));
            }
            Some(Ok(()))
        }
        _ => None,
    }
}

fn drift_object(tx: &mut Tx<'_>, drift: &Drift, clusters: &[String], target: &str) -> Outcome<()> {
    let mut parts = target.splitn(3, '/');
    let (Some(namespace), Some(kind), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(fail(drift, Class::Invalid, "an object's target is object/NAMESPACE/KIND/NAME"));
    };
    let namespace = (namespace != "-").then(|| namespace.to_owned());
    for cluster in clusters {
        let known = record::all(tx, cluster).into_iter().map(|record| record.reference());
        let found = known.into_iter().find(|o| o.namespace == namespace && o.kind == kind && o.name == name);
        let Some(object) = found else { continue };
        if drift.delete {
            return removal::delete(tx, cluster, &object);
        }
        return edit(tx, drift, cluster, &object);
    }
    let hint = if types::versions_of(kind).is_empty() { "; is the kind spelt as in its manifest?" } else { "" };
    Err(fail(drift, Class::NotFound, format!("no {kind} {name:?} there{hint}")))
}

fn edit(tx: &mut Tx<'_>, drift: &Drift, cluster: &str, object: &ObjectRef) -> Outcome<()> {
    let Some(record) = record::find(tx, cluster, object) else { return Ok(()) };
    let mut new = record.object;
    for (path, value) in &drift.set {
        if !set(&mut new, path, value) {
            return Err(fail(drift, Class::Invalid, format!("{path:?} leads nowhere in {object}")));
        }
    }
    server::edit(tx, cluster, object, &new, "kubectl-edit").map(|_| ())
}

fn drift_release(tx: &mut Tx<'_>, drift: &Drift, clusters: &[String], target: &str) -> Outcome<()> {
    let Some((namespace, name)) = target.split_once('/') else {
        return Err(fail(drift, Class::Invalid, "a release's target is release/NAMESPACE/NAME"));
    };
    for cluster in clusters {
        let Some(mut newest) = release::history(tx, cluster, namespace, name).into_iter().next() else { continue };
        if drift.delete {
            return helm::uninstall_now(tx, cluster, namespace, name);
        }
        let mut json = serde_json::to_value(&newest.release).unwrap_or_default();
        let fine = drift.set.iter().all(|(path, value)| set(&mut json, path, value));
        match serde_json::from_value(json) {
            Ok(changed) if fine => newest.release = changed,
            _ => {
                return Err(fail(
                    drift,
                    Class::Invalid,
                    "a release has status, version, values, labels and description",
                ));
            }
        }
        release::store(tx, cluster, &newest);
        return Ok(());
    }
    Err(fail(drift, Class::NotFound, format!("no release {name:?} in {namespace}")))
}

/// Sets the value at a dotted path, making maps on the way; numbers index lists. `null` removes. Dots within a key are
/// written `\.`. False where the path leads through something else.
fn set(object: &mut Json, path: &str, value: &str) -> bool {
    let value: Json = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    let escaped = path.replace("\\.", "\u{0}");
    let steps: Vec<String> = escaped.split('.').map(|step| step.replace('\u{0}', ".")).collect();
    let Some((last, above)) = steps.split_last() else { return false };
    let mut at = object;
    for step in above {
        at = match at {
            Json::Array(items) => match step.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                Some(item) => item,
                None => return false,
            },
            Json::Null | Json::Object(_) => &mut at[step.as_str()],
            _ => return false,
        };
    }
    match at {
        Json::Array(items) => match last.parse::<usize>().ok().filter(|index| *index < items.len()) {
            Some(index) => items[index] = value,
            None => return false,
        },
        Json::Object(fields) if value.is_null() => {
            fields.remove(last);
        }
        Json::Null | Json::Object(_) => at[last.as_str()] = value,
        _ => return false,
    }
    true
}
