//! The saved plan file: content, digest, attachment, as one JSON document.

use crate::{
    base::{ActionWord, Address, Digest, canonical_json},
    plan::{Attachment, FORMAT, Mode, Plan, Saved},
};

/// Why a file is no plan that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not a plan at all.
    #[error("this is not a saved plan: {0}")]
    NotAPlan(String),
    /// Written by a newer terrace.
    #[error("this plan has format {found}, and this terrace reads up to {FORMAT}; use the newer terrace")]
    Newer {
        /// The format found.
        found: u64,
    },
    /// Its content is not what its digest says.
    #[error("this plan was altered: its content does not have the digest that it names")]
    Altered,
    /// It does what no plan of its mode does: gates and rules are asked by the mode.
    #[error("this plan was altered: a plan that is said to be `{mode}` does not {action} {address}")]
    BeyondItsMode {
        /// What it says of itself.
        mode: String,
        /// What it would do all the same.
        action: &'static str,
        /// To what.
        address: Address,
    },
}

/// A plan and its attachment, ready to be written.
///
/// # Errors
/// A sensitive leaf that was not sealed, which is a defect.
pub fn saved(content: Plan, attachment: Attachment) -> Result<Saved, serde_json::Error> {
    let digest = content.digest()?;
    Ok(Saved { content, digest, attachment })
}

/// The file's bytes.
///
/// # Errors
/// As [`saved`].
pub fn write(saved: &Saved) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = canonical_json(&serde_json::json!({
        "terrace_plan": FORMAT,
        "digest": saved.digest,
        "content": serde_json::to_value(&saved.content)?,
        "attachment": saved.attachment,
    }))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a file.
///
/// # Errors
/// As [`ReadError`] says.
pub fn read(bytes: &[u8]) -> Result<Saved, ReadError> {
    let not = |e: serde_json::Error| ReadError::NotAPlan(e.to_string());
    let json: serde_json::Value = serde_json::from_slice(bytes).map_err(not)?;
    let format = json["terrace_plan"].as_u64().ok_or_else(|| ReadError::NotAPlan("it does not say so".to_owned()))?;
    if format > u64::from(FORMAT) {
        return Err(ReadError::Newer { found: format });
    }
    let content: Plan = serde_json::from_value(json["content"].clone()).map_err(not)?;
    let digest: Digest = serde_json::from_value(json["digest"].clone()).map_err(not)?;
    let attachment: Attachment = serde_json::from_value(json["attachment"].clone()).map_err(not)?;
    if Digest::of_json(&json["content"]).map_err(not)? != digest || content.digest().map_err(not)? != digest {
        return Err(ReadError::Altered);
    }
    let mode = content.header.mode;
    if let Some(node) = content.nodes.iter().find(|node| node.action != ActionWord::Defer && !mode.allows(node.action))
    {
        let mode = format!("{mode:?}").to_lowercase();
        return Err(ReadError::BeyondItsMode { mode, action: node.action.word(), address: node.address.clone() });
    }
    if matches!(mode, Mode::Verify | Mode::Retire | Mode::RefreshOnly | Mode::Import)
        && let Some(node) = content.nodes.iter().find(|node| node.deferral.is_some())
    {
        let (mode, address) = (format!("{mode:?}").to_lowercase(), node.address.clone());
        return Err(ReadError::BeyondItsMode { mode, action: "plan later", address });
    }
    Ok(Saved { content, digest, attachment })
}
