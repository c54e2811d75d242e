//! Replicas that an autoscaler sets and a declaration sets as well: each takes back what the other did, for ever.

use crate::{
    base::{Diagnostic, Path},
    kinds::{ChildChange, Context, drain::list, objects::type_of},
    world::Outcome,
};
use serde_json::Value as Json;

/// A warning for each workload whose `spec.replicas` differ from what is declared while a HorizontalPodAutoscaler, one of KEDA's
/// included, scales it.
pub(super) async fn remarks(context: &Context, children: &[ChildChange]) -> Outcome<Vec<(Path, Diagnostic)>> {
    let is_resized =
        |child: &&ChildChange| child.fields.iter().any(|f| f.path == "spec.replicas" && f.before.is_some());
    let workloads: Vec<&ChildChange> = children.iter().filter(is_resized).collect();
    if workloads.is_empty() {
        return Ok(Vec::new());
    }
    let scalers = list(context, "autoscaling/v2", "HorizontalPodAutoscaler").await?;
    let scaler =
        |child: &ChildChange| scalers.iter().find(|scaler| target(scaler) == (child.kind.clone(), child.name.clone()));
    let warn = |child: &ChildChange, scaler: &Json| {
        let name = scaler["metadata"]["name"].as_str().unwrap_or_default();
        let summary =
            format!("{}: `replicas` is declared, and the HorizontalPodAutoscaler {name} sets it too", child.name);
        Diagnostic::warning("autoscaled_replicas", summary)
            .because("each apply takes back what the autoscaler did")
            .hint("leave `replicas` out, or write lifecycle { ignore_changes = [object.spec.replicas] }")
    };
    Ok(workloads.into_iter().filter_map(|c| Some((Path::default(), warn(c, scaler(c)?)))).collect())
}

/// Type and name of what a scaler scales, as parts of a change are named.
fn target(scaler: &Json) -> (String, String) {
    let of = &scaler["spec"]["scaleTargetRef"];
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let reference = crate::world::ObjectRef {
        api_version: text(&of["apiVersion"]),
        kind: text(&of["kind"]),
        namespace: Some(text(&scaler["metadata"]["namespace"])),
        name: text(&of["name"]),
    };
    (type_of(&reference), reference.to_string())
}
