//! Faults on command: what may be made to go wrong, at which call, and how often.
//!
//! Faults are stored in the world, so that they survive the process that they kill. `terrace sandbox fault` sets them.

use super::tx::Tx;

/// A fault that waits for its call.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// Names it; given by the sandbox when it is added.
    #[serde(default)]
    pub id: String,
    /// The operations it strikes, with `*` and `?`: `cloudformation:*`, `helm:Upgrade`.
    pub operation: String,
    /// The subjects it strikes, with `*` and `?`: a stack's name, `NAMESPACE/RELEASE`; any, where `None`.
    #[serde(default)]
    pub subject: Option<String>,
    /// What happens.
    pub kind: FaultKind,
    /// The first matching call that it strikes, counted from 1.
    #[serde(default = "one")]
    pub nth: u64,
    /// How many matching calls it strikes from there on; `None` for all.
    #[serde(default = "once")]
    pub times: Option<u64>,
    /// How many matching calls there were since it was set.
    #[serde(default)]
    pub seen: u64,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
const fn once() -> Option<u64> {
    Some(1)
}

impl Fault {
    /// A fault that strikes the next matching call, once.
    #[must_use]
    pub fn new(operation: impl Into<String>, kind: FaultKind) -> Self {
        Self { id: String::new(), operation: operation.into(), subject: None, kind, nth: 1, times: Some(1), seen: 0 }
    }

    /// Only on these subjects.
    #[must_use]
    pub fn on(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Only from the `nth` matching call on.
    #[must_use]
    pub const fn from_call(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// This often; `None` for ever.
    #[must_use]
    pub const fn times(mut self, times: Option<u64>) -> Self {
        self.times = times;
        self
    }

    fn strikes(&self) -> bool {
        self.seen >= self.nth.max(1) && self.times.is_none_or(|times| self.seen - self.nth.max(1) < times)
    }
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The caller may not do this; nothing happens.
    Deny,
    /// "Rate exceeded"; nothing happens.
    Throttle,
    /// No answer in time, and nothing happened.
    TimeoutBefore,
    /// No answer in time, but it happened.
    TimeoutAfter,
    /// What the call starts fails part-way. Only for calls that start something that lasts.
    FailHalfway(Halfway),
    /// Never an answer, and nothing happened.
    Hang,
    /// The process dies at once, without cleaning up, before or after the effect.
    Crash {
        /// True where the effect happens first.
        after: bool,
    },
    /// A read shows what was there before the newest write. Only for reads.
    StaleRead,
}

/// How what a call started fails part-way.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Halfway {
    /// The reason, in the service's words; a fitting one where `None`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Which part fails, with `*`: a logical id of the stack, an object's name; one in the middle where `None`.
    #[serde(default)]
    pub part: Option<String>,
    /// The way back fails as well: `UPDATE_ROLLBACK_FAILED`, `ROLLBACK_FAILED`, a release that stays pending.
    #[serde(default)]
    pub stuck: bool,
}

/// The operations that start something that lasts: only they can fail half-way.
const LASTING: &[&str] = &[
    "cloudformation:ExecuteChangeSet",
    "cloudformation:UpdateStack",
    "cloudformation:DeleteStack",
    "cloudformation:ContinueUpdateRollback",
    "cloudformation:CreateChangeSet",
    "eks:CreateAddon",
    "eks:UpdateAddon",
    "eks:DeleteAddon",
    "helm:Install",
    "helm:Upgrade",
    "helm:Rollback",
    "helm:Uninstall",
    "kubernetes:Apply",
    "kubernetes:Delete",
];

/// Counts the call for every fault that matches and returns what the first that strikes does.
pub(super) fn strike(tx: &mut Tx<'_>, operation: &str, subject: &str) -> Option<FaultKind> {
    let mut struck = None;
    for (id, mut fault) in tx.scan::<Fault>("fault", "") {
        if !matches(&fault, operation, subject) {
            continue;
        }
        fault.seen += 1;
        tx.put("fault", &id, &fault);
        if struck.is_none() && fault.strikes() {
            struck = Some(fault.kind);
        }
    }
    struck
}

fn matches(fault: &Fault, operation: &str, subject: &str) -> bool {
    let possible = match fault.kind {
        FaultKind::FailHalfway(_) => LASTING.contains(&operation),
        FaultKind::StaleRead => reads(operation),
        _ => true,
    };
    possible && glob(&fault.operation, operation) && fault.subject.as_deref().is_none_or(|s| glob(s, subject))
}

/// True for an operation that only looks.
pub(super) fn reads(operation: &str) -> bool {
    let verb = operation.split_once(':').map_or(operation, |(_, verb)| verb);
    ["Describe", "Get", "List", "Detect", "Template", "Resolve", "Release", "History", "Identity", "Events"]
        .iter()
        .any(|v| verb.starts_with(v))
}

/// Matches with `*` (any text) and `?` (any character), upper and lower case alike.
pub(in crate::world::sandbox) fn glob(pattern: &str, text: &str) -> bool {
    let (p, t): (Vec<char>, Vec<char>) =
        (pattern.to_lowercase().chars().collect(), text.to_lowercase().chars().collect());
    let (mut i, mut j) = (0, 0);
    let mut star = None;
    while j < t.len() {
        if i < p.len() && p[i] == '*' {
            star = Some((i, j));
            i += 1;
        } else if i < p.len() && (p[i] == '?' || p[i] == t[j]) {
            i += 1;
            j += 1;
        } else if let Some((at, from)) = star {
            i = at + 1;
            j = from + 1;
            star = Some((at, from + 1));
        } else {
            return false;
        }
    }
    p[i..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::sandbox::tx::Tables;
    use jiff::Timestamp;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("cloudformation:*", "cloudformation:ExecuteChangeSet", true),
            ("*:Upgrade", "helm:Upgrade", true),
            ("helm:Up*e", "helm:Upgrade", true),
            ("helm:Up", "helm:Upgrade", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("CloudFormation:executechangeset", "cloudformation:ExecuteChangeSet", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_fault_strikes_from_its_nth_call_and_as_often_as_it_says() {
        let mut tables = Tables::default();
        let mut tx = Tx::new(&mut tables, Timestamp::UNIX_EPOCH);
        let fault = Fault::new("eks:*", FaultKind::Throttle).on("prod*").from_call(2).times(Some(2));
        tx.put("fault", "f1", &fault);
        let calls = [("eks:DescribeAddon", "dev"), ("ssm:GetParameter", "prod")];
        assert!(calls.iter().all(|(o, s)| strike(&mut tx, o, s).is_none()));
        let struck: Vec<bool> = (0..5).map(|_| strike(&mut tx, "eks:CreateAddon", "prod/x").is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
    }

    #[test]
    fn only_what_lasts_fails_halfway_and_only_reads_are_stale() {
        let mut tables = Tables::default();
        let mut tx = Tx::new(&mut tables, Timestamp::UNIX_EPOCH);
        tx.put("fault", "1", &Fault::new("*", FaultKind::FailHalfway(Halfway::default())));
        tx.put("fault", "2", &Fault::new("*", FaultKind::StaleRead));
        assert_eq!(strike(&mut tx, "cloudformation:DescribeStacks", "s"), Some(FaultKind::StaleRead));
        assert!(matches!(strike(&mut tx, "cloudformation:UpdateStack", "s"), Some(FaultKind::FailHalfway(_))));
    }
}
