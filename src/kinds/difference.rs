//! The difference between values: what is wanted, what is live and what was applied last, leaf by leaf.
//!
//! Every kind's diff is made of this. It knows the marks: an unknown wanted leaf differs from anything, a sensitive one
//! is compared by its seal and shown as one. A live leaf that is unknown is one that the world does not tell (a `NoEcho`
//! parameter); there, what was applied last stands in for it.

use crate::{
    base::{Data, Path, Step, Value},
    kinds::{Cause, Difference, FieldChange},
};
use serde_json::Value as Json;
use std::{collections::BTreeSet, sync::Arc};

/// How values are compared.
#[derive(Clone, Copy)]
pub struct Comparison<'a> {
    /// Seals a sensitive leaf.
    pub seal: &'a dyn Fn(&Json) -> Arc<str>,
    /// Paths that are left as they are; `*` and `all` are everything.
    pub ignore: &'a [String],
}

impl<'a> From<&Difference<'a>> for Comparison<'a> {
    fn from(difference: &Difference<'a>) -> Self {
        Self { seal: difference.seal, ignore: difference.ignore }
    }
}

/// The three sides of one comparison; an absent side has no such value.
#[derive(Clone, Copy, Default)]
pub struct Sides<'a> {
    /// What is wanted.
    pub desired: Option<&'a Value>,
    /// What is live.
    pub live: Option<&'a Value>,
    /// What was applied last.
    pub prior: Option<&'a Value>,
}

impl Comparison<'_> {
    /// The fields that differ, in order of path, beginning at `root`.
    ///
    /// A field that is live but neither wanted nor applied before is somebody else's and is passed over. The cause is
    /// drift where what is wanted is what was applied last (rule 8).
    #[must_use]
    pub fn fields(&self, root: &Path, sides: Sides<'_>) -> Vec<FieldChange> {
        let ignored: Vec<Option<Path>> = self.ignore.iter().map(|text| parse_path(text)).collect();
        let mut out = Vec::new();
        if !self.ignores_all() {
            self.walk(&mut root.clone(), sides, &ignored.into_iter().flatten().collect::<Vec<_>>(), &mut out);
        }
        out
    }

    /// True where everything is left as it is.
    #[must_use]
    pub fn ignores_all(&self) -> bool {
        self.ignore.iter().any(|text| text == "*" || text == "all")
    }

    /// True where `path` lies at or below one that is left as it is.
    #[must_use]
    pub fn ignores(&self, path: &Path) -> bool {
        self.ignores_all() || self.ignore.iter().filter_map(|text| parse_path(text)).any(|p| covers(&p, path))
    }

    /// True where both are known to be the same, marks aside.
    #[must_use]
    pub fn same(&self, a: &Value, b: &Value) -> bool {
        match (a.data(), b.data()) {
            (Data::Unknown(_), _) | (_, Data::Unknown(_)) => false,
            (Data::Sealed(x), Data::Sealed(y)) => x == y,
            (Data::Sealed(seal), _) => self.bears(b, seal),
            (_, Data::Sealed(seal)) => self.bears(a, seal),
            (Data::Sequence(_, x), Data::Sequence(_, y)) => {
                x.len() == y.len() && x.iter().zip(y.iter()).all(|(a, b)| self.same(a, b))
            }
            (Data::Mapping(_, x), Data::Mapping(_, y)) => {
                x.len() == y.len() && x.iter().zip(y.iter()).all(|((j, a), (k, b))| j == k && self.same(a, b))
            }
            (x, y) => x == y,
        }
    }

    fn bears(&self, value: &Value, seal: &Arc<str>) -> bool {
        value.to_json().is_some_and(|json| (self.seal)(&json) == *seal)
    }

    fn walk(&self, path: &mut Path, sides: Sides<'_>, ignored: &[Path], out: &mut Vec<FieldChange>) {
        if ignored.iter().any(|p| covers(p, path)) {
            return;
        }
        let Sides { desired, live, prior } = sides;
        if desired.is_none() && prior.is_none() {
            return;
        }
        // What the world does not tell is what we left there.
        let seen = if live.is_some_and(Value::is_unknown) { prior } else { live };
        // What was applied as one secret stays one: its parts are not told apart.
        let whole = prior.is_some_and(Value::is_sensitive);
        if let Some(steps) = common_steps(desired, seen).filter(|_| !whole) {
            for step in steps {
                let of = |side: Option<&'_ Value>| side.and_then(|v| child(v, &step).cloned());
                let (d, l, p) = (of(desired), of(seen), of(prior));
                path.0.push(step);
                self.walk(path, Sides { desired: d.as_ref(), live: l.as_ref(), prior: p.as_ref() }, ignored, out);
                path.0.pop();
            }
            return;
        }
        let equal = match (desired, seen) {
            (None, None) => true,
            (Some(d), Some(s)) => self.same(d, s),
            _ => false,
        };
        if equal {
            return;
        }
        let cause = match (desired, prior) {
            (Some(d), Some(p)) if self.same(d, p) => Cause::Drift,
            _ => Cause::Declared,
        };
        // What one side calls a secret is one on the other, where the world tells it in clear.
        let secret = [desired, seen, prior].into_iter().flatten().any(Value::has_sensitive);
        let shown = |v: &Value| v.clone().with_mark(secret).sealed(self.seal);
        out.push(FieldChange {
            path: path.to_string(),
            before: seen.map(shown),
            after: desired.map(shown),
            cause,
            forces_replacement: false,
            because: None,
            owner: None,
        });
    }
}

/// The steps into two values that are both of one shape, or of which one is absent; `None` where they must be compared
/// as wholes.
fn common_steps(a: Option<&Value>, b: Option<&Value>) -> Option<Vec<Step>> {
    // A value that is sensitive as a whole is one leaf: its keys are part of the secret.
    if [a, b].into_iter().flatten().any(Value::is_sensitive) {
        return None;
    }
    let steps = match (a.map(Value::data), b.map(Value::data)) {
        (Some(Data::Mapping(_, x)), Some(Data::Mapping(_, y))) => {
            let keys: BTreeSet<&Arc<str>> = x.keys().chain(y.keys()).collect();
            keys.into_iter().map(|k| Step::Key(k.clone())).collect()
        }
        (Some(Data::Mapping(_, x)), None) | (None, Some(Data::Mapping(_, x))) if !x.is_empty() => {
            x.keys().map(|k| Step::Key(k.clone())).collect()
        }
        (Some(Data::Sequence(_, x)), Some(Data::Sequence(_, y))) => {
            (0..x.len().max(y.len())).map(Step::Index).collect()
        }
        (Some(Data::Sequence(_, x)), None) | (None, Some(Data::Sequence(_, x))) if !x.is_empty() => {
            (0..x.len()).map(Step::Index).collect()
        }
        _ => return None,
    };
    Some(steps)
}

fn child<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Key(key) => value.get(key),
        Step::Index(n) => value.as_seq()?.get(*n),
    }
}

/// True where `inner` is `outer` or lies below it.
fn covers(outer: &Path, inner: &Path) -> bool {
    inner.0.len() >= outer.0.len() && inner.0[..outer.0.len()] == outer.0[..]
}

/// Reads a path as `ignore_changes` writes it: `values.pilot["cpu limit"][0]`. `None` where it is none.
#[must_use]
pub fn parse_path(text: &str) -> Option<Path> {
    let mut path = Path::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[\"") {
            let end = after.find("\"]")?;
            path = path.key(&after[..end].replace("\\\"", "\"").replace("\\\\", "\\"));
            rest = &after[end + 2..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = after.find(']')?;
            path = path.index(after[..end].trim().parse().ok()?);
            rest = &after[end + 1..];
        } else {
            let word = rest.strip_prefix('.').unwrap_or(rest);
            let end = word.find(['.', '[']).unwrap_or(word.len());
            if end == 0 {
                return None;
            }
            path = path.key(&word[..end]);
            rest = &word[end..];
        }
    }
    Some(path)
}

/// The wanted value with every path in `ignore` as it is in `live` (absent there: absent here). What an update must send so
/// that it leaves alone what `ignore_changes` names.
#[must_use]
pub fn keep_ignored(desired: &Value, live: &Value, ignore: &[String]) -> Value {
    if ignore.iter().any(|text| text == "*" || text == "all") {
        return live.clone();
    }
    ignore.iter().filter_map(|text| parse_path(text)).fold(desired.clone(), |value, path| match live.at(&path) {
        // Not told: there is nothing to put in its place.
        Some(found) if found.has_unknown() || found.has_sealed() => value,
        found => replaced(&value, &path.0, found),
    })
}

/// The value with another one at a path; without it where there is none.
#[must_use]
pub fn put_at(value: &Value, path: &Path, with: Option<&Value>) -> Value {
    replaced(value, &path.0, with)
}

fn replaced(value: &Value, path: &[Step], with: Option<&Value>) -> Value {
    let Some((step, rest)) = path.split_first() else {
        return with.cloned().unwrap_or_else(|| value.clone());
    };
    let mark = value.is_sensitive();
    match (value.data(), step) {
        (Data::Mapping(kind, entries), Step::Key(key)) => {
            let mut entries = (**entries).clone();
            match (entries.get(key), with, rest.is_empty()) {
                (_, None, true) => drop(entries.remove(key)),
                (_, Some(with), true) => drop(entries.insert(key.clone(), with.clone())),
                (Some(inner), ..) => {
                    let inner = replaced(inner, rest, with);
                    entries.insert(key.clone(), inner);
                }
                (None, ..) => {}
            }
            Value::from(Data::Mapping(*kind, Arc::new(entries))).with_mark(mark)
        }
        (Data::Sequence(kind, elements), Step::Index(n)) if *n < elements.len() => {
            let mut elements = (**elements).clone();
            elements[*n] = replaced(&elements[*n], rest, with);
            Value::from(Data::Sequence(*kind, Arc::new(elements))).with_mark(mark)
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{any_value, seal};
    use proptest::prelude::*;

    fn compare(ignore: &[String], sides: Sides<'_>) -> Vec<FieldChange> {
        Comparison { seal: &seal, ignore }.fields(&Path::default(), sides)
    }

    fn json(json: &serde_json::Value) -> Value {
        Value::from_json(json)
    }

    #[test]
    fn a_field_that_we_set_and_somebody_changed_is_drift_and_a_foreign_one_is_nothing() {
        let desired = json(&serde_json::json!({"a": 1, "b": {"c": "x"}}));
        let live = json(&serde_json::json!({"a": 2, "b": {"c": "x", "theirs": true}}));
        let changes = compare(&[], Sides { desired: Some(&desired), live: Some(&live), prior: Some(&desired) });
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].path.as_str(), changes[0].cause), ("a", Cause::Drift));
    }

    #[test]
    fn a_field_that_we_no_longer_want_is_a_declared_removal() {
        let prior = json(&serde_json::json!({"a": 1, "b": 2}));
        let desired = json(&serde_json::json!({"a": 1}));
        let changes = compare(&[], Sides { desired: Some(&desired), live: Some(&prior), prior: Some(&prior) });
        assert_eq!((changes[0].path.as_str(), changes[0].cause), ("b", Cause::Declared));
        assert!(changes[0].after.is_none());
    }

    #[test]
    fn what_the_world_does_not_tell_is_compared_with_what_was_applied() {
        let wanted = Value::object([("password", Value::string("new").sensitive())]);
        let applied = Value::object([("password", Value::string("old").sensitive())]).sealed(&seal);
        let live = Value::object([("password", Value::UNKNOWN.sensitive())]);
        let changes = compare(&[], Sides { desired: Some(&wanted), live: Some(&live), prior: Some(&applied) });
        assert_eq!(changes.len(), 1);
        assert!(serde_json::to_string(&changes).is_ok_and(|text| !text.contains("new") && !text.contains("old")));
        let same = wanted.sealed(&seal);
        assert!(compare(&[], Sides { desired: Some(&wanted), live: Some(&live), prior: Some(&same) }).is_empty());
    }

    #[test]
    fn ignored_paths_are_read_as_they_are_written() {
        let path = parse_path("values.pilot[\"cpu limit\"][0].c").unwrap();
        assert_eq!(path.to_string(), "values.pilot[\"cpu limit\"][0].c");
        assert_eq!(parse_path("a..b"), None);
        assert_eq!(parse_path("a[x]"), None);
    }

    #[test]
    fn what_is_ignored_is_sent_as_it_is_live() {
        let desired = json(&serde_json::json!({"p": {"Nodes": "3", "Type": "m5"}}));
        let live = json(&serde_json::json!({"p": {"Nodes": "7", "Type": "t3"}}));
        let kept = keep_ignored(&desired, &live, &["p.Nodes".to_owned()]);
        assert_eq!(kept, json(&serde_json::json!({"p": {"Nodes": "7", "Type": "m5"}})));
        assert_eq!(keep_ignored(&desired, &live, &["*".to_owned()]), live);
    }

    proptest! {
        #[test]
        fn a_known_value_never_differs_from_itself_sealed_or_not(value in any_value(false)) {
            let sealed = value.sealed(&seal);
            for (live, prior) in [(&value, &sealed), (&sealed, &sealed), (&value, &value)] {
                let changes = compare(&[], Sides { desired: Some(&value), live: Some(live), prior: Some(prior) });
                prop_assert!(changes.is_empty(), "{:?}", changes);
            }
        }

        #[test]
        fn differences_are_storable_whatever_the_marks(a in any_value(true), b in any_value(true), c in any_value(true)) {
            let changes = compare(&[], Sides { desired: Some(&a), live: Some(&b), prior: Some(&c) });
            prop_assert!(serde_json::to_string(&changes).is_ok());
        }

        #[test]
        fn an_unknown_leaf_differs_and_what_is_ignored_does_not(a in any_value(true), b in any_value(true)) {
            let (a, b) = (Value::object([("k", a)]), Value::object([("k", b)]));
            let sides = Sides { desired: Some(&a), live: Some(&b), prior: Some(&b) };
            prop_assert!(!a.has_unknown() || !compare(&[], sides).is_empty());
            prop_assert!(compare(&["k".to_owned()], sides).is_empty());
            prop_assert!(compare(&["*".to_owned()], sides).is_empty());
        }

        #[test]
        fn keeping_what_is_ignored_never_panics(a in any_value(true), b in any_value(true), path in "[a-c.\\[\\]0-2\"]{0,8}") {
            let _ = keep_ignored(&a, &b, &[path]);
        }
    }
}
