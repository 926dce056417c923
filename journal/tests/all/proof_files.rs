//! Proof files: of every leaf, for every tree size; touched ones refused.

use chartrier_journal::{Checkpoint, JournalError, Proof, Signer, VerifyError, tree_hash, verify_proof};

use crate::log::{Log, ORIGIN, leaf, signer};

fn proof_of(log: &Log, index: u64) -> Proof {
    Proof::make(index, log.read(index).unwrap(), &log.checkpoint(), &signer().verifier(), &log.stored).unwrap()
}

#[test]
fn every_leaf_has_a_proof_that_comes_back_and_holds() {
    let key = signer().verifier();
    for size in [1, 2, 3, 7, 8, 255, 256, 257, 300] {
        let log = Log::with_size(size);
        for index in (0..size).step_by(13).chain([size - 1]) {
            let proof = proof_of(&log, index);
            let text = proof.encode();
            assert_eq!(Proof::parse(&text).unwrap(), proof);
            let verified = verify_proof(&text, None, &key).unwrap();
            assert_eq!(verified.leaf, leaf(index));
            assert_eq!(verified.checkpoint.size(), size);
            // The leaf may come from elsewhere instead.
            let bare = Proof { extra: None, ..proof };
            assert!(verify_proof(&bare.encode(), Some(&log.read(index).unwrap()), &key).is_ok());
            assert!(matches!(verify_proof(&bare.encode(), None, &key), Err(VerifyError::NoEntry)));
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let key = signer().verifier();
    let text = proof_of(&Log::with_size(5), 2).encode();
    for at in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[at / 8] ^= 1 << (at % 8);
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(verify_proof(&text, None, &key).is_err(), "bit {at}");
        }
    }
    for cut in 0..text.len() {
        if let Some(cut) = text.get(..cut) {
            assert!(verify_proof(cut, None, &key).is_err());
        }
    }
}

#[test]
fn a_proof_is_of_one_leaf_of_one_log() {
    let log = Log::with_size(20);
    let key = signer().verifier();
    let proof = proof_of(&log, 6);
    assert!(matches!(verify_proof(&proof.encode(), Some(&log.read(7).unwrap()), &key), Err(VerifyError::OtherEntry)));
    let bare = Proof { extra: None, ..proof.clone() };
    assert!(verify_proof(&bare.encode(), Some(&log.read(7).unwrap()), &key).is_err());
    assert!(verify_proof(&Proof { index: 7, ..proof.clone() }.encode(), None, &key).is_err());
    let other = Signer::new(ORIGIN, &[1; 32]).unwrap().verifier();
    assert!(verify_proof(&proof.encode(), None, &other).is_err());
    // A signed tree of the wrong leaves: in place by its hash, but not by what it says.
    let moved = Log::of(vec![leaf(1).encode().unwrap()]);
    let text = proof_of(&moved, 0).encode();
    assert!(matches!(verify_proof(&text, None, &key), Err(VerifyError::Leaf { index: 0, .. })));
    let noise = Log::of(vec![b"not a leaf".to_vec()]);
    assert!(verify_proof(&proof_of(&noise, 0).encode(), None, &key).is_err());
}

#[test]
fn a_proof_is_not_made_of_what_does_not_hold() {
    let log = Log::with_size(20);
    let key = signer().verifier();
    let make = |index, leaf: Vec<u8>, log: &Log| Proof::make(index, leaf, &log.checkpoint(), &key, &log.stored);
    assert!(matches!(make(20, log.read(3).unwrap(), &log), Err(JournalError::OutsideTree { .. })));
    assert!(matches!(make(4, log.read(3).unwrap(), &log), Err(JournalError::ProofFailed)));
    let mut damaged = Log::with_size(20);
    damaged.stored[0] = damaged.stored[1];
    assert!(matches!(make(1, log.read(1).unwrap(), &damaged), Err(JournalError::ProofFailed)));
    // The checkpoint may be older than the store: the proof is in the tree that was signed.
    let old = Checkpoint::new(ORIGIN, 9, tree_hash(9, &log.stored).unwrap()).unwrap().sign(&signer()).unwrap();
    assert!(Proof::make(8, log.read(8).unwrap(), &old, &key, &log.stored).is_ok());
    assert!(Proof::make(9, log.read(9).unwrap(), &old, &key, &log.stored).is_err());
}

#[test]
fn other_texts_are_refused() {
    let text = proof_of(&Log::with_size(5), 2).encode();
    for bad in [
        text.replace("proof@v1", "proof@v2"),
        text.replace("index 2", "index 02"),
        text.replace("index 2", "index +2"),
        text.replace("index 2", "index"),
        text.replace("index 2\n", ""),
        text.replace("index 2", "index 2 "),
        text.replace("index 2", "index 18446744073709551616"),
        text.replacen("extra ", "extra  ", 1),
        text.replacen("extra ", "extra\u{a0}", 1),
        text.replacen('\n', "\r\n", 1),
        text.replacen("\n\n", "\n", 1),
        text.replacen("\n\n", "\n\n\n", 1),
        text.replacen("index 2\n", &format!("index 2\n{}", format!("{}\n", "A".repeat(43) + "=").repeat(61)), 1),
        format!("\n{text}"),
        format!("{text}\n"),
        "x".repeat(3 << 20),
    ] {
        assert_ne!(bad, text);
        assert!(verify_proof(&bad, None, &signer().verifier()).is_err(), "{bad:.300}");
    }
}
