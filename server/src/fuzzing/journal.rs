//! Fuzz target: what a verifier of the journal is handed.

use chartrier_journal::{
    Checkpoint, Hash, Json, Leaf, Proof, Signer, TilePath, Verifier, decode_bundle, encode_bundle, format_time,
    leaf_hash, open_note, parse_time, verify_proof,
};

/// Any bytes, read as each thing.
pub fn journal(bytes: &[u8]) {
    for count in [0, 1, 3, 256] {
        if let Ok(entries) = decode_bundle(bytes, count) {
            assert_eq!(encode_bundle(&entries).expect("what was read is within the limits"), bytes);
        }
    }
    if let Ok(json) = Json::parse(bytes) {
        let text = json.encode().expect("what was read has a form");
        assert_eq!(Json::parse(text.as_bytes()).ok(), Some(json));
    }
    if let Ok(leaf) = Leaf::parse(bytes) {
        let text = leaf.encode().expect("what was read has a form");
        assert_eq!(text, bytes, "a leaf has one form");
        assert_eq!(leaf.hash().ok(), Some(leaf_hash(bytes)));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let signer = Signer::new("chartrier.test/cycle", &[5; 32]).expect("a name");
    let log = signer.verifier();
    note(text, &log);
    if let Ok(proof) = Proof::parse(text) {
        assert_eq!(Proof::parse(&proof.encode()).ok().as_ref(), Some(&proof));
        // Seeds are signed by another key.
        assert!(proof.verify(bytes, &log).is_err() && verify_proof(text, None, &log).is_err());
    }
    if let Ok(path) = TilePath::parse(text) {
        assert_eq!(path.path(), text, "a path has one form");
    }
    if let Ok(verifier) = Verifier::from_vkey(text) {
        assert_eq!(verifier.vkey(), text);
    }
    if let Some(time_us) = parse_time(text) {
        assert_eq!(format_time(time_us).as_deref(), Some(text), "a time has one form");
    }
    if let Ok(hash) = text.parse::<Hash>() {
        assert_eq!(hash.to_string(), text, "a hash has one form");
    }
}

fn note(text: &str, log: &Verifier) {
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(Checkpoint::parse(&checkpoint.text()).ok().as_ref(), Some(&checkpoint));
    }
    assert!(open_note(text, &[log]).is_err() && Checkpoint::open(text, log).is_err(), "an unsigned note opens");
}
