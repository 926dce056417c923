//! `chartrier-verify` as a person runs it: exit code, and one line.

use std::path::Path;
use std::process::{Command, Output};

use chartrier_journal::{FolderSink, Proof};

use crate::log::{Log, signer};

fn run(arguments: &[&Path]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_chartrier-verify")).args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn it_checks_exports_and_proofs_and_says_one_line() {
    let scratch = tempfile::tempdir().unwrap();
    let (out, proof, vkey) =
        (scratch.path().join("OUT"), scratch.path().join("p.tlog-proof"), scratch.path().join("vkey"));
    let (log, key) = (Log::with_size(300), signer().verifier());
    let mut sink = FolderSink::create(&out).unwrap();
    log.export(&mut sink);
    sink.commit().unwrap();
    let made = Proof::make(42, log.read(42).unwrap(), &log.checkpoint(), &key, &log.stored).unwrap();
    std::fs::write(&proof, made.encode()).unwrap();
    std::fs::write(&vkey, key.vkey()).unwrap();
    let flag = |name| Path::new(name);

    for good in [&[out.as_path()][..], &[&out, flag("--vkey"), &vkey], &[&proof, flag("--vkey"), &out.join("vkey")]] {
        let (code, stdout, stderr) = run(good);
        assert_eq!((code, stdout.lines().count(), stderr.as_str()), (0, 1, ""), "{stdout}{stderr}");
        assert!(stdout.starts_with("ok: chartrier.example/default/cycle: "), "{stdout}");
    }
    let entry = scratch.path().join("entry");
    std::fs::write(&entry, log.read(42).unwrap()).unwrap();
    assert_eq!(run(&[&proof, flag("--vkey"), &vkey, flag("--entry"), &entry]).0, 0);
    std::fs::write(&entry, log.read(43).unwrap()).unwrap();

    // What does not hold: exit 1 and one line on standard error.
    let absent = scratch.path().join("absent");
    let empty = scratch.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let tile = out.join("tile/0/000");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[8191] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    for (bad, says) in [
        (&[out.as_path()][..], "tile/0/000"),
        (&[&empty], "vkey: missing"),
        (&[&absent], "absent"),
        (&[&proof], "--vkey"),
        (&[&proof, flag("--vkey"), &absent], "absent"),
        (&[&proof, flag("--vkey"), &proof], "malformed"),
        (&[&proof, flag("--vkey"), &vkey, flag("--entry"), &entry], "not the one given"),
        (&[&vkey, flag("--vkey"), &vkey], "malformed proof"),
    ] {
        let (code, stdout, stderr) = run(bad);
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (1, "", 1), "{says}: {stderr}");
        assert!(stderr.starts_with("failed: ") && stderr.contains(says), "{says}: {stderr}");
    }
}

#[test]
fn wrong_usage_is_exit_2() {
    let path = Path::new;
    for bad in [
        &[][..],
        &[path("--wrong")],
        &[path("a"), path("b")],
        &[path("a"), path("--vkey")],
        &[path("--vkey"), path("a")],
    ] {
        let (code, stdout, stderr) = run(bad);
        assert_eq!((code, stdout.as_str()), (2, ""));
        assert!(stderr.starts_with("usage: "));
    }
    let (code, stdout, _) = run(&[path("--help")]);
    assert!(code == 0 && stdout.starts_with("usage: "));
}
