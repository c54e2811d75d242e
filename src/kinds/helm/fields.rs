//! Single fields of a release's objects, put back as Helm itself would: by an apply under its own name of what it owns as that is
//! live, and on it the named fields as the deployed revision made them.
//!
//! Under another name we would own the field from then on, and the next upgrade would meet a conflict where Helm applies on the
//! server's side. Helm 3, and releases that Helm 4 updates from the client's side, look at no owners. No revision is made: the
//! record says already what is put back. Source: Helm's `pkg/kube`, its field manager; "Server-Side Apply".

use crate::{
    base::Path,
    kinds::{
        Applied, Context, Step, graft,
        helm::{
            deployed::Deployed,
            live::{Revisions, exports, names, revisions},
            operation::digest_of,
        },
        objects::clean,
        ownership::{applied_by, named, owned},
    },
    world::{ApplyOptions, Class, Failure, Outcome, Release},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::Arc};

/// What Helm calls itself to the API server.
const MANAGER: &str = "helm";

/// Puts back these fields of these objects.
pub(super) async fn put_back(
    context: &Context,
    step: &Step<'_>,
    parts: &BTreeMap<Arc<str>, Vec<Option<Path>>>,
) -> Outcome<Applied> {
    let identity = step.identity.unwrap_or(&Json::Null);
    let (name, _) = names(identity);
    let gone =
        || Failure::new(Class::NotFound, "helm", name, "the release is gone, or was never deployed").hint("plan again");
    let Revisions { newest, deployed } = revisions(context, identity).await?.ok_or_else(gone)?;
    let release = deployed.ok_or_else(gone)?;
    let there = Deployed::read(context, &release).await?;
    let kubernetes = context.cluster()?.kubernetes.clone();
    let options = ApplyOptions { manager: MANAGER.to_owned(), force: true, dry_run: false };
    for (part, paths) in parts {
        let Some((reference, made)) = there.last.iter().find(|(reference, _)| reference.to_string() == **part) else {
            let what = format!("the revision {} made no such object", release.revision);
            return Err(Failure::new(Class::Invalid, "helm", part.to_string(), what).hint("plan again"));
        };
        let body = match there.live.get(reference) {
            Some(live) => graft::grafted(what_helm_owns(live), &clean(made), paths),
            None => labelled(made, &release),
        };
        context.say(&format!("putting back {reference}"));
        context.patiently(|| kubernetes.apply(&body, &options)).await?;
    }
    let count: usize = parts.values().map(Vec::len).sum();
    let note = if count == 1 { "1 field put back".to_owned() } else { format!("{count} fields put back") };
    Ok(Applied { identity: identity.clone(), exports: exports(&newest, digest_of(step)), note })
}

/// What an apply of Helm's has to send, so that it changes nothing.
fn what_helm_owns(live: &Json) -> Json {
    let part = applied_by(live, MANAGER).map_or_else(|| json!({}), |set| owned(live, set));
    let mut part = named(part, live);
    // An apply says nothing of whose books it goes by.
    if let Some(metadata) = part["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    part
}

/// The object with what Helm marks its own by. Source: Helm's `pkg/action`, `setMetadataVisitor`.
fn labelled(object: &Json, release: &Release) -> Json {
    let mut object = object.clone();
    let marks = [
        ("labels", "app.kubernetes.io/managed-by", "Helm"),
        ("annotations", "meta.helm.sh/release-name", release.name.as_str()),
        ("annotations", "meta.helm.sh/release-namespace", release.namespace.as_str()),
    ];
    for (map, key, value) in marks {
        if object["metadata"][map].is_null() {
            object["metadata"][map] = json!({});
        }
        object["metadata"][map][key] = value.into();
    }
    object
}
