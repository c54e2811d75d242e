//! The project a command works in, and the plan that is meant.
//!
//! The project is the nearest folder upwards that holds terrace.toml; without one it is the folder around `plans/` for a plan
//! in there, and a plan's own folder for any other.
#![expect(clippy::disallowed_methods, reason = "this is where project folders are looked for on disk")]

use crate::{
    base::SourceMap,
    cli::{
        error::{Error, Result},
        place,
        settings::{self, Settings},
        sources::DiskSources,
        surroundings::Surroundings,
    },
    lang::suggest,
    state::Release,
    world::live::LockedArchive,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where plans lie in a project.
const PLANS: &str = "plans";
/// Where Terrace keeps what is its own.
const OWN: &str = ".terrace";

/// A project.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Its folder, absolute.
    pub(crate) folder: PathBuf,
    /// Its name: from terrace.toml, else the folder's.
    pub(crate) name: Arc<str>,
    /// terrace.toml.
    pub(crate) settings: Settings,
    /// Its files.
    pub(crate) sources: DiskSources,
    /// Where programs run: the folder, or where a release's files were laid out.
    pub(crate) work: PathBuf,
    /// Charts that a release brings along.
    pub(crate) released: Vec<LockedArchive>,
}

/// A plan of a project.
#[derive(Debug, Clone)]
pub(crate) struct PlanPlace {
    /// The project.
    pub(crate) project: Project,
    /// The plan's folder, relative to the project; `.` where it is the project's own.
    pub(crate) folder: String,
    /// How the plan is named on a command line typed in the same folder.
    pub(crate) spoken: String,
}

impl Project {
    /// The project of the current folder, or of `--project`; the folder itself where no terrace.toml is found.
    ///
    /// # Errors
    /// A folder that is not there, or settings that are wrong.
    pub(crate) fn find(surroundings: &Surroundings, explicit: Option<&Path>) -> Result<Self> {
        let start = existing(&surroundings.folder, explicit.unwrap_or(Path::new(".")))?;
        match explicit {
            Some(_) => Self::open(start),
            None => Self::open(upwards(&start).unwrap_or(start)),
        }
    }

    /// The project in this folder.
    fn open(folder: PathBuf) -> Result<Self> {
        let settings = read_settings(&folder)?;
        let own = folder.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = settings.name.clone().or(own).unwrap_or_else(|| "project".to_owned());
        let sources = DiskSources::new(&folder).map_err(|e| unreadable(&folder, &e))?;
        let work = folder.clone();
        Ok(Self { folder, name: name.into(), settings, sources, work, released: Vec::new() })
    }

    /// The project, with programs that run where a release's files were laid out.
    pub(crate) fn laid_out_at(self, work: PathBuf, release: &Release) -> Self {
        let released = place::locked_charts(release, &work);
        Self { work, released, ..self }
    }

    /// The folder of what Terrace itself keeps here.
    pub(crate) fn own_folder(&self) -> PathBuf {
        self.folder.join(OWN)
    }

    /// The folder of the embedded world.
    pub(crate) fn sandbox_folder(&self) -> PathBuf {
        self.own_folder().join("sandbox")
    }

    /// The folder of one state (rule 2). `world` is `sandbox`, or account and region.
    pub(crate) fn state_folder(&self, plan: &str, env: &str, world: &str) -> PathBuf {
        self.own_folder().join("state").join(plan).join(env).join(world)
    }

    /// Labels of the plans that have a state here.
    pub(crate) fn labels_in_state(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.own_folder().join("state")) else { return Vec::new() };
        let mut labels: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
        labels.sort();
        labels
    }

    /// Names of the plans under `plans/`.
    pub(crate) fn plans(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join(PLANS)) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| holds_hcl(&entry.path()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

/// The plan that a command line means.
///
/// # Errors
/// Where none can be meant, or more than one.
pub(crate) fn find_plan(surroundings: &Surroundings, explicit: Option<&Path>, plan: Option<&str>) -> Result<PlanPlace> {
    let Some(plan) = plan else { return only_plan(surroundings, explicit) };
    let path = surroundings.folder.join(plan);
    if path.is_dir() && holds_hcl(&path) {
        return plan_in(surroundings, explicit, &path, plan);
    }
    let project = Project::find(surroundings, explicit)?;
    let named = project.folder.join(PLANS).join(plan);
    if !plan.contains(['/', '\\']) && named.is_dir() && holds_hcl(&named) {
        return Ok(PlanPlace { folder: format!("{PLANS}/{plan}"), spoken: plan.to_owned(), project });
    }
    let error = if path.is_dir() {
        Error::usage("plan_missing", format!("`{plan}` holds no .hcl file, so it is no plan"))
    } else if path.is_file() {
        Error::usage("plan_missing", format!("`{plan}` is a file; name the plan's folder"))
    } else {
        Error::usage("plan_missing", format!("there is no plan `{plan}`, neither as a folder nor under {PLANS}/"))
    };
    Err(with_plans(error, plan, &project.plans()))
}

/// True where the words name a plan: used where a word may be a plan or something else.
pub(crate) fn is_plan(surroundings: &Surroundings, explicit: Option<&Path>, word: &str) -> bool {
    find_plan(surroundings, explicit, Some(word)).is_ok()
}

fn with_plans(error: Error, plan: &str, plans: &[String]) -> Error {
    match suggest::nearest(plan, plans.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if plans.is_empty() => error.hint("`terrace init` makes a new project with a plan in it"),
        None => error.hint(format!("plans here: {}", plans.join(", "))),
    }
}

fn only_plan(surroundings: &Surroundings, explicit: Option<&Path>) -> Result<PlanPlace> {
    let here = match explicit {
        Some(folder) => existing(&surroundings.folder, folder)?,
        None => surroundings.folder.clone(),
    };
    if declares_plan(&here) {
        return plan_in(surroundings, explicit, &here, ".");
    }
    let project = Project::find(surroundings, explicit)?;
    let mut plans = project.plans();
    match plans.len() {
        1 => {
            let name = plans.remove(0);
            Ok(PlanPlace { folder: format!("{PLANS}/{name}"), spoken: name, project })
        }
        0 => Err(Error::usage("plan_missing", "there is no plan here")
            .because(format!("{} has no plans/ folder with a plan in it", project.folder.display()))
            .hint("name a plan's folder, or make a new project with: terrace init")),
        _ => Err(Error::usage("plan_ambiguous", "there is more than one plan here; name the one you mean")
            .hint(format!("with its name or --plan NAME; plans here: {}", plans.join(", ")))),
    }
}

fn plan_in(surroundings: &Surroundings, explicit: Option<&Path>, path: &Path, spoken: &str) -> Result<PlanPlace> {
    let path = fs::canonicalize(path).map_err(|e| unreadable(path, &e))?;
    let folder = match explicit {
        Some(explicit) => existing(&surroundings.folder, explicit)?,
        None => upwards(&path).or_else(|| around_plans(&path)).unwrap_or_else(|| path.clone()),
    };
    let project = Project::open(folder)?;
    let Ok(inside) = path.strip_prefix(&project.folder) else {
        let message = format!("the plan {} lies outside the project {}", path.display(), project.folder.display());
        return Err(Error::usage("plan_outside_project", message).hint("leave --project away, or name its own folder"));
    };
    let parts: Vec<_> = inside.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    let folder = if parts.is_empty() { ".".to_owned() } else { parts.join("/") };
    Ok(PlanPlace { project, folder, spoken: spoken.to_owned() })
}

fn existing(base: &Path, folder: &Path) -> Result<PathBuf> {
    let path = base.join(folder);
    match fs::canonicalize(&path) {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(_) => Err(Error::usage("project_missing", format!("{} is no folder", path.display()))),
        Err(e) => Err(unreadable(&path, &e).exit(crate::cli::exit::Exit::Usage)),
    }
}

fn unreadable(path: &Path, e: &io::Error) -> Error {
    Error::new("file_unreadable", format!("{}: {e}", path.display()))
}

fn upwards(start: &Path) -> Option<PathBuf> {
    start.ancestors().find(|folder| folder.join(settings::FILE).is_file()).map(Path::to_path_buf)
}

/// The folder around `plans/`, for a plan in it where no terrace.toml says where the project is.
fn around_plans(plan: &Path) -> Option<PathBuf> {
    let plans = plan.parent().filter(|folder| folder.file_name().is_some_and(|name| name == PLANS))?;
    plans.parent().map(Path::to_path_buf)
}

fn hcl_files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(|path| path.extension().is_some_and(|e| e == "hcl") && path.is_file())
}

fn holds_hcl(folder: &Path) -> bool {
    hcl_files(folder).next().is_some()
}

/// True where a file of the folder has a line that begins a `plan` block; a module's folder has none.
fn declares_plan(folder: &Path) -> bool {
    hcl_files(folder).any(|path| {
        let begins =
            |line: &str| line.trim_start().strip_prefix("plan").is_some_and(|r| r.trim_start().starts_with('"'));
        fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).lines().any(begins))
    })
}

fn read_settings(folder: &Path) -> Result<Settings> {
    let path = folder.join(settings::FILE);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|_| Error::new("settings_syntax", format!("{} is not UTF-8", path.display())))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Settings::default()),
        Err(e) => return Err(unreadable(&path, &e)),
    };
    let (settings, problems) = settings::parse(&text);
    if problems.is_empty() {
        return Ok(settings);
    }
    let mut sources = SourceMap::default();
    sources.insert(settings::FILE.into(), text.into());
    Err(Error::from(problems).with_sources(sources))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if file.ends_with("plan.hcl") { "plan \"x\" {}\n" } else { "" };
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn find(folder: &Path, plan: Option<&str>) -> Result<(PathBuf, String)> {
        let surroundings = Surroundings { folder: folder.to_owned(), ..Surroundings::default() };
        find_plan(&surroundings, None, plan).map(|place| {
            let root = fs::canonicalize(folder).unwrap();
            (
                place.project.folder.strip_prefix(root).map_or(place.project.folder.clone(), Path::to_path_buf),
                place.folder,
            )
        })
    }

    #[test]
    fn a_plan_is_found_by_folder_by_name_and_by_being_the_only_one() {
        let tree = tree(&["terrace.toml", "plans/shop/plan.hcl"]);
        let expected = (PathBuf::new(), "plans/shop".to_owned());
        assert_eq!(find(tree.path(), Some("plans/shop")).unwrap(), expected);
        assert_eq!(find(tree.path(), Some("shop")).unwrap(), expected);
        assert_eq!(find(tree.path(), None).unwrap(), expected);
        let inside =
            find_plan(&Surroundings { folder: tree.path().join("plans/shop"), ..Surroundings::default() }, None, None);
        assert_eq!(inside.unwrap().folder, "plans/shop");
    }

    #[test]
    fn a_plan_without_a_project_is_its_own() {
        let tree = tree(&["shop/plan.hcl"]);
        assert_eq!(find(tree.path(), Some("shop")).unwrap(), (PathBuf::from("shop"), ".".to_owned()));
    }

    #[test]
    fn several_plans_must_be_told_apart_and_a_slip_is_named() {
        let tree = tree(&["terrace.toml", "plans/shop/plan.hcl", "plans/base/plan.hcl", "modules/m/main.hcl"]);
        assert_eq!(find(tree.path(), None).unwrap_err().diagnostics.0[0].code, "plan_ambiguous");
        let error = find(tree.path(), Some("shpo")).unwrap_err(); // spellchecker:disable-line
        assert_eq!(error.diagnostics.0[0].hint.as_deref(), Some("did you mean `shop`?"));
        let module = find(&tree.path().join("modules/m"), None).unwrap_err();
        assert_eq!(module.diagnostics.0[0].code, "plan_ambiguous", "a module is no plan");
    }
}
