//! The rules that an environment was last changed under: weaker ones count only after a run that passed these (rule 26).
//!
//! They are an object beside the state's log, whole and named by its digest, so that a pack that is gone from the project can still judge.

use super::{
    Strictness,
    own::{OwnRule, RULES},
    pack::{self, Pack},
};
use crate::{
    base::{Diagnostics, Digest, canonical_json},
    lang::MemorySources,
    plan::Severity,
    world::{Class, Failure, Ledger, Outcome},
};
use std::collections::BTreeMap;

/// The version of these objects that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// What their names begin with.
const PREFIX: &str = "rules/";

/// The rules that a run was judged by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RuleBook {
    format: u32,
    /// Packs by their folder, and of each the files that judge.
    packs: BTreeMap<String, BTreeMap<String, String>>,
    /// How bad single rules were.
    severity: Strictness,
    /// Whether the environment was protected: Terrace's own rules are stricter there.
    #[serde(default)]
    protected: bool,
}

impl RuleBook {
    /// These rules.
    #[must_use]
    pub fn new(packs: &[Pack], strictness: &Strictness, protected: bool) -> Self {
        let files = |pack: &Pack| pack.judging_files().map(|(path, text)| (path, text.to_string())).collect();
        let packs = packs.iter().map(|pack| (pack.folder.clone(), files(pack))).collect();
        Self { format: FORMAT, packs, severity: strictness.clone(), protected }
    }

    /// Keeps them, and says by which name.
    ///
    /// # Errors
    /// A storage that fails.
    pub async fn keep(&self, ledger: &dyn Ledger) -> Outcome<Digest> {
        let content =
            canonical_json(self).map_err(|e| Failure::new(Class::Local, "keep rules", PREFIX, e.to_string()))?;
        let digest = Digest::of(&content);
        ledger.put_new(&name(&digest), &content).await?;
        Ok(digest)
    }

    /// Reads those of this name.
    ///
    /// # Errors
    /// A storage that fails; rules that are gone, altered, or of a newer Terrace: nobody may take that for "there were none".
    pub async fn read(ledger: &dyn Ledger, digest: &Digest) -> Outcome<Self> {
        let name = name(digest);
        let wrong = |class, why: &str| {
            Failure::new(class, "read the rules of the last change", name.as_str(), why)
                .hint("put the object back from a backup of the state's storage; nothing is judged without it")
        };
        let content = ledger.get(&name).await?.ok_or_else(|| wrong(Class::NotFound, "it is gone"))?;
        if Digest::of(&content) != *digest {
            return Err(wrong(Class::Invalid, "it was altered: its content does not have its digest"));
        }
        let book: Self = serde_json::from_slice(&content).map_err(|e| wrong(Class::Invalid, &e.to_string()))?;
        if book.format > FORMAT {
            return Err(wrong(Class::Invalid, "it was written by a newer version of terrace"));
        }
        Ok(book)
    }

    /// Its packs.
    ///
    /// # Errors
    /// All that is wrong with them: this version may ask more of a pack than the one that kept it.
    pub fn packs(&self) -> Result<Vec<Pack>, Diagnostics> {
        let files = self.packs.values().flatten();
        let sources = MemorySources(files.map(|(path, text)| (path.clone(), text.as_bytes().into())).collect());
        let (mut packs, mut problems) = (Vec::new(), Diagnostics::new());
        for folder in self.packs.keys() {
            match pack::read(folder, &sources) {
                Ok(pack) => packs.push(pack),
                Err(wrong) => problems.extend(wrong),
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(packs) }
    }

    /// How bad its packs' rules were.
    #[must_use]
    pub const fn strictness(&self) -> &Strictness {
        &self.severity
    }

    /// The rules that were worse than they are declared to be now, with how bad they were. `kept` are its own packs, `packs` those of now.
    #[must_use]
    pub fn lowered(&self, kept: &[Pack], packs: &[Pack], now: &Strictness, protected: bool) -> Strictness {
        let declared: BTreeMap<&str, Severity> = rules(packs).collect();
        let by_itself = |rule: &OwnRule, protected| if protected { Some(rule.protected) } else { rule.elsewhere };
        let own = RULES.iter().map(|rule| (rule.name, by_itself(rule, self.protected), by_itself(rule, protected)));
        let of_packs = rules(kept).filter_map(|(name, severity)| {
            // One that is gone is asked as it was; this is about those that are there.
            declared.get(name).map(|is| (name, Some(severity), Some(*is)))
        });
        let lowered = own.chain(of_packs).filter_map(|(name, was, is)| {
            let was = self.severity.get(name).copied().or(was)?;
            let is = now.get(name).copied().or(is);
            is.is_none_or(|is| was < is).then(|| (name.to_owned(), was))
        });
        lowered.collect()
    }
}

fn rules(packs: &[Pack]) -> impl Iterator<Item = (&str, Severity)> {
    packs.iter().flat_map(|pack| pack.rules.values()).map(|rule| (rule.name.as_str(), rule.severity))
}

fn name(digest: &Digest) -> String {
    format!("{PREFIX}{}.json", digest.hex())
}

#[cfg(test)]
mod tests;
