//! Numbers of the language. Terraform's are 512-bit binary floats, so that `0.1 + 0.2` is `0.3`; these are the same.
//!
//! Whole numbers that fit 64 bits, which is nearly all of them, take a fast path. Knows nothing of values, JSON or
//! functions: they are built on it.

#![expect(clippy::cast_possible_wrap, reason = "counts of bits and digits are far below what 63 bits hold")]

mod text;

use dashu_int::{
    UBig,
    ops::{BitTest, DivRem},
};
use std::{borrow::Cow, cmp::Ordering, sync::Arc};

/// The bits that a literal, and whatever is computed with one, carries.
const PRECISION: u32 = 512;
/// The bits of a number that came from a double.
const DOUBLE_PRECISION: u32 = 53;
/// The largest power of ten that is read; more only burns memory.
const LARGEST_EXPONENT: i64 = 20_000;

/// A number of any size the language allows. Whole numbers that fit 64 bits are kept as such.
#[derive(Clone, Debug)]
pub struct Number(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Int(i64),
    Float(Arc<Float>),
}

/// `±mantissa × 2^exponent` with an odd mantissa, or zero (no mantissa, exponent 0).
#[derive(Clone, Debug)]
struct Float {
    negative: bool,
    mantissa: UBig,
    exponent: i64,
    precision: u32,
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
    /// The result has more digits than any use could ask for.
    #[error("the number is too large or too small")]
    Range,
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
        match &self.0 {
            Repr::Int(n) => *n as f64,
            // The standard library reads decimals to the nearest double.
            Repr::Float(_) => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// The number that a double is; `None` where it is not finite. It prints as the double would.
    #[must_use]
    pub fn from_f64(f: f64) -> Option<Self> {
        if !f.is_finite() {
            return None;
        }
        if f.abs() >= 9_007_199_254_740_992.0 {
            // Whole beyond what a double tells apart: the digits it prints are the ones meant.
            return f.to_string().parse().ok();
        }
        let bits = f.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let biased = i64::try_from((bits >> 52) & 0x7ff).ok()?;
        let (mantissa, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
        Some(Float::new(f < 0.0, mantissa.into(), exponent, DOUBLE_PRECISION).into_number())
    }

    /// How many there are of something.
    #[must_use]
    pub fn count(n: usize) -> Self {
        i64::try_from(n).map_or_else(|_| Float::new(false, n.into(), 0, PRECISION).into_number(), Self::from)
    }

    /// True where it has no fraction.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match &self.0 {
            Repr::Int(_) => true,
            Repr::Float(f) => f.exponent >= 0,
        }
    }

    /// Below zero, zero, or above.
    #[must_use]
    pub fn sign(&self) -> Ordering {
        match &self.0 {
            Repr::Int(n) => n.cmp(&0),
            Repr::Float(f) if f.negative => Ordering::Less,
            Repr::Float(_) => Ordering::Greater,
        }
    }

    /// The sum.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let Some(sum) = a.checked_add(*b)
        {
            return sum.into();
        }
        self.float().add(&other.float()).into_number()
    }

    /// The difference.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    /// The product.
    ///
    /// # Errors
    /// Where it has more digits than any use could ask for.
    pub fn mul(&self, other: &Self) -> Result<Self, NumberError> {
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let Some(product) = a.checked_mul(*b)
        {
            return Ok(product.into());
        }
        let (a, b) = (self.float(), other.float());
        let precision = a.precision.max(b.precision);
        let mantissa = &a.mantissa * &b.mantissa;
        Float::new(a.negative != b.negative, mantissa, a.exponent + b.exponent, precision).checked()
    }

    /// The quotient.
    ///
    /// # Errors
    /// Where the divisor is zero, or the result out of all range.
    pub fn div(&self, other: &Self) -> Result<Self, NumberError> {
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let (Some(0), Some(quotient)) = (a.checked_rem(*b), a.checked_div(*b))
        {
            return Ok(quotient.into());
        }
        if other.sign().is_eq() {
            return Err(NumberError::DivisionByZero);
        }
        let (a, b) = (self.float(), other.float());
        let precision = a.precision.max(b.precision);
        // Enough bits that the quotient has the precision and two more, the last of which stands for all that follow.
        let shift = (precision as usize + 2 + b.mantissa.bit_len()).saturating_sub(a.mantissa.bit_len());
        let (mut quotient, rest) = (&a.mantissa << shift).div_rem(&b.mantissa);
        quotient <<= 1;
        if !rest.is_zero() {
            quotient += 1u8;
        }
        let exponent = a.exponent - b.exponent - shift as i64 - 1;
        Float::new(a.negative != b.negative, quotient, exponent, precision).checked()
    }

    /// What is left by division, with the sign of the dividend.
    ///
    /// # Errors
    /// As [`Number::div`].
    pub fn rem(&self, other: &Self) -> Result<Self, NumberError> {
        if other.sign().is_eq() {
            return Err(NumberError::DivisionByZero);
        }
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0) {
            return Ok(a.wrapping_rem(*b).into());
        }
        Ok(self.sub(&self.div(other)?.trunc().mul(other)?))
    }

    /// The number with its sign turned.
    #[must_use]
    pub fn neg(&self) -> Self {
        match &self.0 {
            Repr::Int(n) if *n != i64::MIN => (-n).into(),
            _ => {
                let mut f = self.float().into_owned();
                f.negative = !f.negative && !f.mantissa.is_zero();
                f.into_number()
            }
        }
    }

    /// The number without its sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.sign().is_lt() { self.neg() } else { self.clone() }
    }

    /// The number without its fraction.
    #[must_use]
    pub fn trunc(&self) -> Self {
        match &self.0 {
            Repr::Float(f) if f.exponent < 0 => {
                let whole = &f.mantissa >> usize::try_from(-f.exponent).unwrap_or(usize::MAX);
                Float::new(f.negative, whole, 0, f.precision).into_number()
            }
            _ => self.clone(),
        }
    }

    /// The largest whole number that is not above it.
    #[must_use]
    pub fn floor(&self) -> Self {
        if self.sign().is_lt() && !self.is_whole() { self.trunc().sub(&1.into()) } else { self.trunc() }
    }

    /// The smallest whole number that is not below it.
    #[must_use]
    pub fn ceil(&self) -> Self {
        self.neg().floor().neg()
    }

    /// The power, computed in doubles as Terraform does; `None` where it is not finite.
    #[must_use]
    pub fn pow(&self, exponent: &Self) -> Option<Self> {
        Self::from_f64(self.as_f64().powf(exponent.as_f64()))
    }

    /// The logarithm to a base, computed in doubles as Terraform does; `None` where it is not finite.
    #[must_use]
    pub fn log(&self, base: &Self) -> Option<Self> {
        Self::from_f64(self.as_f64().ln() / base.as_f64().ln())
    }

    fn float(&self) -> Cow<'_, Float> {
        match &self.0 {
            Repr::Int(n) => Cow::Owned(Float::new(*n < 0, n.unsigned_abs().into(), 0, PRECISION)),
            Repr::Float(f) => Cow::Borrowed(f),
        }
    }
}

impl Float {
    /// Rounds to the precision, ties to even, and drops zeros at the end.
    fn new(negative: bool, mut mantissa: UBig, mut exponent: i64, precision: u32) -> Self {
        let excess = mantissa.bit_len().saturating_sub(precision as usize);
        if excess > 0 {
            let half = mantissa.bit(excess - 1);
            let below = mantissa.trailing_zeros().is_some_and(|zeros| zeros < excess - 1);
            mantissa >>= excess;
            if half && (below || mantissa.bit(0)) {
                mantissa += 1u8;
            }
            exponent += excess as i64;
        }
        match mantissa.trailing_zeros() {
            Some(zeros) => {
                mantissa >>= zeros;
                exponent += zeros as i64;
            }
            None => exponent = 0,
        }
        Self { negative: negative && !mantissa.is_zero(), mantissa, exponent, precision }
    }

    fn into_number(self) -> Number {
        if (0..64).contains(&self.exponent) && self.mantissa.bit_len() as i64 + self.exponent <= 64 {
            let magnitude = u64::try_from(&self.mantissa << usize::try_from(self.exponent).unwrap_or(0));
            let whole = magnitude.ok().map(i128::from).map(|m| if self.negative { -m } else { m });
            if let Some(n) = whole.and_then(|n| i64::try_from(n).ok()) {
                return n.into();
            }
        }
        Number(Repr::Float(Arc::new(self)))
    }

    fn checked(self) -> Result<Number, NumberError> {
        // A power of ten takes between three and four bits.
        if self.exponent.abs() > LARGEST_EXPONENT * 4 {
            return Err(NumberError::Range);
        }
        Ok(self.into_number())
    }

    fn add(&self, other: &Self) -> Self {
        let precision = self.precision.max(other.precision);
        let low = self.exponent.min(other.exponent);
        let lift = |f: &Self| &f.mantissa << usize::try_from(f.exponent - low).unwrap_or(0);
        let (a, b) = (lift(self), lift(other));
        let (negative, mantissa) = if self.negative == other.negative {
            (self.negative, a + b)
        } else if a >= b {
            (self.negative, a - b)
        } else {
            (other.negative, b - a)
        };
        Self::new(negative, mantissa, low, precision)
    }
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self(Repr::Int(n))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Number {}
impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0) {
            return a.cmp(b);
        }
        self.sign().cmp(&other.sign()).then_with(|| {
            let (a, b) = (self.float(), other.float());
            let top = |f: &Float| f.mantissa.bit_len() as i64 + f.exponent;
            let magnitude = top(&a).cmp(&top(&b)).then_with(|| {
                // Same top bit, so the shift is at most the longer mantissa.
                let low = a.exponent.min(b.exponent);
                let lift = |f: &Float| &f.mantissa << usize::try_from(f.exponent - low).unwrap_or(0);
                lift(&a).cmp(&lift(&b))
            });
            if a.negative { magnitude.reverse() } else { magnitude }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn sums_of_decimals_print_as_terraform_prints_them() {
        assert_eq!(number("0.1").add(&number("0.2")).to_string(), "0.3");
        assert_eq!(number("0.1").mul(&number("3")).unwrap().to_string(), "0.3");
        assert_eq!(number("0.1").add(&number("0.2")), number("0.3"));
        let third = number("1").div(&number("3")).unwrap().to_string();
        assert_eq!(third, format!("0.{}5", "3".repeat(154)));
        let expected = "-0.20000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
                        000000000000000000000000000000000000000000000000000000000000002";
        assert_eq!(number("0.1").sub(&number("0.3")).to_string(), expected);
        let expected = "14.2857142857142857142857142857142857142857142857142857142857142857142857142857142857142857142\
                        85714285714285714285714285714285714285714285714285714285714286";
        assert_eq!(number("100").div(&number("7")).unwrap().to_string(), expected);
    }

    #[test]
    fn large_and_small_numbers_print_without_exponent() {
        assert_eq!(number("1e50").to_string(), format!("1{}", "0".repeat(50)));
        assert_eq!(number("2.5e-10").to_string(), "0.00000000025");
        assert_eq!(number("1e100").add(&1.into()).to_string(), format!("1{}1", "0".repeat(99)));
        assert_eq!(number("9223372036854775807").add(&1.into()).to_string(), "9223372036854775808");
        assert_eq!(number("-9223372036854775808").as_i64(), Some(i64::MIN));
        assert_eq!(number("-9223372036854775808").neg().to_string(), "9223372036854775808");
    }

    #[test]
    fn remainders_take_the_sign_of_the_dividend() {
        let rem = |a: &str, b: &str| number(a).rem(&number(b)).unwrap().to_string();
        assert_eq!((rem("-5", "3"), rem("5", "-3"), rem("5.5", "2")), ("-2".into(), "2".into(), "1.5".into()));
        assert_eq!(number("1").rem(&0.into()), Err(NumberError::DivisionByZero));
        assert_eq!(number("1.5").div(&0.into()), Err(NumberError::DivisionByZero));
    }

    #[test]
    fn floors_and_ceilings_keep_to_their_side_of_zero() {
        assert_eq!(number("-2.5").floor(), number("-3"));
        assert_eq!(number("-2.5").ceil(), number("-2"));
        assert_eq!(number("2.1").ceil(), number("3"));
        assert_eq!(number("7").floor(), number("7"));
    }

    #[test]
    fn doubles_print_as_doubles() {
        assert_eq!(number("50").log(&10.into()).unwrap().to_string(), "1.6989700043360185");
        assert_eq!(number("2").pow(&number("0.5")).unwrap().to_string(), "1.4142135623730951");
        assert_eq!(number("0").log(&10.into()), None);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in ["", "-", ".", "1e", "0x10", "1_000", " 1", "inf", "NaN", "1e999999999", "--1", "1.2.3"] {
            assert!(bad.parse::<Number>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_number_reads_back_equal(mantissa: i64, power in -300i64..300, divisor in 1i64..1_000_000) {
            let n = number(&format!("{mantissa}e{power}")).div(&divisor.into()).unwrap();
            prop_assert_eq!(number(&n.to_string()), n);
        }

        #[test]
        fn doubles_print_in_as_few_digits_as_they_can(f in proptest::num::f64::NORMAL) {
            let n = Number::from_f64(f).unwrap();
            prop_assert_eq!(n.to_string().len(), format!("{f}").len());
            prop_assert_eq!(n.as_f64().to_bits(), f.to_bits());
        }

        #[test]
        fn order_is_the_order_of_doubles(a in -1e6f64..1e6, b in -1e6f64..1e6) {
            let (x, y) = (Number::from_f64(a).unwrap(), Number::from_f64(b).unwrap());
            prop_assert_eq!(x.cmp(&y), a.partial_cmp(&b).unwrap());
        }
    }
}
