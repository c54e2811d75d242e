//! Names and marks: what a thing is called in its world, and how it says whose it is (rules 4 and 5).

use crate::{
    base::{Address, Digest, Value},
    kinds::Owner,
};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// The names by which a thing is marked as ours (rules 4 and 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// The project's name.
    pub project: Arc<str>,
    /// The plan's label.
    pub plan: Arc<str>,
    /// The environment.
    pub env: Arc<str>,
    /// `sandbox` or `aws`.
    pub world: Arc<str>,
    /// The account.
    pub account: Arc<str>,
    /// The region.
    pub region: Arc<str>,
}

/// What marks on AWS things begin with.
const AWS_PREFIX: &str = "terrace:";
/// What marks on Kubernetes things begin with.
pub(super) const KUBERNETES_PREFIX: &str = "terrace.dev/";
/// The longest value of a Kubernetes label.
const LABEL_LIMIT: usize = 63;

impl Marks {
    /// `<plan>-<env>-<address path and key>`: letters, digits and hyphens, at most `limit` characters, cut with a hash.
    #[must_use]
    pub fn physical_name(&self, address: &Address, limit: usize) -> String {
        let mut parts: Vec<&str> = vec![&self.plan, &self.env];
        for step in address.module() {
            parts.push(&step.name);
            parts.extend(step.key.as_deref());
            if let Some(color) = step.color {
                parts.push(color.word());
            }
        }
        parts.push(address.name());
        parts.extend(address.key().map(|k| &**k));
        if let Some(color) = address.color() {
            parts.push(color.word());
        }
        fit(&parts, limit, |c| c)
    }

    /// Tags that say whose an AWS thing is: `terrace:project`, `terrace:plan`, `terrace:env`, `terrace:address`.
    #[must_use]
    pub fn tags(&self, address: &Address) -> BTreeMap<String, String> {
        self.marks(AWS_PREFIX, tag_value(address.as_str()))
    }

    /// Labels that say whose a Helm release is. An address that is no label's value goes in as its hash.
    #[must_use]
    pub fn labels(&self, address: &Address) -> BTreeMap<String, String> {
        let mut marks = self.marks(KUBERNETES_PREFIX, label_value(address.as_str()));
        for value in marks.values_mut() {
            *value = label_value(value);
        }
        marks
    }

    /// Annotations that say whose a Kubernetes object is.
    #[must_use]
    pub fn annotations(&self, address: &Address) -> BTreeMap<String, String> {
        self.marks(KUBERNETES_PREFIX, address.to_string())
    }

    fn marks(&self, prefix: &str, address: String) -> BTreeMap<String, String> {
        [
            ("project", self.project.to_string()),
            ("plan", self.plan.to_string()),
            ("env", self.env.to_string()),
            ("address", address),
        ]
        .into_iter()
        .map(|(key, value)| (format!("{prefix}{key}"), value))
        .collect()
    }

    /// Whose a thing with these tags is.
    #[must_use]
    pub fn owner_by_tags(&self, tags: &BTreeMap<String, String>, address: &Address) -> Owner {
        Self::owner(tags, &self.tags(address), AWS_PREFIX, address)
    }

    /// Whose a release with these labels is.
    #[must_use]
    pub fn owner_by_labels(&self, labels: &BTreeMap<String, String>, address: &Address) -> Owner {
        Self::owner(labels, &self.labels(address), KUBERNETES_PREFIX, address)
    }

    /// Whose an object with these annotations is.
    #[must_use]
    pub fn owner_by_annotations(&self, annotations: &BTreeMap<String, String>, address: &Address) -> Owner {
        Self::owner(annotations, &self.annotations(address), KUBERNETES_PREFIX, address)
    }

    fn owner(
        found: &BTreeMap<String, String>,
        ours: &BTreeMap<String, String>,
        prefix: &str,
        address: &Address,
    ) -> Owner {
        let get = |marks: &BTreeMap<String, String>, key: &str| marks.get(&format!("{prefix}{key}")).cloned();
        let Some(there) = get(found, "address") else { return Owner::Nobody };
        if ["project", "plan", "env"].iter().any(|key| get(found, key) != get(ours, key)) {
            let of = |key| get(found, key).unwrap_or_else(|| "?".to_owned());
            return Owner::Other(format!("{there} of plan {} in {}, project {}", of("plan"), of("env"), of("project")));
        }
        if get(ours, "address").as_deref() == Some(there.as_str()) {
            return Owner::Ours(address.to_string());
        }
        Owner::Ours(if prefix == AWS_PREFIX { address_of_tag(&there) } else { there })
    }
}

/// The name of a stack that another declaration refers to: what it says, or what its ARN says. `None` where neither is known.
#[must_use]
pub fn physical_stack_name(stack: Option<&Value>, marks: &Marks) -> Option<String> {
    let stack = stack?;
    if let Some(address) = stack.as_str() {
        let address: Address = address.parse().ok()?;
        return Some(marks.physical_name(&address, 128));
    }
    let text = |name: &str| stack.get(name).and_then(Value::as_str).map(str::to_owned);
    text("name").or_else(|| text("id")?.split('/').nth(1).map(str::to_owned))
}

/// True for a tag that a person gave: neither a mark of ours nor one of AWS's own.
#[must_use]
pub fn is_own_tag(key: &str) -> bool {
    !is_mark(key) && is_given_tag(key)
}

/// True for a tag that is not AWS's own and can be given back to it, marks of ours among them.
#[must_use]
pub fn is_given_tag(key: &str) -> bool {
    !key.starts_with("aws:")
}

/// True for a tag, label or annotation that is a mark of ours and no content.
#[must_use]
pub fn is_mark(key: &str) -> bool {
    key.starts_with(AWS_PREFIX) || key.starts_with(KUBERNETES_PREFIX)
}

/// The name of a Helm release (rule 4): the block's name and key, at most 53 characters, in small letters.
#[must_use]
pub fn release_name(address: &Address) -> String {
    let mut parts: Vec<&str> = vec![address.name()];
    parts.extend(address.key().map(|k| &**k));
    for color in address.module().iter().filter_map(|step| step.color).chain(address.color()) {
        parts.push(color.word());
    }
    fit(&parts, 53, |c| c.to_ascii_lowercase())
}

/// Joins with hyphens what is left of each part, and cuts with a hash where it is too long or lost more than underscores.
fn fit(parts: &[&str], limit: usize, map: impl Fn(char) -> char) -> String {
    let mut lost = false;
    let mut name = String::new();
    for part in parts {
        if !name.is_empty() {
            name.push('-');
        }
        for c in part.chars() {
            let plain = c.is_ascii_alphanumeric() || c == '-' || c == '_';
            lost |= !plain;
            name.push(if c.is_ascii_alphanumeric() { map(c) } else { '-' });
        }
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert(0, 'x');
    }
    let trimmed = name.trim_end_matches('-').to_owned();
    if !lost && trimmed.len() == name.len() && name.len() <= limit {
        return name;
    }
    let hash = &Digest::of(parts.join("\u{0}").as_bytes()).short()[..8].to_owned();
    let keep: String = trimmed.chars().take(limit.saturating_sub(9)).collect();
    format!("{}-{hash}", keep.trim_end_matches('-'))
}

/// An address with the characters that an AWS tag takes: a key stands behind a `/`, and what is in the way as `=XX`.
fn tag_value(address: &str) -> String {
    let mut out = String::new();
    let mut in_key = false;
    let mut rest = address;
    while let Some(c) = rest.chars().next() {
        if !in_key && rest.starts_with("[\"") {
            out.push('/');
            in_key = true;
            rest = &rest[2..];
            continue;
        }
        if in_key && rest.starts_with("\"]") {
            in_key = false;
            rest = &rest[2..];
            continue;
        }
        if c.is_ascii_alphanumeric() || "_-:+@ ".contains(c) || (!in_key && c == '.') {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "={byte:02X}");
            }
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// The address that `tag_value` made a tag's value of; the value itself where it is none.
#[must_use]
pub fn address_of_tag(value: &str) -> String {
    let plain = |text: &str| -> Option<String> {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            if *first == b'=' {
                let hex = std::str::from_utf8(after.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(hex, 16).ok()?);
                rest = &after[2..];
            } else {
                bytes.push(*first);
                rest = after;
            }
        }
        String::from_utf8(bytes).ok()
    };
    let words: Option<Vec<String>> = value
        .split('.')
        .map(|word| match word.split_once('/') {
            None => plain(word),
            Some((name, key)) => Some(format!("{}[\"{}\"]", plain(name)?, plain(key)?)),
        })
        .collect();
    words.map_or_else(|| value.to_owned(), |words| words.join("."))
}

/// The text itself where it may be a label's value, else a hash of it.
fn label_value(text: &str) -> String {
    let inside = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let ends = [text.chars().next(), text.chars().last()].iter().all(|c| c.is_some_and(|c| c.is_ascii_alphanumeric()));
    if inside && ends && text.len() <= LABEL_LIMIT {
        text.to_owned()
    } else {
        format!("sha256-{}", Digest::of(text.as_bytes()).short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::marks;
    use proptest::prelude::*;

    #[test]
    fn names_tell_plan_environment_and_address_and_are_cut_with_a_hash() {
        let address: Address = "module.observability.stack.storage".parse().unwrap();
        assert_eq!(marks().physical_name(&address, 128), "platform-dev-observability-storage");
        let long = Address::root("stack", &"x".repeat(200));
        let name = marks().physical_name(&long, 128);
        assert!(name.len() <= 128 && name != marks().physical_name(&Address::root("stack", &"x".repeat(201)), 128));
        let keyed: Address = "helm.app_of_apps[\"EU/west\"]".parse().unwrap();
        assert!(release_name(&keyed).starts_with("app-of-apps-eu-west-"));
    }

    #[test]
    fn a_thing_is_ours_only_in_this_project_plan_and_environment() {
        let address: Address = "eks_addon.managed[\"coredns\"]".parse().unwrap();
        let mut tags = marks().tags(&address);
        assert_eq!(tags["terrace:address"], "eks_addon.managed/coredns");
        assert_eq!(marks().owner_by_tags(&tags, &address), Owner::Ours(address.to_string()));
        assert_eq!(marks().owner_by_tags(&tags, &Address::root("stack", "x")), Owner::Ours(address.to_string()));
        tags.insert("terrace:env".into(), "prd".into());
        assert!(matches!(marks().owner_by_tags(&tags, &address), Owner::Other(who) if who.contains("prd")));
        assert_eq!(marks().owner_by_tags(&BTreeMap::new(), &address), Owner::Nobody);
        let labels = marks().labels(&address);
        assert_eq!(marks().owner_by_labels(&labels, &address), Owner::Ours(address.to_string()));
    }

    proptest! {
        #[test]
        fn an_address_is_read_back_from_its_tag(key in "[^\"\\\\\n]{0,12}") {
            prop_assume!(key != "*");
            let address = Address::root("stack", "a_b-c").with_key(Some(key.as_str().into()));
            prop_assert_eq!(address_of_tag(&tag_value(address.as_str())), address.to_string());
        }

        #[test]
        fn labels_and_names_are_valid_whatever_the_key(key in ".{0,80}") {
            let address = Address::root("helm", "x").with_key(Some(key.as_str().into()));
            let name = release_name(&address);
            prop_assert!(name.len() <= 53 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            for value in marks().labels(&address).values() {
                prop_assert!(value.len() <= 63 && value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
            }
        }
    }
}
