//! What every command gets: where it was started, where it prints, and the global flags.

use crate::cli::{
    args::Global,
    error::Result,
    project::{self, PlanPlace, Project},
    surroundings::Surroundings,
    terminal::Terminal,
};

/// How many things are worked on at once where nothing else is said.
const PARALLELISM: usize = 10;

/// What every command gets.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where it was started.
    pub(crate) surroundings: Surroundings,
    /// Where it prints.
    pub(crate) terminal: Terminal,
    /// The global flags.
    pub(crate) global: Global,
}

impl Context {
    /// The project of the current folder, or of `--project`.
    pub(crate) fn project(&self) -> Result<Project> {
        Project::find(&self.surroundings, self.global.project.as_deref())
    }

    /// The plan that is meant.
    pub(crate) fn plan(&self, plan: Option<&str>) -> Result<PlanPlace> {
        project::find_plan(&self.surroundings, self.global.project.as_deref(), plan)
    }

    /// True where a word names a plan.
    pub(crate) fn is_plan(&self, word: &str) -> bool {
        project::is_plan(&self.surroundings, self.global.project.as_deref(), word)
    }

    /// How many things are worked on at once: the flag, the project's setting, or ten.
    pub(crate) fn parallelism(&self, project: &Project) -> usize {
        self.global.parallelism.or(project.settings.parallelism).unwrap_or(PARALLELISM)
    }
}
