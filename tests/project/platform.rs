//! The whole platform: `plans/eks-platform` as it is shipped, in one run over two real servers, stacks on MiniStack and objects and
//! charts on the testbed's cluster. What stands in for what is not to be had there is held to what it stands in for.

#![expect(clippy::disallowed_methods, reason = "reads the shipped files and the testbed's")]

use crate::support::{cluster, ministack, platform::Platform};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use terrace::cfn::Template;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn template(path: &Path) -> Template {
    let (template, diagnostics) = Template::parse(&path.to_string_lossy(), &fs::read_to_string(path).unwrap());
    assert!(!diagnostics.has_errors(), "{}: {diagnostics:?}", path.display());
    template
}

/// All files below a folder, in order, each by its path within it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                if !entry.ends_with(".terrace") {
                    folders.push(entry);
                }
            } else {
                found.insert(entry.strip_prefix(folder).unwrap().to_owned(), fs::read(&entry).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_template_that_stands_in_has_the_parameters_and_outputs_of_the_shipped_one() {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("testbed/platform/cfn-templates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let (own, shipped) = (template(&path), template(&root().join("cfn-templates").join(name)));
        let parameters =
            |t: &Template| t.parameters.iter().map(|(n, p)| (n.clone(), p.default.clone())).collect::<Vec<_>>();
        assert_eq!(parameters(&own), parameters(&shipped), "{name:?}");
        assert!(own.outputs.keys().eq(shipped.outputs.keys()), "{name:?}");
        names.insert(name.to_owned());
    }
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn each_chart_of_the_platform_has_one_that_stands_in_with_its_name_and_version() {
    let mut wanted = BTreeSet::new();
    for folder in ["plans/eks-platform", "modules/observability"] {
        for (path, text) in files(&root().join(folder)) {
            let text = String::from_utf8(text).unwrap();
            let is_plan = path.extension().is_some_and(|end| end == "hcl");
            for block in text.split("\nhelm \"").skip(usize::from(!text.starts_with("helm \""))).filter(|_| is_plan) {
                let of = |name: &str| {
                    let line = block.lines().find(|line| line.trim_start().starts_with(name));
                    line.and_then(|line| line.split('"').nth(1)).unwrap_or_default().to_owned()
                };
                wanted.insert((of("chart "), of("version ")));
            }
        }
    }
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(root().join("testbed/platform/charts")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path().join("Chart.yaml")).unwrap();
        let of =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        there.insert((of("name:"), of("version:")));
    }
    assert_eq!(wanted, there);
    assert_eq!(there.len(), 13);
}

/// The addresses of what the plan has in AWS alone.
const STACKS: [&str; 12] = [
    "stack.network",
    "stack.backups",
    "stack.secrets",
    "module.observability.stack.storage",
    "stack.cluster",
    "eks_addon.managed",
    "eks_addon.pod_identity_agent",
    "eks_upgrade.control_plane",
    "stack.workload_roles",
    "stack.load_balancer_controller_role",
    "stack.ingress",
    "stack.ingress_access",
];

#[test]
fn the_whole_platform_applies_in_one_run_over_two_real_servers() {
    let (Some(cluster), Some(server)) = (cluster(), ministack()) else { return };
    let Some(platform) = Platform::new(cluster, server, "helm4") else { return };
    for folder in ["plans", "modules"] {
        assert_eq!(files(&root().join(folder)), files(&platform.path().join(folder)), "{folder} is not as shipped");
    }
    let mut words = vec!["apply", "eks-platform", "--env", "dev", "--auto-approve"];
    words.extend(STACKS.iter().flat_map(|address| ["--target", address]));
    let said = platform.ends(&words, 0);
    println!("{}", said.err);
    words[0] = "plan";
    words.retain(|word| *word != "--auto-approve");
    let said = platform.ends(&words, 0);
    assert!(said.out.contains("No changes"), "{}", said.out);
}
