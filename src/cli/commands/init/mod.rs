//! `terrace init`: a new project with a plan that plans and applies at once on the embedded world.
#![expect(clippy::disallowed_methods, reason = "makes folders and files")]

mod ci;

use crate::cli::{
    context::Context,
    error::{Error, Result},
    exit::Exit,
    style::bold,
    views::json::answer,
};
use serde_json::json;
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The project's folder; the current one where none is named
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The name of the first plan; with --github or --gitlab, the plan that is meant
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Ask nothing
    #[arg(long, short)]
    yes: bool,
    /// Write workflows for GitHub Actions
    #[arg(long)]
    github: bool,
    /// Write a pipeline for GitLab
    #[arg(long)]
    gitlab: bool,
}

/// The files of a new project: where they go, with `NAME` for the plan's name, and what is in them.
const FILES: &[(&str, &str)] = &[
    ("terrace.toml", include_str!("terrace.toml")),
    ("plans/NAME/plan.hcl", include_str!("plan.hcl")),
    ("plans/NAME/templates/storage.yaml", include_str!("storage.yaml")),
    ("plans/NAME/environments/dev.toml", include_str!("dev.toml")),
];
const IGNORED: &str = "# State, the embedded world and saved plans of terrace.\n.terrace/\n*.tplan\n";

/// Makes the project.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit> {
    let folder = args
        .folder
        .as_ref()
        .map_or_else(|| context.surroundings.folder.clone(), |folder| context.surroundings.folder.join(folder));
    if args.github || args.gitlab {
        return for_ci(args, &folder, context);
    }
    let usual = folder
        .file_name()
        .map(|name| plain(&name.to_string_lossy()))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "app".to_owned());
    let name = name(args, context, &folder, &usual)?;
    let files: Vec<(PathBuf, String)> = FILES
        .iter()
        .map(|(path, text)| (folder.join(path.replace("NAME", &name)), text.replace("NAME", &name)))
        .collect();
    make_all(&files, "name another folder, or another plan with --name", context)?;
    ignore(&folder, context)?;
    if context.terminal.json {
        let files: Vec<String> = files.iter().map(|(path, _)| shown(path, context)).collect();
        context.terminal.json_line(&answer("init", json!({ "folder": folder, "plan": name, "files": files })));
        return Ok(Exit::Done);
    }
    let go = match &args.folder {
        Some(folder) => format!("cd {} && ", folder.display()),
        None => String::new(),
    };
    context.terminal.status(&format!(
        "\nIt runs on the embedded world, without any account. Next:\n\n  {}\n  {}",
        bold(format!("{go}terrace plan")),
        bold("terrace apply"),
    ));
    Ok(Exit::Done)
}

/// Writes what CI runs, for a plan that is there.
fn for_ci(args: &Args, folder: &Path, context: &Context) -> Result<Exit> {
    let mut inside = context.clone();
    folder.clone_into(&mut inside.surroundings.folder);
    let mut files = Vec::new();
    for (wanted, forge) in [(args.github, ci::Forge::GitHub), (args.gitlab, ci::Forge::GitLab)] {
        if wanted {
            files.extend(ci::files(forge, args.name.as_deref(), &inside)?);
        }
    }
    make_all(&files, "take them away first, where they are to be written anew", context)?;
    if context.terminal.json {
        let files: Vec<String> = files.iter().map(|(path, _)| shown(path, context)).collect();
        context.terminal.json_line(&answer("init", json!({ "folder": folder, "plan": args.name, "files": files })));
        return Ok(Exit::Done);
    }
    context.terminal.status(&format!(
        "\nThey want three variables: {}. docs/delivery.md says what else CI needs: state in a bucket, and a role for its OIDC token.",
        bold("TERRACE_VERSION, TERRACE_SHA256, TERRACE_FROM"),
    ));
    Ok(Exit::Done)
}

/// Makes files where there are none; none of them where another one is there.
fn make_all(files: &[(PathBuf, String)], hint: &str, context: &Context) -> Result<()> {
    let is_same = |path: &Path, text: &String| fs::read(path).is_ok_and(|content| content == text.as_bytes());
    let there: Vec<String> = files
        .iter()
        .filter(|(path, text)| fs::symlink_metadata(path).is_ok() && !is_same(path, text))
        .map(|(path, _)| shown(path, context))
        .collect();
    if !there.is_empty() {
        let message = format!("nothing is made: {} is there already", there.join(" and "));
        return Err(Error::new("already_there", message).hint(hint));
    }
    for (path, text) in files.iter().filter(|(path, text)| !is_same(path, text)) {
        make(path, text).map_err(|e| unwritable(path, &e, context))?;
        context.terminal.status(&format!("made {}", shown(path, context)));
    }
    Ok(())
}

fn name(args: &Args, context: &Context, folder: &Path, usual: &str) -> Result<String> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None if args.yes => usual.to_owned(),
        None if context.terminal.can_ask => {
            let question = format!("A new project in {}. What is its first plan called? [{usual}]", folder.display());
            match context.terminal.ask(&question) {
                Some(answer) if answer.is_empty() => usual.to_owned(),
                Some(answer) => answer,
                None => return Err(Error::silent(Exit::Interrupted)),
            }
        }
        None => {
            return Err(Error::usage("answer_needed", "what is the first plan called?")
                .hint(format!("give --name NAME, or --yes for `{usual}`")));
        }
    };
    if plain(&name) == name && !name.is_empty() {
        return Ok(name);
    }
    Err(Error::usage("plan_name", format!("`{name}` is no name for a plan"))
        .because("letters, digits and `_`, beginning with a letter")
        .hint(format!("for example `{}`", if plain(&name).is_empty() { "app".to_owned() } else { plain(&name) })))
}

/// A text as a name: what cannot stand in one is `_`, and what cannot begin one is dropped.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    let begun = lower.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let name: String = begun.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    name.trim_end_matches('_').to_owned()
}

fn make(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::create_new(path)?.write_all(text.as_bytes())
}

fn ignore(folder: &Path, context: &Context) -> Result<()> {
    let path = folder.join(".gitignore");
    match fs::read_to_string(&path) {
        Ok(text) if text.lines().any(|l| l.trim().trim_matches('/') == ".terrace") => {}
        Ok(_) => context.terminal.status("add .terrace/ to .gitignore: state and the embedded world lie there"),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make(&path, IGNORED).map_err(|e| unwritable(&path, &e, context))?;
            context.terminal.status(&format!("made {}", shown(&path, context)));
        }
        Err(e) => return Err(unwritable(&path, &e, context)),
    }
    Ok(())
}

fn shown(path: &Path, context: &Context) -> String {
    path.strip_prefix(&context.surroundings.folder).unwrap_or(path).display().to_string()
}

fn unwritable(path: &Path, e: &io::Error, context: &Context) -> Error {
    Error::new("file_unwritable", format!("{}: {e}", shown(path, context)))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn names_are_made_of_whatever_a_folder_is_called() {
        for (text, name) in [("My Shop", "my_shop"), ("42-shop!", "shop"), ("ünïcode", "n_code"), ("...", "")] {
            assert_eq!(plain(text), name);
        }
    }
}
