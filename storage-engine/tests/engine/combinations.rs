//! Every choice of two lost drives of 4+2, on real files: the engine starts without them, at times without the data
//! directory too, reads every byte of objects of every kind, and takes them back. (All choices of the wider
//! geometries are in `src/blob/tests/combinations.rs`.)

use std::time::Duration;

use chartrier_storage::engine::{PackConfig, ReclaimConfig};

use super::*;

/// Inline, copies, packed (the first five of these), stripes.
const LENS: [usize; 9] = [5_000, 20_000, 90_000, 255_000, 40_000, 70_000, 300_000, 1_200_000, 3_000_000];

async fn check_all(engine: &Engine) {
    for (n, len) in LENS.into_iter().enumerate() {
        check(engine, &format!("k{n}"), len).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_drives_may_be_away() {
    let mut rig = Rig::new();
    let hour = Duration::from_secs(3600);
    rig.config.pack = PackConfig { age: hour, leftover_age: hour, ..PackConfig::default() };
    rig.config.reclaim = ReclaimConfig { grace: hour, compaction_interval: hour, ..ReclaimConfig::default() };
    let engine = rig.open_with_bucket().await;
    for (n, len) in LENS.into_iter().enumerate() {
        put(&engine, &format!("k{n}"), len).await;
        if n == 4 {
            assert_eq!(engine.pack_now().await.unwrap().runs, 4);
            engine.reclaim_now().await.unwrap();
        }
    }
    assert_eq!(engine.pack_status().counts.waiting_runs, 1);
    let leaves = engine.journal().size();
    engine.close().await.unwrap();
    drop(engine);
    let pairs = (0..6).flat_map(|a| (a + 1..6).map(move |b| (a, b)));
    for (count, (a, b)) in pairs.enumerate() {
        for n in [a, b] {
            std::fs::rename(rig.drive(n), rig.away(n)).unwrap();
        }
        if count % 3 == 0 {
            std::fs::remove_dir_all(&rig.config.data_dir).unwrap();
        }
        let engine = rig.open().await;
        assert_eq!(engine.status().lost_drives.len(), 2, "{a} and {b}");
        assert_eq!(engine.journal().size(), leaves, "{a} and {b}");
        check_all(&engine).await;
        // Two more go at the next turn: the log has all its mirrors on the other drives before.
        eventually("the log has its mirrors", || engine.status().log.mirrors.len() == 3).await;
        engine.close().await.unwrap();
        drop(engine);
        for n in [a, b] {
            assert!(!rig.drive(n).exists(), "a folder was made for drive {n}");
            std::fs::rename(rig.away(n), rig.drive(n)).unwrap();
        }
    }
    let engine = rig.open().await;
    assert!(engine.status().is_whole(), "{:?}", engine.status());
    check_all(&engine).await;
    engine.close().await.unwrap();
}
