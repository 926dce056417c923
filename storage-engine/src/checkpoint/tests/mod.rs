//! Checkpoints on simulated drives: incremental, atomic, restored from whoever is right.

use std::fs;
use std::path::Path;

use super::{Checkpoints, DigestCache, collect, publish};
use crate::log::tests::rig::{CLUSTER, Rig};

fn write(dir: &Path, files: &[(&str, &[u8])]) {
    fs::create_dir_all(dir).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
}

fn read(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn unchanged_files_are_stored_once_and_old_ones_collected() {
    let rig = Rig::new(3, 2, 64 << 10);
    let drives = rig.drives(&[]);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("work");
    let mut cache = DigestCache::default();
    write(&dir, &[("000001.sst", &[1; 50_000]), ("000002.sst", &[2; 50_000]), ("CURRENT", b"a")]);
    let first = publish(&dir, &cache.describe(&dir, CLUSTER, 10).unwrap(), &drives);
    assert_eq!((first.bytes_written, first.drives.len()), (3 * 100_001, 3));
    write(&dir, &[("000003.sst", &[3; 20_000]), ("CURRENT", b"b")]);
    fs::remove_file(dir.join("000001.sst")).unwrap();
    let second = publish(&dir, &cache.describe(&dir, CLUSTER, 20).unwrap(), &drives);
    assert_eq!(second.bytes_written, 3 * 20_001, "only what is new");
    collect(&drives, CLUSTER, 20);
    for io in &rig.ios {
        let files = io.files().into_iter().filter(|(name, _)| name.starts_with("checkpoints/")).count();
        assert_eq!(files, 3 + 1, "three files and a manifest");
    }
    let restored = temp.path().join("restored");
    assert_eq!(Checkpoints::find(&drives, CLUSTER).restore(&restored).unwrap(), Some(20));
    assert_eq!(read(&restored), read(&dir));
}

#[test]
fn each_file_comes_from_a_drive_where_it_is_right() {
    let rig = Rig::new(3, 2, 64 << 10);
    let drives = rig.drives(&[]);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("work");
    write(&dir, &[("a", &[1; 3000]), ("b", &[2; 3000]), ("c", &[3; 3000])]);
    publish(&dir, &DigestCache::default().describe(&dir, CLUSTER, 5).unwrap(), &drives);
    // Each drive has lost another two of the three files.
    for (place, io) in rig.ios.iter().enumerate() {
        let files: Vec<_> = io.files().into_iter().filter(|(name, _)| name.starts_with("checkpoints/files/")).collect();
        for (number, (name, _)) in files.iter().enumerate().filter(|(number, _)| *number != place) {
            io.flip(name, 100 * number as u64, 8);
        }
    }
    let restored = temp.path().join("restored");
    assert_eq!(Checkpoints::find(&drives, CLUSTER).restore(&restored).unwrap(), Some(5));
    assert_eq!(read(&restored), read(&dir));
}

#[test]
fn a_power_cut_at_any_point_leaves_the_old_checkpoint_or_the_new() {
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (temp.path().join("old"), temp.path().join("new"));
    write(&old, &[("same", &[7; 9000]), ("x", b"old")]);
    write(&new, &[("same", &[7; 9000]), ("x", b"new"), ("y", &[9; 5000])]);
    for cut in 0..60 {
        let rig = Rig::new(1, 0, 64 << 10);
        let manifest = |dir: &Path, applied| DigestCache::default().describe(dir, CLUSTER, applied).unwrap();
        assert!(publish(&old, &manifest(&old, 1), &rig.drives(&[])).failed.is_empty());
        rig.world.cut_at(rig.world.points() + cut);
        let drives = rig.drives(&[]);
        let published = publish(&new, &manifest(&new, 2), &drives).drives.len() == 1;
        if published {
            collect(&drives, CLUSTER, 2);
        }
        rig.power_cut(cut);
        let restored = temp.path().join(format!("restored-{cut}"));
        let applied = Checkpoints::find(&rig.drives(&[]), CLUSTER).restore(&restored).unwrap().unwrap();
        assert!(applied == 2 || !published, "a published checkpoint is gone after a cut at {cut}");
        assert_eq!(read(&restored), read(if applied == 2 { &new } else { &old }));
    }
}

#[test]
fn a_file_that_changes_while_it_is_copied_is_never_published() {
    let rig = Rig::new(1, 0, 64 << 10);
    let drives = rig.drives(&[]);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("work");
    write(&dir, &[("a", &[1; 3000])]);
    let manifest = DigestCache::default().describe(&dir, CLUSTER, 5).unwrap();
    write(&dir, &[("a", &[2; 3000])]);
    assert_eq!(publish(&dir, &manifest, &drives).failed.len(), 1);
    assert!(Checkpoints::find(&drives, CLUSTER).newest().is_none());
}
