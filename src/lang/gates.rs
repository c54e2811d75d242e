//! The gates of an environment: what a release must have behind it, and when it may come.
//!
//! They are declared in `environment` blocks, and never part of a release (rule 26).

use jiff::{Timestamp, civil};
use std::time::Duration;

/// What an `environment` block says of whatever is promoted there.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Gates {
    /// How long a release must have been verified and running in each environment of `after`.
    pub soak: Duration,
    /// Who must agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRule>,
    /// When it may be applied: inside any of them; always where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// When it may not be applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
    /// Who may pass windows, freezes and approvals in an emergency: patterns of ARNs, or persons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<String>,
    /// What a failed verification does to earlier phases.
    pub on_failed_verification: AfterFailure,
    /// Whether `promote --auto` may move releases here.
    pub auto_promotion: bool,
}

/// What happens to earlier phases when a release's verification fails (rule 34).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterFailure {
    /// They stay as they are.
    #[default]
    Halt,
    /// The environment goes back to its last verified release.
    Rollback,
}

/// How many must agree to a plan, and who.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApprovalRule {
    /// How many distinct persons.
    pub count: u32,
    /// How long an approval counts; for ever where `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub valid_for: Option<Duration>,
    /// Whether the author of the release or of the plan counts.
    pub own: bool,
    /// Who may approve: patterns of ARNs with `*` and `?`, or persons; anybody where empty.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub approvers: Vec<String>,
}

/// A time of the week.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Window {
    /// Days on which it begins, by number: Monday is 1; all where empty.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub days: Vec<i8>,
    /// The minute of the day at which it begins.
    pub from: u16,
    /// The minute at which it ends, up to 1440; at or before `from` it is one of the next day.
    pub until: u16,
    /// An IANA time zone.
    pub timezone: String,
}

/// A time in which nothing is promoted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Freeze {
    /// Its label.
    pub name: String,
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// The days of the week as they are written, Monday first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Minutes of a whole day.
const DAY: u16 = 24 * 60;

impl Window {
    /// The hours of a window as minutes of the day; `None` where they are not written like `09:00-16:00`.
    #[must_use]
    pub fn hours(text: &str) -> Option<(u16, u16)> {
        let (from, until) = text.split_once('-')?;
        let (from, until) = (minute(from.trim())?, minute(until.trim())?);
        (from < DAY).then_some((from, until))
    }

    /// As it is said to people: `mon, tue 09:00-16:00 Europe/Berlin`.
    #[must_use]
    pub fn spoken(&self) -> String {
        let days: Vec<&str> =
            self.days.iter().filter_map(|d| DAYS.get(usize::try_from(d - 1).ok()?).copied()).collect();
        let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        format!("{days} {}-{} {}", clock(self.from), clock(self.until), self.timezone)
    }
}

/// `09:30` as a minute of the day; `24:00` is its end.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |t: &str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY).then_some(all)
}

/// A moment that is written as RFC 3339, or as a date, which means its beginning in a time zone.
#[must_use]
pub fn moment(text: &str, timezone: &jiff::tz::TimeZone) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let date: civil::Date = text.parse().ok()?;
    Some(date.to_zoned(timezone.clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_two_clock_times() {
        assert_eq!(Window::hours("09:00-16:30"), Some((540, 990)));
        assert_eq!(Window::hours("22:00 - 06:00"), Some((1320, 360)));
        assert_eq!(Window::hours("00:00-24:00"), Some((0, 1440)));
        for wrong in ["9:00-16:00", "09:00", "09:60-10:00", "24:00-25:00", "24:00-01:00", "", "-", "ab:cd-ef:gh"] {
            assert_eq!(Window::hours(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_date_means_its_beginning_where_it_is_said() {
        let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(moment("2026-12-20", &berlin).unwrap().to_string(), "2026-12-19T23:00:00Z");
        assert_eq!(moment("2026-12-20T08:00:00Z", &berlin).unwrap().to_string(), "2026-12-20T08:00:00Z");
        assert_eq!(moment("christmas", &berlin), None);
    }
}
