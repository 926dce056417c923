//! A small read cache of rows that nearly every request needs: buckets and access keys.
//!
//! A writer forgets all after its batch is in the store. A reader that looked before the batch
//! must not put its old row back: it names the generation it began in, and a later one refuses it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Rows kept before the cache starts over.
const ROWS_MAX: usize = 4096;

pub(super) struct RowCache<T> {
    inner: RwLock<Inner<T>>,
}

struct Inner<T> {
    generation: u64,
    rows: HashMap<String, Arc<T>>,
}

/// When a reader began to look.
pub(super) struct Generation(u64);

impl<T> RowCache<T> {
    pub(super) fn new() -> Self {
        Self { inner: RwLock::new(Inner { generation: 0, rows: HashMap::new() }) }
    }

    /// The row, or the generation to give back with it once it is read.
    pub(super) fn get(&self, key: &str) -> Result<Arc<T>, Generation> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.rows.get(key).cloned().ok_or(Generation(inner.generation))
    }

    /// Keeps a row read since `began`, unless rows changed meanwhile.
    pub(super) fn keep(&self, began: Generation, key: &str, row: Arc<T>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.generation != began.0 {
            return;
        }
        if inner.rows.len() >= ROWS_MAX {
            inner.rows.clear();
        }
        inner.rows.insert(key.to_owned(), row);
    }

    /// Forgets every row. Called after the store has the new ones.
    pub(super) fn forget_all(&self) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.generation += 1;
        inner.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_read_before_a_change_is_not_kept() {
        let cache = RowCache::new();
        let Err(early) = cache.get("a") else { panic!("the cache is empty") };
        cache.forget_all();
        cache.keep(early, "a", Arc::new(1));
        let Err(late) = cache.get("a") else { panic!("an old row was kept") };
        cache.keep(late, "a", Arc::new(2));
        assert!(matches!(cache.get("a"), Ok(row) if *row == 2));
    }
}
