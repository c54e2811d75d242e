//! What numbers must be: bounds, a comparison with the old colour, and rules for what is no number. Pure; who has the numbers
//! asks. The rules for what is empty or not a number are asked for by Argo Rollouts' users, whose conditions leave them open.

use super::{Measurement, text};
use crate::base::{Finding, Value};

/// One number of a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// `{code="500"}`; empty where it has no labels.
    pub(super) labels: String,
    pub(super) value: f64,
    /// As the server wrote it.
    pub(super) written: String,
}

/// What a result must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    min: Option<f64>,
    max: Option<f64>,
    fail_below: Option<f64>,
    fail_above: Option<f64>,
    max_ratio: Option<f64>,
    max_increase: Option<f64>,
    empty: Finding,
    nan: Finding,
}

/// How bad a finding is: of several numbers the worst is told.
const fn weight(finding: Finding) -> u8 {
    match finding {
        Finding::Passed => 0,
        Finding::Inconclusive => 1,
        Finding::Error => 2,
        Finding::Failed => 3,
    }
}

impl Bounds {
    /// The bounds of a probe.
    ///
    /// # Errors
    /// Bounds that contradict each other, in words.
    pub(super) fn of(body: &Value) -> Result<Self, String> {
        let number = |name: &str| body.get(name).and_then(Value::to_json).and_then(|n| n.as_f64());
        let rule = |name: &str| match text(body, name).as_deref() {
            Some("pass") => Finding::Passed,
            Some("inconclusive") => Finding::Inconclusive,
            Some("error") => Finding::Error,
            _ => Finding::Failed,
        };
        let bounds = Self {
            min: number("min"),
            max: number("max"),
            fail_below: number("fail_below"),
            fail_above: number("fail_above"),
            max_ratio: number("max_ratio"),
            max_increase: number("max_increase"),
            empty: rule("empty"),
            nan: rule("nan"),
        };
        let beyond = |low: Option<f64>, high: Option<f64>| low.zip(high).is_some_and(|(low, high)| low > high);
        for (low, high, what) in [
            (bounds.min, bounds.max, "`min` is more than `max`"),
            (bounds.max, bounds.fail_above, "`fail_above` is less than `max`"),
            (bounds.fail_below, bounds.min, "`fail_below` is more than `min`"),
        ] {
            if beyond(low, high) {
                return Err(format!("{what}: nothing could pass, or fail, as it is meant"));
            }
        }
        if bounds.max_ratio.is_some_and(|ratio| ratio < 0.0) {
            return Err("`max_ratio` is less than zero: nothing could pass".to_owned());
        }
        Ok(bounds)
    }

    /// True where the old colour has to be asked, too.
    pub(super) const fn compares(&self) -> bool {
        self.max_ratio.is_some() || self.max_increase.is_some()
    }

    /// What the numbers say: each must pass. `old` are those of the old colour, where there is one.
    ///
    /// # Errors
    /// Several numbers where two are to be compared, in words.
    pub(super) fn judge(&self, new: &[Sample], old: Option<&[Sample]>) -> Result<Measurement, String> {
        let mut told = self.alone(new);
        if !self.compares() || told.finding == Finding::Failed || told.finding == Finding::Error {
            return Ok(told);
        }
        let Some(old) = old else {
            told.said.push_str("; nothing is there to compare it with");
            return Ok(told);
        };
        let [own] = new else {
            return if new.is_empty() { Ok(told) } else { Err(one_number("the result", new.len())) };
        };
        if own.value.is_nan() {
            return Ok(told);
        }
        let (finding, said) = match old {
            [] => (self.empty, "the old colour has no result".to_owned()),
            [other] if !other.value.is_finite() => {
                (self.nan, format!("the old colour's {} is no number", other.written))
            }
            [other] => self.beside(own.value, other),
            many => return Err(one_number("the old colour's result", many.len())),
        };
        if weight(finding) > weight(told.finding) {
            told.finding = finding;
        }
        told.said = format!("{}; {said}", told.said);
        Ok(told)
    }

    /// What they say by themselves.
    fn alone(&self, samples: &[Sample]) -> Measurement {
        let Some(first) = samples.first() else {
            let said = "the query has no result".to_owned();
            return Measurement { finding: self.empty, said, value: None };
        };
        let judged = samples.iter().map(|sample| (sample, self.against(sample.value)));
        let worst = judged.fold((first, (Finding::Passed, String::new())), |worst, next| {
            if weight(next.1.0) > weight(worst.1.0) { next } else { worst }
        });
        let (shown, (finding, why)) = worst;
        let of = if samples.len() > 1 { format!(" (one of {} series)", samples.len()) } else { String::new() };
        let space = if shown.labels.is_empty() { "" } else { " " };
        let found = format!("{}{space}{}{of}", shown.written, shown.labels);
        let said = if why.is_empty() { found } else { format!("{found} is {why}") };
        Measurement { finding, said, value: Some(shown.written.clone()) }
    }

    /// What one number says, and in what it is wrong.
    fn against(&self, value: f64) -> (Finding, String) {
        if value.is_nan() {
            let why = if self.nan == Finding::Passed { String::new() } else { "not a number".to_owned() };
            return (self.nan, why);
        }
        if let Some(bound) = self.fail_below.or(self.min).filter(|bound| value < *bound) {
            return (Finding::Failed, format!("less than {bound}"));
        }
        if let Some(bound) = self.fail_above.or(self.max).filter(|bound| value > *bound) {
            return (Finding::Failed, format!("more than {bound}"));
        }
        let between =
            |low: f64, high: f64| (Finding::Inconclusive, format!("between {low} and {high}, which tells nothing"));
        if let Some((low, min)) = self.fail_below.zip(self.min).filter(|(_, min)| value < *min) {
            return between(low, min);
        }
        if let Some((max, high)) = self.max.zip(self.fail_above).filter(|(max, _)| value > *max) {
            return between(max, high);
        }
        (Finding::Passed, String::new())
    }

    /// What a number says beside a finite one of the old colour.
    fn beside(&self, new: f64, old: &Sample) -> (Finding, String) {
        let (mut finding, mut said) = (Finding::Passed, format!("the old colour has {}", old.written));
        if let Some(most) = self.max_ratio {
            let (found, why) = ratio(new, old.value, most);
            said = format!("{said}, {why}");
            finding = found;
        }
        if let Some(most) = self.max_increase {
            let increase = new - old.value;
            if increase > most {
                said = format!("{said}, {increase:.3} less than this, and {most} is allowed");
                finding = Finding::Failed;
            }
        }
        (finding, said)
    }
}

/// How many times the old one the new one is. Where the old one is zero only zero is not more; between numbers below zero
/// there is no such thing.
fn ratio(new: f64, old: f64, most: f64) -> (Finding, String) {
    if new < 0.0 || old < 0.0 {
        return (Finding::Inconclusive, "and a number below zero is no multiple of another".to_owned());
    }
    if old == 0.0 {
        return if new == 0.0 {
            (Finding::Passed, "as the new one".to_owned())
        } else {
            (Finding::Failed, format!("and anything is more than {most} times that"))
        };
    }
    let times = new / old;
    let over = if times > most { format!(", more than {most}") } else { String::new() };
    (Finding::passed_if(times <= most), format!("of which it is {times:.2} times as much{over}"))
}

fn one_number(what: &str, found: usize) -> String {
    format!("{what} has {found} series, and one number is needed to compare: sum them up")
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
