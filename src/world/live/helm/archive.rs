//! What is in a chart: its Chart.yaml, and whether its templates ask the cluster. From an archive or from a folder.

#![expect(clippy::disallowed_methods, reason = "charts of the project are read here")]

use crate::{
    base::{Digest, yaml},
    world::{Class, Failure, Outcome},
};
use flate2::read::GzDecoder;
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

/// More than this is no chart: unpacked, or in a folder.
const BIGGEST: u64 = 128 << 20;
/// More files than this are no chart.
const MOST_FILES: usize = 10_000;

/// What is told of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// The version of what it installs.
    pub(super) app_version: String,
    /// True where a template asks the cluster (`lookup`), which a plan cannot let it do.
    pub(super) looks_up: bool,
}

/// Reads a packed chart.
pub(super) fn of_archive(bytes: &[u8], subject: &str) -> Outcome<Contents> {
    let fail = |why: &str| Failure::new(Class::Invalid, "helm pull", subject, format!("no chart archive: {why}"));
    let mut text = Vec::new();
    let mut reader = GzDecoder::new(bytes).take(BIGGEST);
    reader.read_to_end(&mut text).map_err(|e| fail(&e.to_string()))?;
    let mut files = BTreeMap::new();
    entries(&text, &mut files).ok_or_else(|| fail("a broken header"))?;
    let chart = files.iter().find(|(name, _)| name.split('/').count() == 2 && name.ends_with("/Chart.yaml"));
    let (_, chart) = chart.ok_or_else(|| fail("it has no Chart.yaml"))?;
    let looks_up = files.iter().any(|(name, content)| asks(name, content));
    contents(chart, looks_up).map_err(|why| fail(&why))
}

/// The files of a tar archive (POSIX ustar, and the long names of PAX) that matter here.
fn entries<'a>(tar: &'a [u8], files: &mut BTreeMap<String, &'a [u8]>) -> Option<()> {
    let text = |field: &[u8]| String::from_utf8_lossy(field.split(|b| *b == 0).next().unwrap_or_default()).into_owned();
    let (mut at, mut long) = (0, None);
    while at + 512 <= tar.len() && tar[at] != 0 {
        let header = &tar[at..at + 512];
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).ok()?;
        let body = tar.get(at + 512..at + 512 + size)?;
        let (prefix, name) = (text(&header[345..500]), text(&header[..100]));
        match header[156] {
            b'x' => {
                let records = String::from_utf8_lossy(body);
                long = records.lines().find_map(|l| Some(l.split_once(" path=")?.1.to_owned()));
            }
            b'0' | 0 => {
                let short = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
                let name = long.take().unwrap_or(short);
                files.insert(name.trim_start_matches("./").to_owned(), body);
            }
            _ => long = None,
        }
        at += 512 + size.div_ceil(512) * 512;
    }
    Some(())
}

/// True for a template that calls `lookup`.
fn asks(name: &str, content: &[u8]) -> bool {
    let calls = |at: usize| {
        let rest = &content[at + b"lookup".len()..];
        rest.first().is_some_and(u8::is_ascii_whitespace) && rest.trim_ascii_start().starts_with(b"\"")
    };
    name.contains("/templates/") && (0..content.len()).any(|at| content[at..].starts_with(b"lookup") && calls(at))
}

fn contents(chart: &[u8], looks_up: bool) -> Result<Contents, String> {
    let text = String::from_utf8_lossy(chart);
    let chart = yaml::documents(&text).map_err(|why| format!("Chart.yaml: {why}"))?.into_iter().next();
    let chart = chart.unwrap_or(Json::Null);
    let field = |name: &str| match &chart[name] {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    };
    let found = Contents { name: field("name"), version: field("version"), app_version: field("appVersion"), looks_up };
    if found.name.is_empty() || found.version.is_empty() {
        return Err("Chart.yaml has no name or no version".to_owned());
    }
    Ok(found)
}

/// A chart's folder as it was read: helm gets a copy of exactly this.
pub(super) struct Folder {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// The digest of names and content.
    pub(super) digest: Digest,
    /// What is told of it.
    pub(super) contents: Contents,
}

/// Reads a chart's folder.
pub(super) fn of_folder(folder: &str) -> Outcome<Folder> {
    let fail = |why: String| Failure::new(Class::Invalid, "helm", folder, why);
    let mut files = BTreeMap::new();
    let (root, mut todo, mut size) = (Path::new(folder), vec![PathBuf::new()], 0u64);
    while let Some(inside) = todo.pop() {
        let entries = std::fs::read_dir(root.join(&inside)).map_err(|e| fail(format!("{}: {e}", inside.display())))?;
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            // What a link leads to belongs to the chart, as helm has it.
            let about = std::fs::metadata(&path).map_err(|e| fail(format!("{}: {e}", path.display())))?;
            let inside = inside.join(&name);
            if about.is_dir() {
                if name != ".git" && inside.components().count() < 32 {
                    todo.push(inside);
                }
                continue;
            }
            size += about.len();
            if size > BIGGEST || files.len() >= MOST_FILES {
                let what = format!("more than {MOST_FILES} files or {BIGGEST} bytes: that is no chart");
                return Err(fail(what));
            }
            files.insert(inside, std::fs::read(&path).map_err(|e| fail(format!("{}: {e}", path.display())))?);
        }
    }
    let mut listing = String::new();
    for (path, bytes) in &files {
        use std::fmt::Write as _;
        let _ = writeln!(listing, "{} {}", Digest::of(bytes), path.display());
    }
    let chart = files.get(Path::new("Chart.yaml")).ok_or_else(|| fail("it has no Chart.yaml".to_owned()))?;
    let looks_up = files.iter().any(|(path, bytes)| asks(&format!("/{}", path.display()), bytes));
    let contents = contents(chart, looks_up).map_err(fail)?;
    Ok(Folder { digest: Digest::of(listing.as_bytes()), files, contents })
}

impl Folder {
    /// Puts a copy at this path, in one step; one that is there is taken as it is, for its name is its digest.
    pub(super) fn copy_to(&self, path: &Path) -> Outcome<()> {
        let fail =
            |e: std::io::Error| Failure::new(Class::Local, "chart cache", path.display().to_string(), e.to_string());
        if path.is_dir() && of_folder(&path.display().to_string()).is_ok_and(|there| there.digest == self.digest) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new("."));
        let made = tempfile::tempdir_in(parent).map_err(fail)?;
        for (name, bytes) in &self.files {
            let file = made.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap_or(parent)).map_err(fail)?;
            std::fs::write(file, bytes).map_err(fail)?;
        }
        let _ = std::fs::remove_dir_all(path);
        match std::fs::rename(made.path(), path) {
            Ok(()) => drop(made.keep()),
            // Another process was as fast.
            Err(_) if path.is_dir() => {}
            Err(e) => return Err(fail(e)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, content) in files {
            let mut header = [0u8; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
            header[156] = b'0';
            out.extend(header);
            out.extend(content.as_bytes());
            out.resize(out.len().div_ceil(512) * 512, 0);
        }
        out.extend([0u8; 1024]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&out).unwrap();
        gz.finish().unwrap()
    }

    #[test]
    fn an_archive_tells_its_chart_and_whether_it_looks_things_up() {
        let chart = "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: 7\n";
        let plain = tar(&[("web/Chart.yaml", chart), ("web/charts/sub/Chart.yaml", "name: sub\nversion: 9\n")]);
        let expected =
            Contents { name: "web".into(), version: "1.2.3".into(), app_version: "7".into(), looks_up: false };
        assert_eq!(of_archive(&plain, "web").unwrap(), expected);
        let asks =
            tar(&[("web/Chart.yaml", chart), ("web/templates/a.yaml", "{{ (lookup \"v1\" \"Secret\" \"a\" \"b\") }}")]);
        assert!(of_archive(&asks, "web").unwrap().looks_up);
        assert!(of_archive(&tar(&[("web/README.md", "x")]), "web").unwrap_err().message.contains("Chart.yaml"));
        assert!(of_archive(b"<html>", "web").is_err());
    }

    #[test]
    fn a_folder_is_copied_as_it_was_read_and_its_digest_is_of_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let chart = folder.path().join("web");
        std::fs::create_dir_all(chart.join("templates")).unwrap();
        std::fs::write(chart.join("Chart.yaml"), "name: web\nversion: 1.0.0\n").unwrap();
        std::fs::write(chart.join("templates/a.yaml"), "a").unwrap();
        let read = || of_folder(&chart.display().to_string()).unwrap();
        let first = read();
        std::fs::write(chart.join("templates/a.yaml"), "b").unwrap();
        assert_ne!(read().digest, first.digest);
        let copy = folder.path().join("copy");
        first.copy_to(&copy).unwrap();
        assert_eq!(std::fs::read_to_string(copy.join("templates/a.yaml")).unwrap(), "a");
        first.copy_to(&copy).unwrap();
    }
}
