//! The catalogue of charts: data files that are built in, and those of the project (rule 25).
//!
//! `charts/README.md` describes the files. A chart that no file describes is made up, and says so.

use super::yaml;
use crate::{
    base::Digest,
    world::{Chart, ChartRef, Class, Failure, Outcome},
};
use include_dir::{Dir, include_dir};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, path::Path, sync::OnceLock};

static CHARTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/world/sandbox/cluster/charts");
static ADDONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/world/sandbox/cluster/addons");

/// A chart that was found: what is known of it, and what renders it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Name, version, digest.
    pub(super) chart: Chart,
    /// The file's content.
    pub(super) file: Json,
}

/// Finds a chart. Without a version, the newest.
///
/// # Errors
/// `NotFound` for a version that does not exist, naming those that do; `Invalid` for a file that cannot be read.
pub(super) fn find(wanted: &ChartRef, project: Option<&Path>) -> Outcome<Found> {
    if let Some(found) = folder(wanted)? {
        return Ok(found);
    }
    let name = wanted.chart.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let mut files = shipped().clone();
    files.extend(of_project(project)?);
    let Some(file) = files.remove(&name) else { return Ok(made_up(&name, wanted)) };
    let mut versions: Vec<(String, String)> = file["versions"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(version, app)| (version.clone(), app.as_str().unwrap_or_default().to_owned()))
        .collect();
    versions.sort_by_cached_key(|(version, _)| std::cmp::Reverse(rank(version)));
    let version = wanted.version.as_deref().map(|v| v.trim_start_matches('v'));
    let chosen =
        versions.iter().find(|(known, _)| version.is_none_or(|version| known.trim_start_matches('v') == version));
    let Some((version, app_version)) = chosen.cloned() else {
        let known: Vec<&str> = versions.iter().map(|(version, _)| version.as_str()).collect();
        let place = wanted.repository.as_deref().unwrap_or("the sandbox's catalogue");
        let message = format!(
            "chart {name:?} version {:?} not found in {place}; there are {}",
            version.unwrap_or_default(),
            known.join(", ")
        );
        return Err(Failure::new(Class::NotFound, "helm:Resolve", &name, message)
            .hint("a project adds versions and charts of its own to the sandbox in sandbox/charts/"));
    };
    let digest = digest(&json!({"file": file, "version": version}));
    Ok(Found { chart: Chart { name, version, app_version, digest, ..Chart::default() }, file })
}

/// The description of an add-on that EKS manages; one that no file describes gets a Deployment of its name.
pub(super) fn addon(name: &str, version: &str) -> Found {
    static FILES: OnceLock<BTreeMap<String, Json>> = OnceLock::new();
    let files = FILES.get_or_init(|| read_all(&ADDONS));
    let app_version = version.split("-eksbuild").next().unwrap_or(version).to_owned();
    let file = files.get(name).cloned().unwrap_or_else(|| {
        json!({"chart": name, "workloads": [{"deployment": name, "image": format!("eks/{name}:{app_version}"),
               "selector": {"app.kubernetes.io/name": name}}]})
    });
    let digest = digest(&json!({"file": file, "version": version}));
    let chart = Chart { name: name.to_owned(), version: version.to_owned(), app_version, digest, ..Chart::default() };
    Found { chart, file }
}

fn shipped() -> &'static BTreeMap<String, Json> {
    static FILES: OnceLock<BTreeMap<String, Json>> = OnceLock::new();
    FILES.get_or_init(|| read_all(&CHARTS))
}

fn read_all(folder: &Dir<'_>) -> BTreeMap<String, Json> {
    let files = folder.files().filter(|file| file.path().extension().is_some_and(|e| e == "yaml"));
    files
        .filter_map(|file| yaml::read(file.contents_utf8()?).ok())
        .filter_map(|file| Some((file["chart"].as_str()?.to_owned(), file)))
        .collect()
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Invalid, "helm:Resolve", path.display().to_string(), format!("{}: {why}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "a project's charts are files of the machine (rule 24)")]
fn of_project(folder: Option<&Path>) -> Outcome<BTreeMap<String, Json>> {
    let mut files = BTreeMap::new();
    let Some(entries) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) else { return Ok(files) };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| bad(&path, error))?;
        let file = yaml::read(&text).map_err(|error| bad(&path, error))?;
        match file["chart"].as_str() {
            Some(name) => files.insert(name.to_owned(), file),
            None => return Err(bad(&path, "a chart's file says `chart: NAME`")),
        };
    }
    Ok(files)
}

/// A chart in a folder: its own name and version, and `terrace-sandbox.yaml` where it has one.
#[expect(clippy::disallowed_methods, reason = "a chart in a folder is a file of the machine (rule 24)")]
fn folder(wanted: &ChartRef) -> Outcome<Option<Found>> {
    let path = Path::new(&wanted.chart);
    let manifest = path.join("Chart.yaml");
    if wanted.repository.is_some() || wanted.chart.starts_with("oci://") {
        return Ok(None);
    }
    let Ok(text) = std::fs::read_to_string(&manifest) else {
        let is_path = wanted.chart.contains('/') || wanted.chart.starts_with('.');
        return if is_path {
            Err(Failure::new(
                Class::NotFound,
                "helm:Resolve",
                &wanted.chart,
                format!("path {:?} not found", wanted.chart),
            ))
        } else {
            Ok(None)
        };
    };
    let chart = yaml::read(&text).map_err(|error| bad(&manifest, error))?;
    let word = |name: &str| super::template::plain(&chart[name]);
    let (name, version, app_version) = (word("name"), word("version"), word("appVersion"));
    if name.is_empty() || version.is_empty() {
        return Err(bad(&manifest, "chart.metadata.name and chart.metadata.version are required"));
    }
    let description = path.join("terrace-sandbox.yaml");
    let file = match std::fs::read_to_string(&description) {
        Ok(text) => Some(yaml::read(&text).map_err(|error| bad(&description, error))?),
        Err(_) => None,
    };
    let made_up = file.is_none();
    let file = file.unwrap_or_else(|| invented(&name));
    let digest = content_digest(path);
    Ok(Some(Found { chart: Chart { name, version, app_version, digest, made_up, ..Chart::default() }, file }))
}

/// The digest of a folder's files, by their names and contents.
#[expect(clippy::disallowed_methods, reason = "a chart in a folder is a file of the machine (rule 24)")]
fn content_digest(folder: &Path) -> String {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => {
                    let content = std::fs::read(&path).unwrap_or_default();
                    let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                    files.insert(name, Digest::of(&content).to_string());
                }
                _ => {}
            }
        }
    }
    digest(&json!(files))
}

fn digest(value: &Json) -> String {
    Digest::of_json(value).map(|digest| digest.to_string()).unwrap_or_default()
}

fn made_up(name: &str, wanted: &ChartRef) -> Found {
    let version = wanted.version.clone().unwrap_or_else(|| "1.0.0".to_owned());
    let digest = digest(&json!({"made_up": name, "version": version, "repository": wanted.repository}));
    let chart = Chart {
        name: name.to_owned(),
        app_version: version.clone(),
        version,
        digest,
        made_up: true,
        ..Chart::default()
    };
    Found { chart, file: invented(name) }
}

/// What a chart is made of that nobody described.
fn invented(name: &str) -> Json {
    json!({
        "chart": name,
        "workloads": [{
            "deployment": "${release}", "replicas": "${values.replicaCount|values.replicas|1}",
            "image": format!("{name}:${{app_version}}"), "ports": {"http": 80}, "ready": {"path": "/", "port": "http"},
            "labels": "${values.podLabels}", "resources": "${values.resources}",
        }],
        "services": [{"name": "${release}", "type": "${values.service.type|ClusterIP}", "ports": {"http": [80, "http"]}}],
    })
}

/// Orders versions: numbers by size, a pre-release before its release.
fn rank(version: &str) -> (Vec<u64>, bool) {
    let (core, pre) = version.split_once('-').map_or((version, false), |(core, _)| (core, true));
    (core.split('.').map(|part| part.parse().unwrap_or(0)).collect(), !pre)
}

/// Every shipped chart's name.
#[cfg(test)]
pub(super) fn names() -> Vec<String> {
    shipped().keys().cloned().collect()
}

/// How many files there are, readable or not.
#[cfg(test)]
pub(super) fn file_count() -> usize {
    CHARTS.files().filter(|file| file.path().extension().is_some_and(|e| e == "yaml")).count()
}
