//! What numbers say, by table and by property.

use super::*;
use Finding::{Error, Failed, Inconclusive, Passed};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn sample(text: &str) -> Sample {
    Sample { labels: String::new(), value: text.parse().unwrap(), written: text.to_owned() }
}

fn judged(body: &Json, new: &[&str], old: Option<&[&str]>) -> Measurement {
    let samples = |texts: &[&str]| texts.iter().map(|t| sample(t)).collect::<Vec<_>>();
    let (new, old) = (samples(new), old.map(samples));
    Bounds::of(&Value::from_json(body)).unwrap().judge(&new, old.as_deref()).unwrap()
}

fn found(body: &Json, new: &[&str]) -> Finding {
    judged(body, new, None).finding
}

#[test]
fn every_series_lies_between_the_bounds() {
    let bounds = json!({"min": 0, "max": 0.01});
    assert_eq!(found(&bounds, &["0.01", "0"]), Passed);
    assert_eq!(found(&bounds, &["-1"]), Failed);
    assert_eq!(found(&bounds, &["+Inf"]), Failed);
    assert_eq!(found(&json!({"min": 1}), &["+Inf"]), Passed);
    let high = judged(&bounds, &["0", "0.2"], None);
    assert_eq!((high.said.as_str(), high.value.as_deref()), ("0.2 (one of 2 series) is more than 0.01", Some("0.2")));
}

#[test]
fn between_passing_and_failing_nothing_is_told() {
    let high = json!({"max": 0.01, "fail_above": 0.05});
    let all: Vec<Finding> = ["0.01", "0.02", "0.05", "0.06"].iter().map(|v| found(&high, &[v])).collect();
    assert_eq!(all, [Passed, Inconclusive, Inconclusive, Failed]);
    let low = json!({"min": 0.99, "fail_below": 0.95});
    let all: Vec<Finding> = ["0.99", "0.98", "0.95", "0.94"].iter().map(|v| found(&low, &[v])).collect();
    assert_eq!(all, [Passed, Inconclusive, Inconclusive, Failed]);
    assert_eq!(found(&json!({"fail_above": 1}), &["1"]), Passed);
    assert_eq!(found(&json!({"fail_above": 1}), &["2"]), Failed);
    assert_eq!(judged(&high, &["0.02"], None).said, "0.02 is between 0.01 and 0.05, which tells nothing");
}

#[test]
fn nothing_and_what_is_no_number_follow_their_rules() {
    assert_eq!(judged(&json!({}), &[], None).said, "the query has no result");
    for (rule, finding) in [("fail", Failed), ("pass", Passed), ("inconclusive", Inconclusive), ("error", Error)] {
        assert_eq!(found(&json!({"empty": rule}), &[]), finding);
        assert_eq!(found(&json!({"max": 1, "nan": rule}), &["NaN"]), finding);
        assert_eq!(found(&json!({"max": 1, "nan": rule}), &["NaN", "2"]), Failed, "one that failed outweighs all");
    }
    assert_eq!((found(&json!({}), &[]), found(&json!({"max": 1}), &["NaN"])), (Failed, Failed));
    assert_eq!(judged(&json!({"max": 1}), &["NaN"], None).said, "NaN is not a number");
}

#[test]
fn bounds_that_contradict_each_other_are_refused() {
    for (body, why) in [
        (json!({"min": 2, "max": 1}), "`min` is more than `max`"),
        (json!({"max": 2, "fail_above": 1}), "`fail_above` is less than `max`"),
        (json!({"min": 1, "fail_below": 2}), "`fail_below` is more than `min`"),
        (json!({"max_ratio": -1}), "`max_ratio` is less than zero"),
    ] {
        assert!(Bounds::of(&Value::from_json(&body)).unwrap_err().contains(why), "{body}");
    }
}

#[test]
fn the_new_colour_is_compared_with_the_old() {
    let ratio = json!({"max_ratio": 2});
    let beside = |body: &Json, new: &str, old: &str| judged(body, &[new], Some(&[old])).finding;
    assert_eq!(beside(&ratio, "0.02", "0.01"), Passed);
    assert_eq!(beside(&ratio, "0.03", "0.01"), Failed);
    let said = judged(&ratio, &["0.03"], Some(&["0.01"])).said;
    assert_eq!(said, "0.03; the old colour has 0.01, of which it is 3.00 times as much, more than 2");
    let increase = json!({"max_increase": 0.5});
    assert_eq!(
        (beside(&increase, "1.5", "1"), beside(&increase, "1.6", "1"), beside(&increase, "-5", "1")),
        (Passed, Failed, Passed)
    );
    let both = json!({"max_ratio": 2, "max_increase": 10});
    assert_eq!(
        (beside(&both, "30", "10"), beside(&both, "110", "90"), beside(&both, "15", "10")),
        (Failed, Failed, Passed)
    );
    let constant = json!({"max": 5, "max_ratio": 2});
    assert_eq!(beside(&constant, "6", "6"), Failed, "as good as the old, and too much all the same");
}

#[test]
fn what_cannot_be_divided_follows_a_rule() {
    let beside = |body: &Json, new: &str, old: &[&str]| judged(body, &[new], Some(old)).finding;
    let ratio = json!({"max_ratio": 2});
    assert_eq!(beside(&ratio, "0", &["0"]), Passed, "no worse than nothing");
    assert_eq!(beside(&ratio, "0.001", &["0"]), Failed, "more than any multiple of nothing");
    assert_eq!((beside(&ratio, "-1", &["1"]), beside(&ratio, "1", &["-1"])), (Inconclusive, Inconclusive));
    assert_eq!(beside(&ratio, "+Inf", &["1"]), Failed);
    for (rule, finding) in [("fail", Failed), ("pass", Passed), ("inconclusive", Inconclusive), ("error", Error)] {
        let ruled = json!({"max_ratio": 2, "empty": rule, "nan": rule});
        assert_eq!(beside(&ruled, "1", &[]), finding);
        assert_eq!((beside(&ruled, "1", &["NaN"]), beside(&ruled, "1", &["+Inf"])), (finding, finding));
        assert_eq!(beside(&ruled, "NaN", &["1"]), finding);
        assert_eq!(judged(&ruled, &[], Some(&["1"])).finding, finding);
    }
}

#[test]
fn without_an_old_colour_only_constants_count_and_that_is_said() {
    let body = json!({"max": 1, "max_ratio": 2});
    let first = judged(&body, &["0.5"], None);
    assert_eq!((first.finding, first.said.as_str()), (Passed, "0.5; nothing is there to compare it with"));
    assert_eq!(judged(&body, &["2"], None).finding, Failed);
}

#[test]
fn several_series_cannot_be_compared() {
    let bounds = Bounds::of(&Value::from_json(&json!({"max_ratio": 2}))).unwrap();
    let two = [sample("1"), sample("2")];
    assert!(bounds.judge(&two, Some(&two[..1])).unwrap_err().contains("the result has 2 series"));
    assert!(bounds.judge(&two[..1], Some(&two)).unwrap_err().contains("the old colour's result has 2 series"));
}

proptest! {
    #[test]
    fn a_higher_number_is_never_better_under_an_upper_bound(
        a in any::<f64>(), b in any::<f64>(), max in -1e3..1e3f64, room in 0.0..1e3f64, old in prop::option::of(0.0..1e3f64),
        most in 0.0..10.0f64,
    ) {
        prop_assume!(!a.is_nan() && !b.is_nan() && a >= 0.0 && b >= 0.0);
        let body = json!({"max": max, "fail_above": max + room, "max_ratio": most, "max_increase": max});
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        let old = old.map(|old| vec![sample(&old.to_string())]);
        let bounds = Bounds::of(&Value::from_json(&body)).unwrap();
        let judge = |v: f64| weight(bounds.judge(&[sample(&v.to_string())], old.as_deref()).unwrap().finding);
        prop_assert!(judge(low) <= judge(high));
    }

    #[test]
    fn the_order_of_series_does_not_matter(values in prop::collection::vec("(NaN|[+-]Inf|-?[0-9]{1,3})", 0..6).prop_shuffle()) {
        let body = json!({"min": -5, "max": 50, "fail_above": 90, "nan": "inconclusive", "empty": "error"});
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let mut turned = texts.clone();
        turned.reverse();
        prop_assert_eq!(found(&body, &texts), found(&body, &turned));
    }
}
