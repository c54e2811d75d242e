//! What the add-ons that EKS manages put into a cluster.

use super::{super::Tx, EKS, helm, record, removal, server};
use crate::world::ObjectRef;
use serde_json::Value as Json;

const TABLE: &str = "addon objects";

/// An add-on became active with this version, or is gone (`None`).
pub(super) fn changed(tx: &mut Tx<'_>, cluster: &str, addon: &str, version: Option<&str>) {
    if record::server(tx, cluster).is_none() {
        return;
    }
    let key = format!("{cluster}|{addon}");
    let before: Vec<ObjectRef> = tx.get(TABLE, &key).unwrap_or_default();
    let objects: Vec<Json> = version.map(|version| helm::addon_objects(addon, version)).unwrap_or_default();
    let mut now = Vec::new();
    for object in &objects {
        if let Ok(applied) = server::apply(tx, cluster, object, EKS) {
            now.extend(ObjectRef::of(&applied));
        }
    }
    for old in before.iter().filter(|old| !now.contains(old)) {
        let _ = removal::delete(tx, cluster, old);
    }
    if now.is_empty() {
        tx.delete(TABLE, &key);
    } else {
        tx.put(TABLE, &key, &now);
    }
}
