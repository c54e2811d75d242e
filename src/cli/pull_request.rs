//! A plan that is made for a pull request: who wrote what it is made of may not start programs on this machine, and somebody from outside
//! may not use its credentials (rule 42).

use crate::{
    base::{Address, Diagnostic, few},
    cli::{
        error::{Error, Result},
        event::{Event, VARIABLE},
        surroundings::Surroundings,
    },
    plan::Plan,
};
use clap::ValueEnum as _;
use std::collections::BTreeSet;

/// Programs that a plan may start because of what is declared in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Program {
    /// What a `command` asks whether it is there.
    Command,
    /// What builds a kustomization.
    Kustomize,
    /// Terraform or OpenTofu, for roots.
    Terraform,
    /// What a kubeconfig that the plan names, and kubectl would not read, has for credentials.
    Kubeconfig,
}

/// `--pull-request` and what belongs to it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ForPullRequest {
    /// The plan is for a pull request: no program of a command, kustomization, root or kubeconfig is started; from a fork nothing is asked
    #[arg(long, conflicts_with_all = ["destroy", "refresh_only"])]
    pull_request: bool,
    /// Let it start these all the same; not from a fork
    #[arg(long, value_name = "PROGRAM", value_enum, value_delimiter = ',', requires = "pull_request")]
    allow: Vec<Program>,
    /// The pull request comes from a fork; known by itself in jobs of GitHub and GitLab
    #[arg(long, requires = "pull_request")]
    fork: bool,
}

/// What a plan may not do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Guarded {
    /// It asks no world and no bucket, and uses no credentials.
    pub(crate) fork: bool,
    /// It starts none of these.
    pub(crate) spared: BTreeSet<Program>,
}

impl Guarded {
    /// The kinds of things whose programs are not started.
    pub(crate) fn kinds(&self) -> BTreeSet<String> {
        let of = |program: &Program| match program {
            Program::Command => Some("command".to_owned()),
            Program::Terraform => Some("terraform".to_owned()),
            Program::Kustomize | Program::Kubeconfig => None,
        };
        self.spared.iter().filter_map(of).collect()
    }

    /// What is to be said of it in the plan.
    pub(crate) fn told(&self, plan: &Plan) -> Option<Diagnostic> {
        if self.fork {
            let what = "the pull request comes from a fork: neither the world nor a bucket was asked";
            return Some(
                Diagnostic::warning("pull_request_fork", what)
                    .because("no credentials are used for what somebody from outside wrote, so everything is planned by what this machine remembers")
                    .hint("plan a branch of the repository itself to see what is live"),
            );
        }
        let kinds = self.kinds();
        let addresses = plan.nodes.iter().map(|node| &node.address);
        let spared: Vec<&str> = addresses.filter(|a| kinds.contains(a.kind())).map(Address::as_str).collect();
        (!spared.is_empty()).then(|| {
            let what = format!("for a pull request the programs of {} are not started", few(&spared, 3));
            Diagnostic::warning("programs_not_started", what)
                .because("what they would do is planned by what state remembers")
                .hint("--allow command,terraform lets them, where you trust whoever may open a pull request")
        })
    }
}

impl ForPullRequest {
    /// What the plan may not do; nothing is held back where it is for no pull request.
    ///
    /// # Errors
    /// An event that cannot be read: whether it comes from a fork must be known. Programs that are allowed to a fork.
    pub(crate) fn guarded(&self, surroundings: &Surroundings) -> Result<Guarded> {
        if !self.pull_request {
            return Ok(Guarded::default());
        }
        let fork = self.fork || comes_from_fork(surroundings)?;
        if fork && !self.allow.is_empty() {
            return Err(Error::usage(
                "pull_request_fork",
                "`--allow` is not for a pull request from a fork".to_owned(),
            )
            .because("whoever opened it would run what they like on this machine")
            .hint("look at the change, and plan it from a branch of the repository itself"));
        }
        let spared =
            Program::value_variants().iter().filter(|program| !self.allow.contains(program)).copied().collect();
        Ok(Guarded { fork, spared })
    }
}

/// Whether the job's pull request comes from another repository. Source: the event; GitLab's predefined variables of merge request pipelines.
fn comes_from_fork(surroundings: &Surroundings) -> Result<bool> {
    if let (Some(from), Some(to)) = (
        surroundings.variable("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"),
        surroundings.variable("CI_MERGE_REQUEST_PROJECT_ID"),
    ) {
        return Ok(from != to);
    }
    let unreadable = |why: String| {
        Error::new("pull_request_event", format!("whether the pull request comes from a fork cannot be told: {why}")).hint(format!(
            "{VARIABLE} names the file that GitHub wrote for the job; outside of it, leave the variable away; --fork says that it is one"
        ))
    };
    let Some(event) = Event::read(surroundings).map_err(unreadable)? else { return Ok(false) };
    event.fork().ok_or_else(|| unreadable(format!("what {VARIABLE} names is neither of a pull request nor of a push")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "writes the event of a CI job")]

    use super::*;

    fn around(variables: &[(&str, &str)], folder: &std::path::Path) -> Surroundings {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Surroundings { variables, folder: folder.to_owned(), ..Surroundings::default() }
    }

    fn from_event(event: &str) -> Result<bool> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("event.json"), event).unwrap();
        comes_from_fork(&around(&[("GITHUB_EVENT_PATH", "event.json")], folder.path()))
    }

    #[test]
    fn a_fork_is_known_by_its_repository() {
        let of = |head: &str| {
            format!(
                "{{\"pull_request\":{{\"head\":{{\"repo\":{head}}},\"base\":{{\"repo\":{{\"full_name\":\"a/b\"}}}}}}}}"
            )
        };
        assert!(!from_event(&of("{\"full_name\":\"a/b\"}")).unwrap());
        assert!(from_event(&of("{\"full_name\":\"eve/b\"}")).unwrap());
        assert!(from_event(&of("null")).unwrap(), "a fork that was deleted");
        assert!(!from_event("{\"ref\":\"refs/heads/main\",\"after\":\"12\"}").unwrap(), "a push");
        assert!(from_event("{\"issue\":{},\"comment\":{}}").is_err(), "a comment that asks for a plan");
        assert!(
            from_event("{").is_err() && comes_from_fork(&around(&[("GITHUB_EVENT_PATH", "no")], "/".as_ref())).is_err()
        );
        let gitlab = |from| {
            around(&[("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", from), ("CI_MERGE_REQUEST_PROJECT_ID", "7")], "/".as_ref())
        };
        assert!(comes_from_fork(&gitlab("8")).unwrap() && !comes_from_fork(&gitlab("7")).unwrap());
    }

    #[test]
    fn what_is_allowed_is_started_and_nothing_for_a_fork() {
        let args = ForPullRequest { pull_request: true, allow: vec![Program::Terraform], fork: false };
        let guarded = args.guarded(&Surroundings::default()).unwrap();
        assert_eq!(guarded.spared, [Program::Command, Program::Kustomize, Program::Kubeconfig].into());
        assert_eq!(guarded.kinds(), ["command".to_owned()].into());
        assert!(ForPullRequest { fork: true, ..args }.guarded(&Surroundings::default()).is_err());
        assert_eq!(ForPullRequest::default().guarded(&Surroundings::default()).unwrap(), Guarded::default());
    }
}
