//! What was applied last, as far as state keeps it: enough to know a secret again that is live and is no longer declared as one.
//!
//! State keeps a seal in the place of a secret. What is live at such a place, or bears such a seal at any other, was given as
//! a secret, and stays one for as long as it is shown beside what takes its place.

use crate::{
    base::{Data, Hidden, Value},
    kinds::objects::marked_like,
};
use serde_json::Value as Json;
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

/// Seals a secret as state does.
pub type Sealing = Arc<dyn Fn(&Json) -> Arc<str> + Send + Sync>;

/// The inputs that were applied last, sealed, and how they were sealed.
#[derive(Clone)]
pub struct Former {
    inputs: Value,
    seal: Sealing,
    seals: Arc<OnceLock<BTreeSet<Arc<str>>>>,
}

impl Former {
    /// Of these inputs, as state keeps them.
    #[must_use]
    pub fn new(inputs: Value, seal: Sealing) -> Self {
        Self { inputs, seal, seals: Arc::default() }
    }

    /// The same sealing, of other inputs.
    #[must_use]
    pub fn with(&self, inputs: Value) -> Self {
        Self::new(inputs, self.seal.clone())
    }

    /// Whether anything was applied.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.inputs.is_null()
    }

    /// The seals of all secrets that were applied last.
    fn seals(&self) -> &BTreeSet<Arc<str>> {
        self.seals.get_or_init(|| {
            let mut found = BTreeSet::new();
            collect(&self.inputs, &mut found);
            found
        })
    }

    /// What is live, in the shape of the inputs, with everything marked as sensitive that was a secret when it was applied.
    #[must_use]
    pub fn marked(&self, live: &Value) -> Value {
        if self.seals().is_empty() { live.clone() } else { self.by_seal(&marked_like(live, &self.inputs)) }
    }

    fn by_seal(&self, value: &Value) -> Value {
        if value.is_sensitive() || matches!(value.data(), Data::Null | Data::Bool(_)) {
            return value.clone();
        }
        if value.to_json().is_some_and(|json| self.seals().contains(&(self.seal)(&json))) {
            return value.clone().sensitive();
        }
        match value.data() {
            Data::Sequence(kind, items) => {
                Value::from(Data::Sequence(*kind, Arc::new(items.iter().map(|v| self.by_seal(v)).collect())))
            }
            Data::Mapping(kind, entries) => {
                let entries = entries.iter().map(|(k, v)| (k.clone(), self.by_seal(v))).collect();
                Value::from(Data::Mapping(*kind, Arc::new(entries)))
            }
            _ => value.clone(),
        }
    }

    /// What is not shown: the secrets that are wanted, and those that were and are live.
    #[must_use]
    pub fn hidden(&self, desired: Option<&Value>, live: Option<&Value>) -> Hidden {
        let live = live.map(|live| self.marked(live));
        Hidden::of(desired.into_iter().chain(live.as_ref()))
    }

    /// Whether a secret was applied last that is neither among what is wanted nor in `known`: what it was, nobody knows here.
    #[must_use]
    pub fn forgets(&self, desired: &Value, known: &Value) -> bool {
        let mut found = BTreeSet::new();
        for value in [desired, known] {
            collect(&value.sealed(&*self.seal), &mut found);
        }
        self.lacks(&self.inputs, Some(desired), &found)
    }

    fn lacks(&self, former: &Value, desired: Option<&Value>, found: &BTreeSet<Arc<str>>) -> bool {
        match former.data() {
            Data::Sealed(seal) => {
                // What was sealed as a whole may be wanted part by part.
                let still = || desired.and_then(Value::to_json).is_some_and(|json| (self.seal)(&json) == *seal);
                !found.contains(seal) && !still()
            }
            Data::Sequence(_, items) => {
                let wanted = desired.and_then(Value::as_seq);
                items.iter().enumerate().any(|(at, item)| self.lacks(item, wanted.and_then(|w| w.get(at)), found))
            }
            Data::Mapping(_, entries) => {
                entries.iter().any(|(key, entry)| self.lacks(entry, desired.and_then(|d| d.get(key)), found))
            }
            _ => false,
        }
    }
}

fn collect(value: &Value, found: &mut BTreeSet<Arc<str>>) {
    match value.data() {
        Data::Sealed(seal) => drop(found.insert(seal.clone())),
        Data::Sequence(_, items) => items.iter().for_each(|item| collect(item, found)),
        Data::Mapping(_, entries) => entries.values().for_each(|entry| collect(entry, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::seal;
    use serde_json::json;

    fn former(inputs: &Value) -> Former {
        Former::new(inputs.sealed(&seal), Arc::new(seal))
    }

    fn applied() -> Value {
        let values = Value::object([
            ("password", Value::string("hunter2").sensitive()),
            ("list", Value::from_json(&json!(["one-secret", "two"])).sensitive()),
            ("port", Value::from(8080)),
        ]);
        Value::object([("values", values)])
    }

    #[test]
    fn what_was_a_secret_is_one_where_it_was_and_wherever_else_it_is_live() {
        let former = former(&applied());
        let live = Value::from_json(&json!({
            "values": { "password": "by hand", "list": ["x-by-hand"], "port": 8080, "moved": { "to": "hunter2" } }
        }));
        let hidden = former.hidden(None, Some(&live));
        for secret in ["by hand", "x-by-hand", "hunter2", "aHVudGVyMg=="] {
            assert!(hidden.is_in(&format!("- {secret}")), "{secret}");
        }
        assert!(!hidden.is_in("8080"));
    }

    #[test]
    fn where_nothing_was_secret_nothing_is_hidden() {
        let plain = Value::from_json(&json!({ "values": { "a": "hunter2" } }));
        assert_eq!(former(&plain).marked(&plain), plain);
        assert!(!former(&plain).forgets(&Value::NULL, &Value::NULL));
    }

    #[test]
    fn a_secret_that_is_found_nowhere_is_forgotten() {
        let former = former(&applied());
        assert!(former.forgets(&Value::NULL, &Value::NULL));
        assert!(!former.forgets(&applied(), &Value::NULL));
        let live = Value::from_json(&json!({ "attributes": ["hunter2", ["one-secret", "two"]] }));
        assert!(!former.forgets(&Value::NULL, &former.marked(&live)));
    }
}
