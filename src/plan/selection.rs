//! What a decision about drift is about: a thing, a part of it, or one field. One notation for all kinds, as `drift` prints it:
//! `ADDR`, `ADDR:PART`, `ADDR:PART:PATH`, and `ADDR:PATH` for a field of the thing itself. Pure.

use crate::{
    base::{ActionWord, Address, Path},
    kinds::{Cause, ChildChange, FieldChange, FieldName, REVERT_FIELDS, Undo, parse_path},
    lang::suggest,
    plan::Planned,
};
use std::{fmt, str::FromStr, sync::Arc};

/// What is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The thing; without its key all instances of a declaration.
    pub address: Address,
    /// The part or field in it, as written; the whole thing where `None`.
    pub inside: Option<Arc<str>>,
}

impl From<Address> for Selection {
    fn from(address: Address) -> Self {
        Self { address, inside: None }
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = outside_quotes(text);
        let (address, inside) = at.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
        if inside.is_some_and(str::is_empty) {
            return Err(format!("{text}: a part or a field is missing after the colon"));
        }
        Ok(Self { address: address.parse().map_err(|e| format!("{e}"))?, inside: inside.map(Arc::from) })
    }
}

/// The first colon that is in no key.
fn outside_quotes(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().find_map(|(at, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ':' if !quoted => return Some(at),
            _ => {}
        }
        None
    })
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inside {
            Some(inside) => write!(f, "{}:{inside}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl Selection {
    /// The selection of just this, as it is written.
    #[must_use]
    pub fn of(address: &Address, part: Option<&str>, path: Option<&str>) -> Self {
        let part = part.map(spelled);
        let inside: Vec<&str> = part.as_deref().into_iter().chain(path).collect();
        Self { address: address.clone(), inside: (!inside.is_empty()).then(|| inside.join(":").into()) }
    }

    /// Whether it is about something of this address.
    #[must_use]
    pub fn is_for(&self, address: &Address) -> bool {
        use crate::lang::Declaration;
        self.address == *address
            || (self.address.key().is_none() && Declaration::from(&self.address) == Declaration::from(address))
    }

    /// Whether it means this field, or all that is around it.
    #[must_use]
    pub fn has_field(&self, part: Option<&str>, path: &str) -> bool {
        let Some(inside) = self.inside.as_deref() else { return true };
        match part {
            None => covers(inside, path),
            Some(part) => after(inside, part).is_some_and(|rest| rest.is_empty() || covers(rest, path)),
        }
    }

    /// Whether it means a part as a whole.
    #[must_use]
    pub fn has_part(&self, part: &str) -> bool {
        self.inside.as_deref().is_none_or(|inside| after(inside, part) == Some(""))
    }
}

/// A part in one word, so that no shell needs it quoted for its blank: `Deployment/shop/web`.
fn spelled(part: &str) -> String {
    part.replacen(' ', "/", 1)
}

/// What a text says after the name of a part: nothing where it means all of it; `None` for another part.
fn after<'t>(text: &'t str, part: &str) -> Option<&'t str> {
    [part.to_owned(), spelled(part)].iter().find_map(|name| {
        let rest = text.strip_prefix(name.as_str())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':').filter(|path| !path.is_empty()) }
    })
}

/// Whether a path is another one, or lies below it.
fn covers(outer: &str, inner: &str) -> bool {
    match (parse_path(outer), parse_path(inner)) {
        (Some(outer), Some(inner)) => inner.0.starts_with(&outer.0) && outer != Path::default(),
        _ => outer == inner,
    }
}

/// What was not found: what was probably meant, else what there is.
#[must_use]
pub fn hint(wrong: &Selection, there: &[Selection]) -> Option<String> {
    let names: Vec<String> = there.iter().map(ToString::to_string).collect();
    let near = suggest::nearest(&wrong.to_string(), names.iter().map(String::as_str)).map(str::to_owned);
    // A part or a field that is right says what is meant, whatever is wrong about the rest.
    let inside = wrong.inside.as_deref().unwrap_or_default();
    let last = inside.rsplit(':').next().filter(|last| !last.is_empty());
    let ends: Vec<&String> =
        names.iter().filter(|name| last.is_some_and(|last| name.ends_with(&format!(":{last}")))).collect();
    match (near, ends.as_slice(), names.as_slice()) {
        (Some(near), ..) => Some(format!("did you mean `{near}`?")),
        (None, [only], _) => Some(format!("did you mean `{only}`?")),
        (None, _, []) => None,
        (None, _, some) if some.len() <= 8 => Some(format!("what drifted: {}", some.join(", "))),
        _ => Some("terrace drift shows what drifted".to_owned()),
    }
}

/// The drift of these fields and parts, each as it would be selected.
#[must_use]
pub fn all(address: &Address, fields: &[FieldChange], children: &[ChildChange]) -> Vec<Selection> {
    let own = fields.iter().map(|field| Selection::of(address, None, Some(&field.path)));
    let inside = children.iter().flat_map(|child| {
        let whole = child.fields.is_empty() || child.action != ActionWord::Update;
        let whole = whole.then(|| Selection::of(address, Some(&child.name), None));
        let fields = child.fields.iter().filter(|_| child.action == ActionWord::Update);
        whole.into_iter().chain(fields.map(|field| Selection::of(address, Some(&child.name), Some(&field.path))))
    });
    own.chain(inside).collect()
}

/// What an update would put back of what drifted: each part and field, and whether it is one that `keep` means.
fn kept(children: &[ChildChange], keep: &dyn Fn(&str, Option<&str>) -> bool) -> Vec<ChildChange> {
    let drifted = |field: &FieldChange| field.cause == Cause::Drift;
    children
        .iter()
        .filter_map(|child| match child.action {
            // Somebody deleted it.
            ActionWord::Create if child.fields.iter().all(drifted) => keep(&child.name, None).then(|| child.clone()),
            ActionWord::Update => {
                let fields: Vec<FieldChange> = child.fields.iter().filter(|f| drifted(f)).cloned().collect();
                let fields: Vec<FieldChange> =
                    fields.into_iter().filter(|field| keep(&child.name, Some(&field.path))).collect();
                (!fields.is_empty()).then(|| ChildChange { fields, ..child.clone() })
            }
            _ => None,
        })
        .collect()
}

/// The names of what these parts hold.
#[must_use]
pub fn names(children: &[ChildChange]) -> Vec<FieldName> {
    let name = |child: &ChildChange, path: Option<&str>| FieldName {
        part: Some(child.name.as_str().into()),
        path: path.map(Arc::from),
    };
    children
        .iter()
        .flat_map(|child| match child.action {
            ActionWord::Update => child.fields.iter().map(|field| name(child, Some(&field.path))).collect(),
            _ => vec![name(child, None)],
        })
        .collect()
}

/// A node that puts back those of its drifted parts and fields that are meant, and does nothing else; `None` where none is.
#[must_use]
pub fn narrowed(planned: &Planned, keep: &dyn Fn(&str, Option<&str>) -> bool) -> Option<Planned> {
    if planned.action != ActionWord::Update {
        return None;
    }
    let children = kept(&planned.children, keep);
    let facts = serde_json::to_value(names(&children)).ok().filter(|_| !children.is_empty())?;
    let mut narrowed = Planned { children, fields: Vec::new(), stateful: false, ..planned.clone() };
    narrowed.facts.insert(REVERT_FIELDS.to_owned(), facts);
    narrowed.undo = Undo::None("what somebody changed by hand is not brought back".to_owned());
    narrowed.reasons = forced(&narrowed.children);
    Some(narrowed)
}

/// The fields that a node puts back alone; `None` where it is no such node.
#[must_use]
pub fn by_field(planned: &Planned) -> Option<Vec<FieldName>> {
    serde_json::from_value(planned.facts.get(REVERT_FIELDS)?.clone()).ok()
}

/// Whether a list of names has this one.
#[must_use]
pub fn has(names: &[FieldName], part: &str, path: Option<&str>) -> bool {
    names.iter().any(|name| name.part.as_deref() == Some(part) && name.path.as_deref() == path)
}

/// Whom a field is taken from.
fn forced(children: &[ChildChange]) -> Vec<String> {
    let fields = children.iter().flat_map(|child| &child.fields);
    let taken = fields.filter_map(|field| {
        let owner = field.owner.as_ref().filter(|owner| !owner.ours)?;
        Some(format!("{} is taken back from {} by force", field.path, owner.manager))
    });
    taken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(text: &str) -> Selection {
        text.parse().unwrap()
    }

    #[test]
    fn a_thing_a_part_and_a_field_are_told_apart_in_one_notation() {
        for text in
            ["manifest.web", "manifest.web[\"a:b\"]", "stack.a:Queue", "manifest.web:Deployment/shop/web:spec.replicas"]
        {
            assert_eq!(selection(text).to_string(), text);
        }
        assert_eq!(selection("manifest.web[\"a:b\"]:x").address.key().map(|key| &**key), Some("a:b"));
        assert!("manifest.web:".parse::<Selection>().is_err() && ":x".parse::<Selection>().is_err());
    }

    #[test]
    fn a_selection_means_what_lies_at_it_and_below() {
        let field = |text: &str, part: Option<&str>, path: &str| selection(text).has_field(part, path);
        let part = Some("Deployment shop/web");
        for text in [
            "manifest.web",
            "manifest.web:Deployment/shop/web",
            "manifest.web:Deployment shop/web",
            "manifest.web:Deployment/shop/web:spec",
            "manifest.web:Deployment/shop/web:spec.replicas",
        ] {
            assert!(field(text, part, "spec.replicas"), "{text}");
        }
        for text in [
            "manifest.web:Deployment/shop/web2",
            "manifest.web:Deployment/shop/web:spec.rep",
            "manifest.web:spec.replicas",
            "manifest.web:Deployment/shop/web:spec.replicas.x",
        ] {
            assert!(!field(text, part, "spec.replicas"), "{text}");
        }
        assert!(field("stack.a:parameters.Days", None, "parameters.Days"));
        assert!(field("m.a:ClusterRole/system:x:rules[0]", Some("ClusterRole system:x"), "rules[0].verbs"));
        assert!(selection("stack.a:Queue").has_part("Queue") && !selection("stack.a:Queue:X").has_part("Queue"));
        assert!(selection("m.a").is_for(&"m.a[\"x\"]".parse().unwrap()));
    }

    #[test]
    fn a_slip_is_told_with_what_was_meant() {
        let there =
            [selection("manifest.web:Deployment/shop/web:spec.replicas"), selection("manifest.web:Service/shop/web")];
        let says = |text: &str| hint(&selection(text), &there).unwrap();
        for text in [
            "manifest.web:Deployment/shop/web:spec.replica", // spellchecker:disable-line
            "manifest.web:Deploy/shop/web:spec.replicas",
            "manifest.web:spec.replicas",
        ] {
            assert_eq!(says(text), "did you mean `manifest.web:Deployment/shop/web:spec.replicas`?", "{text}");
        }
        assert!(says("manifest.web:x").starts_with("what drifted: "));
        assert_eq!(hint(&selection("manifest.web:x"), &[]), None);
    }
}
