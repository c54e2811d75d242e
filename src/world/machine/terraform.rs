//! Terraform and OpenTofu as programs of this machine: serves the live world and the sandbox alike (rule 24).
//!
//! A root's program works in a folder of its own under `.terrace/terraform`, never in the root's `.terraform`. Reading order:
//! here (what is asked of the programs), `process` (how one is run and ended), `words` (what they say).

#![expect(clippy::disallowed_methods, reason = "this is the seam behind which programs work on roots")]

mod process;
mod words;

use crate::{
    base::{Digest, Hidden, Secret, Value},
    world::{
        Class, Failure, Kept, Outcome, Progress, Root, RootAim, RootEnd, RootLock, RootPlan, RootState, Terraform,
    },
};
use process::{Call, End, Place, local, make_folder, private_file, whole};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use words::{About, Said};

/// The oldest versions that are run: plan files told as JSON with `import`, checks and reasons.
const OLDEST: [(&str, semver::Version); 2] =
    [("Terraform", semver::Version::new(1, 5, 0)), ("OpenTofu", semver::Version::new(1, 6, 0))];
/// The major version of the plan's JSON format that is read.
const FORMAT: &str = "1";
/// Looks and initialisations may take as long at most as the caller gives, and asking for a version this long.
const VERSION_LIMIT: Duration = Duration::from_secs(30);

/// The programs, with what was found out about them and about roots since this process began.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// Programs whose version is known and new enough.
    checked: Mutex<BTreeSet<String>>,
    /// Roots that this process has initialised, by key and what that depended on.
    ready: Mutex<BTreeSet<(String, Digest)>>,
    /// Initialising one root at a time: a plugin cache that they share is not made for more.
    turn: tokio::sync::Mutex<()>,
}

fn nothing(_: &str) {}

impl Roots {
    async fn version(&self, root: &Root, place: &Place) -> Outcome<()> {
        if self.checked.lock().unwrap_or_else(PoisonError::into_inner).contains(&root.program) {
            return Ok(());
        }
        let end = call(root, place, &["version"], VERSION_LIMIT).read().await?;
        let fail = |what: String| Err(Failure::new(Class::Local, "version", &root.program, what));
        let Some((name, version)) = words::version(&end.out) else {
            let said = words::in_text(&format!("{}\n\n{}", end.out, end.err));
            if end.code != Some(0) && !said.is_empty() {
                return Err(failure(root, "version", Class::Local, &said, &end));
            }
            return fail(format!("`{}` is neither Terraform nor OpenTofu", root.program));
        };
        match OLDEST.iter().find(|(known, _)| *known == name) {
            Some((_, oldest)) if version < *oldest => {
                return fail(format!("`{}` is {name} {version}, and {oldest} is the oldest that works", root.program));
            }
            Some(_) => {}
            None => return fail(format!("`{}` is `{name}`, which is not known here", root.program)),
        }
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).insert(root.program.clone());
        Ok(())
    }

    /// Initialises the root, once in a process: backend, providers by the lock file, modules.
    async fn ready(&self, root: &Root, limit: Duration) -> Outcome<Place> {
        let place = Place::new(&root.key)?;
        self.version(root, &place).await?;
        let backend: BTreeMap<&str, &str> =
            root.backend.iter().map(|(k, v)| (k.as_str(), v.expose().as_str())).collect();
        let depends = json!([root.program, root.folder, root.workspace, backend]).to_string();
        let depends = (root.key.clone(), Digest::of(depends.as_bytes()));
        let _turn = self.turn.lock().await;
        if self.ready.lock().unwrap_or_else(PoisonError::into_inner).contains(&depends) {
            return Ok(place);
        }
        make_folder(&place.data())?;
        let mut arguments = vec!["init".to_owned(), "-input=false".to_owned(), "-no-color".to_owned()];
        if Path::new(&root.folder).join(".terraform.lock.hcl").is_file() {
            arguments.push("-lockfile=readonly".to_owned());
        }
        let _settings = if root.backend.is_empty() {
            None
        } else {
            let lines: Vec<String> =
                root.backend.iter().map(|(k, v)| format!("{k} = {}", quoted(v.expose()))).collect();
            let file = Brief::new(place.brief("tfbackend"), &(lines.join("\n") + "\n"))?;
            arguments.push(format!("-backend-config={}", file.0.display()));
            Some(file)
        };
        let end = Call { root, place: &place, arguments, limit }.read().await?;
        if end.code != Some(0) {
            let said = words::in_text(&format!("{}\n\n{}", end.out, end.err));
            return Err(failure(root, "init", Class::Invalid, &said, &end));
        }
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(depends);
        Ok(place)
    }
}

/// A file that only a program reads while it runs; gone afterwards.
struct Brief(std::path::PathBuf);

impl Brief {
    fn new(path: std::path::PathBuf, text: &str) -> Outcome<Self> {
        let mut file = private_file(&path)?;
        let file_of = Self(path);
        file.write_all(text.as_bytes()).map_err(|e| local(&file_of.0.display().to_string(), &e))?;
        Ok(file_of)
    }
}

impl Drop for Brief {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A text as HCL writes it, with nothing in it taken for a template.
fn quoted(text: &str) -> String {
    Json::from(text).to_string().replace("${", "$${").replace("%{", "%%{")
}

fn call<'a>(root: &'a Root, place: &'a Place, arguments: &[&str], limit: Duration) -> Call<'a> {
    Call { root, place, arguments: arguments.iter().map(|a| (*a).to_owned()).collect(), limit }
}

fn failure(root: &Root, command: &str, class: Class, said: &[Said], end: &End) -> Failure {
    let plain = format!("{} -chdir={}", root.program, root.folder);
    let unlock = by_hand(root, "force-unlock");
    let operation = format!("{} {command}", root.program);
    let about = About { operation: &operation, folder: &root.folder, by_hand: &plain, unlock: &unlock, class };
    words::failure(&about, said, if end.err.trim().is_empty() { &end.out } else { &end.err })
}

/// How the program is called by hand for a root: with the folder and workspace that it works with.
fn by_hand(root: &Root, words: &str) -> String {
    let data = Path::new(".terrace/terraform").join(&root.key).join("data");
    format!(
        "TF_DATA_DIR=\"$PWD/{}\" TF_WORKSPACE={} {} -chdir={} {words}",
        data.display(),
        root.workspace,
        root.program,
        root.folder
    )
}

/// Runs a command whose output is of no use once it was read.
async fn logged(call: &Call<'_>) -> Outcome<End> {
    let log = call.place.brief("jsonl");
    let end = call.log(&log, &nothing).await;
    let _ = std::fs::remove_file(&log);
    let _ = std::fs::remove_file(log.with_extension("err"));
    end
}

/// Arguments for the root's variables, and the file that holds them for as long as it is kept.
fn variables(root: &Root, place: &Place) -> Outcome<(Vec<String>, Brief)> {
    let mut arguments = Vec::new();
    for file in &root.var_files {
        let path = std::path::absolute(file).map_err(|e| local(file, &e))?;
        arguments.push(format!("-var-file={}", path.display()));
    }
    let file = Brief::new(place.brief("tfvars.json"), root.variables.expose())?;
    arguments.push(format!("-var-file={}", file.0.display()));
    Ok((arguments, file))
}

#[async_trait::async_trait]
impl Terraform for Roots {
    async fn state(&self, root: &Root, limit: Duration) -> Outcome<RootState> {
        let place = self.ready(root, limit).await?;
        let end = call(root, &place, &["state", "pull"], limit).read().await?;
        if end.code != Some(0) {
            return Err(failure(root, "state pull", Class::Invalid, &words::in_text(&end.err), &end));
        }
        state_of(root, &end.out)
    }

    async fn plan(&self, root: &Root, aim: RootAim, name: &str, limit: Duration) -> Outcome<RootPlan> {
        let place = self.ready(root, limit).await?;
        let saved = place.saved(name);
        // Made by us, so that it is private before the program writes to it.
        drop(private_file(&saved)?);
        let (more, brief) = variables(root, &place)?;
        let mut arguments: Vec<String> =
            ["plan", "-input=false", "-json", "-detailed-exitcode", "-lock-timeout=0s"].map(str::to_owned).into();
        if aim == RootAim::Destroyed {
            arguments.push("-destroy".to_owned());
        }
        arguments.push(format!("-out={}", saved.display()));
        arguments.extend(more);
        let end = logged(&Call { root, place: &place, arguments, limit }).await?;
        let mut said = words::in_events(&end.out);
        let given = brief.0.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // The file that hands the values over is ours, and gone by now: it is no place to look at.
        said.iter_mut().filter(|said| said.place.contains(&given)).for_each(|said| said.place.clear());
        if !matches!(end.code, Some(0 | 2)) {
            let _ = std::fs::remove_file(&saved);
            return Err(failure(root, "plan", Class::Invalid, &said, &end));
        }
        let mut unknown = said.iter().filter_map(|said| words::undeclared(said, &given));
        if let Some(name) = unknown.next().filter(|_| aim == RootAim::Declared) {
            let _ = std::fs::remove_file(&saved);
            let what = format!("the root declares no variable `{name}`, and it is given one");
            let operation = format!("{} plan", root.program);
            return Err(Failure::new(Class::Invalid, operation, &root.folder, what)
                .hint("take it out of `inputs` or `sensitive_inputs`, or declare it in the root"));
        }
        let changes = end.code == Some(2);
        let path = saved.display().to_string();
        let end = call(root, &place, &["show", "-json", "-no-color", &path], limit).read().await?;
        if end.code != Some(0) {
            return Err(failure(root, "show", Class::Invalid, &words::in_text(&end.err), &end));
        }
        let shown = shown(root, &end.out)?;
        let digest = digest(&saved)?.ok_or_else(|| {
            Failure::new(Class::Local, "plan", &root.folder, "the program said that it saved a plan, and did not")
        })?;
        let warnings = said.iter().filter(|s| !s.error).map(Said::line).collect();
        Ok(RootPlan { changes, shown: Secret::new(shown), digest, warnings })
    }

    async fn kept(&self, key: &str, name: &str, wanted: &Digest) -> Outcome<Kept> {
        Ok(match digest(&Place::new(key)?.saved(name))? {
            None => Kept::Missing,
            Some(found) if found == *wanted => Kept::Whole,
            Some(_) => Kept::Altered,
        })
    }

    async fn apply(
        &self,
        root: &Root,
        name: &str,
        token: &str,
        progress: Progress<'_>,
        limit: Duration,
    ) -> Outcome<RootEnd> {
        let place = self.ready(root, limit).await?;
        // What became of runs before this one is known by now.
        place.clear(root, limit).await?;
        let run = place.run(token);
        make_folder(&run)?;
        let started = jiff::Timestamp::now();
        private_file(&run.join("started"))?
            .write_all(started.to_string().as_bytes())
            .map_err(|e| local(&root.folder, &e))?;
        let saved = place.saved(name).display().to_string();
        let arguments = ["apply", "-input=false", "-json", "-lock-timeout=0s", &saved].map(str::to_owned).into();
        let end = Call { root, place: &place, arguments, limit }.log(&run.join("log.jsonl"), progress).await?;
        Ok(settled(root, &run, ending(root, &end, started)))
    }

    async fn ended(&self, root: &Root, token: &str, progress: Progress<'_>, limit: Duration) -> Outcome<RootEnd> {
        let place = Place::new(&root.key)?;
        let run = place.run(token);
        let started = whole(&run.join("started"))?;
        let Ok(started) = started.parse::<jiff::Timestamp>() else { return Ok(RootEnd::Unknown) };
        let log = run.join("log.jsonl");
        place.quiet(root, &log, progress, limit).await?;
        let note = whole(&run.join("done"))?;
        if !note.is_empty() {
            return Ok(RootEnd::Done { note });
        }
        let end = End { code: None, out: whole(&log)?, err: whole(&log.with_extension("err"))?, stopped: false };
        Ok(settled(root, &run, ending(root, &end, started)))
    }

    async fn lock(&self, root: &Root, limit: Duration) -> Outcome<Option<RootLock>> {
        let place = self.ready(root, limit).await?;
        let (more, _brief) = variables(root, &place)?;
        let mut arguments: Vec<String> =
            ["plan", "-input=false", "-json", "-refresh=false", "-lock-timeout=0s"].map(str::to_owned).into();
        arguments.extend(more);
        let end = logged(&Call { root, place: &place, arguments, limit }).await?;
        Ok(words::in_events(&end.out).iter().find_map(words::lock))
    }

    async fn discard(&self, key: &str, name: &str) -> Outcome<()> {
        match std::fs::remove_file(Place::new(key)?.saved(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(local(key, &e)),
            _ => Ok(()),
        }
    }

    fn by_hand(&self, root: &Root, words: &str) -> String {
        by_hand(root, words)
    }
}

/// Takes from the log what nobody asks it for any more, once it was read: it may tell values of outputs, or what a provisioner
/// printed, that the root does not know to be secret. Of a success a word stays, of anything else what it can be told by again.
fn settled(root: &Root, run: &Path, end: RootEnd) -> RootEnd {
    let log = run.join("log.jsonl");
    if let RootEnd::Done { note } = &end {
        let written = private_file(&run.join("done")).is_ok_and(|mut file| file.write_all(note.as_bytes()).is_ok());
        if written {
            let _ = std::fs::remove_file(log);
        }
        return end;
    }
    let given = serde_json::from_str::<Json>(root.variables.expose()).unwrap_or_default();
    let others =
        root.environment.values().chain(root.backend.values()).map(|value| Json::from(value.expose().as_str()));
    let given =
        Value::tuple([given].into_iter().chain(others).map(|json| Value::from_json(&json).sensitive()).collect());
    let hidden = Hidden::of([&given]);
    // In its place at once: a log that is gone would say that nothing was begun.
    let instead = |path: &Path, text: String| {
        let new = path.with_extension("new");
        let written = private_file(&new).is_ok_and(|mut file| file.write_all(text.as_bytes()).is_ok());
        if written {
            let _ = std::fs::rename(new, path);
        }
    };
    for (path, bare) in [(log.clone(), true), (log.with_extension("err"), false)] {
        let Ok(text) = whole(&path) else { continue };
        instead(&path, if bare { words::bare(&text, &hidden) } else { hidden.out_of(&text) });
    }
    end
}

/// How an apply ended, by what it wrote.
fn ending(root: &Root, end: &End, started: jiff::Timestamp) -> RootEnd {
    let said = words::in_events(&end.out);
    let story = words::story(&end.out);
    if said.iter().any(|s| s.error) || end.code.is_some_and(|code| code != 0) {
        let mut failed = failure(root, "apply", Class::Failed, &said, end);
        if end.stopped {
            failed.message = format!("it was stopped, since its time was over: {}", failed.message);
        }
        return RootEnd::Failed(failed);
    }
    if let Some(note) = story.done {
        return RootEnd::Done { note };
    }
    let amid = story.amid.iter().map(|(address, action)| format!("{address} ({action})")).collect();
    RootEnd::CutOff { begun: story.begun, amid, made: story.made, started }
}

fn digest(path: &Path) -> Outcome<Option<Digest>> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Ok(None),
        Ok(bytes) => Ok(Some(Digest::of(&bytes))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(local(&path.display().to_string(), &e)),
    }
}

/// The plan as JSON, where its format is one that is known.
fn shown(root: &Root, text: &str) -> Outcome<Json> {
    let fail = |class, what: String| Failure::new(class, format!("{} show", root.program), &root.folder, what);
    let json: Json =
        serde_json::from_str(text).map_err(|e| fail(Class::Failed, format!("the plan is not told as JSON: {e}")))?;
    let version = json["format_version"].as_str().unwrap_or_default();
    if version.split('.').next() != Some(FORMAT) {
        let what = format!("its plan has format {version}, and this terrace reads {FORMAT}.x");
        return Err(fail(Class::Unsupported, what).hint("use a newer terrace, or an older program"));
    }
    Ok(json)
}

fn state_of(root: &Root, text: &str) -> Outcome<RootState> {
    if text.trim().is_empty() {
        return Ok(RootState::default());
    }
    let fail = |what: String| Failure::new(Class::Failed, format!("{} state pull", root.program), &root.folder, what);
    let json: Json = serde_json::from_str(text).map_err(|_| fail("the state is not told as JSON".to_owned()))?;
    if json["version"] != json!(4) {
        return Err(fail(format!("the state has version {}, and this terrace reads 4", json["version"])));
    }
    let outputs = json["outputs"].as_object().into_iter().flatten().map(|(name, output)| {
        (name.clone(), (Secret::new(output["value"].clone()), output["sensitive"] == json!(true)))
    });
    let mut resources = Vec::new();
    for resource in json["resources"].as_array().into_iter().flatten().filter(|r| r["mode"] == "managed") {
        let text = |name: &str| resource[name].as_str().unwrap_or_default();
        let module = if text("module").is_empty() { String::new() } else { format!("{}.", text("module")) };
        for instance in resource["instances"].as_array().into_iter().flatten() {
            let key = match &instance["index_key"] {
                Json::Null => String::new(),
                key => format!("[{key}]"),
            };
            resources.push((format!("{module}{}.{}{key}", text("type"), text("name")), text("type").to_owned()));
        }
    }
    Ok(RootState {
        lineage: json["lineage"].as_str().filter(|l| !l.is_empty()).map(str::to_owned),
        serial: json["serial"].as_u64().unwrap_or_default(),
        outputs: outputs.collect(),
        resources,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_of_the_plan_is_refused_by_name() {
        let root = Root { program: "tofu".into(), folder: "infra".into(), ..Root::default() };
        let failure = shown(&root, "{\"format_version\":\"2.0\"}").unwrap_err();
        assert_eq!(failure.class, Class::Unsupported);
        assert!(failure.message.contains("format 2.0"), "{failure}");
        assert!(shown(&root, "{\"format_version\":\"1.9\"}").is_ok());
    }

    #[test]
    fn a_state_is_read_with_its_modules_keys_and_sensitive_outputs() {
        let text = r#"{"version":4,"serial":3,"lineage":"l","outputs":{"a":{"value":1,"type":"number"},"b":{"value":"x","sensitive":true}},
            "resources":[{"mode":"data","type":"d","name":"d","instances":[{}]},
            {"module":"module.m[\"k\"]","mode":"managed","type":"t","name":"n","instances":[{"index_key":0},{"index_key":"z"}]}]}"#;
        let state = state_of(&Root::default(), text).unwrap();
        let names: Vec<&str> = state.resources.iter().map(|(a, _)| a.as_str()).collect();
        assert_eq!(names, ["module.m[\"k\"].t.n[0]", "module.m[\"k\"].t.n[\"z\"]"]);
        assert!(!state.outputs["a"].1 && state.outputs["b"].1);
        assert_eq!(state_of(&Root::default(), "\n").unwrap(), RootState::default());
    }

    #[test]
    fn a_backend_setting_is_no_template() {
        assert_eq!(quoted("a\"${x}"), "\"a\\\"$${x}\"");
    }
}
