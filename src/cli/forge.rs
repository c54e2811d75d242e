//! Where a comment goes: the forge, the pull request and the token, from the command line and from what CI says of itself.

#![expect(clippy::disallowed_methods, reason = "looks where the repository begins")]

use crate::{
    base::Secret,
    cli::{
        context::Context,
        error::{Error, Result},
        event::{Event, VARIABLE},
        surroundings::Surroundings,
    },
    plan::Saved,
    review::{
        Book,
        comment::{self, Wanted},
        forge::{self as review, Checked, Done, Verdict, verdict, word},
    },
    world::{
        Class, Clock, Failure, Forge,
        live::{ForgeKind, ForgePlace, WallClock, open_forge},
    },
};
use serde_json::json;
use std::{path::Path, sync::Arc};

/// Where it is posted.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Aim {
    /// Post it to a pull request of GitHub, with a check run and a commit status
    #[arg(long, group = "forge", help_heading = "Forge")]
    github: bool,
    /// Post it to a merge request of GitLab, with a status of the commit
    #[arg(long, group = "forge", help_heading = "Forge")]
    gitlab: bool,
    /// Post it to a pull request of Gitea, with a commit status
    #[arg(long, group = "forge", help_heading = "Forge")]
    gitea: bool,
    /// The repository; what the CI job says where it is left out
    #[arg(long, value_name = "OWNER/NAME", requires = "forge", help_heading = "Forge")]
    repository: Option<String>,
    /// The pull request's number; what the CI job says where it is left out
    #[arg(long, value_name = "N", requires = "forge", help_heading = "Forge")]
    pull_request: Option<u64>,
    /// The commit that the verdict is on; the pull request's newest where it is left out
    #[arg(long, value_name = "SHA", requires = "forge", help_heading = "Forge")]
    commit: Option<String>,
    /// Where the forge's interface is, like `https://github.example/api/v3`
    #[arg(long, value_name = "URL", requires = "forge", help_heading = "Forge")]
    api_url: Option<String>,
}

/// A pull request that is known well enough to be opened.
pub(crate) struct Target {
    place: ForgePlace,
    commit: Option<String>,
    token: Secret<String>,
    /// It comes from another repository, so that the job's token may only read.
    fork: bool,
}

impl Aim {
    /// The forge that is asked for.
    pub(crate) const fn kind(&self) -> Option<ForgeKind> {
        match (self.github, self.gitlab, self.gitea) {
            (true, _, _) => Some(ForgeKind::GitHub),
            (_, true, _) => Some(ForgeKind::GitLab),
            (_, _, true) => Some(ForgeKind::Gitea),
            _ => None,
        }
    }

    /// Where it goes.
    ///
    /// # Errors
    /// What neither the command line nor the environment tells.
    pub(crate) fn target(&self, kind: ForgeKind, surroundings: &Surroundings) -> Result<Target> {
        let said = |name: &str| surroundings.variable(name).map(str::trim).filter(|text| !text.is_empty());
        let event = if kind == ForgeKind::GitLab { None } else { event(surroundings)? };
        let (repository, number, commit, api) = match kind {
            ForgeKind::GitHub | ForgeKind::Gitea => (
                said("GITHUB_REPOSITORY"),
                event.as_ref().and_then(Event::number).or_else(|| said("GITHUB_REF").and_then(of_ref)),
                // Not GITHUB_SHA: that is the commit by which it would be merged, which nobody ever sees.
                event.as_ref().and_then(Event::head),
                said("GITHUB_API_URL"),
            ),
            ForgeKind::GitLab => (
                said("CI_PROJECT_ID"),
                said("CI_MERGE_REQUEST_IID").and_then(|iid| iid.parse().ok()),
                // The first is there in pipelines of merged results, whose own commit nobody ever sees.
                said("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA").or_else(|| said("CI_COMMIT_SHA")),
                said("CI_API_V4_URL"),
            ),
        };
        let repository = self.repository.as_deref().or(repository).ok_or_else(|| {
            untold(
                "which repository it is in",
                "give --repository OWNER/NAME; a job of the forge's own CI says it by itself",
            )
        })?;
        if !is_repository(kind, repository) {
            return Err(Error::usage("comment_target", format!("`{repository}` is no repository"))
                .hint("write --repository OWNER/NAME"));
        }
        // What the job says of its pull request is not of another one.
        let same = self.pull_request.is_none_or(|mine| number == Some(mine)) && self.repository.is_none();
        let number = self.pull_request.or(number).filter(|number| *number > 0).ok_or_else(|| {
            untold(
                "which pull request it is",
                "give --pull-request N; a job that a pull request started says it by itself",
            )
        })?;
        let commit = self.commit.as_deref().or(commit.filter(|_| same));
        if commit.is_some_and(|sha| !(7..=64).contains(&sha.len()) || !sha.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(
                Error::usage("comment_target", "the commit is no digest of one").hint("write --commit SHA, all of it")
            );
        }
        let api = self.api_url.as_deref().or(api).or(match kind {
            ForgeKind::GitHub => Some("https://api.github.com"),
            ForgeKind::GitLab => Some("https://gitlab.com/api/v4"),
            ForgeKind::Gitea => None,
        });
        let api = api.ok_or_else(|| untold("where Gitea is", "give --api-url https://HOST/api/v1"))?;
        let names: &[&str] = match kind {
            ForgeKind::GitHub => &["GITHUB_TOKEN", "GH_TOKEN"],
            ForgeKind::Gitea => &["GITEA_TOKEN", "GITHUB_TOKEN"],
            ForgeKind::GitLab => &["GITLAB_TOKEN"],
        };
        let token = names
            .iter()
            .find_map(|name| said(name))
            .ok_or_else(|| no_token(kind, names, said("CI_JOB_TOKEN").is_some()))?;
        Ok(Target {
            place: ForgePlace { kind, api: api.to_owned(), repository: repository.to_owned(), number },
            commit: commit.map(str::to_owned),
            token: Secret::new(token.to_owned()),
            fork: same && event.as_ref().and_then(Event::fork).unwrap_or(false),
        })
    }
}

fn untold(what: &str, hint: &str) -> Error {
    Error::usage("comment_target", format!("nothing says {what}")).hint(hint)
}

fn no_token(kind: ForgeKind, names: &[&str], has_job_token: bool) -> Error {
    let error =
        Error::new("forge_token", format!("there is no token for {}: {} is not set", kind.name(), names.join(" or ")));
    match kind {
        ForgeKind::GitHub => error.hint("in a job of GitHub Actions: env: GITHUB_TOKEN: ${{ github.token }}"),
        ForgeKind::Gitea => error.hint("make one with the scopes write:issue, write:repository and read:user"),
        ForgeKind::GitLab if has_job_token => error
            .because("a job's own CI_JOB_TOKEN may not write notes")
            .hint("make a token of the project with the role Developer and the scope api, and give it as GITLAB_TOKEN, masked"),
        ForgeKind::GitLab => error.hint("make a token of the project with the role Developer and the scope api"),
    }
}

/// Why the job runs; nothing where it is no job of GitHub Actions, or of what is like them.
fn event(surroundings: &Surroundings) -> Result<Option<Event>> {
    Event::read(surroundings).map_err(|why| {
        Error::new("file_unreadable", why)
            .hint(format!("{VARIABLE} names it; --pull-request and --commit say the same"))
    })
}

/// The number in `refs/pull/12/merge`.
fn of_ref(text: &str) -> Option<u64> {
    text.strip_prefix("refs/pull/")?.split('/').next()?.parse().ok()
}

fn is_repository(kind: ForgeKind, text: &str) -> bool {
    let harmless = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_alphanumeric() || "-._".contains(c))
    };
    let parts: Vec<&str> = text.split('/').collect();
    let many = match kind {
        // By its number, or in groups of groups.
        ForgeKind::GitLab => parts.len() >= 2 || text.bytes().all(|b| b.is_ascii_digit()),
        ForgeKind::GitHub | ForgeKind::Gitea => parts.len() == 2,
    };
    text.len() <= 400 && many && parts.iter().all(|part| harmless(part))
}

/// Where the project lies in its repository, like `infra/`; nothing where it is the repository, or that is not known.
fn beside(context: &Context) -> String {
    let Ok(project) = context.project() else { return String::new() };
    let root = project.folder.ancestors().find(|folder| folder.join(".git").exists());
    let variable = |name: &str| context.surroundings.variable(name).map(Path::new);
    let root = root.or_else(|| variable("GITHUB_WORKSPACE")).or_else(|| variable("CI_PROJECT_DIR"));
    let Some(inner) = root.and_then(|root| project.folder.strip_prefix(root).ok()) else { return String::new() };
    let parts: Vec<String> = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.is_empty() { String::new() } else { format!("{}/", parts.join("/")) }
}

/// Posts the comment on these plans, and says the verdict on the commit.
///
/// # Errors
/// A forge that does not take the comment. What stands in the way of the check run or the status alone is told, and an error only
/// where the forge broke.
pub(crate) async fn post(
    target: &Target,
    text: &str,
    plans: &[&Saved],
    book: &Book,
    wanted: &Wanted,
    context: &Context,
) -> Result<()> {
    let Some(first) = plans.first() else { return Ok(()) };
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let terminal = context.terminal.clone();
    let tell = Arc::new(move |line: &str| terminal.status(line));
    let forge =
        open_forge(&target.place, target.token.clone(), clock, tell).map_err(|failure| told(failure, target))?;
    let marker = comment::marker(&first.content);
    let url = wanted.link.as_ref().map(|link| link.text().to_owned()).or_else(|| context.surroundings.ci());
    let verdict = verdict(plans, book, &beside(context), wanted, url.as_deref());
    // Where the comment cannot be, the verdict may be all the same.
    let commit = match &target.commit {
        Some(commit) => Ok(commit.clone()),
        None => forge.head().await,
    };
    let posted = review::post(&*forge, &marker, text, commit.as_deref().ok()).await;
    let said = match commit {
        Ok(commit) => say(&*forge, target, &commit, &verdict, context).await,
        Err(failure) => Err(failure),
    };
    let posted = posted.map_err(|failure| told(failure, target))?;
    let done = match posted.done {
        Done::Created => "created",
        Done::Edited => "edited",
        Done::Unchanged => "as it was",
        Done::Superseded => "left as it is",
    };
    for note in &posted.notes {
        context.terminal.status(&format!("warning: {note}"));
    }
    let place = &target.place;
    let at = posted.url.clone().unwrap_or_else(|| format!("{} of {}", place.number, place.repository));
    context.terminal.status(&format!("comment {done}: {at}"));
    if context.terminal.json {
        let done = match posted.done {
            Done::Created => "created",
            Done::Edited => "edited",
            Done::Unchanged => "unchanged",
            Done::Superseded => "superseded",
        };
        let fields = json!({
            "forge": forge.name(), "repository": place.repository, "pull_request": place.number, "comment": posted.id,
            "url": posted.url, "done": done, "removed": posted.removed, "notes": posted.notes, "conclusion": word(verdict.check.conclusion),
            "check_run": said.as_ref().is_ok_and(|said| said.check), "commit_status": said.as_ref().is_ok_and(|said| said.status),
        });
        context.terminal.json_line(&crate::cli::views::json::answer("comment", fields));
    }
    said.map(drop).map_err(|failure| told(failure, target))
}

/// What stands on the commit.
struct Said {
    check: bool,
    status: bool,
}

async fn say(
    forge: &dyn Forge,
    target: &Target,
    commit: &str,
    verdict: &Verdict,
    context: &Context,
) -> Result<Said, Failure> {
    let terminal = &context.terminal;
    let checked = review::check(forge, commit, &verdict.check).await;
    let check = match &checked {
        Ok(Checked::Stands { notes, .. }) => {
            for note in notes {
                terminal.status(&format!("warning: {note}"));
            }
            true
        }
        Ok(Checked::Unsupported(why)) => {
            if target.place.kind == ForgeKind::GitHub {
                terminal.status(&format!("no check run, a commit status stands in for it: {why}"));
            }
            false
        }
        Err(_) => false,
    };
    let status = match forge.status(commit, &verdict.status).await {
        Ok(()) => true,
        // Whoever gives a token no right to it wants none.
        Err(failure) if failure.class == Class::Denied => {
            terminal.status(&format!("warning: no commit status: {failure}"));
            false
        }
        Err(failure) => return Err(failure),
    };
    checked.map(|_| Said { check, status })
}

/// A failed call, with what it means here.
fn told(failure: Failure, target: &Target) -> Error {
    let denied = failure.class == Class::Denied;
    let error = Error::from(failure);
    if denied && target.fork {
        return error.because(
            "the pull request comes from a fork, and a job's token may only read there; what the plans say is not lost: \
             the job ends as they do",
        );
    }
    error
}
