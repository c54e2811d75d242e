//! Releases of a chart: many in layers beside helmfile, one beside Helm itself.

use crate::common::Measured;
use crate::{Asked, Bench, Row, write};
use std::{fmt::Write as _, path::Path};

/// How many releases there are.
pub(crate) const COUNT: usize = 20;
/// Each release needs the one in its place in the layer before.
pub(crate) const LAYERS: usize = 4;
/// Rounds with all of them, each in a new namespace for each tool.
pub(crate) const ROUNDS: usize = 3;
/// Upgrades of the one release.
pub(crate) const UPGRADES: usize = 7;

const APPLY: [&str; 5] = ["apply", "bench", "--env", "dev", "--auto-approve"];

pub(crate) fn layers(bench: &Bench, helmfile: &Path) -> Result<Vec<Row>, String> {
    let mut rows = [
        Row::new("20 releases in 4 layers: install", "helmfile sync", Asked::Share(1.1)),
        Row::new("change one of them", "helmfile sync", Asked::Share(0.5)),
        Row::new("nothing changed", "helmfile sync", Asked::Share(0.5)),
    ];
    for round in 0..ROUNDS {
        let (own, peer) = (bench.cluster.namespace("own"), bench.cluster.namespace("peer"));
        let project = bench.project(&format!("releases-{round}"));
        chart(&project.join("chart"));
        for (row, size) in ["small", "large", "large"].into_iter().enumerate() {
            write(&project.join("plans/bench/releases.hcl"), &plan(&own, size));
            rows[row].own.push(bench.terrace(&APPLY, &project)?);
        }
        held(bench, &own, "large")?;
        for (row, size) in ["small", "large", "large"].into_iter().enumerate() {
            write(&project.join("helmfile.yaml"), &state(&peer, size));
            rows[row].peer.push(bench.step(helmfile, &["--quiet", "sync"], &project)?);
        }
        held(bench, &peer, "large")?;
    }
    Ok(rows.into())
}

pub(crate) fn one(bench: &Bench) -> Result<Vec<Row>, String> {
    let mut rows = [
        Row::new("one release: apply of a saved plan", "helm upgrade --install --wait", Asked::Share(1.1)),
        Row::new("one release: plan and apply", "helm's render, get and upgrade", Asked::Share(1.15)),
    ];
    let (own, peer) = (bench.cluster.namespace("own"), bench.cluster.namespace("peer"));
    let project = bench.project("one");
    chart(&project.join("chart"));
    let declare = |size: &str| {
        write(&project.join("values.yaml"), &format!("size: {size}\n"));
        write(&project.join("plans/bench/releases.hcl"), &release("app", &own, size, None));
    };
    let upgrade = ["upgrade", "app", "chart", "--install", "--wait", "--namespace", &peer, "--values", "values.yaml"];
    declare("first");
    bench.terrace(&APPLY, &project)?;
    bench.step(&bench.helm, &upgrade, &project)?;
    for round in 0..UPGRADES {
        declare(&format!("saved{round}"));
        let saved = "saved.tplan";
        bench.terrace(&["plan", "bench", "--env", "dev", "--out", saved], &project)?;
        rows[0].own.push(bench.terrace(&["apply", saved, "--auto-approve"], &project)?);
        rows[0].peer.push(bench.step(&bench.helm, &upgrade, &project)?);

        declare(&format!("whole{round}"));
        rows[1].own.push(bench.terrace(&APPLY, &project)?);
        let render = ["template", "app", "chart", "--namespace", &peer, "--values", "values.yaml"];
        let mut all = Measured::default();
        for words in [&render[..], &["get", "all", "app", "--namespace", &peer], &upgrade] {
            let part = bench.step(&bench.helm, words, &project)?;
            all.wall += part.wall;
            all.peak_kib = all.peak_kib.max(part.peak_kib);
        }
        rows[1].peer.push(all);
    }
    let last = format!("whole{}", UPGRADES - 1);
    for namespace in [&own, &peer] {
        let map = bench.cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps/app")).ok();
        if map["data"]["size"] != last.as_str() {
            return Err(format!("{namespace} does not hold what was to be released last: {map}"));
        }
    }
    Ok(rows.into())
}

/// That all releases are there, and the first has this value.
fn held(bench: &Bench, namespace: &str, size: &str) -> Result<(), String> {
    let deployments = bench.cluster.get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments")).ok();
    let ready = |d: &&serde_json::Value| d["status"]["readyReplicas"] == 1;
    let ready = deployments["items"].as_array().map_or(0, |all| all.iter().filter(ready).count());
    let map = bench.cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps/r00")).ok();
    if ready == COUNT && map["data"]["size"] == size {
        Ok(())
    } else {
        Err(format!("{namespace} has {ready} ready of {COUNT}, and {} for {size}", map["data"]["size"]))
    }
}

/// The release that a release needs.
fn before(release: usize) -> Option<usize> {
    release.checked_sub(COUNT.div_ceil(LAYERS))
}

fn size(release: usize, first: &str) -> &str {
    if release == 0 { first } else { "small" }
}

fn plan(namespace: &str, first: &str) -> String {
    (0..COUNT).map(|n| release(&format!("r{n:02}"), namespace, size(n, first), before(n))).collect()
}

fn release(name: &str, namespace: &str, size: &str, before: Option<usize>) -> String {
    let needs = before.map(|n| format!("  depends_on = [helm.r{n:02}]\n")).unwrap_or_default();
    format!(
        "helm \"{name}\" {{\n{needs}  chart      = \"./chart\"\n  namespace  = \"{namespace}\"\n  values     = {{ size = \"{size}\" }}\n}}\n\n"
    )
}

fn state(namespace: &str, first: &str) -> String {
    let mut text = String::from("helmDefaults: { wait: true, createNamespace: false }\nreleases:\n");
    for n in 0..COUNT {
        let size = size(n, first);
        let _ = write!(
            text,
            "  - name: r{n:02}\n    namespace: {namespace}\n    chart: ./chart\n    values: [{{ size: {size} }}]\n"
        );
        if let Some(before) = before(n) {
            let _ = writeln!(text, "    needs: [{namespace}/r{before:02}]");
        }
    }
    text
}

fn chart(folder: &Path) {
    write(&folder.join("Chart.yaml"), "apiVersion: v2\nname: app\nversion: 1.0.0\n");
    write(&folder.join("values.yaml"), "size: small\n");
    write(&folder.join("templates/all.yaml"), CHART);
}

const CHART: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: 1
  selector:
    matchLabels: { app: {{ .Release.Name }} }
  template:
    metadata:
      labels: { app: {{ .Release.Name }} }
      annotations: { checksum/config: {{ .Values.size | sha256sum }} }
    spec:
      containers:
        - name: app
          image: registry.example.com/app:{{ .Chart.Version }}
          ports: [{ name: http, containerPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: { app: {{ .Release.Name }} }
  ports: [{ name: http, port: 80, targetPort: http }]
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  size: {{ .Values.size }}
";
