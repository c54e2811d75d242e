//! Creating, updating, deleting an add-on, and waiting for it.

use crate::{
    base::{ActionWord, Value},
    kinds::{
        Applied, Context, Recovered, Step,
        eks_addon::{
            failure, issue,
            live::{exports, find, full_identity, names, pod_identity},
            version::{self, MOVED_BY, OWN, VERSION},
        },
        is_own_tag,
    },
    world::{Addon, AddonRequest, Class, Failure, Outcome, PodIdentity, ResolveConflicts, UpdateOf},
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let eks = &context.aws()?.eks;
    if step.desired.is_none() || step.action == ActionWord::Delete {
        // Whether its software stays was said when it was applied last; state keeps no such word with an identity.
        return delete(context, step.identity.unwrap_or(&Json::Null), preserves(step)).await;
    }
    let request = request(context, step).await?;
    let addon = if step.action == ActionWord::Create {
        eks.create_addon(&request, step.token).await?;
        context.say(&format!("{} {}", request.addon, request.version));
        wait(context, &request.cluster, &request.addon).await?
    } else {
        let live = find(context, &identity_of(&request)).await?;
        let healthy = live.as_ref().is_some_and(|l| l.status == "ACTIVE");
        match live {
            Some(live) if healthy && is_as_wanted(context, &live, &request).await? => live,
            _ => {
                eks.update_addon(&request, step.token).await?;
                context.say(&format!("{} {}", request.addon, request.version));
                wait(context, &request.cluster, &request.addon).await?
            }
        }
    };
    tag(context, step, &addon, &request).await?;
    Ok(applied(context, &addon, step))
}

fn identity_of(request: &AddonRequest) -> Json {
    json!({ "cluster": request.cluster, "addon": request.addon })
}

fn preserves(step: &Step<'_>) -> bool {
    let wanted = step.desired.and_then(|d| d.inputs.get("preserve")).and_then(Value::as_bool);
    wanted.unwrap_or_else(|| step.identity.is_some_and(|i| i["preserve"] == json!(true)))
}

/// What was made, with what state remembers of it beside its name.
fn applied(context: &Context, addon: &Addon, step: &Step<'_>) -> Applied {
    let mut remembered = json!({});
    if preserves(step) {
        remembered["preserve"] = json!(true);
    }
    let inputs = step.desired.map(|d| &d.inputs);
    let tags: Vec<String> = strings(inputs.and_then(|i| i.get("tags"))).into_keys().collect();
    if !tags.is_empty() {
        remembered["tags"] = json!(tags);
    }
    if inputs.and_then(|i| i.get("pod_identity")).is_some() {
        remembered["pod_identity"] = json!(true);
    }
    let mut exports = exports(addon);
    let mut note = addon.version.clone();
    // Whatever moves the version later makes it the pinned one, and that is what others may count on.
    if let (Some(by), Some(version)) = (fact(step, MOVED_BY), fact(step, VERSION)) {
        let mut entries = exports.as_map().map(|m| (**m).clone()).unwrap_or_default();
        entries.insert("version".into(), version.into());
        exports = Value::object(entries);
        note = format!("{} until {by} moves it to {version}", addon.version);
        context.say(&note);
    }
    Applied { identity: full_identity(addon, &remembered), exports, note }
}

fn fact<'s>(step: &'s Step<'_>, name: &str) -> Option<&'s str> {
    step.facts.get(name).and_then(Json::as_str)
}

fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    entries.filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned()))).collect()
}

fn pods(value: Option<&Value>) -> Option<BTreeSet<PodIdentity>> {
    let entries = strings(Some(value?));
    Some(entries.into_iter().map(|(service_account, role_arn)| PodIdentity { service_account, role_arn }).collect())
}

async fn request(context: &Context, step: &Step<'_>) -> Outcome<AddonRequest> {
    let inputs = step.desired.map_or(Value::NULL, |d| d.inputs.clone());
    let text = |name: &str| inputs.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (cluster, addon) = (text("cluster"), text("addon"));
    let version = match fact(step, OWN).or_else(|| fact(step, VERSION)) {
        Some(pinned) => pinned.to_owned(),
        None => version::pin(context, (&cluster, &addon), &text("version"), step.observed).await?.version,
    };
    let configuration = match inputs.get("configuration").map(Value::to_json) {
        None => String::new(),
        Some(Some(json)) => json.to_string(),
        Some(None) => {
            return Err(failure(Class::Invalid, "UpdateAddon", &cluster, &addon, "the configuration is not known yet"));
        }
    };
    let mut tags = strings(inputs.get("tags"));
    tags.extend(context.marks.tags(&context.address));
    // Associations that we made and that are no longer written go; those that somebody else made are left alone.
    let ours = step.identity.is_some_and(|i| i["pod_identity"] == json!(true));
    Ok(AddonRequest {
        service_account_role_arn: Some(text("service_account_role_arn")).filter(|arn| !arn.is_empty()),
        pod_identity: pods(inputs.get("pod_identity")).or_else(|| ours.then(BTreeSet::new)),
        resolve_conflicts: match (text("resolve_conflicts").as_str(), step.action) {
            ("overwrite", _) => ResolveConflicts::Overwrite,
            // On create it acts like `none`, and some endpoints refuse the word there.
            ("preserve", ActionWord::Update) => ResolveConflicts::Preserve,
            _ => ResolveConflicts::None,
        },
        cluster,
        addon,
        version,
        configuration,
        tags,
    })
}

/// Gives an add-on that exists the tags that are wanted, and takes off those of ours that no longer are.
async fn tag(context: &Context, step: &Step<'_>, addon: &Addon, request: &AddonRequest) -> Outcome<()> {
    let former: Vec<&str> = step
        .identity
        .and_then(|i| i["tags"].as_array())
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .filter(|key| addon.tags.contains_key(*key) && !request.tags.contains_key(*key))
        .collect();
    retag(context, addon, &request.tags, &former).await
}

async fn retag(context: &Context, addon: &Addon, wanted: &BTreeMap<String, String>, off: &[&str]) -> Outcome<()> {
    let eks = &context.aws()?.eks;
    let add: BTreeMap<String, String> =
        wanted.iter().filter(|(k, v)| addon.tags.get(*k) != Some(v)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if !add.is_empty() {
        context.patiently(|| eks.tag_resource(&addon.arn, &add)).await?;
    }
    if !off.is_empty() {
        let keys: Vec<String> = off.iter().map(|key| (*key).to_owned()).collect();
        context.patiently(|| eks.untag_resource(&addon.arn, &keys)).await?;
    }
    Ok(())
}

/// Waits until it runs; a failure tells codes and fields as EKS does.
pub(in crate::kinds) async fn wait(context: &Context, cluster: &str, addon: &str) -> Outcome<Addon> {
    let eks = &context.aws()?.eks;
    let end = context
        .wait_until(&format!("the add-on {addon}"), || async {
            let Some(found) = eks.describe_addon(cluster, addon).await? else {
                let what = "it is gone while it was being changed";
                return Err(failure(Class::Failed, "DescribeAddon", cluster, addon, what));
            };
            Ok((!matches!(found.status.as_str(), "CREATING" | "UPDATING")).then_some(found))
        })
        .await?;
    if end.status == "ACTIVE" { Ok(end) } else { Err(ended_badly(&end)) }
}

/// The failure of an add-on that is not as it should be.
fn ended_badly(addon: &Addon) -> Failure {
    let message = format!("it is {}: {}", addon.status, issue::told(addon));
    let why = failure(Class::Failed, "UpdateAddon", &addon.cluster, &addon.name, message);
    match issue::way_out(addon) {
        Some(way_out) => why.hint(way_out),
        None => why,
    }
}

async fn delete(context: &Context, identity: &Json, preserve: bool) -> Outcome<Applied> {
    let eks = &context.aws()?.eks;
    let (cluster, addon) = names(identity);
    match eks.delete_addon(cluster, addon, preserve).await {
        Err(failure) if failure.class == Class::NotFound => {}
        other => other?,
    }
    context
        .wait_until(&format!("the add-on {addon} to be gone"), || async {
            match find(context, identity).await? {
                None => Ok(Some(())),
                Some(left) if left.status == "DELETE_FAILED" => {
                    Err(Failure { class: Class::Stuck, operation: "eks:DeleteAddon".to_owned(), ..ended_badly(&left) })
                }
                Some(_) => Ok(None),
            }
        })
        .await?;
    Ok(gone())
}

fn gone() -> Applied {
    Applied { identity: Json::Null, exports: Value::NULL, note: String::new() }
}

/// Whether version, configuration, role and pod identity are what a request asks for.
async fn is_as_wanted(context: &Context, addon: &Addon, request: &AddonRequest) -> Outcome<bool> {
    let json = |text: &str| serde_json::from_str::<Json>(text).unwrap_or(Json::Null);
    let same = |a: &str, b: &str| a == b || (json(a) == json(b) && !json(a).is_null());
    if addon.version != request.version
        || !same(&addon.configuration, &request.configuration)
        || addon.service_account_role_arn != request.service_account_role_arn
    {
        return Ok(false);
    }
    match &request.pod_identity {
        None => Ok(true),
        Some(wanted) => Ok(pod_identity(context, addon).await? == *wanted),
    }
}

/// Finds the running or ended update by the add-on's state and by what EKS remembers of its updates; EKS gives no token back.
/// A repeated call with the same token is the same call, so that nothing is begun twice.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let identity =
        step.identity.cloned().or_else(|| step.desired.and_then(|d| d.identity.clone())).unwrap_or(Json::Null);
    let found = find(context, &identity).await?;
    if step.action == ActionWord::Delete || step.desired.is_none() {
        return match found {
            None => Ok(Recovered::Done(gone())),
            Some(addon) if addon.status == "DELETING" => {
                delete(context, &identity, preserves(step)).await.map(Recovered::Done)
            }
            Some(_) => Ok(Recovered::NotDone),
        };
    }
    let Some(addon) = found else { return Ok(Recovered::NotDone) };
    let request = request(context, step).await?;
    let ended = match addon.status.as_str() {
        "ACTIVE" => Ok(addon),
        "CREATING" | "UPDATING" => wait(context, &addon.cluster, &addon.name).await,
        "CREATE_FAILED" => Err(ended_badly(&addon)),
        // It may be an older update that failed, and ours never began.
        "UPDATE_FAILED" | "DEGRADED" if is_newest(context, &request).await? => Err(ended_badly(&addon)),
        _ => return Ok(Recovered::NotDone),
    };
    match ended {
        Ok(addon) if is_as_wanted(context, &addon, &request).await? => {
            tag(context, step, &addon, &request).await?;
            Ok(Recovered::Done(applied(context, &addon, step)))
        }
        Ok(_) => Ok(Recovered::NotDone),
        Err(failure) if failure.class.effect_unknown() => Err(failure),
        Err(failure) => Ok(Recovered::Failed(failure)),
    }
}

/// Whether the newest update of an add-on is the one that a request asks for. An endpoint without the operation leaves that to
/// the add-on's state.
async fn is_newest(context: &Context, request: &AddonRequest) -> Outcome<bool> {
    let eks = &context.aws()?.eks;
    let of = UpdateOf { nodegroup: None, addon: Some(&request.addon) };
    let ids = match context.patiently(|| eks.list_updates(&request.cluster, of)).await {
        Err(failure) if failure.class == Class::Unsupported => return Ok(true),
        other => other?,
    };
    let mut newest = None;
    for id in ids {
        let update = context.patiently(|| eks.describe_update(&request.cluster, &id, of)).await?;
        if newest.as_ref().is_none_or(|n: &crate::world::EksUpdate| n.created < update.created) {
            newest = Some(update);
        }
    }
    Ok(newest.is_some_and(|update| update.params.get("AddonVersion").is_none_or(|v| *v == request.version)))
}

pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String> {
    let (cluster, addon) = names(identity);
    let text = |name: &str| image.and_then(|i| i.get(name)).and_then(Value::as_str).map(str::to_owned);
    let Some(version) = text("version") else {
        delete(context, identity, false).await?;
        return Ok("deleted".to_owned());
    };
    let configuration = text("configuration").unwrap_or_default();
    let lost = || failure(Class::NotFound, "UpdateAddon", cluster, addon, "it is gone; there is nothing to put back");
    let mut live = find(context, identity).await?.ok_or_else(lost)?;
    if matches!(live.status.as_str(), "UPDATING" | "CREATING") {
        // How it ends does not matter: it is put back either way.
        let _ = wait(context, cluster, addon).await;
        live = find(context, identity).await?.unwrap_or(live);
    }
    let request = AddonRequest {
        cluster: cluster.to_owned(),
        addon: addon.to_owned(),
        version: version.clone(),
        configuration,
        service_account_role_arn: text("service_account_role_arn"),
        pod_identity: pods(image.and_then(|i| i.get("pod_identity"))),
        resolve_conflicts: ResolveConflicts::Preserve,
        tags: strings(image.and_then(|i| i.get("tags"))),
    };
    let former: Vec<&str> = live.tags.keys().map(String::as_str).filter(|k| !request.tags.contains_key(*k)).collect();
    let former: Vec<&str> = former.into_iter().filter(|key| is_own_tag(key)).collect();
    retag(context, &live, &request.tags, &former).await?;
    if live.status == "ACTIVE" && is_as_wanted(context, &live, &request).await? {
        return Ok(format!("already at {version}"));
    }
    context.aws()?.eks.update_addon(&request, token).await?;
    wait(context, cluster, addon).await?;
    Ok(format!("put back to {version}"))
}

/// What `doctor` says to do about an add-on in a bad state.
pub(super) fn mend_of(addon: &Addon) -> String {
    let way_out = issue::way_out(addon).unwrap_or("apply again");
    match addon.status.as_str() {
        "DELETE_FAILED" => format!("delete it again ({way_out})"),
        "CREATE_FAILED" => format!("{way_out}; then apply: what is left is deleted, and it is made again"),
        "UPDATE_FAILED" => format!("{way_out}; then apply: it is updated again"),
        _ => format!("{way_out}; then apply"),
    }
}

/// Deletes again what could not be deleted.
pub(super) async fn mend(context: &Context, identity: &Json) -> Outcome<Vec<String>> {
    match find(context, identity).await? {
        Some(addon) if addon.status == "DELETE_FAILED" => {
            delete(context, identity, identity["preserve"] == json!(true)).await?;
            Ok(vec![format!("deleted the add-on {} of {}", addon.name, addon.cluster)])
        }
        _ => Ok(Vec::new()),
    }
}
