//! Places in plan files.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// A range of bytes in a file, by the file's path as it was given to the reader.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// The file, relative to the project where it lies in it.
    pub file: Arc<str>,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span over `start..end` of `file`.
    #[must_use]
    pub fn new(file: impl Into<Arc<str>>, range: std::ops::Range<usize>) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { file: file.into(), start: clamp(range.start), end: clamp(range.end) }
    }

    /// The range as indices.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.file, self.start, self.end)
    }
}

/// The texts that spans point into, for rendering excerpts.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    texts: BTreeMap<Arc<str>, Arc<str>>,
}

impl SourceMap {
    /// Remembers the text of a file.
    pub fn insert(&mut self, file: Arc<str>, text: Arc<str>) {
        self.texts.insert(file, text);
    }

    /// The text of a file, where it is known.
    #[must_use]
    pub fn text(&self, file: &str) -> Option<&Arc<str>> {
        self.texts.get(file)
    }

    /// Line and column (both from 1, the column in characters) of the start of a span.
    #[must_use]
    pub fn position(&self, span: &Span) -> Option<(usize, usize)> {
        let text = self.texts.get(&span.file)?;
        let before = text.get(..(span.start as usize).min(text.len()))?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Some((line, column))
    }

    /// Every file with its text, in order of path.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.texts.iter()
    }
}
