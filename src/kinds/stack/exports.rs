//! Exports that others import can be neither dropped nor changed: said in the plan, with the names of those who import.

use crate::{
    base::Value,
    cfn::Node,
    kinds::{
        Context, Desired, Observed,
        stack::{
            change,
            desired::{TEMPLATE, template_of},
            nested,
        },
    },
    world::{Class, Failure, Outcome},
};

/// Refuses what would drop or change an export in use. Asks the world only about exports that would go or change.
///
/// # Errors
/// An export in use; the importers are named.
pub(super) async fn refuse_lost(context: &Context, desired: &Desired, observed: &Observed) -> Outcome<()> {
    let Some(template) = template_of(&desired.documents, &desired.inputs) else { return Ok(()) };
    let resolved = change::resolve(&template, &desired.inputs, Some(observed));
    let cloudformation = &context.aws()?.cloudformation;
    let exported = observed.image.get("exports").and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    for (name, value) in exported {
        let mut unknown = false;
        let kept = resolved.outputs.iter().find(|(_, output)| match &output.export {
            Some(export) if export.is_known() => export.scalar().as_deref() == Some(&**name),
            Some(_) => {
                unknown = true;
                false
            }
            None => false,
        });
        let what = match kept {
            // What only executing it tells may be the same value; the service has the last word.
            Some((_, output)) => match Some(&output.value).filter(|v| v.is_known()).and_then(Node::scalar) {
                Some(now) if Some(now.as_str()) != value.as_str() => "changes",
                _ => continue,
            },
            None if unknown => continue,
            None => "drops",
        };
        let importers = context.patiently(|| cloudformation.list_imports(name)).await?;
        if importers.is_empty() {
            continue;
        }
        let stack = observed.identity["name"].as_str().unwrap_or_default();
        let message = format!("this {what} the export {name}, which is in use: {} import it", importers.join(", "));
        let declared = kept.and_then(|(key, _)| nested::line(desired, &[key]));
        let file = desired.documents.get(TEMPLATE).map(|_| template.file.to_string());
        let place = declared.or(file).map(|place| format!("see {place}; ")).unwrap_or_default();
        return Err(Failure::new(Class::Invalid, "cloudformation:ListImports", stack, message).hint(format!(
            "{place}keep the export, or first apply a change that takes the import out of {} (with --target where this \
             plan holds both)",
            importers.join(", ")
        )));
    }
    Ok(())
}
