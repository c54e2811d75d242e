//! The versions of add-ons that EKS offers by Kubernetes version, from `versions.tsv`.

use crate::world::AddonVersion;

/// The Kubernetes versions that the sandbox's EKS offers.
pub(super) const KUBERNETES: &[&str] = &["1.30", "1.31", "1.32", "1.33", "1.34", "1.35"];

/// The versions of an add-on for a Kubernetes version, newest first; empty for an add-on or a version that there is not.
pub(super) fn versions(addon: &str, kubernetes: &str) -> Vec<AddonVersion> {
    if !KUBERNETES.contains(&kubernetes) {
        return Vec::new();
    }
    for line in include_str!("versions.tsv").lines() {
        let mut columns = line.split('\t');
        let (name, of) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
        if name == addon && (of == "*" || of == kubernetes) {
            return columns
                .map(|v| AddonVersion { version: v.trim_end_matches('*').to_owned(), default: v.ends_with('*') })
                .collect();
        }
    }
    Vec::new()
}

/// True for a Kubernetes version that clusters can have.
pub(super) fn offers(kubernetes: &str) -> bool {
    KUBERNETES.contains(&kubernetes)
}

/// The default version.
pub(super) fn default_version(addon: &str, kubernetes: &str) -> Option<String> {
    versions(addon, kubernetes).into_iter().find(|v| v.default).map(|v| v.version)
}

/// True where any Kubernetes version has this add-on.
pub(super) fn exists(addon: &str) -> bool {
    KUBERNETES.iter().any(|kubernetes| !versions(addon, kubernetes).is_empty())
}

/// True where some Kubernetes version has this version of the add-on.
pub(super) fn has(addon: &str, version: &str) -> bool {
    KUBERNETES.iter().any(|kubernetes| versions(addon, kubernetes).iter().any(|v| v.version == version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_addon_has_one_default_for_every_kubernetes_version() {
        let names =
            include_str!("versions.tsv").lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split('\t').next());
        for name in names {
            for kubernetes in KUBERNETES {
                let defaults = versions(name, kubernetes).iter().filter(|v| v.default).count();
                assert_eq!(defaults, 1, "{name} {kubernetes}");
            }
        }
        assert!(versions("coredns", "1.12").is_empty() && !exists("no-such"));
        assert!(has("coredns", "v1.12.4-eksbuild.1"));
    }
}
