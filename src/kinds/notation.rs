//! How the API server writes what it is given: what is empty it may leave out, and quantities it writes in its own way. What
//! differs by that alone is no drift.

use crate::{
    base::{Data, Value},
    kinds::{Cause, FieldChange},
};

/// Fields whose empty value says something else than their absence, so that one which is gone was taken away by somebody.
const MEANT: [&str; 7] = [
    "emptyDir",
    "podSelector",
    "namespaceSelector",
    "objectSelector",
    "automountServiceAccountToken",
    "allowPrivilegeEscalation",
    "enableServiceLinks",
];
/// Fields below which strings and numbers are quantities.
const QUANTITIES: [&str; 6] = ["limits", "requests", "capacity", "hard", "sizeLimit", "storage"];

/// True where a field is live as it was given, and only written in another way: nobody has changed it.
pub(super) fn is_only_written_otherwise(field: &FieldChange) -> bool {
    if field.cause != Cause::Drift {
        return false;
    }
    match (&field.before, &field.after) {
        (None, Some(after)) => is_empty(after) && !MEANT.contains(&last(&field.path)),
        (Some(before), Some(after)) => {
            let inside = field.path.split(['.', '[']).any(|step| QUANTITIES.contains(&step));
            inside && amount(before).is_some() && amount(before) == amount(after)
        }
        _ => false,
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// What the server may leave out: `{}`, `[]`, `""`, `false` and `0`.
fn is_empty(value: &Value) -> bool {
    match value.data() {
        Data::Bool(flag) => !flag,
        Data::Number(number) => number.to_string() == "0",
        Data::String(text) => text.is_empty(),
        Data::Sequence(_, items) => items.is_empty(),
        Data::Mapping(_, entries) => entries.is_empty(),
        Data::Null => true,
        Data::Unknown(_) | Data::Sealed(_) => false,
    }
}

fn amount(value: &Value) -> Option<i128> {
    match value.data() {
        Data::String(text) => billionths(text),
        Data::Number(number) => billionths(&number.to_string()),
        _ => None,
    }
}

/// A quantity in billionths, the finest that the server tells apart. `None` for what is none.
fn billionths(text: &str) -> Option<i128> {
    const UNITS: [(&str, i128); 16] = [
        ("", 1_000_000_000),
        ("n", 1),
        ("u", 1_000),
        ("m", 1_000_000),
        ("k", 1_000_000_000_000),
        ("M", 1_000_000_000_000_000),
        ("G", 1_000_000_000_000_000_000),
        ("T", 1_000_000_000_000_000_000_000),
        ("P", 1_000_000_000_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000_000_000_000),
        ("Ki", 1_000_000_000 << 10),
        ("Mi", 1_000_000_000 << 20),
        ("Gi", 1_000_000_000 << 30),
        ("Ti", 1_000_000_000 << 40),
        ("Pi", 1_000_000_000 << 50),
        ("Ei", 1_000_000_000 << 60),
    ];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let exponent = unit.strip_prefix(['e', 'E']).filter(|rest| !rest.is_empty());
    let factor = match exponent {
        Some(exponent) => 1_000_000_000_i128.checked_mul(10_i128.checked_pow(exponent.parse().ok()?)?)?,
        None => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut out = whole.checked_mul(factor)?;
    let mut part = factor;
    for digit in fraction.chars() {
        part /= 10;
        out = out.checked_add(part.checked_mul(i128::from(digit.to_digit(10)?))?)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn field(path: &str, before: Option<&Json>, after: &Json, cause: Cause) -> FieldChange {
        FieldChange {
            path: path.to_owned(),
            before: before.map(Value::from_json),
            after: Some(Value::from_json(after)),
            cause,
            forces_replacement: false,
            because: None,
            owner: None,
        }
    }

    #[test]
    fn what_is_empty_and_left_out_is_no_drift_but_where_it_means_something() {
        let only = |path: &str, after: &Json| is_only_written_otherwise(&field(path, None, after, Cause::Drift));
        for after in [json!({}), json!([]), json!(""), json!(false), json!(0)] {
            assert!(only("spec.template.spec.thing", &after), "{after}");
        }
        assert!(!only("spec.template.spec.thing", &json!(true)) && !only("spec.thing", &json!("x")));
        assert!(!only("spec.template.spec.volumes.tmp.emptyDir", &json!({})));
        assert!(!only("spec.template.spec.automountServiceAccountToken", &json!(false)));
        assert!(!is_only_written_otherwise(&field("spec.tolerations", None, &json!([]), Cause::Declared)));
    }

    #[test]
    fn quantities_are_the_same_however_they_are_written() {
        let only = |before: &Json, after: &Json| {
            is_only_written_otherwise(&field("spec.resources.limits.cpu", Some(before), after, Cause::Drift))
        };
        for (live, written) in [
            (json!("1"), json!(1)),
            (json!("500m"), json!(0.5)),
            (json!("1500m"), json!("1.5")),
            (json!("1Gi"), json!("1024Mi")),
            (json!("1073741824"), json!("1Gi")),
            (json!("1G"), json!("1e9")),
        ] {
            assert!(only(&live, &written), "{live} {written}");
        }
        for (live, written) in [(json!("1"), json!(2)), (json!("1Gi"), json!("1G")), (json!("x"), json!("x1"))] {
            assert!(!only(&live, &written), "{live} {written}");
        }
        let elsewhere = field("data.size", Some(&json!("1")), &json!("1000m"), Cause::Drift);
        assert!(!is_only_written_otherwise(&elsewhere));
    }
}
