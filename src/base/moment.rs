//! Moments and the time between them, as values: whoever calls brings the moment.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// From one moment to a later one; nothing where it is not later.
#[must_use]
pub fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// So much later than a moment; the last one there is where that would be beyond it.
#[must_use]
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_neither_runs_backwards_nor_over() {
        let (early, late) = (Timestamp::UNIX_EPOCH, later(Timestamp::UNIX_EPOCH, Duration::from_secs(90)));
        assert_eq!(elapsed(early, late), Duration::from_secs(90));
        assert_eq!(elapsed(late, early), Duration::ZERO);
        assert_eq!(later(late, Duration::MAX), Timestamp::MAX);
        assert_eq!(later(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
    }
}
