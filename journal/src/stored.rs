//! Where the hashes of a growing tree are stored, and the tree's root from them.
//!
//! Hashes are stored in the order in which they become known: each leaf's, followed by those of the
//! subtrees that it completes. The place of the `n`-th hash of a level is closed-form, and equals that
//! of Go's `golang.org/x/mod/sumdb/tlog`.
//!
//! ```text
//! index   0    1    2    3    4    5    6   ...
//! hash   (0,0)(0,1)(1,0)(0,2)(0,3)(1,1)(2,0)    (level, n)
//! ```

use std::ops::Range;

use crate::error::JournalError;
use crate::hash::{Hash, empty_root, node_hash};

/// Most leaves a tree may have: all arithmetic on stored indexes then fits in 64 bits.
pub const TREE_SIZE_MAX: u64 = 1 << 60;

/// Reads stored hashes by index. See [`stored_hash_index`].
pub trait HashReader {
    /// The hashes at `indexes`, in that order, as many as asked.
    ///
    /// # Errors
    /// [`JournalError::Read`] with the cause if one is missing or cannot be read.
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, JournalError>;
}

/// All hashes in memory, in storage order: for tests and small trees.
impl HashReader for Vec<Hash> {
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, JournalError> {
        let one = |&index: &u64| usize::try_from(index).ok().and_then(|at| self.get(at)).copied();
        indexes.iter().map(one).collect::<Option<_>>().ok_or_else(|| JournalError::read("no such stored hash"))
    }
}

impl<R: HashReader + ?Sized> HashReader for &R {
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, JournalError> {
        (**self).read(indexes)
    }
}

/// Place of the `n`-th hash of `level` (0 is the leaves) in storage order.
///
/// # Panics
/// If the hash lies outside every tree of at most [`TREE_SIZE_MAX`] leaves: a bug in the caller.
pub fn stored_hash_index(level: u8, n: u64) -> u64 {
    assert!(
        u32::from(level) <= TREE_SIZE_MAX.trailing_zeros() && n < TREE_SIZE_MAX >> level,
        "a stored hash lies within a tree of at most TREE_SIZE_MAX leaves"
    );
    // The hash follows directly those of the lower levels that the subtree's last leaf completes.
    let last_leaf = ((n + 1) << level) - 1;
    first_index_of_leaf(last_leaf) + u64::from(level)
}

/// The (level, n) whose place is `index`: the inverse of [`stored_hash_index`].
///
/// # Panics
/// If `index` is 2 × [`TREE_SIZE_MAX`] or more: a bug in the caller.
pub fn split_stored_hash_index(index: u64) -> (u8, u64) {
    assert!(index < 2 * TREE_SIZE_MAX, "a stored hash lies within a tree of at most TREE_SIZE_MAX leaves");
    // Leaf n starts at 2n - popcount(n), so it is index/2 or at most 32 further.
    let mut leaf = index / 2;
    while first_index_of_leaf(leaf + 1) <= index {
        leaf += 1;
    }
    let level = u8::try_from(index - first_index_of_leaf(leaf)).expect("a leaf completes fewer than 64 subtrees");
    (level, leaf >> level)
}

/// How many hashes a tree of `size` leaves stores.
pub fn stored_hash_count(size: u64) -> u64 {
    first_index_of_leaf(size)
}

/// Place of a leaf's own hash. The `n` leaves before it and the subtrees that they complete:
/// n + n/2 + n/4 + ... = 2n - popcount(n).
fn first_index_of_leaf(n: u64) -> u64 {
    2 * n - u64::from(n.count_ones())
}

/// The hashes to store when leaf `n` is appended, the first of them at `stored_hash_index(0, n)`.
///
/// Reads at most log2(n) earlier hashes. [`Frontier::push`] does the same without reading.
///
/// # Errors
/// The reader's; [`JournalError::OutsideTree`] if the tree is full.
pub fn stored_hashes(n: u64, leaf: Hash, reader: &impl HashReader) -> Result<Vec<Hash>, JournalError> {
    if n >= TREE_SIZE_MAX {
        return Err(JournalError::OutsideTree { what: "leaf", value: n, size: TREE_SIZE_MAX });
    }
    let completed = u8::try_from(n.trailing_ones()).expect("at most 64");
    let left_siblings: Vec<u64> = (0..completed).map(|level| stored_hash_index(level, (n >> level) - 1)).collect();
    let mut hashes = vec![leaf];
    for left in read_exactly(reader, &left_siblings)? {
        let right = hashes.last().expect("starts with the leaf");
        hashes.push(node_hash(&left, right));
    }
    Ok(hashes)
}

/// Root of the tree of `size` leaves.
///
/// # Errors
/// The reader's; [`JournalError::OutsideTree`] if `size` is over [`TREE_SIZE_MAX`].
pub fn tree_hash(size: u64, reader: &impl HashReader) -> Result<Hash, JournalError> {
    Ok(Frontier::load(size, reader)?.root())
}

/// The right edge of a tree: all it takes to append leaves and to know the root.
///
/// Holds one hash for each 1 bit of the size, so at most 60.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees that cover the leaves, largest first.
    roots: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of the stored tree of `size` leaves.
    ///
    /// # Errors
    /// The reader's; [`JournalError::OutsideTree`] if `size` is over [`TREE_SIZE_MAX`].
    pub fn load(size: u64, reader: &impl HashReader) -> Result<Self, JournalError> {
        if size > TREE_SIZE_MAX {
            return Err(JournalError::OutsideTree { what: "size", value: size, size: TREE_SIZE_MAX });
        }
        Ok(Self { size, roots: read_exactly(reader, &cover(0..size))? })
    }

    /// Appends a leaf. Answers the hashes to store from `stored_hash_index(0, size before)` on.
    ///
    /// # Panics
    /// If the tree holds [`TREE_SIZE_MAX`] leaves: out of reach in practice.
    pub fn push(&mut self, leaf: Hash) -> Vec<Hash> {
        assert!(self.size < TREE_SIZE_MAX, "a tree holds at most TREE_SIZE_MAX leaves");
        let mut hashes = vec![leaf];
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("one root for each 1 bit of the size");
            hash = node_hash(&left, &hash);
            hashes.push(hash);
        }
        self.roots.push(hash);
        self.size += 1;
        hashes
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    pub fn root(&self) -> Hash {
        fold_roots(&self.roots).unwrap_or_else(empty_root)
    }
}

/// Stored indexes of the perfect subtrees that cover the leaves `range`, largest first.
///
/// `range` is one that RFC 6962 splits a tree into, so that each subtree is aligned.
pub(crate) fn cover(range: Range<u64>) -> Vec<u64> {
    let mut indexes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let level = u8::try_from((range.end - at).ilog2()).expect("at most 63");
        debug_assert_eq!(at % (1 << level), 0, "a subtree starts at a multiple of its size");
        indexes.push(stored_hash_index(level, at >> level));
        at += 1 << level;
    }
    indexes
}

/// Root over the perfect subtrees of [`cover`]; `None` if there are none.
pub(crate) fn fold_roots(roots: &[Hash]) -> Option<Hash> {
    roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// Reads, and refuses an answer of another length.
pub(crate) fn read_exactly(reader: &impl HashReader, indexes: &[u64]) -> Result<Vec<Hash>, JournalError> {
    if indexes.is_empty() {
        return Ok(Vec::new());
    }
    let hashes = reader.read(indexes)?;
    if hashes.len() != indexes.len() {
        return Err(JournalError::HashCount { asked: indexes.len(), got: hashes.len() });
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    /// RFC 6962, 2.1, word for word: the slow oracle.
    pub(crate) fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            many => {
                let k = many.len().next_power_of_two() / 2;
                node_hash(&mth(&many[..k]), &mth(&many[k..]))
            }
        }
    }

    #[test]
    fn places_are_dense_and_split_back() {
        let mut next = 0;
        for leaf in 0..2000_u64 {
            assert_eq!(stored_hash_count(leaf), next);
            for level in 0..=u8::try_from(leaf.trailing_ones()).unwrap() {
                assert_eq!(stored_hash_index(level, leaf >> level), next);
                assert_eq!(split_stored_hash_index(next), (level, leaf >> level));
                next += 1;
            }
        }
    }

    #[test]
    fn the_largest_places_do_not_overflow() {
        for level in 0..=60_u8 {
            let n = (TREE_SIZE_MAX >> level) - 1;
            assert_eq!(split_stored_hash_index(stored_hash_index(level, n)), (level, n));
        }
    }

    #[test]
    fn appending_by_reading_by_frontier_and_by_definition_agree() {
        let leaves: Vec<Hash> = (0..300_u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let mut stored: Vec<Hash> = Vec::new();
        let mut frontier = Frontier::new();
        for (n, leaf) in leaves.iter().enumerate() {
            let new = stored_hashes(n as u64, *leaf, &stored).unwrap();
            assert_eq!(frontier.push(*leaf), new);
            stored.extend(new);
            let root = mth(&leaves[..=n]);
            assert_eq!(frontier.root(), root);
            assert_eq!(tree_hash(n as u64 + 1, &stored).unwrap(), root);
            assert_eq!(Frontier::load(n as u64 + 1, &stored).unwrap(), frontier);
        }
        assert_eq!(tree_hash(0, &stored).unwrap(), empty_root());
    }

    #[test]
    fn a_reader_that_answers_too_little_is_an_error() {
        struct Short;
        impl HashReader for Short {
            fn read(&self, _: &[u64]) -> Result<Vec<Hash>, JournalError> {
                Ok(Vec::new())
            }
        }
        assert!(matches!(tree_hash(3, &Short), Err(JournalError::HashCount { asked: 2, got: 0 })));
        assert!(tree_hash(TREE_SIZE_MAX + 1, &Short).is_err());
        assert!(tree_hash(3, &Vec::<Hash>::new()).is_err());
    }
}
