//! Values and plain JSON, which knows no marks.

use super::{Data, Value};
use crate::base::Number;

impl Value {
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

/// A number as JSON has it; as text where JSON cannot hold it.
pub(super) fn number_to_json(n: &Number) -> serde_json::Value {
    if let Some(whole) = n.as_i64() {
        return whole.into();
    }
    serde_json::from_str::<serde_json::Number>(&n.to_string())
        .map_or_else(|_| serde_json::Value::String(n.to_string()), serde_json::Value::Number)
}
