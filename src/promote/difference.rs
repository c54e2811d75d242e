//! What differs between two releases, in the terms of what they are made of.

use crate::{
    base::Image,
    state::{Bundle, ListedImage, LockedChart},
};
use similar::TextDiff;
use std::collections::{BTreeMap, BTreeSet};

/// What differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Files that only the second has.
    pub added: Vec<String>,
    /// Files that only the first has.
    pub removed: Vec<String>,
    /// Files that both have, with their difference; empty where one is no text.
    pub changed: Vec<(String, String)>,
    /// Charts, by where they come from: what it was and what it is.
    pub charts: Vec<ChartChange>,
    /// Images, by their repositories: what was run of each and what is.
    pub images: Vec<ImageChange>,
}

/// Other images of a repository in the place of some.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ImageChange {
    /// Registry and repository.
    pub image: String,
    /// Tags and digests before; none where it is new.
    pub before: Vec<String>,
    /// Tags and digests after; none where it is gone.
    pub after: Vec<String>,
}

/// Another chart in the place of one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChartChange {
    /// Its name and where it comes from.
    pub chart: String,
    /// Its version and digest before; none where it is new.
    pub before: Vec<String>,
    /// Its version and digest after; none where it is gone.
    pub after: Vec<String>,
}

/// What differs between two releases.
#[must_use]
pub fn difference(before: &Bundle, after: &Bundle) -> Difference {
    let paths = |bundle: &Bundle| -> BTreeSet<String> {
        let archives: BTreeSet<&str> = bundle.release.charts.iter().filter_map(|c| c.archive.as_deref()).collect();
        bundle.release.files.keys().filter(|path| !archives.contains(path.as_str())).cloned().collect()
    };
    let (old, new) = (paths(before), paths(after));
    let text =
        |bundle: &Bundle, path: &str| bundle.file(path).and_then(|c| std::str::from_utf8(c).ok().map(str::to_owned));
    let changed =
        old.intersection(&new).filter(|path| before.release.files.get(*path) != after.release.files.get(*path));
    let changed = changed.map(|path| {
        let lines = match (text(before, path), text(after, path)) {
            (Some(one), Some(other)) => TextDiff::from_lines(&one, &other).unified_diff().context_radius(2).to_string(),
            _ => String::new(),
        };
        (path.clone(), lines)
    });
    Difference {
        added: new.difference(&old).cloned().collect(),
        removed: old.difference(&new).cloned().collect(),
        changed: changed.collect(),
        charts: charts(before, after),
        images: Vec::new(),
    }
}

/// What differs between the images of two releases. What is not known cannot be compared.
#[must_use]
pub fn image_difference(before: &[ListedImage], after: &[ListedImage]) -> Vec<ImageChange> {
    let of = |listed: &[ListedImage]| {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for one in listed {
            let Some(image) = one.image.as_deref().and_then(|text| Image::parse(text).ok()) else { continue };
            let tag = image.tag.clone();
            let said = match (tag, &one.digest) {
                (Some(tag), Some(digest)) => format!("{tag} ({})", digest.short()),
                (Some(tag), None) => format!("{tag} (floating)"),
                (None, digest) => digest.as_ref().map(|d| d.short().to_owned()).unwrap_or_default(),
            };
            found.entry(image.name()).or_default().insert(said);
        }
        found
    };
    let (before, after) = (of(before), of(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let side = |side: &BTreeMap<String, BTreeSet<String>>, name: &String| -> Vec<String> {
        side.get(name).into_iter().flatten().cloned().collect()
    };
    let all = names.into_iter().map(|name| ImageChange {
        image: name.clone(),
        before: side(&before, name),
        after: side(&after, name),
    });
    all.filter(|change| change.before != change.after).collect()
}

fn charts(before: &Bundle, after: &Bundle) -> Vec<ChartChange> {
    let name = |c: &LockedChart| match &c.repository {
        Some(repository) => format!("{} of {repository}", c.chart),
        None => c.chart.clone(),
    };
    let of = |bundle: &Bundle, wanted: &str| -> Vec<String> {
        let all = bundle.release.charts.iter().filter(|c| name(c) == wanted);
        all.map(|c| format!("{} ({})", c.version, c.short())).collect()
    };
    let all = before.release.charts.iter().chain(&after.release.charts).map(name);
    let names: BTreeSet<String> = all.collect();
    let changes = names.into_iter().map(|chart| {
        let (before, after) = (of(before, &chart), of(after, &chart));
        ChartChange { chart, before, after }
    });
    changes.filter(|change| change.before != change.after).collect()
}

impl Difference {
    /// True where nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
