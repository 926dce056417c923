//! Goal: an export and its key give the plaintext back without a server, or nothing.
//! Method: run the `chartrier-unseal` binary on exports made here.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use chartrier_crypto::export::{Export, ExportError};
use chartrier_crypto::*;

use crate::common::{client_key, object_key, pattern, seal_blob};

fn export(lengths: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let plain = pattern(lengths.iter().sum());
    let (mut parts, mut blobs, mut at) = (Vec::new(), Vec::new(), 0);
    for (i, &len) in lengths.iter().enumerate() {
        let number = i as u32 + 1;
        let sealer = PartSealer::new(&object_key(), Mode::C, [3; 16], number, [i as u8 + 1; 24]);
        let header = *sealer.header();
        blobs.extend(seal_blob(sealer, &plain[at..at + len]));
        at += len;
        parts.push(ManifestPart { number, salt: header.salt, commitment: header.commitment, plain_len: len as u64 });
    }
    let sealed_metadata = object_key().metadata_key().seal([4; 32], METADATA_LABEL, b"meta");
    let mut export = Export {
        mode: Mode::C,
        bucket: [1; 16],
        version_id: [2; 16],
        object_uuid: [3; 16],
        key_name: b"plan.dwg".to_vec(),
        wrap_record: Vec::new(),
        sealed_metadata,
        manifest_mac: [0; 32],
        parts,
    };
    let root = client_key(1);
    export.wrap_record = wrap(RootKey::Client(&root), &object_key(), &export.wrap_context(), [9; 32]);
    export.manifest_mac = object_key().manifest_key().mac(&export.manifest());
    let mut file = export.encode().unwrap();
    file.extend(blobs);
    assert_eq!(export.container_len().unwrap(), file.len() as u64);
    (file, plain)
}

fn tool(dir: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chartrier-unseal"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The tool may stop reading early; that is its answer, not a failure of the test.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn files_and_pipes() {
    let dir = tempfile::tempdir().unwrap();
    let (file, plain) = export(&[50_000, 0, 16_384]);
    fs::write(dir.path().join("key"), [1; 32]).unwrap();
    fs::write(dir.path().join("object.sov1"), &file).unwrap();

    let args = ["--key-file", "key", "--metadata", "meta", "object.sov1", "out"];
    let answer = tool(dir.path(), &args, b"");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    assert!(fs::read(dir.path().join("out")).unwrap() == plain);
    assert_eq!(fs::read(dir.path().join("meta")).unwrap(), b"meta");

    let answer = tool(dir.path(), &["--key-file", "key"], &file);
    assert!(answer.status.success() && answer.stdout == plain);
    let answer = tool(dir.path(), &["--key-file", "key", "-", "-"], &file);
    assert!(answer.status.success() && answer.stdout == plain);
}

#[test]
fn a_failure_says_what_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = export(&[50_000]);
    fs::write(dir.path().join("key"), [1; 32]).unwrap();
    fs::write(dir.path().join("other"), [2; 32]).unwrap();
    fs::write(dir.path().join("short"), [1; 31]).unwrap();
    fs::write(dir.path().join("long"), [1; 33]).unwrap();
    let mut bad = file.clone();
    *bad.last_mut().unwrap() ^= 1;

    let cases: [(&str, &[u8], &str); 6] = [
        ("other", &file, "the key does not open this object"),
        ("short", &file, "32 raw bytes"),
        ("long", &file, "32 raw bytes"),
        ("key", &bad, "part 1 cannot be opened"),
        ("key", &file[..file.len() - 1], "cut short"),
        ("missing", &file, "cannot read the key file"),
    ];
    for (key, input, message) in cases {
        let answer = tool(dir.path(), &["--key-file", key, "-", "out"], input);
        let stderr = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert_eq!(answer.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
        assert!(!dir.path().join("out").exists());
        assert!(!dir.path().join("out.partial").exists());
    }
    for args in [&[][..], &["--key-file"], &["--key-file", "key", "--loud"], &["a", "b"]] {
        assert_eq!(tool(dir.path(), args, b"").status.code(), Some(2));
    }
}

#[test]
fn every_byte_of_an_export_counts() {
    let (file, _) = export(&[40, 0, 7]);
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 0x10;
        let result = unseal::unseal(&bad[..], &[1; 32], std::io::sink());
        assert!(result.is_err(), "byte {at} of {}", file.len());
        assert!(unseal::unseal(&file[..at], &[1; 32], std::io::sink()).is_err());
    }
    let longer = [&file[..], &[0]].concat();
    let error = unseal::unseal(&longer[..], &[1; 32], std::io::sink()).err();
    assert!(matches!(error, Some(ExportError::Trailing)));
}

#[test]
fn nothing_comes_out_before_wrap_and_manifest_hold() {
    let (mut file, _) = export(&[40, 30]);
    // The MAC's first byte: byte 64 of the front.
    file[64] ^= 1;
    let mut out = Vec::new();
    let error = unseal::unseal(&file[..], &[1; 32], &mut out).err();
    assert!(matches!(error, Some(ExportError::Manifest)));
    assert!(out.is_empty());
}
