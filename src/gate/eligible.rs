//! Eligibility: every reason that keeps a release from an environment, each in a sentence with what would lift it.

use crate::{
    base::{Digest, format_duration},
    gate::{
        approval::{self, Counted, Ignored},
        place::Place,
        window,
    },
    lang::gates::{ApprovalRule, Gates},
    state::{Actor, Approval, Progress, RunId},
};
use jiff::Timestamp;
use std::{fmt::Write as _, sync::Arc, time::Duration};

/// How far a clock may be ahead of ours before its facts are not believed.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// How a release is meant to come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Way {
    /// Nobody named it: `promote --auto`.
    pub auto: bool,
    /// Past soak and order (rule 32).
    pub hotfix: bool,
    /// Past windows, freezes and approvals, where this caller is one of the listed (rule 32).
    pub break_glass: Option<Actor>,
    /// Back to a release that was here before (rule 33).
    pub rollback: bool,
}

/// What is asked: may this release come to this environment, in this way, now?
#[derive(Debug, Clone)]
pub struct Docket<'a> {
    /// The release.
    pub release: &'a Digest,
    /// Who made the release, and the plan: neither counts as an approver unless `self = true`.
    pub authors: &'a [Actor],
    /// Where to.
    pub target: &'a Place,
    /// All that lies upstream, those of its `after` included: a revocation anywhere there blocks.
    pub upstream: &'a [&'a Place],
    /// The digest of the target's values, where it is known: the same release with other values is not there already.
    pub values: Option<&'a Digest>,
    /// The plan that would be applied, with its approvals; `None` where there is none yet.
    pub plan: Option<(&'a Digest, &'a [Approval])>,
    /// How.
    pub way: &'a Way,
    /// When.
    pub now: Timestamp,
}

/// Why a release may not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is there, with the same values.
    AlreadyThere,
    /// It was never in an environment that it must have been in.
    NeverIn(Arc<str>),
    /// It was there, and was not verified.
    NotVerified {
        /// Where.
        env: Arc<str>,
        /// How far it came.
        progress: Option<Progress>,
        /// Why the verification failed.
        failure: Option<String>,
    },
    /// It has not been verified there for long enough.
    Soaking {
        /// Where.
        env: Arc<str>,
        /// How long it was.
        soaked: Duration,
        /// How long it must be.
        needed: Duration,
        /// When that is, if nothing happens; `None` where it is no longer there.
        over: Option<Timestamp>,
    },
    /// What an environment upstream recorded cannot be read.
    Unreadable {
        /// Where.
        env: Arc<str>,
        /// Why.
        why: String,
    },
    /// What an environment upstream recorded is of a time that has not come.
    Future(Arc<str>),
    /// It was revoked upstream.
    Revoked {
        /// Where.
        env: Arc<str>,
        /// Why.
        reason: String,
    },
    /// Too few agree.
    Approvals {
        /// How many must.
        needed: u32,
        /// What was given.
        counted: Counted,
        /// For which plan; `None` where there is none yet.
        plan: Option<Digest>,
    },
    /// No window is open.
    Window {
        /// The windows, as people say them.
        windows: Vec<String>,
        /// When the next one opens.
        opens: Option<Timestamp>,
    },
    /// Nothing may come.
    Frozen {
        /// Why.
        reason: Option<String>,
        /// Until when; until it is lifted where `None`.
        until: Option<Timestamp>,
        /// True where a file declares it.
        declared: bool,
    },
    /// Somebody holds the environment.
    Held {
        /// Why.
        reason: String,
    },
    /// The environment lets nobody's absence move it.
    NotAutomatic,
    /// It was rolled back here.
    RolledBack,
    /// Another run is under way.
    Busy(RunId),
    /// A run broke the glass, and nobody else has looked at it.
    ReviewDue(RunId),
    /// Who would break the glass is not listed.
    MayNotBreakGlass(String),
    /// Only releases may come where somebody must approve (rule 29).
    ReleaseNeeded,
}

/// Every reason that blocks; none where the release may come.
#[must_use]
pub fn judge(docket: &Docket<'_>) -> Vec<Reason> {
    let Docket { target, way, now, .. } = docket;
    let mut out = Vec::new();
    if already_there(docket) {
        out.push(Reason::AlreadyThere);
    }
    out.extend(target.unreadable.iter().map(|why| Reason::Unreadable { env: target.name.clone(), why: why.clone() }));
    out.extend(target.open_run.iter().cloned().map(Reason::Busy));
    // The way back is open also to who broke the glass alone: what is due before the next promotion is somebody else's look (rule 32).
    out.extend(target.unreviewed.iter().filter(|_| !way.rollback).cloned().map(Reason::ReviewDue));
    let broken = match &way.break_glass {
        None => false,
        Some(actor) => {
            let listed = approval::listed(&target.gates.break_glass, actor);
            if !listed {
                out.push(Reason::MayNotBreakGlass(actor.arn.clone()));
            }
            listed
        }
    };
    out.extend(of_the_release(docket));
    let last_verified = target.way_back(docket.upstream) == Some(docket.release);
    // Going back to what was verified here needs neither a time nor anybody's word (rule 33).
    let free = broken || (way.rollback && last_verified);
    for gates in target.all_gates() {
        for reason in if free { Vec::new() } else { of_the_time(gates, target, *now) } {
            push_new(&mut out, reason);
        }
        let rule = gates.approval.as_ref().filter(|_| !free);
        if let Some(reason) = rule.and_then(|rule| too_few(rule, docket)) {
            push_new(&mut out, reason);
        }
    }
    if way.auto {
        if !target.gates.auto_promotion {
            out.push(Reason::NotAutomatic);
        }
        out.extend(target.standing.hold.iter().map(|fact| Reason::Held { reason: fact.reason.clone() }));
        if target.rolled_back(docket.release) {
            out.push(Reason::RolledBack);
        }
    }
    out
}

/// Where a release is among those that could come: first by when it was first made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The release.
    pub release: &'a Digest,
    /// When it was first made.
    pub created: Timestamp,
}

/// The newest by first creation of those that have behind them what they must, but for one that was rolled back here
/// (rule 30), and for those that are older than what is there: nothing goes back because something newer came out of order. Windows,
/// approvals and holds are of the environment and the moment, and make none a candidate or not.
#[must_use]
pub fn candidate<'a>(
    releases: impl IntoIterator<Item = Candidate<'a>>,
    target: &Place,
    upstream: &[&Place],
    now: Timestamp,
) -> Option<Candidate<'a>> {
    let way = Way::default();
    let all: Vec<Candidate<'a>> = releases.into_iter().collect();
    let here = target.current.as_ref().and_then(|current| current.held.release());
    let made = all.iter().find(|c| Some(c.release) == here).map(|c| c.created);
    let fit = |c: &Candidate<'_>| {
        if made.is_some_and(|made| c.created < made) {
            return false;
        }
        let docket =
            Docket { release: c.release, authors: &[], target, upstream, values: None, plan: None, way: &way, now };
        !target.rolled_back(c.release) && of_the_release(&docket).is_empty()
    };
    let newer = |c: &Candidate<'a>| (c.created, c.release.clone());
    all.into_iter().filter(fit).max_by_key(newer)
}

fn push_new(out: &mut Vec<Reason>, reason: Reason) {
    if !out.contains(&reason) {
        out.push(reason);
    }
}

fn already_there(docket: &Docket<'_>) -> bool {
    docket.target.current.as_ref().is_some_and(|current| {
        current.held.release() == Some(docket.release)
            && current.progress == Progress::Complete
            && docket.values.is_none_or(|values| *values == current.values)
    })
}

/// What a release has, or has not, behind it.
fn of_the_release(docket: &Docket<'_>) -> Vec<Reason> {
    let mut out = Vec::new();
    for place in docket.upstream {
        if let Some(why) = &place.unreadable {
            out.push(Reason::Unreadable { env: place.name.clone(), why: why.clone() });
        }
        if let Some(fact) = place.standing.revoked.get(docket.release) {
            out.push(Reason::Revoked { env: place.name.clone(), reason: fact.reason.clone() });
        }
    }
    if docket.way.hotfix || docket.way.rollback {
        return out;
    }
    for place in docket.target.nearest(docket.upstream).filter(|place| place.unreadable.is_none()) {
        let env = place.name.clone();
        let Some(seen) = place.seen(docket.release) else {
            out.push(Reason::NeverIn(env));
            continue;
        };
        if seen.since.is_some_and(|since| since.duration_since(docket.now) > SKEW.try_into().unwrap_or_default()) {
            out.push(Reason::Future(env));
            continue;
        }
        if !seen.verified {
            let (progress, failure) = (seen.progress.clone(), seen.failure.clone());
            out.push(Reason::NotVerified { env, progress, failure });
            continue;
        }
        let (soaked, needed) = (seen.soaked(docket.now), soak(docket.target));
        if soaked < needed {
            let over = seen.verified_since().and_then(|from| from.checked_add(needed).ok());
            out.push(Reason::Soaking { env, soaked, needed, over });
        }
    }
    out
}

/// The longer of the declared soak and the one that the last run was made under.
fn soak(target: &Place) -> Duration {
    target.all_gates().map(|gates| gates.soak).max().unwrap_or_default()
}

fn of_the_time(gates: &Gates, target: &Place, now: Timestamp) -> Vec<Reason> {
    let mut out = Vec::new();
    if !window::is_open(&gates.windows, now) {
        let windows = gates.windows.iter().map(crate::lang::gates::Window::spoken).collect();
        out.push(Reason::Window { windows, opens: window::opens(&gates.windows, now) });
    }
    for freeze in gates.freezes.iter().filter(|f| f.from <= now && now < f.until) {
        let reason = Some(freeze.reason.clone().unwrap_or_else(|| freeze.name.clone()));
        out.push(Reason::Frozen { reason, until: Some(freeze.until), declared: true });
    }
    if let Some(fact) = &target.standing.freeze {
        let until = match fact.what {
            crate::state::Decision::Freeze { until } => until,
            _ => None,
        };
        if until.is_none_or(|until| now < until) {
            out.push(Reason::Frozen { reason: Some(fact.reason.clone()), until, declared: false });
        }
    }
    out
}

fn too_few(rule: &ApprovalRule, docket: &Docket<'_>) -> Option<Reason> {
    let Some((plan, approvals)) = docket.plan else {
        return Some(Reason::Approvals { needed: rule.count, counted: Counted::default(), plan: None });
    };
    let counted = approval::count(rule, approvals, docket.authors, docket.now);
    let enough = counted.counted.len() >= usize::try_from(rule.count).unwrap_or(usize::MAX);
    (!enough).then(|| Reason::Approvals { needed: rule.count, counted, plan: Some(plan.clone()) })
}

impl Reason {
    /// A word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AlreadyThere => "already_there",
            Self::NeverIn(_) => "never_in",
            Self::NotVerified { .. } => "not_verified",
            Self::Soaking { .. } => "soaking",
            Self::Unreadable { .. } => "unreadable",
            Self::Future(_) => "clock",
            Self::Revoked { .. } => "revoked",
            Self::Approvals { .. } => "approvals",
            Self::Window { .. } => "window",
            Self::Frozen { .. } => "frozen",
            Self::Held { .. } => "held",
            Self::NotAutomatic => "not_automatic",
            Self::RolledBack => "rolled_back",
            Self::Busy(_) => "busy",
            Self::ReviewDue(_) => "review_due",
            Self::MayNotBreakGlass(_) => "may_not_break_glass",
            Self::ReleaseNeeded => "release_needed",
        }
    }

    /// What blocks, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::AlreadyThere => "it is there already, with the same values".to_owned(),
            Self::NeverIn(env) => format!("it was never in {env}"),
            Self::NotVerified { env, progress, failure } => match (progress, failure) {
                (_, Some(why)) => format!("it is not verified in {env}: {why}"),
                (Some(Progress::FailedAt(phase)), None) if phase.is_empty() => format!("it failed in {env}"),
                (Some(Progress::FailedAt(phase)), None) => format!("it failed in {env}, in phase {phase}"),
                (Some(Progress::Partial), None) => format!("only part of it was applied in {env}"),
                (Some(Progress::Coming), None) => format!("its run in {env} has not ended"),
                _ => format!("it is not verified in {env}"),
            },
            Self::Soaking { env, soaked, needed, over } => {
                let (soaked, needed) = (format_duration(*soaked), format_duration(*needed));
                let rest = if over.is_some() { "so far" } else { "and is no longer verified there" };
                format!("it soaks in {env} for {needed}: {soaked} {rest}")
            }
            Self::Unreadable { env, why } => format!("what is recorded of {env} cannot be read: {why}"),
            Self::Future(env) => format!("what is recorded of it in {env} is of a time that has not come"),
            Self::Revoked { env, reason } => format!("it was revoked in {env}: {reason}"),
            Self::Approvals { needed, counted, plan } => {
                let have = counted.counted.len();
                let of = if plan.is_some() { "" } else { " of a plan that is yet to be made" };
                let mut said = format!("{have} of {needed} approvals{of}");
                for (actor, why) in &counted.ignored {
                    let _ = write!(said, "; {} {}", actor.spoken(), Ignored::spoken(*why));
                }
                said
            }
            Self::Window { windows, .. } => format!("outside its window ({})", windows.join("; ")),
            Self::Frozen { reason, .. } => match reason {
                Some(reason) => format!("frozen: {reason}"),
                None => "frozen".to_owned(),
            },
            Self::Held { reason } => format!("on hold: {reason}"),
            Self::NotAutomatic => "nothing comes here by itself".to_owned(),
            Self::RolledBack => "it was rolled back here".to_owned(),
            Self::Busy(run) => format!("the run {run} has not ended"),
            Self::ReviewDue(run) => format!("the run {run} broke the glass and was not reviewed"),
            Self::MayNotBreakGlass(who) => format!("{who} may not break the glass here"),
            Self::ReleaseNeeded => "only a release may come here, since somebody must approve it".to_owned(),
        }
    }

    /// What would lift it, in a sentence. `env` is where the release would go, `release` how it is named in a command.
    #[must_use]
    pub fn lifted_by(&self, env: &str, release: &str) -> String {
        let day = |at: &Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        match self {
            Self::AlreadyThere => "nothing is to be done".to_owned(),
            Self::NeverIn(first) => format!("terrace promote {release} --to {first}"),
            Self::NotVerified { env, progress: Some(Progress::FailedAt(_)), .. } => {
                format!("terrace promote {release} --to {env} once it is mended; or promote another release")
            }
            Self::NotVerified { env, progress: Some(Progress::Coming), failure: None } => {
                format!("wait for it, or terrace resume --env {env} where nobody drives it")
            }
            Self::NotVerified { env, .. } => {
                format!("mend it in {env}, then terrace verify --env {env}; or promote another release")
            }
            Self::Soaking { over: Some(over), .. } => format!("over at {}", day(over)),
            Self::Soaking { env, over: None, .. } => format!("terrace promote {release} --to {env}, and wait"),
            Self::Unreadable { env, .. } => format!("look at the state of {env}: terrace state verify --env {env}"),
            Self::Future(env) => format!("set the clocks of whoever runs {env} right"),
            Self::Revoked { .. } => format!("terrace revoke {release} --undo REASON, once the cause is known"),
            Self::Approvals { plan: None, .. } => format!("terrace promote {release} --to {env} makes the plan"),
            Self::Approvals { .. } if release == "RELEASE" => {
                format!("save the plan with --out FILE, then terrace approve FILE --env {env}, then apply FILE")
            }
            Self::Approvals { plan: Some(plan), .. } => format!("terrace approve {} --env {env}", plan.short()),
            Self::Window { opens: Some(opens), .. } => format!("opens at {}", day(opens)),
            Self::Window { opens: None, .. } => "no window opens within two weeks".to_owned(),
            Self::Frozen { until: Some(until), .. } => format!("over at {}", day(until)),
            Self::Frozen { until: None, .. } => format!("terrace freeze {env} --lift --reason TEXT"),
            Self::Held { .. } => format!("terrace release-hold {env} --reason TEXT, or promote the candidate by name"),
            Self::NotAutomatic => format!("terrace promote {release} --to {env}, or auto_promotion = true"),
            Self::RolledBack => format!("terrace promote {release} --to {env} names it again"),
            Self::Busy(_) => format!("wait for it, or terrace resume --env {env}"),
            Self::ReviewDue(run) => format!("somebody else: terrace approve --review {run} --env {env}"),
            Self::MayNotBreakGlass(_) => "ask somebody who is listed in break_glass".to_owned(),
            Self::ReleaseNeeded => format!("terrace release create, then terrace promote RELEASE --to {env}"),
        }
    }
}
