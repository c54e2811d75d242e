//! Addresses: the one name by which a declared thing is known in plans, state, journals and messages.
//!
//! `helm.loki`, `eks_addon.managed["coredns"]`, `module.observability.helm.loki`, `module.region["eu"].stack.network`,
//! `helm.headlamp@green`.

use crate::base::Color;
use std::{fmt, str::FromStr, sync::Arc};

/// The key of one instance of a `for_each`.
pub type Key = Arc<str>;

/// One module call on the way to a resource, with the key where the call has `for_each`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleStep {
    /// The label of the `module` block.
    pub name: Arc<str>,
    /// The `for_each` key, where the call is repeated.
    pub key: Option<Key>,
    /// Which of the two that stand side by side, where a rollout rolls out the call as a whole.
    pub color: Option<Color>,
}

impl ModuleStep {
    /// A call that no rollout rolls out.
    #[must_use]
    pub const fn new(name: Arc<str>, key: Option<Key>) -> Self {
        Self { name, key, color: None }
    }
}

/// The module calls from the root to where a thing is declared; empty at the root.
pub type ModulePath = Vec<ModuleStep>;

/// The address of one resource, data source or other node. Cheap to clone; ordered by its text.
///
/// A key of `*` means "every instance, whose keys are not yet known" (a deferred `for_each`).
#[derive(Clone)]
pub struct Address(Arc<Inner>);

struct Inner {
    text: Box<str>,
    module: ModulePath,
    kind: Arc<str>,
    name: Arc<str>,
    key: Option<Key>,
    color: Option<Color>,
}

impl Address {
    /// An address at the root of the plan, without a key.
    #[must_use]
    pub fn root(kind: &str, name: &str) -> Self {
        Self::new(Vec::new(), kind, name, None)
    }

    /// An address from its parts.
    #[must_use]
    pub fn new(module: ModulePath, kind: &str, name: &str, key: Option<Key>) -> Self {
        Self::whole(module, kind, name, key, None)
    }

    fn whole(module: ModulePath, kind: &str, name: &str, key: Option<Key>, color: Option<Color>) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(kind.len() + name.len() + 16);
        for step in &module {
            let _ = write!(text, "module.{}", step.name);
            push_key(&mut text, step.key.as_deref());
            push_color(&mut text, step.color);
            text.push('.');
        }
        let _ = write!(text, "{kind}.{name}");
        push_key(&mut text, key.as_deref());
        push_color(&mut text, color);
        Self(Arc::new(Inner { text: text.into(), module, kind: kind.into(), name: name.into(), key, color }))
    }

    /// The same declaration with another key, or with none; without a colour.
    #[must_use]
    pub fn with_key(&self, key: Option<Key>) -> Self {
        Self::new(self.0.module.clone(), &self.0.kind, &self.0.name, key)
    }

    /// The same instance in a colour, or, without one, what a rollout rolls out as a whole.
    #[must_use]
    pub fn with_color(&self, color: Option<Color>) -> Self {
        if self.0.color == color {
            return self.clone();
        }
        Self::whole(self.0.module.clone(), &self.0.kind, &self.0.name, self.0.key.clone(), color)
    }

    /// The declaration this is an instance of: the address without its own key and colour.
    #[must_use]
    pub fn declaration(&self) -> Self {
        if self.0.key.is_none() && self.0.color.is_none() { self.clone() } else { self.with_key(None) }
    }

    /// The whole address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The modules it lies in, outermost first.
    #[must_use]
    pub fn module(&self) -> &[ModuleStep] {
        &self.0.module
    }

    /// The kind: `stack`, `helm`, `data.secret` and so on.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The label of the block.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The `for_each` key of this instance.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.0.key.as_ref()
    }

    /// Which of the two that stand side by side it is, where a rollout rolls it out.
    #[must_use]
    pub fn color(&self) -> Option<Color> {
        self.0.color
    }

    /// True where the key stands for instances that are not yet known.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.0.key.as_deref() == Some("*")
    }
}

fn push_key(text: &mut String, key: Option<&str>) {
    let Some(key) = key else { return };
    if key == "*" {
        text.push_str("[*]");
        return;
    }
    text.push_str("[\"");
    for c in key.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push_str("\"]");
}

fn push_color(text: &mut String, color: Option<Color>) {
    if let Some(color) = color {
        text.push('@');
        text.push_str(color.word());
    }
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address: {why}")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads an address as [`fmt::Display`] writes it; single quotes are not taken, `[*]` is.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let fail = |why| AddressError { text: text.to_owned(), why };
        let mut rest = text;
        let mut words: Vec<(String, Option<Key>, Option<Color>)> = Vec::new();
        loop {
            let end = rest.find(['.', '[', '@']).unwrap_or(rest.len());
            let word = &rest[..end];
            if word.is_empty() {
                return Err(fail("a name is missing"));
            }
            rest = &rest[end..];
            let mut key = None;
            if let Some(after) = rest.strip_prefix("[*]") {
                key = Some(Key::from("*"));
                rest = after;
            } else if let Some(after) = rest.strip_prefix("[\"") {
                let mut out = String::new();
                let mut chars = after.char_indices();
                let close = loop {
                    match chars.next() {
                        Some((_, '\\')) => match chars.next() {
                            Some((_, 'n')) => out.push('\n'),
                            Some((_, c)) => out.push(c),
                            None => return Err(fail("the key's quote is not closed")),
                        },
                        Some((at, '"')) => break at,
                        Some((_, c)) => out.push(c),
                        None => return Err(fail("the key's quote is not closed")),
                    }
                };
                rest = after[close + 1..].strip_prefix(']').ok_or_else(|| fail("the key's bracket is not closed"))?;
                key = Some(out.into());
            } else if rest.starts_with('[') {
                return Err(fail("a key is a quoted string in brackets, like [\"coredns\"]"));
            }
            let mut color = None;
            if let Some(after) = rest.strip_prefix('@') {
                let end = after.find('.').unwrap_or(after.len());
                let word = after[..end].parse();
                color = Some(word.map_err(|()| fail("after @ comes a colour: blue, green, stable or canary"))?);
                rest = &after[end..];
            }
            words.push((word.to_owned(), key, color));
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => break,
                None => return Err(fail("after a key comes a dot, a colour like @green, or the end")),
            }
        }
        let mut words = words.into_iter().peekable();
        let mut module = Vec::new();
        while words.peek().is_some_and(|(w, k, c)| w == "module" && k.is_none() && c.is_none()) {
            words.next();
            let (name, key, color) = words.next().ok_or_else(|| fail("the module's name is missing"))?;
            module.push(ModuleStep { name: name.into(), key, color });
        }
        let (mut kind, kind_key, kind_color) =
            words.next().ok_or_else(|| fail("it ends with a module; name a resource in it"))?;
        if kind_key.is_some() || kind_color.is_some() {
            return Err(fail("key and colour go behind the name"));
        }
        let (mut name, mut key, mut color) = words.next().ok_or_else(|| fail("write KIND.NAME"))?;
        if kind == "data" {
            if key.is_some() || color.is_some() {
                return Err(fail("the key goes behind the name"));
            }
            kind = format!("data.{name}");
            (name, key, color) = words.next().ok_or_else(|| fail("write data.KIND.NAME"))?;
        }
        if words.next().is_some() {
            return Err(fail("something follows the resource's name"));
        }
        Ok(Self::whole(module, &kind, &name, key, color))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl Eq for Address {}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.text.cmp(&other.0.text)
    }
}

impl std::hash::Hash for Address {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_written() {
        for text in [
            "helm.loki",
            "eks_addon.managed[\"coredns\"]",
            "module.observability.helm.loki",
            "module.region[\"eu\"].module.inner.stack.network[\"a \\\"b\\\\\"]",
            "data.secret.grafana_admin",
            "stack.x[*]",
            "helm.headlamp@green",
            "module.web[\"eu\"]@blue.helm.app[\"a\"]@canary",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_says_why() {
        for text in [
            "",
            "helm",
            "helm.",
            "module.x",
            "helm.x[0]",
            "helm.x[\"a",
            "helm.x.y",
            "module",
            "data.secret",
            "helm.x@red",
            "helm@blue.x",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
