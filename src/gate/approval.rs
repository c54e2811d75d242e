//! Which approvals of a plan count (rules 28, 32 and 43).

use crate::{
    lang::gates::ApprovalRule,
    state::{Actor, Approval},
};
use jiff::Timestamp;
use std::time::Duration;

/// How far a clock may be ahead of ours before what it wrote is not believed.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// What became of a plan's approvals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Those that count, one a person, oldest first.
    pub counted: Vec<Actor>,
    /// The moment from which too few count, where that is known.
    pub until: Option<Timestamp>,
    /// Those that do not, each with the reason.
    pub ignored: Vec<(Actor, Ignored)>,
}

/// Why an approval does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Too old.
    Expired,
    /// Written by a clock that is ahead.
    Future,
    /// Not one of `approvers`.
    NotListed,
    /// By the author of the release or of the plan.
    Author,
    /// The same person, or a caller who may be the same person as another.
    Same,
}

impl Ignored {
    /// In a few words, after the approver's name.
    #[must_use]
    pub const fn spoken(self) -> &'static str {
        match self {
            Self::Expired => "approved too long ago",
            Self::Future => "approved by a clock that is ahead of this one",
            Self::NotListed => "is none of the approvers",
            Self::Author => "is, or may be, the author of the release or of the plan",
            Self::Same => "is, or may be, the same person as another approver",
        }
    }
}

/// Counts approvals. The newest of each caller is looked at; who is mapped to no person counts alone, never beside
/// another, since nobody can tell them apart (rule 43).
#[must_use]
pub fn count(rule: &ApprovalRule, approvals: &[Approval], authors: &[Actor], now: Timestamp) -> Counted {
    let mut newest: Vec<&Approval> = Vec::new();
    for approval in approvals {
        match newest.iter_mut().find(|known| same_caller(&known.by, &approval.by)) {
            Some(known) if known.at <= approval.at => *known = approval,
            Some(_) => {}
            None => newest.push(approval),
        }
    }
    newest.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.by.arn.cmp(&b.by.arn)));
    let mut out = Counted::default();
    let mut ends: Vec<Timestamp> = Vec::new();
    for approval in newest {
        let age = now.duration_since(approval.at);
        let expires = rule.valid_for.and_then(|valid| approval.at.checked_add(valid).ok());
        let ignored = if age.is_negative() && age.unsigned_abs() > SKEW {
            Some(Ignored::Future)
        } else if expires.is_some_and(|end| now >= end) {
            Some(Ignored::Expired)
        } else if !rule.approvers.is_empty() && !listed(&rule.approvers, &approval.by) {
            Some(Ignored::NotListed)
        } else if !rule.own && authors.iter().any(|author| author.may_be(&approval.by)) {
            Some(Ignored::Author)
        } else if out.counted.iter().any(|known| known.may_be(&approval.by)) {
            Some(Ignored::Same)
        } else {
            None
        };
        if let Some(why) = ignored {
            out.ignored.push((approval.by.clone(), why));
        } else {
            out.counted.push(approval.by.clone());
            ends.extend(expires);
        }
    }
    ends.sort_unstable();
    // Too few are left once all but `count - 1` have expired.
    let spare = ends.len().checked_sub(usize::try_from(rule.count).unwrap_or(usize::MAX));
    out.until = spare.and_then(|spare| ends.get(spare).copied());
    out
}

fn same_caller(one: &Actor, other: &Actor) -> bool {
    match (&one.person, &other.person) {
        (Some(one), Some(other)) => one == other,
        _ => one.arn == other.arn,
    }
}

/// True where one of these patterns of ARNs, or names of persons, means an actor.
#[must_use]
pub(super) fn listed(patterns: &[String], actor: &Actor) -> bool {
    patterns.iter().any(|pattern| actor.person.as_deref() == Some(pattern.as_str()) || means(pattern, &actor.arn))
}

/// True where a pattern of ARNs means this one: `*` is any text, `?` any one character, as in IAM's policies.
#[must_use]
pub fn means(pattern: &str, arn: &str) -> bool {
    matches(pattern.as_bytes(), arn.as_bytes())
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;

    fn actor(name: &str) -> Actor {
        let arn = format!("arn:aws:sts::333333333333:assumed-role/jit/{name}");
        Actor { arn, id: String::new(), person: Some(name.to_owned()) }
    }

    fn unmapped(name: &str) -> Actor {
        Actor { person: None, ..actor(name) }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).unwrap()
    }

    fn approval(by: Actor, minute: i64) -> Approval {
        Approval::new(Digest::of(b"plan"), by, at(minute), None)
    }

    fn rule(count: u32) -> ApprovalRule {
        ApprovalRule { count, valid_for: Some(Duration::from_secs(3600)), own: false, approvers: Vec::new() }
    }

    fn names(counted: &Counted) -> Vec<&str> {
        counted.counted.iter().map(Actor::spoken).collect()
    }

    #[test]
    fn each_person_counts_once_and_the_author_never() {
        let given = [actor("ann"), actor("ann"), actor("ben"), actor("eve")].map(|a| approval(a, 0));
        let counted = count(&rule(2), &given, &[actor("eve")], at(1));
        assert_eq!(names(&counted), ["ann", "ben"]);
        assert_eq!(counted.ignored, [(actor("eve"), Ignored::Author)]);
        let own = ApprovalRule { own: true, ..rule(2) };
        assert_eq!(names(&count(&own, &given, &[actor("eve")], at(1))), ["ann", "ben", "eve"]);
    }

    #[test]
    fn an_approval_expires_and_can_be_given_again() {
        let once = [approval(actor("ann"), 0)];
        assert_eq!(names(&count(&rule(1), &once, &[], at(59))), ["ann"]);
        assert_eq!(count(&rule(1), &once, &[], at(60)).ignored, [(actor("ann"), Ignored::Expired)]);
        let again = [approval(actor("ann"), 0), approval(actor("ann"), 50)];
        assert_eq!(names(&count(&rule(1), &again, &[], at(60))), ["ann"]);
        let both = [approval(actor("ann"), 0), approval(actor("ben"), 30)];
        assert_eq!(count(&rule(1), &both, &[], at(40)).until, Some(at(90)));
        assert_eq!(count(&rule(2), &both, &[], at(40)).until, Some(at(60)));
        assert_eq!(count(&rule(3), &both, &[], at(40)).until, None);
    }

    #[test]
    fn a_clock_that_is_ahead_is_not_believed() {
        let ahead = [approval(actor("ann"), 30), approval(actor("ben"), 2)];
        let counted = count(&rule(2), &ahead, &[], at(0));
        assert_eq!(names(&counted), ["ben"]);
        assert_eq!(counted.ignored, [(actor("ann"), Ignored::Future)]);
    }

    #[test]
    fn whom_nobody_knows_counts_alone_and_never_as_somebody_else() {
        let two = [approval(unmapped("x"), 0), approval(unmapped("y"), 1)];
        assert_eq!(names(&count(&rule(2), &two, &[], at(2))).len(), 1);
        let beside = [approval(actor("ann"), 0), approval(unmapped("y"), 1)];
        assert_eq!(names(&count(&rule(2), &beside, &[], at(2))), ["ann"]);
        // The author may be the one whom nobody knows.
        assert!(count(&rule(1), &two, &[actor("eve")], at(2)).counted.is_empty());
    }

    #[test]
    fn approvers_are_arns_with_stars_or_persons() {
        let given = [actor("ann"), actor("ben")].map(|a| approval(a, 0));
        let by_role = ApprovalRule { approvers: vec!["arn:aws:sts::*:assumed-role/jit/a?n".into()], ..rule(1) };
        assert_eq!(names(&count(&by_role, &given, &[], at(1))), ["ann"]);
        let by_name = ApprovalRule { approvers: vec!["ben".into()], ..rule(1) };
        assert_eq!(names(&count(&by_name, &given, &[], at(1))), ["ben"]);
    }

    proptest::proptest! {
        #[test]
        fn patterns_are_those_of_a_slow_reading(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn slow(p: &[u8], t: &[u8]) -> bool {
                match (p.first(), t.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => slow(&p[1..], t) || (!t.is_empty() && slow(p, &t[1..])),
                    (Some(b'?'), Some(_)) => slow(&p[1..], &t[1..]),
                    (Some(a), Some(b)) if a == b => slow(&p[1..], &t[1..]),
                    _ => false,
                }
            }
            proptest::prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn more_approvals_never_count_for_less(people in proptest::collection::vec(0usize..4, 0..8), extra in 0usize..4) {
            let name = |n: usize| ["ann", "ben", "cat", "dan"][n];
            let mut given: Vec<Approval> = people.iter().map(|n| approval(actor(name(*n)), 0)).collect();
            let before = count(&rule(2), &given, &[actor("dan")], at(1)).counted.len();
            given.push(approval(actor(name(extra)), 0));
            let after = count(&rule(2), &given, &[actor("dan")], at(1)).counted.len();
            proptest::prop_assert!(after >= before);
        }
    }
}
