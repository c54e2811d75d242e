//! Time. The only clock is the plan's time, so that a plan is the same whenever it is computed again.

use super::{Answer, Context, Function, Problem, blame, function, string, text};
use crate::base::Value;
use jiff::{
    Timestamp,
    civil::{DateTime, Weekday},
    tz::Offset,
};
use std::fmt::Write as _;

pub(super) const TABLE: &[Function] = &[
    function("formatdate", &[string("format"), string("timestamp")], "the timestamp as the format says", formatdate),
    function("plantimestamp", &[], "the time of the plan", now),
    function("timeadd", &[string("timestamp"), string("duration")], "the timestamp so much later, like 1h30m", timeadd),
    function("timecmp", &[string("a"), string("b")], "-1, 0 or 1, as the first is earlier, the same or later", timecmp),
    function("timestamp", &[], "the time of the plan", now),
];

/// A timestamp as it was written: local time and offset.
struct Written {
    local: DateTime,
    offset: Offset,
}

impl Written {
    fn read(arguments: &[Value], at: usize) -> Result<Self, Problem> {
        let given = text(arguments, at);
        let refuse = || blame(at, format!("{given:?} is no timestamp of RFC 3339, like 2026-01-02T15:04:05Z"));
        // A date, a T, a time with seconds, and a Z or an offset.
        let parts = given.split_once('T').and_then(|(date, rest)| {
            let at = rest.find(['Z', '+', '-'])?;
            Some((date, &rest[..at], &rest[at..]))
        });
        let Some((date, time, zone)) = parts else { return refuse() };
        let offset = match zone.as_bytes() {
            b"Z" => Some(Offset::UTC),
            [sign, h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|d| d.is_ascii_digit()) => {
                let two = |a: &u8, b: &u8| i32::from(a - b'0') * 10 + i32::from(b - b'0');
                let seconds = two(h1, h2) * 3600 + two(m1, m2) * 60;
                Offset::from_seconds(if *sign == b'-' { -seconds } else { seconds }).ok()
            }
            _ => None,
        };
        let well_formed =
            date.len() == 10 && time.len() >= 8 && time.as_bytes()[2] == b':' && time.as_bytes()[5] == b':';
        match (well_formed, offset, format!("{date}T{time}").parse::<DateTime>()) {
            (true, Some(offset), Ok(local)) => Ok(Self { local, offset }),
            _ => refuse(),
        }
    }

    fn instant(&self) -> Result<Timestamp, Problem> {
        self.offset.to_timestamp(self.local).or_else(|_| blame(0, "the timestamp is out of range"))
    }

    fn text(&self) -> String {
        format!("{}{}", self.local.strftime("%Y-%m-%dT%H:%M:%S"), zone(self.offset, true, Some("Z")))
    }
}

fn zone(offset: Offset, colon: bool, utc: Option<&str>) -> String {
    let seconds = offset.seconds();
    if let (0, Some(utc)) = (seconds, utc) {
        return utc.to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}{}{:02}", minutes / 60, if colon { ":" } else { "" }, minutes % 60)
}

fn now(_: &[Value], context: &Context<'_>) -> Answer {
    Ok(context.plan_time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into())
}

fn timecmp(arguments: &[Value], _: &Context<'_>) -> Answer {
    let (a, b) = (Written::read(arguments, 0)?.instant()?, Written::read(arguments, 1)?.instant()?);
    Ok((a.cmp(&b) as i64).into())
}

fn timeadd(arguments: &[Value], _: &Context<'_>) -> Answer {
    let written = Written::read(arguments, 0)?;
    let nanoseconds = duration(text(arguments, 1))?;
    let instant = i64::try_from(nanoseconds)
        .ok()
        .and_then(|n| written.instant().ok()?.checked_add(jiff::SignedDuration::from_nanos(n)).ok());
    match instant {
        Some(instant) => {
            let local = written.offset.to_datetime(instant);
            Ok(Written { local, offset: written.offset }.text().into())
        }
        None => blame(1, "the result is out of range"),
    }
}

/// A duration as Go writes it: `-1h30m`, `1.5h`, `300ms`.
fn duration(given: &str) -> Result<i128, Problem> {
    let refuse = || blame(1, format!("{given:?} is no duration; units are h, m, s, ms, us and ns, as in 1h30m"));
    let (negative, mut rest) = match given.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, given.strip_prefix('+').unwrap_or(given)),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return refuse();
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |n| digits + n);
        let scale: i128 = match &rest[digits..unit_end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return refuse(),
        };
        let (whole, fraction) = rest[..digits].split_once('.').unwrap_or((&rest[..digits], ""));
        if whole.is_empty() && fraction.is_empty() || whole.len() > 12 || fraction.len() > 12 {
            return refuse();
        }
        let read = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<i128>() };
        let (Ok(whole), Ok(part)) = (read(whole), read(fraction)) else { return refuse() };
        total += whole * scale + part * scale / 10i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        rest = &rest[unit_end..];
    }
    Ok(if negative { -total } else { total })
}

fn formatdate(arguments: &[Value], _: &Context<'_>) -> Answer {
    let written = Written::read(arguments, 1)?;
    let format: Vec<char> = text(arguments, 0).chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < format.len() {
        let c = format[at];
        if c == '\'' {
            at = quoted(&format, at, &mut out)?;
            continue;
        }
        if !c.is_ascii_alphabetic() {
            out.push(c);
            at += 1;
            continue;
        }
        let run = format[at..].iter().take_while(|next| **next == c).count();
        at += run;
        part(&written, c, run, &mut out)?;
    }
    Ok(out.into())
}

/// Text between quotes; two quotes within are one.
fn quoted(format: &[char], start: usize, out: &mut String) -> Result<usize, Problem> {
    let mut at = start + 1;
    loop {
        match (format.get(at), format.get(at + 1)) {
            (Some('\''), Some('\'')) => {
                out.push('\'');
                at += 2;
            }
            (Some('\''), _) => return Ok(at + 1),
            (Some(c), _) => {
                out.push(*c);
                at += 1;
            }
            (None, _) => return blame(0, "a quote in it is not closed"),
        }
    }
}

fn part(written: &Written, letter: char, run: usize, out: &mut String) -> Result<(), Problem> {
    let local = &written.local;
    let twelve = match local.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let noon = local.hour() >= 12;
    let _ = match (letter, run) {
        ('Y', 4) => write!(out, "{:04}", local.year()),
        ('Y', 2) => write!(out, "{:02}", local.year().rem_euclid(100)),
        ('M', 4) => write!(out, "{}", MONTHS[usize::from(local.month().unsigned_abs()) - 1]),
        ('M', 3) => write!(out, "{}", &MONTHS[usize::from(local.month().unsigned_abs()) - 1][..3]),
        ('M', 2) => write!(out, "{:02}", local.month()),
        ('M', 1) => write!(out, "{}", local.month()),
        ('D', 2) => write!(out, "{:02}", local.day()),
        ('D', 1) => write!(out, "{}", local.day()),
        ('E', 4) => write!(out, "{}", day(local.weekday())),
        ('E', 3) => write!(out, "{}", &day(local.weekday())[..3]),
        ('h', 2) => write!(out, "{:02}", local.hour()),
        ('h', 1) => write!(out, "{}", local.hour()),
        ('H', 2) => write!(out, "{twelve:02}"),
        ('H', 1) => write!(out, "{twelve}"),
        ('A', 2) => write!(out, "{}", if noon { "PM" } else { "AM" }),
        ('a', 2) => write!(out, "{}", if noon { "pm" } else { "am" }),
        ('m', 2) => write!(out, "{:02}", local.minute()),
        ('m', 1) => write!(out, "{}", local.minute()),
        ('s', 2) => write!(out, "{:02}", local.second()),
        ('s', 1) => write!(out, "{}", local.second()),
        ('Z', 5) => write!(out, "{}", zone(written.offset, true, None)),
        ('Z', 4) => write!(out, "{}", zone(written.offset, false, None)),
        ('Z', 3) => write!(out, "{}", zone(written.offset, false, Some("UTC"))),
        ('Z', 1) => write!(out, "{}", zone(written.offset, true, Some("Z"))),
        _ => {
            let sequence = letter.to_string().repeat(run);
            return blame(
                0,
                format!("`{sequence}` stands for nothing; put it in single quotes where it is meant as text"),
            );
        }
    };
    Ok(())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const fn day(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}
