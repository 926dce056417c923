//! Compaction: space comes back, readers are right at every moment, and no crash, damage or full
//! drive in the middle of it costs a record.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::drive::{CompactionPolicy, CompactionReport};
use crate::env::Clock;
use crate::namespace::integrity::FoundBy;
use crate::namespace::rows::StripeRun;

const EAGER: CompactionPolicy =
    CompactionPolicy { dead_percent: 35, low_space_percent: 10, bytes_per_second: 0, eager: true };

/// A blob that was acknowledged, and how to know its bytes again.
#[derive(Clone)]
struct Kept {
    seed: u64,
    len: usize,
    blob: BlobRef,
    /// Every shard of it was written.
    whole: bool,
}

async fn put(store: &BlobStore, seed: u64, len: usize) -> Option<Kept> {
    let written = write(store, &pattern(seed, len), None).await.ok()?;
    Some(Kept { seed, len, whole: written.missing.is_empty(), blob: written.blob })
}

fn run_of(kept: &Kept) -> StripeRun {
    kept.blob.stripes().expect("longer than the inline limit").clone()
}

async fn check(store: &BlobStore, live: &[Kept]) {
    for kept in live {
        match read_all(store, &kept.blob).await {
            Ok(bytes) => assert!(bytes == pattern(kept.seed, kept.len), "wrong bytes for {}", kept.seed),
            Err(error) => panic!("blob {} of {} bytes is lost: {error}", kept.seed, kept.len),
        }
    }
}

/// One pass on each drive; what a cut or a full drive leaves undone is left.
async fn compact(store: &BlobStore) -> CompactionReport {
    let mut total = CompactionReport::default();
    for drive in store.drives() {
        if let Ok(Ok(report)) = store.compact(&drive, EAGER).await {
            total.add(&report);
        }
    }
    total
}

/// Every entry of every index points into a file that is there.
fn check_index(sim: &Sim, store: &BlobStore) {
    for drive in store.drives() {
        let io = sim.ios.iter().find(|io| io.label() == drive.io().label()).unwrap();
        let files: HashSet<String> = io.files().into_iter().map(|(name, _)| name).collect();
        for (key, location) in drive.shards(None, usize::MAX).unwrap() {
            let name = format!("segments/{}.seg", location.segment);
            assert!(files.contains(&name), "{key:?} points into {name}, which is gone");
        }
    }
}

fn segment_bytes(sim: &Sim) -> u64 {
    let files = sim.ios.iter().flat_map(SimIo::files);
    files.filter(|(name, _)| name.starts_with("segments/")).map(|(_, len)| len).sum()
}

/// Bytes of the records of blobs, with a little for headers and footers.
fn needed_bytes(live: &[Kept]) -> u64 {
    let needed = |kept: &Kept| {
        let run = run_of(kept);
        let shards = u64::from(run.k + run.m);
        // A short row pads each shard by less than 64 bytes, a record by less than a block; its head is one more.
        kept.len as u64 * shards / u64::from(run.k) + u64::from(run.count) * shards * (64 + 3 * 4096)
    };
    live.iter().map(needed).sum()
}

#[tokio::test]
async fn freed_bytes_come_back_and_what_is_left_reads_without_rebuilding() {
    let sim = Sim::new(4, 2);
    let store = sim.open(&mut Vec::new());
    let mut live = Vec::new();
    for seed in 0..60 {
        live.extend(put(&store, seed, 2_000 + seed as usize * 9_000).await);
    }
    assert_eq!(live.len(), 60);
    let before = segment_bytes(&sim);
    let dead: Vec<StripeRun> = live.iter().filter(|kept| kept.seed % 10 != 3).map(run_of).collect();
    assert!(store.free(&dead).await);
    live.retain(|kept| kept.seed % 10 == 3);
    let report = compact(&store).await;
    assert!(report.segments_removed >= 6 && report.copied_bytes > 0 && report.damaged == 0, "{report:?}");
    let after = segment_bytes(&sim);
    assert!(after < needed_bytes(&live) + 6 * 16_384, "{after} bytes left of {before}");
    assert!(report.reclaimed_bytes > 0 && report.reclaimed_bytes < before - after, "{report:?}, {before} -> {after}");
    check(&store, &live).await;
    check_index(&sim, &store);
    assert_nothing_lost(&store);
    // A second pass finds nothing to do.
    assert_eq!(compact(&store).await, CompactionReport::default());
    let status = store.status();
    assert!(status.iter().all(|drive| drive.dead_bytes == 0 && drive.segments == 1), "{status:?}");
}

#[tokio::test]
async fn a_reader_in_the_middle_of_a_stripe_goes_on_where_the_shard_is_now() {
    let sim = Sim::new(4, 2);
    let store = sim.open(&mut Vec::new());
    let kept = put(&store, 1, 3_000_000).await.unwrap();
    let other = put(&store, 2, 3_000_000).await.unwrap();
    // Small pieces: the columns of a stripe are located once and read several times.
    let mut reader = store.reader(&kept.blob, 0..u64::MAX);
    let mut bytes = reader.next().await.unwrap().unwrap().as_slice().to_vec();
    assert!(store.free(&[run_of(&other)]).await);
    for _ in 0..2 {
        assert!(compact(&store).await.segments_removed >= 6);
        bytes.extend_from_slice(reader.next().await.unwrap().unwrap().as_slice());
        let filler = put(&store, 3, 500_000).await.unwrap();
        let again = put(&store, 4, 900_000).await.unwrap();
        assert!(store.free(&[run_of(&filler), run_of(&again)]).await);
    }
    while let Some(piece) = reader.next().await.unwrap() {
        bytes.extend_from_slice(piece.as_slice());
    }
    assert!(bytes == pattern(1, 3_000_000));
    assert_nothing_lost(&store);
}

#[tokio::test]
async fn a_damaged_record_is_neither_copied_nor_dropped() {
    for byte in [30, 4096 + 70_000] {
        let sim = Sim::new(2, 1);
        let store = sim.open(&mut Vec::new());
        let kept = put(&store, 1, 256 << 10).await.unwrap();
        let other = put(&store, 2, 500_000).await.unwrap();
        let drive = store.drives().remove(1);
        let io = sim.ios.iter().find(|io| io.label() == drive.io().label()).unwrap();
        let shards = drive.shards(None, 100).unwrap();
        let (key, location) = shards.into_iter().find(|(key, _)| key.stripe == run_of(&kept).first).unwrap();
        io.flip(&format!("segments/{}.seg", location.segment), location.record_offset + byte, 0x10);
        assert!(store.free(&[run_of(&other)]).await);
        let report = compact(&store).await;
        assert_eq!((report.damaged, report.segments_removed), (1, 2), "{report:?}");
        let (stripe, shard, met_on) = (key.stripe, key.shard, Some(drive.id()));
        let report = DamagedShard { stripe, shard, found_by: FoundBy::Compaction, drive: met_on };
        assert_eq!(store.damage().take(), [report]);
        assert_eq!(drive.locate(key.stripe, key.shard).unwrap(), Some(location.clone()), "it stays where it is");
        assert_eq!(drive.status().blocked_segments, 1);
        check(&store, std::slice::from_ref(&kept)).await;
        check_index(&sim, &store);
        // Once the shard is elsewhere, or nobody wants it any more, the segment goes.
        assert!(store.free(&[run_of(&kept)]).await);
        assert_eq!(compact(&store).await.segments_removed, 3);
        assert_eq!(store.status().iter().map(|drive| drive.stored_bytes).sum::<u64>(), 0);
    }
}

#[tokio::test]
async fn a_full_drive_takes_writes_again_after_a_pass_without_a_restart() {
    let sim = Sim::new(2, 1);
    let store = sim.open(&mut Vec::new());
    sim.ios.iter().for_each(|io| io.set_capacity(Some(24 << 20)));
    let mut live = Vec::new();
    let full = loop {
        match write(&store, &pattern(live.len() as u64, 700_000), None).await {
            Ok(written) => live.push(Kept { seed: live.len() as u64, len: 700_000, whole: true, blob: written.blob }),
            Err(error) => break error,
        }
        assert!(live.len() < 1000);
    };
    assert!(matches!(full, StorageError::Full), "{full}");
    check(&store, &live).await;
    for round in 0..3 {
        let dead: Vec<StripeRun> = live.iter().step_by(2).map(run_of).collect();
        assert!(store.free(&dead).await, "a full drive forgets what it is told to");
        live = live.into_iter().skip(1).step_by(2).collect();
        assert!(compact(&store).await.reclaimed_bytes > 0);
        let mut added = 0;
        while let Ok(written) = write(&store, &pattern(10_000 + live.len() as u64, 700_000), None).await {
            live.push(Kept { seed: 10_000 + live.len() as u64, len: 700_000, whole: true, blob: written.blob });
            added += 1;
        }
        assert!(added * 2 >= dead.len(), "round {round}: room for {added} after {} were freed", dead.len());
        check(&store, &live).await;
        check_index(&sim, &store);
    }
    assert!(store.drives().iter().all(|drive| drive.state() == crate::drive::DriveState::Online));
}

/// A clock that a test puts forward.
struct Shifted(Env, AtomicU64);

impl Clock for Shifted {
    fn now_us(&self) -> u64 {
        self.0.clock.now_us() + self.1.load(Ordering::Relaxed)
    }
}

/// Copies of small blobs lie apart from stripes. Those that live are not moved while they may soon be packed.
#[tokio::test]
async fn copies_die_together_and_nothing_is_moved_for_them() {
    let mut sim = Sim::new(4, 2);
    sim.pack_bytes = 100_000;
    let clock = Arc::new(Shifted(sim.env.clone(), AtomicU64::new(0)));
    sim.env.clock = clock.clone();
    let store = sim.open(&mut Vec::new());
    let (mut copies, mut stripes) = (Vec::new(), Vec::new());
    for seed in 0..180 {
        copies.extend(put(&store, seed, 60_000).await);
        if seed % 12 == 0 {
            stripes.extend(put(&store, 1000 + seed, 700_000).await);
        }
    }
    assert!(copies.iter().all(|kept| run_of(kept).is_copies()) && !run_of(&stripes[0]).is_copies());
    let policy = CompactionPolicy { eager: false, bytes_per_second: 0, ..CompactionPolicy::default() };
    let pass = async || {
        let mut total = CompactionReport::default();
        for drive in store.drives() {
            total.add(&store.compact(&drive, policy).await.unwrap().unwrap());
        }
        total
    };
    // Half of them is dead.
    let (dead, live): (Vec<Kept>, Vec<Kept>) = copies.into_iter().partition(|kept| kept.seed % 2 == 0);
    assert!(store.free(&dead.iter().map(run_of).collect::<Vec<_>>()).await);
    assert_eq!(pass().await, CompactionReport::default(), "those that live are about to be packed");
    check(&store, &live).await;
    // All are.
    assert!(store.free(&live.iter().map(run_of).collect::<Vec<_>>()).await);
    let report = pass().await;
    assert!(report.copied_bytes == 0 && report.segments_removed >= 6, "{report:?}");
    let status = store.status();
    assert!(status.iter().all(|drive| drive.dead_bytes <= 2 << 20), "only what is open is left: {status:?}");
    // What is long alive is moved after all, when it was not packed.
    let mut rest = Vec::new();
    for seed in 0..120 {
        rest.extend(put(&store, seed, 60_000).await);
    }
    let (dead, live): (Vec<Kept>, Vec<Kept>) = rest.into_iter().partition(|kept| kept.seed % 2 == 0);
    assert!(store.free(&dead.iter().map(run_of).collect::<Vec<_>>()).await);
    assert_eq!(pass().await.copied_bytes, 0);
    clock.1.store(3 * 60 * 60 * 1_000_000, Ordering::Relaxed);
    let report = pass().await;
    assert!(report.copied_bytes > 0, "{report:?}");
    check(&store, &live).await;
    check(&store, &stripes).await;
    check_index(&sim, &store);
}

/// Of a small compaction each durability point in turn.
#[test]
fn a_cut_at_each_point_in_turn() {
    for with_index in [false, true] {
        let mut points = 0;
        for cut in 0.. {
            let mut sim = Sim::new(2, 1);
            if with_index {
                sim.kvs = Some(sim.ios.iter().map(|_| Arc::default()).collect());
                sim.pack_bytes = 200_000;
            }
            let mut order = Vec::new();
            let mut live = Vec::new();
            let mut dead = Vec::new();
            let finished = runtime().block_on(async {
                let store = sim.open(&mut order);
                for seed in 0..9 {
                    live.extend(put(&store, seed, 100_000 + 50_000 * seed as usize).await);
                }
                // Sealed and unsealed segments, flushed and unflushed entries.
                store.close().await;
                drop(store);
                let store = sim.open(&mut order);
                live.extend(put(&store, 9, 80_000).await);
                dead.extend(live.iter().filter(|kept| kept.seed % 3 != 0).map(run_of));
                live.retain(|kept| kept.seed % 3 == 0);
                assert!(store.free(&dead).await);
                sim.world.cut_at(sim.world.points() + cut);
                compact(&store).await;
                sim.world.is_on()
            });
            sim.world.cut_now();
            sim.kvs.iter().flatten().for_each(|kv| kv.crash());
            sim.world.restart(cut);
            runtime().block_on(async {
                let store = sim.open(&mut order);
                check_index(&sim, &store);
                check(&store, &live).await;
                assert_nothing_lost(&store);
                // What a rebuilt index brought back is freed again, as the engine does; then all is as it would be.
                assert!(store.free(&dead).await);
                compact(&store).await;
                compact(&store).await;
                check_index(&sim, &store);
                store.drives()[cut as usize % 3].fail("lost in the test");
                check(&store, &live).await;
                let left = segment_bytes(&sim);
                assert!(left < needed_bytes(&live) + 3 * 16_384, "cut {cut}: {left} bytes left");
            });
            points = cut;
            if finished {
                break;
            }
        }
        assert!(points > 25, "only {points} points");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write { len: usize },
    Free { which: usize },
    Compact,
    Stop,
    CutWriting { after_points: u64, seed: u64 },
    CutCompacting { after_points: u64, seed: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let cut = || (0_u64..80, any::<u64>());
    prop_oneof![
        6 => (1_100_usize..900_000).prop_map(|len| Step::Write { len }),
        4 => any::<usize>().prop_map(|which| Step::Free { which }),
        3 => Just(Step::Compact),
        1 => Just(Step::Stop),
        1 => cut().prop_map(|(after_points, seed)| Step::CutWriting { after_points, seed }),
        3 => cut().prop_map(|(after_points, seed)| Step::CutCompacting { after_points, seed }),
    ]
}

const CUT_WRITE_BYTES: usize = 200_000;

fn run(steps: Vec<Step>, sim: Sim) {
    runtime().block_on(async {
        let mut order = Vec::new();
        let (mut live, mut dead): (Vec<Kept>, Vec<StripeRun>) = (Vec::new(), Vec::new());
        let mut cut_writes = 0;
        let mut store = sim.open(&mut order);
        for (number, step) in steps.into_iter().enumerate() {
            let seed = number as u64;
            match step {
                Step::Write { len } => live.extend(put(&store, seed, len).await),
                Step::Free { which } if !live.is_empty() => {
                    let run = run_of(&live.swap_remove(which % live.len()));
                    assert!(store.free(std::slice::from_ref(&run)).await);
                    dead.push(run);
                }
                Step::Free { .. } => {}
                Step::Compact => {
                    compact(&store).await;
                    check_index(&sim, &store);
                }
                Step::Stop => {
                    store.close().await;
                    drop(store);
                    store = sim.open(&mut order);
                }
                Step::CutWriting { after_points, seed: chance }
                | Step::CutCompacting { after_points, seed: chance } => {
                    sim.world.cut_at(sim.world.points() + after_points);
                    if matches!(step, Step::CutWriting { .. }) {
                        live.extend(put(&store, 1_000 + seed, CUT_WRITE_BYTES).await);
                        cut_writes += 1;
                    }
                    compact(&store).await;
                    sim.world.cut_now();
                    drop(store);
                    sim.kvs.iter().flatten().for_each(|kv| kv.crash());
                    sim.world.restart(chance);
                    store = sim.open(&mut order);
                    check_index(&sim, &store);
                    check(&store, &live).await;
                }
            }
        }
        check(&store, &live).await;
        assert!(store.free(&dead).await);
        compact(&store).await;
        check_index(&sim, &store);
        // Nothing is left but what live blobs need, what a cut write left as an orphan, and the little that is not
        // worth its copy. Files are longer by the room that segments still open have.
        let stored: u64 = store.status().iter().map(|drive| drive.stored_bytes).sum();
        let orphans = cut_writes * (CUT_WRITE_BYTES as u64 + 3 * 4096) * u64::from(sim.m + 1);
        assert!(stored * 95 / 100 <= needed_bytes(&live) + orphans, "{stored} bytes stored, {orphans} of them orphans");
        let open = sim.ios.len() as u64 * 2 * SEGMENT_BYTES;
        assert!(segment_bytes(&sim) <= stored + open, "{} bytes of files for {stored}", segment_bytes(&sim));
        // With any m of the drives lost on top of it, what was written to all of them.
        for drive in store.drives().iter().take(usize::from(sim.m)) {
            drive.fail("lost in the test");
        }
        live.retain(|kept| kept.whole);
        check(&store, &live).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// With indexes that are rebuilt from the segments at each start.
    #[test]
    fn live_blobs_survive_compaction_and_cuts(steps in prop::collection::vec(step(), 1..24)) {
        run(steps, Sim::new(2, 1));
    }

    /// With indexes that keep what was flushed, as RocksDB does.
    #[test]
    fn also_with_stale_indexes(steps in prop::collection::vec(step(), 1..24)) {
        let mut sim = Sim::new(2, 2);
        sim.kvs = Some(sim.ios.iter().map(|_| Arc::default()).collect());
        sim.pack_bytes = 250_000;
        run(steps, sim);
    }
}
