//! Inclusion and consistency proofs of RFC 6962, sections 2.1.1 and 2.1.2.
//!
//! Both walk from the root down to a place of the tree. Each step leaves one half aside: the proof is
//! the roots of those halves, lowest first.

use std::ops::Range;

use crate::error::JournalError;
use crate::hash::{Hash, empty_root, node_hash};
use crate::stored::{HashReader, TREE_SIZE_MAX, cover, fold_roots, read_exactly};

/// A half left aside on the way down.
struct Aside {
    leaves: Range<u64>,
    /// Whether it lies left of the way.
    left: bool,
}

/// Proof that leaf `n` is in the tree of `size` leaves, sibling of the leaf first.
///
/// # Errors
/// [`JournalError::OutsideTree`] unless `n < size`; the reader's.
pub fn prove_record(size: u64, n: u64, reader: &impl HashReader) -> Result<Vec<Hash>, JournalError> {
    let aside = way_to_leaf(size, n)?;
    read_roots(aside.into_iter().map(|half| half.leaves), reader)
}

/// Checks that `leaf` is the hash of leaf `n` in the tree of `size` leaves with this `root`.
///
/// # Errors
/// [`JournalError::ProofFailed`], or [`JournalError::OutsideTree`] unless `n < size`.
pub fn check_record(proof: &[Hash], size: u64, root: &Hash, n: u64, leaf: &Hash) -> Result<(), JournalError> {
    let aside = way_to_leaf(size, n)?;
    if aside.len() != proof.len() {
        return Err(JournalError::ProofFailed);
    }
    let up = |hash: Hash, (half, other): (&Aside, &Hash)| join(half, other, &hash);
    let computed = aside.iter().zip(proof).fold(*leaf, up);
    if computed == *root { Ok(()) } else { Err(JournalError::ProofFailed) }
}

/// Proof that the tree of `size` leaves begins with the tree of `old_size` leaves.
///
/// Empty when the sizes are equal, and for `old_size` 0.
///
/// # Errors
/// [`JournalError::OutsideTree`] unless `old_size <= size`; the reader's.
pub fn prove_tree(size: u64, old_size: u64, reader: &impl HashReader) -> Result<Vec<Hash>, JournalError> {
    let (common, aside) = way_to_edge(size, old_size)?;
    let common = (common.start != 0).then_some(common);
    read_roots(common.into_iter().chain(aside.into_iter().map(|half| half.leaves)), reader)
}

/// Checks that the tree of `size` leaves with `root` begins with that of `old_size` leaves with `old_root`.
///
/// # Errors
/// [`JournalError::ProofFailed`], or [`JournalError::OutsideTree`] unless `old_size <= size`.
pub fn check_tree(proof: &[Hash], size: u64, root: &Hash, old_size: u64, old_root: &Hash) -> Result<(), JournalError> {
    let (common, aside) = way_to_edge(size, old_size)?;
    if old_size == 0 {
        // Every tree begins with the empty one; there is nothing to prove but the old root itself.
        let whole = proof.is_empty() && *old_root == empty_root() && (size > 0 || root == old_root);
        return if whole { Ok(()) } else { Err(JournalError::ProofFailed) };
    }
    // The subtree that ends where the old tree ends: the old tree itself, or the proof's first hash.
    let (start, proof) = if common.start == 0 {
        (*old_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(JournalError::ProofFailed)?;
        (*first, rest)
    };
    if aside.len() != proof.len() {
        return Err(JournalError::ProofFailed);
    }
    let (mut old, mut new) = (start, start);
    for (half, other) in aside.iter().zip(proof) {
        if half.left {
            old = node_hash(other, &old); // what lies right of the way is not in the old tree
        }
        new = join(half, other, &new);
    }
    if old == *old_root && new == *root { Ok(()) } else { Err(JournalError::ProofFailed) }
}

fn join(half: &Aside, other: &Hash, hash: &Hash) -> Hash {
    if half.left { node_hash(other, hash) } else { node_hash(hash, other) }
}

/// Halves left aside on the way down to leaf `n`, lowest first.
fn way_to_leaf(size: u64, n: u64) -> Result<Vec<Aside>, JournalError> {
    if n >= size || size > TREE_SIZE_MAX {
        return Err(JournalError::OutsideTree { what: "leaf", value: n, size });
    }
    let mut aside = Vec::new();
    let mut at = 0..size;
    while at.end - at.start > 1 {
        descend(&mut at, n, &mut aside);
    }
    aside.reverse();
    Ok(aside)
}

/// The subtree that ends where the old tree ends, and the halves left aside on the way, lowest first.
fn way_to_edge(size: u64, old_size: u64) -> Result<(Range<u64>, Vec<Aside>), JournalError> {
    if old_size > size || size > TREE_SIZE_MAX {
        return Err(JournalError::OutsideTree { what: "size", value: old_size, size });
    }
    let mut aside = Vec::new();
    let mut at = 0..size;
    while old_size != 0 && at.end != old_size {
        descend(&mut at, old_size - 1, &mut aside);
    }
    aside.reverse();
    Ok((at, aside))
}

/// One step down towards leaf `n`: RFC 6962 splits at the largest power of two below the length.
fn descend(at: &mut Range<u64>, n: u64, aside: &mut Vec<Aside>) {
    let split = at.start + (1 << (at.end - at.start - 1).ilog2());
    if n < split {
        aside.push(Aside { leaves: split..at.end, left: false });
        at.end = split;
    } else {
        aside.push(Aside { leaves: at.start..split, left: true });
        at.start = split;
    }
}

/// Roots of the subtrees over `ranges`, read in one call.
fn read_roots(ranges: impl Iterator<Item = Range<u64>>, reader: &impl HashReader) -> Result<Vec<Hash>, JournalError> {
    let covers: Vec<Vec<u64>> = ranges.map(cover).collect();
    let hashes = read_exactly(reader, &covers.concat())?;
    let mut rest = hashes.as_slice();
    let mut roots = Vec::with_capacity(covers.len());
    for indexes in covers {
        let (own, others) = rest.split_at(indexes.len());
        rest = others;
        roots.push(fold_roots(own).expect("a half left aside has at least one leaf"));
    }
    Ok(roots)
}
