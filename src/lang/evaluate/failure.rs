//! Why an expression has no value: the problems found, and whether `try` and `can` may pass over them.

use crate::base::{Diagnostic, Diagnostics};
use std::sync::Arc;

/// One or more problems that left an expression without a value. Cheap to clone, since every reader of a broken local
/// gets the same.
#[derive(Debug, Clone)]
pub(super) struct Failure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    diagnostics: Vec<Diagnostic>,
    fatal: bool,
}

/// What evaluation gives.
pub(super) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A problem that no `try` passes over: a cycle, or a limit.
    pub(super) fn fatal(diagnostic: Diagnostic) -> Self {
        Self(Arc::new(Inner { diagnostics: vec![diagnostic], fatal: true }))
    }

    /// True where `try` and `can` must not pass over it.
    pub(super) fn is_fatal(&self) -> bool {
        self.0.fatal
    }

    /// The problems.
    pub(super) fn diagnostics(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(Arc::new(Inner { diagnostics: vec![diagnostic], fatal: false }))
    }
}

impl From<Failure> for Diagnostics {
    fn from(failure: Failure) -> Self {
        Self(failure.0.diagnostics.clone())
    }
}

/// Gathers failures, so that all of them are told and not the first one.
#[derive(Debug, Default)]
pub(super) struct Failures {
    diagnostics: Vec<Diagnostic>,
    fatal: bool,
}

impl Failures {
    /// The value, or `None` with its failure noted.
    pub(super) fn note<T>(&mut self, outcome: Outcome<T>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(failure) => {
                self.fatal |= failure.0.fatal;
                for diagnostic in failure.diagnostics() {
                    self.push(diagnostic.clone());
                }
                None
            }
        }
    }

    /// Notes one problem. The same one is noted once.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// The value, where nothing was noted.
    pub(super) fn or<T>(self, value: T) -> Outcome<T> {
        if self.diagnostics.is_empty() {
            Ok(value)
        } else {
            Err(Failure(Arc::new(Inner { diagnostics: self.diagnostics, fatal: self.fatal })))
        }
    }
}
