//! Amounts of money: whole cents, so that sums are exact and what is shown adds up.

use std::{fmt, iter::Sum, ops};

/// US dollars, in cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(i64);

/// A price for one of something, in billionths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price(i64);

/// No single thing costs more than so many dollars for one of it.
const MOST: f64 = 1_000_000.0;

impl Price {
    /// A price as it is written; `None` for what is none.
    #[must_use]
    pub fn of(dollars: f64) -> Option<Self> {
        let is_price = dollars.is_finite() && (0.0..=MOST).contains(&dollars);
        #[expect(clippy::cast_possible_truncation, reason = "a million dollars in billionths is within 64 bits")]
        is_price.then(|| Self((dollars * 1e9).round() as i64))
    }

    /// So many of it, to the nearest cent.
    #[must_use]
    pub fn times(self, many: u64) -> Money {
        self.parts(many, 1)
    }

    /// `many` of it, of which `whole` are one: 730 hours of 256 of 1024 parts. To the nearest cent.
    #[must_use]
    pub fn parts(self, many: u64, whole: u64) -> Money {
        let unit = 10_000_000 * i128::from(whole.max(1));
        let cents = (i128::from(self.0) * i128::from(many) + unit / 2) / unit;
        Money(i64::try_from(cents).unwrap_or(i64::MAX))
    }
}

impl Money {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whole cents.
    #[must_use]
    pub const fn cents(cents: i64) -> Self {
        Self(cents)
    }

    /// True for no money at all.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// However much, whichever way it goes.
    #[must_use]
    pub const fn size(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// With a sign in any case: `+$3.00`.
    #[must_use]
    pub fn signed(self) -> String {
        if self.0 > 0 { format!("+{self}") } else { self.to_string() }
    }
}

impl ops::Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl ops::Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::NONE, ops::Add::add)
    }
}

/// `$1,234.50`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.unsigned_abs();
        let digits = (cents / 100).to_string();
        let mut dollars = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                dollars.push(',');
            }
            dollars.push(digit);
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}${dollars}.{:02}", cents % 100)
    }
}

/// `"1234.50"`: a text, so that no reader loses a cent.
impl serde::Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (sign, cents) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        serializer.collect_str(&format_args!("{sign}{}.{:02}", cents / 100, cents % 100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_with_its_cents_and_its_thousands() {
        for (cents, shown) in [(0, "$0.00"), (5, "$0.05"), (123_450, "$1,234.50"), (-100_000_000, "-$1,000,000.00")] {
            assert_eq!(Money::cents(cents).to_string(), shown);
        }
        assert_eq!(Money::cents(300).signed(), "+$3.00");
        assert_eq!(Money::cents(-300).signed(), "-$3.00");
        assert_eq!(serde_json::to_value(Money::cents(-123_405)).unwrap(), "-1234.05");
    }

    #[test]
    fn prices_are_finite_and_not_negative_and_are_rounded_to_cents() {
        assert_eq!(Price::of(0.1504).unwrap().times(730), Money::cents(10_979));
        assert_eq!(Price::of(0.04048).unwrap().parts(256 * 730, 1024), Money::cents(739));
        for bad in [f64::NAN, f64::INFINITY, -0.01, 1e12] {
            assert_eq!(Price::of(bad), None, "{bad}");
        }
    }
}
