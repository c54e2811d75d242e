//! Installs, upgrades, rolls back and uninstalls; each revision that is made bears the intent's token.

use crate::{
    base::{ActionWord, Value, elapsed, format_duration},
    kinds::{
        Applied, Context, Desired, Finding, Recovered, Step,
        drain::{of_release, until_gone},
        graft,
        helm::{
            desired::{chart_of, flag, request, request_of},
            fields,
            live::{Revisions, exports, names, revisions},
            namespace, waiting,
        },
    },
    world::{Class, Failure, Outcome, Release, ReleaseRequest},
};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// The pause before the second look at a release that another helm holds.
const FIRST_LOOK: Duration = Duration::from_millis(200);
/// How long a rollback or an uninstall may take where the request says nothing.
const UNDO_TIMEOUT: Duration = Duration::from_secs(10 * 60);

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let Some(desired) = step.desired.filter(|_| step.action != ActionWord::Delete) else {
        return uninstall(context, step.identity.unwrap_or(&Json::Null)).await;
    };
    if let Some(parts) = graft::asked(step.facts) {
        return fields::put_back(context, step, &parts).await;
    }
    let hidden = context.former.hidden(Some(&desired.inputs), step.observed.map(|o| &o.inputs));
    let done = make(context, step, desired).await;
    // What a template or a schema complains of may quote values.
    done.map_err(|failure| Failure { message: hidden.out_of(&failure.message), ..failure })
}

async fn make(context: &Context, step: &Step<'_>, desired: &Desired) -> Outcome<Applied> {
    let helm = context.cluster()?.helm.clone();
    let chart = chart_of(&desired.inputs);
    let chart = context.patiently(|| helm.resolve(&chart)).await?;
    let request = request_of(context, desired, &chart, (step.token, step.action))?;
    if let Some(approved) = step.facts.get("chart").and_then(|c| c["digest"].as_str())
        && approved != chart.digest
    {
        let message = format!("the chart's digest is {} and was {approved} when it was planned", chart.digest);
        return Err(Failure::new(Class::Conflict, "helm pull", request.name, message).hint("plan again"));
    }
    if flag(&desired.inputs, "create_namespace") {
        namespace::ensure(context, &request.namespace).await?;
    }
    let made = if step.action == ActionWord::Create {
        context.say(&format!("installing {} {}", chart.name, chart.version));
        waiting::told(context, &request, helm.install(&request)).await
    } else {
        context.say(&format!("upgrading to {} {}", chart.name, chart.version));
        waiting::told(context, &request, helm.upgrade(&request)).await
    };
    let failure = match made {
        Ok(release) if release.status == "failed" => {
            Failure::new(Class::Failed, "helm", request.name.clone(), "the release failed")
        }
        Ok(release) => return Ok(applied(&release, chart.digest.as_str().into())),
        // What never began, or whose end is not known, leaves nothing to take back here.
        Err(failure) if !matches!(failure.class, Class::Failed) => return Err(failure),
        Err(failure) => failure,
    };
    let failure = explained(context, &request, failure).await;
    if !flag(&desired.inputs, "atomic") {
        return Err(failure);
    }
    Err(take_back(context, &request, step.action, failure).await)
}

fn applied(release: &Release, digest: Value) -> Applied {
    Applied {
        identity: json!({ "namespace": release.namespace, "name": release.name }),
        exports: exports(release, digest),
        note: format!("revision {}", release.revision),
    }
}

/// The failure with what the pods say.
async fn explained(context: &Context, request: &ReleaseRequest, mut failure: Failure) -> Failure {
    if let Some(why) = waiting::reason(context, request).await {
        failure.message = format!("{}; {why}", failure.message);
    }
    failure
}

/// Back to the former revision, or uninstalled where it is new; the first failure stays the one that is told.
async fn take_back(context: &Context, request: &ReleaseRequest, action: ActionWord, mut failure: Failure) -> Failure {
    let Ok(cluster) = context.cluster() else { return failure };
    let limit = UNDO_TIMEOUT.min(context.time_left());
    let identity = json!({ "namespace": request.namespace, "name": request.name });
    let former = if action == ActionWord::Create {
        Ok(None)
    } else {
        revisions(context, &identity).await.map(|found| found.and_then(|r| r.deployed))
    };
    let (done, words) = match former {
        Err(second) => (Err(second), String::new()),
        Ok(Some(release)) => {
            context.say(&format!("failed; going back to revision {}", release.revision));
            let back = cluster.helm.rollback(&request.name, &request.namespace, release.revision, request.wait, limit);
            (back.await.map(drop), format!("went back to revision {}", release.revision))
        }
        // Somebody took away what it could go back to.
        Ok(None) if action != ActionWord::Create => (Ok(()), "there is no revision to go back to".to_owned()),
        Ok(None) => {
            context.say("failed; uninstalling");
            let gone = cluster.helm.uninstall(&request.name, &request.namespace, request.wait, limit).await;
            if gone.is_ok() {
                let _ = namespace::release(context, &request.namespace).await;
            }
            (gone, "uninstalled what was made".to_owned())
        }
    };
    match done {
        Ok(()) => failure.message = format!("{}; {words}", failure.message),
        Err(second) => {
            failure.class = Class::Stuck;
            failure.message = format!("{}; taking it back failed too: {second}", failure.message);
            failure.hint = Some("run `terrace doctor`".to_owned());
        }
    }
    failure
}

async fn uninstall(context: &Context, identity: &Json) -> Outcome<Applied> {
    let (name, namespace) = names(identity);
    let helm = context.cluster()?.helm.clone();
    let limit = context.time_left();
    let outside = of_release(context, namespace, name).await?;
    context.patiently(|| helm.uninstall(name, namespace, true, limit)).await?;
    // What a load balancer or a volume stands behind is gone once its controller has cleared that.
    for object in &outside {
        until_gone(context, object, None).await?;
    }
    let took = namespace::release(context, namespace).await?;
    let note = if took { format!("with the namespace {namespace}") } else { String::new() };
    Ok(Applied { identity: Json::Null, exports: Value::NULL, note })
}

/// Finds an effect by the token on its revision.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    // An apply that is made again is the same.
    if graft::asked(step.facts).is_some() {
        return Ok(Recovered::NotDone);
    }
    let identity =
        step.desired.and_then(|d| d.identity.clone()).or_else(|| step.identity.cloned()).unwrap_or(Json::Null);
    let (name, namespace) = names(&identity);
    let settled = settled(context, &identity).await?;
    let (Some(desired), false) = (step.desired, step.action == ActionWord::Delete) else {
        return Ok(match settled {
            Settled::Gone => {
                namespace::release(context, namespace).await?;
                Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })
            }
            _ => Recovered::NotDone,
        });
    };
    let newest = match settled {
        Settled::Gone => return Ok(Recovered::NotDone),
        Settled::Ended(newest) | Settled::Died(newest) => newest,
    };
    let helm = context.cluster()?.helm.clone();
    let history = context.patiently(|| helm.history(name, namespace)).await?;
    // Made again after a kill, the effect has several: the newest counts.
    let Some(ours) = history.iter().find(|r| r.token == step.token) else { return Ok(Recovered::NotDone) };
    let request = || request(context, desired, step.token);
    if ours.revision == newest.revision {
        return Ok(match newest.status.as_str() {
            "deployed" => Recovered::Done(applied(&newest, digest_of(step))),
            "failed" => {
                let failure = Failure::new(Class::Failed, "helm", newest.name.clone(), newest.description.clone());
                let failure = explained(context, &request()?, failure).await;
                taken_back(context, step, &request()?, flag(&desired.inputs, "atomic"), failure).await
            }
            // Taking it back began with uninstalling it, and came no further.
            "uninstalling" => {
                let failure = Failure::new(Class::Failed, "helm install", newest.name.clone(), "it failed");
                taken_back(context, step, &request()?, true, failure).await
            }
            // Its helm died: the same step may be made again. Of an install nothing is left.
            _ => {
                if newest.status == "pending-install" {
                    helm.uninstall(name, namespace, false, UNDO_TIMEOUT.min(context.time_left())).await?;
                }
                Recovered::NotDone
            }
        });
    }
    let failure = || Failure::new(Class::Failed, "helm upgrade", newest.name.clone(), ours.description.clone());
    Ok(match newest.status.as_str() {
        "deployed" if newest.rolled_back_to().is_some() => {
            let mut failure = failure();
            failure.message = format!("{}; it was rolled back", failure.message);
            Recovered::Failed(failure)
        }
        // Going back was cut off, or failed.
        "failed" | "pending-rollback" if ours.status != "deployed" => {
            taken_back(context, step, &request()?, flag(&desired.inputs, "atomic"), failure()).await
        }
        _ => Recovered::NotDone,
    })
}

/// What a failed effect is recovered to: taken back, where that is wanted.
async fn taken_back(
    context: &Context,
    step: &Step<'_>,
    request: &ReleaseRequest,
    atomic: bool,
    failure: Failure,
) -> Recovered {
    if !atomic {
        return Recovered::Failed(failure);
    }
    let failure = take_back(context, request, step.action, failure).await;
    match failure.class {
        Class::Stuck => Recovered::Stuck { why: failure.message, command: "terrace doctor".to_owned() },
        _ => Recovered::Failed(failure),
    }
}

pub(super) fn digest_of(step: &Step<'_>) -> Value {
    let digest = step.facts.get("chart").and_then(|c| c["digest"].as_str());
    digest.map_or(Value::UNKNOWN, Value::from)
}

/// How a release was found once no helm works on it any more.
enum Settled {
    /// There is none.
    Gone,
    /// Its newest revision was closed by its helm.
    Ended(Release),
    /// Its newest revision, as its helm left it; it is marked as failed by now.
    Died(Release),
}

/// Waits until no helm works on a release. One that holds a revision and is known to be gone, or must have given up, died:
/// the revision is marked as failed, so that it no longer locks. One that is being uninstalled is left as it is.
async fn settled(context: &Context, identity: &Json) -> Outcome<Settled> {
    let helm = context.cluster()?.helm.clone();
    let (name, namespace) = names(identity);
    let limit = UNDO_TIMEOUT.min(context.time_left() / 2);
    let mut pause = FIRST_LOOK;
    loop {
        let newest = context.patiently(|| helm.release(name, namespace)).await?;
        let pending = newest.as_ref().filter(|r| r.is_pending());
        let at_work = context.patiently(|| helm.at_work(name, namespace, pending)).await?;
        let age = newest.as_ref().map(|r| age(context, r)).unwrap_or_default();
        let given_up = age >= limit || context.time_left() == Duration::ZERO;
        match (newest, at_work) {
            // A helm that has not made its record yet is waited for, too.
            (found, Some(true)) if context.time_left() > Duration::ZERO => {
                let word = found.map_or("begun", |r| if r.is_pending() { "at work" } else { "closing its record" });
                context.say(&format!("helm, left by an earlier run, is still at work: {word}"));
            }
            (None, _) => return Ok(Settled::Gone),
            (Some(ended), _) if !ended.is_pending() => return Ok(Settled::Ended(ended)),
            (Some(died), known) if known == Some(false) || (known.is_none() && given_up) => {
                if died.status != "uninstalling" {
                    let why = format!("its helm ended without a word {} ago", format_duration(age));
                    helm.mark_failed(name, namespace, &why).await?;
                }
                return Ok(Settled::Died(died));
            }
            (Some(pending), _) => {
                if context.time_left() == Duration::ZERO {
                    let what = format!("it is {} since {}", pending.status, format_duration(age));
                    return Err(Failure::new(Class::Stuck, "helm", pending.name, what).hint("run `terrace doctor`"));
                }
                context.say(&format!("{} since {}", pending.status, format_duration(age)));
                // On another machine its helm may still be at work: it is given the time that it was given.
                pause = pause.max(crate::kinds::FIRST_POLL);
            }
        }
        context.clock.sleep(pause.min(context.time_left()).max(FIRST_LOOK)).await;
        pause = (pause * 2).min(crate::kinds::SLOWEST_POLL);
    }
}

fn age(context: &Context, release: &Release) -> Duration {
    elapsed(release.updated, context.clock.now())
}

pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>) -> Outcome<String> {
    let (name, namespace) = names(identity);
    let Some(revision) = image.and_then(|i| i.get("revision")).and_then(Value::as_i64) else {
        uninstall(context, identity).await?;
        return Ok("uninstalled".to_owned());
    };
    let revision = u32::try_from(revision).unwrap_or_default();
    let newest = match settled(context, identity).await? {
        Settled::Ended(newest) | Settled::Died(newest) => newest,
        Settled::Gone => {
            let what = "the release is gone; there is nothing to go back to";
            return Err(Failure::new(Class::NotFound, "helm rollback", name, what));
        }
    };
    let there = newest.revision == revision || newest.rolled_back_to() == Some(revision);
    if there && newest.status == "deployed" {
        return Ok(format!("already at revision {revision}"));
    }
    let helm = context.cluster()?.helm.clone();
    helm.rollback(name, namespace, revision, true, UNDO_TIMEOUT.min(context.time_left())).await?;
    Ok(format!("put back to revision {revision}"))
}

pub(super) async fn examine(context: &Context, identity: &Json) -> Outcome<Vec<Finding>> {
    let Some(Revisions { newest, deployed }) = revisions(context, identity).await? else { return Ok(Vec::new()) };
    if !newest.is_pending() {
        return Ok(Vec::new());
    }
    let age = age(context, &newest);
    let helm = context.cluster()?.helm.clone();
    let at_work = context.patiently(|| helm.at_work(&newest.name, &newest.namespace, Some(&newest))).await?;
    let what = format!("the release {} is {}", newest.name, pending_words(&newest, age));
    if at_work == Some(true) {
        let mend = "nothing yet: its helm is at work on this machine; wait until it has ended".to_owned();
        return Ok(vec![Finding { what, mend, automatic: false }]);
    }
    let automatic = at_work == Some(false) || age >= UNDO_TIMEOUT;
    let when = if automatic {
        String::new()
    } else {
        let limit = format_duration(UNDO_TIMEOUT);
        format!(
            "; at {limit} of age --fix does it, before that `terrace doctor --fix --decide {}` where its helm is gone",
            context.address
        )
    };
    let then = match &deployed {
        Some(former) => format!("; revision {} stays what is deployed", former.revision),
        None => "; it is then installed anew by the next apply".to_owned(),
    };
    Ok(vec![Finding {
        what,
        mend: format!("mark revision {} as failed, which keeps the history{then}{when}", newest.revision),
        automatic,
    }])
}

/// `pending-upgrade since 4m, begun by terrace run-3`: how long, and by whom.
pub(super) fn pending_words(pending: &Release, age: Duration) -> String {
    let by = match (pending.token.as_str(), pending.status.as_str()) {
        ("", "pending-rollback") => "by a rollback".to_owned(),
        ("", _) => "by a helm that is not Terrace's".to_owned(),
        (token, _) => format!("by Terrace's effect {token}"),
    };
    format!("{} since {}, begun {by}", pending.status, format_duration(age))
}

pub(super) async fn mend(context: &Context, identity: &Json) -> Outcome<Vec<String>> {
    let Some(Revisions { newest, .. }) = revisions(context, identity).await?.filter(|r| r.newest.is_pending()) else {
        return Ok(Vec::new());
    };
    let helm = &context.cluster()?.helm;
    if helm.at_work(&newest.name, &newest.namespace, Some(&newest)).await? == Some(true) {
        return Ok(Vec::new());
    }
    helm.mark_failed(&newest.name, &newest.namespace, "its helm is gone; marked by terrace doctor").await?;
    Ok(vec![format!("marked revision {} of {} as failed", newest.revision, newest.name)])
}
