//! The packs of rules of a project, and what judges by them.

use crate::{
    base::{Address, Diagnostic, Diagnostics, Digest, SourceMap, few},
    cli::{
        context::Context,
        error::{Error, Result, failure_diagnostic},
        exit::Exit,
        project::Project,
        releases, settings,
        sources::RecordingSources,
        stage::Stage,
        surroundings::Surroundings,
    },
    lang::{Sources as _, suggest},
    plan::{Finding, JudgedBy, Judgement, Mode, Plan, Waiver, WaiverStanding},
    policy::{self, Pack, Strictness},
    state::{Standing, facts, release},
    world::{Failure, GuardProcess},
};
use std::{collections::BTreeSet, sync::Arc};

/// So many denials are told one by one.
const DENIALS_TOLD: usize = 10;

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

/// Reads the packs that terrace.toml names for a plan, or for any.
///
/// # Errors
/// All that is wrong with any of them.
pub(crate) fn read(project: &Project, plan: Option<&str>) -> Result<Packs> {
    let sources = RecordingSources::new(Arc::new(project.sources.clone()));
    let wanted = &project.settings.policy;
    let (mut all, mut problems) = (Vec::new(), Diagnostics::new());
    // For the places within it.
    let _ = sources.read(settings::FILE);
    for (folder, span) in wanted.packs_of(plan) {
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
    // A rule that only judges another plan is there as well.
    let every = wanted.packs_of(None).len() == all.len();
    if !problems.has_errors() && every {
        for (rule, (_, span)) in &wanted.severity {
            let own = || policy::RULES.iter().map(|rule| rule.name);
            let known = || all.iter().flat_map(|pack| pack.rules.keys()).map(String::as_str).chain(own());
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

/// The packs that the release of a stage brought along, by its own list; and whether that has digests for all tags of images.
async fn released(stage: &Stage, context: &Context) -> Result<(Vec<Pack>, bool)> {
    let Some(digest) = &stage.subject.release else { return Ok((Vec::new(), false)) };
    let ledger = releases::store(context, &stage.loaded.place.project)?;
    let release = release::stored(&*ledger, digest).await?.release;
    let (mut packs, mut problems) = (Vec::new(), Diagnostics::new());
    for folder in &release.packs {
        match policy::pack::read(folder, &*stage.loaded.sources) {
            Ok(pack) => packs.push(pack),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.has_errors() { Err(stage.explained(problems)) } else { Ok((packs, release.images.is_some())) }
}

/// Judges a plan by all rules: Terrace's own, the packs of the project's folder, and those of the release where they are others (rule 26).
/// Nothing where no rule is asked: of a plan that only takes away or takes over.
///
/// # Errors
/// Packs that are wrong, rules that cannot be judged by, things that could not be looked at: that is never "nothing was found".
pub(crate) async fn judge(stage: &Stage, plan: &Plan, context: &Context) -> Result<Option<Judgement>> {
    if plan.header.mode != Mode::Normal {
        return Ok(None);
    }
    let packs = read(&stage.loaded.place.project, Some(&plan.header.plan))?;
    let strictness = &packs.strictness;
    let (brought, resolved) = released(stage, context).await?;
    let known: BTreeSet<Digest> = packs.all.iter().map(Pack::digest).collect();
    let brought: Vec<Pack> = brought.into_iter().filter(|pack| !known.contains(&pack.digest())).collect();
    let subject = &stage.subject;
    let none = packs.all.is_empty() && brought.is_empty();
    let texts = stage.loaded.texts();
    let material = if none && !subject.protected {
        None
    } else {
        Some(policy::material(&*subject.world.charts(), stage.ingredients()?).await)
    };
    let mut judgement = Judgement::default();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    if let Some(material) = material.as_ref().filter(|_| !none) {
        if let Some((address, failure)) = material.unseen.first() {
            return Err(unseen(address, failure));
        }
        let guard = guard()?;
        for (packs, of_packs, released) in [(&packs.all, &packs.texts, false), (&brought, &texts, true)] {
            if packs.is_empty() {
                continue;
            }
            let checked = policy::check(&guard, packs, strictness, material, &texts).await;
            let checked = checked.map_err(|e| Error::from(e).with_sources(of_packs.clone()))?;
            asked.extend(checked.asked);
            judgement.findings.extend(checked.findings);
            judgement.packs.extend(packs.iter().map(|pack| JudgedBy {
                pack: pack.name.clone(),
                version: pack.version.clone(),
                digest: pack.digest(),
                released,
            }));
        }
    }
    judgement.findings.extend(policy::own(plan, material.as_ref(), resolved, &texts, strictness));
    judgement.rules = asked.len() + policy::RULES.len();
    judgement.findings.sort_by(|a, b| a.key().cmp(&b.key()));
    // A release's pack and the folder's, of which one was changed since, find the same thing once.
    judgement.findings.dedup_by(|a, b| {
        let what = |f: &Finding| (f.rule.clone(), f.address.clone(), f.part.clone(), f.path.clone(), f.place.clone());
        what(a) == what(b) && a.severity == b.severity && a.what == b.what
    });
    if !judgement.findings.is_empty() {
        let standing = Standing::of(facts::all(&*stage.ledger).await?);
        policy::waive(&mut judgement, &standing.waivers, subject.world.clock().now());
    }
    Ok(Some(judgement))
}

/// Something that no rule could look at may be anything.
pub(crate) fn unseen(address: &Address, failure: &Failure) -> Error {
    let mut diagnostic = failure_diagnostic(failure);
    diagnostic.summary = format!("{address} was not looked at by policy: {}", diagnostic.summary);
    diagnostic.into()
}

/// Judges a plan that was made before by the rules and waivers of now, and refuses what they deny.
///
/// # Errors
/// As [`judge`] and [`hold`].
pub(crate) async fn hold_again(stage: &Stage, plan: &Plan, way_back: bool, context: &Context) -> Result<()> {
    hold(plan, judge(stage, plan, context).await?.as_ref(), way_back, context)
}

/// Refuses a plan that rules deny, with 3. On a way back they only warn (rule 33).
///
/// # Errors
/// What denies it.
pub(crate) fn hold(plan: &Plan, judgement: Option<&Judgement>, way_back: bool, context: &Context) -> Result<()> {
    let Some(judgement) = judgement.filter(|judgement| judgement.denies()) else { return Ok(()) };
    let denied: Vec<&Finding> = judgement.findings.iter().filter(|finding| finding.denies()).collect();
    if way_back {
        let rules: BTreeSet<&str> = denied.iter().map(|finding| finding.rule.as_str()).collect();
        let rules: Vec<&str> = rules.into_iter().collect();
        context
            .terminal
            .status(&format!("warning: rules would deny this, and do not stop a way back: {}", few(&rules, 5)));
        return Ok(());
    }
    let env = &plan.header.env;
    let mut problems = Diagnostics::new();
    for finding in &denied {
        let address = finding.address.as_ref().map_or_else(|| env.to_string(), ToString::to_string);
        let part = if finding.part.is_empty() { String::new() } else { format!(" {}", finding.part) };
        let what = format!("{}: {address}{part}: {}", finding.rule, finding.what);
        let why = match &finding.waiver {
            Some(Waiver { name, standing: WaiverStanding::Expired, until, .. }) => {
                format!("{}; its waiver {name} ended on {until}", finding.why)
            }
            Some(Waiver { name, by, .. }) => {
                format!("{}; the waiver {name} of {by} counts once somebody else agrees to it", finding.why)
            }
            None => finding.why.clone(),
        };
        let hint = match &finding.waiver {
            Some(Waiver { name, standing: WaiverStanding::Unapproved, .. }) => {
                format!("terrace approve --waiver {name} --env {env}")
            }
            _ => finding.instead.clone(),
        };
        problems.push(Diagnostic::error("policy_denied", what).because(why).hint(hint));
        if problems.0.len() == DENIALS_TOLD {
            break;
        }
    }
    if denied.len() > DENIALS_TOLD {
        let more = denied.len() - DENIALS_TOLD;
        problems.push(
            Diagnostic::error("policy_denied", format!("{more} more findings deny it"))
                .hint("the plan lists them, and terrace plan --json has them all"),
        );
    }
    Err(Error::from(problems).exit(Exit::Denied))
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
