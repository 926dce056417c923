//! Full, failing, slow and vanished drives.

use std::time::Duration;

use super::*;
use crate::drive::DriveState;
use crate::io::SimFault;

#[tokio::test]
async fn a_full_store_says_so_and_goes_on_when_space_returns() {
    let sim = Sim::new(4, 2);
    let store = sim.open(&mut Vec::new());
    let bytes = pattern(1, 400_000);
    let kept = write(&store, &bytes, None).await.unwrap().blob;
    for io in &sim.ios {
        io.set_capacity(Some(0));
    }
    // What is reserved may still be used; then every write is refused, clearly.
    let mut refused = 0;
    for seed in 0..40 {
        match write(&store, &pattern(seed, 900_000), None).await {
            Ok(_) => assert_eq!(refused, 0, "no space came back"),
            Err(StorageError::Full) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 10);
    assert!(store.drives().iter().all(|drive| drive.state() == DriveState::Online), "full is not broken");
    assert!(read_all(&store, &kept).await.unwrap() == bytes);
    for io in &sim.ios {
        io.set_capacity(None);
    }
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    assert!(read_all(&store, &blob).await.unwrap() == bytes);
}

#[tokio::test]
async fn one_full_drive_is_done_without() {
    let sim = Sim::new(4, 2);
    let store = sim.open(&mut Vec::new());
    sim.ios[2].set_capacity(Some(0));
    let bytes = pattern(1, 700_000);
    let written = write(&store, &bytes, None).await.unwrap();
    assert_eq!(written.missing.len(), 2, "one shard of each of two stripes");
    assert!(read_all(&store, &written.blob).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_drive_that_fails_writes_becomes_read_only_and_writes_go_on() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    let before = pattern(1, 300_000);
    let old = write(&store, &before, None).await.unwrap().blob;
    sim.ios[0].set_fault(SimFault::WriteEio, true);
    let bytes = pattern(2, 300_000);
    let written = write(&store, &bytes, None).await.unwrap();
    assert_eq!(written.missing.len(), 1);
    assert_eq!(store.core.drive(order[0]).unwrap().state(), DriveState::ReadOnly);
    assert!(read_all(&store, &written.blob).await.unwrap() == bytes);
    assert!(read_all(&store, &old).await.unwrap() == before);
    // With a second one the quorum of five is out of reach: refused, nothing visible.
    sim.ios[1].set_fault(SimFault::WriteEio, true);
    assert!(matches!(write(&store, &bytes, None).await, Err(StorageError::Unavailable { .. })));
    assert!(read_all(&store, &old).await.unwrap() == before);
}

#[tokio::test]
async fn a_failed_sync_is_not_believed_later() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    sim.ios[3].set_fault(SimFault::SyncEio, true);
    let bytes = pattern(1, 100_000);
    let first = write(&store, &bytes, None).await.unwrap();
    assert_eq!(first.missing.len(), 1);
    sim.ios[3].set_fault(SimFault::SyncEio, false);
    // The next write goes to another segment of the same drive.
    let second = write(&store, &bytes, None).await.unwrap();
    assert!(second.missing.is_empty(), "{:?}", second.missing);
    sim.world.cut_now();
    drop(store);
    sim.world.restart(5);
    let store = sim.open(&mut order);
    for blob in [&first.blob, &second.blob] {
        assert!(read_all(&store, blob).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn failed_reads_are_read_around() {
    let sim = Sim::new(4, 2);
    let store = sim.open(&mut Vec::new());
    let bytes = pattern(1, 900_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    sim.ios[0].set_fault(SimFault::ReadEio, true);
    sim.ios[1].set_fault(SimFault::ReadEio, true);
    assert!(read_all(&store, &blob).await.unwrap() == bytes);
    assert!(store.metrics().snapshot().cells_rebuilt > 0);
    sim.ios[2].set_fault(SimFault::ReadEio, true);
    assert!(read_all(&store, &blob).await.is_err());
}

#[tokio::test]
async fn a_drive_that_vanishes_is_noticed_before_anything_is_acknowledged_on_it() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    let bytes = pattern(1, 300_000);
    let old = write(&store, &bytes, None).await.unwrap().blob;
    sim.ios[4].set_fault(SimFault::Removed, true);
    let written = write(&store, &bytes, None).await.unwrap();
    assert_eq!(written.missing.len(), 1, "its files still took the write, but nobody believed it");
    assert_eq!(store.core.drive(order[4]).unwrap().state(), DriveState::Failed);
    sim.ios[5].set_fault(SimFault::Removed, true);
    store.tick();
    assert_eq!(store.core.drive(order[5]).unwrap().state(), DriveState::Failed);
    for blob in [&old, &written.blob] {
        assert!(read_all(&store, blob).await.unwrap() == bytes);
    }
    assert!(matches!(write(&store, &bytes, None).await, Err(StorageError::Unavailable { .. })));
}

#[tokio::test]
async fn a_late_drive_is_read_around() {
    let sim = Sim::new(4, 2);
    let store = sim.open(&mut Vec::new());
    let bytes = pattern(1, 100_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    sim.ios[0].set_delay(Some(Duration::from_secs(4)));
    let begun = std::time::Instant::now();
    assert!(read_all(&store, &blob).await.unwrap() == bytes);
    assert!(begun.elapsed() < Duration::from_secs(3), "it waited for the late drive");
    assert_eq!(store.metrics().snapshot().reads_hedged, 1);
    sim.ios[0].set_delay(None);
}

/// One drive answers in half a second, its peers at once: it is found out by measure, read around while that
/// is little more reading, then asked last; and asked all the same when the others do not suffice.
#[tokio::test]
async fn a_drive_that_reads_slowly_beyond_its_peers_is_asked_last() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    let bytes = pattern(1, 900_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    for _ in 0..40 {
        assert!(read_all(&store, &blob).await.unwrap() == bytes);
    }
    store.tick();
    assert_eq!(store.core.patience.read(), Duration::from_millis(20), "the least, for answers at once");
    let slow = store.core.drive(order[1]).unwrap();
    sim.ios[1].set_delay(Some(Duration::from_millis(500)));
    let mut took = Vec::new();
    for _ in 0..20 {
        let begun = std::time::Instant::now();
        assert!(read_all(&store, &blob).await.unwrap() == bytes);
        took.push(begun.elapsed());
    }
    assert!(slow.is_spared(), "{took:?}");
    assert_eq!(slow.state(), DriveState::Online, "it still takes writes");
    let counts = store.metrics().snapshot();
    assert!(counts.cells_spared > 0 && counts.reads_hedged >= 5, "{counts:?}");
    assert!(counts.cells_hedged * 20 <= counts.cells_queued + 320, "at most one in twenty: {counts:?}");
    took.sort_unstable();
    assert!(took[14] < Duration::from_millis(250), "{took:?}");
    // With two others gone it is needed.
    sim.ios[0].set_fault(SimFault::ReadEio, true);
    sim.ios[3].set_fault(SimFault::ReadEio, true);
    assert!(read_all(&store, &blob).await.unwrap() == bytes);
    sim.ios[4].set_fault(SimFault::ReadEio, true);
    assert!(read_all(&store, &blob).await.is_err());
    sim.ios[1].set_delay(None);
}

/// All drives are busy: nobody is found out, and reads wait longer before they make more reads.
#[tokio::test]
async fn drives_that_are_slow_together_are_not_read_around() {
    let mut sim = Sim::new(4, 2);
    sim.env.clock = Arc::new(RealClock(std::time::Instant::now()));
    let store = sim.open(&mut Vec::new());
    let bytes = pattern(1, 900_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    sim.ios.iter().for_each(|io| io.set_delay(Some(Duration::from_millis(15))));
    for _ in 0..40 {
        assert!(read_all(&store, &blob).await.unwrap() == bytes);
    }
    let before = store.metrics().snapshot().reads_hedged;
    store.tick();
    let patience = store.core.patience.read();
    assert!((Duration::from_millis(30)..=Duration::from_secs(1)).contains(&patience), "{patience:?}");
    assert!(store.drives().iter().all(|drive| !drive.is_spared()));
    assert_eq!(before, 0);
}

struct RealClock(std::time::Instant);

impl crate::env::Clock for RealClock {
    fn now_us(&self) -> u64 {
        1_767_225_600_000_000 + self.0.elapsed().as_micros() as u64
    }
}

#[tokio::test]
async fn a_drive_of_another_cluster_or_a_newer_format_is_refused() {
    let sim = Sim::new(1, 1);
    drop(sim.open(&mut Vec::new()));
    let metrics = Arc::new(DataMetrics::default());
    let open = |config: &DriveConfig| {
        let io: Arc<dyn DriveIo> = Arc::new(sim.ios[0].clone());
        Drive::open_or_format(io, config, &sim.env, metrics.clone())
    };
    let other = DriveConfig { cluster: ClusterId::from_bytes([9; 16]), ..sim.config() };
    assert!(matches!(open(&other), Err(DriveOpenError::OtherCluster { .. })));
    let elsewhere = DriveConfig { site: "FR-69".parse().unwrap(), ..sim.config() };
    assert!(matches!(open(&elsewhere), Err(DriveOpenError::OtherSite { .. })));
    assert!(open(&sim.config()).is_ok());
}

/// The sync of a segment that was left fails, the last sync of the blob succeeds: the shards in the
/// first segment are not counted as stored.
#[tokio::test]
async fn a_failed_sync_in_the_middle_of_a_blob_is_remembered() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    let drive = store.core.drive(order[0]).unwrap();
    let bytes = pattern(1, 25_000_000);
    let mut writer = store.writer(None).await;
    let mut rest = &bytes[..];
    sim.ios[0].set_fault(SimFault::DataSyncEio, true);
    while !rest.is_empty() {
        let window = writer.spare().await.unwrap();
        let take = window.len().min(rest.len());
        window[..take].copy_from_slice(&rest[..take]);
        writer.advance(take);
        rest = &rest[take..];
        if drive.status().write_errors > 0 {
            sim.ios[0].set_fault(SimFault::DataSyncEio, false);
        }
    }
    let written = writer.finish().await.unwrap();
    assert_eq!(drive.state(), DriveState::Online);
    assert!((20..40).contains(&written.missing.len()), "{} shards were in that segment", written.missing.len());
    sim.world.cut_now();
    drop((store, drive));
    sim.world.restart(3);
    let store = sim.open(&mut order);
    store.core.drive(order[1]).unwrap().fail("lost in the test");
    assert!(read_all(&store, &written.blob).await.unwrap() == bytes);
}

/// One drive answers after three seconds, the others at once: nobody waits for it, its shards are missing
/// and said to be; late again and again it takes no writes for a while.
#[tokio::test]
async fn a_slow_drive_is_not_waited_for() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    let drive = store.core.drive(order[2]).unwrap();
    let bytes = pattern(5, 300_000);
    let whole = write(&store, &bytes, None).await.unwrap();
    assert!(whole.missing.is_empty());
    sim.ios[2].set_delay(Some(std::time::Duration::from_secs(3)));
    let begun = std::time::Instant::now();
    let written = write(&store, &bytes, None).await.unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_millis(2900), "{:?}", begun.elapsed());
    assert_eq!(written.missing.len(), 1);
    assert_eq!(store.metrics().snapshot().writes_hedged, 1);
    assert_eq!(drive.state(), DriveState::Online);
    (0..5).for_each(|_| drive.note_late());
    assert_eq!(drive.state(), DriveState::Slow);
    let begun = std::time::Instant::now();
    let spared = write(&store, &bytes, None).await.unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "a slow drive is not asked at all");
    assert_eq!(spared.missing.len(), 1);
    sim.ios[2].set_delay(None);
    assert!(read_all(&store, &written.blob).await.unwrap() == bytes);
    assert!(read_all(&store, &spared.blob).await.unwrap() == bytes);
}

/// Drives that were slow took no writes at all: two of them at 4+2, or one at 2+1, and every write was refused.
#[tokio::test]
async fn slow_drives_are_written_to_when_the_others_are_not_enough() {
    for (k, m, slow) in [(4, 2, 2), (2, 1, 1)] {
        let sim = Sim::new(k, m);
        let mut order = Vec::new();
        let store = sim.open(&mut order);
        for id in &order[..slow] {
            let drive = store.core.drive(*id).unwrap();
            (0..5).for_each(|_| drive.note_late());
            assert_eq!(drive.state(), DriveState::Slow);
        }
        let bytes = pattern(6, 500_000);
        let written = write(&store, &bytes, None).await.unwrap();
        assert!(written.missing.is_empty(), "{k}+{m}: {:?}", written.missing);
        assert!(read_all(&store, &written.blob).await.unwrap() == bytes);
    }
}
