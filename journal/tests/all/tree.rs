//! Tree hashes and proofs: the vectors of Certificate Transparency, every proof of small trees, and refusal of
//! every proof that was touched.

use chartrier_journal::{
    Frontier, Hash, TREE_SIZE_MAX, check_record, check_tree, empty_root, leaf_hash, prove_record, prove_tree,
    tile_contents, tree_hash, tree_paths,
};
use proptest::prelude::*;

/// The eight leaves of Certificate Transparency's own tests.
const CT_LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const CT_ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex_of(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_hex).collect()
}

fn stored_of(leaves: impl IntoIterator<Item = Hash>) -> Vec<Hash> {
    let mut frontier = Frontier::new();
    leaves.into_iter().flat_map(|leaf| frontier.push(leaf)).collect()
}

fn ct_tree() -> Vec<Hash> {
    stored_of(CT_LEAVES.map(|leaf| leaf_hash(&bytes_of(leaf))))
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let stored = ct_tree();
    for (size, root) in (1..).zip(CT_ROOTS) {
        assert_eq!(tree_hash(size, &stored).unwrap().to_hex(), root);
    }
}

#[test]
fn proofs_are_those_of_certificate_transparency() {
    let stored = ct_tree();
    assert_eq!(
        hex_of(&prove_record(8, 0, &stored).unwrap()),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    assert_eq!(
        hex_of(&prove_tree(8, 6, &stored).unwrap()),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        hex_of(&prove_tree(5, 2, &stored).unwrap()),
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ]
    );
}

#[test]
fn every_proof_of_small_trees_holds_for_its_own_place_only() {
    let leaves: Vec<Hash> = (0..40_u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
    let stored = stored_of(leaves.iter().copied());
    let roots: Vec<Hash> = (0..=40).map(|size| tree_hash(size, &stored).unwrap()).collect();
    for size in 0..=40_u64 {
        let root = &roots[usize::try_from(size).unwrap()];
        for n in 0..size {
            let proof = prove_record(size, n, &stored).unwrap();
            for (other, leaf) in leaves.iter().enumerate() {
                let own = other as u64 == n;
                assert_eq!(check_record(&proof, size, root, n, leaf).is_ok(), own, "{size} {n} {other}");
            }
        }
        for old in 0..=size {
            let proof = prove_tree(size, old, &stored).unwrap();
            for (other, old_root) in roots.iter().enumerate() {
                let own = other as u64 == old;
                assert_eq!(check_tree(&proof, size, root, old, old_root).is_ok(), own, "{size} {old} {other}");
            }
        }
    }
}

#[test]
fn what_lies_outside_is_an_error() {
    let stored = ct_tree();
    let root = tree_hash(8, &stored).unwrap();
    let leaf = leaf_hash(b"");
    for (size, n) in [(0, 0), (8, 8), (8, u64::MAX), (u64::MAX, 0), (TREE_SIZE_MAX + 1, 5)] {
        assert!(prove_record(size, n, &stored).is_err());
        assert!(check_record(&[], size, &root, n, &leaf).is_err());
    }
    for (size, old) in [(0, 1), (8, 9), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
        assert!(prove_tree(size, old, &stored).is_err());
        assert!(check_tree(&[], size, &root, old, &root).is_err());
    }
    // A root that is not the empty tree's is no beginning of anything at size 0.
    assert!(check_tree(&[], 8, &root, 0, &root).is_err());
    assert!(check_tree(&[], 0, &root, 0, &empty_root()).is_err());
    assert!(check_tree(&[], 0, &empty_root(), 0, &empty_root()).is_ok());
}

#[test]
fn tiles_hold_the_subtrees_of_the_leaves() {
    let leaves: Vec<Hash> = (0..70_000_u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
    let stored = stored_of(leaves.iter().copied());
    let tile = |path: &str| {
        let path = tree_paths(70_000).find(|tile| tile.path() == path).unwrap();
        tile_contents(&path, &stored).unwrap()
    };
    assert_eq!(tile("tile/0/273.p/112")[..32], leaves[273 * 256].to_bytes());
    assert_eq!(tile("tile/0/000").len(), 8192);
    // Level 1 hash 256 covers leaves 65536..65792; level 2 hash 0 the first 65536.
    assert_eq!(tile("tile/1/001.p/17")[..32], root_of(&leaves[65_536..65_792]).to_bytes());
    assert_eq!(tile("tile/2/000.p/1"), root_of(&leaves[..65_536]).to_bytes());
    assert!(tile_contents(&tree_paths(5).next().unwrap(), &stored).is_err(), "a bundle is no tile of hashes");
}

fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

proptest! {
    #[test]
    fn a_touched_inclusion_proof_is_refused(
        size in 1_u64..600, pick: prop::sample::Index, bit in 0_usize..256, change in 0..4_u8, at: prop::sample::Index,
    ) {
        let stored = stored_of((0..size).map(|i| leaf_hash(&i.to_be_bytes())));
        let root = tree_hash(size, &stored).unwrap();
        let n = pick.index(usize::try_from(size).unwrap()) as u64;
        let leaf = leaf_hash(&n.to_be_bytes());
        let mut proof = prove_record(size, n, &stored).unwrap();
        prop_assert!(check_record(&proof, size, &root, n, &leaf).is_ok());
        touch(&mut proof, change, bit, at);
        prop_assert!(check_record(&proof, size, &root, n, &leaf).is_err());
    }

    #[test]
    fn a_touched_consistency_proof_is_refused(
        size in 1_u64..600, pick: prop::sample::Index, bit in 0_usize..256, change in 0..4_u8, at: prop::sample::Index,
    ) {
        let stored = stored_of((0..size).map(|i| leaf_hash(&i.to_be_bytes())));
        let root = tree_hash(size, &stored).unwrap();
        let old = pick.index(usize::try_from(size).unwrap()) as u64 + 1;
        let old_root = tree_hash(old, &stored).unwrap();
        let mut proof = prove_tree(size, old, &stored).unwrap();
        prop_assert!(check_tree(&proof, size, &root, old, &old_root).is_ok());
        touch(&mut proof, change, bit, at);
        prop_assert!(check_tree(&proof, size, &root, old, &old_root).is_err());
    }
}

/// Changes a proof for certain: flips a bit, drops, doubles or adds a hash.
fn touch(proof: &mut Vec<Hash>, change: u8, bit: usize, at: prop::sample::Index) {
    if proof.is_empty() {
        return proof.push(leaf_hash(b"more"));
    }
    let at = at.index(proof.len());
    match change {
        0 => {
            let mut bytes = proof[at].to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            proof[at] = Hash::from_bytes(bytes);
        }
        1 => drop(proof.remove(at)),
        2 => proof.insert(at, proof[at]),
        _ => proof.push(leaf_hash(b"more")),
    }
}
