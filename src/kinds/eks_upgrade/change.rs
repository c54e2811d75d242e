//! The difference: a hop a child, with all that moves in it. Pure.

use crate::{
    base::{ActionWord, Value},
    kinds::{
        Cause, Change, ChildChange, Difference, FieldChange, Preview, Undo,
        eks_upgrade::{
            hops::{Hop, minor},
            live::strings,
            preview::HOPS,
        },
    },
};
use std::collections::BTreeMap;

pub(super) fn diff(difference: &Difference<'_>) -> Change {
    let Difference { desired, observed, preview, .. } = *difference;
    let version = desired.inputs.get("version").cloned().unwrap_or(Value::UNKNOWN);
    let exports = |until: Value| Value::object([("version", version.clone()), ("revertible_until", until)]);
    let image = observed.map_or(&Value::NULL, |o| &o.image);
    let (Some(from), Some(to)) = (image.get("version").and_then(Value::as_str), version.as_str()) else {
        return Change::new(ActionWord::NoOp, exports(Value::NULL));
    };
    if minor(from) == minor(to) {
        let until = observed.and_then(|o| o.exports.get("revertible_until").cloned()).unwrap_or(Value::NULL);
        return Change::new(ActionWord::NoOp, exports(until));
    }
    let mut change = Change::new(ActionWord::Update, exports(Value::UNKNOWN));
    change.fields.push(field("version", Some(from), Some(to)));
    let up = minor(to) > minor(from);
    let hops = hops(preview);
    if hops.is_empty() {
        change.reasons.push("its hops are worked out when its turn comes: what they need is not known yet".to_owned());
    }
    change.children = children(&hops, image, desired.inputs.get("bake").and_then(Value::as_str).filter(|_| up));
    change.undo = if up {
        Undo::Partly(
            "EKS takes each hop back for 7 days, the newest first: control plane, add-ons and managed nodes, not what was \
             written to the cluster meanwhile"
                .to_owned(),
        )
    } else {
        Undo::None("a control plane that went back is raised again by an apply, not by undoing".to_owned())
    };
    change
}

fn hops(preview: Option<&Preview>) -> Vec<Hop> {
    let hops = preview.and_then(|p| p.facts.get(HOPS)).cloned();
    hops.and_then(|hops| serde_json::from_value(hops).ok()).unwrap_or_default()
}

fn children(hops: &[Hop], image: &Value, bake: Option<&str>) -> Vec<ChildChange> {
    let mut addons = strings(image.get("addons"));
    let mut nodes = strings(image.get("nodes"));
    hops.iter()
        .map(|hop| {
            let mut fields = Vec::new();
            let mut move_nodes = |names: &mut dyn Iterator<Item = &String>, to: &str, by: Option<&str>| {
                for name in names {
                    let former = nodes.insert(name.clone(), to.to_owned());
                    let mut moved = field(&format!("nodes.{name}"), former.as_deref(), Some(to));
                    moved.because = by.map(str::to_owned);
                    fields.push(moved);
                }
            };
            move_nodes(&mut hop.nodes_before.iter(), &hop.from, Some("the version skew"));
            move_nodes(&mut hop.nodes_with_stack.iter(), &hop.to, Some("the stack's parameter"));
            move_nodes(&mut hop.nodes_after.iter(), &hop.to, None);
            let plane = field("control_plane", Some(&hop.from), Some(&hop.to));
            let moved: BTreeMap<String, FieldChange> = hop
                .addons
                .iter()
                .map(|(name, to)| {
                    let former = addons.insert(name.clone(), to.clone());
                    (name.clone(), field(&format!("addons.{name}"), former.as_deref(), Some(to)))
                })
                .collect();
            let mut all = vec![plane];
            all.extend(moved.into_values());
            all.extend(fields);
            all.extend(bake.map(|bake| field("bake", None, Some(bake))));
            if minor(&hop.to) > minor(&hop.from) {
                all.push(field("revertible", None, Some(&format!("to {} for 7 days", hop.from))));
            }
            ChildChange {
                name: format!("Kubernetes {}", hop.to),
                kind: "hop".to_owned(),
                action: ActionWord::Update,
                maybe_replace: false,
                policy: None,
                stateful: false,
                fields: all,
            }
        })
        .collect()
}

fn field(path: &str, before: Option<&str>, after: Option<&str>) -> FieldChange {
    FieldChange {
        path: path.to_owned(),
        before: before.map(Value::from),
        after: after.map(Value::from),
        cause: Cause::Declared,
        forces_replacement: false,
        because: None,
        owner: None,
    }
}
