//! An approved plan is an envelope: apply may do less, never more. Pure.

use crate::{
    base::{ActionWord, Data, Digest, Value},
    kinds::{ChildChange, Desired, Preview},
    plan::Planned,
    state::SealKey,
};
use std::collections::BTreeMap;

/// What was found at apply, to be held against what was approved.
pub struct Found<'a> {
    /// The change as it is now.
    pub action: ActionWord,
    /// The parts that change, as computed.
    pub children: &'a [ChildChange],
    /// What is wanted now, every leaf known.
    pub desired: &'a Desired,
    /// What a look ahead told now.
    pub preview: Option<&'a Preview>,
    /// How secrets are sealed.
    pub seal: &'a SealKey,
    /// The digest of the declaration.
    pub declaration: &'a Digest,
}

/// Why what was found goes beyond what was approved; `None` where it does not (rule 12).
#[must_use]
pub fn beyond(planned: &Planned, found: &Found<'_>) -> Option<String> {
    if let Some(deferral) = &planned.deferral {
        if deferral.declaration != *found.declaration {
            return Some("its declaration is another one than the approved plan's".to_owned());
        }
        let allowed = found.action == ActionWord::NoOp || deferral.ceiling.contains(&found.action);
        return (!allowed).then(|| {
            let most: Vec<&str> = deferral.ceiling.iter().map(|a| a.word()).collect();
            format!(
                "it needs {}, and the approved plan allows at most {}",
                with_article(found.action),
                most.join(" or ")
            )
        });
    }
    if !within(planned.action, found.action) {
        return Some(format!(
            "it needs {}, and the approved plan says {}",
            with_article(found.action),
            planned.action.word()
        ));
    }
    if matches!(found.action, ActionWord::NoOp | ActionWord::Import | ActionWord::Verify) {
        return None;
    }
    if let Some(path) = filled_otherwise(&planned.inputs, &found.seal.seal_value(&found.desired.inputs)) {
        return Some(format!("`{path}` is not what the approved plan shows"));
    }
    for (name, text) in &found.desired.documents {
        let now = Digest::of(text.as_bytes());
        if planned.documents.get(name).is_some_and(|then| *then != now) {
            return Some(format!("the content of {name} is not what the approved plan was made from"));
        }
    }
    facts_moved(planned, found.preview).or_else(|| children_beyond(&planned.children, found.children))
}

fn with_article(action: ActionWord) -> String {
    match action {
        ActionWord::Update | ActionWord::Import => format!("an {}", action.word()),
        ActionWord::Delete => "destroying".to_owned(),
        other => format!("a {}", other.word()),
    }
}

/// Whether doing `now` is no more than `approved`.
fn within(approved: ActionWord, now: ActionWord) -> bool {
    use ActionWord::{Create, Delete, Forget, Import, NoOp, Replace, Update, Verify};
    match now {
        NoOp | Verify => true,
        Create => matches!(approved, Create | Replace),
        Update => matches!(approved, Update | Replace),
        Replace => approved == Replace,
        Delete => approved == Delete,
        Forget => matches!(approved, Forget | Delete),
        Import => matches!(approved, Import | Update),
        other => approved == other,
    }
}

/// The first known leaf that is another one now. Unknown leaves may be filled with anything.
fn filled_otherwise(approved: &Value, now: &Value) -> Option<String> {
    fn compare(approved: &Value, now: &Value, path: &mut crate::base::Path) -> Option<String> {
        use crate::base::Step;
        match (approved.data(), now.data()) {
            (Data::Unknown(_), _) => None,
            (Data::Mapping(_, a), Data::Mapping(_, b)) => {
                if let Some(key) = b.keys().find(|k| !a.contains_key(*k) && !b[*k].is_null()) {
                    return Some(path.key(key).to_string());
                }
                a.iter().find_map(|(key, value)| {
                    path.0.push(Step::Key(key.clone()));
                    let found = match b.get(key) {
                        Some(other) => compare(value, other, path),
                        None => (!value.is_null() && !value.is_unknown()).then(|| path.to_string()),
                    };
                    path.0.pop();
                    found
                })
            }
            (Data::Sequence(_, a), Data::Sequence(_, b)) if a.len() == b.len() => {
                a.iter().zip(b.iter()).enumerate().find_map(|(at, (x, y))| {
                    path.0.push(Step::Index(at));
                    let found = compare(x, y, path);
                    path.0.pop();
                    found
                })
            }
            (a, b) => (a != b).then(|| path.to_string()),
        }
    }
    compare(approved, now, &mut crate::base::Path::default())
}

/// A fact that was approved and is another one now: a chart's digest.
fn facts_moved(planned: &Planned, preview: Option<&Preview>) -> Option<String> {
    let now = preview?;
    planned.facts.iter().find_map(|(name, then)| match now.facts.get(name) {
        Some(value) if value != then => {
            Some(format!("{name} was {then} when the plan was approved, and is {value} now"))
        }
        _ => None,
    })
}

/// A part that would be replaced or destroyed without that having been approved.
fn children_beyond(approved: &[ChildChange], now: &[ChildChange]) -> Option<String> {
    let known: BTreeMap<&str, &ChildChange> = approved.iter().map(|c| (c.name.as_str(), c)).collect();
    now.iter().find_map(|child| {
        // A replacement that is only possible, or of which nothing is said, is one for which there must be a yes.
        let replaces = child.action == ActionWord::Replace || child.maybe_replace;
        let destructive = replaces || child.action == ActionWord::Delete;
        let was = known.get(child.name.as_str());
        let same = was.is_some_and(|w| match w.action {
            ActionWord::Replace => child.action != ActionWord::Delete,
            ActionWord::Delete => child.action == ActionWord::Delete,
            _ => w.maybe_replace && child.action != ActionWord::Delete,
        });
        // A plan that could not look ahead (a parameter was not known) listed no parts: then only what destroys is beyond it.
        let word = match child.action {
            ActionWord::Delete => "destroyed",
            ActionWord::Replace => "replaced",
            _ => "perhaps replaced",
        };
        (destructive && !same).then(|| format!("{} would be {word}, which the approved plan does not show", child.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(action: ActionWord, maybe_replace: bool) -> ChildChange {
        ChildChange {
            name: "Volume".to_owned(),
            kind: "AWS::EC2::Volume".to_owned(),
            action,
            maybe_replace,
            policy: None,
            stateful: true,
            fields: Vec::new(),
        }
    }

    #[test]
    fn a_part_is_replaced_or_destroyed_only_where_the_approved_plan_says_so() {
        use ActionWord::{Create, Delete, Replace, Update};
        let (update, perhaps) = (part(Update, false), part(Update, true));
        for (approved, now, fine) in [
            (Some(&update), part(Update, false), true),
            (Some(&update), part(Update, true), false),
            (Some(&update), part(Replace, false), false),
            (Some(&perhaps), part(Update, true), true),
            (Some(&perhaps), part(Replace, false), true),
            (Some(&perhaps), part(Delete, false), false),
            (Some(&part(Replace, false)), part(Update, true), true),
            (Some(&part(Delete, false)), part(Delete, false), true),
            (Some(&part(Delete, false)), part(Replace, false), false),
            (None, part(Update, true), false),
            (None, part(Create, false), true),
            (None, part(Update, false), true),
        ] {
            let approved: Vec<ChildChange> = approved.into_iter().cloned().collect();
            let beyond = children_beyond(&approved, std::slice::from_ref(&now));
            assert_eq!(beyond.is_none(), fine, "{approved:?} / {now:?}: {beyond:?}");
        }
    }
}
