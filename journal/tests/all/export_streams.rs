//! An export streams: leaves are asked for once each, in order; no file is larger than a tile or a bundle; a
//! folder appears whole or not at all.

use std::io;
use std::path::Path;

use chartrier_journal::{
    Checkpoint, ExportSink, FolderReader, FolderSink, Frontier, JournalError, TilePath, leaf_hash, tree_paths,
    verify_export, write_export,
};

use crate::log::{Log, ORIGIN, signer};

/// Counts what comes and keeps nothing.
#[derive(Default)]
struct Counter {
    files: Vec<String>,
    longest: usize,
}

impl ExportSink for Counter {
    fn put(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.push(path.to_owned());
        self.longest = self.longest.max(bytes.len());
        Ok(())
    }
}

#[test]
fn a_million_leaves_go_through_in_tiles() {
    const SIZE: u64 = 1_000_000;
    let entry = |index: u64| format!("{{\"seq\":{index}}}").into_bytes();
    let mut frontier = Frontier::new();
    for index in 0..SIZE {
        frontier.push(leaf_hash(&entry(index)));
    }
    let note = Checkpoint::new(ORIGIN, SIZE, frontier.root()).unwrap().sign(&signer()).unwrap();
    let (mut next, mut sink) = (0, Counter::default());
    let read = |index| {
        assert_eq!(index, next, "once each, in order");
        next += 1;
        Ok(entry(index))
    };
    write_export(&note, &signer().verifier(), read, &mut sink).unwrap();
    assert_eq!(next, SIZE);
    assert!(sink.longest <= 8192, "no file of these short leaves is over a tile: {}", sink.longest);
    assert_eq!(sink.files.last().unwrap(), "checkpoint", "nothing vouches for an export before its end");
    let mut tiles: Vec<String> = sink.files.iter().filter(|path| path.starts_with("tile/")).cloned().collect();
    let mut expected: Vec<String> = tree_paths(SIZE).map(|path| path.path()).collect();
    tiles.sort();
    expected.sort();
    assert_eq!(tiles, expected);
}

#[test]
fn a_folder_appears_whole_or_not_at_all() {
    let scratch = tempfile::tempdir().unwrap();
    let (log, out) = (Log::with_size(600), scratch.path().join("OUT"));
    let mut sink = FolderSink::create(&out).unwrap();
    log.export(&mut sink);
    assert!(!out.exists());
    sink.commit().unwrap();
    assert!(verify_export(&FolderReader::new(&out), Some(&signer().verifier())).is_ok());
    assert_eq!(names(scratch.path()), ["OUT"]);
    // A second export does not touch the first.
    assert_eq!(FolderSink::create(&out).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
    // One that fails leaves nothing behind.
    let failed = scratch.path().join("FAILED");
    let mut sink = FolderSink::create(&failed).unwrap();
    let read = |index| if index == 300 { Err(JournalError::read("gone")) } else { log.read(index) };
    assert!(write_export(&log.checkpoint(), &signer().verifier(), read, &mut sink).is_err());
    drop(sink);
    assert_eq!(names(scratch.path()), ["OUT"]);
    // An empty folder is a place to export to.
    let empty = scratch.path().join("EMPTY");
    std::fs::create_dir(&empty).unwrap();
    let mut sink = FolderSink::create(&empty).unwrap();
    log.export(&mut sink);
    sink.commit().unwrap();
    assert!(verify_export(&FolderReader::new(&empty), None).is_ok());
}

#[test]
fn nothing_lands_outside_the_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let mut sink = FolderSink::create(&scratch.path().join("OUT")).unwrap();
    for path in ["../x", "/tmp/x", "tile/../../x", "tile/0/../../../x", "", ".", "x", "tile", "tile/0/000/x"] {
        assert!(sink.put(path, b"x").is_err(), "{path}");
    }
    assert!(TilePath::parse("tile/0/000").is_ok() && sink.put("tile/0/000", b"x").is_ok());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
