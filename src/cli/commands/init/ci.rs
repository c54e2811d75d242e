//! `terrace init --github` and `--gitlab`: what CI runs for a plan, written for its environments.

use crate::{
    cli::{
        commands::promote::ordered,
        context::Context,
        error::{Error, Result},
        loaded::load,
    },
    lang::configuration::Environment,
};
use std::path::PathBuf;

/// A forge whose CI is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forge {
    /// Workflows of GitHub Actions, and the action that installs terrace.
    GitHub,
    /// A pipeline of GitLab.
    GitLab,
}

const GITHUB: &[(&str, &str)] = &[
    (".github/actions/terrace/action.yml", include_str!("../../../../action.yml")),
    (".github/workflows/terrace-pull-request.yml", include_str!("ci/pull-request.yml")),
    (".github/workflows/terrace-release.yml", include_str!("ci/release.yml")),
    (".github/workflows/terrace-schedule.yml", include_str!("ci/schedule.yml")),
    (".github/workflows/terrace-promote.yml", include_str!("ci/promote.yml")),
];
const GITLAB: &[(&str, &str)] = &[(".gitlab-ci.yml", include_str!("ci/gitlab-ci.yml"))];

/// The files for a project's plan: where they go, and what is in them.
///
/// # Errors
/// A plan that is not there or wrong, or that has no environment.
pub(super) fn files(forge: Forge, plan: Option<&str>, context: &Context) -> Result<Vec<(PathBuf, String)>> {
    let loaded = load(context, plan)?;
    let environments = ordered(&loaded);
    if environments.is_empty() {
        let message = format!("the plan {} declares no environment", loaded.configuration.label);
        return Err(Error::new("no_environment", message).hint("write environment \"dev\" { sandbox {} }"));
    }
    let (first, later): (Vec<&Environment>, Vec<&Environment>) =
        environments.iter().copied().partition(|environment| environment.after.is_empty());
    // Where there is only one step, people may still name it.
    let later = if later.is_empty() { first.clone() } else { later };
    let list = |all: &[&Environment]| format!("[{}]", names(all).join(", "));
    let folder = &loaded.place.folder;
    let named = folder.strip_prefix("plans/").filter(|name| !name.contains('/')).unwrap_or(folder);
    let files = match forge {
        Forge::GitHub => GITHUB,
        Forge::GitLab => GITLAB,
    };
    let project = &loaded.place.project.folder;
    // Workflows of several plans stand side by side.
    let several = loaded.place.project.plans().len() > 1;
    let of = if several { format!("-{}", named.replace('/', "-")) } else { String::new() };
    let beside = |path: &str| match path.strip_suffix(".yml").filter(|path| path.contains("/workflows/")) {
        Some(path) => format!("{path}{of}.yml"),
        None => path.to_owned(),
    };
    Ok(files
        .iter()
        .map(|(path, text)| {
            let text = text
                .replace("@OF@", &of)
                .replace("@PLAN@", named)
                .replace("@FOLDER@", folder)
                .replace("@ALL@", &list(&environments))
                .replace("@EXPECTED@", &names(&environments).join(","))
                .replace("@LATER@", &list(&later))
                .replace("@FIRST@", &names(&first).join(" "));
            (project.join(beside(path)), text)
        })
        .collect())
}

fn names(all: &[&Environment]) -> Vec<String> {
    all.iter().map(|environment| environment.name.to_string()).collect()
}
