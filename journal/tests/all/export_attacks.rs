//! Whatever is done to an export, the verifier says no: bits flipped, files pruned, cut, lengthened, swapped,
//! left over; and leaves that were signed although they break a rule.

use chartrier_journal::{
    Checkpoint, Frontier, Signer, VerifyError, decode_bundle, encode_bundle, leaf_hash, verify_export, write_export,
};
use proptest::prelude::*;

use crate::log::{Files, Log, ORIGIN, leaf, signer};

#[test]
fn whole_exports_hold_at_every_edge() {
    let key = signer().verifier();
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000] {
        let files = Log::with_size(size).exported();
        let verified = verify_export(&files, None).unwrap();
        assert_eq!(verified.checkpoint.size(), size);
        assert_eq!(verified.files + 2, files.0.len() as u64);
        assert_eq!(verified.times_us.is_some(), size > 0);
        assert!(verify_export(&files, Some(&key)).is_ok());
        let line = verified.to_string();
        assert!(line.starts_with("ok: chartrier.example/default/cycle: ") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn every_flipped_bit_of_a_small_export_is_found() {
    let files = Log::with_size(5).exported();
    let mut flipped = files.clone();
    let mut count = 0;
    for path in files.0.keys() {
        for at in 0..files.0[path].len() * 8 {
            flipped.0.get_mut(path).unwrap()[at / 8] ^= 1 << (at % 8);
            assert!(verify_export(&flipped, None).is_err(), "{path} bit {at}");
            flipped.0.get_mut(path).unwrap()[at / 8] ^= 1 << (at % 8);
            count += 1;
        }
    }
    assert!(verify_export(&flipped, None).is_ok(), "all bits are back");
    assert!(count > 15_000, "{count} bits");
}

#[test]
fn a_missing_or_left_over_file_is_named() {
    let files = Log::with_size(600).exported();
    for path in files.0.keys() {
        let mut pruned = files.clone();
        pruned.0.remove(path);
        match verify_export(&pruned, None) {
            Err(VerifyError::Missing { path: named }) => assert_eq!(&named, path),
            other => panic!("{path}: {other:?}"),
        }
    }
    for extra in ["tile/0/003", "tile/0/002.p/1", "tile/entries/000.p/3", "tile/2/000.p/1", "tile/notes", "tile/0/0"] {
        let mut more = files.clone();
        more.0.insert(extra.to_owned(), files.0["tile/0/000"].clone());
        match verify_export(&more, None) {
            Err(VerifyError::Unexpected { path }) => assert_eq!(path, extra),
            other => panic!("{extra}: {other:?}"),
        }
    }
    let mut beside = files.clone();
    beside.0.insert("LISEZ-MOI.txt".to_owned(), b"?".to_vec());
    let verified = verify_export(&beside, None).unwrap();
    assert!(verified.to_string().ends_with("(1 other files not checked)"));
}

#[test]
fn swapped_files_are_found() {
    let files = Log::with_size(600).exported();
    let paths: Vec<&String> = files.0.keys().collect();
    for (i, a) in paths.iter().enumerate() {
        for b in &paths[i + 1..] {
            let mut swapped = files.clone();
            swapped.0.insert((*a).clone(), files.0[*b].clone());
            swapped.0.insert((*b).clone(), files.0[*a].clone());
            assert!(verify_export(&swapped, None).is_err(), "{a} and {b}");
        }
    }
}

/// What an insider without the key can do: change leaves and make all tiles anew.
#[test]
fn a_rewritten_log_does_not_match_its_signature() {
    let log = Log::with_size(300);
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(&str, Change); 5] = [
        ("changed", |leaves| {
            leaves[7] =
                leaf(7).encode().map(|l| String::from_utf8(l).unwrap().replace("n1", "n2")).unwrap().into_bytes()
        }),
        ("removed", |leaves| drop(leaves.remove(7))),
        ("last removed", |leaves| drop(leaves.pop())),
        ("added", |leaves| leaves.push(leaf(300).encode().unwrap())),
        ("swapped", |leaves| leaves.swap(7, 8)),
    ];
    for (what, change) in changes {
        let mut leaves = log.leaves.clone();
        change(&mut leaves);
        let rewritten = Log::of(leaves);
        let mut files = rewritten.exported();
        assert!(what != "changed" || verify_export(&files, None).is_ok(), "the change is well-formed");
        files.0.insert("checkpoint".to_owned(), log.checkpoint().into_bytes());
        assert!(verify_export(&files, None).is_err(), "{what}");
    }
}

#[test]
fn another_key_is_not_this_log() {
    let files = Log::with_size(10).exported();
    let other = Signer::new(ORIGIN, &[1; 32]).unwrap();
    assert!(matches!(verify_export(&files, Some(&other.verifier())), Err(VerifyError::OtherKey)));
    let mut resigned = files.clone();
    let note = Checkpoint::open(std::str::from_utf8(&files.0["checkpoint"]).unwrap(), &signer().verifier()).unwrap();
    resigned.0.insert("checkpoint".to_owned(), note.sign(&other).unwrap().into_bytes());
    assert!(verify_export(&resigned, None).is_err());
    // With the vkey exchanged too it is a whole log of another key: only the known key tells.
    resigned.0.insert("vkey".to_owned(), format!("{}\n", other.vkey()).into_bytes());
    assert!(verify_export(&resigned, None).is_ok());
    assert!(matches!(verify_export(&resigned, Some(&signer().verifier())), Err(VerifyError::OtherKey)));
}

/// Leaves that the log's own key signed although they break a rule of the journal.
#[test]
fn signed_leaves_still_must_keep_the_rules() {
    let index_of = |entries: Vec<Vec<u8>>| match verify_export(&Log::of(entries).exported(), None) {
        Err(VerifyError::Leaf { index, why, .. }) => (index, why),
        other => panic!("{other:?}"),
    };
    let good = |n: u64| (0..n).map(|seq| leaf(seq).encode().unwrap()).collect::<Vec<_>>();
    let with = |n: u64, change: &dyn Fn(&mut chartrier_journal::Leaf)| {
        let mut leaf = leaf(n);
        change(&mut leaf);
        let mut entries = good(n);
        entries.push(leaf.encode().unwrap());
        entries
    };
    assert_eq!(index_of(with(3, &|l| l.seq = 4)), (3, "its seq is not its index"));
    assert_eq!(index_of(with(3, &|l| l.seq = 2)), (3, "its seq is not its index"));
    assert_eq!(index_of(with(3, &|l| l.time_us = leaf(2).time_us - 1)), (3, "its time is before the leaf before"));
    assert_eq!(index_of(with(0, &|l| l.log = "other.example/cycle".to_owned())), (0, "it belongs to another log"));
    let mut spaced = good(2);
    spaced[1] = String::from_utf8(spaced[1].clone()).unwrap().replace("\"v\":1", "\"v\": 1").into_bytes();
    assert_eq!(index_of(spaced), (1, "not a valid leaf"));
    // Equal times are no step back.
    assert!(verify_export(&Log::of(with(3, &|l| l.time_us = leaf(2).time_us)).exported(), None).is_ok());
}

#[test]
fn an_export_is_not_written_of_other_leaves() {
    let log = Log::with_size(300);
    let key = signer().verifier();
    let mut sink = Files::default();
    let damaged = |index: u64| log.read(if index == 77 { 78 } else { index });
    assert!(write_export(&log.checkpoint(), &key, damaged, &mut sink).is_err());
    assert!(!sink.0.contains_key("checkpoint"), "nothing vouches for a failed export");
    let mut frontier = Frontier::new();
    frontier.push(leaf_hash(b"x"));
    let foreign = Signer::new(ORIGIN, &[2; 32]).unwrap();
    let note = Checkpoint::new(ORIGIN, 1, frontier.root()).unwrap().sign(&foreign).unwrap();
    assert!(write_export(&note, &key, |_| Ok(b"x".to_vec()), &mut Files::default()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_change_to_a_larger_export_is_found(
        size in 1_u64..700, file: prop::sample::Index, at: prop::sample::Index, change in 0..5_u8, mask in 1..=255_u8,
    ) {
        let mut files = Log::with_size(size).exported();
        let path = files.0.keys().nth(file.index(files.0.len())).unwrap().clone();
        let before = files.0[&path].clone();
        let bytes = files.0.get_mut(&path).unwrap();
        let at = at.index(bytes.len());
        match change {
            0 => bytes[at] ^= mask,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, mask),
            3 => drop(bytes.remove(at)),
            _ => bytes.push(mask),
        }
        // Doubling a byte beside itself, or the end of line of the key, changes nothing that is said.
        let same = *bytes == before || (path == "vkey" && bytes.trim_ascii_end() == before.trim_ascii_end() && bytes.len() < before.len());
        prop_assert_eq!(verify_export(&files, None).is_ok(), same, "{} {} {}", path, at, change);
    }

    #[test]
    fn exchanged_leaves_within_a_bundle_are_found(size in 2_u64..300, a: prop::sample::Index, b: prop::sample::Index) {
        let mut files = Log::with_size(size).exported();
        let (path, bundle) = files.0.iter().rfind(|(path, _)| path.starts_with("tile/entries")).unwrap();
        let count = u16::try_from((size - 1) % 256 + 1).unwrap();
        let mut entries = decode_bundle(bundle, count).unwrap();
        let (a, b) = (a.index(entries.len()), b.index(entries.len()));
        entries.swap(a, b);
        let (path, bundle) = (path.clone(), encode_bundle(&entries).unwrap());
        files.0.insert(path, bundle);
        prop_assert_eq!(verify_export(&files, None).is_ok(), a == b);
    }
}
