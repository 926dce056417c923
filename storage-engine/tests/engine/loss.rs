//! Up to m drives may go, and the data directory with them: nothing acknowledged is lost.
//!
//! With two of six drives gone, what is stored in stripes is read and no longer written: four
//! shards would be a stripe without redundancy. What fits in the log is written still.

use super::*;

async fn write_what_two_losses_allow(engine: &Engine, key: &str) {
    put(engine, key, 5_000).await;
    check(engine, key, 5_000).await;
    let refused = write(engine, "stripes", 300_000).await;
    assert!(matches!(refused, Err(StorageError::Unavailable { .. })), "{refused:?}");
}

async fn fill(engine: &Engine) {
    for n in 0..12 {
        put(engine, &format!("k{n}"), 1 + n * 60_000).await;
    }
}

async fn check_all(engine: &Engine) {
    for n in 0..12 {
        check(engine, &format!("k{n}"), 1 + n * 60_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_drives_may_be_missing_at_the_start() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    close(engine).await;
    for (a, b) in [(0, 1), (2, 5), (3, 4)] {
        for n in [a, b] {
            rig.take_away(n);
        }
        let engine = rig.open().await;
        assert_eq!(engine.status().lost_drives.len(), 2);
        check_all(&engine).await;
        write_what_two_losses_allow(&engine, "degraded").await;
        close(engine).await;
        for n in [a, b] {
            // A lost drive's directory is not made anew.
            assert!(!rig.drive(n).exists());
            rig.bring_back(n);
        }
    }
    let engine = rig.open().await;
    check_all(&engine).await;
    check(&engine, "degraded", 5_000).await;
    put(&engine, "whole", 300_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_drive_missing_everything_is_written() {
    let rig = Rig::new();
    drop(rig.open_with_bucket().await);
    rig.take_away(4);
    let engine = rig.open().await;
    fill(&engine).await;
    check_all(&engine).await;
    assert!(engine.status().shards_to_heal > 0);
    drop(engine);
    rig.bring_back(4);
    rig.take_away(0);
    check_all(&*rig.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_drives_may_vanish_while_it_runs() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    std::fs::remove_dir_all(rig.drive(0)).unwrap();
    std::fs::remove_dir_all(rig.drive(3)).unwrap();
    check_all(&engine).await;
    for n in 0..8 {
        write_what_two_losses_allow(&engine, &format!("late{n}")).await;
    }
    close(engine).await;
    let engine = rig.open().await;
    check_all(&engine).await;
    for n in 0..8 {
        check(&engine, &format!("late{n}"), 5_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_directory_is_rebuilt_from_the_drives() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let leaves = engine.journal().size();
    drop(engine);
    std::fs::remove_dir_all(&rig.config.data_dir).unwrap();
    std::fs::remove_dir_all(rig.drive(1)).unwrap();
    let engine = rig.open().await;
    check_all(&engine).await;
    assert_eq!(engine.journal().size(), leaves);
    // The directory that came back empty is not taken for a new drive.
    assert_eq!(engine.status().lost_drives.len(), 1);
    drop(engine);
    check_all(&*rig.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_is_rebuilt() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    close(engine).await;
    let index = rig.config.data_dir.join("index");
    for entry in std::fs::read_dir(&index).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sst") || path.ends_with("CURRENT") {
            std::fs::write(&path, b"not what was written").unwrap();
        }
    }
    check_all(&*rig.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_missing_drives_are_too_many() {
    let rig = Rig::new();
    drop(rig.open_with_bucket().await);
    for n in 0..3 {
        rig.take_away(n);
    }
    let error = rig.try_open().await.unwrap_err();
    assert!(matches!(error, OpenError::TooFewDrives { present: 3, total: 6, needed: 4, .. }), "{error}");
    assert!(!error.to_string().contains('\n'));
    for n in 0..3 {
        rig.bring_back(n);
    }
    rig.open().await;
}
