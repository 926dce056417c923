//! Redundancy that was lost comes back by itself. The proof is always the same: afterwards any other
//! m drives may go, and everything is read.

use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use super::*;

const KEYS: usize = 10;

fn len_of(n: usize) -> usize {
    20_000 + n * 150_000
}

async fn fill(engine: &Engine) {
    for n in 0..KEYS {
        put(engine, &format!("k{n}"), len_of(n)).await;
    }
}

async fn check_all(engine: &Engine) {
    for n in 0..KEYS {
        check(engine, &format!("k{n}"), len_of(n)).await;
    }
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 30 s: {what}");
}

/// Opens again as soon as the last engine has let go of the directories.
async fn reopen(rig: &Rig) -> Arc<Engine> {
    for _ in 0..100 {
        match rig.try_open().await {
            Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => return other.unwrap(),
        }
    }
    rig.open().await
}

/// Reads everything with two drives away, so that each of the others must be whole.
async fn check_without(rig: &Rig, away: [usize; 2]) {
    for n in away {
        std::fs::rename(rig.drive(n), rig.away(n)).unwrap();
    }
    let engine = reopen(rig).await;
    check_all(&engine).await;
    engine.close().await.unwrap();
    drop(engine);
    for n in away {
        std::fs::rename(rig.away(n), rig.drive(n)).unwrap();
    }
}

fn leaves(engine: &Engine, kind: &str) -> Vec<String> {
    let journal = engine.journal();
    let texts = (0..journal.size()).map(|index| String::from_utf8(journal.leaf(index).unwrap()).unwrap());
    texts.filter(|leaf| leaf.contains(&format!("\"type\":\"{kind}\""))).collect()
}

/// Changes one byte in the middle of the data of every segment of a drive.
fn damage_segments(drive: &Path, at: impl Fn(u64) -> u64) -> usize {
    let mut damaged = 0;
    for entry in std::fs::read_dir(drive.join("segments")).unwrap() {
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(entry.unwrap().path()).unwrap();
        let offset = at(file.metadata().unwrap().len());
        let mut byte = [0];
        file.seek(SeekFrom::Start(offset)).unwrap();
        if file.read(&mut byte).unwrap() == 1 {
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.write_all(&[byte[0] ^ 0x20]).unwrap();
            damaged += 1;
        }
    }
    damaged
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_degraded_write_did_without_is_healed() {
    let rig = Rig::new();
    drop(rig.open_with_bucket().await);
    std::fs::rename(rig.drive(4), rig.away(4)).unwrap();
    let engine = reopen(&rig).await;
    fill(&engine).await;
    put(&engine, "gone", 400_000).await;
    let gone = engine.current(BUCKET, "gone").unwrap().unwrap();
    delete(&engine, "gone").await;
    assert!(engine.status().shards_to_heal > 0);
    assert!(leaves(&engine, "storage.repair").is_empty(), "a drive that is away is not replaced by another");
    engine.close().await.unwrap();
    drop(engine);
    std::fs::rename(rig.away(4), rig.drive(4)).unwrap();

    let engine = reopen(&rig).await;
    until("every shard is healed", || engine.status().shards_to_heal == 0).await;
    assert!(!leaves(&engine, "storage.repair").is_empty());
    assert!(leaves(&engine, "storage.corruption").is_empty(), "nothing was damaged");
    // What was deleted is not brought back.
    let run = gone.parts[0].blob.stripes().unwrap();
    let target = engine.blobs().placement(run).unwrap();
    for (shard, drive) in target.targets(0).iter().enumerate() {
        let drive = engine.blobs().drive(*drive).unwrap();
        let there = drive.locate(run.first, shard as u8).unwrap().is_some();
        assert!(!there || drive.io().label() != rig.drive(4).display().to_string());
    }
    engine.close().await.unwrap();
    drop(engine);
    check_without(&rig, [0, 1]).await;
    check_without(&rig, [2, 5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_a_read_finds_damaged_is_rebuilt() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    engine.close().await.unwrap();
    drop(engine);
    assert!(damage_segments(rig.drive(1), |_| 500_000) > 0);

    let engine = reopen(&rig).await;
    check_all(&engine).await;
    until("the damage is mended", || engine.mender().status().shards > 0 && engine.mender().is_idle()).await;
    check_all(&engine).await;
    let found = leaves(&engine, "storage.corruption");
    assert!(found.iter().all(|leaf| leaf.contains("\"found_by\":\"read\"")), "{found:?}");
    assert_eq!(leaves(&engine, "storage.repair").len(), found.len());
    assert!(engine.blobs().status().iter().any(|drive| drive.dead_bytes > 0), "the old record is dead");
    engine.close().await.unwrap();
    drop(engine);
    check_without(&rig, [0, 2]).await;
    check_without(&rig, [3, 5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_lost_everything_is_filled() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    engine.close().await.unwrap();
    drop(engine);
    for folder in ["segments", "index"] {
        std::fs::remove_dir_all(rig.drive(2).join(folder)).unwrap();
    }
    let engine = reopen(&rig).await;
    let label = rig.drive(2).display().to_string();
    let drive = engine.blobs().drives().into_iter().find(|drive| drive.io().label() == label).unwrap();
    let rebuild = engine.mender().rebuild_drive(drive.id());
    let progress = rebuild.finished().await;
    assert!(progress.missing > 0, "{progress:?}");
    assert_eq!((progress.rebuilt, progress.failed), (progress.missing, 0));
    let again = engine.mender().rebuild_drive(drive.id()).finished().await;
    assert_eq!((again.stripes, again.missing), (progress.stripes, 0));
    let stripes: usize = leaves(&engine, "storage.repair").iter().map(|leaf| leaf.matches("\"stripe\":").count()).sum();
    assert_eq!(stripes as u64, progress.missing, "each stripe is in a leaf");
    drop(drive);
    engine.close().await.unwrap();
    drop(engine);
    check_without(&rig, [0, 1]).await;
    check_without(&rig, [3, 5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stripe_beyond_repair_is_recorded_once() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    put(&engine, "k0", 900_000).await;
    engine.close().await.unwrap();
    drop(engine);
    for n in 0..3 {
        damage_segments(rig.drive(n), |_| 9_000);
    }
    let engine = reopen(&rig).await;
    let row = engine.current(BUCKET, "k0").unwrap().unwrap();
    for _ in 0..2 {
        let mut reader = engine.blobs().reader(&row.parts[0].blob, 0..row.parts[0].blob.len_bytes());
        assert!(matches!(reader.next().await, Err(StorageError::Corrupted { .. })));
        until("the mender has seen it", || engine.mender().status().lost_stripes > 0).await;
        until("it is idle", || engine.mender().is_idle()).await;
    }
    assert_eq!(engine.mender().status().lost_stripes, 1);
    let found = leaves(&engine, "storage.corruption");
    assert!(found.len() == 1 && found[0].contains("stripe-lost"), "{found:?}");
}
