//! One promotion: judged, planned, shown, agreed to, applied, recorded.

use crate::{
    apply::Warrant,
    base::Digest,
    cli::{
        args::Consent,
        commands::{self, apply::Drive},
        consent,
        context::Context,
        delivery,
        error::{Error, Result, not_eligible},
        exit::Exit,
        images,
        notify::What,
        place, policies, prices, releases,
        stage::{self, Stage},
        style::{bold, clean, red},
        variables,
    },
    gate::{self, Candidate, Docket, Place, Reason, Way},
    lang::gates::AfterFailure,
    plan::{self, Request, Saved},
    promote::stored,
    state::{Actor, Decision, Fact, Held, Passage, Store, StoredRelease, Verdict, approval, facts, release},
    world::live::OsRandom,
};

/// What is to go where.
pub(crate) struct Promotion<'a> {
    /// The release, as it was typed.
    pub(crate) release: &'a str,
    /// The environment.
    pub(crate) to: &'a str,
    /// Who wants it.
    pub(crate) why: Why,
    /// What it passes, with the reasons.
    pub(crate) passage: Passage,
    /// What a person agreed to.
    pub(crate) consent: &'a Consent,
}

/// Who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Somebody named it.
    Named,
    /// It is the candidate.
    Auto,
    /// What came after it failed its verification, and the environment goes back by itself.
    Undo,
}

/// Promotes a release, or says every reason why not.
///
/// # Errors
/// A release or an environment that is not there; a gate that is shut (exit 4); whatever keeps a plan from being made.
pub(crate) async fn promote(promotion: Promotion<'_>, context: &Context) -> Result<Exit> {
    let project = context.project()?;
    let store = releases::store(context, &project)?;
    let all = release::releases(&*store).await?;
    let found = releases::pick(context, &all, promotion.release)?;
    let loaded = releases::load_found(project.clone(), &*store, &found).await?;
    let environment = loaded.named_environment(promotion.to)?.clone();
    let chosen = loaded.whereabouts(context, &environment).await?;
    let target = delivery::recorded(context, &loaded, &environment).await.place;
    if promotion.passage.rollback && target.unreadable.is_none() && target.seen(&found.digest).is_none() {
        let (env, short) = (&environment.name, found.digest.short());
        return Err(Error::new(
            "rollback_nowhere",
            format!("the release {short} was never in {env}: that is no way back"),
        )
        .exit(Exit::NotEligible)
        .hint(format!("terrace promote {short} --to {env} brings it there as any other")));
    }
    let upstream = delivery::recorded_upstream(context, &loaded, &environment).await;
    let variables = variables::gather(context, &loaded, &environment.name)?;
    let stage = stage::set(context, loaded, chosen.clone(), variables).await?;
    let by = delivery::actor(context, &stage.loaded, &chosen, &*stage.subject.world).await?;
    let now = stage.subject.world.clock().now();
    let way = Way {
        auto: promotion.why == Why::Auto,
        hotfix: promotion.passage.hotfix.is_some(),
        break_glass: promotion.passage.break_glass.is_some().then(|| by.clone()),
        rollback: promotion.passage.rollback,
    };
    let values = values_of(&stage)?;
    let above: Vec<&Place> = upstream.iter().collect();
    let docket = Docket {
        release: &found.digest,
        authors: &[],
        target: &target,
        upstream: &above,
        values: Some(&values),
        plan: None,
        way: &way,
        now,
    };
    let mut reasons = gate::judge(&docket);
    if already(&reasons) {
        context.terminal.status(&format!(
            "{} has {} already, with the same values",
            environment.name,
            found.digest.short()
        ));
        return Ok(Exit::Done);
    }
    // Approvals are of a plan, and there is none yet.
    let needs_approval = reasons.iter().any(|r| matches!(r, Reason::Approvals { .. }));
    reasons.retain(|r| !matches!(r, Reason::Approvals { .. }));
    if !reasons.is_empty() {
        return Err(not_eligible(&environment.name, found.digest.short(), &reasons));
    }
    let held = match target.current.as_ref().map(|current| &current.held) {
        Some(Held::Release(digest)) => format!("release {}", digest.short()),
        Some(Held::Unreleased) => "what is no release".to_owned(),
        Some(Held::Nothing) | None => "nothing".to_owned(),
    };
    let comes = if way.rollback { "goes back to" } else { "is to get" };
    let (env, short, made) = (&environment.name, found.digest.short(), found.created().strftime("%Y-%m-%d %H:%M:%SZ"));
    let older = target.current.as_ref().and_then(|current| current.held.release());
    let older =
        older.and_then(|held| all.iter().find(|r| r.digest == *held)).is_some_and(|r| r.created() > found.created());
    let older = if older && !way.rollback { ", which was made later: this goes back to an older one" } else { "" };
    context.terminal.status(&format!("{env} {comes} release {short}, made {made}; it holds {held} now{older}"));
    if let Some(reason) = &promotion.passage.break_glass {
        let what = format!("THE GLASS IS BROKEN: windows, freezes and approvals of {env} are passed ({reason})");
        context.terminal.status(&red(bold(clean(&what))));
    }
    let of_plan = all.iter().filter(|r| r.release.plan == found.release.plan);
    let candidates = of_plan.map(|r| Candidate { release: &r.digest, created: r.created() });
    let candidate = gate::candidate(candidates, &target, &above, now).map(|c| c.release.clone());
    Box::pin(images::hold(&stage, promotion.passage.rollback, context)).await?;
    // Rules only warn on the way back to what was good here; what never was is judged as any other (rule 33).
    let proved = promotion.passage.rollback && target.seen(&found.digest).is_some_and(|seen| seen.verified);
    let because = because(&found.digest, target.nearest(&above), now);
    let warrant = Warrant {
        after: environment.after.clone(),
        gates: environment.gates.clone(),
        authors: found.authors(),
        by: Some(by.clone()),
        rules: None,
        way,
        passage: Passage { because, ..promotion.passage.clone() },
        upstream,
    };
    let consent = promotion.consent;
    let job = Job { stage, found, warrant, by, consent, needs_approval, proved, candidate, now };
    Box::pin(job.run(&project, promotion.why, context)).await
}

fn already(reasons: &[Reason]) -> bool {
    reasons.contains(&Reason::AlreadyThere)
        && reasons.iter().all(|r| matches!(r, Reason::AlreadyThere | Reason::Approvals { .. } | Reason::Window { .. }))
}

/// The digest of what an environment gives to a plan, as its arrival will record it.
fn values_of(stage: &Stage) -> Result<Digest> {
    let sealed: std::collections::BTreeMap<_, _> =
        stage.subject.given.variables.iter().map(|(k, v)| (k.clone(), stage.subject.seal.seal_value(v))).collect();
    plan::values_digest(&sealed, &stage.subject.world_id()).map_err(|e| crate::cli::error::defect(&e))
}

/// What each upstream has to show for a release, for the record.
fn because<'a>(release: &Digest, upstream: impl Iterator<Item = &'a Place>, now: jiff::Timestamp) -> Vec<String> {
    let said = |place: &Place| {
        let soaked = place.seen(release).map(|seen| seen.soaked(now))?;
        Some(format!("verified in {} for {}", place.name, crate::base::format_duration(soaked)))
    };
    upstream.filter_map(said).collect()
}

/// A promotion that nothing stands against but, perhaps, approvals.
struct Job<'a> {
    stage: Stage,
    found: StoredRelease,
    warrant: Warrant,
    by: Actor,
    consent: &'a Consent,
    needs_approval: bool,
    /// Whether it goes back to what was verified there.
    proved: bool,
    candidate: Option<Digest>,
    now: jiff::Timestamp,
}

impl Job<'_> {
    async fn run(mut self, project: &crate::cli::project::Project, why: Why, context: &Context) -> Result<Exit> {
        let state = place::open_store(context, project, &self.stage.ledger, "promote").await?;
        self.stage.subject.state = state.snapshot();
        let ready = self.plan(why, context).await;
        let (saved, check_fresh) = match ready {
            Ok(Some(ready)) => ready,
            Ok(None) => {
                state.close().await?;
                return Ok(Exit::NotEligible);
            }
            Err(error) => {
                let _ = state.close().await;
                return Err(error);
            }
        };
        Box::pin(self.apply(saved, check_fresh, state, context)).await
    }

    /// A plan that everybody who must has agreed to; nothing where it waits for them.
    async fn plan(&self, why: Why, context: &Context) -> Result<Option<(Saved, bool)>> {
        place::no_open_run(&self.stage.subject.state)?;
        if self.needs_approval
            && let Some(saved) = self.waiting(context).await?
        {
            Box::pin(policies::hold_again(&self.stage, &saved.content, self.proved, context)).await?;
            return self.approved(saved, context).await.map(|saved| saved.map(|saved| (saved, true)));
        }
        let book = prices::read(&self.stage.loaded.place.project)?;
        let mut saved = stage::save(Box::pin(self.stage.make_judged(context, &Request::default())).await?)?;
        saved.attachment.author = Some(self.by.clone());
        if self.warrant.passage.rollback {
            warned(&saved, context);
        }
        commands::plan::show(&saved, &book, context);
        let judgement = saved.content.judgement.as_ref().filter(|_| saved.content.has_changes());
        if let Err(error) = policies::hold(&saved.content, judgement, self.proved, context) {
            self.stage.discard(&saved.attachment, context).await;
            return Err(error);
        }
        if self.needs_approval {
            stored::keep(&*self.stage.ledger, &saved).await?;
            // Once, when it begins to wait, and not each time that somebody looks.
            let waits = saved.clone();
            let approved = self.approved(saved, context).await?;
            if approved.is_none() {
                commands::plan::tell(&waits, What::WaitingForApproval, &self.stage, context).await;
            }
            return Ok(approved.map(|saved| (saved, true)));
        }
        let agreed = if saved.content.has_changes() && why == Why::Named {
            self.allows_auto_approve().and_then(|()| consent::ask(&saved.content, self.consent, context))
        } else {
            Ok(())
        };
        if let Err(error) = agreed {
            self.stage.discard(&saved.attachment, context).await;
            return Err(error);
        }
        Ok(Some((saved, false)))
    }

    /// Where nobody has to approve, a protected environment still wants a person.
    fn allows_auto_approve(&self) -> Result<()> {
        let header = &self.stage.subject;
        let env = &header.given.env.name;
        if header.protected && self.consent.auto_approve && self.consent.confirm.as_deref() != Some(&**env) {
            return Err(Error::usage("protected", format!("{env} is protected: --auto-approve alone is not enough"))
                .hint(format!("give --confirm {env} beside it")));
        }
        Ok(())
    }

    /// The plan of this release that waits, where it is still fresh; one that is not is taken away.
    async fn waiting(&self, context: &Context) -> Result<Option<Saved>> {
        let subject = &self.stage.subject;
        let ledger = &*self.stage.ledger;
        let request =
            Request { parallelism: context.parallelism(&self.stage.loaded.place.project), ..Request::default() };
        for saved in stored::waiting(ledger).await? {
            if saved.content.header.release.as_ref() != Some(&self.found.digest) {
                continue;
            }
            let mut moved = plan::moved(subject, &saved.content, &request).await;
            if moved.is_empty() {
                moved = plan::spent(subject, &saved.attachment, request.parallelism).await;
            }
            if moved.is_empty() {
                commands::plan::show(&saved, &prices::read(&self.stage.loaded.place.project)?, context);
                return Ok(Some(saved));
            }
            let why: Vec<String> = moved.iter().map(ToString::to_string).collect();
            context.terminal.status(&format!(
                "the plan {} that waited is stale and needs approvals anew: {}",
                saved.digest.short(),
                why.join("; ")
            ));
            stored::forget(ledger, &saved.digest).await?;
            self.stage.discard(&saved.attachment, context).await;
        }
        Ok(None)
    }

    /// The plan, where enough have approved it; else it is said who is missing.
    async fn approved(&self, saved: Saved, context: &Context) -> Result<Option<Saved>> {
        let env = &saved.content.header.env;
        let approvals = approval::approvals(&*self.stage.ledger, &saved.digest).await?;
        let mut authors = self.warrant.authors.clone();
        authors.extend(saved.attachment.author.clone());
        let rules = std::iter::once(&self.warrant.gates).filter_map(|gates| gates.approval.as_ref());
        let mut short = Vec::new();
        for rule in rules {
            let counted = gate::count(rule, &approvals, &authors, self.now);
            if counted.counted.len() < usize::try_from(rule.count).unwrap_or(usize::MAX) {
                short.push(Reason::Approvals { needed: rule.count, counted, plan: Some(saved.digest.clone()) });
            }
        }
        if short.is_empty() {
            return Ok(Some(saved));
        }
        for reason in &short {
            context.terminal.status(&format!("{} waits: {}", bold(env), reason.sentence()));
            context.terminal.status(&format!("Next: {}", bold(reason.lifted_by(env, self.found.digest.short()))));
        }
        Ok(None)
    }

    async fn apply(self, saved: Saved, check_fresh: bool, state: Store, context: &Context) -> Result<Exit> {
        let Self { stage, found, mut warrant, by, consent, candidate, now, .. } = self;
        let goes_back = warrant.gates.on_failed_verification == AfterFailure::Rollback && !warrant.passage.rollback;
        warrant.authors.extend(saved.attachment.author.clone());
        let rollback = warrant.passage.rollback;
        let broken = warrant.passage.break_glass.is_some();
        let digest = saved.digest.clone();
        let how = Drive { command: "promote", reason: consent.reason.as_deref(), check_fresh, warrant: Some(warrant) };
        let exit = commands::apply::drive(&stage, saved, state, how, context).await?;
        if exit != Exit::Interrupted {
            stored::forget(&*stage.ledger, &digest).await?;
        }
        let env = &stage.subject.given.env.name;
        if broken && let Some(run) = place::snapshot(&stage.ledger).await?.runs.last() {
            let next = bold(format!("terrace approve --review {} --env {env}", run.id));
            context.terminal.status(&format!(
                "The glass was broken: nothing more is promoted to {env} until somebody else has looked at it: {next}"
            ));
        }
        // Anything but the candidate is there by somebody's will, and stays until the candidate is named (rule 30).
        let held = state_of_hold(&stage).await?;
        let is_candidate = candidate.as_ref() == Some(&found.digest) && !rollback;
        let decision = match (is_candidate, held) {
            (false, false) => Some((Decision::Hold, format!("{} is not the candidate", found.digest.short()))),
            (true, true) => Some((Decision::ReleaseHold, format!("{} is the candidate", found.digest.short()))),
            _ => None,
        };
        if let Some((decision, reason)) = decision {
            let said = if decision == Decision::Hold { "is held" } else { "is no longer held" };
            context.terminal.status(&format!("{env} {said}: {reason}"));
            facts::record(
                &*stage.ledger,
                &OsRandom,
                &Fact::new(now, by, reason, decision),
                &context.surroundings.origin(),
            )
            .await?;
        }
        if goes_back && matches!(exit, Exit::Error | Exit::RolledBack) {
            return go_back(&stage, &found, consent, exit, context).await;
        }
        Ok(exit)
    }
}

/// Says first what going back does not bring back.
fn warned(saved: &Saved, context: &Context) {
    let lines = crate::promote::beyond_return(&saved.content);
    if lines.is_empty() {
        return;
    }
    context.terminal.status(&bold("What going back does not bring back:"));
    for line in lines {
        context.terminal.status(&format!("  {}", crate::cli::style::clean(&line)));
    }
    context.terminal.status("");
}

/// Takes an environment back to the release that was verified there last, where its own verification is what failed: not where
/// the platform did, and never after a rollback (rule 34).
async fn go_back(
    stage: &Stage,
    failed: &StoredRelease,
    consent: &Consent,
    exit: Exit,
    context: &Context,
) -> Result<Exit> {
    let env = &stage.subject.given.env.name;
    let recorded = place::snapshot(&stage.ledger).await?;
    let Some(run) = recorded.runs.last() else { return Ok(exit) };
    let asked = |verdict: &Verdict| !verdict.passed && verdict.at >= run.started;
    let judged = recorded.rollouts.values().any(|standing| standing.failed_by_itself(&run.id.0));
    if !judged && !recorded.verdicts.values().any(asked) {
        context
            .terminal
            .status(&format!("{env} stays as it is: no verification failed, so the release is not to blame"));
        return Ok(exit);
    }
    let Some(environment) = stage.loaded.configuration.environments.get(env) else { return Ok(exit) };
    let place = delivery::recorded(context, &stage.loaded, environment).await.place;
    let upstream = delivery::recorded_upstream(context, &stage.loaded, environment).await;
    let upstream: Vec<&Place> = upstream.iter().collect();
    let Some(former) = place.way_back(&upstream).filter(|former| **former != failed.digest) else {
        context
            .terminal
            .status(&format!("{env} stays as it is: no other release was verified there before that is not revoked"));
        return Ok(exit);
    };
    let (short, back) = (failed.digest.short(), former.short());
    context.terminal.status(&format!("{env} goes back to {back}: the verification of {short} failed"));
    let passage = Passage { rollback: true, ..Passage::default() };
    let promotion = Promotion { release: former.as_str(), to: env, why: Why::Undo, passage, consent };
    Ok(match Box::pin(promote(promotion, context)).await? {
        Exit::Done => Exit::RolledBack,
        _ => Exit::Stuck,
    })
}

async fn state_of_hold(stage: &Stage) -> Result<bool> {
    Ok(crate::state::Standing::of(facts::all(&*stage.ledger).await?).hold.is_some())
}
