//! One object of the log: a line with format and checksum, a line that says what it is, and what was appended.

use crate::{
    base::Digest,
    world::{Class, Failure, LockOwner, Moved},
};

/// The version that this build writes, and the newest that it reads.
const VERSION: u64 = 1;
/// How each segment begins.
const MAGIC: &str = "terrace-state";

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Somebody takes the lock, under a new epoch.
    Lock,
    /// Its owner gives it back.
    Unlock,
    /// Somebody else takes it away from its owner.
    Break,
    /// Lines of the log.
    Records,
    /// All that was before, compacted.
    Snapshot,
    /// The state lives elsewhere now.
    Moved,
}

/// The second line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Header {
    /// What it is.
    pub(super) kind: Kind,
    /// Its place in the log, as its key says too.
    pub(super) number: u64,
    /// The epoch it was written under. Epochs never fall along the log.
    pub(super) epoch: u64,
    /// The snapshot that it stands on, itself where it is one; 0 where there is none yet.
    pub(super) base: u64,
    /// Who holds the lock from here on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) owner: Option<LockOwner>,
    /// How long the owner may be silent, in milliseconds.
    pub(super) lease: u64,
    /// Segments below the base that stay for ever: each stands where an owner that was taken over would write next.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) kept: Vec<u64>,
    /// Where the state lives now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) moved: Option<Moved>,
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// What it says of itself.
    pub(super) header: Header,
    /// The rest.
    pub(super) body: Vec<u8>,
}

impl Header {
    /// The header of a segment.
    pub(super) const fn new(kind: Kind, number: u64, epoch: u64) -> Self {
        Self { kind, number, epoch, base: 0, owner: None, lease: 0, kept: Vec::new(), moved: None }
    }

    /// The object's content.
    pub(super) fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut rest = serde_json::to_vec(self).expect("invariant: a header has string keys only");
        rest.push(b'\n');
        rest.extend_from_slice(body);
        let mut out = format!("{MAGIC} {VERSION} {}\n", Digest::of(&rest)).into_bytes();
        out.append(&mut rest);
        out
    }
}

/// Reads a segment.
///
/// # Errors
/// `Invalid` for what is damaged, `Unsupported` for what a newer terrace wrote. The failure's subject is the key.
pub(super) fn decode(key: &str, number: u64, content: &[u8]) -> Result<Segment, Failure> {
    let damaged =
        |why: String| Failure::new(Class::Invalid, "read state", key, format!("the segment is damaged: {why}"));
    let (first, rest) = line(content).ok_or_else(|| damaged("it has no first line".to_owned()))?;
    let first = String::from_utf8_lossy(first);
    let mut words = first.splitn(3, ' ');
    let (Some(MAGIC), Some(version), Some(digest)) = (words.next(), words.next(), words.next()) else {
        return Err(damaged("it does not begin as one".to_owned()));
    };
    if let Ok(found) = version.parse::<u64>()
        && found > VERSION
    {
        let message = format!("the state has format {found}, and this terrace reads up to {VERSION}");
        return Err(Failure::new(Class::Unsupported, "read state", key, message).hint("use the newer terrace"));
    }
    if version != VERSION.to_string() || digest != Digest::of(rest).as_str() {
        return Err(damaged("its checksum does not match".to_owned()));
    }
    let (header, body) = line(rest).ok_or_else(|| damaged("it has no header".to_owned()))?;
    let header: Header = serde_json::from_slice(header).map_err(|e| damaged(e.to_string()))?;
    if header.number != number {
        return Err(damaged("it was written under another key".to_owned()));
    }
    Ok(Segment { header, body: body.to_vec() })
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_reads_back_and_any_changed_byte_is_seen() {
        let bytes = Header::new(Kind::Records, 7, 3).encode(b"a\nb\n");
        assert_eq!(decode("k", 7, &bytes).unwrap().body, b"a\nb\n");
        assert!(decode("k", 8, &bytes).is_err(), "copied to another place");
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x01;
            assert!(decode("k", 7, &altered).is_err(), "byte {at}");
        }
        for cut in 0..bytes.len() {
            assert!(decode("k", 7, &bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_segment_of_a_newer_terrace_is_refused_by_name() {
        let failure = decode("k", 1, b"terrace-state 2 something else\n").unwrap_err();
        assert_eq!(failure.class, Class::Unsupported);
    }
}
