//! What people ask of a rollout under way: an object each beside the log, appended without its lock, also while a run is open
//! (rule 28). The run that drives the rollout takes each in once, in their order.

use crate::{
    base::Address,
    state::{
        Actor, RunId,
        audit::{self, Act, Deed},
        facts::{FORMAT, damaged, new_name},
    },
    world::{Entropy, Ledger, Outcome},
};
use jiff::Timestamp;

/// What their names begin with.
const PREFIX: &str = "controls/";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum Verb {
    /// Stay as it is until somebody resumes.
    Pause,
    /// Go on.
    Resume,
    /// Let the step go.
    Promote {
        /// Skip all that is left.
        full: bool,
    },
    /// All traffic back.
    Abort,
}

impl Verb {
    /// The command that says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote { full: false } => "promote",
            Self::Promote { full: true } => "promote --full",
            Self::Abort => "abort",
        }
    }
}

/// A word of a person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Control {
    /// The version of its format.
    pub format: u32,
    /// What is rolled out.
    pub unit: Address,
    /// The run that rolls it out: a later one does not hear it.
    pub run: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What.
    #[serde(flatten)]
    pub verb: Verb,
}

impl Control {
    /// A word said now.
    #[must_use]
    pub const fn new(unit: Address, run: String, at: Timestamp, by: Actor, reason: Option<String>, verb: Verb) -> Self {
        Self { format: FORMAT, unit, run, at, by, reason, verb }
    }

    /// Writes it down. Never over another one.
    ///
    /// # Errors
    /// A storage that fails.
    pub async fn record(&self, ledger: &dyn Ledger, entropy: &dyn Entropy, from: &str) -> Outcome<()> {
        let what = format!("rollout {} of {}", self.verb.word(), self.unit);
        let act = Act::new(self.at, self.by.clone(), from, Deed::Rollout, what);
        let act = Act { run: Some(RunId(self.run.as_str().into())), reason: self.reason.clone(), ..act };
        audit::record(ledger, &act).await?;
        let content = serde_json::to_vec(self).map_err(|e| damaged("controls", &e.to_string()))?;
        while !ledger.put_new(&new_name(ledger, entropy, PREFIX, self.at).await?, &content).await? {}
        Ok(())
    }

    /// All of a run with their names, oldest first; and the names of what cannot be read, which says nothing to anybody.
    ///
    /// # Errors
    /// A storage that fails.
    pub async fn all(ledger: &dyn Ledger, run: &str) -> Outcome<(Vec<(String, Self)>, Vec<String>)> {
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        for name in ledger.list(PREFIX).await? {
            let Some(content) = ledger.get(&name).await? else { continue };
            match serde_json::from_slice::<Self>(&content) {
                Ok(control) if control.format <= FORMAT && control.run == run => found.push((name, control)),
                Ok(control) if control.format <= FORMAT => {}
                _ => unreadable.push(name),
            }
        }
        Ok((found, unreadable))
    }

    /// Takes away those of a run that has ended.
    ///
    /// # Errors
    /// A storage that fails.
    pub async fn clear(ledger: &dyn Ledger, run: &str) -> Outcome<()> {
        for (name, _) in Self::all(ledger, run).await?.0 {
            ledger.delete(&name).await?;
        }
        Ok(())
    }
}
