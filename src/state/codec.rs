//! How the log and the snapshot are written: one JSON object a line, versioned and checksummed.

use crate::state::{Record, Snapshot};
use sha2::{Digest as _, Sha256};

/// The version of both formats that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Why stored state could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by a newer terrace.
    #[error("the state has format {found}, and this terrace reads up to {FORMAT}; use the newer terrace")]
    Newer {
        /// The format found.
        found: u64,
    },
    /// A line in the middle is damaged: not a torn tail.
    #[error("record {line} of the state's log is damaged ({why})")]
    Damaged {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The snapshot is damaged.
    #[error("the state's snapshot is damaged ({0})")]
    Snapshot(String),
    /// An object of the log is missing or damaged.
    #[error("a piece of the state's log is damaged or missing ({0})")]
    Piece(String),
}

/// One record as a line with its number and checksum.
pub(super) fn encode(number: u64, record: &Record, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let body = serde_json::to_vec(record)?;
    out.extend_from_slice(
        format!("{{\"v\":{FORMAT},\"n\":{number},\"c\":\"{}\",\"r\":", checksum(number, &body)).as_bytes(),
    );
    out.extend_from_slice(&body);
    out.extend_from_slice(b"}\n");
    Ok(())
}

fn checksum(number: u64, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(number.to_be_bytes());
    hash.update(body);
    hex::encode(&hash.finalize()[..8])
}

#[derive(serde::Deserialize)]
struct Line<'a> {
    v: u64,
    n: u64,
    c: String,
    #[serde(borrow)]
    r: &'a serde_json::value::RawValue,
}

/// Folds a log into a snapshot. A damaged last line is a torn write and is left out; one in the middle is an error,
/// unless it is directly followed by a repetition of its number (a torn line that was ended and written again).
pub(super) fn replay(log: &[u8], snapshot: &mut Snapshot) -> Result<(), CodecError> {
    let mut damaged: Option<CodecError> = None;
    for (at, line) in log.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        match decode(at + 1, line) {
            Ok((number, record)) => {
                if number > snapshot.records + 1 {
                    return Err(damaged.unwrap_or(CodecError::Damaged {
                        line: at + 1,
                        why: format!("records {} to {} are missing", snapshot.records + 1, number - 1),
                    }));
                }
                damaged = None;
                if number > snapshot.records {
                    snapshot.fold(record);
                }
            }
            Err(newer @ CodecError::Newer { .. }) => return Err(newer),
            Err(error) => damaged = Some(damaged.unwrap_or(error)),
        }
    }
    Ok(())
}

/// How far a log could be read.
pub(super) struct Read {
    /// Where what is good ends.
    pub(super) good: usize,
    /// How many records are before that.
    pub(super) records: usize,
    /// Why it goes no further; `None` at the end, and before a last line that is torn.
    pub(super) error: Option<CodecError>,
}

/// Folds as much of a log into a snapshot as can be read.
pub(super) fn read(log: &[u8], snapshot: &mut Snapshot) -> Read {
    let mut out = Read { good: 0, records: 0, error: None };
    let mut start = 0;
    for (at, line) in log.split_inclusive(|b| *b == b'\n').enumerate() {
        let end = start + line.len();
        start = end;
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if text.is_empty() {
            continue;
        }
        match decode(at + 1, text) {
            Ok((number, _)) if number > snapshot.records + 1 => {
                let why = format!("records {} to {} are missing", snapshot.records + 1, number - 1);
                out.error.get_or_insert(CodecError::Damaged { line: at + 1, why });
                return out;
            }
            Ok((number, record)) => {
                if number > snapshot.records {
                    snapshot.fold(record);
                }
                // A torn line that was ended and written again is no damage.
                out = Read { good: end, records: out.records + 1, error: None };
            }
            Err(newer @ CodecError::Newer { .. }) => return Read { error: Some(newer), ..out },
            Err(error) if text.len() < line.len() => {
                out.error.get_or_insert(error);
            }
            Err(_) => {}
        }
    }
    out
}

/// The lines of a log, each ended; without a last one that is torn.
pub(super) fn whole_lines(log: &[u8]) -> Vec<u8> {
    let end = log.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    if end < log.len() && decode(1, &log[end..]).is_ok() {
        return [log, b"\n"].concat();
    }
    log[..end].to_vec()
}

fn decode(at: usize, line: &[u8]) -> Result<(u64, Record), CodecError> {
    let bad = |why: String| CodecError::Damaged { line: at, why };
    let parsed: Line<'_> = serde_json::from_slice(line).map_err(|e| bad(e.to_string()))?;
    if parsed.v > u64::from(FORMAT) {
        return Err(CodecError::Newer { found: parsed.v });
    }
    if parsed.v == 0 || checksum(parsed.n, parsed.r.get().as_bytes()) != parsed.c {
        return Err(bad("its checksum does not match".to_owned()));
    }
    let record = serde_json::from_str(parsed.r.get()).map_err(|e| bad(e.to_string()))?;
    Ok((parsed.n, record))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Whole<S> {
    format: u64,
    checksum: String,
    state: S,
}

/// The snapshot as one JSON document.
pub(super) fn encode_snapshot(snapshot: &Snapshot) -> Result<Vec<u8>, serde_json::Error> {
    let body = serde_json::to_vec(snapshot)?;
    let mut out = format!("{{\"format\":{FORMAT},\"checksum\":\"{}\",\"state\":", checksum(0, &body)).into_bytes();
    out.extend_from_slice(&body);
    out.extend_from_slice(b"}\n");
    Ok(out)
}

/// Reads a snapshot back.
pub(super) fn decode_snapshot(bytes: &[u8]) -> Result<Snapshot, CodecError> {
    let bad = |e: serde_json::Error| CodecError::Snapshot(e.to_string());
    let whole: Whole<&serde_json::value::RawValue> = serde_json::from_slice(bytes).map_err(bad)?;
    if whole.format > u64::from(FORMAT) {
        return Err(CodecError::Newer { found: whole.format });
    }
    if checksum(0, whole.state.get().as_bytes()) != whole.checksum {
        return Err(CodecError::Snapshot("its checksum does not match".to_owned()));
    }
    let mut snapshot: Snapshot = serde_json::from_str(whole.state.get()).map_err(bad)?;
    snapshot.after_load();
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Address;

    fn gone(name: &str) -> Record {
        Record::Gone { address: Address::root("value", name) }
    }

    fn log(records: &[Record]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, record) in records.iter().enumerate() {
            encode(at as u64 + 1, record, &mut out).unwrap();
        }
        out
    }

    #[test]
    fn a_log_cut_anywhere_reads_as_the_records_before_the_cut() {
        let whole = log(&[gone("a"), gone("b"), gone("c")]);
        for cut in 0..=whole.len() {
            let mut snapshot = Snapshot::default();
            replay(&whole[..cut], &mut snapshot).unwrap();
            let complete = whole[..cut].split(|b| *b == b'\n').count() as u64 - 1;
            // The last line may be whole but for its line end.
            assert!(snapshot.records == complete || snapshot.records == complete + 1, "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_record_in_the_middle_is_named() {
        let mut whole = log(&[gone("a"), gone("b"), gone("c")]);
        let middle = whole.iter().position(|b| *b == b'\n').unwrap() + 20;
        whole[middle + 40] ^= 1;
        let error = replay(&whole, &mut Snapshot::default()).unwrap_err();
        assert!(matches!(error, CodecError::Damaged { line: 2, .. }), "{error}");
    }

    #[test]
    fn what_can_be_read_ends_at_the_first_damage_and_says_why() {
        let whole = log(&[gone("a"), gone("b"), gone("c")]);
        let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
        for cut in 0..=whole.len() {
            let mut snapshot = Snapshot::default();
            let found = read(&whole[..cut], &mut snapshot);
            assert_eq!(
                (found.error, snapshot.records),
                (None, found.records as u64),
                "a cut is torn, not damaged: {cut}"
            );
            assert!(found.good <= cut && cut - found.good < whole.len());
        }
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            let line = ends.iter().filter(|end| **end <= at).count();
            let mut snapshot = Snapshot::default();
            let found = read(&altered, &mut snapshot);
            assert!(found.records <= line || altered[at] == b'\n' || whole[at] == b'\n', "byte {at}");
            assert!(found.error.is_some() || at + 1 == whole.len() || whole[at] == b'\n', "byte {at}");
        }
    }

    #[test]
    fn whole_lines_leave_out_only_what_is_torn() {
        let whole = log(&[gone("a"), gone("b")]);
        assert_eq!(whole_lines(&whole), whole);
        assert_eq!(whole_lines(&whole[..whole.len() - 1]), whole, "only its end is missing");
        let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        assert_eq!(whole_lines(&whole[..whole.len() - 2]), whole[..first]);
    }

    #[test]
    fn a_torn_line_that_was_written_again_is_no_damage() {
        let mut whole = log(&[gone("a")]);
        whole.extend_from_slice(b"{\"v\":1,\"n\":2,\"c\":\"00\n");
        encode(2, &gone("b"), &mut whole).unwrap();
        let mut snapshot = Snapshot::default();
        replay(&whole, &mut snapshot).unwrap();
        assert_eq!(snapshot.records, 2);
    }

    #[test]
    fn state_of_a_newer_terrace_is_refused_by_name() {
        let line = b"{\"v\":2,\"n\":1,\"c\":\"\",\"r\":{\"record\":\"from the future\"}}\n";
        assert_eq!(replay(line, &mut Snapshot::default()), Err(CodecError::Newer { found: 2 }));
        let whole = br#"{"format":9,"checksum":"","state":{}}"#;
        assert_eq!(decode_snapshot(whole), Err(CodecError::Newer { found: 9 }));
    }

    #[test]
    fn a_snapshot_reads_back_as_it_was_written() {
        let mut snapshot = Snapshot { lineage: "l".into(), ..Snapshot::default() };
        snapshot.fold(gone("a"));
        let bytes = encode_snapshot(&snapshot).unwrap();
        assert_eq!(decode_snapshot(&bytes).unwrap(), snapshot);
    }
}
