//! `terrace fmt`: plan files in their canonical layout. Comments are kept, nothing but layout changes.
#![expect(clippy::disallowed_methods, reason = "formats files on disk")]

use crate::{
    base::{Diagnostics, SourceMap},
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
    },
    lang,
};
use similar::TextDiff;
use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Folders that are never looked into.
const SKIPPED: &[&str] = &[".terrace", ".git", "target", "node_modules"];

/// Arguments of `fmt`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, or folders with everything in them; `-` for stdin; the project where none is named
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Change nothing; end with 1 where a file is not in its canonical layout
    #[arg(long)]
    check: bool,
    /// Show what differs
    #[arg(long)]
    diff: bool,
}

/// Formats.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit> {
    if args.paths == ["-"] {
        return from_stdin(args, context);
    }
    let files = if args.paths.is_empty() {
        files_under(&context.project()?.folder)?
    } else {
        let mut files = Vec::new();
        for path in &args.paths {
            let path = context.surroundings.folder.join(path);
            if path.is_dir() { files.extend(files_under(&path)?) } else { files.push(path) }
        }
        files
    };
    let mut problems = Diagnostics::new();
    let mut texts = SourceMap::default();
    let mut different = false;
    for path in files {
        let shown = path.strip_prefix(&context.surroundings.folder).unwrap_or(&path).display().to_string();
        let bytes = fs::read(&path).map_err(|e| unreadable(&shown, &e))?;
        let Ok(text) = String::from_utf8(bytes) else {
            problems.extend(Error::new("not_utf8", format!("{shown} is not UTF-8")).diagnostics);
            continue;
        };
        let file: Arc<str> = shown.as_str().into();
        match lang::format(&text, &file) {
            Err(wrong) => {
                texts.insert(file, text.into());
                problems.extend(wrong);
            }
            Ok(formatted) if formatted == text => {}
            Ok(formatted) => {
                different = true;
                context.terminal.data(&format!("{shown}\n"));
                if args.diff {
                    show_diff(context, &shown, &text, &formatted);
                }
                if !args.check {
                    replace(&path, &formatted).map_err(|e| unreadable(&shown, &e))?;
                }
            }
        }
    }
    if problems.has_errors() {
        return Err(Error::from(problems).with_sources(texts));
    }
    Ok(if args.check && different { Exit::Error } else { Exit::Done })
}

fn from_stdin(args: &Args, context: &Context) -> Result<Exit> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(|e| unreadable("stdin", &e))?;
    let file: Arc<str> = "stdin".into();
    let formatted = lang::format(&text, &file).map_err(|wrong| {
        let mut texts = SourceMap::default();
        texts.insert(file.clone(), text.as_str().into());
        Error::from(wrong).with_sources(texts)
    })?;
    if args.diff {
        show_diff(context, "stdin", &text, &formatted);
    } else if !args.check {
        context.terminal.bytes(formatted.as_bytes());
    }
    Ok(if args.check && formatted != text { Exit::Error } else { Exit::Done })
}

fn show_diff(context: &Context, name: &str, before: &str, after: &str) {
    let diff = TextDiff::from_lines(before, after);
    context.terminal.data(&diff.unified_diff().header(name, name).to_string());
}

fn unreadable(path: &str, e: &io::Error) -> Error {
    Error::new("file_unreadable", format!("{path}: {e}"))
}

/// Every plan file under a folder, in order. Links are not followed.
fn files_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let shown = folder.display().to_string();
        for entry in fs::read_dir(&folder).map_err(|e| unreadable(&shown, &e))? {
            let entry = entry.map_err(|e| unreadable(&shown, &e))?;
            let kind = entry.file_type().map_err(|e| unreadable(&shown, &e))?;
            let name = entry.file_name();
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == **skipped) {
                folders.push(entry.path());
            } else if kind.is_file() && entry.path().extension().is_some_and(|e| e == "hcl") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Writes beside and renames, so that a kill leaves one text or the other.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    fs::set_permissions(file.path(), fs::metadata(path)?.permissions())?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
