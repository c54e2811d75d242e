//! Creating, updating, deleting an add-on, and waiting for it.

use crate::{
    base::{ActionWord, Value},
    kinds::{
        Applied, Context, Recovered, Step,
        eks_addon::{
            failure,
            live::{exports, find, issues, names, pin},
        },
    },
    world::{Addon, AddonRequest, Class, Outcome, ResolveConflicts},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

pub(super) async fn apply(context: &Context, step: &Step<'_>) -> Outcome<Applied> {
    let eks = &context.aws()?.eks;
    if step.desired.is_none() || step.action == ActionWord::Delete {
        // Whether its software stays was said when it was applied last; state keeps no such word with an identity.
        return delete(context, step.identity.unwrap_or(&Json::Null), preserves(step)).await;
    }
    let request = request(context, step).await?;
    if step.action == ActionWord::Create {
        eks.create_addon(&request, step.token).await?;
    } else {
        eks.update_addon(&request, step.token).await?;
    }
    context.say(&format!("{} {}", request.addon, request.version));
    let addon = wait(context, &request.cluster, &request.addon).await?;
    Ok(applied(&addon, preserves(step)))
}

fn preserves(step: &Step<'_>) -> bool {
    let wanted = step.desired.and_then(|d| d.inputs.get("preserve")).and_then(Value::as_bool);
    wanted.unwrap_or_else(|| step.identity.is_some_and(|i| i["preserve"] == json!(true)))
}

fn applied(addon: &Addon, preserve: bool) -> Applied {
    let mut identity = json!({ "cluster": addon.cluster, "addon": addon.name, "arn": addon.arn });
    if preserve {
        identity["preserve"] = json!(true);
    }
    Applied { identity, exports: exports(addon), note: addon.version.clone() }
}

async fn request(context: &Context, step: &Step<'_>) -> Outcome<AddonRequest> {
    let inputs = step.desired.map_or(Value::NULL, |d| d.inputs.clone());
    let text = |name: &str| inputs.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (cluster, addon) = (text("cluster"), text("addon"));
    let version = match step.facts.get("version").and_then(Json::as_str) {
        Some(pinned) => pinned.to_owned(),
        None => pin(context, &cluster, &addon, &text("version")).await?,
    };
    let configuration = match inputs.get("configuration").map(Value::to_json) {
        None => String::new(),
        Some(Some(json)) => json.to_string(),
        Some(None) => {
            return Err(failure(Class::Invalid, "UpdateAddon", &cluster, &addon, "the configuration is not known yet"));
        }
    };
    let tags = inputs.get("tags").and_then(Value::as_map).into_iter().flat_map(|m| m.iter());
    let mut tags: BTreeMap<String, String> =
        tags.filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned()))).collect();
    tags.extend(context.marks.tags(&context.address));
    Ok(AddonRequest {
        service_account_role_arn: Some(text("service_account_role_arn")).filter(|arn| !arn.is_empty()),
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

/// Waits until it runs; a failure tells codes and fields as EKS does.
async fn wait(context: &Context, cluster: &str, addon: &str) -> Outcome<Addon> {
    let eks = &context.aws()?.eks;
    let end = context
        .wait_until(&format!("the add-on {addon}"), || async {
            let Some(found) = eks.describe_addon(cluster, addon).await? else {
                return Err(failure(
                    Class::Failed,
                    "DescribeAddon",
                    cluster,
                    addon,
                    "it is gone while it was being changed",
                ));
            };
            Ok((!matches!(found.status.as_str(), "CREATING" | "UPDATING")).then_some(found))
        })
        .await?;
    match end.status.as_str() {
        "ACTIVE" => Ok(end),
        status => {
            let conflict = end.issues.iter().any(|(code, _)| code == "ConfigurationConflict");
            let why =
                failure(Class::Failed, "UpdateAddon", cluster, addon, format!("it is {status}: {}", issues(&end)));
            Err(if conflict {
                why.hint("`resolve_conflicts = \"overwrite\"` takes these fields back, \"preserve\" leaves them")
            } else {
                why
            })
        }
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
                Some(left) if left.status == "DELETE_FAILED" => Err(failure(
                    Class::Stuck,
                    "DeleteAddon",
                    cluster,
                    addon,
                    format!("it is DELETE_FAILED: {}", issues(&left)),
                )),
                Some(_) => Ok(None),
            }
        })
        .await?;
    Ok(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })
}

/// What is live tells: EKS gives no token back. A repeated call with the same token is the same call.
pub(super) async fn recover(context: &Context, step: &Step<'_>) -> Outcome<Recovered> {
    let identity =
        step.identity.cloned().or_else(|| step.desired.and_then(|d| d.identity.clone())).unwrap_or(Json::Null);
    let found = find(context, &identity).await?;
    if step.action == ActionWord::Delete || step.desired.is_none() {
        return match found {
            None => Ok(Recovered::Done(Applied { identity: Json::Null, exports: Value::NULL, note: String::new() })),
            Some(addon) if addon.status == "DELETING" => {
                delete(context, &identity, preserves(step)).await.map(Recovered::Done)
            }
            Some(_) => Ok(Recovered::NotDone),
        };
    }
    let Some(addon) = found else { return Ok(Recovered::NotDone) };
    let ended = match addon.status.as_str() {
        "ACTIVE" => Ok(addon),
        // Of one that failed already this tells why.
        "CREATING" | "UPDATING" | "CREATE_FAILED" | "UPDATE_FAILED" | "DEGRADED" => {
            wait(context, &addon.cluster, &addon.name).await
        }
        _ => return Ok(Recovered::NotDone),
    };
    match ended {
        Ok(addon) => {
            let request = request(context, step).await?;
            let same = |a: &str, b: &str| {
                let json = |text: &str| serde_json::from_str::<Json>(text).unwrap_or(Json::Null);
                a == b || (json(a) == json(b) && !json(a).is_null())
            };
            let as_wanted = addon.version == request.version
                && same(&addon.configuration, &request.configuration)
                && (request.service_account_role_arn.is_none()
                    || addon.service_account_role_arn == request.service_account_role_arn);
            Ok(if as_wanted { Recovered::Done(applied(&addon, preserves(step))) } else { Recovered::NotDone })
        }
        Err(failure) if failure.class.effect_unknown() => Err(failure),
        Err(failure) => Ok(Recovered::Failed(failure)),
    }
}

pub(super) async fn undo(context: &Context, identity: &Json, image: Option<&Value>, token: &str) -> Outcome<String> {
    let (cluster, addon) = names(identity);
    let text = |name: &str| image.and_then(|i| i.get(name)).and_then(Value::as_str).map(str::to_owned);
    let Some(version) = text("version") else {
        delete(context, identity, false).await?;
        return Ok("deleted".to_owned());
    };
    let configuration = text("configuration").unwrap_or_default();
    let Some(mut live) = find(context, identity).await? else {
        return Err(failure(
            Class::NotFound,
            "UpdateAddon",
            cluster,
            addon,
            "it is gone; there is nothing to put back",
        ));
    };
    if matches!(live.status.as_str(), "UPDATING" | "CREATING") {
        // How it ends does not matter: it is put back either way.
        let _ = wait(context, cluster, addon).await;
        live = find(context, identity).await?.unwrap_or(live);
    }
    let role = text("service_account_role_arn");
    if live.version == version
        && live.configuration == configuration
        && live.service_account_role_arn == role
        && live.status == "ACTIVE"
    {
        return Ok(format!("already at {version}"));
    }
    let request = AddonRequest {
        cluster: cluster.to_owned(),
        addon: addon.to_owned(),
        version: version.clone(),
        configuration,
        service_account_role_arn: role,
        resolve_conflicts: ResolveConflicts::Preserve,
        tags: BTreeMap::new(),
    };
    context.aws()?.eks.update_addon(&request, token).await?;
    wait(context, cluster, addon).await?;
    Ok(format!("put back to {version}"))
}
