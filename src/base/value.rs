//! Values of the language, with their two marks.
//!
//! A leaf may be unknown ("known after apply") and any value may be sensitive; both marks are kept per leaf, so that
//! one unknown attribute does not hide the rest. Cloning is cheap: everything big is behind an `Arc`.

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

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// An entry of a mapping.
    Key(Arc<str>),
    /// An element of a sequence.
    Index(usize),
}

/// A way from a value to one of its leaves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// This path and one more key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.into()));
        Self(steps)
    }

    /// This path and one more index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }
}

/// Written as an expression would: `values.pilot.resources["cpu limit"][0]`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(n) => write!(f, "[{n}]")?,
                Step::Key(k) => {
                    let plain = k.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
                        && k.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
                    match (plain, at) {
                        (true, 0) => f.write_str(k)?,
                        (true, _) => write!(f, ".{k}")?,
                        (false, _) => write!(f, "[{:?}]", &**k)?,
                    }
                }
            }
        }
        Ok(())
    }
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

    /// The same shape with every sensitive part replaced by what `seal` makes of its plain JSON. An unknown sensitive
    /// part stays unknown.
    #[must_use]
    pub fn sealed(&self, seal: &dyn Fn(&serde_json::Value) -> Arc<str>) -> Self {
        if self.sensitive && !matches!(self.data, Data::Sealed(_)) && !self.has_unknown() {
            return Self { data: Data::Sealed(seal(&self.to_json_lossy())), sensitive: true };
        }
        // A secret of which a part is unknown is sealed part by part.
        let inside = |v: &Self| v.clone().with_mark(self.sensitive).sealed(seal);
        let data = match &self.data {
            Data::Sequence(kind, elements) => Data::Sequence(*kind, Arc::new(elements.iter().map(inside).collect())),
            Data::Mapping(kind, entries) => {
                Data::Mapping(*kind, Arc::new(entries.iter().map(|(k, v)| (k.clone(), inside(v))).collect()))
            }
            other => other.clone(),
        };
        Self { data, sensitive: self.sensitive }
    }

    /// Plain JSON with the marks dropped: what a world call or `jsonencode` sees.
    ///
    /// Returns `None` where a part is unknown or sealed.
    #[must_use]
    pub fn to_json(&self) -> Option<serde_json::Value> {
        (!self.has_unknown() && !self.has_sealed()).then(|| self.to_json_lossy())
    }

    /// Plain JSON in which an unknown part is null and a sealed one its seal. For digests, never for the world.
    #[must_use]
    pub fn to_json_lossy(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.data {
            Data::Null | Data::Unknown(_) => Json::Null,
            Data::Bool(b) => Json::Bool(*b),
            Data::Number(n) => number_to_json(n),
            Data::String(s) | Data::Sealed(s) => Json::String(s.to_string()),
            Data::Sequence(_, elements) => Json::Array(elements.iter().map(Self::to_json_lossy).collect()),
            Data::Mapping(_, entries) => {
                Json::Object(entries.iter().map(|(k, v)| (k.to_string(), v.to_json_lossy())).collect())
            }
        }
    }

    /// A value from plain JSON: arrays become tuples, objects objects.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::NULL,
            Json::Bool(b) => Data::Bool(*b).into(),
            Json::Number(n) => n.to_string().parse::<Number>().map_or(Self::NULL, |n| Data::Number(n).into()),
            Json::String(s) => Self::string(s.as_str()),
            Json::Array(elements) => Self::tuple(elements.iter().map(Self::from_json).collect()),
            Json::Object(entries) => Self::object(entries.iter().map(|(k, v)| (k.as_str(), Self::from_json(v)))),
        }
    }
}

fn number_to_json(n: &Number) -> serde_json::Value {
    if let Some(whole) = n.as_i64() {
        return whole.into();
    }
    serde_json::from_str::<serde_json::Number>(&n.to_string())
        .map_or_else(|_| serde_json::Value::String(n.to_string()), serde_json::Value::Number)
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

/// The stored form: plain JSON, but an object whose only key starts with `$terrace:` stands for a mark.
/// `{"$terrace:unknown": ADDRESS|null}`, `{"$terrace:sealed": SEAL}`, `{"$terrace:sensitive": VALUE}` (only around an
/// unknown part), `{"$terrace:number": "0.33.."}` (more digits than a double has), `{"$terrace:object": {..}}` (an object that would be mistaken for one of these).
///
/// # Errors
/// A known sensitive part that was not sealed: nothing stored holds a secret in clear.
impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        match &self.data {
            Data::Sealed(seal) => tagged(serializer, "$terrace:sealed", seal),
            _ if self.sensitive && self.has_unknown() => {
                let inner = Self { data: self.data.clone(), sensitive: false };
                tagged(serializer, "$terrace:sensitive", &inner)
            }
            _ if self.sensitive => {
                Err(S::Error::custom("invariant: a sensitive value was not sealed before it was stored"))
            }
            Data::Unknown(origin) => tagged(serializer, "$terrace:unknown", origin),
            Data::Null => serializer.serialize_unit(),
            Data::Bool(b) => serializer.serialize_bool(*b),
            Data::Number(n) => {
                let json = number_to_json(n);
                if matches!(Self::from_json(&json).data, Data::Number(back) if back == *n) {
                    return json.serialize(serializer);
                }
                tagged(serializer, "$terrace:number", &n.to_string())
            }
            Data::String(s) => serializer.serialize_str(s),
            Data::Sequence(_, elements) => serializer.collect_seq(elements.iter()),
            Data::Mapping(_, entries) if entries.len() == 1 && entries.keys().all(|k| k.starts_with("$terrace:")) => {
                let inner: BTreeMap<&str, &Self> = entries.iter().map(|(k, v)| (&**k, v)).collect();
                tagged(serializer, "$terrace:object", &inner)
            }
            Data::Mapping(_, entries) => serializer.collect_map(entries.iter().map(|(k, v)| (&**k, v))),
        }
    }
}

/// An object whose only key is a tag.
fn tagged<S: serde::Serializer>(
    serializer: S,
    tag: &str,
    value: &(impl serde::Serialize + ?Sized),
) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap as _;
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, value)?;
    map.end()
}

/// Reads a value that may be absent: `null` is the value null and not absence. For `Option<Value>` fields that are left out
/// where they are `None`; without it serde would take a stored null for `None`.
///
/// # Errors
/// As reading a [`Value`].
pub fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(Some)
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(deserializer)?;
        from_stored(&json).map_err(serde::de::Error::custom)
    }
}

fn from_stored(json: &serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    let Json::Object(entries) = json else {
        return match json {
            Json::Array(elements) => Ok(Value::tuple(elements.iter().map(from_stored).collect::<Result<_, _>>()?)),
            plain => Ok(Value::from_json(plain)),
        };
    };
    let object = |entries: &serde_json::Map<String, Json>| -> Result<Value, String> {
        let parts: Vec<_> =
            entries.iter().map(|(k, v)| Ok((k.as_str(), from_stored(v)?))).collect::<Result<_, String>>()?;
        Ok(Value::object(parts))
    };
    let tag = (entries.len() == 1).then(|| entries.iter().next()).flatten();
    match tag {
        Some((tag, inner)) if tag.starts_with("$terrace:") => match (tag.as_str(), inner) {
            ("$terrace:unknown", Json::Null) => Ok(Value::UNKNOWN),
            ("$terrace:unknown", Json::String(a)) => Ok(Value::unknown_until(a.parse().map_err(|e| format!("{e}"))?)),
            ("$terrace:sealed", Json::String(seal)) => Ok(Value::from(Data::Sealed(seal.as_str().into())).sensitive()),
            ("$terrace:number", Json::String(n)) => {
                n.parse().map(|n| Data::Number(n).into()).map_err(|e| format!("{e}"))
            }
            ("$terrace:sensitive", inner) => Ok(from_stored(inner)?.sensitive()),
            ("$terrace:object", Json::Object(inner)) => object(inner),
            (tag, _) => Err(format!("unknown mark `{tag}`; the file was written by a newer terrace")),
        },
        _ => object(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_storage_and_secrets_do_not() {
        let secret = Value::string("hunter2").sensitive();
        assert!(serde_json::to_string(&secret).is_err());
        let value = Value::object([
            ("a", Value::unknown_until(Address::root("stack", "x"))),
            ("b", secret.sealed(&|_| "hmac:1".into())),
            ("c", Value::tuple(vec![Value::NULL, true.into(), 3.into()])),
            ("d", Value::object([("$terrace:unknown", Value::string("as written by a person"))])),
            ("e", Value::UNKNOWN.sensitive()),
            ("f", Data::Number("0.01".parse().unwrap()).into()),
            ("g", Data::Number("0.33333333333333333333333333333333".parse().unwrap()).into()),
        ]);
        let text = serde_json::to_string(&value).unwrap();
        assert!(!text.contains("hunter2"));
        assert!(text.contains("\"f\":0.01,"), "{text}");
        let back: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn what_is_known_of_a_half_known_secret_is_sealed_too() {
        let secret = Value::object([("a", Value::UNKNOWN), ("b", Value::string("hunter2"))]).sensitive();
        let text = serde_json::to_string(&secret.sealed(&|_| "hmac:1".into())).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_null_that_is_there_is_told_from_one_that_is_not() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Pair {
            #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "present")]
            a: Option<Value>,
            #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "present")]
            b: Option<Value>,
        }
        let pair = Pair { a: Some(Value::NULL), b: None };
        let text = serde_json::to_string(&pair).unwrap();
        assert_eq!(text, r#"{"a":null}"#);
        assert_eq!(serde_json::from_str::<Pair>(&text).unwrap(), pair);
    }

    #[test]
    fn a_path_reads_like_an_expression() {
        let path = Path::default().key("values").key("a b").index(2).key("c");
        assert_eq!(path.to_string(), "values[\"a b\"][2].c");
    }

    #[test]
    fn debug_output_hides_what_is_sensitive() {
        let value = Value::object([("p", Value::string("hunter2").sensitive())]);
        assert!(!format!("{value:?}").contains("hunter2"));
    }
}
