//! Windows: whether one is open at a moment, and when the next one opens.
//!
//! Clock times are those of the window's own zone, so that an hour that daylight saving takes away or gives twice is
//! what people there see on their clocks.

use crate::lang::gates::Window;
use jiff::{SignedDuration, Timestamp, ToSpan as _, civil, tz::TimeZone};

/// True where no window is declared, or one of them is open.
#[must_use]
pub fn is_open(windows: &[Window], now: Timestamp) -> bool {
    windows.is_empty() || windows.iter().any(|window| inside(window, now))
}

/// The next moment at which one opens; `None` where none does within two weeks.
#[must_use]
pub fn opens(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    windows.iter().filter_map(|window| next(window, now)).min()
}

fn zone(window: &Window) -> TimeZone {
    // Names were checked when the file was read; on a machine that does not know one, UTC is as good as any.
    TimeZone::get(&window.timezone).unwrap_or(TimeZone::UTC)
}

fn inside(window: &Window, now: Timestamp) -> bool {
    let local = now.to_zoned(zone(window));
    let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
    let (from, until) = (i32::from(window.from), i32::from(window.until));
    let today = on(window, local.date());
    let yesterday = local.date().yesterday().is_ok_and(|day| on(window, day));
    if from < until {
        return today && (from..until).contains(&minute);
    }
    (today && minute >= from) || (yesterday && minute < until)
}

fn on(window: &Window, day: civil::Date) -> bool {
    window.days.is_empty() || window.days.contains(&day.weekday().to_monday_one_offset())
}

fn next(window: &Window, now: Timestamp) -> Option<Timestamp> {
    let zone = zone(window);
    let today = now.to_zoned(zone.clone()).date();
    let hour = i8::try_from(window.from / 60).ok()?;
    let minute = i8::try_from(window.from % 60).ok()?;
    (0..15).find_map(|ahead| {
        let day = today.checked_add(ahead.days()).ok()?;
        let opens = day.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?.timestamp();
        (on(window, day) && opens.duration_since(now) > SignedDuration::ZERO).then_some(opens)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[i8], hours: &str, timezone: &str) -> Window {
        let (from, until) = Window::hours(hours).unwrap();
        Window { days: days.to_vec(), from, until, timezone: timezone.to_owned() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_is_open_by_the_clocks_of_its_zone() {
        let office = [window(&[1, 2, 3, 4], "09:00-16:00", "America/New_York")];
        // Monday, 16 November 2026: New York is at UTC-5.
        assert!(is_open(&office, at("2026-11-16T14:00:00Z")));
        assert!(!is_open(&office, at("2026-11-16T13:59:59Z")));
        assert!(!is_open(&office, at("2026-11-16T21:00:00Z")));
        assert!(!is_open(&office, at("2026-11-20T15:00:00Z")), "a Friday");
        // In summer it is at UTC-4.
        assert!(is_open(&office, at("2026-07-06T13:00:00Z")));
        assert!(is_open(&[], at("2026-11-20T15:00:00Z")));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let night = [window(&[5], "22:00-06:00", "UTC")];
        assert!(is_open(&night, at("2026-11-20T23:00:00Z")), "Friday night");
        assert!(is_open(&night, at("2026-11-21T05:59:00Z")), "until Saturday morning");
        assert!(!is_open(&night, at("2026-11-20T05:00:00Z")), "Friday morning is Thursday's");
        assert!(!is_open(&night, at("2026-11-21T22:30:00Z")), "Saturday");
    }

    #[test]
    fn the_next_opening_is_told_and_skips_what_is_not_open() {
        let office = [window(&[1, 2, 3, 4], "09:00-16:00", "America/New_York")];
        assert_eq!(opens(&office, at("2026-11-20T15:00:00Z")), Some(at("2026-11-23T14:00:00Z")));
        assert_eq!(opens(&office, at("2026-11-16T15:00:00Z")), Some(at("2026-11-17T14:00:00Z")));
    }

    #[test]
    fn an_hour_that_does_not_exist_opens_when_the_clock_has_gone_on() {
        let early = [window(&[7], "02:30-04:00", "America/New_York")];
        // On 14 March 2027 clocks go from 02:00 to 03:00.
        assert_eq!(opens(&early, at("2027-03-13T12:00:00Z")), Some(at("2027-03-14T07:30:00Z")));
        assert!(is_open(&early, at("2027-03-14T07:30:00Z")));
    }

    proptest::proptest! {
        #[test]
        fn when_it_opens_it_is_open(day in 1i8..=7, from in 0u16..1440, until in 1u16..=1440, second in 1_700_000_000i64..1_900_000_000) {
            let window = [Window { days: vec![day], from, until, timezone: "Europe/Berlin".into() }];
            let now = Timestamp::from_second(second).unwrap();
            let opens = opens(&window, now).unwrap();
            proptest::prop_assert!(opens > now);
            // A clock that jumps may pass over a whole short window.
            let short = (i32::from(until) - i32::from(from)).rem_euclid(1440) <= 60;
            proptest::prop_assert!(short || is_open(&window, opens));
        }
    }
}
