//! What was stored is read back, before and after every kind of stop.

use super::*;

/// Inline, one short stripe, one full row, several stripes.
const SIZES: [usize; 6] = [1, 8 << 10, (8 << 10) + 1, 100_000, 4 * 65536, 3_000_000];

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_back_after_a_clean_stop() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    for len in SIZES {
        put(&engine, &format!("k{len}"), len).await;
    }
    for len in SIZES {
        check(&engine, &format!("k{len}"), len).await;
    }
    engine.close().await.unwrap();
    close(engine).await;
    let engine = rig.open().await;
    assert!(engine.status().is_whole(), "{:?}", engine.status());
    for len in SIZES {
        check(&engine, &format!("k{len}"), len).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_back_when_the_engine_was_only_dropped() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    for round in 0..3 {
        for len in SIZES {
            put(&engine, &format!("r{round}/{len}"), len).await;
        }
    }
    drop(engine);
    let engine = rig.open().await;
    for round in 0..3 {
        for len in SIZES {
            check(&engine, &format!("r{round}/{len}"), len).await;
        }
    }
    assert_eq!(engine.bucket_usage("b").unwrap().unwrap().versions, 18);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_of_one_key_leave_one_whole_version() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    let writers: Vec<_> = (0..32_usize)
        .map(|n| {
            let engine = engine.clone();
            tokio::spawn(async move { put(&engine, "same", 20_000 + n).await })
        })
        .collect();
    let mut freed = 0;
    for writer in writers {
        freed += writer.await.unwrap().freed.len();
    }
    assert_eq!(freed, 31);
    let row = engine.current(BUCKET, "same").unwrap().unwrap();
    check(&engine, "same", row.size_bytes as usize).await;
    assert!(engine.metrics().log.batches <= 34);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_stripes_are_remembered_until_the_drives_forgot_them() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    put(&engine, "k", 500_000).await;
    assert_eq!(delete(&engine, "k").await.freed.len(), 1);
    // Crash: the grace for readers had not passed, the drives still hold the stripes.
    drop(engine);
    let engine = rig.open().await;
    let freed = || engine.status().reclaim.runs_freed;
    eventually("the dead of the last run are freed", || freed() == 1).await;
    let live: u64 = engine.status().drives.iter().map(|drive| drive.stored_bytes - drive.dead_bytes).sum();
    assert_eq!(live, 0);
    close(engine).await;
    let engine = rig.open().await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(engine.status().reclaim.runs_freed, 0, "forgotten at the stop");
    engine.close().await.unwrap();
}
