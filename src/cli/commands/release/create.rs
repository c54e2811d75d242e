//! `terrace release create`: every environment is evaluated, and whatever any of them is made of is frozen (rule 26).

use crate::{
    base::{Digest, Value},
    cli::{
        context::Context,
        delivery,
        error::{Error, Result, defect},
        exit::Exit,
        loaded::{Loaded, choose, load},
        place, releases, running,
        sources::RecordingSources,
        style::bold,
        surroundings::Surroundings,
        variables,
        views::json::answer,
    },
    graph,
    kinds::{self, Marks},
    lang::{SourceError, Sources, configuration::Environment},
    plan,
    promote::{self, Ingredients},
    state::{LockedChart, Making, release},
    world::{ChartRef, World, live::OsRandom},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The version of the record of who made a release.
const MAKING: u32 = 1;

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
    let ledger = releases::store(context, &loaded.place.project)?;
    let mut found = plan::Ingredients::default();
    let mut charts: BTreeMap<LockedChart, Option<Vec<u8>>> = BTreeMap::new();
    for environment in &environments {
        let of_it = of_environment(context, &loaded, environment)?;
        let world = place::open_world(context, &loaded.place.project, &choose(environment, context.global.sandbox))?;
        for chart in &of_it.charts {
            let (locked, archive) = locked(&*world, chart).await.map_err(|e| e.with_sources(loaded.texts()))?;
            charts.insert(locked, archive);
        }
        found.folders.extend(of_it.folders);
        found.programs.extend(of_it.programs);
    }
    read_beside(&loaded.sources, &found)?;
    let files = loaded.sources.recorded().files;
    let made_of = Ingredients { files, charts: charts.into_iter().collect() };
    let configuration = &loaded.configuration;
    let bundle = promote::freeze(&configuration.label, &configuration.folder, made_of)?;
    let chosen = choose(first, context.global.sandbox);
    let world = place::open_world(context, &loaded.place.project, &chosen)?;
    let making = Making {
        format: MAKING,
        // The machine's own time, on the sandbox too: what is made later is newer, and the sandbox's time stands still between.
        at: Surroundings::now(),
        by: delivery::actor(context, &loaded, &chosen, &*world).await?,
        commit: running::commit(&loaded.place.project.folder).await,
        ci: context.surroundings.ci(),
        from: None,
    };
    let name = bundle.release.digest().map_err(|e| defect(&e))?;
    let known = release::is_known(&*ledger, &name).await?;
    let digest = release::store(&*ledger, &OsRandom, &bundle, &making).await?;
    told(context, &digest, &bundle, known);
    Ok(Exit::Done)
}

fn told(context: &Context, digest: &Digest, bundle: &crate::state::Bundle, known: bool) {
    let (files, charts) = (bundle.release.files.len(), bundle.release.charts.len());
    if context.terminal.json {
        let said = json!({ "digest": digest, "known": known, "files": files, "charts": charts });
        context.terminal.json_line(&answer("release_created", said));
        return;
    }
    context.terminal.data(&format!("{digest}\n"));
    let what = if known { "is known already: nothing differs" } else { "made" };
    context.terminal.status(&format!("Release {} {what} ({files} files, {charts} charts)", bold(digest.short())));
    context.terminal.status(&format!("Next: terrace promote {} --to ENV", digest.short()));
}

/// What a plan is made of in an environment. A variable without a value is unknown: no file may hang on it.
fn of_environment(context: &Context, loaded: &Loaded, environment: &Environment) -> Result<plan::Ingredients> {
    let mut given = variables::gather(context, loaded, &environment.name)?;
    for (name, variable) in loaded.configuration.root.variables.iter().filter(|(_, v)| v.default.is_none()) {
        given.entry(name.clone()).or_insert_with(|| Value::UNKNOWN.with_mark(variable.sensitive));
    }
    let chosen = choose(environment, context.global.sandbox);
    let (graph, problems) = graph::build(&loaded.configuration, kinds::schema());
    if problems.has_errors() {
        return Err(Error::from(problems).with_sources(loaded.texts()));
    }
    let marks = Marks {
        project: loaded.place.project.name.clone(),
        plan: loaded.configuration.label.clone(),
        env: environment.name.clone(),
        world: if chosen.sandbox { "sandbox" } else { "aws" }.into(),
        account: chosen.connection.account_id.as_str().into(),
        region: chosen.connection.region.as_str().into(),
    };
    let given = variables::given(&chosen, given, Surroundings::now());
    let sources: Arc<dyn Sources> = loaded.sources.clone();
    plan::ingredients(&loaded.configuration, &graph, given, &sources, &marks)
        .map_err(|problems| Error::from(problems).with_sources(loaded.texts()))
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
