//! The store of releases, and a plan that is loaded from a release instead of the working folder.
#![expect(clippy::disallowed_methods, reason = "lays a release's files out for the programs that read them")]

use crate::{
    base::Digest,
    cli::{
        context::Context,
        error::{Error, Result},
        loaded::{self, Loaded},
        place::{self, random_id},
        project::{PlanPlace, Project},
        settings::Backend,
        signatures,
        sources::RecordingSources,
    },
    lang::{self, SourceError, Sources, suggest},
    promote::{ENVIRONMENTS, environment_blocks},
    state::{Bundle, StoredRelease, release},
    world::{Ledger, live::FileLedger},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The store that all environments of a project share: `[releases]` of terrace.toml, else where `[state]` is kept. Under
/// `--sandbox` it is in the project's folder.
///
/// # Errors
/// Settings that say too little; a live world that cannot be set up.
pub(crate) fn store(context: &Context, project: &Project) -> Result<Arc<dyn Ledger>> {
    let settings = project.settings.releases();
    if context.global.sandbox || settings.backend.unwrap_or_default() == Backend::File {
        return Ok(Arc::new(FileLedger::new(project.own_folder().join("releases"))));
    }
    Ok(Arc::new(place::releases_bucket(context, project, &settings)?))
}

/// The release that a word means: its digest, or the beginning of it that no other one has; `latest` for the newest.
///
/// # Errors
/// No such release, several, or a store that fails.
pub(crate) async fn find(context: &Context, ledger: &dyn Ledger, word: &str) -> Result<StoredRelease> {
    let all = release::releases(ledger).await?;
    pick(context, &all, word)
}

/// As [`find`], among those that were read already.
///
/// # Errors
/// No such release, or several.
pub(crate) fn pick(context: &Context, all: &[StoredRelease], word: &str) -> Result<StoredRelease> {
    if all.is_empty() {
        return Err(Error::new("release_unknown", "there is no release yet").hint("terrace release create makes one"));
    }
    let newest = word == "latest";
    let mut found: Vec<&StoredRelease> = all.iter().filter(|r| newest || r.digest.begins_with(word)).collect();
    if newest {
        // Of several plans each has a newest.
        let meant = context.plan(None).ok().map(|place| place.folder);
        found.retain(|r| meant.as_ref().is_none_or(|folder| *folder == *r.release.folder));
        let plans: BTreeSet<&str> = found.iter().map(|r| &*r.release.plan).collect();
        if plans.len() > 1 {
            let plans: Vec<&str> = plans.into_iter().collect();
            return Err(Error::usage("plan_ambiguous", "`latest` is of which plan? There are releases of several")
                .hint(format!("name it with --plan NAME, or the release by its digest; plans: {}", plans.join(", "))));
        }
        found.truncate(1);
    }
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let known: Vec<String> = all.iter().map(|r| r.digest.short().to_owned()).collect();
            let error = Error::usage("release_unknown", format!("there is no release `{word}`"));
            Err(match suggest::nearest(word, known.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("terrace release list shows them"),
            })
        }
        several => {
            let names: Vec<&str> = several.iter().map(|r| r.digest.short()).take(5).collect();
            Err(Error::usage("release_unknown", format!("`{word}` means {} releases", several.len()))
                .hint(format!("write more of it: {}", names.join(", "))))
        }
    }
}

/// A plan as a release has it: its files and nothing of the working folder but environment blocks and their values (rule 26).
///
/// # Errors
/// A release that is not there or was altered; environments that cannot be read; a plan that is wrong with them.
pub(crate) async fn load(context: &Context, plan: Option<&str>, word: &str) -> Result<Loaded> {
    let project = context.project()?;
    let ledger = store(context, &project)?;
    let found = find(context, &*ledger, word).await?;
    if let Some(plan) = plan.or(context.global.of_plan.as_deref()) {
        let place = context.plan(Some(plan))?;
        if place.folder != *found.release.folder {
            let message = format!("the release {} is one of {}", found.digest.short(), found.release.folder);
            return Err(
                Error::usage("release_of_other_plan", message).hint(format!("and `{plan}` is {}", place.folder))
            );
        }
    }
    load_found(project, &*ledger, &found).await
}

/// As [`load`], of a release that was found already.
///
/// # Errors
/// As [`load`].
pub(crate) async fn load_found(project: Project, ledger: &dyn Ledger, found: &StoredRelease) -> Result<Loaded> {
    let bundle = release::bundle(ledger, &found.digest).await?;
    signatures::required(&project, ledger, &found.digest, &bundle.release).await?;
    let folder = bundle.release.folder.clone();
    let environments = environments(&project.sources, &folder)?;
    let at = place_files(&project, &found.digest, &bundle)?;
    let files = Arc::new(project.sources.clone());
    let spoken = found.release.plan.to_string();
    let place = PlanPlace { folder: folder.to_string(), spoken, project: project.laid_out_at(at, &bundle.release) };
    let sources = ReleaseSources { bundle: Arc::new(bundle), project: files, environments };
    let sources = Arc::new(RecordingSources::new(Arc::new(sources)));
    loaded::checked(place, sources, Some(found.digest.clone()))
}

/// The environment blocks of a plan's folder, and the name of the file that they are read by.
fn environments(sources: &dyn Sources, folder: &str) -> Result<Arc<[u8]>> {
    let names = sources.list(folder).map_err(|e| {
        Error::new("environments_unknown", e.to_string())
            .because("environments are no part of a release: they are read from the project's folder")
            .hint("run it in the project that declares them")
    })?;
    let mut text = String::new();
    for name in names.iter().filter(|name| lang::is_plan_file(name)) {
        let path = if folder == "." { name.clone() } else { format!("{folder}/{name}") };
        let content = sources.read(&path).map_err(|e| Error::new("file_unreadable", e.to_string()))?;
        let content = String::from_utf8_lossy(&content);
        text.push_str(&environment_blocks(&content, &path.as_str().into())?);
    }
    Ok(text.into_bytes().into())
}

/// The project with a release's files laid out for programs.
///
/// # Errors
/// A release that is not there or was altered; a disk that refuses.
pub(crate) async fn lay_out(context: &Context, project: Project, digest: &Digest) -> Result<Project> {
    let bundle = release::bundle(&*store(context, &project)?, digest).await?;
    let at = place_files(&project, digest, &bundle)?;
    Ok(project.laid_out_at(at, &bundle.release))
}

/// Lays a release's files out for programs that read them: charts, roots, commands. What is there already is the same.
fn place_files(project: &Project, digest: &Digest, bundle: &Bundle) -> Result<PathBuf> {
    let all = project.own_folder().join("released");
    let folder = all.join(digest.hex());
    if folder.is_dir() && whole(&folder, bundle) {
        return Ok(folder);
    }
    let unwritable = |e: std::io::Error| Error::new("file_unwritable", format!("{}: {e}", folder.display()));
    let draft = all.join(format!(".{}", random_id()));
    let result = (|| {
        for path in bundle.release.files.keys() {
            let Some(content) = bundle.file(path) else { continue };
            let target =
                draft.join(crate::lang::normalize(".", path).map_err(|e| std::io::Error::other(e.to_string()))?);
            fs::create_dir_all(target.parent().unwrap_or(&draft))?;
            fs::write(&target, content)?;
            mark_executable(&target, content)?;
        }
        fs::create_dir_all(&draft)?;
        share_own_folder(project, &draft)?;
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::rename(&draft, &folder)
    })();
    if let Err(e) = result {
        let _ = fs::remove_dir_all(&draft);
        // Somebody else may have laid it out in the meantime.
        if !whole(&folder, bundle) {
            return Err(unwritable(e));
        }
    }
    Ok(folder)
}

/// What programs keep in Terrace's own folder, as roots of Terraform do, is the project's whatever release they are of.
#[cfg(unix)]
fn share_own_folder(project: &Project, draft: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(project.own_folder(), draft.join(".terrace"))
}

#[cfg(not(unix))]
fn share_own_folder(_project: &Project, _draft: &Path) -> std::io::Result<()> {
    Ok(())
}

/// True where all files are there as the release has them.
fn whole(folder: &Path, bundle: &Bundle) -> bool {
    bundle
        .release
        .files
        .iter()
        .all(|(path, digest)| fs::read(folder.join(path)).is_ok_and(|c| Digest::of(&c) == *digest))
}

/// A script is run by its first line.
#[cfg(unix)]
fn mark_executable(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if content.starts_with(b"#!") || content.starts_with(b"\x7fELF") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn mark_executable(_path: &Path, _content: &[u8]) -> std::io::Result<()> {
    Ok(())
}

/// A release's files, with the environments of the project's folder and their values.
struct ReleaseSources {
    bundle: Arc<Bundle>,
    project: Arc<dyn Sources>,
    environments: Arc<[u8]>,
}

impl ReleaseSources {
    fn in_folder(&self, name: &str) -> String {
        match &*self.bundle.release.folder {
            "." => name.to_owned(),
            folder => format!("{folder}/{name}"),
        }
    }
}

impl Sources for ReleaseSources {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, SourceError> {
        if path == self.in_folder(ENVIRONMENTS) {
            return Ok(self.environments.clone());
        }
        if path.starts_with(&self.in_folder("environments/")) {
            return self.project.read(path);
        }
        self.bundle.file(path).cloned().ok_or_else(|| SourceError::Missing(format!("{path} (in the release)")))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let prefix = if folder == "." { String::new() } else { format!("{folder}/") };
        let below = self.bundle.release.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        let mut names: Vec<String> = below
            .filter(|rest| !rest.ends_with(" built by kustomize"))
            .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/")))
            .collect();
        if folder == &*self.bundle.release.folder {
            names.push(ENVIRONMENTS.to_owned());
        }
        names.sort();
        names.dedup();
        if names.is_empty() { Err(SourceError::Missing(format!("{folder} (in the release)"))) } else { Ok(names) }
    }

    fn kustomize(&self, folder: &str) -> Result<Arc<[u8]>, SourceError> {
        let path = crate::cli::sources::built(folder);
        self.bundle.file(&path).cloned().ok_or_else(|| SourceError::Missing(format!("{folder} (in the release)")))
    }
}
