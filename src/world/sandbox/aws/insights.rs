//! What EKS finds about a cluster before its version moves: what follows from node groups and add-ons, and what somebody
//! seeded.

use super::{
    eks::{AddonRecord, InsightRecord},
    physical::uuid,
    updates::{SKEW, minor, nodegroups},
    versions,
};
use crate::world::{Insight, InsightCategory, sandbox::Tx};
use sha2::{Digest as _, Sha256};

/// The insights of a category about one version.
pub(super) fn of(tx: &Tx<'_>, cluster: &str, category: InsightCategory, version: &str) -> Vec<Insight> {
    let insight = |name: &str, status: &str, reason: String, resources: Vec<String>| Insight {
        id: id(cluster, category, version, name),
        name: name.to_owned(),
        kubernetes_version: version.to_owned(),
        status: status.to_owned(),
        reason,
        recommendation: String::new(),
        resources,
    };
    let mut found = vec![skew(tx, cluster, category, version, &insight)];
    if category == InsightCategory::Upgrade {
        let name = format!("Deprecated APIs removed in Kubernetes v{version}");
        found.push(insight(
            &name,
            "PASSING",
            "No deprecated API usage detected within the last 30 days.".into(),
            vec![],
        ));
    }
    found.push(addons(tx, cluster, version, &insight));
    let word = word(category);
    for (_, seeded) in tx.scan::<InsightRecord>("insight", &format!("{cluster}/")) {
        if seeded.category == word && (seeded.version.is_empty() || seeded.version == version) {
            found.retain(|i| i.name != seeded.name);
            let mut own = insight(&seeded.name, &seeded.status, seeded.reason, seeded.resources);
            own.recommendation = seeded.recommendation;
            found.push(own);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn word(category: InsightCategory) -> &'static str {
    match category {
        InsightCategory::Upgrade => "UPGRADE_READINESS",
        InsightCategory::Rollback => "ROLLBACK_READINESS",
    }
}

fn id(cluster: &str, category: InsightCategory, version: &str, name: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(format!("{cluster}\n{}\n{version}\n{name}", word(category))).into();
    uuid(&hash)
}

/// One insight by its id.
pub(super) fn find(tx: &Tx<'_>, cluster: &str, id: &str) -> Option<Insight> {
    [InsightCategory::Upgrade, InsightCategory::Rollback]
        .into_iter()
        .flat_map(|category| versions::KUBERNETES.iter().map(move |version| (category, version)))
        .find_map(|(category, version)| of(tx, cluster, category, version).into_iter().find(|i| i.id == id))
}

type Make<'a> = dyn Fn(&str, &str, String, Vec<String>) -> Insight + 'a;

fn skew(tx: &Tx<'_>, cluster: &str, category: InsightCategory, version: &str, make: &Make<'_>) -> Insight {
    let to = minor(version);
    let bad = |v: u32| match category {
        InsightCategory::Upgrade => v + SKEW < to,
        InsightCategory::Rollback => v > to,
    };
    let groups: Vec<String> =
        nodegroups(tx, cluster).into_iter().filter(|g| bad(minor(&g.version))).map(|g| g.name).collect();
    let name = "Kubelet version skew";
    if groups.is_empty() {
        return make(name, "PASSING", "Node kubelet versions match the control plane version.".into(), vec![]);
    }
    make(name, "ERROR", "Some nodes run a kubelet version that the control plane would not support.".into(), groups)
}

fn addons(tx: &Tx<'_>, cluster: &str, version: &str, make: &Make<'_>) -> Insight {
    let name = "EKS add-on version compatibility";
    let left: Vec<String> = tx
        .scan::<AddonRecord>("addon", &format!("{cluster}/"))
        .into_iter()
        .filter(|(_, a)| !versions::versions(&a.name, version).iter().any(|v| v.version == a.version))
        .map(|(_, a)| a.name)
        .collect();
    if left.is_empty() {
        return make(name, "PASSING", "All installed EKS add-on versions are compatible.".into(), vec![]);
    }
    let reason = format!("Some installed EKS add-on versions are not compatible with Kubernetes {version}.");
    make(name, "WARNING", reason, left)
}
