//! What promotions are judged by, as a command finds it: who calls, and what each environment records.

use crate::{
    base::Address,
    cli::{
        context::Context,
        error::Result,
        loaded::{self, Chosen, Loaded},
        place,
        stage::Stage,
    },
    gate::{Place, means},
    lang::configuration::Environment,
    rollout::Kept,
    state::{self, Actor, Snapshot, Standing},
    world::{Ledger, World},
};
use std::{collections::BTreeSet, sync::Arc};

/// Who calls: on AWS whom STS names, on the sandbox `TERRACE_IDENTITY` or the person at the machine.
///
/// # Errors
/// On AWS a caller who cannot be known.
pub(crate) async fn actor(context: &Context, loaded: &Loaded, chosen: &Chosen, world: &dyn World) -> Result<Actor> {
    let people = &loaded.place.project.settings.people;
    if chosen.sandbox {
        let name = context.surroundings.person().unwrap_or("somebody");
        let arn = format!("arn:aws:sts::{}:assumed-role/terrace-sandbox/{name}", chosen.connection.account_id);
        let person = people.get(&arn).or_else(|| people.get(name)).cloned().unwrap_or_else(|| name.to_owned());
        return Ok(Actor { arn, id: String::new(), person: Some(person) });
    }
    let caller = world.aws(&chosen.connection)?.identity.caller().await?;
    let person =
        people.get(&caller.arn).or_else(|| people.iter().find(|(id, _)| means(id, &caller.arn)).map(|(_, p)| p));
    let person = person.cloned();
    Ok(Actor { arn: caller.arn, id: caller.user_id, person })
}

/// What an environment records, and what people decided of it.
pub(crate) struct Recorded {
    /// The environment.
    pub(crate) environment: Environment,
    /// Where its state is kept; `None` where that cannot be told.
    pub(crate) ledger: Option<Arc<dyn Ledger>>,
    /// As its gates see it.
    pub(crate) place: Place,
    /// Colours that are kept warm there.
    pub(crate) debts: Vec<(Address, Kept)>,
}

/// What an environment records. What cannot be read is said in it, and blocks whatever lies downstream.
pub(crate) async fn recorded(context: &Context, loaded: &Loaded, environment: &Environment) -> Recorded {
    let empty = Place::new(environment.name.clone(), environment.after.clone(), environment.gates.clone());
    let chosen = match loaded.whereabouts(context, environment).await {
        Ok(chosen) => chosen,
        Err(error) => return unreadable(environment, None, empty, &error.summary()),
    };
    let ledger = match place::ledger(context, loaded, &chosen) {
        Ok(ledger) => ledger,
        Err(error) => return unreadable(environment, None, empty, &error.summary()),
    };
    match read(&*ledger).await {
        Ok((state, standing)) => {
            let debts = state.debts().map(|(address, kept)| (address, kept.clone())).collect();
            let place = empty.with(&state, standing);
            Recorded { environment: environment.clone(), ledger: Some(ledger), place, debts }
        }
        Err(error) => unreadable(environment, Some(ledger), empty, &error.summary()),
    }
}

fn unreadable(environment: &Environment, ledger: Option<Arc<dyn Ledger>>, place: Place, why: &str) -> Recorded {
    let mut place = place;
    place.unreadable = Some(why.to_owned());
    Recorded { environment: environment.clone(), ledger, place, debts: Vec::new() }
}

async fn read(ledger: &dyn Ledger) -> Result<(Snapshot, Standing)> {
    let (state, facts) = futures::join!(state::load(ledger), state::facts::all(ledger));
    Ok((state?, Standing::of(facts?)))
}

/// The environments that lie upstream of one, nearest first.
pub(crate) fn upstream<'l>(loaded: &'l Loaded, environment: &Environment) -> Vec<&'l Environment> {
    let all = &loaded.configuration.environments;
    let mut found: Vec<&Environment> = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&Arc<str>> = environment.after.iter().collect();
    while !next.is_empty() {
        let here: Vec<&Environment> = next.iter().filter(|n| seen.insert(n)).filter_map(|n| all.get(*n)).collect();
        let further = here.iter().flat_map(|e| &e.after).collect();
        found.extend(here);
        next = further;
    }
    found
}

/// What all environments that lie upstream of one record, nearest first.
pub(crate) async fn recorded_upstream(context: &Context, loaded: &Loaded, environment: &Environment) -> Vec<Place> {
    let mut places = Vec::new();
    for above in upstream(loaded, environment) {
        places.push(recorded(context, loaded, above).await.place);
    }
    places
}

/// What an environment's gates are asked with, where nothing but a plain apply is meant.
pub(crate) async fn warrant(context: &Context, stage: &Stage) -> Result<crate::apply::Warrant> {
    let loaded = &stage.loaded;
    let name = &stage.subject.given.env.name;
    let Some(environment) = loaded.configuration.environments.get(name) else {
        return Ok(crate::apply::Warrant::default());
    };
    // Without a release there is nothing that could be upstream.
    let upstream = match &stage.subject.release {
        Some(_) => recorded_upstream(context, loaded, environment).await,
        None => Vec::new(),
    };
    let chosen = loaded::choose(environment, stage.subject.world.name() == "sandbox");
    let chosen = Chosen { connection: stage.subject.aws.clone(), ..chosen };
    Ok(crate::apply::Warrant {
        upstream,
        after: environment.after.clone(),
        gates: environment.gates.clone(),
        authors: Vec::new(),
        by: Some(actor(context, loaded, &chosen, &*stage.subject.world).await?),
        ..crate::apply::Warrant::default()
    })
}
