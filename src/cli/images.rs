//! Container images of releases: listed, resolved and verified when one is made, held to that whenever one is planned or applied.

use crate::{
    base::{Diagnostic, Diagnostics, Digest, Image, PublicKey},
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        place,
        project::Project,
        releases,
        signatures::{self, NamedKey},
        stage::Stage,
    },
    gate,
    promote::{
        image_signatures,
        images::{self, Found},
    },
    state::{ListedImage, release},
    world::{Failure, Outcome, Registry, World, live},
};
use futures::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// How many images are verified at once.
const VERIFIED_AT_ONCE: usize = 8;
/// How long registries are waited for on a way back.
const LOOKED_FOR: Duration = Duration::from_secs(3);

/// What an environment runs, and the world that it is in.
pub(crate) struct OfEnvironment {
    /// Its name.
    pub(crate) environment: Arc<str>,
    /// Its world.
    pub(crate) world: Arc<dyn World>,
    /// Its images.
    pub(crate) found: Found,
}

/// The images of a release that is being made.
pub(crate) struct OfRelease {
    /// All of them, for people.
    pub(crate) listed: Vec<ListedImage>,
    /// Tags with their digests, where terrace.toml asks for that.
    pub(crate) resolved: Option<BTreeMap<String, Digest>>,
}

/// The repository of an image: the world's, and on the sandbox a registry of this machine where the name or a mirror leads to one.
fn repository(project: &Project, world: &dyn World, image: &Image) -> Outcome<Arc<dyn Registry>> {
    let mirrors = place::mirrors(project);
    if is_played(project, world, image) {
        return world.registry(&image.address());
    }
    live::repository("read image", &image.address(), &mirrors)
}

/// Whether the sandbox plays the registry of an image.
fn is_played(project: &Project, world: &dyn World, image: &Image) -> bool {
    world.name() == "sandbox" && !live::is_here(&image.address(), &place::mirrors(project))
}

/// By what a tag is found in a release. What the sandbox made up is told from what a registry said.
fn key(project: &Project, world: &dyn World, image: &Image) -> String {
    if is_played(project, world, image) { format!("{image} (sandbox)") } else { image.to_string() }
}

/// The images of a release that is being made, resolved where terrace.toml asks for that.
///
/// # Errors
/// What is no image; with `resolve`, a chart that cannot be rendered, and a registry that does not answer or has no such tag.
pub(crate) async fn of_release(project: &Project, all: Vec<OfEnvironment>) -> Result<OfRelease> {
    let mut problems = Diagnostics::new();
    for of in &all {
        problems.extend(Diagnostics(of.found.wrong.clone()));
    }
    let resolve = project.settings.images.resolve;
    let mut resolved = BTreeMap::new();
    if resolve {
        for of in &all {
            for (address, failure) in &of.found.failed {
                let what = format!("the images of {address} in {} are not known", of.environment);
                problems.push(with_hint(
                    Diagnostic::error("image_unknown", what)
                        .because(format!("its chart cannot be rendered: {}", failure.message)),
                    failure,
                ));
            }
        }
        for of in &all {
            // The same tag in the same world is asked for once, however many environments run it.
            let new = of.found.floating().filter(|image| !resolved.contains_key(&key(project, &*of.world, image)));
            let new: BTreeSet<&Image> = new.collect();
            for (image, read) in images::digests(|image| repository(project, &*of.world, image), new).await {
                match read {
                    Ok(digest) => drop(resolved.insert(key(project, &*of.world, image), digest)),
                    Err(failure) => problems.push(unresolved(image, &failure)),
                }
            }
        }
    }
    if !problems.has_errors() {
        for of in &all {
            let known = |image: &Image| resolved.get(&key(project, &*of.world, image)).cloned();
            problems.extend(unsigned(project, &*of.world, &of.found, known).await?);
        }
    }
    refused(problems, &["image_unsigned"])?;
    let worlds: BTreeMap<Arc<str>, Arc<dyn World>> =
        all.iter().map(|of| (of.environment.clone(), of.world.clone())).collect();
    let digest = |environment: &str, image: &Image| {
        let world = worlds.get(environment)?;
        resolved.get(&key(project, &**world, image)).cloned()
    };
    let found: Vec<(Arc<str>, Found)> = all.into_iter().map(|of| (of.environment, of.found)).collect();
    let listed = images::listed(&found, digest);
    Ok(OfRelease { listed, resolved: resolve.then_some(resolved) })
}

/// Refuses what is wrong; where it is nothing but these gates, with 4.
fn refused(mut problems: Diagnostics, gates: &[&str]) -> Result<()> {
    problems.normalize();
    if !problems.has_errors() {
        return Ok(());
    }
    let shut = problems.iter().all(|problem| gates.contains(&&*problem.code));
    Err(if shut { Error::from(problems).exit(Exit::NotEligible) } else { problems.into() })
}

fn with_hint(diagnostic: Diagnostic, failure: &Failure) -> Diagnostic {
    match &failure.hint {
        Some(hint) => diagnostic.hint(hint.as_str()),
        None => diagnostic,
    }
}

fn unresolved(image: &Image, failure: &Failure) -> Diagnostic {
    let diagnostic = Diagnostic::error("image_unresolved", format!("the tag of {image} cannot be read"))
        .because(failure.message.as_str());
    if failure.hint.is_none() {
        return diagnostic.hint("check its name; another registry is put in its place by [[mirror]] in terrace.toml");
    }
    with_hint(diagnostic, failure)
}

/// Holds what a release would run in an environment to what it was when the release was made: each tag is read again. On a way back what has
/// moved is only said, and no registry is waited for: it goes to what ran here already.
///
/// # Errors
/// A tag that names something else by now, one that the release does not know, or one that cannot be read (exit 4).
pub(crate) async fn hold(stage: &Stage, way_back: bool, context: &Context) -> Result<()> {
    if !way_back {
        return held(stage, context).await;
    }
    if let Ok(Err(error)) = tokio::time::timeout(LOOKED_FOR, held(stage, context)).await {
        for problem in &error.diagnostics {
            context.terminal.status(&format!("warning: {}: {}", problem.summary, problem.detail));
        }
    }
    Ok(())
}

async fn held(stage: &Stage, context: &Context) -> Result<()> {
    let Some(digest) = &stage.subject.release else { return Ok(()) };
    let project = &stage.loaded.place.project;
    let ledger = releases::store(context, project)?;
    let release = release::stored(&*ledger, digest).await?.release;
    if release.images.is_none() && project.settings.signed_images.is_empty() {
        return Ok(());
    }
    let made_of = stage.ingredients()?;
    let world = &*stage.subject.world;
    let found = images::found(&*world.charts(), made_of).await;
    let mut problems = Diagnostics(found.wrong.clone());
    let mut known: BTreeMap<&Image, &Digest> = BTreeMap::new();
    if let Some(listed) = &release.images {
        for image in found.floating() {
            match listed.get(&key(project, world, image)) {
                Some(digest) => drop(known.insert(image, digest)),
                None => problems.push(unlisted(image, &found, digest)),
            }
        }
    }
    for (image, read) in images::digests(|image| repository(project, world, image), known.keys().copied()).await {
        match (read, known.get(image)) {
            (Ok(now), Some(was)) if now != **was => problems.push(moved(image, was, &now)),
            (Ok(_), _) => {}
            (Err(failure), _) => problems.push(unresolved(image, &failure)),
        }
    }
    let resolved = |image: &Image| release.images.as_ref()?.get(&key(project, world, image)).cloned();
    problems.extend(unsigned(project, world, &found, resolved).await?);
    refused(problems, &["image_moved", "image_unlisted", "image_unresolved", "image_unsigned"])
}

/// What of an environment's images is not signed as `[[signatures.images]]` of terrace.toml asks. A tag is resolved for that, where
/// the release has not.
///
/// # Errors
/// Keys that cannot be read.
async fn unsigned(
    project: &Project,
    world: &dyn World,
    found: &Found,
    resolved: impl Fn(&Image) -> Option<Digest>,
) -> Result<Diagnostics> {
    let mut problems = Diagnostics::new();
    let rules = &project.settings.signed_images;
    if rules.is_empty() {
        return Ok(problems);
    }
    for (address, why) in &found.unseen {
        let what = format!("the images of {address} are not known, so nobody can tell whether they are signed");
        problems.push(
            Diagnostic::error("image_unsigned", what)
                .because(why.as_str())
                .hint("name images by what is known before anything is applied: variables, locals, env"),
        );
    }
    let mut asked: Vec<(&Image, Vec<NamedKey>)> = Vec::new();
    for rule in rules {
        let keys = signatures::keys(project, &rule.keys)?;
        for image in found.known.keys() {
            if rule.repositories.iter().any(|pattern| gate::means(pattern, &image.name())) {
                asked.push((image, keys.clone()));
            }
        }
    }
    let jobs = asked.into_iter().map(|(image, keys)| {
        let known = image.digest.clone().or_else(|| resolved(image));
        async move {
            let digest = match known {
                Some(digest) => digest,
                None => match images::digests(|image| repository(project, world, image), [image]).await.pop() {
                    Some((_, Ok(digest))) => digest,
                    Some((_, Err(failure))) => return Some(unresolved(image, &failure)),
                    None => return None,
                },
            };
            let of: Vec<PublicKey> = keys.iter().map(|(_, key)| key.clone()).collect();
            let read = async {
                let registry = repository(project, world, image)?;
                image_signatures::verified(&*registry, image, &digest, &of).await
            };
            let names: Vec<&str> = keys.iter().map(|(file, _)| file.as_str()).collect();
            let what = format!("{}@{digest} is not signed by {}", image.name(), names.join(" or "));
            let problem = Diagnostic::error("image_unsigned", what);
            match read.await {
                Ok(Ok(())) => None,
                Ok(Err(why)) if why.is_empty() => Some(
                    problem
                        .because("[[signatures.images]] of terrace.toml asks for that, and it has no signature")
                        .hint(format!("whoever has the key: cosign sign --key KEY {}@{digest}", image.name())),
                ),
                Ok(Err(why)) => Some(problem.because(why.join("; "))),
                Err(failure) => Some(with_hint(
                    problem.because(format!("its signatures cannot be read: {}", failure.message)),
                    &failure,
                )),
            }
        }
    });
    let jobs: Vec<_> = jobs.collect();
    let mut found = stream::iter(jobs).buffered(VERIFIED_AT_ONCE);
    while let Some(problem) = found.next().await {
        if let Some(problem) = problem {
            problems.push(problem);
        }
    }
    Ok(problems)
}

fn moved(image: &Image, was: &Digest, now: &Digest) -> Diagnostic {
    let named = |digest: &Digest| format!("{}@{digest}", image.name());
    Diagnostic::error("image_moved", format!("{image} is no longer what it was when the release was made"))
        .because(format!("it was {}, and is {}", named(was), named(now)))
        .hint("bring the tag back, or make a release of what is there now: terrace release create")
}

fn unlisted(image: &Image, found: &Found, release: &Digest) -> Diagnostic {
    let of: Vec<String> = found.known.get(image).into_iter().flatten().map(ToString::to_string).collect();
    let what = format!("{} would run {image}, which the release {} does not know", of.join(", "), release.short());
    Diagnostic::error("image_unlisted", what)
        .because("its digests are those of the values that there were when it was made")
        .hint("make a release with these values: terrace release create; or name the image by its digest")
}
