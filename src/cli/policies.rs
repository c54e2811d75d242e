//! The packs of rules of a project, and what judges by them.

use crate::{
    base::{Address, Diagnostic, Diagnostics, Digest, SourceMap, few},
    cli::{
        context::Context,
        error::{Error, Result, failure_diagnostic},
        exit::Exit,
        packs, prices,
        project::Project,
        releases, settings,
        sources::RecordingSources,
        stage::Stage,
        surroundings::Surroundings,
    },
    lang::{Sources as _, suggest},
    plan::{Asked, Finding, JudgedBy, Judgement, Mode, Plan, Waiver, WaiverStanding},
    policy::{self, Pack, RuleBook, Strictness},
    review::{self, Book},
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
pub(crate) async fn read(project: &Project, plan: Option<&str>, context: &Context) -> Result<Packs> {
    let sources = RecordingSources::new(Arc::new(project.sources.clone()));
    let wanted = &project.settings.policy;
    let (mut all, mut problems) = (Vec::new(), Diagnostics::new());
    // For the places within it.
    let _ = sources.read(settings::FILE);
    for (named, span) in wanted.packs_of(plan) {
        let folder = match packs::folder(named, project, context).await {
            Ok(folder) => folder,
            Err(error) => {
                error.diagnostics.0.into_iter().for_each(|problem| problems.push(problem.at(span, "named here")));
                continue;
            }
        };
        match policy::pack::read(&folder, &sources) {
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
    if let Some(plan) = plan.filter(|plan| !wanted.of_plan.contains_key(*plan))
        && let Some((written, span)) = wanted.meant_for(plan)
    {
        let problem = Diagnostic::error("policy_plan_unknown", format!("`[policy.plan.{written}]` is for no plan"));
        let why = format!("this plan is called `{plan}`: its packs would not be asked");
        problems.push(problem.at(span, "named here").because(why).hint(format!("write [policy.plan.{plan}]")));
    }
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

/// What an environment was last changed under, where it is known.
#[derive(Default)]
struct Former {
    packs: Vec<Pack>,
    /// How bad the rules of these packs were.
    strictness: Strictness,
    /// Rules that were worse than they are declared to be now.
    lowered: Strictness,
}

async fn former(stage: &Stage, packs: &Packs) -> Result<Former> {
    let Some(digest) = &stage.subject.state.delivery.rules else { return Ok(Former::default()) };
    let book = RuleBook::read(&*stage.ledger, digest).await?;
    let kept = book.packs().map_err(|problems| stage.explained(problems))?;
    let lowered = book.lowered(&kept, &packs.all, &packs.strictness, stage.subject.protected);
    Ok(Former { packs: kept, strictness: book.strictness().clone(), lowered })
}

/// Keeps the rules that a run is judged by, as they are declared, and says by which name.
///
/// # Errors
/// Packs that are wrong, a storage that fails.
pub(crate) async fn keep(stage: &Stage, context: &Context) -> Result<Digest> {
    let packs = read(&stage.loaded.place.project, Some(&stage.loaded.configuration.label), context).await?;
    Ok(RuleBook::new(&packs.all, &packs.strictness, stage.subject.protected).keep(&*stage.ledger).await?)
}

/// Judges a plan by all rules: Terrace's own, the packs of the project's folder, those of the release where they are others, and those
/// that the environment was last changed under (rule 26).
/// Nothing where no rule is asked: of a plan that only takes away or takes over.
///
/// # Errors
/// Packs that are wrong, rules that cannot be judged by, things that could not be looked at: that is never "nothing was found".
pub(crate) async fn judge(stage: &Stage, plan: &Plan, context: &Context) -> Result<Option<Judgement>> {
    if plan.header.mode != Mode::Normal {
        return Ok(None);
    }
    let packs = read(&stage.loaded.place.project, Some(&plan.header.plan), context).await?;
    let (brought, resolved) = released(stage, context).await?;
    let subject = &stage.subject;
    let former = former(stage, &packs).await?;
    let mut strictness = packs.strictness.clone();
    strictness.extend(former.lowered.clone());
    let strictness = &strictness;
    let mut known: BTreeSet<Digest> = packs.all.iter().map(Pack::digest).collect();
    let mut new = |pack: &Pack| known.insert(pack.digest());
    let brought: Vec<Pack> = brought.into_iter().filter(&mut new).collect();
    let kept: Vec<Pack> = former.packs.into_iter().filter(&mut new).collect();
    let none = packs.all.is_empty() && brought.is_empty() && kept.is_empty();
    let texts = stage.loaded.texts();
    let material = if none && !subject.protected {
        None
    } else {
        let mut made_of = stage.ingredients()?;
        if !context.uses_credentials {
            // What would have to be fetched is not: whoever proposes names where from.
            made_of.renderings.retain(|(_, rendering)| rendering.request.chart.is_folder());
        }
        Some(policy::material(&*subject.world.charts(), made_of).await)
    };
    let mut judgement = Judgement::default();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    if let Some(material) = material.as_ref().filter(|_| !none) {
        if let Some((address, failure)) = material.unseen.first() {
            return Err(unseen(address, failure));
        }
        let guard = guard()?;
        for (packs, of_packs, strictness) in [
            (&packs.all, &packs.texts, strictness),
            (&brought, &texts, strictness),
            (&kept, &texts, &former.strictness),
        ] {
            if packs.is_empty() {
                continue;
            }
            let checked = policy::check(&guard, packs, strictness, material, Some(plan), &texts).await;
            let checked = checked.map_err(|e| Error::from(e).with_sources(of_packs.clone()))?;
            for rule in packs.iter().flat_map(|pack| pack.rules.values().map(move |rule| (pack, rule))) {
                judgement.asked.push(asked_of(rule, &checked));
            }
            asked.extend(checked.asked.into_keys());
            judgement.findings.extend(checked.findings);
            judgement.packs.extend(packs.iter().map(|pack| JudgedBy {
                pack: pack.name.clone(),
                version: pack.version.clone(),
                digest: pack.digest(),
                released: brought.contains(pack),
                remembered: kept.contains(pack),
            }));
        }
    }
    let lacking = lacking(plan, &prices::read(&stage.loaded.place.project)?);
    let beside = policy::Beside { material: material.as_ref(), resolved, lacking: &lacking };
    judgement.findings.extend(policy::own(plan, beside, &texts, strictness));
    judgement.rules = asked.len() + policy::RULES.len();
    judgement.remembered = former.lowered.into_keys().collect();
    judgement.asked.extend(policy::looked(plan, material.as_ref(), strictness));
    // What a release brought along and was changed in the folder since was asked twice.
    judgement.asked.sort();
    judgement.asked.dedup_by(|more, first| {
        let same = (&more.pack, &more.rule, &more.controls) == (&first.pack, &first.rule, &first.controls);
        if same {
            first.of.append(&mut more.of);
        }
        same
    });
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

/// Why the nodes of a plan do not hold what runs on them; of the node group, where there is one.
fn lacking(plan: &Plan, book: &Book) -> Vec<(Option<Address>, String)> {
    let Some(capacity) = review::capacity(plan, book).filter(|capacity| capacity.fits == Some(false)) else {
        return Vec::new();
    };
    let group = match capacity.groups.as_slice() {
        [group] => Some(group.address.clone()),
        _ => None,
    };
    capacity.because.into_iter().map(|what| (group.clone(), what)).collect()
}

/// A rule of a pack, and what it looked at in a check.
fn asked_of((pack, rule): (&Pack, &policy::pack::Rule), checked: &policy::Checked) -> Asked {
    Asked {
        pack: pack.name.clone(),
        rule: rule.name.clone(),
        controls: rule.controls.clone(),
        of: checked.asked.get(&rule.name).cloned().unwrap_or_default(),
        whole: rule.on == policy::On::Plan && checked.asked.contains_key(&rule.name),
    }
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
        let former = judgement.remembered.contains(&finding.rule)
            || judgement.packs.iter().any(|by| by.remembered && by.pack == finding.pack);
        let why = if former {
            format!(
                "{why}; that was asked when {env} was last changed, and what is weaker counts after a run that passes it"
            )
        } else {
            why
        };
        let hint = match &finding.waiver {
            Some(Waiver { name, standing: WaiverStanding::Unapproved, .. }) => {
                let sandbox = if context.global.sandbox { " --sandbox" } else { "" };
                format!("terrace approve --waiver {name} --env {env}{sandbox}")
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
