//! Approvals: facts of their own, one object each under the approver's own prefix, never changed (rules 28 and 43).

use crate::{
    base::Digest,
    state::{
        Actor,
        audit::{self, Act, Deed},
        facts,
    },
    world::{Class, Entropy, Failure, Ledger, Outcome},
};
use jiff::Timestamp;

/// What their names begin with; the approver's own name comes next, so that a policy can let each write only there.
const PREFIX: &str = "approvals/";
/// The version of these objects.
const FORMAT: u32 = 1;

/// Somebody agreed to a plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Approval {
    /// The version of its format.
    pub format: u32,
    /// The plan.
    pub plan: Digest,
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl Approval {
    /// An approval given now.
    #[must_use]
    pub const fn new(plan: Digest, by: Actor, at: Timestamp, reason: Option<String>) -> Self {
        Self { format: FORMAT, plan, by, at, reason }
    }
}

/// The part of a key that is an approver's own. On AWS it is the caller's unique id, so that a policy can say
/// `approvals/${aws:userid}/*`.
#[must_use]
pub fn prefix_of(by: &Actor) -> String {
    let own = if by.id.is_empty() { &by.arn } else { &by.id };
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.@=+:".contains(c) { c } else { '-' };
    format!("{PREFIX}{}/", own.chars().map(plain).collect::<String>())
}

/// Writes an approval down.
///
/// # Errors
/// A storage that fails.
pub async fn approve(ledger: &dyn Ledger, entropy: &dyn Entropy, approval: &Approval, from: &str) -> Outcome<()> {
    let act = Act::new(approval.at, approval.by.clone(), from, Deed::Approval, "approve");
    let act = Act { plan: Some(approval.plan.clone()), reason: approval.reason.clone(), ..act };
    audit::record(ledger, &act).await?;
    let content = serde_json::to_vec(approval)
        .map_err(|e| Failure::new(Class::Local, "write state", "approvals", e.to_string()))?;
    loop {
        let name = format!("{}{}-{:08x}.json", prefix_of(&approval.by), approval.plan.short(), entropy.next() >> 32);
        if ledger.put_new(&name, &content).await? {
            return Ok(());
        }
    }
}

/// The approvals of a plan, oldest first. Who wrote under another's prefix is not heard.
///
/// # Errors
/// A storage that fails, or an approval that cannot be read: nothing is applied then.
pub async fn approvals(ledger: &dyn Ledger, plan: &Digest) -> Outcome<Vec<Approval>> {
    let all: Vec<(String, Approval)> = facts::objects(ledger, PREFIX).await?;
    let own = all.into_iter().filter(|(name, approval)| name.starts_with(&prefix_of(&approval.by)));
    let mut found: Vec<Approval> = own.map(|(_, approval)| approval).filter(|a| a.plan == *plan).collect();
    found.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.by.arn.cmp(&b.by.arn)));
    Ok(found)
}
