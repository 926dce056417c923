//! The examples of `docs/formats/journal.md` are what the code writes.

use chartrier_journal::{Proof, leaf_hash};

use crate::log::{Log, signer};

const DOCUMENT: &str = include_str!("../../../docs/formats/journal.md");

#[test]
fn the_examples_of_the_document_are_real() {
    let log = Log::with_size(3);
    let leaf = log.read(2).unwrap();
    let proof = Proof::make(2, leaf.clone(), &log.checkpoint(), &signer().verifier(), &log.stored).unwrap().encode();
    let (_, proof_after_leaf) = proof.split_once("index").unwrap();
    let length: Vec<String> = (leaf.len() as u16).to_be_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    for example in [
        String::from_utf8(leaf.clone()).unwrap(),
        leaf_hash(&leaf).to_hex(),
        length.join(" "),
        log.checkpoint(),
        signer().vkey(),
        format!("index{proof_after_leaf}"),
    ] {
        assert!(DOCUMENT.contains(&example), "the document should show:\n{example}");
    }
}
