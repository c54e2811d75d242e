//! The world and the state that a command works with: which, where, and under whose name.
#![expect(
    clippy::disallowed_methods,
    reason = "a person waits for a lock in real time, and ids are of the machine's own randomness"
)]

use crate::{
    cli::{
        context::Context,
        error::{Error, Result},
        exit::Exit,
        loaded::{Chosen, Loaded},
        project::Project,
        settings,
        surroundings::Surroundings,
    },
    state::{self, Snapshot, StateError, Store},
    world::{
        Entropy, Ledger, LockOwner, World,
        live::{FileLedger, OsRandom},
        sandbox::{Options, Sandbox},
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a held lock is asked for again.
const LOCK_PACE: Duration = Duration::from_millis(500);

/// Opens the embedded world of a project.
///
/// # Errors
/// Settings or an environment variable that are wrong; a disk that refuses.
pub(crate) fn open_sandbox(context: &Context, project: &Project) -> Result<Arc<Sandbox>> {
    Ok(Sandbox::open(&project.sandbox_folder(), sandbox_options(context, project)?)?)
}

/// How the embedded world is opened: by terrace.toml, and the environment above it.
fn sandbox_options(context: &Context, project: &Project) -> Result<Options> {
    let wanted = &project.settings.sandbox;
    let mut options = Options::default();
    if let Some(text) = context.surroundings.variable("TERRACE_SANDBOX_SPEED") {
        options.speed = settings::parse_speed(text).ok_or_else(|| {
            Error::usage("sandbox_speed", format!("TERRACE_SANDBOX_SPEED is `{text}`"))
                .hint("write a number over zero, or \"instant\"")
        })?;
    } else if let Some(speed) = wanted.speed {
        options.speed = speed;
    }
    options.seed = wanted.seed.unwrap_or(options.seed);
    options.charts = wanted.charts.as_ref().map(|folder| project.folder.join(folder));
    Ok(options)
}

/// Opens the world that an environment is in.
///
/// # Errors
/// As [`open_sandbox`]; a live world whose network cannot be set up.
pub(crate) fn open_world(context: &Context, project: &Project, chosen: &Chosen) -> Result<Arc<dyn World>> {
    if chosen.sandbox {
        return Ok(open_sandbox(context, project)?);
    }
    Ok(context.live()?)
}

/// The name of an environment's world in the key of its state (rule 2).
pub(crate) fn world_key(chosen: &Chosen) -> String {
    if chosen.sandbox {
        return "sandbox".to_owned();
    }
    format!("{}-{}", chosen.connection.account_id, chosen.connection.region)
}

/// Where the state of a plan in an environment is kept.
pub(crate) fn ledger(loaded: &Loaded, chosen: &Chosen) -> Arc<dyn Ledger> {
    ledger_of(&loaded.place.project, &loaded.configuration.label, chosen)
}

/// Where the state of the plan of this label is kept, in the same environment and world.
pub(crate) fn ledger_of(project: &Project, label: &str, chosen: &Chosen) -> Arc<dyn Ledger> {
    Arc::new(FileLedger::new(project.state_folder(label, &chosen.environment.name, &world_key(chosen))))
}

/// The state as it is stored, read without the lock.
///
/// # Errors
/// A storage that fails, or content that cannot be read.
pub(crate) async fn snapshot(ledger: &Arc<dyn Ledger>) -> Result<Snapshot> {
    Ok(state::load(&**ledger).await?)
}

/// The state as it is stored; an empty one where it cannot be read.
pub(crate) async fn snapshot_or_empty(ledger: &Arc<dyn Ledger>) -> Snapshot {
    state::load(&**ledger).await.unwrap_or_default()
}

/// Takes the lock and opens the state for writing; waits as long as `--lock-timeout` or the settings say.
///
/// # Errors
/// A lock that stays with somebody else (exit 5); a storage that fails.
pub(crate) async fn open_store(
    context: &Context,
    project: &Project,
    ledger: &Arc<dyn Ledger>,
    command: &str,
) -> Result<Store> {
    let owner = lock_owner(context, command);
    let patience = context.global.lock_timeout.or(project.settings.lock_timeout).unwrap_or_default();
    let since = Instant::now();
    let mut told = false;
    loop {
        match Store::open(ledger.clone(), &owner, &random_id()).await {
            Err(StateError::Locked(holder)) if since.elapsed() < patience => {
                if !told {
                    context.terminal.status(&format!("{}; waiting", StateError::Locked(holder)));
                    told = true;
                }
                tokio::time::sleep(LOCK_PACE.min(patience.saturating_sub(since.elapsed()))).await;
            }
            Err(error) => return Err(error.into()),
            Ok(store) => {
                if let Some(dead) = store.taken_from() {
                    context.terminal.status(&format!(
                        "took over the lock of `{}` (process {} on {}), which ended without giving it back",
                        dead.command, dead.pid, dead.host
                    ));
                }
                return Ok(store);
            }
        }
    }
}

/// Who would hold the lock.
pub(crate) fn lock_owner(context: &Context, command: &str) -> LockOwner {
    LockOwner {
        id: random_id(),
        who: context.surroundings.person().unwrap_or("somebody").to_owned(),
        host: context.surroundings.host(),
        pid: Surroundings::process(),
        command: command.to_owned(),
        since: Surroundings::now(),
    }
}

/// A short id that no other process draws: of the machine's own randomness, not the world's.
pub(crate) fn random_id() -> String {
    format!("{:016x}", OsRandom.next())
}

/// Refuses to go on while a run is open (rule 19).
///
/// # Errors
/// An open run, with what to do about it.
pub(crate) fn no_open_run(snapshot: &Snapshot) -> Result<()> {
    let Some(run) = snapshot.open_run() else { return Ok(()) };
    let message = format!("the run {} of `{}` from {} has not ended", run.id, run.command, run.started);
    Err(Error::new("run_open", message)
        .exit(Exit::Stale)
        .because("until it is finished or rolled back, nothing else can plan or change what it has begun")
        .hint("terrace resume goes on with it, terrace resume --rollback takes it back, terrace doctor looks at it"))
}
