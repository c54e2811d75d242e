//! What an `eks_upgrade` moves in the place of other declarations: a parameter of a stack, the versions of add-ons. Their own
//! turns leave that alone.

use crate::{
    base::{Address, Diagnostics},
    lang::{
        Configuration, Declaration,
        configuration::{Module, Resource},
        evaluate::Evaluator,
        references,
        scope::Target,
    },
};
use std::sync::Arc;

/// The kind.
const KIND: &str = "eks_upgrade";

/// The blocks of a module that name a declaration in an attribute.
fn naming<'m>(module: &'m Module, declaration: &Declaration, attribute: &str) -> impl Iterator<Item = &'m Resource> {
    let from = (Arc::from(KIND), Arc::from(""));
    let blocks = module.resources.range(from..).take_while(|((kind, _), _)| &**kind == KIND);
    blocks.map(|(_, resource)| resource).filter(move |resource| {
        let named = resource.body.attributes.get(attribute).map(|a| references(&a.expr)).unwrap_or_default();
        named.iter().any(|reference| match &reference.target {
            Target::Resource { kind, name, .. } => *kind == declaration.kind && *name == declaration.name,
            _ => false,
        })
    })
}

fn address(upgrade: &Resource, named: &Address) -> Address {
    Address::new(named.module().to_vec(), &upgrade.kind, &upgrade.name, None)
}

/// Paths of a stack's inputs that an `eks_upgrade` moves: as if `ignore_changes` named them.
///
/// # Errors
/// What is wrong with the block's `parameter` or `when`.
pub(super) fn parameters_of(
    configuration: &Configuration,
    evaluator: &mut Evaluator,
    stack: &Address,
) -> Result<Vec<String>, Diagnostics> {
    let mut paths = Vec::new();
    if stack.kind() != "stack" {
        return Ok(paths);
    }
    let declaration = Declaration::from(stack);
    let Some(module) = configuration.module(&declaration.path) else { return Ok(paths) };
    for upgrade in naming(module, &declaration, "stack") {
        let own = Declaration { kind: upgrade.kind.clone(), name: upgrade.name.clone(), ..declaration.clone() };
        if evaluator.expand(&own)?.instances.is_empty() {
            continue;
        }
        if let Some(parameter) = upgrade.body.attributes.get("parameter")
            && let Some(name) = evaluator.expression(stack.module(), &parameter.expr)?.as_str()
        {
            paths.push(format!("parameters.{name}"));
        }
    }
    Ok(paths)
}

/// The `eks_upgrade` that moves a stack's control plane, or an add-on's version with it.
pub(super) fn upgrade_of(configuration: &Configuration, evaluator: &mut Evaluator, moved: &Address) -> Option<Address> {
    let attribute = match moved.kind() {
        "stack" => "stack",
        "eks_addon" => "addons",
        _ => return None,
    };
    let declaration = Declaration::from(moved);
    let module = configuration.module(&declaration.path)?;
    let mut found = naming(module, &declaration, attribute);
    found.find_map(|upgrade| {
        let own = Declaration { kind: upgrade.kind.clone(), name: upgrade.name.clone(), ..declaration.clone() };
        let there = evaluator.expand(&own).is_ok_and(|e| !e.instances.is_empty());
        there.then(|| address(upgrade, moved))
    })
}
