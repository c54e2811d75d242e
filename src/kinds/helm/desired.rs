//! From what is written in a `helm` block to what Helm is asked for: names checked, values merged as `helm -f` does.

use crate::{
    base::{ActionWord, Data, Diagnostic, Diagnostics, Hidden, Path, Value, parse_duration},
    kinds::{Context, Desired, NOT_KNOWN, Prepare, Rendering, Runs, images::with_placeholders, release_name, yaml},
    lang::normalize,
    world::{Chart, ChartRef, Class, Failure, Outcome, Release, ReleaseRequest},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long Helm waits unless told.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

pub(super) fn prepare(request: &Prepare<'_>) -> Result<Desired, Diagnostics> {
    let mut problems = Diagnostics::new();
    let given = |name: &str| request.inputs.get(name).filter(|v| !v.is_null());
    let text = |name: &str| given(name).and_then(Value::as_str);
    let mut inputs: BTreeMap<Arc<str>, Value> = BTreeMap::new();

    chart(request, &mut inputs, &mut problems);
    for name in ["version", "timeout"] {
        if let Some(value) = given(name) {
            inputs.insert(name.into(), value.clone());
        }
    }
    if let Some(timeout) = text("timeout")
        && let Err(error) = parse_duration(timeout)
    {
        problems.push(at(request, "timeout", Diagnostic::error("duration", error.to_string())));
    }
    for (name, default) in [("create_namespace", true), ("wait", true), ("atomic", true)] {
        inputs.insert(name.into(), given(name).cloned().unwrap_or_else(|| default.into()));
    }

    let name = given("name").cloned().unwrap_or_else(|| {
        let fixed = request.fixed.and_then(|f| f["name"].as_str()).map(str::to_owned);
        fixed.unwrap_or_else(|| release_name(request.address)).into()
    });
    let namespace = given("namespace").cloned().unwrap_or_else(|| "default".into());
    for (attribute, value, limit) in [("name", &name, 53), ("namespace", &namespace, 63)] {
        if let Some(text) = value.as_str().filter(|text| !is_dns_label(text, limit)) {
            let problem = Diagnostic::error("kubernetes_name", format!("`{text}` is no {attribute} for a release"))
                .because(format!("it takes small letters, digits and hyphens between them, at most {limit}"));
            problems.push(at(request, attribute, problem));
        }
    }
    inputs.insert("values".into(), values(request, &mut problems));
    let identity =
        name.as_str().zip(namespace.as_str()).map(|(name, namespace)| json!({ "namespace": namespace, "name": name }));
    inputs.insert("name".into(), name);
    inputs.insert("namespace".into(), namespace);
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Desired { inputs: Value::object(inputs), documents: BTreeMap::new(), identity })
}

/// A chart from elsewhere is frozen with its archive, one of the project with its folder.
pub(super) fn ingredients(desired: &Desired) -> crate::kinds::Ingredients {
    let text = |name: &str| desired.inputs.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut found = crate::kinds::Ingredients::default();
    match (text("chart"), text("repository")) {
        (Some(chart), repository) if repository.is_some() || chart.starts_with("oci://") => {
            found.charts.push(ChartRef { chart, repository, version: text("version") });
        }
        (Some(folder), _) => found.folders.push(folder),
        (None, _) => found.floating.push((
            "its chart is not known before something is applied".to_owned(),
            "name the chart by what is known: variables, locals, env".to_owned(),
        )),
    }
    match rendering(desired) {
        Ok(rendering) => found.renderings.push(rendering),
        Err(why) => found.images.push(Runs::unknown("", why)),
    }
    found
}

/// What has to be rendered before it is known which images the chart runs.
fn rendering(desired: &Desired) -> Result<Rendering, String> {
    let inputs = &desired.inputs;
    let later = |what: &str| format!("its {what} are not known before something is applied");
    let values = inputs.get("values").filter(|values| !values.is_unknown()).ok_or_else(|| later("values"))?;
    if inputs.get("chart").and_then(Value::as_str).is_none() {
        return Err(later("templates"));
    }
    let (values, mut unknown) = with_placeholders(values);
    let mut text = |name: &str| {
        inputs.get(name).and_then(Value::as_str).map_or_else(
            || {
                unknown.push(name.to_owned());
                NOT_KNOWN.to_owned()
            },
            str::to_owned,
        )
    };
    let (name, namespace) = (text("name"), text("namespace"));
    let request = ReleaseRequest { name, namespace, chart: chart_of(inputs), values, ..ReleaseRequest::default() };
    Ok(Rendering { request, unknown, hidden: Hidden::of([inputs]) })
}

/// The chart: a name in a repository, an `oci://` URL, or a folder of the project.
fn chart(request: &Prepare<'_>, inputs: &mut BTreeMap<Arc<str>, Value>, problems: &mut Diagnostics) {
    let given = |name: &str| request.inputs.get(name).filter(|v| !v.is_null());
    let repository = given("repository");
    if let Some(repository) = repository {
        inputs.insert("repository".into(), repository.clone());
    }
    let Some(value) = given("chart") else { return };
    let Some(chart) = value.as_str() else {
        inputs.insert("chart".into(), value.clone());
        return;
    };
    let remote = repository.is_some() || chart.starts_with("oci://");
    if chart.starts_with("oci://") && repository.is_some() {
        let problem = Diagnostic::error("chart_repository", "an oci:// chart names its registry itself")
            .hint("leave `repository` out");
        problems.push(at(request, "repository", problem));
    }
    if remote {
        inputs.insert("chart".into(), chart.into());
        if given("version").is_none() {
            let problem = Diagnostic::error("chart_version", "a chart from a repository needs an exact `version`")
                .because("without one the same plan would install something else tomorrow");
            problems.push(at(request, "chart", problem));
        }
        return;
    }
    let folder = normalize("", chart).map_err(|e| e.to_string());
    let found = folder.and_then(|folder| {
        request.sources.read(&format!("{folder}/Chart.yaml")).map(|file| (folder, file)).map_err(|e| e.to_string())
    });
    match found {
        Ok((folder, file)) => {
            if let Some(problem) = another_version(&file, &folder, given("version").and_then(Value::as_str)) {
                problems.push(at(request, "version", problem));
            }
            inputs.insert("chart".into(), folder.into());
        }
        Err(why) => {
            let problem = Diagnostic::error("chart", format!("`{chart}` is no chart of the project"))
                .because(why)
                .hint("a chart from a repository needs `repository = \"https://...\"`");
            problems.push(at(request, "chart", problem));
        }
    }
}

/// Where a folder holds another version of its chart than is declared beside it: nothing could be pinned by that.
fn another_version(file: &[u8], folder: &str, declared: Option<&str>) -> Option<Diagnostic> {
    let declared = declared?;
    let metadata = yaml::documents(&String::from_utf8_lossy(file)).ok()?.into_iter().next()?;
    let held = metadata["version"].as_str()?;
    let plain = |version: &str| version.trim_start_matches('v').to_owned();
    (plain(held) != plain(declared)).then(|| {
        let what = format!("the chart in `{folder}` is version {held}, and {declared} is declared");
        Diagnostic::error("chart_version", what)
            .because("a chart of the project is whatever its folder holds")
            .hint(format!("leave `version` out, or bring it and {folder}/Chart.yaml together"))
    })
}

/// Files in order, then `values`, then `sensitive_values`; maps are merged, everything else is replaced.
fn values(request: &Prepare<'_>, problems: &mut Diagnostics) -> Value {
    let mut merged = Value::object::<&str>([]);
    let files = request.inputs.get("values_files").and_then(Value::as_seq);
    for (at_index, file) in files.into_iter().flat_map(|f| f.iter()).enumerate() {
        let Some(path) = file.as_str() else {
            // Which file is not known yet, so neither are the values.
            return Value::UNKNOWN;
        };
        let read = normalize("", path)
            .and_then(|path| request.sources.read(&path))
            .map_err(|e| e.to_string())
            .and_then(|bytes| String::from_utf8(bytes.to_vec()).map_err(|_| "it is no UTF-8 text".to_owned()))
            .and_then(|text| yaml::documents(&text));
        match read.map(|mut documents| (documents.len(), documents.pop())) {
            Ok((0, _)) => {}
            Ok((1, Some(document @ Json::Object(_)))) => merged = merge(&merged, &Value::from_json(&document)),
            other => {
                let why = other.err().unwrap_or_else(|| "it is not one map of values".to_owned());
                let problem = Diagnostic::error("values_file", format!("the values file `{path}` cannot be used"));
                let span = (request.place)(&Path::default().key("values_files").index(at_index));
                let span = span.or_else(|| (request.place)(&Path::default().key("values_files")));
                let problem = problem.because(why);
                problems.push(match span {
                    Some(span) => problem.at(&span, ""),
                    None => problem,
                });
            }
        }
    }
    for name in ["values", "sensitive_values"] {
        if let Some(over) = request.inputs.get(name).filter(|v| !v.is_null()) {
            let over = if name == "values" { over.clone() } else { over.sensitive_leaves() };
            merged = merge(&merged, &over);
        }
    }
    merged
}

fn merge(under: &Value, over: &Value) -> Value {
    let (Data::Mapping(kind, a), Data::Mapping(_, b)) = (under.data(), over.data()) else { return over.clone() };
    let mut entries = (**a).clone();
    for (key, value) in b.iter() {
        let merged = entries.get(key).map_or_else(|| value.clone(), |there| merge(there, value));
        entries.insert(key.clone(), merged);
    }
    Value::from(Data::Mapping(*kind, Arc::new(entries))).with_mark(under.is_sensitive() || over.is_sensitive())
}

/// The chart that a declaration names.
pub(super) fn chart_of(inputs: &Value) -> ChartRef {
    let text = |name: &str| inputs.get(name).and_then(Value::as_str).map(str::to_owned);
    ChartRef { chart: text("chart").unwrap_or_default(), repository: text("repository"), version: text("version") }
}

/// The label that tells by which content of its chart a revision was made.
const CHART_LABEL: &str = "terrace.dev/chart";

/// True where a revision was made by exactly this chart and by what is wanted, so that rendering again tells nothing new.
pub(super) fn is_made_by(release: &Release, desired: &Desired, chart: &Chart) -> bool {
    // Helm hands labels on to what another tool makes: only an effect's own revision is known.
    !release.token.is_empty()
        && release.labels.get(CHART_LABEL) == Some(&short(&chart.digest))
        && desired.inputs.get("values").and_then(Value::to_json).unwrap_or_else(|| json!({})) == release.values
}

fn short(digest: &str) -> String {
    digest.rsplit(':').next().unwrap_or_default().chars().take(40).collect()
}

/// What Helm is asked for, of a chart that was found.
pub(super) fn request_of(
    context: &Context,
    desired: &Desired,
    chart: &Chart,
    effect: (&str, ActionWord),
) -> Outcome<ReleaseRequest> {
    let (token, action) = effect;
    let mut request = request(context, desired, token)?;
    request.labels.insert(CHART_LABEL.to_owned(), short(&chart.digest));
    request.upgrade = action != ActionWord::Create;
    Ok(request)
}

/// What Helm is asked for.
pub(super) fn request(context: &Context, desired: &Desired, token: &str) -> Outcome<ReleaseRequest> {
    let inputs = &desired.inputs;
    let unknown = || {
        Failure::new(
            Class::Invalid,
            "helm",
            context.address.to_string(),
            "a value is not known, or was kept as a seal only",
        )
    };
    let text = |name: &str| inputs.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(unknown);
    let limit = if flag(inputs, "atomic") { context.time_left() * 2 / 3 } else { context.time_left() };
    let timeout = inputs.get("timeout").and_then(Value::as_str).and_then(|t| parse_duration(t).ok());
    Ok(ReleaseRequest {
        name: text("name")?,
        namespace: text("namespace")?,
        chart: chart_of(inputs),
        values: inputs.get("values").map_or_else(|| Some(json!({})), Value::to_json).ok_or_else(unknown)?,
        labels: context.marks.labels(&context.address),
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT).min(limit),
        wait: flag(inputs, "wait"),
        token: token.to_owned(),
        upgrade: false,
    })
}

/// A bool of the normal form.
pub(super) fn flag(inputs: &Value, name: &str) -> bool {
    inputs.get(name).and_then(Value::as_bool).unwrap_or(true)
}

fn is_dns_label(text: &str, limit: usize) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    plain && !text.is_empty() && text.len() <= limit && !text.starts_with('-') && !text.ends_with('-')
}

fn at(request: &Prepare<'_>, attribute: &str, problem: Diagnostic) -> Diagnostic {
    match (request.place)(&Path::default().key(attribute)) {
        Some(span) => problem.at(&span, ""),
        None => problem,
    }
}
