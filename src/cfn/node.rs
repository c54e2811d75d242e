//! A resolved value: JSON, in which a part that nobody knows yet is an explicit unknown.
//!
//! Resolution makes nodes, the diff compares them, the sandbox stores them. No node carries a place; places belong
//! to expressions.

use std::collections::{BTreeMap, BTreeSet};

/// A value of a template after parameters, conditions and functions are worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number, as precise as it was written.
    Number(serde_json::Number),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// An object, ordered by key.
    Object(BTreeMap<String, Self>),
    /// Not known before something else is.
    Unknown(Unknown),
}

/// Why a value is not known, and what is known of its form.
///
/// Two unknowns are equal where they wait for the same things in the same form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unknown {
    /// What it waits for; never empty.
    pub because: BTreeSet<Because>,
    /// The value with `${...}` where the unknown goes, such as `${Vpc}-logs` or `Fn::Select(0, ${Vpc.Ipv6CidrBlocks})`.
    pub shape: String,
}

/// One thing that a value waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// The physical id (`attribute: None`) or an attribute of a resource of the same template.
    Resource {
        /// The logical id.
        logical_id: String,
        /// The attribute of `Fn::GetAtt`; `None` for `Ref`.
        attribute: Option<String>,
    },
    /// A parameter whose value is not given yet.
    Parameter(String),
    /// A condition that is not decided yet.
    Condition(String),
    /// An export that does not exist yet.
    Import(String),
    /// A dynamic reference such as `ssm:/a/b` that was not looked up.
    Dynamic(String),
    /// A pseudo parameter the context does not give, such as `AWS::StackId` before the stack exists.
    Pseudo(String),
    /// A macro that only the service can run.
    Transform(String),
    /// A value the service would refuse; a diagnostic says why.
    Invalid,
}

impl Node {
    /// A string.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// An unknown that waits for one thing and is written like it.
    pub fn unknown(because: Because) -> Self {
        let shape = because.to_string();
        Self::unknown_of([because], shape)
    }

    /// An unknown with its form.
    pub fn unknown_of(because: impl IntoIterator<Item = Because>, shape: impl Into<String>) -> Self {
        Self::Unknown(Unknown { because: because.into_iter().collect(), shape: shape.into() })
    }

    /// True for an unknown; false for a list or object that merely holds one.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// True where nothing in it is unknown.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Array(items) => items.iter().all(Self::is_known),
            Self::Object(entries) => entries.values().all(Self::is_known),
            _ => true,
        }
    }

    /// The text of a scalar, as CloudFormation writes it into a string; `None` for lists, objects, null and unknowns.
    pub fn scalar(&self) -> Option<String> {
        match self {
            Self::Bool(b) => Some(b.to_string()),
            Self::Number(n) => Some(n.to_string()),
            Self::String(s) => Some(s.clone()),
            _ => None,
        }
    }

    /// The string, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(s) = self { Some(s) } else { None }
    }

    /// The value under a key of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        if let Self::Object(entries) = self { entries.get(key) } else { None }
    }

    /// Everything in it that is waited for.
    pub fn waits_for(&self) -> BTreeSet<Because> {
        let mut all = BTreeSet::new();
        self.collect(&mut all);
        all
    }

    fn collect(&self, all: &mut BTreeSet<Because>) {
        match self {
            Self::Unknown(unknown) => all.extend(unknown.because.iter().cloned()),
            Self::Array(items) => items.iter().for_each(|n| n.collect(all)),
            Self::Object(entries) => entries.values().for_each(|n| n.collect(all)),
            _ => {}
        }
    }

    /// As JSON, with an unknown written as its form. For showing; [`Self::to_json`] is for using.
    pub fn to_json_shown(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Bool(b) => Json::Bool(*b),
            Self::Number(n) => Json::Number(n.clone()),
            Self::String(s) => Json::String(s.clone()),
            Self::Array(items) => Json::Array(items.iter().map(Self::to_json_shown).collect()),
            Self::Object(entries) => {
                Json::Object(entries.iter().map(|(k, v)| (k.clone(), v.to_json_shown())).collect())
            }
            Self::Unknown(unknown) => Json::String(unknown.shape.clone()),
        }
    }

    /// As JSON; `None` where a part is unknown.
    pub fn to_json(&self) -> Option<serde_json::Value> {
        self.is_known().then(|| self.to_json_shown())
    }
}

impl From<serde_json::Value> for Node {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(b),
            Json::Number(n) => Self::Number(n),
            Json::String(s) => Self::String(s),
            Json::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Json::Object(entries) => Self::Object(entries.into_iter().map(|(k, v)| (k, Self::from(v))).collect()),
        }
    }
}

/// Written as it stands in a form: `${Vpc}`, `${Vpc.CidrBlock}`, `${AWS::StackId}`.
impl std::fmt::Display for Because {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resource { logical_id, attribute: None } => write!(f, "${{{logical_id}}}"),
            Self::Resource { logical_id, attribute: Some(attribute) } => write!(f, "${{{logical_id}.{attribute}}}"),
            Self::Parameter(name) | Self::Pseudo(name) => write!(f, "${{{name}}}"),
            Self::Condition(name) => write!(f, "${{condition {name}}}"),
            Self::Import(name) => write!(f, "${{import {name}}}"),
            Self::Dynamic(text) => write!(f, "{{{{resolve:{text}}}}}"),
            Self::Transform(name) => write!(f, "${{transform {name}}}"),
            Self::Invalid => f.write_str("${invalid}"),
        }
    }
}
