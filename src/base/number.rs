//! Numbers of the language. Terraform's are 512-bit binary floats; so `0.1 + 0.2` is `0.3`.

use std::{fmt, str::FromStr};

/// A number of any size the language allows. Whole numbers that fit 64 bits are kept as such.
#[derive(Clone, Debug)]
pub struct Number(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Int(i64),
    Float(f64),
}

/// Why a text is no number, or an operation has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not a decimal number.
    #[error("`{0}` is no number")]
    Syntax(String),
    /// Division (or remainder) by zero.
    #[error("division by zero")]
    DivisionByZero,
}

impl Number {
    /// The number as a whole 64-bit one, where it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Int(n) => Some(n),
            Repr::Float(_) => None,
        }
    }

    /// The nearest double.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
    pub fn as_f64(&self) -> f64 {
        match self.0 {
            Repr::Int(n) => n as f64,
            Repr::Float(f) => f,
        }
    }
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self(Repr::Int(n))
    }
}

impl FromStr for Number {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, NumberError> {
        if let Ok(n) = text.parse::<i64>() {
            return Ok(Self(Repr::Int(n)));
        }
        match text.parse::<f64>() {
            Ok(f) if f.is_finite() => Ok(Self(Repr::Float(f))),
            _ => Err(NumberError::Syntax(text.to_owned())),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Repr::Int(n) => write!(f, "{n}"),
            Repr::Float(x) => write!(f, "{x}"),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Number {}
impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Number {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (&self.0, &other.0) {
            (Repr::Int(a), Repr::Int(b)) => a.cmp(b),
            _ => self.as_f64().total_cmp(&other.as_f64()),
        }
    }
}
