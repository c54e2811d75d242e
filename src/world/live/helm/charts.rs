//! From what a plan names to a chart on this machine that is pinned by its digest: a folder, a repository's or a registry's.
//!
//! A chart is found once in a process: what was planned with is what is installed. Repositories and registries are spoken to
//! directly and not by `helm pull`: that would fetch a repository's whole index for each chart, take credentials of
//! repositories.yaml only for repositories that were added by name, and check no digest.

use super::{
    LockedArchive, Settings, archive, cache::Cache, credentials::Credentials, mirror::mirrored, registry,
    repository::Repository,
};
use crate::{
    base::{Digest, few},
    world::{
        Chart, ChartRef, Class, Failure, Outcome,
        live::registry::{Host, is_loopback, parts},
    },
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

/// How many versions that exist are named where one does not.
const VERSIONS_NAMED: usize = 8;

/// A chart that was found.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    /// What is told of it.
    pub(super) chart: Chart,
    /// What helm is given.
    pub(super) path: PathBuf,
}

/// A chart in a repository or registry, packed.
pub(super) struct Packed {
    /// Its archive in the cache.
    pub(super) path: PathBuf,
    /// What it is pinned by.
    pub(super) digest: String,
    /// The archive.
    pub(super) bytes: Vec<u8>,
}

type Known<T> = Mutex<BTreeMap<String, Arc<OnceCell<T>>>>;

/// All charts of a process.
#[derive(Default)]
pub(super) struct Charts {
    known: Known<Pinned>,
    repositories: Known<Repository>,
    registries: Known<Host>,
}

impl Charts {
    /// The chart, found at the first call.
    pub(super) async fn pinned(&self, chart: &ChartRef, settings: &Settings, cache: &Cache) -> Outcome<Pinned> {
        let key = format!("{:?}", (&chart.chart, &chart.repository, &chart.version));
        let cell = cell(&self.known, key);
        cell.get_or_try_init(|| self.find(chart, settings, cache)).await.cloned()
    }

    async fn find(&self, chart: &ChartRef, settings: &Settings, cache: &Cache) -> Outcome<Pinned> {
        let (declared, version) = match (&chart.repository, &chart.version) {
            (None, _) if !chart.chart.starts_with("oci://") => return folder(&chart.chart, cache),
            (_, None) => {
                let what = "a chart from a repository needs an exact version";
                return Err(Failure::new(Class::Invalid, "helm pull", chart.chart.clone(), what));
            }
            (Some(repository), Some(version)) => (repository.as_str(), version.as_str()),
            (None, Some(version)) => (chart.chart.as_str(), version.as_str()),
        };
        if let Some(locked) = settings.archives.iter().find(|locked| locked.chart == *chart) {
            return released(locked).await;
        }
        let instead = mirrored(&settings.mirrors, declared);
        let address = instead.as_deref().unwrap_or(declared);
        let packed = if let Some((host, path)) = parts(address) {
            // A repository that a mirror keeps in a registry has its charts below the address.
            let path = if chart.repository.is_some() { format!("{path}/{}", chart.chart) } else { path };
            let plain = address.starts_with("oci+http://") || is_loopback(&host);
            let cell = cell(&self.registries, format!("{host} {plain}"));
            let open = || async { Host::open("helm pull", host, plain, Credentials::of_registries()) };
            let host = cell.get_or_try_init(open).await?;
            registry::chart(host, path.trim_start_matches('/'), version, cache).await?
        } else {
            let cell = cell(&self.repositories, address.to_owned());
            let known_as = [declared, address];
            let open = || Repository::open(address, &known_as, cache);
            cell.get_or_try_init(open).await?.chart(&chart.chart, version, settings, cache).await?
        };
        let contents = archive::of_archive(&packed.bytes, &format!("{} {version}", chart.chart))?;
        let chart = Chart {
            name: contents.name,
            version: contents.version,
            app_version: contents.app_version,
            digest: packed.digest,
            made_up: false,
            mirror: instead.map(|address| address.replacen("oci+http://", "oci://", 1)),
            looks_up: contents.looks_up,
        };
        Ok(Pinned { chart, path: packed.path })
    }
}

fn cell<T>(known: &Known<T>, key: String) -> Arc<OnceCell<T>> {
    known.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
}

/// A chart that a release brings along: nobody else is asked for it.
#[expect(clippy::disallowed_methods, reason = "reads the archive that the release holds")]
async fn released(locked: &LockedArchive) -> Outcome<Pinned> {
    let subject = locked.chart.chart.as_str();
    let unreadable = |e: std::io::Error| Failure::new(Class::Local, "read release", subject, e.to_string());
    let bytes = tokio::fs::read(&locked.file).await.map_err(unreadable)?;
    checked(&bytes, locked.archive.as_str(), subject)?;
    let contents = archive::of_archive(&bytes, subject)?;
    let chart = Chart {
        name: contents.name,
        version: contents.version,
        app_version: contents.app_version,
        digest: locked.digest.clone(),
        made_up: false,
        mirror: None,
        looks_up: contents.looks_up,
    };
    Ok(Pinned { chart, path: locked.file.clone() })
}

fn folder(folder: &str, cache: &Cache) -> Outcome<Pinned> {
    let read = archive::of_folder(folder)?;
    let path = cache.copy_of(&read.digest)?;
    read.copy_to(&path)?;
    let contents = read.contents.clone();
    let chart = Chart {
        name: contents.name,
        version: contents.version,
        app_version: contents.app_version,
        digest: read.digest.to_string(),
        made_up: false,
        mirror: None,
        looks_up: contents.looks_up,
    };
    Ok(Pinned { chart, path })
}

/// That a version does not exist, and which do: the newest, and those nearest in name.
pub(super) fn no_version(chart: &str, version: &str, place: &str, exist: Vec<String>) -> Failure {
    let mut exist: Vec<(Option<semver::Version>, String)> =
        exist.into_iter().map(|v| (semver::Version::parse(v.trim_start_matches('v')).ok(), v)).collect();
    exist.sort_by(|a, b| b.cmp(a));
    exist.dedup();
    let minor = |v: &str| v.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    let near = |v: &String| minor(v).is_some() && minor(v) == minor(version);
    let (mut named, rest): (Vec<String>, Vec<String>) = exist.into_iter().map(|(_, v)| v).partition(near);
    named.extend(rest);
    if named.is_empty() {
        let what = format!("there is no chart {chart} in {place}");
        return Failure::new(Class::NotFound, "helm pull", chart, what).hint("check its name, and the repository's");
    }
    Failure::new(Class::NotFound, "helm pull", chart, format!("{chart} has no version {version} in {place}"))
        .hint(format!("there are {}", few(&named, VERSIONS_NAMED)))
}

/// Holds bytes against the digest that they shall have.
pub(super) fn checked(bytes: &[u8], digest: &str, subject: &str) -> Outcome<()> {
    let found = Digest::of(bytes);
    if found.as_str() == digest {
        return Ok(());
    }
    let what = format!("its digest is {found}, and {digest} was promised: it was tampered with, or pushed anew");
    Err(Failure::new(Class::Conflict, "helm pull", subject, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chart_that_a_release_brings_is_held_against_its_archive_whatever_it_is_pinned_by() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.tgz");
        std::fs::write(&file, b"no chart").unwrap();
        let chart = ChartRef { chart: "oci://h/web".into(), repository: None, version: Some("1.0.0".into()) };
        let of = |archive: Digest| LockedArchive {
            chart: chart.clone(),
            digest: "sha256:manifest".into(),
            archive,
            file: file.clone(),
        };
        let altered = released(&of(Digest::of(b"a chart"))).await.unwrap_err();
        assert!(altered.message.contains("tampered"), "{altered}");
        let same = released(&of(Digest::of(b"no chart"))).await.unwrap_err();
        assert!(!same.message.contains("tampered"), "it is read as an archive, which it is not: {same}");
    }

    #[test]
    fn a_missing_version_is_told_with_the_nearest_that_exist() {
        let exist = (0..20).map(|n| format!("1.{n}.0")).chain(["1.4.1".into(), "1.4.2".into()]).collect();
        let failure = no_version("web", "1.4.9", "https://charts", exist);
        assert_eq!(failure.message, "web has no version 1.4.9 in https://charts");
        assert_eq!(
            failure.hint.unwrap(),
            "there are 1.4.2, 1.4.1, 1.4.0, 1.19.0, 1.18.0, 1.17.0, 1.16.0, 1.15.0 and 14 more"
        );
    }
}
