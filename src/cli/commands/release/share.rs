//! `terrace release push`, `pull` and `sign`: a release to a registry and from there, and who vouches for it.
#![expect(clippy::disallowed_methods, reason = "reads a signature from a file")]

use crate::{
    base::Secret,
    cli::{
        context::Context,
        delivery,
        error::{Error, Result, defect},
        exit::Exit,
        loaded::{choose, load},
        place,
        project::Project,
        registries, releases, signatures,
        style::bold,
        surroundings::Surroundings,
        views::json::answer,
    },
    promote::artifact,
    state::{Actor, Making, Signature, release},
    world::live::OsRandom,
};
use serde_json::json;
use std::path::PathBuf;

/// Pushes a release.
pub(super) async fn push(word: &str, to: &str, context: &Context) -> Result<Exit> {
    let project = context.project()?;
    let (registry, tag) = registries::placed(&project, "release push", to)?;
    if tag.as_ref().is_some_and(|tag| tag.starts_with("sha256:")) {
        return Err(Error::usage("registry_place", "a digest comes of what is pushed and cannot be chosen")
            .hint("give a tag, or none: it always has its own digest for one"));
    }
    let ledger = releases::store(context, &project)?;
    let found = releases::find(context, &*ledger, word).await?;
    let bundle = release::bundle(&*ledger, &found.digest).await?;
    let signed = release::signatures(&*ledger, &found.digest).await?;
    let pushed = artifact::push(&*registry, &bundle, &found.makings, &signed, tag.as_deref()).await?;
    if context.terminal.json {
        let said = json!({ "release": found.digest, "place": registry.place(), "tag": tag, "manifest": pushed.manifest, "sent": pushed.sent });
        context.terminal.json_line(&answer("release_pushed", said));
        return Ok(Exit::Done);
    }
    context.terminal.data(&format!("{}\n", pushed.manifest));
    context.terminal.status(&format!(
        "Release {} is in {} ({} parts sent)",
        bold(found.digest.short()),
        registry.place(),
        pushed.sent
    ));
    Ok(Exit::Done)
}

/// Pulls a release.
pub(super) async fn pull(from: &str, context: &Context) -> Result<Exit> {
    let project = context.project()?;
    let (registry, reference) = registries::placed(&project, "release pull", from)?;
    let Some(reference) = reference else {
        let tags = registry.tags().await?;
        let named: Vec<String> = tags.into_iter().filter(|tag| !tag.contains(".beside")).take(8).collect();
        let there = if named.is_empty() { "nothing".to_owned() } else { named.join(", ") };
        return Err(Error::usage(
            "registry_place",
            format!("`{from}` names no release: write oci://HOST/REPOSITORY:TAG"),
        )
        .hint(format!("a tag, or the first digits of the release; there is {there}")));
    };
    let pulled = artifact::pull(&*registry, &reference).await?;
    let ledger = releases::store(context, &project)?;
    let known = release::is_known(&*ledger, &pulled.digest).await?;
    let plan = pulled.bundle.release.plan.clone();
    // Whoever brings a release is one of those who answer for it: what a registry says of others proves nothing.
    let making = Making {
        format: crate::state::MAKING_FORMAT,
        at: Surroundings::now(),
        by: whoever(context, &project, &pulled.bundle.release.folder).await?,
        commit: None,
        ci: context.surroundings.ci(),
        from: Some(registry.place()),
        images: Vec::new(),
    };
    let (_, put_back) = release::store(&*ledger, &OsRandom, &pulled.bundle, &making).await?;
    for making in &pulled.makings {
        release::add_making(&*ledger, &plan, &pulled.digest, making).await?;
    }
    for signature in &pulled.signatures {
        release::add_signature(&*ledger, &pulled.digest, signature).await?;
    }
    if context.terminal.json {
        let said =
            json!({ "release": pulled.digest, "known": known, "place": registry.place(), "manifest": pulled.manifest });
        context.terminal.json_line(&answer("release_pulled", said));
        return Ok(Exit::Done);
    }
    context.terminal.data(&format!("{}\n", pulled.digest));
    let what = if known { "was here already" } else { "pulled, and verified part by part" };
    context.terminal.status(&format!("Release {} of {plan} {what}", bold(pulled.digest.short())));
    super::healed(put_back, context);
    Ok(Exit::Done)
}

/// Adds a signature: made here with a key, or elsewhere.
pub(super) async fn sign(
    word: &str,
    key: Option<&PathBuf>,
    signature: Option<&PathBuf>,
    context: &Context,
) -> Result<Exit> {
    let project = context.project()?;
    let ledger = releases::store(context, &project)?;
    let found = releases::find(context, &*ledger, word).await?;
    // Reading its files holds each against its digest: nobody signs what is not there.
    release::bundle(&*ledger, &found.digest).await?;
    let list = found.release.canonical().map_err(|e| defect(&e))?;
    let trusted = signatures::keys(&project, &project.settings.release_keys)?;
    let (name, text) = match (key, signature) {
        (_, Some(file)) => {
            let file = context.surroundings.folder.join(file);
            let text = std::fs::read_to_string(&file)
                .map_err(|e| Error::new("file_unreadable", format!("{}: {e}", file.display())))?;
            let of = trusted.iter().find(|(_, key)| key.verifies(&list, &text));
            let Some((_, key)) = of else {
                return Err(Error::new(
                    "release_unsigned",
                    format!("{} is no signature of the release {}", file.display(), found.digest.short()),
                )
                .because("no key of [signatures] releases verifies it")
                .hint("what is signed is: terrace release show RELEASE --list"));
            };
            (key.fingerprint(), text.trim().to_owned())
        }
        (key, None) => {
            let key = match (key, context.surroundings.variable("TERRACE_SIGNING_KEY")) {
                (Some(file), _) => signatures::signing_key(&context.surroundings.folder.join(file))?,
                (None, Some(text)) => signatures::signing_key_of(&Secret::new(text.to_owned()), "TERRACE_SIGNING_KEY")?,
                (None, None) => {
                    return Err(Error::usage("signature_key", "there is no key to sign with")
                        .hint("give --key FILE, or the key's text in TERRACE_SIGNING_KEY"));
                }
            };
            let signature = key.sign(&list).map_err(|why| Error::new("signature_key", why))?;
            (key.public().fingerprint(), signature)
        }
    };
    let by = whoever(context, &project, &found.release.folder).await?;
    let added = Signature::new(name.clone(), text, Surroundings::now(), by);
    let known = release::signatures(&*ledger, &found.digest).await?;
    // Signing draws a random number, so a second signature differs and says nothing more.
    if !known.iter().any(|s| s.key == name && trusted_again(&trusted, &list, s)) {
        release::add_signature(&*ledger, &found.digest, &added).await?;
    }
    let counts = trusted.iter().any(|(_, key)| key.fingerprint() == name);
    if context.terminal.json {
        let said = json!({ "release": found.digest, "key": name, "counts": counts });
        context.terminal.json_line(&answer("release_signed", said));
        return Ok(Exit::Done);
    }
    context.terminal.status(&format!("Release {} is signed by the key {}", bold(found.digest.short()), name.short()));
    if !counts {
        context
            .terminal
            .status("that key is none of [signatures] releases in terrace.toml, so nothing asks for it here");
    }
    Ok(Exit::Done)
}

fn trusted_again(keys: &[signatures::NamedKey], list: &[u8], signature: &Signature) -> bool {
    keys.iter().any(|(_, key)| key.verifies(list, &signature.signature))
}

/// Who calls, as the first environment of the release's plan knows them.
async fn whoever(context: &Context, project: &Project, folder: &str) -> Result<Actor> {
    let folder = project.folder.join(folder).display().to_string();
    let loaded = load(context, Some(&folder)).map_err(|e| {
        let why = "environments are no part of a release: they are read from the project's folder";
        e.because(why).hint("run it in the project that declares them")
    })?;
    let first = loaded.configuration.environments.values().next().cloned();
    let Some(first) = first else {
        return Err(Error::new(
            "no_environment",
            format!("the plan {} declares no environment", loaded.configuration.label),
        ));
    };
    let chosen = choose(&first, context.global.sandbox);
    let world = place::open_world(context, project, &chosen)?;
    delivery::actor(context, &loaded, &chosen, &*world).await
}
