//! Exports and proofs are verified by a program that shares no code with us: Go's own transparency log packages,
//! as Debian ships them (`golang-go`, `golang-golang-x-mod-dev`).

use std::path::{Path, PathBuf};
use std::process::Command;

use chartrier_journal::{FolderSink, Proof};

use crate::log::{Log, signer};

/// Where Debian's `golang-golang-x-mod-dev` puts its sources.
const GOPATH: &str = "/usr/share/gocode";

#[test]
fn go_accepts_our_exports_and_proofs_and_refuses_touched_ones() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(verify) = build(scratch.path()) else { return };
    for size in [0, 1, 2, 255, 256, 257, 1000, 66_000] {
        let log = Log::with_size(size);
        let out = scratch.path().join(format!("OUT-{size}"));
        let mut sink = FolderSink::create(&out).unwrap();
        log.export(&mut sink);
        sink.commit().unwrap();
        let proofs = write_proofs(&log, &out);
        let said = run(&verify, &out, &proofs).unwrap_or_else(|error| panic!("{size} leaves: {error}"));
        assert!(said.contains(&format!("{size} leaves, {} proofs", proofs.len())), "{said}");
    }
    refuses_touched_ones(&verify, &scratch.path().join("OUT-1000"));
}

/// The other program is a judge only if it says no: one bit in each file of an export, and in a proof.
fn refuses_touched_ones(verify: &Path, out: &Path) {
    let proofs = write_proofs(&Log::with_size(1000), out);
    let tiles = ["tile/0/000", "tile/0/003.p/232", "tile/1/000.p/3", "tile/entries/001", "tile/entries/003.p/232"];
    let files =
        ["checkpoint", "vkey"].into_iter().chain(tiles).map(|name| out.join(name)).chain(proofs.iter().cloned());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let mut touched = bytes.clone();
        let at = bytes.len() / 2;
        touched[at] ^= 1;
        std::fs::write(&file, touched).unwrap();
        assert!(run(verify, out, &proofs).is_err(), "{}", file.display());
        std::fs::write(&file, bytes).unwrap();
    }
    run(verify, out, &proofs).unwrap();
}

fn write_proofs(log: &Log, out: &Path) -> Vec<PathBuf> {
    let size = log.size();
    let mut indexes: Vec<u64> = [0, 1, 255, 256, size / 2, size.saturating_sub(1)].into();
    indexes.retain(|index| *index < size);
    let key = signer().verifier();
    let write = |index| {
        let proof = Proof::make(index, log.read(index).unwrap(), &log.checkpoint(), &key, &log.stored).unwrap();
        let file = out.with_extension(format!("{index}.tlog-proof"));
        std::fs::write(&file, proof.encode()).unwrap();
        file
    };
    indexes.into_iter().map(write).collect()
}

fn run(verify: &Path, out: &Path, proofs: &[PathBuf]) -> Result<String, String> {
    let output = Command::new(verify).arg(out).args(proofs).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// Builds the Go program, or says loudly that there is no Go here.
fn build(scratch: &Path) -> Option<PathBuf> {
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("\n**** SKIPPED: `go` is not installed, so no program but ours verified the journal. ****");
        eprintln!("**** Install golang-go and golang-golang-x-mod-dev (`make test` does). ****\n");
        return None;
    }
    let binary = scratch.join("verify");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/verify.go");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&binary, &source])
        .envs([("GO111MODULE", "off"), ("GOPATH", GOPATH), ("GOFLAGS", ""), ("CGO_ENABLED", "0")])
        .env("GOCACHE", scratch.join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "go build (is golang-golang-x-mod-dev installed?): {said}");
    Some(binary)
}
