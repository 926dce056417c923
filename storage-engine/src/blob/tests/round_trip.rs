//! What is written comes back, whole and by ranges, in every geometry and whatever the length.

use super::*;
use crate::codec::GEOMETRIES;

#[tokio::test]
async fn every_geometry_and_length() {
    for (k, m) in GEOMETRIES {
        let sim = Sim::new(k, m);
        let store = sim.open(&mut Vec::new());
        let row = usize::from(k) * CELL_BYTES;
        for (seed, len) in
            [0, 1, 1024, 1025, 5000, row - 1, row, row + 1, 2 * row, 2 * row + 1, 5 * row + 77].into_iter().enumerate()
        {
            let bytes = pattern(seed as u64, len);
            for hint in [None, Some(len as u64), Some(10), Some(u64::MAX)] {
                let written = write(&store, &bytes, hint).await.unwrap();
                assert_eq!(written.blake3, *blake3::hash(&bytes).as_bytes(), "{k}+{m} {len}");
                assert!(written.missing.is_empty());
                assert_eq!(written.blob.len_bytes(), len as u64);
                assert_eq!(matches!(written.blob, BlobRef::Inline(_)), len <= 1024);
                assert!(read_all(&store, &written.blob).await.unwrap() == bytes, "{k}+{m} {len} {hint:?}");
            }
        }
        assert_eq!(store.metrics().snapshot().crc_failures, 0);
        assert_eq!(store.budget().used_bytes(), 0);
    }
}

#[tokio::test]
async fn every_range_is_the_slice_of_the_whole() {
    let sim = Sim::with_drives(4, 2, 7);
    let store = sim.open(&mut Vec::new());
    let bytes = pattern(1, 3 * 512 * 1024 + 12_345);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    let mut random = SplitMix::new(2);
    for _ in 0..300 {
        let start = random.below(bytes.len() as u64);
        let end = start + random.below(bytes.len() as u64 - start + 1);
        let got = read(&store, &blob, start..end).await.unwrap();
        assert!(got == bytes[start as usize..end as usize], "{start}..{end}");
    }
    assert!(read(&store, &blob, 5..5).await.unwrap().is_empty());
    assert!(read(&store, &blob, u64::MAX - 1..u64::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn blobs_survive_a_clean_stop_and_the_loss_of_the_index() {
    let sim = Sim::new(2, 1);
    let mut order = Vec::new();
    let bytes = pattern(3, 20_000_000);
    let small = pattern(4, 30_000);
    let store = sim.open(&mut order);
    let large = write(&store, &bytes, None).await.unwrap().blob;
    let small_blob = write(&store, &small, None).await.unwrap().blob;
    assert!(store.metrics().snapshot().segments_created > 6, "the blob spans segments");
    store.close().await;
    drop(store);
    // The index is in memory and made anew: everything comes from the footers.
    let store = sim.open(&mut order);
    assert_eq!(store.metrics().snapshot().syncs, 0, "sealed segments are only read");
    assert!(read_all(&store, &large).await.unwrap() == bytes);
    assert!(read_all(&store, &small_blob).await.unwrap() == small);
}

#[tokio::test]
async fn a_blob_costs_one_sync_per_drive_and_few_bytes_more_than_its_shards() {
    let sim = Sim::new(4, 2);
    let store = sim.open(&mut Vec::new());
    let len = 8 << 20;
    write(&store, &pattern(5, len), Some(len as u64)).await.unwrap();
    let counts = store.metrics().snapshot();
    let shards = len as u64 * 6 / 4;
    assert!(counts.bytes_written * 100 <= shards * 105, "{} bytes for {shards}", counts.bytes_written);
    assert!(counts.syncs <= 6 * 2, "{} syncs for 6 drives", counts.syncs);
    assert_eq!(counts.bytes_copied, 0);
    assert_eq!(counts.bytes_stored, len as u64);
}

#[tokio::test]
async fn a_dropped_writer_and_a_freed_run_leave_nothing_in_the_index() {
    let sim = Sim::new(2, 1);
    let store = sim.open(&mut Vec::new());
    let mut writer = store.writer(None).await;
    for _ in 0..8 {
        let window = writer.spare().await.unwrap().len();
        writer.advance(window);
    }
    drop(writer);
    let bytes = pattern(6, 600_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    let BlobRef::Stripes(run) = &blob else { panic!("striped") };
    assert!(store.is_written(run.first) && !store.is_written(StripeId::first(1, [0; 6])));
    store.settle(run.first);
    let reader = store.reader(&blob, 0..1);
    assert!(store.is_read(run.first.nth(1)) && !store.is_written(run.first));
    drop(reader);
    assert!(!store.is_read(run.first));
    assert!(store.free(std::slice::from_ref(run)).await);
    assert!(store.free(std::slice::from_ref(run)).await, "a second time changes nothing");
    assert!(matches!(read_all(&store, &blob).await, Err(StorageError::Corrupted { .. })));
    for status in store.status() {
        assert_eq!(status.dead_bytes, status.stored_bytes, "{status:?}");
    }
}

#[tokio::test]
async fn many_writers_share_a_small_budget() {
    let sim = Sim::new(4, 2);
    let store = sim.open(&mut Vec::new());
    let tasks: Vec<_> = (0..40)
        .map(|seed| {
            let store = store.clone();
            tokio::spawn(async move {
                let bytes = pattern(seed, 2_000_000);
                let blob = write(&store, &bytes, None).await.unwrap().blob;
                assert!(read_all(&store, &blob).await.unwrap() == bytes);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.budget().used_bytes(), 0);
}
