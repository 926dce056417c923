//! Small blobs as whole copies: on m+1 places of their group, read from any of them, written around drives that are away.

use super::*;
use crate::codec::GEOMETRIES;
use crate::drive::DriveState;
use crate::io::SimFault;

const PACK: usize = 200_000;

/// A store that keeps blobs up to [`PACK`] bytes as copies.
fn open(sim: &Sim, order: &mut Vec<DriveId>) -> BlobStore {
    let drives = reopened(sim);
    *order = drives.iter().map(|drive| drive.id()).collect();
    over(sim, drives, order)
}

fn reopened(sim: &Sim) -> Vec<Arc<Drive>> {
    let metrics = Arc::new(DataMetrics::default());
    sim.ios.iter().map(|io| sim.open_drive(io, &metrics).unwrap()).collect()
}

fn over(sim: &Sim, drives: Vec<Arc<Drive>>, order: &[DriveId]) -> BlobStore {
    let config = BlobConfig { inline_bytes: 1024, pack_bytes: PACK, stripe_rows: Some(2) };
    store_with(config, drives, rotated_layout(1, sim.k, sim.m, order), &sim.env, Arc::default())
}

fn run(blob: &BlobRef) -> &StripeRun {
    blob.stripes().expect("not inline")
}

#[tokio::test]
async fn small_blobs_of_every_geometry_read_back_from_any_copy() {
    for (k, m) in GEOMETRIES {
        let sim = Sim::new(k, m);
        let mut order = Vec::new();
        let store = open(&sim, &mut order);
        let mut kept = Vec::new();
        for (seed, len) in
            [1025, 4096, 65_535, 65_536, 65_537, 131_072, PACK - 1, PACK, PACK + 1].into_iter().enumerate()
        {
            for hint in [Some(len as u64), None, Some(len as u64 / 2), Some(3 * PACK as u64)] {
                let bytes = pattern(seed as u64, len);
                let written = write(&store, &bytes, hint).await.unwrap();
                let run = run(&written.blob).clone();
                // A stripe with one data column has nothing to gain; with 2 rows of 2 columns 256 KiB is the most.
                let copies = k > 1 && m > 0 && len <= PACK;
                assert_eq!(run.is_copies(), copies, "{k}+{m}, {len}");
                assert_eq!(written.blake3, *blake3::hash(&bytes).as_bytes());
                assert!(written.missing.is_empty());
                if copies {
                    assert_eq!((run.k, run.m, run.count), (1, m, 1));
                    assert_eq!(run.places.count_ones(), u32::from(m) + 1);
                }
                assert!(read_all(&store, &written.blob).await.unwrap() == bytes, "{k}+{m}, {len}");
                let (from, to) = (len as u64 / 3, len as u64 / 3 * 2 + 1);
                assert!(read(&store, &written.blob, from..to).await.unwrap() == bytes[from as usize..to as usize]);
                kept.push((written.blob, bytes));
            }
        }
        store.close().await;
        drop(store);
        let all = reopened(&sim);
        // Any m drives in a row are lost.
        for lost in 0..all.len() {
            let is_lost = |at: usize| (at + all.len() - lost) % all.len() < usize::from(m);
            let there = all.iter().enumerate().filter(|(at, _)| !is_lost(*at)).map(|(_, drive)| drive.clone());
            let store = over(&sim, there.collect(), &order);
            for (blob, bytes) in &kept {
                assert!(read_all(&store, blob).await.unwrap() == *bytes, "{k}+{m} without {m} drives from {lost}");
            }
        }
    }
}

#[tokio::test]
async fn every_place_takes_its_share() {
    let sim = Sim::new(4, 2);
    let store = open(&sim, &mut Vec::new());
    let mut often = [0; 6];
    for seed in 0..300 {
        let blob = write(&store, &pattern(seed, 2000), Some(2000)).await.unwrap().blob;
        (0..6).filter(|place| run(&blob).places >> place & 1 == 1).for_each(|place| often[place] += 1);
    }
    assert!(often.iter().all(|count| (110..=190).contains(count)), "{often:?}");
    let stored: Vec<u64> = store.status().iter().map(|drive| drive.stored_bytes).collect();
    let (least, most) = (stored.iter().min().unwrap(), stored.iter().max().unwrap());
    assert!(most * 10 < least * 14, "{stored:?}");
}

#[tokio::test]
async fn places_whose_drives_take_no_writes_are_passed_over() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = open(&sim, &mut order);
    for (away, drive) in order.iter().enumerate().take(3) {
        store.core.drive(*drive).unwrap().fail("a test");
        for seed in 0..20 {
            let written = write(&store, &pattern(seed, 5000), Some(5000)).await.unwrap();
            assert!(written.missing.is_empty(), "{} away, three or more are left", away + 1);
        }
    }
    // Two are left: the quorum, and the third copy waits to be healed. Then one: refused.
    store.core.drive(order[3]).unwrap().fail("a test");
    let written = write(&store, &pattern(1, 5000), Some(5000)).await.unwrap();
    assert_eq!(written.missing.len(), 1);
    assert!(read_all(&store, &written.blob).await.unwrap() == pattern(1, 5000));
    store.core.drive(order[4]).unwrap().fail("a test");
    assert!(matches!(write(&store, &pattern(2, 5000), None).await, Err(StorageError::Unavailable { .. })));
}

#[tokio::test]
async fn a_copy_that_cannot_be_written_is_missing_and_below_two_nothing_is_stored() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = open(&sim, &mut order);
    sim.ios[0].set_fault(SimFault::SyncEio, true);
    let mut missing = 0;
    for seed in 0..12 {
        let written = write(&store, &pattern(seed, 70_000), None).await.unwrap();
        missing += written.missing.len();
        assert!(read_all(&store, &written.blob).await.unwrap() == pattern(seed, 70_000));
    }
    // Two failed syncs, and the drive takes no more writes: it is passed over.
    assert_eq!((missing, store.core.drive(order[0]).unwrap().state()), (2, DriveState::ReadOnly));
    sim.ios[1..].iter().for_each(|io| io.set_fault(SimFault::WriteEio, true));
    assert!(matches!(write(&store, &pattern(1, 5000), None).await, Err(StorageError::Unavailable { .. })));
}

#[tokio::test]
async fn a_damaged_copy_is_read_around_and_freed_ones_are_gone() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = open(&sim, &mut order);
    let bytes = pattern(9, 150_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    let holder = store.placement(run(&blob)).unwrap().targets(0)[0];
    let location = store.core.drive(holder).unwrap().locate(run(&blob).first, 0).unwrap().unwrap();
    let io = &sim.ios[order.iter().position(|id| *id == holder).unwrap()];
    io.flip(&format!("segments/{}.seg", location.segment), location.cell_offset(1) + 5, 4);
    assert!(read_all(&store, &blob).await.unwrap() == bytes);
    assert_eq!(store.metrics().snapshot().cells_rebuilt, 1);
    assert_eq!(store.damage().take().len(), 1);
    assert!(store.free(&[run(&blob).clone()]).await);
    assert!(read_all(&store, &blob).await.is_err());
    let shards: usize = store.drives().iter().map(|drive| drive.shards(None, 100).unwrap().len()).sum();
    assert_eq!(shards, 0);
}
