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
    /// The kind of a call of a module as a whole, which a rollout may roll out: no kind of resource is called so.
    pub const CALL: &str = "module";

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

    /// The call that a module path ends with, as what a rollout rolls out as a whole: of the kind `module`. `None` for the root.
    #[must_use]
    pub fn call(path: &[ModuleStep]) -> Option<Self> {
        let (last, outer) = path.split_last()?;
        Some(Self::whole(outer.to_vec(), Self::CALL, &last.name, last.key.clone(), last.color))
    }

    /// True for a call of a module as a whole.
    #[must_use]
    pub fn is_call(&self) -> bool {
        &*self.0.kind == Self::CALL
    }

    /// What a rollout rolls out that this is a colour of, or that this is in: without a colour, and which colour. `None` where it is
    /// no part of any.
    #[must_use]
    pub fn unit(&self) -> Option<(Self, Color)> {
        if let Some(color) = self.0.color {
            return Some((self.with_color(None), color));
        }
        let at = self.0.module.iter().position(|step| step.color.is_some())?;
        let call = Self::call(&self.0.module[..=at])?;
        Some((call.with_color(None), call.0.color?))
    }

    /// The same without the colour of what is rolled out, where it has one.
    #[must_use]
    pub fn plain(&self) -> Self {
        self.unit().and_then(|(unit, _)| self.painted(&unit, None)).unwrap_or_else(|| self.clone())
    }

    /// The same in another colour of what is rolled out, or without any. `None` where it is neither that nor in it.
    #[must_use]
    pub fn painted(&self, unit: &Self, color: Option<Color>) -> Option<Self> {
        if !unit.is_call() {
            return (self.with_color(None) == *unit).then(|| self.with_color(color));
        }
        let at = unit.module().len();
        let step = self.0.module.get(at)?;
        let same = self.0.module[..at] == *unit.module() && *step.name == *unit.name() && step.key == unit.0.key;
        let mut module = self.0.module.clone();
        module.get_mut(at)?.color = color;
        same.then(|| Self::whole(module, &self.0.kind, &self.0.name, self.0.key.clone(), self.0.color))
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
        let Some((mut kind, kind_key, kind_color)) = words.next() else {
            return Self::call(&module).ok_or_else(|| fail("write KIND.NAME"));
        };
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
            "module.outer.module.web[\"eu\"]@green",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_colour_and_what_is_in_one_know_what_is_rolled_out() {
        let read = |text: &str| text.parse::<Address>().unwrap();
        let unit = |text: &str| read(text).unit().map(|(unit, color)| format!("{unit} {color}"));
        assert_eq!(unit("helm.web"), None);
        assert_eq!(unit("module.a.helm.web[\"x\"]@green").as_deref(), Some("module.a.helm.web[\"x\"] green"));
        assert_eq!(unit("module.a[\"x\"]@blue.module.b.helm.web").as_deref(), Some("module.a[\"x\"] blue"));
        let painted = |text: &str, of: &str, color| read(text).painted(&read(of), color).map(|a| a.to_string());
        let green = Some(Color::Green);
        assert_eq!(painted("helm.web", "helm.web", green).as_deref(), Some("helm.web@green"));
        assert_eq!(painted("helm.other", "helm.web", green), None);
        assert_eq!(
            painted("module.a.stack.x[\"k\"]", "module.a", green).as_deref(),
            Some("module.a@green.stack.x[\"k\"]")
        );
        assert_eq!(painted("module.a@blue.stack.x", "module.a", None).as_deref(), Some("module.a.stack.x"));
        assert_eq!(painted("module.b.stack.x", "module.a", green), None);
        assert_eq!(painted("stack.x", "module.a", green), None);
    }

    #[test]
    fn what_is_no_address_says_why() {
        for text in [
            "",
            "helm",
            "helm.",
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
