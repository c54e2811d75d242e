//! Packs of rules that lie elsewhere: brought here once, named by what cannot change, and never without that.
#![expect(clippy::disallowed_methods, reason = "starts git, and keeps what it brought on disk")]

use crate::{
    base::{Digest, few},
    cli::{
        context::Context,
        error::{Error, Result},
        project::Project,
        registries,
        sources::{BROUGHT, BROUGHT_TO},
    },
    policy::{self, PackFiles},
};
use std::{fs, io, path::Path, process::Stdio, time::Duration};

/// How long git may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Variables by which git would work on another repository than the one at hand.
const OF_ANOTHER: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG_COUNT",
];
/// How large a pack may be: what is larger is none.
const LARGEST: u64 = 32 << 20;
/// How deep its folders may be.
const DEEPEST: usize = 16;

/// Where a pack comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin<'t> {
    /// A folder of the project.
    Folder(&'t str),
    /// A folder of a repository, at a commit.
    Git { url: &'t str, folder: &'t str, commit: &'t str },
    /// An artifact in a registry, by its digest.
    Oci(Digest),
}

/// Reads what `[policy] packs` names: a folder, `git::URL//FOLDER?ref=COMMIT`, `oci://HOST/REPOSITORY@sha256:DIGEST`.
fn origin(text: &str) -> Result<Origin<'_>> {
    let wrong = |what: &str, why: &str, hint: &str| {
        Error::usage("policy_pack_source", format!("`{text}` {what}")).because(why).hint(hint)
    };
    let floats =
        "what a name leads to may be something else tomorrow, and rules would change without anybody having agreed";
    if text.starts_with("oci://") {
        let digest = text.split_once('@').and_then(|(_, digest)| Digest::parse_hex(digest));
        let hint = "write oci://HOST/REPOSITORY@sha256:DIGEST; terrace policy push and oras print the digest";
        return digest.map(Origin::Oci).ok_or_else(|| wrong("names no digest", floats, hint));
    }
    let Some(rest) = text.strip_prefix("git::") else { return Ok(Origin::Folder(text)) };
    let hint = "write git::https://HOST/REPOSITORY.git//FOLDER?ref=COMMIT, with all 40 digits of the commit: git ls-remote prints them";
    let (rest, commit) = rest.split_once("?ref=").ok_or_else(|| wrong("names no commit", floats, hint))?;
    let digits = |commit: &str| matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| b.is_ascii_hexdigit());
    if !digits(commit) {
        return Err(wrong("names no commit by all its digits", floats, hint));
    }
    let scheme = rest.split_once("://").map_or("", |(scheme, _)| scheme);
    if !matches!(scheme, "https" | "ssh" | "file") {
        let why = "packs come over https, ssh or from a file of this machine: other ways run programs or prove nothing";
        return Err(wrong("is no repository that a pack comes from", why, hint));
    }
    let at = scheme.len() + "://".len();
    let (url, folder) = match rest[at..].find("//") {
        Some(end) => (&rest[..at + end], &rest[at + end + 2..]),
        None => (rest, ""),
    };
    if folder.split('/').any(|part| part == "..") {
        return Err(wrong("leads out of its repository", "a pack is a folder of it", hint));
    }
    Ok(Origin::Git { url, folder: folder.trim_end_matches('/'), commit })
}

/// The folder of a pack as sources know it; what lies elsewhere is brought here first, unless it is here already.
///
/// # Errors
/// What names no content, what cannot be had, and anything that is not here where nothing may be asked.
pub(crate) async fn folder(text: &str, project: &Project, context: &Context) -> Result<String> {
    let origin = origin(text)?;
    if let Origin::Folder(folder) = origin {
        return Ok(folder.to_owned());
    }
    let name = format!("{}{}", short_name(text), &Digest::of(text.as_bytes()).hex()[..12]);
    let home = project.folder.join(BROUGHT_TO);
    not_tracked(&project.folder).await?;
    let place = home.join(&name);
    if !place.is_dir() {
        if !context.uses_credentials {
            return Err(Error::new("policy_pack_source", format!("the pack {text} is not on this machine"))
                .because("for a pull request from a fork nothing is fetched with this machine's credentials")
                .hint("let a job that has them fetch it first, and keep .terrace/packs in its cache"));
        }
        context.terminal.status(&format!("Fetching the pack {text}"));
        let disk = |e: io::Error| Error::new("policy_pack_source", format!("{}: {e}", home.display()));
        fs::create_dir_all(&home).map_err(disk)?;
        let parcel = tempfile::tempdir_in(&home).map_err(disk)?;
        let files = match &origin {
            Origin::Folder(_) => PackFiles::new(),
            Origin::Git { url, folder, commit } => {
                let clone = parcel.path().join("repository");
                checked_out(url, commit, &clone).await?;
                let inside = clone.join(folder);
                let mut files = PackFiles::new();
                gather(&inside, "", DEEPEST, &mut files).map_err(|e| missing(text, &e.to_string()))?;
                files
            }
            Origin::Oci(digest) => {
                let (registry, _) = registries::placed(project, "read pack", text)?;
                policy::pull_pack(&*registry, digest).await?
            }
        };
        if !files.contains_key("pack.toml") {
            let there: Vec<&String> = files.keys().collect();
            return Err(missing(text, &format!("there is no pack.toml; there is {}", few(&there, 5))));
        }
        let laid = parcel.path().join("pack");
        for (path, content) in &files {
            let path = laid.join(path);
            let folder = path.parent().unwrap_or(&laid);
            fs::create_dir_all(folder).and_then(|()| fs::write(&path, content)).map_err(disk)?;
        }
        // Whole or not at all. Somebody else who brought the same meanwhile is as good.
        match fs::rename(&laid, &place) {
            Err(e) if !place.is_dir() => return Err(disk(e)),
            _ => {}
        }
    }
    Ok(format!("{BROUGHT}{name}"))
}

fn missing(text: &str, why: &str) -> Error {
    Error::new("policy_pack_source", format!("{text} is no pack")).because(why.to_owned())
        .hint("a pack is a folder with pack.toml, files of rules (*.guard) and tests/; what follows // is its folder in the repository")
}

/// What a pack is called on disk, for people who look: the last word of where it comes from.
fn short_name(text: &str) -> String {
    let path = text.split(['?', '@']).next().unwrap_or_default();
    let last = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default().trim_end_matches(".git");
    let plain: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(40).collect();
    if plain.is_empty() { plain } else { format!("{plain}-") }
}

/// Lays out one commit of a repository, links as files that say where they lead.
async fn checked_out(url: &str, commit: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Error::new("policy_pack_source", format!("{}: {e}", to.display())))?;
    git(to, &["init", "--quiet"], url).await?;
    // Not every server hands out a commit by its name: then all branches and tags are fetched.
    let shallow = ["fetch", "--quiet", "--no-tags", "--depth", "1", "--", url, commit];
    if git(to, &shallow, url).await.is_err() {
        git(to, &["fetch", "--quiet", "--tags", "--", url, "+refs/heads/*:refs/brought/*"], url).await?;
    }
    git(to, &["-c", "core.symlinks=false", "checkout", "--quiet", "--detach", commit], url).await
}

/// Runs git in a folder of our own, with no hooks and nobody to ask.
async fn git(folder: &Path, words: &[&str], url: &str) -> Result<()> {
    let failed = |why: String| {
        Error::new("policy_pack_source", format!("the pack's repository {url} cannot be had")).because(why)
            .hint("see whether git fetches it on this machine: the same credentials are used, and nobody is asked for a password")
    };
    let mut command = tokio::process::Command::new("git");
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"]).args(words);
    // What git is told by its surroundings, as in a hook of another repository, is about that one.
    for name in OF_ANOTHER {
        command.env_remove(name);
    }
    command.current_dir(folder).env("GIT_TERMINAL_PROMPT", "0");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    let ended = ended.map_err(|_| failed(format!("git did not end within {} seconds", PATIENCE.as_secs())))?;
    let ended = ended.map_err(|e| failed(format!("git cannot be started: {e}")))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(failed(few(&said, 5)))
}

/// Refuses what the project's own repository has in the place of packs from elsewhere: whoever may change a file of it would choose the rules, under
/// a name that says that they come from somewhere else.
async fn not_tracked(folder: &Path) -> Result<()> {
    let mut command = tokio::process::Command::new("git");
    command.args(["ls-files", "--", BROUGHT_TO]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    // Without git, or outside of a repository, nothing is tracked.
    let Ok(Ok(ended)) = ended else { return Ok(()) };
    let tracked = String::from_utf8_lossy(&ended.stdout);
    match tracked.lines().next() {
        None => Ok(()),
        Some(file) => Err(Error::new("policy_pack_source", format!("{file} is part of the repository"))
            .because("packs that are fetched lie there, and one that is committed would be taken for them")
            .hint(format!("git rm -r --cached {BROUGHT_TO}, and have .terrace in .gitignore"))),
    }
}

/// The files below a folder. What is no file, like a link, is left out.
fn gather(folder: &Path, path: &str, deeper: usize, files: &mut PackFiles) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && name != ".git" && deeper > 0 {
            gather(&entry.path(), &path, deeper - 1, files)?;
        } else if kind.is_file() {
            let size: u64 = files.values().map(|content| content.len() as u64).sum::<u64>() + entry.metadata()?.len();
            if size > LARGEST {
                return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
            }
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// The files of a pack in a folder of this machine, to be pushed.
///
/// # Errors
/// A folder that cannot be read, or is no pack.
pub(crate) fn files(folder: &Path) -> Result<PackFiles> {
    let mut files = PackFiles::new();
    let named = folder.display().to_string();
    gather(folder, "", DEEPEST, &mut files).map_err(|e| missing(&named, &e.to_string()))?;
    if files.contains_key("pack.toml") { Ok(files) } else { Err(missing(&named, "there is no pack.toml")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn what_lies_elsewhere_is_named_by_what_cannot_change() {
        assert_eq!(origin("policies/own").unwrap(), Origin::Folder("policies/own"));
        let text = format!("git::https://example.com/rules.git//packs/own/?ref={COMMIT}");
        let git = Origin::Git { url: "https://example.com/rules.git", folder: "packs/own", commit: COMMIT };
        assert_eq!(origin(&text).unwrap(), git);
        let text = format!("git::ssh://git@example.com/rules?ref={COMMIT}");
        assert_eq!(
            origin(&text).unwrap(),
            Origin::Git { url: "ssh://git@example.com/rules", folder: "", commit: COMMIT }
        );
        let digest = Digest::of(b"x");
        assert_eq!(origin(&format!("oci://example.com/rules@{digest}")).unwrap(), Origin::Oci(digest));
        for bad in [
            "git::https://example.com/rules.git",
            "git::https://example.com/rules.git?ref=main",
            "git::https://example.com/rules.git?ref=0123456",
            &format!("git::ext::sh -c x?ref={COMMIT}"),
            &format!("git::--upload-pack=x?ref={COMMIT}"),
            &format!("git::https://example.com/rules.git//../x?ref={COMMIT}"),
            "oci://example.com/rules:1",
            "oci://example.com/rules@sha256:12",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pack_is_called_by_where_it_comes_from() {
        assert_eq!(short_name("git::https://example.com/a/rules.git?ref=1"), "rules-");
        assert_eq!(short_name("oci://example.com/a/rules@sha256:1"), "rules-");
        assert_eq!(short_name("git::https://example.com/a.git//p/own?ref=1"), "own-");
    }
}
