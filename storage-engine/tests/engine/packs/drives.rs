//! Small objects while drives are lost, damaged and replaced, before, while and after they are packed.

use std::time::Duration;

use chartrier_storage::mend::ScrubScope;

use super::super::*;
use super::{check_all, fill, len_of, rig};

#[tokio::test(flavor = "multi_thread")]
async fn two_drives_may_be_lost_before_while_and_after_it_is_packed() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 60).await;
    close(engine).await;

    // Before: nothing is packed on fewer drives, and small objects are written all the same.
    rig.take_away(0);
    rig.take_away(3);
    let engine = rig.open().await;
    check_all(&engine, 0..60).await;
    assert!(matches!(engine.pack_now().await, Err(StorageError::Unavailable { .. })));
    assert_eq!(engine.pack_status().counts.waiting_runs, 60);
    put(&engine, "while-away", 100_000).await;
    check(&engine, "while-away", 100_000).await;
    close(engine).await;
    rig.bring_back(0);
    rig.bring_back(3);

    // While: two drives go in the middle. Whatever was packed by then, all is read.
    let engine = rig.open().await;
    let packing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.pack_now().await }
    });
    tokio::time::sleep(Duration::from_millis(40)).await;
    for n in [1, 4] {
        let id = engine.status().drives.iter().find(|drive| Path::new(&drive.path) == rig.drive(n)).unwrap().id;
        engine.blobs().drive(id).unwrap().fail("a test");
    }
    let _ = packing.await.unwrap();
    check_all(&engine, 0..60).await;
    check(&engine, "while-away", 100_000).await;
    drop(engine);

    // After, and with what was killed above.
    let engine = rig.open().await;
    check_all(&engine, 0..60).await;
    engine.pack_now().await.unwrap();
    engine.reclaim_now().await.unwrap();
    close(engine).await;
    for (a, b) in [(0, 1), (2, 5), (3, 4)] {
        rig.take_away(a);
        rig.take_away(b);
        let engine = rig.open().await;
        check_all(&engine, 0..60).await;
        check(&engine, "while-away", 100_000).await;
        close(engine).await;
        rig.bring_back(a);
        rig.bring_back(b);
    }
}

/// Changes one byte in every so many of each segment of a drive.
fn damage(drive: &Path, every: usize) {
    for entry in std::fs::read_dir(drive.join("segments")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        (8192..bytes.len()).step_by(every).for_each(|at| bytes[at] ^= 0x11);
        std::fs::write(&path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scrub_mends_copies_and_packs() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 60).await;
    engine.pack_now().await.unwrap();
    // These stay copies.
    for n in 60..90 {
        put(&engine, &format!("k{n}"), len_of(n)).await;
    }
    engine.reclaim_now().await.unwrap();
    close(engine).await;
    damage(rig.drive(0), 200_000);
    damage(rig.drive(2), 150_000);

    let engine = rig.open().await;
    check_all(&engine, 0..90).await;
    engine.mender().begin_scrub(&engine, ScrubScope::All).unwrap();
    eventually("the scrub ends", || engine.mender().scrub_status().unwrap().running.is_none()).await;
    let report = engine.mender().scrub_status().unwrap().last.unwrap();
    assert!(report.repaired > 0 && report.unrepaired == 0, "{report:?}");
    assert_eq!(report.checked.unowned_records, 0, "{report:?}");
    // By bucket: every shard of every object is where it should be, and good.
    engine.mender().begin_scrub(&engine, ScrubScope::Bucket(BUCKET)).unwrap();
    eventually("the scrub ends", || engine.mender().scrub_status().unwrap().running.is_none()).await;
    let report = engine.mender().scrub_status().unwrap().last.unwrap();
    assert!(report.found.is_empty() && report.notes.is_empty() && report.checked.stripes > 30, "{report:?}");
    close(engine).await;
    for (a, b) in [(1, 3), (4, 5)] {
        [a, b].iter().for_each(|n| rig.take_away(*n));
        let engine = rig.open().await;
        check_all(&engine, 0..90).await;
        close(engine).await;
        [a, b].iter().for_each(|n| rig.bring_back(*n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_packs_follow_a_drive_that_is_replaced() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 50).await;
    engine.pack_now().await.unwrap();
    for n in 50..80 {
        put(&engine, &format!("k{n}"), len_of(n)).await;
    }
    let new = rig.dir.path().join("new");
    engine.replace_drive(rig.drive(2).to_str().unwrap(), Some(new)).await.unwrap();
    for n in 80..90 {
        put(&engine, &format!("k{n}"), len_of(n)).await;
    }
    eventually("every shard is in its place", || engine.is_settled() && engine.status().shards_to_heal == 0).await;
    engine.pack_now().await.unwrap();
    engine.reclaim_now().await.unwrap();
    check_all(&engine, 0..90).await;
    engine.mender().begin_scrub(&engine, ScrubScope::All).unwrap();
    eventually("the scrub ends", || engine.mender().scrub_status().unwrap().running.is_none()).await;
    let report = engine.mender().scrub_status().unwrap().last.unwrap();
    assert!(report.found.is_empty(), "{report:?}");
    assert_nothing_lost(&engine);
    engine.close().await.unwrap();
}
