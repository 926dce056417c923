//! Signed notes and checkpoints: Go's own example, and every touched bit refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartrier_journal::{
    Checkpoint, JournalError, SIGNATURES_MAX, Signer, TREE_SIZE_MAX, Verifier, empty_root, leaf_hash, open_note,
    sign_note,
};

use crate::log::{Log, ORIGIN, signer};

// The example in the documentation of golang.org/x/mod/sumdb/note.
const GO_KEY: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn the_example_of_go_signs_and_opens_to_the_byte() {
    let seed: [u8; 32] = STANDARD.decode(GO_KEY).unwrap()[1..].try_into().unwrap();
    let signer = Signer::new("PeterNeumann", &seed).unwrap();
    assert_eq!(signer.vkey(), GO_VKEY);
    let (text, _) = GO_NOTE.split_once("\n\n").unwrap();
    assert_eq!(sign_note(&format!("{text}\n"), &[&signer]).unwrap(), GO_NOTE);
    let opened = open_note(GO_NOTE, &[&Verifier::from_vkey(GO_VKEY).unwrap()]).unwrap();
    assert_eq!(opened.text, format!("{text}\n"));
    assert_eq!(opened.signed_by.len(), 1);
}

#[test]
fn the_example_of_the_checkpoint_specification_reads() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let checkpoint = Checkpoint::parse(text).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size()), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.text(), text);
}

#[test]
fn every_flipped_bit_of_a_checkpoint_or_key_is_refused() {
    let note = Log::with_size(3).checkpoint();
    let key = signer().verifier();
    assert!(Checkpoint::open(&note, &key).is_ok());
    for at in 0..note.len() * 8 {
        let mut bytes = note.clone().into_bytes();
        bytes[at / 8] ^= 1 << (at % 8);
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(Checkpoint::open(&text, &key).is_err(), "bit {at}");
        }
    }
    let vkey = key.vkey();
    for at in 0..vkey.len() * 8 {
        let mut bytes = vkey.clone().into_bytes();
        bytes[at / 8] ^= 1 << (at % 8);
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(Verifier::from_vkey(&text).is_err(), "bit {at}");
        }
    }
}

#[test]
fn other_keys_are_ignored_and_at_least_16_signatures_accepted() {
    let log = signer();
    let others: Vec<Signer> =
        (0..40_u8).map(|i| Signer::new(&format!("witness{i}.example"), &[i; 32]).unwrap()).collect();
    let all: Vec<&Signer> = others.iter().take(20).chain([&log]).chain(others.iter().skip(20)).collect();
    let text = "a\n\nb\n";
    let note = sign_note(text, &all).unwrap();
    let opened = open_note(&note, &[&log.verifier()]).unwrap();
    assert_eq!((opened.text.as_str(), opened.signed_by.len(), opened.unknown.len()), (text, 1, 40));
    // Same name, another key: unknown, not wrong.
    let impostor = Signer::new(ORIGIN, &[9; 32]).unwrap();
    assert!(open_note(&sign_note(text, &[&impostor, &log]).unwrap(), &[&log.verifier()]).is_ok());
    assert!(matches!(
        open_note(&sign_note(text, &[&impostor]).unwrap(), &[&log.verifier()]),
        Err(JournalError::NotSigned { .. })
    ));
    assert!(open_note(&note, &[]).is_err());
    // A signature that claims our key must be of it, whatever else is there.
    let forged = note.replacen("a\n\nb\n", "a\n\nc\n", 1);
    assert!(matches!(open_note(&forged, &[&log.verifier()]), Err(JournalError::BadSignature { .. })));
    let many: Vec<&Signer> = std::iter::repeat_n(&others[0], SIGNATURES_MAX).chain([&log]).collect();
    assert!(open_note(&sign_note(text, &many).unwrap(), &[&log.verifier()]).is_err());
}

#[test]
fn malformed_notes_and_keys_are_refused() {
    let key = Verifier::from_vkey(GO_VKEY).unwrap();
    let (text, signature) = GO_NOTE.split_once("\n\n").unwrap();
    let signature = signature.trim_end();
    for bad in [
        String::new(),
        "\n\n".to_owned(),
        text.to_owned(),
        format!("{text}\n{signature}\n"),
        format!("{text}\n\n{signature}"),
        format!("{text}\n\n{signature}\n\n"),
        format!("{text}\n\n{signature}\nmore\n"),
        format!("{text}\r\n\n{signature}\n"),
        format!("{text}\n\n-{signature}\n"),
        format!("{text}\n\n{signature}=\n"),
        format!("{text}\n\n\u{2014} PeterNeumann \n"),
        format!("{text}\n\n\u{2014} PeterNeumann x08goA==\n"),
        format!("{text}\n\n{signature}\n\u{2014}  x08goAAA\n"),
        format!("{text}\n\n{signature}\n\u{2014} a+b x08goAAA\n"),
        format!("{text}\n\n{signature}\n\u{2014} a\u{a0}b x08goAAA\n"),
        format!("{}\n\n{signature}\n", "x".repeat(1 << 20)),
    ] {
        assert!(open_note(&bad, &[&key]).is_err(), "{bad:.200}");
    }
    for bad in [
        "",
        "+",
        "++",
        "a+b",
        "a+00000000+",
        "PeterNeumann+c74f20a3+",
        &GO_VKEY.replace("c74f", "C74F"),
        &GO_VKEY.replace("PeterNeumann", "Peter Neumann"),
        &GO_VKEY.replace("PeterNeumann", ""),
        &format!("{GO_VKEY}\n"),
        &format!(" {GO_VKEY}"),
        &format!("{GO_VKEY}A"),
        &GO_VKEY.replace("+AR", "+BB"),
        "example.com/w+530d903a+BA==",
    ] {
        assert!(Verifier::from_vkey(bad).is_err(), "{bad}");
    }
    for bad in ["", " ", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{7f}"] {
        assert!(Signer::new(bad, &[1; 32]).is_err(), "{bad:?}");
    }
    let log = signer();
    for bad in ["", "no newline", "tab\t\n", "nul\0\n"] {
        assert!(sign_note(bad, &[&log]).is_err(), "{bad:?}");
    }
    assert!(sign_note("text\n", &[]).is_err());
}

#[test]
fn malformed_checkpoints_are_refused() {
    let root = leaf_hash(b"x");
    for bad in [
        String::new(),
        format!("{ORIGIN}\n1\n{root}"),
        format!("{ORIGIN}\n1\n{root}\nextension\n"),
        format!("{ORIGIN}\n1\n{root}\n\n"),
        format!("\n1\n{root}\n"),
        format!("{ORIGIN}\n01\n{root}\n"),
        format!("{ORIGIN}\n+1\n{root}\n"),
        format!("{ORIGIN}\n-1\n{root}\n"),
        format!("{ORIGIN}\n\n{root}\n"),
        format!("{ORIGIN}\n18446744073709551616\n{root}\n"),
        format!("{ORIGIN}\n{}\n{root}\n", TREE_SIZE_MAX + 1),
        format!("{ORIGIN}\n0\n{root}\n"),
        format!("{ORIGIN}\n1\n{}\n", &root.to_string()[..40]),
        format!("{ORIGIN}+\n1\n{root}\n"),
        format!("{}\n1\n{root}\n", "x".repeat(600)),
    ] {
        assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
    }
    assert!(Checkpoint::new(ORIGIN, 0, empty_root()).is_ok());
    // Signed by a key of another name, for either side.
    let other = Signer::new("other.example/cycle", &[4; 32]).unwrap();
    let checkpoint = Checkpoint::new(ORIGIN, 1, root).unwrap();
    assert!(checkpoint.sign(&other).is_err());
    let crossed = sign_note(&checkpoint.text(), &[&other]).unwrap();
    assert!(Checkpoint::open(&crossed, &other.verifier()).is_err());
}
