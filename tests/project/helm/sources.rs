//! Charts of a repository and of a registry, by their own addresses and by mirrors; versions and digests.

use super::Releases;
use crate::support::cluster::charts::{Registry, Repository};

fn declared(chart: &str, repository: Option<&str>, version: &str) -> String {
    let repository = repository.map(|url| format!("  repository = \"{url}\"\n")).unwrap_or_default();
    format!(
        "helm \"web\" {{\n  chart = \"{chart}\"\n{repository}  version = \"{version}\"\n  namespace = \"NAMESPACE\"\n}}\n"
    )
}

/// The chart of the tests at another version, in a folder of this name.
fn version(releases: &Releases, version: &str) -> std::path::PathBuf {
    let folder = format!("packed/{version}/web");
    releases.chart(&folder);
    let text = format!("apiVersion: v2\nname: web\nversion: {version}\nappVersion: \"{version}\"\n");
    releases.project.write(&format!("{folder}/Chart.yaml"), &text);
    releases.project.path().join(folder)
}

#[test]
fn a_chart_of_a_repository_is_pinned_by_its_digest() {
    let (Some(repository), Some(releases)) = (Repository::new(), Releases::new("helm4", "")) else { return };
    let first = version(&releases, "1.1.0");
    for folder in [first.clone(), version(&releases, "1.2.0")] {
        repository.add(&folder);
    }
    releases.declare(&declared("web", Some(&repository.url), "1.1.0"));
    releases.project.ends(&["plan", "--out", "p"], 0);
    // Pushed anew under the same version between plan and apply.
    releases.project.write("packed/1.1.0/web/values.yaml", "replicas: 4\ntext: changed\n");
    repository.add(&first);
    let refused = releases.project.run(&["apply", "p", "--auto-approve"]);
    let text = format!("{}{}", refused.out, refused.err);
    assert!(refused.code != Some(0) && text.contains("digest"), "{text}");
    assert_eq!(releases.statuses("web"), Vec::<String>::new());
    releases.applied();
    assert_eq!(releases.live("deployments", "web")["spec"]["replicas"], 4);
    assert!(releases.planned().contains("No changes."));
    releases.declare(&declared("web", Some(&repository.url), "1.2.0"));
    releases.applied();
    let image = &releases.live("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "example.com/web:1.2.0");
    releases.declare(&declared("web", Some(&repository.url), "1.3.0"));
    let missing = releases.project.run(&["plan"]);
    assert!(missing.code != Some(0), "{missing:?}");
    assert!(missing.err.contains("no version 1.3.0") && missing.err.contains("1.2.0, 1.1.0"), "{}", missing.err);
    let written = std::fs::read_to_string(releases.project.path().join("plans/app/app.hcl")).unwrap();
    let at = written.lines().position(|line| line.contains("version =")).unwrap() + 1;
    assert!(missing.err.contains(&format!("app.hcl:{at}:")), "{at}: {}", missing.err);
}

#[test]
fn a_chart_of_a_registry_is_had_by_a_mirror_and_a_moved_tag_is_seen() {
    let (Some(registry), Some(releases)) = (Registry::new(), Releases::new("helm3", "")) else { return };
    let folder = version(&releases, "2.0.0");
    registry.push(&folder, "mirrored/charts");
    releases.settings(&format!(
        "[[mirror]]\nfrom = \"oci://charts.example.com\"\nto = \"http://{}/mirrored\"\n",
        registry.host
    ));
    releases.declare(&declared("oci://charts.example.com/charts/web", None, "2.0.0"));
    let plan = releases.planned();
    assert!(plan.contains("mirror") && plan.contains(&registry.host), "{plan}");
    releases.applied();
    assert!(releases.planned().contains("No changes."));
    releases.project.write("packed/2.0.0/web/values.yaml", "replicas: 1\ntext: moved\n");
    registry.push(&folder, "mirrored/charts");
    let plan = releases.planned();
    assert!(plan.contains("digest") && plan.contains("data.text"), "{plan}");
    releases.declare(&declared("oci://charts.example.com/charts/web", None, "2.0.1"));
    let missing = releases.project.run(&["plan"]);
    assert!(missing.err.contains("no version 2.0.1") && missing.err.contains("2.0.0"), "{missing:?}");
    releases.declare(&declared("oci://charts.example.com/charts/none", None, "2.0.1"));
    let missing = releases.project.run(&["plan"]);
    assert!(missing.code != Some(0) && missing.err.contains("none"), "{missing:?}");
}
