//! What packing small objects costs besides writing them: nothing that lives is moved for it. A count, not a time.

use std::time::Duration;

use chartrier_storage::drive::CompactionPolicy;
use chartrier_storage::engine::{PackConfig, ReclaimConfig};

use super::*;

/// Objects of 32 KiB; `CHARTRIER_COPIES=N` for another number.
fn objects() -> usize {
    std::env::var("CHARTRIER_COPIES").ok().and_then(|text| text.parse().ok()).unwrap_or(480)
}

const LEN: usize = 32 << 10;
const LARGE: usize = 600_000;

/// A look at the segments of every drive, as it is made now and then.
async fn compact(engine: &Engine) {
    for drive in engine.blobs().drives() {
        engine.blobs().compact(&drive, CompactionPolicy::default()).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_copies_nothing_when_small_objects_are_packed() {
    let mut rig = Rig::new();
    let hour = Duration::from_secs(3600);
    rig.config.pack = PackConfig { age: hour, leftover_age: hour, ..PackConfig::default() };
    rig.config.reclaim =
        ReclaimConfig { grace: Duration::from_millis(50), compaction_interval: hour, ..ReclaimConfig::default() };
    let engine = rig.open_with_bucket().await;
    // Large ones come between: what lives long lies on the same drives.
    let mut large = 0;
    for n in 0..objects() {
        put(&engine, &format!("k{n}"), LEN).await;
        if n % 20 == 0 {
            put(&engine, &format!("large{n}"), LARGE).await;
            large += 1;
        }
    }
    let gone = objects() / 4;
    for n in 0..gone {
        delete(&engine, &format!("k{n}")).await;
    }
    let freed = |count: usize| engine.status().reclaim.runs_freed >= count as u64;
    eventually("the deleted are freed", || freed(gone)).await;
    compact(&engine).await;
    assert_eq!(engine.pack_now().await.unwrap().runs, (objects() - gone) as u64);
    eventually("the copies of the packed are freed", || freed(objects())).await;
    compact(&engine).await;
    assert_eq!(engine.metrics().data.bytes_compacted, 0, "bytes of records were copied");

    // What is left are stripes, and on each drive one segment of copies, a quarter as long, that is still open.
    let stripes = ((objects() - gone) * LEN + large * LARGE) * 3 / 2 + (large * 6 + objects()) * 8192;
    let stored: u64 = engine.status().drives.iter().map(|drive| drive.stored_bytes).sum();
    let open = 6 * rig.config.segment_bytes / 4;
    assert!(stored < stripes as u64 + open, "{stored} stored, {stripes} needed");
    for n in (gone..objects()).step_by(7) {
        check(&engine, &format!("k{n}"), LEN).await;
    }
    for n in (0..objects()).step_by(20) {
        check(&engine, &format!("large{n}"), LARGE).await;
    }
    engine.close().await.unwrap();
}
