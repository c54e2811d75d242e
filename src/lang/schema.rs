//! What may be written in a block. The kinds give theirs as data; the language checks and decodes by it, and
//! `terrace schema` and the docs print it.

use crate::lang::ast::{Block, Body};

/// The type of an attribute as the schema states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Anything.
    Any,
    /// A bool.
    Bool,
    /// A number.
    Number,
    /// A string; numbers and bools convert.
    String,
    /// A string that [`crate::base::parse_duration`] reads.
    Duration,
    /// A list of strings; one string is not a list.
    Strings,
    /// A map of strings; numbers and bools convert.
    StringMap,
    /// An object or map of anything.
    Object,
    /// A reference to a declared thing and not a value, such as `traffic.headlamp` or `eks_addon.managed`.
    Reference,
}

/// Reads a text: `Err` says what is wrong with it.
pub type Reads = fn(&str) -> Result<(), String>;

/// One attribute.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct AttributeSchema {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub shape: Shape,
    /// Must be written.
    pub required: bool,
    /// Its value is always sensitive.
    pub sensitive: bool,
    /// One of these, where not empty.
    pub one_of: &'static [&'static str],
    /// What it means, its unit, its default.
    pub doc: &'static str,
    /// Reads a text that is written as it is, where it has a language of its own (a regular expression): what is wrong with it.
    #[serde(skip)]
    pub reads: Option<Reads>,
}

/// A nested block.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct NestedSchema {
    /// Its first word.
    pub name: &'static str,
    /// How many labels it has (0 or 1).
    pub labels: u8,
    /// It may be written more than once.
    pub repeated: bool,
    /// It must be written.
    pub required: bool,
    /// What is in it.
    pub block: &'static BlockSchema,
}

/// What may be in a block.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct BlockSchema {
    /// Attributes.
    pub attributes: &'static [AttributeSchema],
    /// Blocks.
    pub blocks: &'static [NestedSchema],
    /// Exactly one of these attributes or blocks must be written, where not empty.
    pub exactly_one: &'static [&'static str],
    /// What it is for.
    pub doc: &'static str,
}

/// Which meta-arguments a kind takes beside those that all take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionNeed {
    /// None.
    None,
    /// `aws = aws.NAME`.
    Aws,
    /// `kubernetes = kubernetes.NAME`.
    Kubernetes,
    /// `kubernetes = kubernetes.NAME` where one of these blocks is written in it, else `aws = aws.NAME`.
    KubernetesWith(&'static [&'static str]),
}

impl ConnectionNeed {
    /// What a declaration with this body needs: one of the first three.
    #[must_use]
    pub fn of(self, body: &Body) -> Self {
        let Self::KubernetesWith(names) = self else { return self };
        let is_one = |block: &Block| match &*block.kind {
            "dynamic" => block.labels.first().is_some_and(|(label, _)| names.contains(&&**label)),
            kind => names.contains(&kind),
        };
        if body.blocks.iter().any(is_one) { Self::Kubernetes } else { Self::Aws }
    }
}

/// Whether a kind is something managed, something read, or something only checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Written as `KIND "name" {}` and created, updated, destroyed.
    Managed,
    /// Written as `data "KIND" "name" {}` and only read.
    Data,
    /// Written as `KIND "name" {}`, changes nothing, and passes or fails (`check`).
    Check,
}

/// One kind as the language knows it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct KindSchema {
    /// The block's first word, or the first label of a `data` block.
    pub name: &'static str,
    /// What it is.
    pub role: Role,
    /// What may be written in it, meta-arguments aside.
    pub block: &'static BlockSchema,
    /// Attributes that others may refer to beside what is written: `outputs`, `id`, `output`, `value`.
    pub exports: &'static [AttributeSchema],
    /// Which connection it needs.
    pub connection: ConnectionNeed,
    /// Whether it takes a `rollout` block.
    pub rollout: bool,
}

/// All kinds. The table itself lies in the kinds' room and is handed to the language.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Every kind.
    pub kinds: &'static [KindSchema],
    /// What may be in a `verify` block beside `every`, `within`, `consecutive`, `failure_limit`: exactly one probe.
    pub probes: &'static [NestedSchema],
}

impl Schema {
    /// A managed kind or a check by its first word.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&'static KindSchema> {
        self.kinds.iter().find(|k| k.name == name && k.role != Role::Data)
    }

    /// A data source by its first label.
    #[must_use]
    pub fn data(&self, name: &str) -> Option<&'static KindSchema> {
        self.kinds.iter().find(|k| k.name == name && k.role == Role::Data)
    }
}
