//! Tests of loading: whole plans, good and bad.

use crate::{
    base::Diagnostics,
    lang::{Configuration, Declaration, MemorySources, load, test_schema::SCHEMA},
};
use std::{path::Path, sync::Arc};

/// The project's own folders, from disk.
fn project(folders: &[&str]) -> MemorySources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = MemorySources::default();
    let mut waiting: Vec<_> = folders.iter().map(|f| root.join(f)).collect();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                sources.0.insert(name, std::fs::read(&path).unwrap().into());
            }
        }
    }
    sources
}

/// Files in memory, by path.
fn files(files: &[(&str, &str)]) -> MemorySources {
    MemorySources(files.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes()))).collect())
}

/// A plan of one file, beside what every plan needs.
fn plan(text: &str) -> (Option<Configuration>, Diagnostics) {
    let head = "plan \"p\" {}\nenvironment \"dev\" {\n  sandbox {}\n}\nkubernetes \"main\" {\n  eks {\n    name = \"c\"\n  }\n}\n";
    load(&files(&[("plan/a.hcl", head), ("plan/b.hcl", text)]), "plan", &SCHEMA)
}

/// What is wrong, each with its place's text, its hint, its other places.
fn said(configuration: Option<&Configuration>, diagnostics: &Diagnostics) -> String {
    let mut out = String::new();
    for d in diagnostics.iter() {
        let at = d.labels.first().map_or_else(String::new, |label| {
            let text =
                configuration.and_then(|c| c.sources.text(&label.span.file)).map_or("?", |t| &t[label.span.range()]);
            format!(" at `{text}`")
        });
        out.push_str(&format!("{}: {}{at}", d.code, d.summary));
        if let Some(hint) = &d.hint {
            out.push_str(&format!(" ({hint})"));
        }
        out.push('\n');
    }
    out
}

fn problems(text: &str) -> String {
    let (configuration, diagnostics) = plan(text);
    said(configuration.as_ref(), &diagnostics)
}

fn declaration(path: &[&str], kind: &str, name: &str) -> Declaration {
    Declaration { path: path.iter().map(|p| Arc::from(*p)).collect(), kind: kind.into(), name: name.into() }
}

#[test]
fn the_reference_plan_loads_with_its_module() {
    let sources = project(&["plans", "modules"]);
    let (configuration, diagnostics) = load(&sources, "plans/eks-platform", &SCHEMA);
    let configuration = configuration.unwrap();
    assert_eq!(said(Some(&configuration), &diagnostics), "");
    assert_eq!(&*configuration.label, "eks_platform");
    let phases: Vec<&str> = configuration.phases.iter().map(|p| &*p.name).collect();
    assert_eq!(phases, ["foundation", "cluster", "services"]);
    let phase = |path: &[&str], kind: &str, name: &str| configuration.phase_of(&declaration(path, kind, name));
    assert_eq!(phase(&["observability"], "stack", "storage").as_deref(), Some("foundation"));
    assert_eq!(phase(&["observability"], "helm", "loki").as_deref(), Some("services"));
    assert_eq!(phase(&[], "stack", "network").as_deref(), Some("foundation"));
    assert_eq!(phase(&[], "data.secret", "grafana_admin"), None);
    assert_eq!(phase(&[], "check", "nodes_in_order").as_deref(), Some("services"));
    let headlamp = &configuration.root.resources[&("helm".into(), "headlamp".into())];
    assert!(headlamp.rollout.is_some());
    assert_eq!(
        headlamp.body.attributes.keys().map(|k| &**k).collect::<Vec<_>>(),
        ["chart", "namespace", "repository", "values", "version"]
    );
}

#[test]
fn every_example_loads() {
    let sources = project(&["examples"]);
    let mut seen = 0;
    let plans: std::collections::BTreeSet<String> = sources
        .0
        .iter()
        .filter(|(path, text)| path.ends_with(".hcl") && String::from_utf8_lossy(text).contains("\nplan \""))
        .filter_map(|(path, _)| Some(path.rsplit_once('/')?.0.to_owned()))
        .collect();
    for folder in plans {
        let (configuration, diagnostics) = load(&sources, &folder, &SCHEMA);
        assert_eq!(said(configuration.as_ref(), &diagnostics), "", "{folder}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}
