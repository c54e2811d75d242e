//! What two colours of a stack cannot have (rule 38): data that each would have its own of, exports of one name.

use crate::{
    base::{Diagnostic, Diagnostics, Digest, Label},
    cfn::{ExprKind, Node, ResourceDecl, Template, is_stateful},
    kinds::{
        Desired, Prepare, Sole,
        stack::{
            change,
            desired::{place, template_of},
            nested,
        },
    },
};

/// Refuses what cannot stand twice, side by side.
///
/// # Errors
/// All of it at once.
pub(super) fn check(request: &Prepare<'_>, desired: &Desired) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for (file, text) in nested::all(desired) {
        let template = Template::parse(file, text).0;
        let stateful = template.resources.iter().filter(|(_, resource)| keeps_data(resource));
        for (logical_id, resource) in stateful {
            let what = format!("{logical_id} in {file} is an {}, which holds data", resource.resource_type);
            let mut problem = Diagnostic::error("rollout_stateful", what)
                .because("each colour would have its own, and what the old one holds would go with it")
                .hint(
                    "move it into a stack that is not rolled out by colours and pass what refers to it as a parameter; or, where its \
                     data may be lost, write DeletionPolicy: Delete",
                );
            problem.labels.push(Label { span: resource.span.clone(), text: String::new() });
            problems.push(place(request, &["template"], problem));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The names that its outputs are exported under, as far as they are known: two colours cannot both have one.
pub(super) fn exports(desired: &Desired) -> Vec<Sole> {
    let Some(template) = template_of(&desired.documents, &desired.inputs) else { return Vec::new() };
    let outputs = change::resolve(&template, &desired.inputs, None).outputs;
    let exported = outputs.iter().filter_map(|(name, output)| {
        // What is not known yet the service judges when the second colour is made.
        let export = output.export.as_ref().filter(|export| export.is_known()).and_then(Node::scalar)?;
        let mut problem = Diagnostic::error("rollout_export", format!("export `{export}`, by the output {name}"))
            .because("an export has one owner in an account and region, so the second colour could not be made")
            .hint(
                "write ${AWS::StackName} or a parameter that holds the colour into its name; others refer to \
                 stack.NAME.outputs, which are those of the colour that has the traffic",
            );
        if let Some(declared) = template.outputs.get(name) {
            problem.labels.push(Label { span: declared.span.clone(), text: String::new() });
        }
        Some(Sole { part: None, key: Digest::of(format!("export {export}").as_bytes()), problem })
    });
    exported.collect()
}

/// True for what holds data, unless its template says that it may be lost; and for what is to outlast its stack.
fn keeps_data(resource: &ResourceDecl) -> bool {
    let policy = resource.deletion_policy.as_ref().map(|expr| match &expr.kind {
        ExprKind::String(text) => text.as_str(),
        _ => "",
    });
    match policy {
        Some("Delete") => false,
        Some("Retain" | "Snapshot") => true,
        _ => is_stateful(&resource.resource_type),
    }
}
