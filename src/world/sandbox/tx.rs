//! One transaction over the sandbox's tables: what every part of the sandbox reads and writes through.

use crate::base::later;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// One write: table, key, and the value, or nothing for a deletion.
pub(super) type Write = (String, String, Option<Json>);

type Table = BTreeMap<String, Json>;

/// All tables, and for each key what it held before its newest write (for stale reads).
#[derive(Default)]
pub(super) struct Tables {
    live: BTreeMap<String, Table>,
    previous: BTreeMap<String, BTreeMap<String, Option<Json>>>,
}

impl Tables {
    /// Applies writes read from the log.
    pub(super) fn replay(&mut self, batch: Vec<Write>) {
        for (table, key, value) in batch {
            self.set(&table, &key, value);
        }
    }

    /// Every living entry as a write, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &String, Option<&Json>)> {
        self.live.iter().flat_map(|(table, entries)| entries.iter().map(move |(key, value)| (table, key, Some(value))))
    }

    fn set(&mut self, table: &str, key: &str, value: Option<Json>) {
        let entries = entry(&mut self.live, table);
        let old = match value {
            Some(value) => entries.insert(key.to_owned(), value),
            None => entries.remove(key),
        };
        entry(&mut self.previous, table).insert(key.to_owned(), old);
    }
}

fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("invariant: it was inserted above")
}

/// What an entry was before a write, and what was remembered as its former value.
struct Undo {
    live: Option<Json>,
    /// Empty where nothing was remembered.
    previous: Vec<Option<Json>>,
}

/// A transaction. Reads see its own writes; [`Tx::savepoint`] and [`Tx::rollback`] undo part of them.
pub(in crate::world::sandbox) struct Tx<'a> {
    tables: &'a mut Tables,
    writes: Vec<Write>,
    undo: Vec<Undo>,
    now: Timestamp,
    stale: bool,
    halfway: Option<super::Halfway>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(tables: &'a mut Tables, now: Timestamp) -> Self {
        Self { tables, writes: Vec::new(), undo: Vec::new(), now, stale: false, halfway: None }
    }

    pub(super) fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    /// The virtual time of what happens now; inside [`super::settle`] the moment at which it was due.
    pub(in crate::world::sandbox) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Makes reads show what each entry held before its newest write.
    pub(super) fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
    }

    pub(super) fn set_halfway(&mut self, halfway: Option<super::Halfway>) {
        self.halfway = halfway;
    }

    /// The command to fail half-way, where a fault gave one to this call. Taken once, by what starts the operation.
    pub(in crate::world::sandbox) fn take_halfway(&mut self) -> Option<super::Halfway> {
        self.halfway.take()
    }

    /// The entry, read as `T`. An entry of another shape is `None`, like one that is missing.
    pub(in crate::world::sandbox) fn get<T: DeserializeOwned>(&self, table: &str, key: &str) -> Option<T> {
        T::deserialize(self.raw(table, key)?).ok()
    }

    /// The entry as it is stored.
    pub(in crate::world::sandbox) fn raw(&self, table: &str, key: &str) -> Option<&Json> {
        if self.stale
            && let Some(before) = self.tables.previous.get(table).and_then(|t| t.get(key))
        {
            return before.as_ref();
        }
        self.tables.live.get(table)?.get(key)
    }

    /// True where there is such an entry.
    pub(in crate::world::sandbox) fn has(&self, table: &str, key: &str) -> bool {
        self.raw(table, key).is_some()
    }

    /// Writes an entry.
    pub(in crate::world::sandbox) fn put<T: Serialize + ?Sized>(&mut self, table: &str, key: &str, value: &T) {
        let value = serde_json::to_value(value).expect("invariant: the sandbox stores plain data with string keys");
        self.write(table, key, Some(value));
    }

    /// Removes an entry; false where there was none.
    pub(in crate::world::sandbox) fn delete(&mut self, table: &str, key: &str) -> bool {
        let there = self.tables.live.get(table).is_some_and(|t| t.contains_key(key));
        if there {
            self.write(table, key, None);
        }
        there
    }

    /// The entries whose key begins with `prefix`, in the order of their keys.
    pub(in crate::world::sandbox) fn scan<T: DeserializeOwned>(&self, table: &str, prefix: &str) -> Vec<(String, T)> {
        self.keys(table, prefix).into_iter().filter_map(|key| self.get(table, &key).map(|value| (key, value))).collect()
    }

    /// The keys that begin with `prefix`, in order.
    pub(in crate::world::sandbox) fn keys(&self, table: &str, prefix: &str) -> Vec<String> {
        let from = |t: &Table| -> Vec<String> {
            t.range(prefix.to_owned()..).map(|(k, _)| k).take_while(|k| k.starts_with(prefix)).cloned().collect()
        };
        let mut keys = self.tables.live.get(table).map(from).unwrap_or_default();
        if self.stale {
            let gone = self.tables.previous.get(table).into_iter().flatten();
            keys.extend(gone.filter(|(k, v)| k.starts_with(prefix) && v.is_some()).map(|(k, _)| k.clone()));
            keys.sort();
            keys.dedup();
            keys.retain(|k| self.has(table, k));
        }
        keys
    }

    /// Removes every entry of every table but those named.
    pub(super) fn clear(&mut self, keep: &[&str]) {
        let tables: Vec<String> = self.tables.live.keys().filter(|t| !keep.contains(&t.as_str())).cloned().collect();
        for table in tables {
            for key in self.keys(&table, "") {
                self.delete(&table, &key);
            }
        }
    }

    /// The first key of a table.
    pub(in crate::world::sandbox) fn first_key(&self, table: &str) -> Option<String> {
        self.tables.live.get(table)?.keys().next().cloned()
    }

    /// Sixty-four bits from the project's seeded source.
    pub(in crate::world::sandbox) fn random(&mut self) -> u64 {
        let seed: u64 = self.get("meta", "seed").unwrap_or_default();
        let count: u64 = self.get("meta", "entropy").unwrap_or_default();
        self.put("meta", "entropy", &(count + 1));
        mix(seed ^ mix(count.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    /// Has `wake` of the part named `part` called with `id` once `after` has passed (see [`super::settle`]).
    pub(in crate::world::sandbox) fn schedule(&mut self, after: Duration, part: &str, id: &str) {
        let at = later(self.now, after);
        let order: u64 = self.get("meta", "due").unwrap_or_default();
        self.put("meta", "due", &(order + 1));
        let key = format!("{:020}/{order:012}", at.as_millisecond().max(0));
        self.put("due", &key, &(part, id));
    }

    /// A mark to which [`Tx::rollback`] returns.
    pub(super) fn savepoint(&self) -> usize {
        self.writes.len()
    }

    /// Takes back every write since the mark.
    pub(super) fn rollback(&mut self, mark: usize) {
        while self.writes.len() > mark {
            let (Some((table, key, _)), Some(undo)) = (self.writes.pop(), self.undo.pop()) else { return };
            let entries = entry(&mut self.tables.live, &table);
            match undo.live {
                Some(value) => entries.insert(key.clone(), value),
                None => entries.remove(&key),
            };
            let before = entry(&mut self.tables.previous, &table);
            match undo.previous.into_iter().next() {
                Some(value) => before.insert(key, value),
                None => before.remove(&key),
            };
        }
    }

    fn write(&mut self, table: &str, key: &str, value: Option<Json>) {
        let live = self.tables.live.get(table).and_then(|t| t.get(key)).cloned();
        let previous = self.tables.previous.get(table).and_then(|t| t.get(key)).cloned().into_iter().collect();
        self.tables.set(table, key, value.clone());
        self.undo.push(Undo { live, previous });
        self.writes.push((table.to_owned(), key.to_owned(), value));
    }
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_takes_back_writes_and_deletions() {
        let mut tables = Tables::default();
        let mut tx = Tx::new(&mut tables, Timestamp::UNIX_EPOCH);
        tx.put("t", "a", &1);
        tx.put("t", "b", &2);
        let mark = tx.savepoint();
        tx.put("t", "a", &10);
        tx.delete("t", "b");
        tx.put("t", "c", &3);
        tx.rollback(mark);
        assert_eq!(tx.scan::<u64>("t", ""), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(tx.into_writes().len(), 2);
    }

    #[test]
    fn a_stale_read_shows_what_was_there_before() {
        let mut tables = Tables::default();
        let mut tx = Tx::new(&mut tables, Timestamp::UNIX_EPOCH);
        tx.put("t", "a", &1);
        tx.put("t", "a", &2);
        tx.put("t", "new", &3);
        tx.put("t", "gone", &4);
        tx.delete("t", "gone");
        tx.set_stale(true);
        assert_eq!(tx.scan::<u64>("t", ""), [("a".to_owned(), 1), ("gone".to_owned(), 4)]);
        tx.set_stale(false);
        assert_eq!(tx.scan::<u64>("t", ""), [("a".to_owned(), 2), ("new".to_owned(), 3)]);
    }

    #[test]
    fn a_scan_is_in_order_and_keeps_to_its_prefix() {
        let mut tables = Tables::default();
        let mut tx = Tx::new(&mut tables, Timestamp::UNIX_EPOCH);
        for key in ["b/2", "a/1", "b/1", "c"] {
            tx.put("t", key, key);
        }
        assert_eq!(tx.keys("t", "b/"), ["b/1", "b/2"]);
    }
}
