//! Space comes back: after deletes, crashed uploads and restarts, and never under a reader.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chartrier_storage::engine::{PackConfig, ReclaimConfig};
use chartrier_storage::ids::UploadId;

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
