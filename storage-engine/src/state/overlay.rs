//! A batch in the making: reads see what the batch has changed so far.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::keys::{SCHEMA, family_name};
use super::kv::{Family, Kv, KvBatch, KvPair, ScanStep};
use crate::error::StateError;
use crate::namespace::encoding::{Stored, decode, encode};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Changes over a store. Nothing reaches the store before [`Overlay::into_batch`] is written.
pub(crate) struct Overlay<'a> {
    base: &'a dyn Kv,
    families: Vec<Changes>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn Kv) -> Self {
        Self { base, families: SCHEMA.iter().map(|_| Changes::new()).collect() }
    }

    /// One value, as the batch leaves it.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.changes(family).get(key) {
            Some(change) => Ok(change.clone()),
            None => Ok(self.base.get(family, key)?),
        }
    }

    /// One row, as the batch leaves it.
    pub(crate) fn row<T: Stored>(&self, family: Family, key: &[u8]) -> Result<Option<T>, StateError> {
        match self.changes(family).get(key) {
            Some(Some(bytes)) => decode_row(family, bytes).map(Some),
            Some(None) => Ok(None),
            None => self.base.get(family, key)?.map(|bytes| decode_row(family, &bytes)).transpose(),
        }
    }

    /// Whether the key has a value.
    pub(crate) fn contains(&self, family: Family, key: &[u8]) -> Result<bool, StateError> {
        match self.changes(family).get(key) {
            Some(change) => Ok(change.is_some()),
            None => Ok(self.base.get(family, key)?.is_some()),
        }
    }

    /// All pairs from `from` up to `until`, as the batch leaves them. The caller bounds the range.
    pub(crate) fn collect(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StateError> {
        let mut pairs = BTreeMap::new();
        self.base.scan(family, from, until, &mut |key, value| {
            pairs.insert(key.to_vec(), value.to_vec());
            ScanStep::Next
        })?;
        let end = until.map_or(Bound::Unbounded, Bound::Excluded);
        if until.is_none_or(|until| from < until) {
            for (key, change) in self.changes(family).range::<[u8], _>((Bound::Included(from), end)) {
                match change {
                    Some(value) => pairs.insert(key.clone(), value.clone()),
                    None => pairs.remove(key),
                };
            }
        }
        Ok(pairs)
    }

    /// The first pair from `from` up to `until`, as the batch leaves it: one seek, and a step for each
    /// key that the batch has changed there.
    pub(crate) fn first(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Option<KvPair>, StateError> {
        let changes = self.changes(family);
        let mut stored = None;
        self.base.scan(family, from, until, &mut |key, value| {
            if changes.contains_key(key) {
                return ScanStep::Next;
            }
            stored = Some((key.to_vec(), value.to_vec()));
            ScanStep::Stop
        })?;
        let end = until.map_or(Bound::Unbounded, Bound::Excluded);
        let changed = if until.is_none_or(|until| from < until) {
            let mut range = changes.range::<[u8], _>((Bound::Included(from), end));
            range.find_map(|(key, change)| change.as_ref().map(|value| (key.clone(), value.clone())))
        } else {
            None
        };
        Ok([stored, changed].into_iter().flatten().min())
    }

    pub(crate) fn put(&mut self, family: Family, key: Vec<u8>, value: Vec<u8>) {
        self.changes_mut(family).insert(key, Some(value));
    }

    pub(crate) fn put_row<T: Stored>(&mut self, family: Family, key: Vec<u8>, row: &T) {
        self.put(family, key, encode(row));
    }

    pub(crate) fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.changes_mut(family).insert(key, None);
    }

    /// All changes, for one atomic write.
    pub(crate) fn into_batch(self) -> KvBatch {
        let mut batch = KvBatch::new();
        for (index, changes) in self.families.into_iter().enumerate() {
            let family = Family(u8::try_from(index).expect("a schema has few families"));
            for (key, change) in changes {
                match change {
                    Some(value) => batch.put(family, key, value),
                    None => batch.delete(family, key),
                }
            }
        }
        batch
    }

    fn changes(&self, family: Family) -> &Changes {
        &self.families[usize::from(family.0)]
    }

    fn changes_mut(&mut self, family: Family) -> &mut Changes {
        &mut self.families[usize::from(family.0)]
    }
}

/// Decodes a row and says where it lay if it cannot.
pub(crate) fn decode_row<T: Stored>(family: Family, bytes: &[u8]) -> Result<T, StateError> {
    decode(bytes).map_err(|source| StateError::Row { family: family_name(family), source })
}

#[cfg(test)]
mod tests {
    use super::super::keys::{CUR, VER};
    use super::super::kv::MemoryKv;
    use super::*;

    #[test]
    fn reads_see_the_batch_and_the_store_does_not() {
        let kv = MemoryKv::new();
        let mut batch = KvBatch::new();
        for key in ["a", "b", "c"] {
            batch.put(CUR, key, "old");
        }
        kv.write_batch(batch).unwrap();

        let mut overlay = Overlay::new(&kv);
        overlay.delete(CUR, b"b".to_vec());
        overlay.put(CUR, b"bb".to_vec(), b"new".to_vec());
        overlay.put(VER, b"b".to_vec(), b"other".to_vec());
        assert_eq!(overlay.get(CUR, b"b").unwrap(), None);
        assert!(overlay.contains(CUR, b"bb").unwrap() && overlay.contains(CUR, b"c").unwrap());
        let seen: Vec<_> = overlay.collect(CUR, b"b", None).unwrap().into_keys().collect();
        assert_eq!(seen, [b"bb".to_vec(), b"c".to_vec()]);
        assert!(overlay.collect(CUR, b"c", Some(b"b")).unwrap().is_empty());
        assert_eq!(kv.get(CUR, b"b").unwrap(), Some(b"old".to_vec()));
        let first = |from: &[u8], until: Option<&[u8]>| overlay.first(CUR, from, until).unwrap().map(|(key, _)| key);
        assert_eq!(first(b"", None), Some(b"a".to_vec()));
        assert_eq!(first(b"b", None), Some(b"bb".to_vec()));
        assert_eq!(first(b"bc", None), Some(b"c".to_vec()));
        assert_eq!((first(b"b", Some(b"bb")), first(b"d", None), first(b"c", Some(b"b"))), (None, None, None));

        kv.write_batch(overlay.into_batch()).unwrap();
        assert_eq!(kv.get(CUR, b"b").unwrap(), None);
        assert_eq!(kv.get(CUR, b"bb").unwrap(), Some(b"new".to_vec()));
    }
}
