//! Redundancy that was lost comes back by itself. The proof is always the same: afterwards any other
//! m drives may go, and everything is read.

use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use chartrier_storage::mend::{ScrubReport, ScrubScope};
use chartrier_storage::segment::location::ShardKey;

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

/// Reads everything with two drives away, so that each of the others must be whole.
async fn check_without(rig: &Rig, away: [usize; 2]) {
    for n in away {
        rig.take_away(n);
    }
    let engine = rig.open().await;
    check_all(&engine).await;
    close(engine).await;
    for n in away {
        rig.bring_back(n);
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
    rig.take_away(4);
    let engine = rig.open().await;
    fill(&engine).await;
    put(&engine, "gone", 400_000).await;
    let gone = engine.current(BUCKET, "gone").unwrap().unwrap();
    delete(&engine, "gone").await;
    assert!(engine.status().shards_to_heal > 0);
    assert!(leaves(&engine, "storage.repair").is_empty(), "a drive that is away is not replaced by another");
    close(engine).await;
    rig.bring_back(4);

    let engine = rig.open().await;
    eventually("every shard is healed", || engine.status().shards_to_heal == 0).await;
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
    close(engine).await;
    check_without(&rig, [0, 1]).await;
    check_without(&rig, [2, 5]).await;
}

/// Three drives of 2+1: a shard is gone, and so is one of the two drives that it is rebuilt from. When that is back the
/// repair is made at once: it waited for half a minute, and so did the status that said so.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_waits_for_a_drive_is_made_when_it_is_back() {
    let rig = Rig::with(2, 1, 3);
    let engine = rig.open_with_bucket().await;
    put(&engine, "k", 400_000).await;
    let row = engine.current(BUCKET, "k").unwrap().unwrap();
    let run = row.parts[0].blob.stripes().unwrap();
    let targets = engine.blobs().placement(run).unwrap().targets(0).to_vec();
    let (lacking, away) = (targets[0], targets[1]);
    let drive = engine.blobs().drive(lacking).unwrap();
    drive.free(vec![ShardKey { stripe: run.first, shard: 0 }]).await.unwrap().unwrap();
    let path = PathBuf::from(engine.blobs().drive(away).unwrap().io().label());
    let place = (0..3).find(|n| rig.drive(*n) == path).unwrap();
    rig.take_away(place);
    eventually("the drive is known to be away", || engine.status().drives.len() < 3).await;

    engine.mender().rebuild_drive(lacking);
    eventually("the repair waits", || engine.mender().status().waiting == 1).await;
    rig.bring_back(place);
    eventually("the drive is back", || engine.status().drives.len() == 3).await;
    let back = std::time::Instant::now();
    eventually("nothing waits", || engine.mender().status().waiting == 0 && engine.mender().is_idle()).await;
    assert!(back.elapsed() < Duration::from_secs(10), "it was tried after {:?}", back.elapsed());
    assert!(drive.locate(run.first, 0).unwrap().is_some());
    check(&engine, "k", 400_000).await;
    drop(drive);
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_a_read_finds_damaged_is_rebuilt() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    close(engine).await;
    assert!(damage_segments(rig.drive(1), |_| 500_000) > 0);

    let engine = rig.open().await;
    check_all(&engine).await;
    eventually("the damage is mended", || engine.mender().status().shards > 0 && engine.mender().is_idle()).await;
    check_all(&engine).await;
    let found = leaves(&engine, "storage.corruption");
    assert!(found.iter().all(|leaf| leaf.contains("\"found_by\":\"read\"")), "{found:?}");
    assert_eq!(leaves(&engine, "storage.repair").len(), found.len());
    assert!(engine.blobs().status().iter().any(|drive| drive.dead_bytes > 0), "the old record is dead");
    close(engine).await;
    check_without(&rig, [0, 2]).await;
    check_without(&rig, [3, 5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_lost_everything_is_filled() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    close(engine).await;
    for folder in ["segments", "index"] {
        std::fs::remove_dir_all(rig.drive(2).join(folder)).unwrap();
    }
    let engine = rig.open().await;
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
    close(engine).await;
    check_without(&rig, [0, 1]).await;
    check_without(&rig, [3, 5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stripe_beyond_repair_is_recorded_once() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    put(&engine, "k0", 900_000).await;
    close(engine).await;
    for n in 0..3 {
        damage_segments(rig.drive(n), |_| 9_000);
    }
    let engine = rig.open().await;
    let row = engine.current(BUCKET, "k0").unwrap().unwrap();
    for _ in 0..2 {
        let mut reader = engine.blobs().reader(&row.parts[0].blob, 0..row.parts[0].blob.len_bytes());
        assert!(matches!(reader.next().await, Err(StorageError::Corrupted { .. })));
        eventually("the mender has seen it", || engine.mender().status().lost_stripes > 0).await;
        eventually("it is idle", || engine.mender().is_idle()).await;
    }
    assert_eq!(engine.mender().status().lost_stripes, 1);
    let found = leaves(&engine, "storage.corruption");
    assert!(found.len() == 1 && found[0].contains("stripe-lost"), "{found:?}");
}

async fn scrub(engine: &Arc<Engine>, scope: ScrubScope) -> ScrubReport {
    let id = engine.mender().begin_scrub(engine, scope).unwrap();
    for _ in 0..1200 {
        let status = engine.mender().scrub_status().unwrap();
        if let Some(report) = status.last.filter(|report| report.id == id) {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the scrub did not end: {:?}", engine.mender().scrub_status());
}

fn kinds(report: &ScrubReport) -> Vec<&'static str> {
    report.found.keys().map(|kind| kind.word()).collect()
}

/// Changes one byte of a file.
fn flip(path: &Path, offset: u64) {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    if file.metadata().unwrap().len() <= offset {
        return;
    }
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 0x11]).unwrap();
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(extension)).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_finds_and_mends_every_kind_of_damage_while_it_serves() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    close(engine).await;
    // Sealed segments, a checkpoint, drive indexes in tables: all of it is on the disk.
    let engine = rig.open().await;
    put(&engine, "k0", len_of(0)).await;
    let clean = scrub(&engine, ScrubScope::All).await;
    assert!(clean.found.is_empty() && clean.unrepaired == 0, "{clean:?}");
    let checked = clean.checked;
    assert!(checked.segments >= 6 && checked.records > 0 && checked.stripes > 0 && checked.parity_stripes > 0);
    assert!(checked.log_segments >= 3 && checked.checkpoint_files > 3 && checked.superblocks == 12);
    assert!(checked.index_rows > 0);

    for n in [1, 4] {
        let drive = rig.drive(n);
        for segment in files(&drive.join("segments"), ".seg") {
            let len = std::fs::metadata(&segment).unwrap().len();
            // Header, the header and a cell of a record that is dead by now, a cell that is needed, the trailer.
            [40, 4_096 + 30, 9_000, 500_000, len - 4_000].into_iter().for_each(|offset| flip(&segment, offset));
        }
        flip(&drive.join("superblock.b"), 50);
        files(&drive.join("index"), ".sst").iter().for_each(|table| flip(table, 20));
        if drive.join("checkpoints/files").is_dir() {
            files(&drive.join("checkpoints/files"), "").iter().for_each(|file| flip(file, 0));
            files(&drive.join("checkpoints"), ".manifest").iter().for_each(|file| flip(file, 45));
        }
        if drive.join("log").is_dir() {
            files(&drive.join("log"), ".log").iter().for_each(|file| flip(file, 4_096 + 200));
        }
    }
    check_all(&engine).await;
    let found = scrub(&engine, ScrubScope::All).await;
    check_all(&engine).await;
    for kind in ["drive-index", "segment-footer", "segment-header", "superblock", "checkpoint", "log-segment"] {
        assert!(kinds(&found).contains(&kind), "{kind}: {found:?}");
    }
    assert_eq!(found.unrepaired, 0, "{found:?}");
    let again = scrub(&engine, ScrubScope::All).await;
    assert!(again.found.is_empty(), "{again:?}");
    let corruption = leaves(&engine, "storage.corruption");
    // The reads before the scrub may have met every bad cell, and had it mended.
    for kind in kinds(&found).into_iter().chain(["shard"]) {
        assert!(corruption.iter().any(|leaf| leaf.contains(&format!("\"kind\":\"{kind}\""))), "{kind}");
    }
    assert_eq!(leaves(&engine, "storage.scrub").len(), 3);
    assert!(!leaves(&engine, "storage.repair").is_empty());
    close(engine).await;
    check_without(&rig, [0, 2]).await;
    check_without(&rig, [3, 5]).await;
    // The drives' indexes can be thrown away: what was mended is in the segments.
    for n in [1, 4] {
        for folder in ["index", "index.b"] {
            let _ = std::fs::remove_dir_all(rig.drive(n).join(folder));
        }
    }
    check_without(&rig, [0, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_is_mended_from_the_checkpoint_while_it_serves() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    close(engine).await;
    let engine = rig.open().await;
    let index = rig.config.data_dir.join("index");
    let tables = files(&index, ".sst");
    assert!(!tables.is_empty());
    tables.iter().for_each(|table| flip(table, 30));
    let found = scrub(&engine, ScrubScope::All).await;
    assert_eq!((kinds(&found), found.unrepaired), (vec!["index"], 0), "{found:?}");
    let again = scrub(&engine, ScrubScope::All).await;
    assert!(again.found.is_empty(), "{again:?}");
    put(&engine, "k0", len_of(0)).await;
    check_all(&engine).await;
    close(engine).await;
    check_all(&*rig.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_checkpoint_is_taken_of_a_damaged_index() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    close(engine).await;
    let engine = rig.open().await;
    put(&engine, "after", 50_000).await;
    files(&rig.config.data_dir.join("index"), ".sst").iter().for_each(|table| flip(table, 30));
    // A checkpoint of what is on the disk would take the place of the good one.
    assert!(engine.close().await.is_err());
    drop(engine);
    let engine = rig.open().await;
    check_all(&engine).await;
    check(&engine, "after", 50_000).await;
    let clean = scrub(&engine, ScrubScope::All).await;
    assert!(clean.found.is_empty(), "{clean:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_gone_and_shards_that_were_forgotten_come_back() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    close(engine).await;
    let engine = rig.open().await;
    for segment in files(&rig.drive(3).join("segments"), ".seg") {
        // Not one that is reserved and was never begun.
        if std::fs::read(&segment).unwrap().starts_with(b"CHRTSEG1") {
            std::fs::remove_file(segment).unwrap();
            break;
        }
    }
    let row = engine.current(BUCKET, "k9").unwrap().unwrap();
    let run = row.parts[0].blob.stripes().unwrap();
    let targets = engine.blobs().placement(run).unwrap().targets(0).to_vec();
    let forgotten = ShardKey { stripe: run.first, shard: 2 };
    let drive = engine.blobs().drive(targets[2]).unwrap();
    drive.free(vec![forgotten]);
    drive.sync().await.unwrap().unwrap();
    let found = scrub(&engine, ScrubScope::All).await;
    assert_eq!(found.unrepaired, 0, "{found:?}");
    assert!(kinds(&found).contains(&"segment-missing"), "{found:?}");
    assert!(drive.locate(run.first, 2).unwrap().is_some());
    let one = scrub(&engine, ScrubScope::Object(BUCKET, "k9".to_owned())).await;
    assert_eq!(one.checked.stripes, u64::from(run.count));
    assert!(one.found.is_empty() && one.repaired == 0 && one.unrepaired == 0, "{one:?}");
    let bucket = scrub(&engine, ScrubScope::Bucket(BUCKET)).await;
    assert!(bucket.checked.stripes > one.checked.stripes);
    drop(drive);
    close(engine).await;
    check_without(&rig, [0, 1]).await;
    check_without(&rig, [2, 5]).await;
}
