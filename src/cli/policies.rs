//! The packs of rules of a project, and what judges by them.

use crate::{
    base::{Diagnostic, Diagnostics, SourceMap},
    cli::{
        error::{Error, Result},
        project::Project,
        settings,
        sources::RecordingSources,
        surroundings::Surroundings,
    },
    lang::{Sources as _, suggest},
    policy::{self, Pack, Strictness},
    world::GuardProcess,
};
use std::sync::Arc;

/// The packs of a project.
pub(crate) struct Packs {
    /// Each, in the order of terrace.toml.
    pub(crate) all: Vec<Pack>,
    /// How bad rules are, where that is another than their pack says.
    pub(crate) strictness: Strictness,
    /// What is no error: rules without fixtures.
    pub(crate) warnings: Diagnostics,
    /// The texts that places point into.
    pub(crate) texts: SourceMap,
}

/// Reads the packs that terrace.toml names.
///
/// # Errors
/// All that is wrong with any of them.
pub(crate) fn read(project: &Project) -> Result<Packs> {
    let sources = RecordingSources::new(Arc::new(project.sources.clone()));
    let wanted = &project.settings.policy;
    let (mut all, mut problems) = (Vec::new(), Diagnostics::new());
    // For the places within it.
    let _ = sources.read(settings::FILE);
    for (folder, span) in &wanted.packs {
        match policy::pack::read(folder, &sources) {
            Ok(pack) => {
                problems.extend(pack.warnings.clone());
                all.push(pack);
            }
            Err(mut wrong) => {
                for problem in wrong.0.iter_mut().filter(|problem| problem.labels.is_empty()) {
                    *problem = problem.clone().at(span, "named here");
                }
                problems.extend(wrong);
            }
        }
    }
    problems.extend(policy::pack::clashes(&all));
    if !problems.has_errors() {
        for (rule, (_, span)) in &wanted.severity {
            let known = || all.iter().flat_map(|pack| pack.rules.keys()).map(String::as_str);
            if known().all(|name| name != rule) {
                let problem = Diagnostic::error("policy_rule_unknown", format!("no pack has a rule `{rule}`"));
                let problem = problem.at(span, "");
                problems.push(match suggest::nearest(rule, known()) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem.hint("terrace policy list names all rules"),
                });
            }
        }
    }
    problems.normalize();
    let mut texts = SourceMap::default();
    for (path, bytes) in sources.recorded().files {
        texts.insert(path.into(), String::from_utf8_lossy(&bytes).into());
    }
    if problems.has_errors() {
        return Err(Error::from(problems).with_sources(texts));
    }
    let strictness = wanted.severity.iter().map(|(rule, (severity, _))| (rule.clone(), *severity)).collect();
    Ok(Packs { all, strictness, warnings: problems, texts })
}

/// What judges: this very program, in a process of its own.
///
/// # Errors
/// A machine that does not tell where the program lies.
pub(crate) fn guard() -> Result<GuardProcess> {
    let program = Surroundings::program()
        .map_err(|e| Error::new("local_failure", format!("where this program lies cannot be told: {e}")))?;
    Ok(GuardProcess::new(program))
}

impl From<policy::Error> for Error {
    fn from(error: policy::Error) -> Self {
        match error {
            policy::Error::Guard(failure) => failure.into(),
            policy::Error::Problems(problems) => problems.into(),
        }
    }
}
