//! Durations as plan files write them: `30s`, `5m`, `1h30m`, `7d`, `250ms`.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration; write a whole number with a unit, like \"30s\", \"5m\", \"1h30m\" or \"7d\"")]
pub struct DurationError(String);

/// Reads a duration: one or more of a whole number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// Anything else, a missing unit and an overflow included.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let fail = || DurationError(text.to_owned());
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(fail());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fail)?;
        let count: u64 = rest[..digits].parse().map_err(|_| fail())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let millis = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(fail()),
        };
        rest = &rest[unit_end..];
        let part = Duration::from_millis(count.checked_mul(millis).ok_or_else(fail)?);
        total = total.checked_add(part).ok_or_else(fail)?;
    }
    Ok(total)
}

/// Writes a duration for people: `45s`, `3m 20s`, `1h 5m`, `2d 3h`; tenths below ten seconds.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => join(seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => join(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => join(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

fn join(big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{big}{big_unit}") } else { format!("{big}{big_unit} {small}{small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_units_and_refused_without() {
        assert_eq!(parse_duration("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("7d").unwrap(), Duration::from_secs(7 * 86_400));
        for bad in ["", "5", "m", "5 m", "1.5h", "-1s", "5x", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_written_for_people() {
        let of = |ms| format_duration(Duration::from_millis(ms));
        assert_eq!(of(1234), "1.2s");
        assert_eq!(of(61_000), "1m 1s");
        assert_eq!(of(3_600_000), "1h");
        assert_eq!(of(90_000_000), "1d 1h");
    }
}
