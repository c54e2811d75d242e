//! Which controls are claimed, by what, and what proves them: out of a plan that was judged, and what checks said last.
//!
//! Called by `policy coverage` and by whatever exports it (`oscal.rs`). A pure function: nothing is judged or asked here, and what nobody
//! wrote down is no proof. What of a plan it needs is an [`Account`]; a run keeps that of its plan, since plans are not kept.

use crate::{
    base::{Address, Control, Digest, canonical_json},
    plan::{Finding, JudgedBy, Judgement, Mode, Moment, Plan, Severity, Waiver},
    state::{Run, RunId, Verdict},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The version of [`Account`] as it is stored.
const FORMAT: u32 = 1;

/// What a plan says of controls, and how it was judged.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Account {
    /// The version of this form.
    pub format: u32,
    /// The project.
    pub project: Arc<str>,
    /// The plan's label.
    pub plan: Arc<str>,
    /// The environment.
    pub env: Arc<str>,
    /// The digest of the plan.
    pub digest: Digest,
    /// The release that it is of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<Digest>,
    /// When it was made and judged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub made: Option<Timestamp>,
    /// Whether it is of a part of what is declared.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub targeted: bool,
    /// What claims controls, and which; of what is rolled out, both colours claim the same.
    pub claims: BTreeMap<Address, BTreeSet<String>>,
    /// Checks and `verify` blocks that prove controls.
    pub checks: Vec<Asks>,
    /// What rules found.
    pub judgement: Judgement,
}

/// A check or `verify` block that proves controls.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Asks {
    /// `check.web`, `helm.web/ready`, `phase.cluster/nodes`.
    pub check: Arc<str>,
    /// What it is about; the environment as a whole where `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub of: Option<Address>,
    /// The controls.
    pub controls: Vec<String>,
}

impl Account {
    /// Of a plan; `None` where rules were not asked about it, since it only takes away, takes over or looks.
    #[must_use]
    pub fn of(plan: &Plan, digest: &Digest, made: Option<Timestamp>) -> Option<Self> {
        let header = &plan.header;
        let judgement = plan.judgement.as_ref().filter(|_| header.mode == Mode::Normal)?.clone();
        let mut claims: BTreeMap<Address, BTreeSet<String>> = BTreeMap::new();
        let mut checks = Vec::new();
        for phase in &plan.phases {
            for (label, controls) in &phase.proves {
                let check = format!("phase.{}/{label}", phase.name).into();
                checks.push(Asks { check, of: None, controls: controls.clone() });
            }
        }
        for node in plan.nodes.iter().filter(|node| node.moment == Moment::Phase) {
            if node.address.kind() == "check" {
                let controls = node.controls.clone();
                checks.push(Asks { check: node.address.as_str().into(), of: None, controls });
            } else if !node.controls.is_empty() {
                claims.entry(node.address.plain()).or_default().extend(node.controls.iter().cloned());
            }
            for (label, controls) in &node.proves {
                let (check, of) = (format!("{}/{label}", node.address).into(), Some(node.address.plain()));
                checks.push(Asks { check, of, controls: controls.clone() });
            }
        }
        Some(Self {
            format: FORMAT,
            project: header.project.clone(),
            plan: header.plan.clone(),
            env: header.env.clone(),
            digest: digest.clone(),
            release: header.release.clone(),
            made,
            targeted: !header.targets.is_empty(),
            claims,
            checks,
            judgement,
        })
    }

    /// As it is stored.
    ///
    /// # Errors
    /// What does not serialize, which is a defect.
    pub fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical_json(self)
    }

    /// What was stored; `None` where it is of a newer version, or none at all: what cannot be read proves nothing.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|account: &Self| account.format == FORMAT)
    }

    /// Where the account of a run is stored, beside the log.
    #[must_use]
    pub fn name(run: &RunId) -> String {
        format!("runs/{run}/judged.json")
    }
}

/// A plan that was judged, and what is known since.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// What the plan says, and how it was judged.
    pub account: &'a Account,
    /// The run that applied it; `None` where nobody did.
    pub run: Option<&'a Run>,
    /// What checks and `verify` blocks said last.
    pub verdicts: &'a BTreeMap<Arc<str>, Verdict>,
    /// All runs, to tell in which of them a check was asked.
    pub runs: &'a [Run],
}

/// The id of a control, in the order of the catalog; whatever is in no catalog comes after that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// Of NIST SP 800-53.
    Nist(Control),
    /// Of another list: packs may be for any.
    Other(String),
}

impl Id {
    /// The id that is written so.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Control::parse(text).map_or_else(|| Self::Other(text.to_owned()), Self::Nist)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nist(control) => control.fmt(f),
            Self::Other(text) => f.pad(text),
        }
    }
}

impl serde::Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Everything that is claimed or proved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    /// The packs that judged.
    pub packs: Vec<JudgedBy>,
    /// Whether the judgement says what each rule looked at: one of a former version does not, and a rule that found nothing proves nothing there.
    pub told: bool,
    /// The controls, in the order of the catalog.
    pub controls: Vec<Covered>,
}

/// A control.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Covered {
    /// Which.
    pub control: Id,
    /// How it stands with it.
    pub standing: Standing,
    /// What claims it.
    pub claims: Vec<Claim>,
    /// What is there to prove it.
    pub evidence: Vec<Evidence>,
}

/// How it stands with a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Everything that claims it was looked at, and nothing was found.
    Proved,
    /// Of some that claim it nothing looked at them.
    PartlyProved,
    /// A rule or a check says that it does not hold.
    DoesNotHold,
    /// What was found is let pass by a waiver that counts.
    Waived,
    /// It is claimed, and nothing proves it.
    ClaimedNotProved,
    /// Rules or checks hold, and nothing claims it.
    ProvedNotClaimed,
    /// Rules are for it; nothing claims it, and they had nothing to look at.
    NotAsked,
}

/// Something that claims a control.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Claim {
    /// Which.
    pub address: Address,
    /// Whether something looked at it and found nothing.
    pub proved: bool,
}

/// What a rule or a check has to say of a control.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Evidence {
    /// Who says it.
    #[serde(flatten)]
    pub by: By,
    /// What.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Of what.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub of: BTreeSet<Address>,
    /// Whether it is of the environment as a whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// At which run; `None` where nobody applied the plan, or where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Evidence {
    /// Whether it says something of this thing. Whoever wrote a check says what it proves of the environment; a rule that looked at
    /// all of a plan says nothing of one thing in it.
    pub(super) fn looked_at(&self, address: &Address) -> bool {
        let of_all = self.whole && matches!(self.by, By::Check { .. });
        self.outcome.looked() && (self.of.contains(address) || of_all)
    }
}

/// Who says something of a control.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum By {
    /// A rule.
    Rule {
        /// Its pack.
        pack: String,
        /// Its name.
        rule: String,
    },
    /// A check, a `verify` block, or one of a phase's gate.
    Check {
        /// `check.web`, `helm.web/ready`, `phase.cluster/nodes`.
        check: Arc<str>,
    },
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule { pack, rule } => write!(f, "{pack}/{rule}"),
            Self::Check { check } => f.write_str(check),
        }
    }
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It looked, and found nothing.
    Passed,
    /// A rule denies.
    Denied {
        /// So many findings.
        findings: usize,
        /// The first in a sentence.
        said: String,
    },
    /// A rule warns.
    Warned {
        /// So many findings.
        findings: usize,
        /// The first in a sentence.
        said: String,
    },
    /// Whatever a rule found is let pass.
    Waived {
        /// By these.
        waivers: Vec<Waiver>,
        /// The first finding in a sentence.
        said: String,
    },
    /// A check did not pass.
    Failed {
        /// What was measured.
        said: String,
    },
    /// A rule had nothing to look at: it proves nothing.
    NothingToLookAt,
    /// A check was not asked yet.
    NotAsked,
}

impl Outcome {
    /// Whether it says that the control does not hold.
    #[must_use]
    pub const fn fails(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::Warned { .. } | Self::Failed { .. })
    }

    /// Whether anything was looked at.
    #[must_use]
    pub const fn looked(&self) -> bool {
        !matches!(self, Self::NothingToLookAt | Self::NotAsked)
    }
}

/// The controls that a plan claims and its rules and checks are for.
#[must_use]
pub fn coverage(basis: &Basis<'_>) -> Coverage {
    let mut book = Book { basis, controls: BTreeMap::new() };
    book.claims();
    let told = book.rules();
    book.checks();
    let packs = basis.account.judgement.packs.clone();
    let controls = book.controls.into_iter().map(|(control, entry)| entry.covered(control)).collect();
    Coverage { packs, told, controls }
}

/// What is gathered of a control.
#[derive(Default)]
struct Entry {
    claims: BTreeSet<Address>,
    evidence: Vec<Evidence>,
    /// What was found in which thing; of the environment as a whole where there is none.
    found: BTreeSet<Option<Address>>,
}

struct Book<'a> {
    basis: &'a Basis<'a>,
    controls: BTreeMap<Id, Entry>,
}

impl Book<'_> {
    fn claims(&mut self) {
        for (address, controls) in &self.basis.account.claims {
            for control in controls {
                self.controls.entry(Id::of(control)).or_default().claims.insert(address.clone());
            }
        }
    }

    /// What rules said; whether the judgement tells what each looked at.
    fn rules(&mut self) -> bool {
        let judgement = &self.basis.account.judgement;
        let at = self.basis.account.made.or_else(|| self.basis.run.map(|run| run.started));
        let run = self.basis.run.map(|run| run.id.clone());
        let mut found: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
        for finding in &judgement.findings {
            found.entry((&finding.pack, &finding.rule)).or_default().push(finding);
        }
        let mut asked: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut said: Vec<(&[String], Evidence, Vec<&Finding>)> = Vec::new();
        let rule = |pack: &str, rule: &str| By::Rule { pack: pack.to_owned(), rule: rule.to_owned() };
        for one in &judgement.asked {
            let key = (one.pack.as_str(), one.rule.as_str());
            asked.insert(key);
            let findings = found.get(&key).cloned().unwrap_or_default();
            let outcome = if findings.is_empty() && !one.looked() { Outcome::NothingToLookAt } else { told(&findings) };
            let of = one.of.iter().map(Address::plain).collect();
            let (run, by) = (run.clone(), rule(&one.pack, &one.rule));
            said.push((&one.controls, Evidence { by, outcome, of, whole: one.whole, run, at }, findings));
        }
        for (key, findings) in found.iter().filter(|(key, _)| !asked.contains(*key)) {
            let of = findings.iter().filter_map(|finding| finding.address.as_ref()).map(Address::plain).collect();
            let whole = findings.iter().any(|finding| finding.address.is_none());
            let (run, by) = (run.clone(), rule(key.0, key.1));
            let controls = findings.first().map(|finding| finding.controls.as_slice()).unwrap_or_default();
            said.push((controls, Evidence { by, outcome: told(findings), of, whole, run, at }, findings.clone()));
        }
        for (controls, evidence, findings) in said {
            for control in controls {
                let entry = self.controls.entry(Id::of(control)).or_default();
                entry.evidence.push(evidence.clone());
                entry.found.extend(findings.iter().map(|finding| finding.address.as_ref().map(Address::plain)));
            }
        }
        !judgement.asked.is_empty() || judgement.rules == 0
    }

    fn checks(&mut self) {
        for asks in &self.basis.account.checks {
            self.check(asks);
        }
    }

    fn check(&mut self, asks: &Asks) {
        let Asks { check, of, controls } = asks;
        let verdict = self.basis.verdicts.get(check);
        let outcome = match verdict {
            None => Outcome::NotAsked,
            Some(verdict) if verdict.passed => Outcome::Passed,
            Some(verdict) => Outcome::Failed { said: verdict.said.clone() },
        };
        let evidence = Evidence {
            by: By::Check { check: check.clone() },
            of: of.iter().cloned().collect(),
            whole: of.is_none(),
            run: verdict.and_then(|verdict| self.run_at(verdict.at)),
            at: verdict.map(|verdict| verdict.at),
            outcome,
        };
        for control in controls {
            let entry = self.controls.entry(Id::of(control)).or_default();
            if evidence.outcome.fails() {
                entry.found.insert(of.clone());
            }
            entry.evidence.push(evidence.clone());
        }
    }

    /// The run in which something was measured.
    fn run_at(&self, at: Timestamp) -> Option<RunId> {
        let during = |run: &&Run| run.started <= at && run.end.is_none_or(|(_, end)| at <= end);
        self.basis.runs.iter().rev().find(during).map(|run| run.id.clone())
    }
}

/// What findings of one rule come to.
fn told(findings: &[&Finding]) -> Outcome {
    let Some(first) = findings.first() else { return Outcome::Passed };
    let said = |finding: &Finding| match &finding.address {
        Some(address) => format!("{address}: {}", finding.what),
        None => finding.what.clone(),
    };
    let open: Vec<&Finding> = findings.iter().copied().filter(|finding| !finding.is_waived()).collect();
    let worst = open.iter().find(|finding| finding.severity == Severity::Deny);
    match (worst, open.first()) {
        (Some(worst), _) => Outcome::Denied { findings: open.len(), said: said(worst) },
        (None, Some(warns)) => Outcome::Warned { findings: open.len(), said: said(warns) },
        (None, None) => {
            let waivers = findings.iter().filter_map(|finding| finding.waiver.as_ref());
            let waivers: BTreeMap<&str, &Waiver> = waivers.map(|waiver| (waiver.name.as_str(), waiver)).collect();
            Outcome::Waived { waivers: waivers.into_values().cloned().collect(), said: said(first) }
        }
    }
}

impl Entry {
    fn covered(self, control: Id) -> Covered {
        let Self { claims, mut evidence, found } = self;
        evidence.sort_by(|a, b| (!a.outcome.looked(), &a.by).cmp(&(!b.outcome.looked(), &b.by)));
        evidence.dedup();
        let whole = found.contains(&None);
        let proved = |address: &Address| {
            !whole && !found.contains(&Some(address.clone())) && evidence.iter().any(|one| one.looked_at(address))
        };
        let claims: Vec<Claim> =
            claims.into_iter().map(|address| Claim { proved: proved(&address), address }).collect();
        let any = |wanted: fn(&Evidence) -> bool| evidence.iter().any(wanted);
        let standing = if any(|one| one.outcome.fails()) {
            Standing::DoesNotHold
        } else if any(|one| matches!(one.outcome, Outcome::Waived { .. })) {
            Standing::Waived
        } else if claims.is_empty() {
            if any(|one| one.outcome.looked()) { Standing::ProvedNotClaimed } else { Standing::NotAsked }
        } else if claims.iter().all(|claim| claim.proved) {
            Standing::Proved
        } else if claims.iter().any(|claim| claim.proved) {
            Standing::PartlyProved
        } else {
            Standing::ClaimedNotProved
        };
        Covered { control, standing, claims, evidence }
    }
}

#[cfg(test)]
pub(super) mod tests;
