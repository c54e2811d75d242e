//! A value that was set now and then: what it was at any moment.

use jiff::Timestamp;

/// Values by the moments from which they held, oldest first; an empty one is no data.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Series(Vec<(Timestamp, String)>);

/// So many changes are kept.
const KEPT: usize = 1_000;

impl Series {
    /// It is this from now on.
    pub(super) fn set(&mut self, now: Timestamp, value: &str) {
        self.0.retain(|(since, _)| *since < now);
        if self.0.len() >= KEPT {
            self.0.remove(0);
        }
        self.0.push((now, value.to_owned()));
    }

    /// What it was then, `before` it was ever set what is said there; `None` where it had no data.
    pub(super) fn at<'a>(&'a self, moment: Timestamp, before: &'a str) -> Option<&'a str> {
        let value = self.0.iter().rev().find(|(since, _)| *since <= moment).map_or(before, |(_, value)| value.as_str());
        (!value.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_holds_from_when_it_was_set() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut series = Series::default();
        assert_eq!((series.at(at(5), "0"), series.at(at(5), "")), (Some("0"), None));
        series.set(at(10), "0.5");
        series.set(at(20), "");
        series.set(at(20), "");
        series.set(at(30), "1");
        let found: Vec<_> = [9, 10, 19, 20, 29, 30].map(|second| series.at(at(second), "0")).into();
        assert_eq!(found, [Some("0"), Some("0.5"), Some("0.5"), None, None, Some("1")]);
    }
}
