//! Where files come from: the language reads through this trait only.

use std::sync::Arc;

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no such file or folder.
    #[error("no such file or folder: {0}")]
    Missing(String),
    /// It leads out of the project.
    #[error("{0} leads out of the project folder")]
    Outside(String),
    /// Anything else.
    #[error("{path}: {why}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
}

/// Files of a project, by paths relative to its root with `/` between names and no `.` or `..` in them.
///
/// A release and a saved plan implement it over their own bundle, so that nothing else is ever read.
pub trait Sources: Send + Sync {
    /// The content of a file.
    ///
    /// # Errors
    /// As [`SourceError`] says.
    fn read(&self, path: &str) -> Result<Arc<[u8]>, SourceError>;

    /// Names in a folder in byte order, folders with a `/` behind.
    ///
    /// # Errors
    /// As [`SourceError`] says.
    fn list(&self, folder: &str) -> Result<Vec<String>, SourceError>;

    /// What kustomize makes of a folder: YAML documents. Like a file's content it is the same however often it is asked for.
    ///
    /// # Errors
    /// As [`SourceError`] says; the program's own words where it fails, or that there is none.
    fn kustomize(&self, folder: &str) -> Result<Arc<[u8]>, SourceError> {
        let why = "there is no program here that builds it".to_owned();
        Err(SourceError::Unreadable { path: folder.to_owned(), why })
    }
}

/// Joins and cleans a path: `.` and `..` are resolved, a leading `./` dropped.
///
/// # Errors
/// Where it leads above the project's root or is absolute.
pub fn normalize(folder: &str, path: &str) -> Result<String, SourceError> {
    if path.starts_with('/') {
        return Err(SourceError::Outside(path.to_owned()));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(|| SourceError::Outside(path.to_owned()))?;
            }
            name => parts.push(name),
        }
    }
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// Files in memory, for tests, bundles and saved plans.
#[derive(Debug, Clone, Default)]
pub struct MemorySources(pub std::collections::BTreeMap<String, Arc<[u8]>>);

impl Sources for MemorySources {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, SourceError> {
        self.0.get(path).cloned().ok_or_else(|| SourceError::Missing(path.to_owned()))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let prefix = if folder == "." { String::new() } else { format!("{folder}/") };
        let mut names: Vec<String> = Vec::new();
        for path in self.0.range(prefix.clone()..).map(|(p, _)| p).take_while(|p| p.starts_with(&prefix)) {
            let rest = &path[prefix.len()..];
            let name = rest.split_once('/').map_or_else(|| rest.to_owned(), |(dir, _)| format!("{dir}/"));
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        names.sort();
        names.dedup();
        if names.is_empty() { Err(SourceError::Missing(folder.to_owned())) } else { Ok(names) }
    }
}
