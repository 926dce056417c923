//! Space comes back: after deletes, crashed uploads and restarts, and never under a reader.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chartrier_storage::engine::{PackConfig, ReclaimConfig};
use chartrier_storage::ids::{SegmentId, UploadId};

use super::*;

const HOUR_US: u64 = 3_600_000_000;

/// The wall clock, and how far it is ahead.
struct Ahead(Arc<AtomicU64>);

impl Clock for Ahead {
    fn now_us(&self) -> u64 {
        WallClock.now_us() + self.0.load(Ordering::Relaxed)
    }
}

struct Story {
    rig: Rig,
    ahead: Arc<AtomicU64>,
}

impl Story {
    fn new() -> Self {
        let mut rig = Rig::new();
        // Nothing happens by itself.
        rig.config.reclaim = ReclaimConfig {
            grace: Duration::from_secs(3600),
            compaction_interval: Duration::from_secs(3600),
            ..ReclaimConfig::default()
        };
        // Also not when the clock is days ahead.
        let never = Duration::from_secs(365 * 24 * 3600);
        rig.config.pack = PackConfig { age: never, leftover_age: never, ..PackConfig::default() };
        Self { rig, ahead: Arc::default() }
    }

    async fn open(&self) -> Arc<Engine> {
        let env = Env { clock: Arc::new(Ahead(self.ahead.clone())), random: random() };
        Engine::open(self.rig.config.clone(), env).await.unwrap()
    }

    async fn open_with_bucket(&self) -> Arc<Engine> {
        let engine = self.open().await;
        propose(&engine, create_bucket(BUCKET, "b")).await;
        engine
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_bytes_come_back_at_once_when_asked_and_the_rest_reads_on() {
    let story = Story::new();
    let engine = story.open_with_bucket().await;
    let keys: Vec<(String, usize)> = (0..120).map(|n| (format!("k{n}"), 20_000 + n * 3_000)).collect();
    for (key, len) in &keys {
        put(&engine, key, *len).await;
    }
    let before = stored(&engine);
    let (gone, left): (Vec<_>, Vec<_>) = keys.iter().enumerate().partition(|(n, _)| n % 10 != 0);
    for (_, (key, _)) in &gone {
        delete(&engine, key).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(engine.status().reclaim.waiting_runs, gone.len() as u64, "the grace holds");
    let report = engine.reclaim_now().await.unwrap();
    assert_eq!((report.runs_freed, report.drives_failed, report.orphans.orphans), (gone.len() as u64, 0, 0));
    assert!(report.compaction.reclaimed_bytes > 0 && report.compaction.damaged == 0, "{report:?}");
    let dead_len: usize = gone.iter().map(|(_, (_, len))| len).sum();
    let after = stored(&engine);
    assert!(before - after >= dead_len as u64 * 6 / 4, "{before} -> {after}");
    for (_, (key, len)) in &left {
        check(&engine, key, *len).await;
    }
    assert_nothing_lost(&engine);
    assert_eq!(engine.reclaim_now().await.unwrap().compaction, Default::default(), "nothing is left to do");
    close(engine).await;
    let engine = story.open().await;
    assert_eq!(stored(&engine), after);
    for (_, (key, len)) in &left {
        check(&engine, key, *len).await;
    }
    assert_eq!(engine.reclaim_now().await.unwrap().runs_freed, 0, "the dead were forgotten");
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_put_back_a_little_does_not_end_the_grace() {
    let story = Story::new();
    story.ahead.store(600_000_000, Ordering::Relaxed);
    let engine = story.open_with_bucket().await;
    put(&engine, "k", 50_000).await;
    delete(&engine, "k").await;
    story.ahead.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(engine.status().reclaim.waiting_runs, 1, "ten minutes of an hour");
    // Days are another matter: nobody would wait for them.
    story.ahead.store(100 * HOUR_US, Ordering::Relaxed);
    put(&engine, "k", 50_000).await;
    delete(&engine, "k").await;
    story.ahead.store(2 * HOUR_US, Ordering::Relaxed);
    eventually("both go", || engine.status().reclaim.waiting_runs == 0).await;
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_began_before_the_delete_finishes_and_then_the_bytes_go() {
    let story = Story::new();
    let engine = story.open_with_bucket().await;
    let len = 9_000_000;
    put(&engine, "k", len).await;
    let blob = engine.current(BUCKET, "k").unwrap().unwrap().parts[0].blob.clone();
    let mut reader = engine.blobs().reader(&blob, 0..u64::MAX);
    let mut bytes = reader.next().await.unwrap().unwrap().as_slice().to_vec();
    delete(&engine, "k").await;
    let held = engine.reclaim_now().await.unwrap();
    assert_eq!((held.runs_freed, engine.status().reclaim.waiting_runs), (0, 1));
    while let Some(piece) = reader.next().await.unwrap() {
        bytes.extend_from_slice(piece.as_slice());
    }
    assert!(bytes == pattern("k", len));
    drop(reader);
    assert_eq!(engine.reclaim_now().await.unwrap().runs_freed, 1);
    assert_eq!(stored(&engine), 0);
    // Who comes too late hears of it; other bytes are never served.
    put(&engine, "other", len).await;
    assert!(engine.blobs().reader(&blob, 0..100).next().await.is_err());
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_of_the_last_run_are_freed_at_the_start() {
    let story = Story::new();
    let engine = story.open_with_bucket().await;
    for n in 0..30 {
        put(&engine, &format!("k{n}"), 100_000).await;
    }
    for n in 0..29 {
        delete(&engine, &format!("k{n}")).await;
    }
    // Killed: nothing was freed, and the indexes of the drives are rebuilt in part.
    drop(engine);
    let engine = story.open().await;
    eventually("the dead are freed", || engine.status().reclaim.runs_freed >= 29).await;
    engine.reclaim_now().await.unwrap();
    check(&engine, "k29", 100_000).await;
    assert!(stored(&engine) < 400_000, "{}", stored(&engine));
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_go_when_they_are_old_and_nothing_else_does() {
    let story = Story::new();
    let engine = story.open_with_bucket().await;
    put(&engine, "kept", 300_000).await;
    let upload = upload_row(UploadId::from_bytes([7; 16]));
    let (bucket, key, id) = (BUCKET, "of-upload".to_owned(), upload.id);
    propose(&engine, Op::CreateUpload { bucket, key: key.clone(), row: Box::new(upload) }).await;
    let written = write(&engine, "part", 200_000).await.unwrap();
    let part_blob = written.blob.clone();
    let part = Box::new(part_row(1, 200_000, written.blob));
    propose(&engine, Op::PutPart { bucket, key, upload: id, part, missing: Vec::new() }).await;
    let live = stored(&engine);
    // Written whole and never named, as when the server is killed before the command.
    write(&engine, "lost", 400_000).await.unwrap();
    drop(engine);

    let engine = story.open().await;
    assert_eq!(engine.reclaim_now().await.unwrap().orphans.orphans, 0, "too young");
    story.ahead.store(49 * HOUR_US, Ordering::Relaxed);
    // As old by this clock, but in this process's hands: one being written, one waiting to be named.
    let mut open = engine.blobs().writer(None).await;
    story.ahead.store(0, Ordering::Relaxed);
    let unnamed = write(&engine, "unnamed", 500_000).await.unwrap();
    while open.spare().await.unwrap().len() < (1 << 20) {}
    story.ahead.store(49 * HOUR_US, Ordering::Relaxed);
    let report = engine.reclaim_now().await.unwrap();
    assert_eq!(report.orphans.orphans, 6, "the six shards of the lost blob: {report:?}");
    propose(&engine, put_op("unnamed", 500_000, unnamed)).await;
    check(&engine, "unnamed", 500_000).await;
    check(&engine, "kept", 300_000).await;
    assert!(read(&engine, &part_blob).await == pattern("part", 200_000));
    drop(open);
    delete(&engine, "unnamed").await;
    engine.reclaim_now().await.unwrap();
    assert_eq!(stored(&engine), live);

    let (uploads, more) = engine.uploads_begun_until(u64::MAX, 10).await.unwrap();
    assert!(!more && uploads.len() == 1);
    assert_eq!((uploads[0].bucket_name.as_str(), uploads[0].key.as_str(), uploads[0].parts), ("b", "of-upload", 1));
    assert_eq!((uploads[0].bytes, uploads[0].upload), (200_000, id));
    assert!(engine.uploads_begun_until(3, 10).await.unwrap().0.is_empty());
    engine.close().await.unwrap();
}

/// Tears the records of some shards of the first stripe of a blob: another byte in a cell. Answers the segments.
fn tear(engine: &Engine, blob: &BlobRef, shards: std::ops::Range<usize>) -> BTreeSet<SegmentId> {
    let run = blob.stripes().unwrap();
    let placement = engine.blobs().placement(run).unwrap();
    let mut segments = BTreeSet::new();
    for shard in shards {
        let drive = engine.blobs().drive(placement.targets(0)[shard]).unwrap();
        let location = drive.locate(run.first, shard as u8).unwrap().unwrap();
        segments.insert(location.segment);
        let path = Path::new(&drive.io().label()).join(format!("segments/{}.seg", location.segment));
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let (at, mut byte) = (location.cell_offset(0) + 77, [0]);
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte[0] ^ 1]).unwrap();
    }
    segments
}

fn blocked(engine: &Engine) -> u64 {
    engine.status().drives.iter().map(|drive| drive.blocked_segments).sum()
}

fn corruptions(engine: &Engine) -> usize {
    let journal = engine.journal();
    let leaves = (0..journal.size()).map(|index| String::from_utf8(journal.leaf(index).unwrap()).unwrap());
    leaves.filter(|leaf| leaf.contains("\"type\":\"storage.corruption\"")).count()
}

/// A crash in the middle of a write leaves records with torn cells, which nobody was told of. Each was once reported
/// as a damaged shard, and kept its segment until it was two days old.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_torn_before_it_was_acknowledged_goes_when_it_is_met() {
    let story = Story::new();
    let engine = story.open_with_bucket().await;
    for key in ["gone", "kept"] {
        put(&engine, key, 400_000).await;
    }
    let lost = [write(&engine, "lost", 500_000).await.unwrap(), write(&engine, "lost too", 300_000).await.unwrap()];
    put(&engine, "after", 350_000).await;
    // Killed before the commands; on two drives the cells are torn.
    let torn: BTreeSet<SegmentId> = lost.iter().flat_map(|written| tear(&engine, &written.blob, 1..3)).collect();
    drop(engine);

    let engine = story.open().await;
    delete(&engine, "gone").await;
    let report = engine.reclaim_now().await.unwrap();
    assert_eq!((report.compaction.damaged, report.orphans.orphans), (4, 0), "all are met at once, and young");
    eventually("the torn records are freed", || engine.metrics().data.orphans_freed == 4).await;
    assert_eq!((corruptions(&engine), engine.mender().status().shards), (0, 0), "nothing was damaged");
    eventually("their segments may be compacted", || blocked(&engine) == 0).await;
    let report = engine.reclaim_now().await.unwrap();
    let removed = report.compaction.segments_removed;
    assert_eq!((report.compaction.damaged, removed), (0, torn.len() as u64), "{report:?}");
    // Their good records are orphans like any other.
    story.ahead.store(49 * HOUR_US, Ordering::Relaxed);
    assert_eq!(engine.reclaim_now().await.unwrap().orphans.orphans, 8);
    for (key, len) in [("kept", 400_000), ("after", 350_000)] {
        check(&engine, key, len).await;
    }
    assert_nothing_lost(&engine);
    engine.close().await.unwrap();
}

/// The same damage to what was acknowledged: it is on record, and the shard stays until it is rebuilt.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_and_is_damaged_stays_until_it_is_rebuilt() {
    let story = Story::new();
    let engine = story.open_with_bucket().await;
    put(&engine, "gone", 400_000).await;
    put(&engine, "kept", 400_000).await;
    let kept = engine.current(BUCKET, "kept").unwrap().unwrap().parts[0].blob.clone();
    tear(&engine, &kept, 1..3);
    drop(engine);

    let engine = story.open().await;
    delete(&engine, "gone").await;
    // The second is rebuilt with the first, unless compaction is sooner.
    assert!(engine.reclaim_now().await.unwrap().compaction.damaged > 0);
    eventually("both are rebuilt", || engine.mender().status().shards == 2 && engine.mender().is_idle()).await;
    assert!(corruptions(&engine) > 0, "the damage is on record");
    assert_eq!(engine.metrics().data.orphans_freed, 0);
    assert_eq!(engine.reclaim_now().await.unwrap().compaction.damaged, 0);
    check(&engine, "kept", 400_000).await;
    engine.close().await.unwrap();
}

/// What this process wrote and has not named yet may still be named: damaged or not, it stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_to_be_named_is_never_taken_for_torn() {
    let story = Story::new();
    let engine = story.open_with_bucket().await;
    put(&engine, "gone", 400_000).await;
    let written = write(&engine, "unnamed", 500_000).await.unwrap();
    tear(&engine, &written.blob, 1..3);
    delete(&engine, "gone").await;
    assert_eq!(engine.reclaim_now().await.unwrap().compaction.damaged, 2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((engine.metrics().data.orphans_freed, blocked(&engine)), (0, 2));
    propose(&engine, put_op("unnamed", 500_000, written)).await;
    check(&engine, "unnamed", 500_000).await;
    eventually("a read has them rebuilt", || engine.mender().status().shards == 2).await;
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn by_itself_after_the_grace() {
    let mut story = Story::new();
    story.rig.config.reclaim.grace = Duration::from_secs(1);
    story.rig.config.reclaim.compaction_interval = Duration::from_millis(300);
    let engine = story.open_with_bucket().await;
    // Enough that several segments of each drive are sealed and left.
    for n in 0..130 {
        put(&engine, &format!("k{n}"), 1 << 20).await;
    }
    let before = stored(&engine);
    for n in 0..130 {
        delete(&engine, &format!("k{n}")).await;
    }
    eventually("sealed segments go", || stored(&engine) < before / 2).await;
    assert!(engine.metrics().data.segments_removed > 0);
    engine.close().await.unwrap();
}
