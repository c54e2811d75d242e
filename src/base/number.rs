//! Numbers of the language. Terraform's are 512-bit binary floats, so that `0.1 + 0.2` is `0.3`; these are the same.
//!
//! Whole numbers that fit 64 bits, which is nearly all of them, take a fast path. Knows nothing of values, JSON or
//! functions: they are built on it.

#![expect(clippy::cast_possible_wrap, reason = "counts of bits and digits are far below what 63 bits hold")]

use dashu_int::{
    UBig,
    ops::{BitTest, DivRem},
};
use std::{borrow::Cow, cmp::Ordering, fmt, str::FromStr, sync::Arc};

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

    /// The number with so many decimal places, rounded half to even.
    #[must_use]
    pub fn to_fixed(&self, places: usize) -> String {
        let (negative, digits, point) = self.rounded(|point| point + places as i64);
        let whole = usize::try_from(point).unwrap_or(0);
        let mut text = String::from(if negative { "-" } else { "" });
        let digit = |at: i64| usize::try_from(at).ok().and_then(|at| digits.get(at)).map_or('0', |d| char::from(*d));
        if whole == 0 {
            text.push('0');
        }
        text.extend((0..whole).map(|at| digit(at as i64)));
        if places > 0 {
            text.push('.');
            text.extend((0..places).map(|at| digit(at as i64 + point)));
        }
        text
    }

    /// The number as one digit, so many places, and a power of ten: `1.5e+03`. `None` for as many places as it needs.
    #[must_use]
    pub fn to_scientific(&self, places: Option<usize>) -> String {
        let (negative, digits, point) = if let Some(places) = places {
            self.rounded(|_| places as i64 + 1)
        } else {
            let float = self.float();
            let (digits, point) = float.shortest();
            (float.negative, digits, point)
        };
        let exponent = if digits.is_empty() { 0 } else { point - 1 };
        let digit = |at: usize| digits.get(at).map_or('0', |d| char::from(*d));
        let mut text = String::from(if negative { "-" } else { "" });
        text.push(digit(0));
        let places = places.unwrap_or_else(|| digits.len().saturating_sub(1));
        if places > 0 {
            text.push('.');
            text.extend((1..=places).map(digit));
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{text}e{sign}{:02}", exponent.unsigned_abs())
    }

    /// The power of ten of its first digit: 0 for 5, 3 for 1234, -2 for 0.05.
    #[must_use]
    pub fn magnitude(&self) -> i64 {
        let float = self.float();
        if float.mantissa.is_zero() { 0 } else { float.shortest().1 - 1 }
    }

    /// A whole number in a base from 2 to 36; its fraction is dropped.
    #[must_use]
    pub fn to_radix(&self, radix: u8) -> String {
        let number = self.trunc();
        let float = number.float();
        let whole = &float.mantissa << usize::try_from(float.exponent).unwrap_or(0);
        format!("{}{}", if float.negative { "-" } else { "" }, whole.in_radix(radix))
    }

    /// Its digits, rounded half to even to as many as `keep` says of where the point stands.
    fn rounded(&self, keep: impl FnOnce(i64) -> i64) -> (bool, Vec<u8>, i64) {
        let float = self.float();
        let (mut digits, mut point) = Float::decimal(&float.mantissa, float.exponent);
        if float.mantissa.is_zero() {
            return (false, Vec::new(), 0);
        }
        let Ok(keep) = usize::try_from(keep(point)) else { return (float.negative, Vec::new(), 0) };
        if keep < digits.len() {
            let half = digits[keep] == b'5' && keep + 1 == digits.len();
            let odd = keep > 0 && digits[keep - 1] % 2 == 1;
            let up = if half { odd } else { digits[keep] >= b'5' };
            digits.truncate(keep);
            if up {
                (digits, point) = Float::carried(digits, point);
            }
        }
        (float.negative, digits, point)
    }

    /// Whole numbers of any size in a base from 2 to 62, as `parseint` reads them. Up to 36 the case of letters does not
    /// matter; beyond, the small ones come first.
    ///
    /// # Errors
    /// Where a character is no digit in that base.
    pub fn parse_radix(text: &str, radix: u32) -> Result<Self, NumberError> {
        let fail = || NumberError::Syntax(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if digits.is_empty() || digits.len() as i64 > LARGEST_EXPONENT {
            return Err(fail());
        }
        let mut whole = UBig::from(0u8);
        for c in digits.chars() {
            let digit = match c {
                'A'..='Z' if radix > 36 => u32::from(c) - u32::from('A') + 36,
                c => c.to_digit(36).ok_or_else(fail)?,
            };
            if digit >= radix {
                return Err(fail());
            }
            whole = whole * radix + digit;
        }
        let precision = PRECISION.max(u32::try_from(whole.bit_len()).unwrap_or(u32::MAX));
        Ok(Float::new(negative, whole, 0, precision).into_number())
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

    /// The digits of `mantissa × 2^exponent` without zeros at the end, and where the point stands behind the first.
    fn decimal(mantissa: &UBig, exponent: i64) -> (Vec<u8>, i64) {
        let magnitude = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
        let (digits, scale) = if exponent >= 0 {
            ((mantissa << magnitude).to_string(), 0)
        } else {
            // m / 2^k = m * 5^k / 10^k
            ((mantissa * UBig::from(5u8).pow(magnitude)).to_string(), exponent)
        };
        let point = digits.len() as i64 + scale;
        let mut digits = digits.into_bytes();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        (digits, point)
    }

    /// The shortest digits that read back as this very number at its precision, and where the point stands. Follows
    /// `roundShortest` of Go's `math/big`, so that texts are Terraform's to the last digit.
    fn shortest(&self) -> (Vec<u8>, i64) {
        let (mut digits, point) = Self::decimal(&self.mantissa, self.exponent);
        if self.mantissa.is_zero() {
            return (digits, point);
        }
        let bits = self.mantissa.bit_len();
        let widen = (self.precision as usize + 1).saturating_sub(bits);
        let middle = &self.mantissa << widen;
        let exponent = self.exponent - widen as i64;
        let (lower, _) = Self::decimal(&(&middle - 1u8), exponent);
        let (upper, _) = Self::decimal(&(&middle + 1u8), exponent);
        let inclusive = !middle.bit(1);
        for at in 0..digits.len() {
            let digit = digits[at];
            let low = lower.get(at).copied().unwrap_or(b'0');
            let high = upper.get(at).copied().unwrap_or(b'0');
            let down = low != digit || inclusive && at + 1 == lower.len();
            let up = digit != high && (inclusive || digit + 1 < high || at + 1 < upper.len());
            if down || up {
                let next = digits.get(at + 1).copied().unwrap_or(b'0');
                let exact_half = next == b'5' && at + 2 == digits.len();
                let nearest_is_up = if exact_half { digit % 2 == 1 } else { next >= b'5' };
                digits.truncate(at + 1);
                if up && (!down || nearest_is_up) {
                    return Self::carried(digits, point);
                }
                while digits.last() == Some(&b'0') {
                    digits.pop();
                }
                return (digits, point);
            }
        }
        (digits, point)
    }

    fn carried(mut digits: Vec<u8>, point: i64) -> (Vec<u8>, i64) {
        while digits.last() == Some(&b'9') {
            digits.pop();
        }
        match digits.last_mut() {
            Some(last) => {
                *last += 1;
                (digits, point)
            }
            None => (vec![b'1'], point + 1),
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

    /// Reads a decimal number with an optional fraction and exponent, to the nearest 512-bit float.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        if let Ok(n) = text.parse::<i64>() {
            return Ok(Self(Repr::Int(n)));
        }
        let fail = || NumberError::Syntax(text.to_owned());
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (decimal, power) = match rest.split_once(['e', 'E']) {
            Some((decimal, power)) => (decimal, power.parse::<i64>().map_err(|_| fail())?),
            None => (rest, 0),
        };
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail());
        }
        let power = power.saturating_sub(fraction.len() as i64);
        if power.abs() > LARGEST_EXPONENT || digits.len() as i64 > LARGEST_EXPONENT {
            return Err(NumberError::Range);
        }
        let mantissa = UBig::from_str_radix(&digits, 10).map_err(|_| fail())?;
        let scale = UBig::from(10u8).pow(usize::try_from(power.unsigned_abs()).unwrap_or(0));
        let one_side = |m| Float::new(false, m, 0, u32::MAX).into_number();
        let exact = if power >= 0 {
            Float::new(negative, mantissa * scale, 0, PRECISION).into_number()
        } else {
            // Both sides are exact, so that the quotient is rounded once.
            let (top, bottom) = (one_side(mantissa).float().into_owned(), one_side(scale).float().into_owned());
            let at = |f: Float| Self(Repr::Float(Arc::new(Float { precision: PRECISION, ..f })));
            let quotient = at(top).div(&at(bottom))?;
            if negative { quotient.neg() } else { quotient }
        };
        Ok(exact)
    }
}

/// The shortest decimal that reads back, without exponent: `0.3`, `100000`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let float = match &self.0 {
            Repr::Int(n) => return write!(f, "{n}"),
            Repr::Float(float) => float,
        };
        let (digits, point) = float.shortest();
        let text = String::from_utf8_lossy(&digits);
        if float.negative {
            f.write_str("-")?;
        }
        match usize::try_from(point) {
            Ok(point) if point >= digits.len() => write!(f, "{text}{}", "0".repeat(point - digits.len())),
            Ok(point) if point > 0 => write!(f, "{}.{}", &text[..point], &text[point..]),
            _ => write!(f, "0.{}{text}", "0".repeat(usize::try_from(-point).unwrap_or(0))),
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
