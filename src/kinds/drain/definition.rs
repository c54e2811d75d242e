//! Custom resources go with the definition of their type, whoever made them.

use super::{Removed, list};
use crate::{
    base::ActionWord,
    kinds::{ChildChange, Context, objects::type_of},
    world::{ObjectRef, Outcome},
};
use serde_json::Value as Json;

/// The type that a definition brings, in the first version that is served.
pub(in crate::kinds) fn served(definition: &Json) -> Option<(String, String)> {
    let spec = &definition["spec"];
    let version = spec["versions"].as_array()?.iter().find(|v| v["served"] == true)?["name"].as_str()?;
    Some((format!("{}/{version}", spec["group"].as_str()?), spec["names"]["kind"].as_str()?.to_owned()))
}

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
        let Some((api_version, kind)) = served(&live) else { continue };
        for mut object in list(context, &api_version, &kind).await? {
            object["apiVersion"] = api_version.as_str().into();
            object["kind"] = kind.as_str().into();
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
