//! What rules found in what a plan is made of, as the plan bears it: whoever approves the plan approves it with this.
//!
//! `policy` finds it. A plan that rules deny is not applied.

use crate::base::{Address, Digest};
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc};

/// What a rule that does not hold does to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is not applied.
    Deny,
    /// It is told.
    Warn,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The file, relative to the project.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// The pack that it is of.
    pub pack: String,
    /// What it does to a plan.
    pub severity: Severity,
    /// What declares it; `None` where it is about the environment as a whole.
    pub address: Option<Address>,
    /// What of that it is about: a logical id, `Deployment shop/web`; empty where it is all of it.
    pub part: String,
    /// Where in the part, as Guard writes it; empty where it is all of it.
    pub path: String,
    /// Where it is written, as near as that is known.
    pub place: Option<Place>,
    /// The controls that the rule is for.
    pub controls: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// Why that is wrong.
    pub why: String,
    /// What to write instead.
    pub instead: String,
    /// The waiver that somebody asked for, whether or not it counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiver: Option<Waiver>,
}

/// Somebody's word that a finding is not to deny.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Waiver {
    /// Its name, by which it is approved and lifted.
    pub name: String,
    /// Whether it counts.
    pub standing: WaiverStanding,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub by: String,
    /// Who else agreed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approved_by: Option<String>,
    /// It counts until then.
    pub until: Timestamp,
}

/// Whether a waiver counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaiverStanding {
    /// It does.
    Counts,
    /// Nobody but its author agreed to it yet (rule 43).
    Unapproved,
    /// Its time is over.
    Expired,
}

/// A pack of rules that judged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct JudgedBy {
    /// Its name.
    pub pack: String,
    /// Its version, as it says itself.
    pub version: String,
    /// The digest of its rules.
    pub digest: Digest,
    /// Whether the release brought it along, and not the project's folder.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub released: bool,
    /// Whether neither names it any more, and it counts since the environment was last changed under it (rule 26).
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub remembered: bool,
}

/// A rule that was asked, and what it looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Asked {
    /// The pack that it is of.
    pub pack: String,
    /// The rule.
    pub rule: String,
    /// The controls that it is for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub controls: Vec<String>,
    /// What it looked at. A rule that looked at nothing proves nothing.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub of: BTreeSet<Address>,
    /// Whether it looked at the plan as a whole.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub whole: bool,
}

impl Asked {
    /// Whether it looked at anything.
    #[must_use]
    pub fn looked(&self) -> bool {
        self.whole || !self.of.is_empty()
    }
}

/// What came of judging what a plan is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Judgement {
    /// The packs that judged, beside Terrace's own rules.
    pub packs: Vec<JudgedBy>,
    /// How many rules looked at something.
    pub rules: usize,
    /// Every rule that was asked, by pack and name; nothing in plans that were judged before this was kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub asked: Vec<Asked>,
    /// What was found, denials first.
    pub findings: Vec<Finding>,
    /// Rules that are worse than they are declared to be, as they were when the environment was last changed (rule 26).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub remembered: Vec<String>,
    /// Waivers that nothing is waived by: their rule or their thing is gone, or finds nothing any more.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub idle_waivers: Vec<String>,
}

impl Judgement {
    /// Whether the plan must not be applied.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.findings.iter().any(Finding::denies)
    }

    /// How many findings deny, warn and are waived.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let waived = self.findings.iter().filter(|finding| finding.is_waived()).count();
        let denied = self.findings.iter().filter(|finding| finding.denies()).count();
        (denied, self.findings.len() - denied - waived, waived)
    }
}

impl Finding {
    /// Whether it keeps the plan from being applied.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.severity == Severity::Deny && !self.is_waived()
    }

    /// Whether a waiver that counts lets it pass.
    #[must_use]
    pub fn is_waived(&self) -> bool {
        self.waiver.as_ref().is_some_and(|waiver| waiver.standing == WaiverStanding::Counts)
    }

    /// Denials first, then by what declares it, the part, the rule and the place.
    pub(crate) fn key(&self) -> impl Ord + '_ {
        (self.severity, &self.address, &self.part, &self.rule, &self.path, &self.place, &self.what)
    }
}
