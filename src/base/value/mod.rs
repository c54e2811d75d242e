//! Values of the language, with their two marks.
//!
//! A leaf may be unknown ("known after apply") and any value may be sensitive; both marks are kept per leaf, so that
//! one unknown attribute does not hide the rest. Cloning is cheap: everything big is behind an `Arc`.

mod json;
mod path;
mod stored;

pub use path::{Path, Step};
pub use stored::present;

use crate::base::{Address, Number};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The elements of a sequence.
pub type Seq = Arc<Vec<Value>>;
/// The entries of a mapping.
pub type Map = Arc<BTreeMap<Arc<str>, Value>>;

/// What a sequence is called by the type system. Most code need not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SequenceKind {
    /// `[a, b]` as written.
    Tuple,
    /// After `tolist`, or by a type constraint.
    List,
    /// After `toset`: elements distinct and in order.
    Set,
}

/// What a mapping is called by the type system. Most code need not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MappingKind {
    /// `{ a = b }` as written.
    Object,
    /// After `tomap`, or by a type constraint.
    Map,
}

/// What a value is, without its sensitive mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(Arc<str>),
    /// A tuple, list or set.
    Sequence(SequenceKind, Seq),
    /// An object or map.
    Mapping(MappingKind, Map),
    /// Known after apply, with what it waits for where that is known.
    Unknown(Option<Address>),
    /// A sensitive leaf of which only a keyed hash was stored (rule 9). Equal to another with the same seal; its
    /// content cannot be had from it.
    Sealed(Arc<str>),
}

/// A value with its sensitive mark.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    data: Data,
    sensitive: bool,
}

impl Value {
    /// `null`.
    pub const NULL: Self = Self { data: Data::Null, sensitive: false };
    /// Known after apply, of no known origin.
    pub const UNKNOWN: Self = Self { data: Data::Unknown(None), sensitive: false };

    /// Known once this address is applied.
    #[must_use]
    pub const fn unknown_until(address: Address) -> Self {
        Self { data: Data::Unknown(Some(address)), sensitive: false }
    }

    /// A string.
    #[must_use]
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Data::String(text.into()).into()
    }

    /// A tuple of these elements.
    #[must_use]
    pub fn tuple(elements: Vec<Self>) -> Self {
        Data::Sequence(SequenceKind::Tuple, Arc::new(elements)).into()
    }

    /// An object of these entries.
    #[must_use]
    pub fn object<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let map = entries.into_iter().map(|(k, v)| (k.into(), v)).collect();
        Data::Mapping(MappingKind::Object, Arc::new(map)).into()
    }

    /// What it is, mark aside.
    #[must_use]
    pub const fn data(&self) -> &Data {
        &self.data
    }

    /// What it is, mark dropped.
    #[must_use]
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The same shape in which every unknown part of no known origin waits for this address.
    #[must_use]
    pub fn waiting_for(&self, address: &Address) -> Self {
        if !self.has_unknown() {
            return self.clone();
        }
        let data = match &self.data {
            Data::Unknown(None) => Data::Unknown(Some(address.clone())),
            Data::Sequence(kind, elements) => {
                Data::Sequence(*kind, Arc::new(elements.iter().map(|v| v.waiting_for(address)).collect()))
            }
            Data::Mapping(kind, entries) => Data::Mapping(
                *kind,
                Arc::new(entries.iter().map(|(k, v)| (k.clone(), v.waiting_for(address))).collect()),
            ),
            other => other.clone(),
        };
        Self { data, sensitive: self.sensitive }
    }

    /// The same value, marked sensitive.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The same value with every leaf marked sensitive and the maps around them not, so that they merge and differ leaf by leaf.
    #[must_use]
    pub fn sensitive_leaves(&self) -> Self {
        match &self.data {
            Data::Mapping(kind, entries) if !entries.is_empty() => {
                let entries = entries.iter().map(|(k, v)| (k.clone(), v.sensitive_leaves())).collect();
                Self::from(Data::Mapping(*kind, Arc::new(entries)))
            }
            _ => self.clone().sensitive(),
        }
    }

    /// The same value, marked sensitive where `mark` holds; a mark that is there stays.
    #[must_use]
    pub fn with_mark(mut self, mark: bool) -> Self {
        self.sensitive |= mark;
        self
    }

    /// The same value without its own mark; leaves inside keep theirs. Only for `nonsensitive` and for handing a
    /// secret to the world.
    #[must_use]
    pub fn unmarked(mut self) -> Self {
        self.sensitive = false;
        self
    }

    /// True where this very value carries the mark (leaves inside may, all the same).
    #[must_use]
    pub const fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// True where this very value is unknown.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self.data, Data::Unknown(_))
    }

    /// True for `null`.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(s) => Some(s),
            _ => None,
        }
    }

    /// The truth of a bool.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self.data {
            Data::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// A number that is whole and fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match &self.data {
            Data::Number(n) => n.as_i64(),
            _ => None,
        }
    }

    /// The elements of a sequence.
    #[must_use]
    pub fn as_seq(&self) -> Option<&Seq> {
        match &self.data {
            Data::Sequence(_, elements) => Some(elements),
            _ => None,
        }
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match &self.data {
            Data::Mapping(_, entries) => Some(entries),
            _ => None,
        }
    }

    /// An entry of a mapping; `None` where there is none or it is no mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// The value at the end of a path.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, |value, step| match step {
            Step::Key(k) => value.get(k),
            Step::Index(n) => value.as_seq()?.get(*n),
        })
    }

    /// True where any part of it is unknown.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        self.any(&|v| v.is_unknown())
    }

    /// True where any part of it is sensitive.
    #[must_use]
    pub fn has_sensitive(&self) -> bool {
        self.any(&|v| v.sensitive)
    }

    /// True where any part of it is a seal whose content is not at hand.
    #[must_use]
    pub fn has_sealed(&self) -> bool {
        self.any(&|v| matches!(v.data, Data::Sealed(_)))
    }

    /// True where `test` holds for it or for any part of it.
    pub fn any(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        test(self)
            || match &self.data {
                Data::Sequence(_, elements) => elements.iter().any(|v| v.any(test)),
                Data::Mapping(_, entries) => entries.values().any(|v| v.any(test)),
                _ => false,
            }
    }

    /// What the first unknown part waits for, in order of the text.
    #[must_use]
    pub fn waits_for(&self) -> Vec<Address> {
        let mut out = std::collections::BTreeSet::new();
        self.each_leaf(&mut Path::default(), &mut |_, v| {
            if let Data::Unknown(Some(address)) = &v.data {
                out.insert(address.clone());
            }
        });
        out.into_iter().collect()
    }

    /// Calls `f` for each leaf (and each empty collection) with its path, in order.
    pub fn each_leaf(&self, path: &mut Path, f: &mut dyn FnMut(&Path, &Self)) {
        match &self.data {
            Data::Sequence(_, elements) if !elements.is_empty() => {
                for (n, element) in elements.iter().enumerate() {
                    path.0.push(Step::Index(n));
                    element.each_leaf(path, f);
                    path.0.pop();
                }
            }
            Data::Mapping(_, entries) if !entries.is_empty() => {
                for (k, entry) in entries.iter() {
                    path.0.push(Step::Key(k.clone()));
                    entry.each_leaf(path, f);
                    path.0.pop();
                }
            }
            _ => f(path, self),
        }
    }
}

impl From<Data> for Value {
    fn from(data: Data) -> Self {
        Self { data, sensitive: false }
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Data::Bool(b).into()
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Data::Number(n.into()).into()
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Self::string(s)
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Self::string(s)
    }
}

/// For tests and panics only: a sensitive value shows nothing of itself.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive {
            return f.write_str("(sensitive)");
        }
        match &self.data {
            Data::Null => f.write_str("null"),
            Data::Bool(b) => write!(f, "{b}"),
            Data::Number(n) => write!(f, "{n}"),
            Data::String(s) => write!(f, "{s:?}"),
            Data::Unknown(None) => f.write_str("(unknown)"),
            Data::Unknown(Some(a)) => write!(f, "(unknown until {a})"),
            Data::Sealed(_) => f.write_str("(sealed)"),
            Data::Sequence(_, elements) => f.debug_list().entries(elements.iter()).finish(),
            Data::Mapping(_, entries) => f.debug_map().entries(entries.iter()).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_what_is_sensitive() {
        let value = Value::object([("p", Value::string("hunter2").sensitive())]);
        assert!(!format!("{value:?}").contains("hunter2"));
    }
}
