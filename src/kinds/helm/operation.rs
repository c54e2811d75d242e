//! Installs, upgrades, rolls back and uninstalls; each revision bears the intent's token as its description.

use crate::{
    base::{ActionWord, Value, format_duration},
    kinds::{
        Applied, Context, Finding, Recovered, Step,
        helm::{
            desired::{flag, request},
            live::{Revisions, exports, names, revisions},
            namespace,
        },
        reason,
    },
    world::{Class, Failure, Outcome, Release, ReleaseRequest},
};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// What the description of our own rollback begins with.
const ROLLED_BACK: &str = "rolled back: ";
/// How long a rollback or an uninstall may take where the request says nothing.
const UNDO_TIMEOUT: Duration = Duration::from_secs(10 * 60);

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let Some(desired) = step.desired.filter(|_| step.action != ActionWord::Delete) else {
        return uninstall(context, step.identity.unwrap_or(&Json::Null)).await;
    };
    let helm = context.cluster()?.helm.clone();
    let request = request(context, desired, step.token)?;
    let chart = context.patiently(|| helm.resolve(&request.chart)).await?;
    if let Some(approved) = step.facts.get("chart").and_then(|c| c["digest"].as_str())
        && approved != chart.digest
    {
        let message = format!("the chart's digest is {} and was {approved} when it was planned", chart.digest);
        return Err(Failure::new(Class::Conflict, "helm pull", request.name, message).hint("plan again"));
    }
    let digest = Value::from(chart.digest.as_str());
    let before = revisions(context, &json!({ "namespace": request.namespace, "name": request.name })).await?;
    if flag(&desired.inputs, "create_namespace") {
        namespace::ensure(context, &request.namespace).await?;
    }
    let made = if step.action == ActionWord::Create {
        context.say(&format!("installing {} {}", chart.name, chart.version));
        helm.install(&request).await
    } else {
        context.say(&format!("upgrading to {} {}", chart.name, chart.version));
        helm.upgrade(&request).await
    };
    let failure = match made {
        Ok(release) if release.status == "failed" => {
            Failure::new(Class::Failed, "helm", request.name.clone(), "the release failed")
        }
        Ok(release) => return Ok(applied(&release, digest)),
        // What never began, or whose end is not known, leaves nothing to take back here.
        Err(failure) if !matches!(failure.class, Class::Failed) => return Err(failure),
        Err(failure) => failure,
    };
    let failure = explained(context, &request, failure).await;
    if !flag(&desired.inputs, "atomic") {
        return Err(failure);
    }
    Err(take_back(context, &request, before.and_then(|b| b.deployed), failure).await)
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
    if let Some(why) = reason::of_release(context, &request.namespace, &request.name).await {
        failure.message = format!("{}; {why}", failure.message);
    }
    failure
}

/// Back to the former revision, or uninstalled where there was none; the first failure stays the one that is told.
async fn take_back(
    context: &Context,
    request: &ReleaseRequest,
    former: Option<Release>,
    mut failure: Failure,
) -> Failure {
    let Ok(cluster) = context.cluster() else { return failure };
    let limit = UNDO_TIMEOUT.min(context.time_left());
    let (done, words) = if let Some(release) = &former {
        context.say(&format!("failed; going back to revision {}", release.revision));
        let said = format!("{ROLLED_BACK}{}", request.description);
        let back = cluster
            .helm
            .rollback(&request.name, &request.namespace, release.revision, request.wait, limit, &said)
            .await;
        (back.map(drop), format!("went back to revision {}", release.revision))
    } else {
        context.say("failed; uninstalling");
        let gone = cluster.helm.uninstall(&request.name, &request.namespace, request.wait, limit).await;
        if gone.is_ok() {
            let _ = namespace::release(context, &request.namespace).await;
        }
        (gone, "uninstalled what was made".to_owned())
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
    context.patiently(|| helm.uninstall(name, namespace, true, limit)).await?;
    let took = namespace::release(context, namespace).await?;
    let note = if took { format!("with the namespace {namespace}") } else { String::new() };
    Ok(Applied { identity: Json::Null, exports: Value::NULL, note })
}

/// Finds an effect by the description of its revision.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let identity =
        step.desired.and_then(|d| d.identity.clone()).or_else(|| step.identity.cloned()).unwrap_or(Json::Null);
    let found = revisions(context, &identity).await?;
    let (Some(desired), false) = (step.desired, step.action == ActionWord::Delete) else {
        return Ok(match found {
            None => {
                let (_, namespace) = names(&identity);
                namespace::release(context, namespace).await?;
                Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })
            }
            Some(_) => Recovered::NotDone,
        });
    };
    let Some(Revisions { mut newest, deployed }) = found else { return Ok(Recovered::NotDone) };
    if newest.description == format!("{ROLLED_BACK}{}", step.token) && !newest.is_pending() {
        let failure = Failure::new(Class::Failed, "helm upgrade", newest.name.clone(), "it failed and was rolled back");
        return Ok(Recovered::Failed(failure));
    }
    if newest.description != step.token && !newest.is_pending() {
        return Ok(Recovered::NotDone);
    }
    if newest.is_pending() {
        // A pending record is a lock. Its helm may still be at work: it is given the time that it was given.
        newest = match outlast(context, &newest).await? {
            Some(ended) => ended,
            None => return Ok(Recovered::NotDone),
        };
    }
    match newest.status.as_str() {
        "deployed" if newest.description == step.token => Ok(Recovered::Done(applied(&newest, digest_of(step)))),
        "failed" if newest.description == step.token => {
            let request = request(context, desired, step.token)?;
            let failure = Failure::new(Class::Failed, "helm", newest.name.clone(), "the release failed");
            let failure = explained(context, &request, failure).await;
            if !flag(&desired.inputs, "atomic") {
                return Ok(Recovered::Failed(failure));
            }
            let failure = take_back(context, &request, deployed, failure).await;
            Ok(match failure.class {
                Class::Stuck => Recovered::Stuck { why: failure.message, command: "terrace doctor".to_owned() },
                _ => Recovered::Failed(failure),
            })
        }
        _ => Ok(Recovered::NotDone),
    }
}

fn digest_of(step: &Step<'_>) -> Value {
    let digest = step.facts.get("chart").and_then(|c| c["digest"].as_str());
    digest.map_or(Value::UNKNOWN, Value::from)
}

/// Waits until a pending revision has ended. Once its helm must have given up, the revision is marked as failed; of an
/// install that never was, nothing is left: `None`.
async fn outlast(context: &Context, pending: &Release) -> Outcome<Option<Release>> {
    let helm = context.cluster()?.helm.clone();
    let (name, namespace) = (pending.name.as_str(), pending.namespace.as_str());
    let limit = UNDO_TIMEOUT.min(context.time_left() / 2);
    loop {
        let Some(now) = context.patiently(|| helm.release(name, namespace)).await? else { return Ok(None) };
        if !now.is_pending() {
            return Ok(Some(now));
        }
        let age = Duration::try_from(context.clock.now().duration_since(now.updated)).unwrap_or_default();
        if age >= limit || context.time_left() == Duration::ZERO {
            let why = format!("its helm ended without a word {} ago", format_duration(age));
            helm.mark_failed(name, namespace, &why).await?;
            if now.status == "pending-install" {
                helm.uninstall(name, namespace, false, limit).await?;
                return Ok(None);
            }
            // The revision ended without effect that counts: the same step may be made again.
            return Ok(Some(Release { status: "marked".to_owned(), ..now }));
        }
        context.say(&format!("{} since {}", now.status, format_duration(age)));
        context.clock.sleep(crate::kinds::SLOWEST_POLL.min(limit.saturating_sub(age))).await;
    }
}

pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String> {
    let (name, namespace) = names(identity);
    let Some(revision) = image.and_then(|i| i.get("revision")).and_then(Value::as_i64) else {
        uninstall(context, identity).await?;
        return Ok("uninstalled".to_owned());
    };
    let revision = u32::try_from(revision).unwrap_or_default();
    let Some(Revisions { newest, .. }) = revisions(context, identity).await? else {
        return Err(Failure::new(
            Class::NotFound,
            "helm rollback",
            name,
            "the release is gone; there is nothing to go back to",
        ));
    };
    let said = format!("{ROLLED_BACK}{token}");
    if (newest.revision == revision || newest.description == said) && newest.status == "deployed" {
        return Ok(format!("already at revision {revision}"));
    }
    if newest.is_pending() {
        outlast(context, &newest).await?;
    }
    let helm = context.cluster()?.helm.clone();
    helm.rollback(name, namespace, revision, true, UNDO_TIMEOUT.min(context.time_left()), &said).await?;
    Ok(format!("put back to revision {revision}"))
}

pub(super) async fn examine(context: &Context, identity: &Json) -> Outcome<Vec<Finding>> {
    let Some(Revisions { newest, deployed }) = revisions(context, identity).await? else { return Ok(Vec::new()) };
    if !newest.is_pending() {
        return Ok(Vec::new());
    }
    let age = Duration::try_from(context.clock.now().duration_since(newest.updated)).unwrap_or_default();
    let then = match &deployed {
        Some(former) => format!("; revision {} stays what is deployed", former.revision),
        None => "; it is then installed anew by the next apply".to_owned(),
    };
    Ok(vec![Finding {
        what: format!("the release {} is {} since {}", newest.name, newest.status, format_duration(age)),
        mend: format!("mark revision {} as failed, which keeps the history{then}", newest.revision),
        automatic: age >= UNDO_TIMEOUT,
    }])
}

pub(super) async fn mend(context: &Context, identity: &Json) -> Outcome<Vec<String>> {
    let Some(Revisions { newest, .. }) = revisions(context, identity).await?.filter(|r| r.newest.is_pending()) else {
        return Ok(Vec::new());
    };
    let helm = &context.cluster()?.helm;
    helm.mark_failed(&newest.name, &newest.namespace, "its helm is gone; marked by terrace doctor").await?;
    Ok(vec![format!("marked revision {} of {} as failed", newest.revision, newest.name)])
}
