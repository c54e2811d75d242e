//! A kubeconfig for the programs that this process starts: in a folder of its own that nobody else may read, gone with the
//! handle. A token that this process makes lies beside it as `tokenFile`, which client-go reads again every minute, and is
//! written anew while the handle lives. The folder has a lock that its process holds: what a killed one left, the next one that
//! writes a kubeconfig takes away.
#![expect(clippy::disallowed_methods, reason = "a file for another program must be on disk")]

use super::{cluster::Cluster, reach::Way, token::TokenSource};
use crate::world::{Class, Failure, Outcome};
use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// How often a token is looked at; it is renewed minutes before it ends.
const PACE: Duration = Duration::from_secs(30);

/// What the names of the folders begin with.
const PREFIX: &str = "terrace-kubeconfig-";
/// The file in each whose lock says that its process lives.
const LOCK: &str = "lock";
/// A folder without a lock is let be for so long: it may be that of a process that is only just making it.
const FRESH: Duration = Duration::from_secs(60);

/// A kubeconfig on disk. Dropping it takes it away.
pub(in crate::world::live) struct KubeconfigFile {
    path: PathBuf,
    renewing: Option<tokio::task::JoinHandle<()>>,
    _folder: TempDir,
    _lock: File,
}

impl KubeconfigFile {
    /// Where it lies: what `--kubeconfig` or `KUBECONFIG` names.
    pub(in crate::world::live) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for KubeconfigFile {
    fn drop(&mut self) {
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
    }
}

impl Cluster {
    /// A kubeconfig for a program that is to meet the same cluster as the same user. It is good as long as the handle lives.
    ///
    /// # Errors
    /// As the first call to the cluster; a disk that refuses.
    pub(in crate::world::live) async fn kubeconfig(&self) -> Outcome<KubeconfigFile> {
        let way = self.way().await?;
        write(&way, &std::env::temp_dir()).await
    }
}

async fn write(way: &Way, place: &Path) -> Outcome<KubeconfigFile> {
    sweep(place);
    let folder = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(place)
        .map_err(|e| failed(place, &e))?;
    let lock = locked(folder.path()).map_err(|e| failed(folder.path(), &e))?;
    let mut kubeconfig = way.kubeconfig.clone();
    let mut renewing = None;
    if let Some(tokens) = &way.tokens {
        let path = folder.path().join("token");
        let token = tokens.token().await?;
        replace(&path, token.expose()).map_err(|e| failed(&path, &e))?;
        if let Some(user) = kubeconfig.auth_infos.first_mut().and_then(|u| u.auth_info.as_mut()) {
            user.token_file = Some(path.to_string_lossy().into_owned());
        }
        renewing = Some(tokio::spawn(renew(tokens.clone(), path)));
    }
    let path = folder.path().join("config");
    // JSON is YAML.
    let text = serde_json::to_string(&kubeconfig)
        .map_err(|e| Failure::new(Class::Local, "kubernetes:Kubeconfig", "", e.to_string()))?;
    replace(&path, &text).map_err(|e| failed(&path, &e))?;
    Ok(KubeconfigFile { path, renewing, _folder: folder, _lock: lock })
}

/// Makes the lock of a folder and holds it, until the handle or the process ends. Under its name it is there only once it is held.
fn locked(folder: &Path) -> std::io::Result<File> {
    let new = folder.join("lock.new");
    let lock = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    lock.lock()?;
    std::fs::rename(&new, folder.join(LOCK))?;
    Ok(lock)
}

/// Takes away the folders of processes that were killed. What cannot be looked at or taken away stays: it is somebody else's, or
/// the next one tries again.
fn sweep(place: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && entry.path().symlink_metadata().is_ok_and(|m| m.is_dir() && m.uid() == own);
        if ours && is_left(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// True where nobody holds a folder any more.
fn is_left(folder: &Path) -> bool {
    if let Ok(lock) = File::open(folder.join(LOCK)) {
        return lock.try_lock().is_ok();
    }
    let made = std::fs::metadata(folder).and_then(|m| m.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > FRESH))
}

/// Puts the newest token in the place of the last, until it is ended. A token that cannot be had now is tried for again: the
/// program still has the last one.
async fn renew(tokens: Arc<TokenSource>, path: PathBuf) {
    let mut last = String::new();
    loop {
        if let Ok(token) = tokens.token().await
            && *token.expose() != last
            && replace(&path, token.expose()).is_ok()
        {
            last.clone_from(token.expose());
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Writes a file that only its owner may read; whoever reads meanwhile has the old or the new text.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    std::fs::rename(&new, path)
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Class::Local, "kubernetes:Kubeconfig", path.to_string_lossy(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::config::{AuthInfo, Kubeconfig, NamedAuthInfo};

    #[tokio::test]
    async fn it_is_readable_by_its_owner_only_and_gone_with_the_handle() {
        let user = AuthInfo { impersonate: Some("deployer".into()), token: Some("hush".into()), ..AuthInfo::default() };
        let user = NamedAuthInfo { name: "terrace".into(), auth_info: Some(user), ..NamedAuthInfo::default() };
        let kubeconfig = Kubeconfig { auth_infos: vec![user], ..Kubeconfig::default() };
        let place = tempfile::tempdir().unwrap();
        let file = write(&Way { kubeconfig, tokens: None }, place.path()).await.unwrap();
        let path = file.path().to_owned();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let read = Kubeconfig::read_from(&path).unwrap();
        let user = read.auth_infos[0].auth_info.clone().unwrap();
        assert_eq!(user.impersonate.as_deref(), Some("deployer"));
        drop(file);
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_taken_away_and_what_a_living_one_has_stays() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = place.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("token"), "hush").unwrap();
            path
        };
        let (left, fresh, others) = (folder("terrace-kubeconfig-a"), folder("terrace-kubeconfig-b"), folder("else-c"));
        // The kernel let go of the lock of a process that was killed.
        drop(locked(&left).unwrap());
        let way = || Way { kubeconfig: Kubeconfig::default(), tokens: None };
        let living = write(&way(), place.path()).await.unwrap();
        assert!(!left.exists() && fresh.exists() && others.exists());
        let next = write(&way(), place.path()).await.unwrap();
        assert!(living.path().exists() && next.path().exists());
        let old = std::time::SystemTime::now() - FRESH * 2;
        File::open(&fresh).unwrap().set_modified(old).unwrap();
        drop(write(&way(), place.path()).await.unwrap());
        assert!(!fresh.exists() && living.path().exists());
    }
}
