//! Custom resources go with the definition of their type, whoever made them.

use super::{Removed, list};
use crate::{
    base::ActionWord,
    kinds::{ChildChange, Context, objects::type_of},
    world::{ObjectRef, Outcome},
};
use serde_json::Value as Json;

/// The objects that nothing else of the plan removes, and that go with the definitions among these objects of a manifest.
///
/// # Errors
/// A cluster that does not answer.
pub async fn lost_with(context: &Context, identity: &Json, removed: &Removed) -> Outcome<Vec<ChildChange>> {
    let objects: Vec<ObjectRef> = serde_json::from_value(identity["objects"].clone()).unwrap_or_default();
    let kubernetes = &context.cluster()?.kubernetes;
    let mut lost = Vec::new();
    for definition in objects.iter().filter(|o| o.kind == "CustomResourceDefinition") {
        let asked = ObjectRef { namespace: None, ..definition.clone() };
        let Some(live) = context.patiently(|| kubernetes.get(&asked)).await? else { continue };
        let (group, kind) = (live["spec"]["group"].as_str(), live["spec"]["names"]["kind"].as_str());
        let mut versions = live["spec"]["versions"].as_array().into_iter().flatten();
        let version = versions.find(|v| v["served"] == true).and_then(|v| v["name"].as_str());
        let (Some(group), Some(kind), Some(version)) = (group, kind, version) else { continue };
        let api_version = format!("{group}/{version}");
        for mut object in list(context, &api_version, kind).await? {
            object["apiVersion"] = api_version.as_str().into();
            object["kind"] = kind.into();
            let Some(reference) = ObjectRef::of(&object).filter(|r| !removed.has(r, &object)) else { continue };
            lost.push(ChildChange {
                name: reference.to_string(),
                kind: type_of(&reference),
                action: ActionWord::Delete,
                maybe_replace: false,
                policy: None,
                stateful: true,
                fields: Vec::new(),
            });
        }
    }
    Ok(lost)
}
