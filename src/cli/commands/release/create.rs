//! `terrace release create`: every environment is evaluated, and whatever any of them is made of is frozen (rule 26).

use crate::{
    base::Digest,
    cli::{
        context::Context,
        delivery,
        error::{Error, Result, defect},
        exit::Exit,
        images::{self, OfEnvironment},
        loaded::{choose, load},
        made_of, place, policies, releases, running,
        sources::RecordingSources,
        style::{bold, clean},
        surroundings::Surroundings,
        views::json::answer,
    },
    lang::{SourceError, Sources as _, configuration::Environment},
    plan,
    policy::Pack,
    promote::{self, Ingredients},
    state::{ImageStanding, ListedImage, LockedChart, MAKING_FORMAT, Making, release},
    world::{ChartRef, World, live::OsRandom},
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Freezes a plan.
pub(super) async fn run(plan: Option<&str>, context: &Context) -> Result<Exit> {
    let loaded = load(context, plan)?;
    let environments: Vec<Environment> = loaded.configuration.environments.values().cloned().collect();
    let Some(first) = environments.first() else {
        return Err(Error::new(
            "no_environment",
            format!("the plan {} declares no environment", loaded.configuration.label),
        )
        .because("a release holds what some environment is made of")
        .hint("write environment \"dev\" { sandbox {} }"));
    };
    let project = &loaded.place.project;
    // Charts of the project are rendered from where they are declared.
    Surroundings::enter(&project.work)
        .map_err(|e| Error::new("file_unreadable", format!("{}: {e}", project.work.display())))?;
    let ledger = releases::store(context, project)?;
    let mut images = Vec::new();
    let mut found = plan::Ingredients::default();
    let mut charts: BTreeMap<LockedChart, Option<Vec<u8>>> = BTreeMap::new();
    for environment in &environments {
        let of_it = made_of::of_environment(context, &loaded, environment)?;
        let world = place::open_world(context, project, &choose(environment, context.global.sandbox))?;
        for chart in &of_it.charts {
            let (locked, archive) = locked(&*world, chart).await.map_err(|e| e.with_sources(loaded.texts()))?;
            charts.insert(locked, archive);
        }
        found.folders.extend(of_it.folders.iter().cloned());
        found.programs.extend(of_it.programs.iter().cloned());
        let runs = promote::images::found(&*world.charts(), of_it).await;
        images.push(OfEnvironment { environment: environment.name.clone(), world, found: runs });
    }
    let images = images::of_release(project, images).await?;
    read_beside(&loaded.sources, &found)?;
    let packs = policies::read(project, Some(&loaded.configuration.label), context).await?.all;
    for (file, _) in packs.iter().flat_map(Pack::judging_files) {
        loaded.sources.read(&file).map_err(|e| Error::new("file_unreadable", e.to_string()))?;
    }
    let packs = packs.into_iter().map(|pack| pack.folder).collect();
    let files = loaded.sources.recorded().files;
    let made_of = Ingredients { files, charts: charts.into_iter().collect(), images: images.resolved, packs };
    let configuration = &loaded.configuration;
    let bundle = promote::freeze(&configuration.label, &configuration.folder, made_of)?;
    let chosen = choose(first, context.global.sandbox);
    let world = place::open_world(context, project, &chosen)?;
    let making = Making {
        format: MAKING_FORMAT,
        // The machine's own time, on the sandbox too: what is made later is newer, and the sandbox's time stands still between.
        at: Surroundings::now(),
        by: delivery::actor(context, &loaded, &chosen, &*world).await?,
        commit: running::commit(&project.folder).await,
        ci: context.surroundings.ci(),
        from: None,
        images: images.listed,
    };
    let name = bundle.release.digest().map_err(|e| defect(&e))?;
    let known = release::is_known(&*ledger, &name).await?;
    let (digest, put_back) = release::store(&*ledger, &OsRandom, &bundle, &making).await?;
    told(context, &digest, &bundle, &making.images, known);
    super::healed(put_back, context);
    Ok(Exit::Done)
}

fn told(context: &Context, digest: &Digest, bundle: &crate::state::Bundle, images: &[ListedImage], known: bool) {
    let (files, charts) = (bundle.release.files.len(), bundle.release.charts.len());
    if context.terminal.json {
        let packs = &bundle.release.packs;
        let said = json!({ "digest": digest, "known": known, "files": files, "charts": charts, "images": images, "packs": packs });
        context.terminal.json_line(&answer("release_created", said));
        return;
    }
    context.terminal.data(&format!("{digest}\n"));
    let what = if known { "is known already: nothing differs" } else { "made" };
    let count = images.iter().filter(|image| image.image.is_some()).count();
    context
        .terminal
        .status(&format!("Release {} {what} ({files} files, {charts} charts, {count} images)", bold(digest.short())));
    for (standing, words) in [
        (ImageStanding::Floating, "float: what runs may be another image tomorrow"),
        (ImageStanding::Unknown, "are not known"),
    ] {
        let lines: Vec<String> = images.iter().filter(|i| i.standing == standing).map(super::image_line).collect();
        if !lines.is_empty() {
            context.terminal.status(&format!("Images that {words}:"));
            for line in lines {
                context.terminal.status(&format!("  {}", clean(&line)));
            }
        }
    }
    context.terminal.status(&format!("Next: terrace promote {} --to ENV", digest.short()));
}

/// A chart by the digest that it has now, with its archive.
async fn locked(world: &dyn World, chart: &ChartRef) -> Result<(LockedChart, Option<Vec<u8>>)> {
    let (found, archive) = world.charts().archive(chart).await?;
    let locked = LockedChart {
        chart: chart.chart.clone(),
        repository: chart.repository.clone(),
        version: chart.version.clone().unwrap_or(found.version),
        digest: found.digest,
        archive: None,
    };
    Ok((locked, archive))
}

/// Reads what programs will read, so that it is frozen with the rest.
fn read_beside(sources: &RecordingSources, found: &plan::Ingredients) -> Result<()> {
    let unreadable = |e: SourceError| Error::new("file_unreadable", e.to_string());
    for file in &found.programs {
        // A word of a command that names no file of the project is no file.
        match sources.read(file) {
            Ok(_) | Err(SourceError::Missing(_) | SourceError::Outside(_) | SourceError::Unreadable { .. }) => {}
        }
    }
    let mut folders: Vec<String> = found.folders.iter().cloned().collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        if !seen.insert(folder.clone()) {
            continue;
        }
        for name in sources.list(&folder).map_err(unreadable)? {
            let path = format!("{folder}/{name}");
            match path.strip_suffix('/') {
                // What a program makes for itself is none of the plan's.
                Some(_) if name == ".terraform/" => {}
                Some(inner) => folders.push(inner.to_owned()),
                None if name.starts_with("terraform.tfstate") => {}
                None => drop(sources.read(&path).map_err(unreadable)?),
            }
        }
    }
    Ok(())
}
