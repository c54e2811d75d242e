//! A template after resolution: what the service would be asked to make, with where each value came from.
//!
//! Made by [`Template::resolve`](super::Template::resolve); read by the diff, by policy and by the sandbox.

use crate::{base::Path, cfn::Node};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A resolved template. Resources and outputs whose condition is false are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// Resources by logical id.
    pub resources: BTreeMap<String, ResolvedResource>,
    /// Outputs by name.
    pub outputs: BTreeMap<String, ResolvedOutput>,
    /// Conditions by name; `None` where one hangs on something unknown.
    pub conditions: BTreeMap<String, Option<bool>>,
    /// The template's own Metadata, as it stands.
    pub metadata: Option<Node>,
}

/// One resource.
#[derive(Clone, PartialEq, Eq)]
pub struct ResolvedResource {
    /// Such as `AWS::EC2::Subnet`.
    pub resource_type: String,
    /// The properties, always an object unless a transform stands in their place.
    pub properties: Node,
    /// What it names in DependsOn, in order.
    pub depends_on: BTreeSet<String>,
    /// `Delete`, `Retain`, `Snapshot`, `RetainExceptOnCreate`; `None` where the template says nothing.
    pub deletion_policy: Option<String>,
    /// `Delete`, `Retain`, `Snapshot`; `None` where the template says nothing.
    pub update_replace_policy: Option<String>,
    /// CreationPolicy.
    pub creation_policy: Option<Node>,
    /// UpdatePolicy.
    pub update_policy: Option<Node>,
    /// Metadata.
    pub metadata: Option<Node>,
    /// Where values of the properties came from, ordered.
    pub references: BTreeSet<Reference>,
    /// The condition that it is declared under.
    pub condition: Option<String>,
    /// False where its condition is not decided yet, so that it may turn out absent.
    pub certain: bool,
}

/// One output.
#[derive(Clone, PartialEq, Eq)]
pub struct ResolvedOutput {
    /// The value.
    pub value: Node,
    /// The name under which other stacks import it.
    pub export: Option<Node>,
    /// The description, empty where there is none.
    pub description: String,
    /// Where values in it came from.
    pub references: BTreeSet<Reference>,
    /// True where it holds a `NoEcho` parameter or a secret's dynamic reference.
    pub sensitive: bool,
    /// False where its condition is not decided yet.
    pub certain: bool,
}

/// Where a value under a path came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The path within Properties.
    pub path: Path,
    /// Its origin.
    pub source: Source,
}

/// An origin of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A parameter.
    Parameter {
        /// Its name.
        name: String,
        /// True where it is declared `NoEcho`.
        no_echo: bool,
    },
    /// A resource's physical id (`attribute: None`) or attribute.
    Resource {
        /// Its logical id.
        logical_id: String,
        /// The attribute of `Fn::GetAtt`.
        attribute: Option<String>,
    },
    /// A dynamic reference, by what stands between `{{resolve:` and `}}`.
    Dynamic(String),
    /// An export of another stack.
    Import(String),
}

impl Source {
    /// True where the value must not be shown.
    pub fn is_sensitive(&self) -> bool {
        match self {
            Self::Parameter { no_echo, .. } => *no_echo,
            Self::Dynamic(text) => text.starts_with("ssm-secure:") || text.starts_with("secretsmanager:"),
            Self::Resource { .. } | Self::Import(_) => false,
        }
    }
}

impl ResolvedResource {
    /// True where the value at this path holds, or lies in, something that must not be shown.
    pub fn is_sensitive(&self, path: &Path) -> bool {
        self.references.iter().any(|r| r.source.is_sensitive() && overlaps(&r.path, path))
    }

    /// The logical ids it depends on: by reference and by DependsOn.
    pub fn dependencies(&self) -> BTreeSet<&str> {
        let referred = self.references.iter().filter_map(|r| match &r.source {
            Source::Resource { logical_id, .. } => Some(logical_id.as_str()),
            _ => None,
        });
        referred.chain(self.depends_on.iter().map(String::as_str)).collect()
    }
}

impl Resolved {
    /// Logical ids in layers: each depends only on earlier layers. What is in a layer can be made at once; deletion
    /// goes backwards.
    pub fn order(&self) -> Vec<Vec<String>> {
        super::order::layers(&self.needs())
    }

    /// What each resource needs of the others.
    pub(super) fn needs(&self) -> super::order::Needs {
        let of = |resource: &ResolvedResource| {
            let needs = resource.dependencies().into_iter().filter(|d| self.resources.contains_key(*d));
            needs.map(str::to_owned).collect()
        };
        self.resources.iter().map(|(id, resource)| (id.clone(), of(resource))).collect()
    }
}

/// Without the properties where they hold a secret.
impl fmt::Debug for ResolvedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.references.iter().any(|r| r.source.is_sensitive());
        let mut out = f.debug_struct("ResolvedResource");
        out.field("resource_type", &self.resource_type);
        if !secret {
            out.field("properties", &self.properties);
        }
        out.field("references", &self.references).finish_non_exhaustive()
    }
}

/// Without the value where it is a secret.
impl fmt::Debug for ResolvedOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ResolvedOutput");
        if !self.sensitive {
            out.field("value", &self.value);
        }
        out.field("export", &self.export).finish_non_exhaustive()
    }
}

/// True where one path leads to, into, or around the other.
pub(super) fn overlaps(a: &Path, b: &Path) -> bool {
    let n = a.0.len().min(b.0.len());
    a.0[..n] == b.0[..n]
}
