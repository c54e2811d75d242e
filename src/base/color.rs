//! The colours of a rollout: which of the two things that stand side by side an instance is.

use std::{fmt, str::FromStr};

/// One of the two things that stand side by side while a rollout runs. `self.color` is its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// Of blue/green: the first to be installed.
    Blue,
    /// Of blue/green: the other one.
    Green,
    /// Of a canary: what has the traffic when no rollout runs.
    Stable,
    /// Of a canary: the new version beside it.
    Canary,
}

/// Where a colour's traffic goes: every route that a rollout moves has two permanent sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The blue target group, or the first backend: blue and stable.
    Blue,
    /// The green target group, or the second backend: green and canary.
    Green,
}

impl Color {
    /// `blue`, `green`, `stable`, `canary`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }

    /// The one that it stands beside.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
            Self::Stable => Self::Canary,
            Self::Canary => Self::Stable,
        }
    }

    /// The side of a route that its traffic comes from.
    #[must_use]
    pub const fn side(self) -> Side {
        match self {
            Self::Blue | Self::Stable => Side::Blue,
            Self::Green | Self::Canary => Side::Green,
        }
    }
}

impl Side {
    /// `blue`, `green`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Color {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Blue, Self::Green, Self::Stable, Self::Canary].into_iter().find(|c| c.word() == text).ok_or(())
    }
}
