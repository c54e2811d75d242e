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
        settings::{self, Backend, Sse, StateSettings},
        surroundings::Surroundings,
    },
    state::{self, Release, Snapshot, StateError, Store, WholeError},
    world::{
        AssumeRole, AwsConnection, ChartRef, Entropy, Ledger, LockOwner, World,
        live::{ChartMirror, Encryption, FileLedger, HelmSettings, LockedArchive, OsRandom, S3Ledger, S3Place},
        sandbox::{Options, Sandbox},
    },
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the owner of a lock in S3 may be silent where nothing else is set.
const LEASE: Duration = Duration::from_secs(30);
/// What keys of state begin with where nothing else is set.
const PREFIX: &str = "terrace";
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
    let live = context.live();
    let settings = &project.settings;
    live.use_helm(HelmSettings {
        program: settings.programs.get("helm").filter(|_| context.starts_named).cloned(),
        mirrors: mirrors(project),
        archives: project.released.clone(),
        cache: None,
    });
    Ok(live)
}

/// `[[mirror]]`, for charts, images and registries.
pub(crate) fn mirrors(project: &Project) -> Vec<ChartMirror> {
    let all = project.settings.mirrors.iter();
    all.map(|m| ChartMirror { from: m.from.clone(), to: m.to.clone() }).collect()
}

/// The name of an environment's world in the key of its state (rule 2).
pub(crate) fn world_key(chosen: &Chosen) -> String {
    if chosen.sandbox {
        return "sandbox".to_owned();
    }
    format!("{}-{}", chosen.connection.account_id, chosen.connection.region)
}

/// Where the state of a plan in an environment is kept.
///
/// # Errors
/// As [`ledger_of`].
pub(crate) fn ledger(context: &Context, loaded: &Loaded, chosen: &Chosen) -> Result<Arc<dyn Ledger>> {
    ledger_of(context, &loaded.place.project, &loaded.configuration.label, chosen)
}

/// Where the state of the plan of this label is kept, in the same environment and world.
///
/// # Errors
/// A live world that cannot be set up, or a state in the project's folder where the settings name a bucket.
pub(crate) fn ledger_of(context: &Context, project: &Project, label: &str, chosen: &Chosen) -> Result<Arc<dyn Ledger>> {
    if !context.uses_credentials && backend(project, chosen) != Backend::File {
        // Nothing is there but the key that a plan seals with.
        return Ok(Arc::new(FileLedger::new(project.own_folder().join("not-read"))));
    }
    let local = folder(project, label, chosen);
    if backend(project, chosen) == Backend::File {
        return Ok(Arc::new(local));
    }
    let bucket = bucket(context, project, label, chosen)?;
    if local.holds_state() {
        let message =
            format!("terrace.toml says that the state is in {}, and there is one in {}", bucket.place(), local.place());
        return Err(Error::new("state_not_migrated", message)
            .because("what is in the folder would be forgotten, and made a second time")
            .hint("move it: terrace state migrate; or take the folder away where it is of no use any more"));
    }
    Ok(Arc::new(bucket))
}

/// Which kind of storage the settings name. The sandbox's state is beside the sandbox (rule 2).
pub(crate) fn backend(project: &Project, chosen: &Chosen) -> Backend {
    if chosen.sandbox {
        return Backend::File;
    }
    project.settings.state_of(&chosen.environment.name).backend.unwrap_or_default()
}

/// The state in the project's folder, whatever the settings say.
pub(crate) fn folder(project: &Project, label: &str, chosen: &Chosen) -> FileLedger {
    FileLedger::new(project.state_folder(label, &chosen.environment.name, &world_key(chosen)))
}

/// The state in the bucket that the settings name, whether they use it or not. What they do not say of the way there is as
/// for the environment.
///
/// # Errors
/// No bucket in the settings; a live world that cannot be set up.
pub(crate) fn bucket(context: &Context, project: &Project, label: &str, chosen: &Chosen) -> Result<S3Ledger> {
    let environment = &chosen.environment.name;
    let settings = project.settings.state_of(environment);
    let Some(bucket) = settings.bucket.clone() else {
        return Err(Error::new("settings_missing", "terrace.toml names no bucket for state")
            .hint("write bucket = \"...\" in [state]"));
    };
    let connection = bucket_connection(&settings, Some(&chosen.connection));
    let encryption = encryption(&settings);
    let prefix = format!("{}/{label}/{environment}/{}", all_states(project, chosen), world_key(chosen));
    let place = S3Place { bucket, prefix, encryption };
    Ok(context.live().state(connection, place, settings.lease.unwrap_or(LEASE)))
}

/// The store of releases in the bucket that the settings name.
///
/// # Errors
/// No bucket in the settings; a live world that cannot be set up.
pub(crate) fn releases_bucket(context: &Context, project: &Project, settings: &StateSettings) -> Result<S3Ledger> {
    let Some(bucket) = settings.bucket.clone() else {
        return Err(Error::new("settings_missing", "terrace.toml names no bucket for releases")
            .hint("write bucket = \"...\" in [releases], or in [state]"));
    };
    let connection = bucket_connection(settings, None);
    let prefix = settings.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
    // No plan has such a label.
    let prefix = format!("{}/{}/_releases", prefix.trim_matches('/'), project.name);
    let place = S3Place { bucket, prefix: prefix.trim_matches('/').to_owned(), encryption: encryption(settings) };
    Ok(context.live().state(connection, place, settings.lease.unwrap_or(LEASE)))
}

/// The way to a bucket: what the settings do not say of it is as for the environment, where there is one.
fn bucket_connection(settings: &StateSettings, above: Option<&AwsConnection>) -> AwsConnection {
    let role = settings.role_arn.clone();
    let above = above.cloned().unwrap_or_default();
    let region = settings.region.clone().unwrap_or(above.region);
    AwsConnection {
        region: if region.is_empty() { "us-east-1".to_owned() } else { region },
        account_id: String::new(),
        endpoint_url: settings.endpoint_url.clone().or(above.endpoint_url),
        profile: settings.profile.clone().or(above.profile),
        assume_role: role.clone().map(|role_arn| AssumeRole { role_arn, ..AssumeRole::default() }),
        ci_role_arn: role.or(above.ci_role_arn),
        template_bucket: None,
    }
}

fn encryption(settings: &StateSettings) -> Encryption {
    match settings.sse.unwrap_or(Sse::Aes256) {
        Sse::Aes256 => Encryption::Aes256,
        Sse::Kms => Encryption::Kms { key: settings.kms_key_id.clone() },
        Sse::Bucket => Encryption::Bucket,
    }
}

/// The charts that a release brings along, with where they were laid out.
pub(crate) fn locked_charts(release: &Release, folder: &Path) -> Vec<LockedArchive> {
    let locked = release.charts.iter().filter_map(|chart| {
        Some(LockedArchive {
            chart: ChartRef {
                chart: chart.chart.clone(),
                repository: chart.repository.clone(),
                version: Some(chart.version.clone()),
            },
            digest: chart.digest.clone(),
            archive: release.files.get(chart.archive.as_ref()?)?.clone(),
            file: folder.join(chart.archive.as_ref()?),
        })
    });
    locked.collect()
}

/// What the keys of all states of a project begin with.
fn all_states(project: &Project, chosen: &Chosen) -> String {
    let prefix = project.settings.state_of(&chosen.environment.name).prefix;
    let prefix = prefix.unwrap_or_else(|| PREFIX.to_owned());
    match prefix.trim_matches('/') {
        "" => project.name.to_string(),
        prefix => format!("{prefix}/{}", project.name),
    }
}

/// Labels of the project's plans that have a state where this environment's is kept.
///
/// # Errors
/// A storage that fails.
pub(crate) async fn labels(context: &Context, project: &Project, chosen: &Chosen) -> Result<Vec<String>> {
    if backend(project, chosen) == Backend::File || !context.uses_credentials {
        return Ok(project.labels_in_state());
    }
    let mut labels = bucket(context, project, "", chosen)?.folders(&all_states(project, chosen)).await?;
    labels.retain(|label| label != "_releases");
    Ok(labels)
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
    let patience = patience(context, project);
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

/// Does something with a whole state; while somebody else holds its lock it is tried again, as long as `--lock-timeout` or
/// the settings say.
///
/// # Errors
/// What the work fails with.
pub(crate) async fn patiently<T>(
    context: &Context,
    project: &Project,
    mut work: impl AsyncFnMut() -> Result<T, WholeError>,
) -> Result<T, WholeError> {
    let patience = patience(context, project);
    let since = Instant::now();
    loop {
        match work().await {
            Err(WholeError::State(StateError::Locked(_))) if since.elapsed() < patience => {
                tokio::time::sleep(LOCK_PACE.min(patience.saturating_sub(since.elapsed()))).await;
            }
            ended => return ended,
        }
    }
}

/// How long a held lock is waited for.
fn patience(context: &Context, project: &Project) -> Duration {
    context.global.lock_timeout.or(project.settings.lock_timeout).unwrap_or_default()
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
