//! What people decide of an environment: an object each beside the log, appended without its lock and never changed (rule 28).
//!
//! The newest word counts. Two that say the same thing at once are both kept, and are the same thing.

use crate::{
    base::{Address, Digest},
    state::{
        RunId,
        audit::{self, Act, Deed},
    },
    world::{Class, Entropy, Failure, Ledger, Outcome},
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The version of these objects that this build writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// What their names begin with.
const PREFIX: &str = "facts/";

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Actor {
    /// The caller, as the identity service names it.
    pub arn: String,
    /// The caller's unique id, which IAM's policies know as `${aws:userid}`; empty where there is none, as on the sandbox.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub id: String,
    /// The person, where `[people]` maps the caller to one (rule 43).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub person: Option<String>,
}

impl Actor {
    /// As they are named in a sentence.
    #[must_use]
    pub fn spoken(&self) -> &str {
        self.person.as_deref().unwrap_or(&self.arn)
    }

    /// True where both are known to be the same, or may be: who is mapped to no person is only ever told apart by the caller.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        match (&self.person, &other.person) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fact {
    /// The version of its format.
    pub format: u32,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// What.
    #[serde(flatten)]
    pub what: Decision,
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum Decision {
    /// `promote --auto` shall bring nothing here.
    Hold,
    /// It may again.
    ReleaseHold,
    /// Nothing shall come here.
    Freeze {
        /// Until when; until it is lifted where `None`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until: Option<Timestamp>,
    },
    /// It may again.
    Thaw,
    /// A release that was here must not go on to what lies downstream.
    Revoke {
        /// Which.
        release: Digest,
    },
    /// It may again.
    UndoRevoke {
        /// Which.
        release: Digest,
    },
    /// A run that broke the glass was looked at by somebody else.
    Review {
        /// Which.
        run: RunId,
    },
    /// What a rule of policy finds is not to deny; it counts once somebody else agreed (rule 43).
    Waive {
        /// The rule.
        rule: String,
        /// Of what; of everything where `None`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        address: Option<Address>,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody else agrees to a waiver.
    AgreeToWaiver {
        /// Its name.
        waiver: String,
    },
    /// A waiver counts no more.
    LiftWaiver {
        /// Its name.
        waiver: String,
    },
}

/// A waiver, with who agreed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waived {
    /// Who asked for it, when, why.
    pub fact: Fact,
    /// The rule.
    pub rule: String,
    /// Of what; of everything where `None`.
    pub address: Option<Address>,
    /// Until when.
    pub until: Timestamp,
    /// Who else agreed.
    pub agreed: Option<Fact>,
}

impl Decision {
    /// In words, and the release that it is about.
    fn spoken(&self) -> (String, Option<Digest>) {
        match self {
            Self::Hold => ("hold".to_owned(), None),
            Self::ReleaseHold => ("release-hold".to_owned(), None),
            Self::Freeze { until: None } => ("freeze".to_owned(), None),
            Self::Freeze { until: Some(until) } => (format!("freeze until {until}"), None),
            Self::Thaw => ("freeze --lift".to_owned(), None),
            Self::Revoke { release } => ("revoke".to_owned(), Some(release.clone())),
            Self::UndoRevoke { release } => ("revoke --undo".to_owned(), Some(release.clone())),
            Self::Review { run } => (format!("review of the run {run}"), None),
            Self::Waive { rule, address: None, until } => (format!("waive {rule} until {until}"), None),
            Self::Waive { rule, address: Some(address), until } => {
                (format!("waive {rule} of {address} until {until}"), None)
            }
            Self::AgreeToWaiver { waiver } => (format!("agree to the waiver {waiver}"), None),
            Self::LiftWaiver { waiver } => (format!("lift the waiver {waiver}"), None),
        }
    }

    /// What it is, for the trail of audit.
    const fn deed(&self) -> Deed {
        match self {
            Self::Waive { .. } | Self::AgreeToWaiver { .. } | Self::LiftWaiver { .. } => Deed::Waiver,
            _ => Deed::Decision,
        }
    }
}

/// What holds now, after all that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Held for `promote --auto`.
    pub hold: Option<Fact>,
    /// Frozen.
    pub freeze: Option<Fact>,
    /// Revoked releases.
    pub revoked: BTreeMap<Digest, Fact>,
    /// Runs that were reviewed.
    pub reviewed: BTreeSet<RunId>,
    /// Waivers that nobody lifted, by name.
    pub waivers: BTreeMap<String, Waived>,
}

impl Standing {
    /// Folds decisions, oldest first.
    #[must_use]
    pub fn of(facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut standing = Self::default();
        for fact in facts {
            match &fact.what {
                Decision::Hold => standing.hold = Some(fact),
                Decision::ReleaseHold => standing.hold = None,
                Decision::Freeze { .. } => standing.freeze = Some(fact),
                Decision::Thaw => standing.freeze = None,
                Decision::Revoke { release } => {
                    standing.revoked.insert(release.clone(), fact);
                }
                Decision::UndoRevoke { release } => {
                    standing.revoked.remove(release);
                }
                Decision::Review { run } => {
                    standing.reviewed.insert(run.clone());
                }
                Decision::Waive { rule, address, until } => {
                    let (rule, address, until) = (rule.clone(), address.clone(), *until);
                    let waived = Waived { rule, address, until, agreed: None, fact };
                    standing.waivers.insert(waived.fact.name(), waived);
                }
                Decision::AgreeToWaiver { waiver } => {
                    let found = standing.waivers.get_mut(waiver);
                    if let Some(waived) = found.filter(|waived| !waived.fact.by.may_be(&fact.by)) {
                        waived.agreed = Some(fact);
                    }
                }
                Decision::LiftWaiver { waiver } => {
                    standing.waivers.remove(waiver);
                }
            }
        }
        standing
    }
}

/// Writes a decision down.
///
/// # Errors
/// A storage that fails.
pub async fn record(ledger: &dyn Ledger, entropy: &dyn Entropy, fact: &Fact, from: &str) -> Outcome<()> {
    let (what, release) = fact.what.spoken();
    let act = Act::new(fact.at, fact.by.clone(), from, fact.what.deed(), what);
    audit::record(ledger, &Act { release, reason: Some(fact.reason.clone()), ..act }).await?;
    let content = serde_json::to_vec(fact).map_err(|e| damaged("facts", &e.to_string()))?;
    while !ledger.put_new(&new_name(ledger, entropy, PREFIX, fact.at).await?, &content).await? {}
    Ok(())
}

/// A name for a new object under a prefix. Names are in the order of what was said, whatever the clocks say: whoever speaks knows
/// what is there. A part of chance keeps both of two that speak at once.
pub(super) async fn new_name(
    ledger: &dyn Ledger,
    entropy: &dyn Entropy,
    prefix: &str,
    at: Timestamp,
) -> Outcome<String> {
    let last = ledger.list(prefix).await?.iter().filter_map(|name| number(name.strip_prefix(prefix)?)).max();
    let number = at.as_microsecond().max(last.map_or(0, |last| last + 1));
    Ok(format!("{prefix}{number:020}-{:08x}.json", entropy.next() >> 32))
}

fn number(name: &str) -> Option<i64> {
    name.split_once('-')?.0.parse().ok()
}

/// All decisions, oldest first.
///
/// # Errors
/// A storage that fails, one that cannot be read, or one of a newer terrace.
pub async fn all(ledger: &dyn Ledger) -> Outcome<Vec<Fact>> {
    Ok(objects(ledger, PREFIX).await?.into_iter().map(|(_, fact)| fact).collect())
}

/// Every object under a prefix with its name, in order of the names.
pub(super) async fn objects<T: serde::de::DeserializeOwned>(
    ledger: &dyn Ledger,
    prefix: &str,
) -> Outcome<Vec<(String, T)>> {
    let mut found = Vec::new();
    for name in ledger.list(prefix).await? {
        // One that went away since is one that was never there.
        let Some(content) = ledger.get(&name).await? else { continue };
        let format = serde_json::from_slice::<Versioned>(&content).map_err(|e| damaged(&name, &e.to_string()))?.format;
        if format > FORMAT {
            let why = format!("it has format {format}, and this terrace reads up to {FORMAT}; use the newer terrace");
            return Err(damaged(&name, &why));
        }
        let object = serde_json::from_slice(&content).map_err(|e| damaged(&name, &e.to_string()))?;
        found.push((name, object));
    }
    Ok(found)
}

#[derive(serde::Deserialize)]
struct Versioned {
    format: u32,
}

pub(super) fn damaged(name: &str, why: &str) -> Failure {
    Failure::new(Class::Local, "read state", name, why.to_owned())
}

impl Fact {
    /// Twelve digits that tell it from others, by what it says.
    #[must_use]
    pub fn name(&self) -> String {
        Digest::of_json(self).map_or_else(|_| String::new(), |digest| digest.short().to_owned())
    }

    /// A decision made now.
    #[must_use]
    pub const fn new(at: Timestamp, by: Actor, reason: String, what: Decision) -> Self {
        Self { format: FORMAT, at, by, reason, what }
    }
}
