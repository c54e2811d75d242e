//! What a rollback cannot bring back, as far as its plan knows: said before anything else of it.

use crate::{
    base::ActionWord,
    kinds::Undo,
    plan::{Plan, Planned},
};

/// What stays as it is, or is lost, a sentence each, in the order of the plan.
#[must_use]
pub fn beyond_return(plan: &Plan) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for node in &plan.nodes {
        for sentence in of_node(node) {
            let sentence = format!("{}: {sentence}", node.address);
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
    }
    said
}

fn of_node(node: &Planned) -> Vec<String> {
    let (changes, goes) = match node.action {
        ActionWord::Update => (true, false),
        ActionWord::Replace | ActionWord::Delete => (true, true),
        ActionWord::Defer => {
            let most = node.deferral.as_ref().map(|d| d.ceiling.as_slice()).unwrap_or_default();
            (!most.is_empty(), most.iter().any(|a| matches!(a, ActionWord::Replace | ActionWord::Delete)))
        }
        _ => return Vec::new(),
    };
    if !changes {
        return Vec::new();
    }
    let kind = node.address.kind();
    let mut said = Vec::new();
    if goes && node.stateful {
        said.push("it holds data, and what was written to it is lost".to_owned());
    } else if kind == "stack" {
        said.push("its settings go back; what was written to its databases and buckets stays as it is".to_owned());
    }
    if kind == "eks_upgrade" {
        said.push(
            "a control plane goes back one minor version at most, and only within seven days of its upgrade".to_owned(),
        );
    }
    if kind == "helm" {
        said.push(
            "custom resource definitions of its chart stay as they are: Helm neither changes nor removes them"
                .to_owned(),
        );
    }
    if kind == "manifest" && node.identity.to_string().contains("CustomResourceDefinition") {
        said.push("objects that are stored in a newer version are not converted back".to_owned());
    }
    if kind == "command" || kind == "terraform" {
        said.push("it runs as it does for any plan; what it did before is not taken back".to_owned());
    }
    if let Undo::None(why) = &node.undo
        && goes
    {
        said.push(format!("should this rollback fail, it stays gone: {why}"));
    }
    said
}
