//! Plans that wait for approval: stored in the environment's state by their digest, until they are applied or stale (rule 28).

use crate::{
    base::Digest,
    plan::{self, Saved},
    world::{Class, Failure, Ledger, Outcome},
};

/// What their names begin with.
const PREFIX: &str = "waiting/";

fn name(digest: &Digest) -> String {
    format!("{PREFIX}{}", digest.hex())
}

/// Stores a plan.
///
/// # Errors
/// A storage that fails.
pub async fn keep(ledger: &dyn Ledger, saved: &Saved) -> Outcome<()> {
    let bytes = plan::write(saved).map_err(|e| Failure::new(Class::Local, "store plan", "", e.to_string()))?;
    ledger.put(&name(&saved.digest), &bytes).await
}

/// All plans that wait, in the order of their digests.
///
/// # Errors
/// A storage that fails, or a plan that cannot be read.
pub async fn waiting(ledger: &dyn Ledger) -> Outcome<Vec<Saved>> {
    let mut found = Vec::new();
    for name in ledger.list(PREFIX).await? {
        let Some(bytes) = ledger.get(&name).await? else { continue };
        let saved = plan::read(&bytes);
        found.push(saved.map_err(|e| Failure::new(Class::Local, "read plan", &name, e.to_string()))?);
    }
    Ok(found)
}

/// Takes a plan away.
///
/// # Errors
/// A storage that fails.
pub async fn forget(ledger: &dyn Ledger, digest: &Digest) -> Outcome<()> {
    ledger.delete(&name(digest)).await
}
