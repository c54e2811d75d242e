//! Numbers as texts: reading decimals to the nearest float, and the shortest digits that read back.

use super::{Float, LARGEST_EXPONENT, Number, NumberError, PRECISION, Repr};
use dashu_int::{UBig, ops::BitTest as _};
use std::{fmt, str::FromStr, sync::Arc};

impl Number {
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
}

impl Float {
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
