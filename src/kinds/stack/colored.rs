//! What two colours of a stack cannot have (rule 38): data that each would have its own of, exports of one name, one name for both.

use crate::{
    base::{Color, Diagnostic, Diagnostics, Label},
    cfn::{ExprKind, Node, ResourceDecl, Template, is_stateful},
    kinds::{
        Desired, Prepare,
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
pub(super) fn check(request: &Prepare<'_>, color: Color, desired: &Desired) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    if let Some(name) = request.inputs.get("name").and_then(|name| name.as_str())
        && request.address.color().is_some()
        && !name.contains(color.word())
    {
        let problem = Diagnostic::error("rollout_name", format!("the stack is called `{name}` in every colour"))
            .because("two colours stand side by side, and need a name each")
            .hint("write self.color into `name`, or leave it out");
        problems.push(place(request, &["name"], problem));
    }
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
    if let Some(template) = template_of(&desired.documents, &desired.inputs) {
        for (name, output) in &change::resolve(&template, &desired.inputs, None).outputs {
            // What is not known yet the service judges when the second colour is made: an export has one owner.
            let Some(export) = output.export.as_ref().filter(|e| e.is_known()).and_then(Node::scalar) else {
                continue;
            };
            // A stack that was there before its colours has a name of its own without one.
            if export.contains(color.word()) || name_of(desired).is_some_and(|stack| export.contains(stack)) {
                continue;
            }
            let mut problem = Diagnostic::error(
                "rollout_export",
                format!("the output {name} is exported as `{export}` in every colour"),
            )
            .because("an export has one owner in an account and region, so the second colour could not be made")
            .hint(
                "write ${AWS::StackName} or a parameter that holds the colour into its name; others refer to \
                           stack.NAME.outputs, which are those of the colour that has the traffic",
            );
            if let Some(declared) = template.outputs.get(name) {
                problem.labels.push(Label { span: declared.span.clone(), text: String::new() });
            }
            problems.push(place(request, &["template"], problem));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn name_of(desired: &Desired) -> Option<&str> {
    desired.inputs.get("name").and_then(|name| name.as_str())
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
