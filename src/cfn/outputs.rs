//! What changes among a stack's outputs, which may change where no resource does.
//!
//! Called by the plan beside [`diff`](super::diff()); an update for outputs alone is still an update.

use super::compare::same;
use crate::cfn::{Action, Because, Node, Replacement, Resolved, ResolvedOutput, ResourceDiff, Source};
use std::collections::BTreeSet;

/// One output that changes.
#[derive(Clone, PartialEq, Eq)]
pub struct OutputChange {
    /// Its name.
    pub name: String,
    /// The value before; `None` where it is new.
    pub before: Option<Node>,
    /// The value after; `None` where it goes.
    pub after: Option<Node>,
    /// The name it was exported under.
    pub export_before: Option<Node>,
    /// The name it will be exported under.
    pub export_after: Option<Node>,
    /// True where a value must not be shown.
    pub sensitive: bool,
}

/// Without the values where they must not be shown.
impl std::fmt::Debug for OutputChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("OutputChange");
        out.field("name", &self.name);
        if !self.sensitive {
            out.field("before", &self.before).field("after", &self.after);
        }
        out.field("export_before", &self.export_before)
            .field("export_after", &self.export_after)
            .finish_non_exhaustive()
    }
}

/// The outputs that differ, by name. `resources` is what [`diff`](super::diff()) found for the same two templates: the
/// id of a resource that is replaced is another one afterwards.
pub fn output_changes(
    before: Option<&Resolved>,
    after: Option<&Resolved>,
    resources: &[ResourceDiff],
) -> Vec<OutputChange> {
    let none = Resolved::default();
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    let names: BTreeSet<&String> = before.outputs.keys().chain(after.outputs.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let (old, new) = (before.outputs.get(name), after.outputs.get(name));
        let awaited = new.and_then(|output| awaited(output, resources));
        let value = |output: Option<&ResolvedOutput>| output.map(|o| o.value.clone());
        let export = |output: Option<&ResolvedOutput>| output.and_then(|o| o.export.clone());
        let change = OutputChange {
            name: name.clone(),
            before: value(old),
            after: awaited.or_else(|| value(new)),
            export_before: export(old),
            export_after: export(new),
            sensitive: [old, new].into_iter().flatten().any(|o| o.sensitive),
        };
        if !equal(change.before.as_ref(), change.after.as_ref())
            || !equal(change.export_before.as_ref(), change.export_after.as_ref())
        {
            changes.push(change);
        }
    }
    changes
}

fn equal(a: Option<&Node>, b: Option<&Node>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    }
}

/// The value as an unknown, where a resource that it speaks of is replaced.
fn awaited(output: &ResolvedOutput, resources: &[ResourceDiff]) -> Option<Node> {
    let replaced = |id: &str| {
        resources
            .iter()
            .any(|d| d.logical_id == id && d.action == Action::Modify && d.replacement != Replacement::Never)
    };
    let because: BTreeSet<Because> = output
        .references
        .iter()
        .filter_map(|reference| match &reference.source {
            Source::Resource { logical_id, attribute } if replaced(logical_id) => {
                Some(Because::Resource { logical_id: logical_id.clone(), attribute: attribute.clone() })
            }
            _ => None,
        })
        .collect();
    let shape = because.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    (!because.is_empty() && output.value.is_known()).then(|| Node::unknown_of(because, shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cfn::{Context, Template, diff};
    use std::collections::BTreeMap;

    fn live(cidr: &str, outputs: &str) -> Resolved {
        let text = format!(
            "Resources: {{ S: {{ Type: 'AWS::EC2::Subnet', Properties: {{ VpcId: v, CidrBlock: {cidr} }} }} }}\nOutputs: {outputs}"
        );
        let (template, problems) = Template::parse("t.yaml", &text);
        assert!(problems.is_empty(), "{problems:?}");
        let attribute = |id: &str, _: Option<&str>| Some(Node::string(format!("phy-{id}")));
        let context = Context { attribute: &attribute, ..Context::offline("1", "us-east-1", "s") };
        template.resolve(&context).0
    }

    fn names(before: &Resolved, after: &Resolved) -> Vec<String> {
        let resources = diff(Some(before), Some(after), &BTreeMap::new());
        output_changes(Some(before), Some(after), &resources).into_iter().map(|c| c.name).collect()
    }

    #[test]
    fn outputs_change_by_value_by_export_and_by_what_they_speak_of() {
        let base = live("10.0.0.0/24", "{ A: { Value: x }, B: { Value: !Ref S } }");
        assert_eq!(names(&base, &base), [] as [&str; 0]);
        assert_eq!(names(&base, &live("10.0.0.0/24", "{ A: { Value: y }, B: { Value: !Ref S } }")), ["A"]);
        assert_eq!(names(&base, &live("10.0.1.0/24", "{ A: { Value: x }, B: { Value: !Ref S } }")), ["B"]);
        assert_eq!(names(&base, &live("10.0.0.0/24", "{ B: { Value: !Ref S }, C: { Value: z } }")), ["A", "C"]);
        let exported = live("10.0.0.0/24", "{ A: { Value: x, Export: { Name: e } }, B: { Value: !Ref S } }");
        assert_eq!(names(&base, &exported), ["A"]);
        assert_eq!(output_changes(None, Some(&base), &[]).len(), 2);
    }
}
