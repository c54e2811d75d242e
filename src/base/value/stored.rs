//! Values on disk: what is sensitive is sealed first, and marks are kept.

use super::{Data, Value, json::number_to_json};
use std::{collections::BTreeMap, sync::Arc};

impl Value {
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
    use crate::base::Address;

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
}
