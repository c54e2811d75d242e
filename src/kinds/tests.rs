//! What holds for every kind.

use super::*;
use crate::lang::schema::{BlockSchema, Role};

/// The page of docs/kinds that tells of a kind.
fn page(name: &str, role: Role) -> &'static str {
    match (name, role) {
        (_, Role::Data) => include_str!("../../docs/kinds/data.md"),
        ("stack", _) => include_str!("../../docs/kinds/stack.md"),
        ("eks_addon", _) => include_str!("../../docs/kinds/eks_addon.md"),
        ("eks_upgrade", _) => include_str!("../../docs/kinds/eks_upgrade.md"),
        ("helm", _) => include_str!("../../docs/kinds/helm.md"),
        ("manifest", _) => include_str!("../../docs/kinds/manifest.md"),
        ("value", _) => include_str!("../../docs/kinds/value.md"),
        ("command", _) => include_str!("../../docs/kinds/command.md"),
        ("terraform", _) => include_str!("../../docs/kinds/terraform.md"),
        ("traffic", _) => include_str!("../../docs/kinds/traffic.md"),
        ("check", _) => include_str!("../../docs/kinds/check.md"),
        (other, _) => panic!("docs/kinds has no page for {other}"),
    }
}

#[test]
fn the_docs_say_of_every_attribute_what_the_schema_says() {
    let told = |page: &str, block: &BlockSchema, of: &str| {
        for attribute in block.attributes {
            let row = format!("| `{}` |", attribute.name);
            let line = page.lines().find(|l| l.starts_with(&row) && l.contains(&attribute.doc.replace('|', "\\|")));
            assert!(line.is_some(), "{of}: {} is not documented as the schema says", attribute.name);
        }
    };
    for kind in schema().kinds {
        let text = page(kind.name, kind.role);
        told(text, kind.block, kind.name);
        if kind.name == "traffic" {
            kind.block.blocks.iter().for_each(|nested| told(text, nested.block, nested.name));
        }
        for export in kind.exports {
            assert!(text.contains(&format!("`{}`", export.name)), "{}: {}", kind.name, export.name);
        }
    }
    let verify = include_str!("../../docs/kinds/verify.md");
    for probe in schema().probes {
        assert!(verify.contains(&format!("## {}\n", probe.name)));
        told(verify, probe.block, probe.name);
    }
}

#[test]
fn every_kind_of_the_schema_can_be_had_by_its_name() {
    for declared in schema().kinds {
        let name = match declared.role {
            Role::Data => format!("data.{}", declared.name),
            _ => declared.name.to_owned(),
        };
        assert_eq!(kind(&name).map(|k| k.schema().name), Some(declared.name), "{name}");
    }
    assert!(kind("nothing").is_none());
}
