//! How a live thing would be declared: what `terrace import --generate` writes.

use crate::{
    base::{Data, Path, Value},
    lang::format,
};
use std::{collections::BTreeSet, fmt::Write as _};

/// A live thing as a block would declare it, so that the plan after importing it shows no change.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Attributes by name, in the order in which they are written. A sensitive leaf becomes a variable.
    pub attributes: Vec<(&'static str, Value)>,
    /// A file that an attribute names: the attribute, the file's name and its content.
    pub file: Option<(&'static str, String, String)>,
    /// What cannot be told from the live thing.
    pub notes: Vec<String>,
}

/// Where a block goes.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The kind.
    pub kind: &'a str,
    /// The name.
    pub name: &'a str,
    /// The text of the `import` block's `id`.
    pub id: &'a str,
    /// The phase, where the plan declares some.
    pub phase: Option<&'a str>,
    /// The folder of the file, relative to the project.
    pub folder: &'a str,
}

impl Written {
    /// The text: variables for what is secret, the `import` block, the block itself, in canonical layout.
    #[must_use]
    pub fn text(&self, block: &Block<'_>) -> String {
        let mut secrets = BTreeSet::new();
        let mut body = String::new();
        if let Some(phase) = block.phase {
            let _ = writeln!(body, "phase = phase.{phase}");
        }
        if let Some((attribute, name, _)) = &self.file {
            let path = if block.folder.is_empty() { name.clone() } else { format!("{}/{name}", block.folder) };
            let _ = writeln!(body, "{attribute} = \"${{path.project}}/{}\"", escaped(&path));
        }
        for (name, value) in &self.attributes {
            let _ = write!(body, "{name} = ");
            expression(value, block.name, &mut Path::default().key(name), &mut secrets, &mut body);
            body.push('\n');
        }
        let mut text = String::new();
        for name in &secrets {
            let _ = writeln!(text, "variable \"{name}\" {{\ntype = string\nsensitive = true\n}}\n");
        }
        let Block { kind, name, id, .. } = block;
        let _ = writeln!(text, "import {{\nto = {kind}.{name}\nid = \"{}\"\n}}\n", escaped(id));
        let _ = writeln!(text, "{kind} \"{name}\" {{\n{body}}}");
        format(&text, &"generated.hcl".into()).unwrap_or(text)
    }
}

/// A value as an expression. A sensitive leaf is a variable named after the block and where it stands.
fn expression(value: &Value, block: &str, path: &mut Path, secrets: &mut BTreeSet<String>, out: &mut String) {
    if value.is_sensitive() || value.is_unknown() {
        let last = path.0.iter().rev().find_map(|step| match step {
            crate::base::Step::Key(key) => Some(key.to_string()),
            crate::base::Step::Index(_) => None,
        });
        let plain = |text: String| text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let last: String = plain(last.unwrap_or_default());
        let name = format!("{block}_{}", last.to_ascii_lowercase());
        let _ = write!(out, "var.{name}");
        secrets.insert(name);
        return;
    }
    match value.data() {
        Data::Bool(b) => drop(write!(out, "{b}")),
        Data::Number(n) => drop(write!(out, "{n}")),
        Data::String(text) => drop(write!(out, "\"{}\"", escaped(text))),
        Data::Sequence(_, items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                path.0.push(crate::base::Step::Index(at));
                expression(item, block, path, secrets, out);
                path.0.pop();
            }
            out.push(']');
        }
        Data::Mapping(_, entries) => {
            out.push_str("{\n");
            for (key, entry) in entries.iter() {
                let key_text = if is_identifier(key) { key.to_string() } else { format!("\"{}\"", escaped(key)) };
                let _ = write!(out, "{key_text} = ");
                path.0.push(crate::base::Step::Key(key.clone()));
                expression(entry, block, path, secrets, out);
                path.0.pop();
                out.push('\n');
            }
            out.push('}');
        }
        Data::Null | Data::Unknown(_) | Data::Sealed(_) => out.push_str("null"),
    }
}

fn is_identifier(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A text between quotes: what would begin a template does not.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_written_in_canonical_layout_and_its_secrets_are_variables() {
        let parameters = Value::object([
            ("Cidr", Value::from("10.0.0.0/16")),
            ("Password", Value::UNKNOWN.sensitive()),
            ("Text", Value::from("a \"${b}\" \\ %{c}\n")),
        ]);
        let tags = Value::object([("aws-like:team", Value::from("blue")), ("env", Value::from("dev"))]);
        let written = Written {
            attributes: vec![("name", "legacy".into()), ("parameters", parameters), ("tags", tags)],
            file: Some(("template", "legacy.yaml".to_owned(), String::new())),
            notes: Vec::new(),
        };
        let block = Block { kind: "stack", name: "network", id: "legacy", phase: Some("base"), folder: "cfn" };
        insta::assert_snapshot!(written.text(&block), @r#"
        variable "network_password" {
          type      = string
          sensitive = true
        }

        import {
          to = stack.network
          id = "legacy"
        }

        stack "network" {
          phase    = phase.base
          template = "${path.project}/cfn/legacy.yaml"
          name     = "legacy"
          parameters = {
            Cidr     = "10.0.0.0/16"
            Password = var.network_password
            Text     = "a \"$${b}\" \\ %%{c}\n"
          }
          tags = {
            "aws-like:team" = "blue"
            env             = "dev"
          }
        }
        "#);
    }
}
