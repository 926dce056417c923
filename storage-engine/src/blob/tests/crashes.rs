//! Power cuts: what `finish` acknowledged is there after any of them; what it did not is never
//! half there, because nothing names it.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Write { len: usize },
    WriteMany { count: usize, len: usize },
    Free,
    Stop,
    Cut { after_points: u64, seed: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..1_500_000).prop_map(|len| Step::Write { len }),
        2 => (2_usize..9, 1_100_usize..80_000).prop_map(|(count, len)| Step::WriteMany { count, len }),
        1 => Just(Step::Free),
        1 => Just(Step::Stop),
        4 => (0_u64..60, any::<u64>()).prop_map(|(after_points, seed)| Step::Cut { after_points, seed }),
    ]
}

/// Acknowledged blobs, with the seed and length of their bytes.
type Acknowledged = Vec<(u64, usize, WrittenBlob)>;

async fn write_one(store: &BlobStore, seed: u64, len: usize, acknowledged: &mut Acknowledged) {
    if let Ok(written) = write(store, &pattern(seed, len), None).await {
        acknowledged.push((seed, len, written));
    }
}

async fn check(store: &BlobStore, acknowledged: &Acknowledged) {
    for (seed, len, written) in acknowledged {
        match read_all(store, &written.blob).await {
            Ok(bytes) => assert!(bytes == pattern(*seed, *len), "wrong bytes for {seed}"),
            Err(error) => panic!("acknowledged blob {seed} of {len} bytes is lost: {error}"),
        }
    }
}

fn run(steps: Vec<Step>, sim: Sim) {
    runtime().block_on(async {
        let mut order = Vec::new();
        let mut acknowledged = Acknowledged::new();
        let mut seed = 0;
        let mut store = sim.open(&mut order);
        for step in steps {
            seed += 1;
            match step {
                Step::Write { len } => write_one(&store, seed, len, &mut acknowledged).await,
                Step::WriteMany { count, len } => {
                    let blobs: Vec<_> =
                        (0..count as u64).map(|n| (seed * 1000 + n, pattern(seed * 1000 + n, len))).collect();
                    let mut tasks = tokio::task::JoinSet::new();
                    for (seed, bytes) in blobs {
                        let store = store.clone();
                        tasks.spawn(async move { (seed, write(&store, &bytes, None).await) });
                    }
                    while let Some(done) = tasks.join_next().await {
                        let (seed, written) = done.unwrap();
                        acknowledged.extend(written.ok().map(|written| (seed, len, written)));
                    }
                }
                Step::Free => {
                    if let Some((_, _, WrittenBlob { blob: BlobRef::Stripes(run), .. })) = acknowledged.pop() {
                        store.free(&[run]).await;
                    }
                }
                Step::Stop => {
                    store.close().await;
                    drop(store);
                    store = sim.open(&mut order);
                }
                Step::Cut { after_points, seed: chance } => {
                    sim.world.cut_at(sim.world.points() + after_points);
                    for n in 0..3 {
                        write_one(&store, seed * 1000 + n, 200_000, &mut acknowledged).await;
                    }
                    sim.world.cut_now();
                    drop(store);
                    sim.kvs.iter().flatten().for_each(|kv| kv.crash());
                    sim.world.restart(chance);
                    store = sim.open(&mut order);
                    check(&store, &acknowledged).await;
                }
            }
        }
        check(&store, &acknowledged).await;
        // And with any m of the drives lost on top of it, what was written to all of them.
        acknowledged.retain(|(_, _, written)| written.missing.is_empty());
        for lost in 0..usize::from(sim.m) {
            store.drives()[(seed as usize + lost) % sim.ios.len()].fail("lost in the test");
        }
        check(&store, &acknowledged).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_blobs_survive_any_power_cut(steps in prop::collection::vec(step(), 1..12)) {
        run(steps, Sim::new(4, 2));
    }

    /// With indexes that keep what was flushed, as RocksDB does.
    #[test]
    fn also_with_stale_indexes(steps in prop::collection::vec(step(), 1..12)) {
        let mut sim = Sim::new(2, 2);
        sim.kvs = Some(sim.ios.iter().map(|_| Arc::default()).collect());
        sim.pack_bytes = 250_000;
        run(steps, sim);
    }

    #[test]
    fn even_without_spare_shards(steps in prop::collection::vec(step(), 1..12)) {
        run(steps, Sim::new(1, 1));
    }
}

/// Every durability point of one small run, one after the other: of stripes, and of copies between stripes.
#[test]
fn a_cut_at_each_point_in_turn() {
    cut_at_each_point(0);
    cut_at_each_point(120_000);
}

fn cut_at_each_point(pack_bytes: usize) {
    for cut in 0.. {
        let mut sim = Sim::new(2, 1);
        sim.pack_bytes = pack_bytes;
        let mut order = Vec::new();
        let mut acknowledged = Acknowledged::new();
        let finished = runtime().block_on(async {
            let store = sim.open(&mut order);
            let before = sim.world.points();
            sim.world.cut_at(before + cut);
            for seed in 0..4 {
                write_one(&store, seed, 100_000 + 50_000 * (seed as usize % 2), &mut acknowledged).await;
            }
            sim.world.is_on()
        });
        sim.world.cut_now();
        sim.world.restart(cut);
        runtime().block_on(async {
            let store = sim.open(&mut order);
            check(&store, &acknowledged).await;
            // And a second start after the repair of the first.
            drop(store);
            check(&sim.open(&mut order), &acknowledged).await;
        });
        if finished {
            assert_eq!(acknowledged.len(), 4);
            assert!(cut > 20, "only {cut} points");
            break;
        }
    }
}

/// Segments that were left for the next one are durable too when `finish` answers.
#[test]
fn a_blob_over_several_segments_survives() {
    for seed in 0..4 {
        let sim = Sim::new(2, 1);
        let mut order = Vec::new();
        let bytes = pattern(seed, 20_000_000);
        runtime().block_on(async {
            let store = sim.open(&mut order);
            let blob = write(&store, &bytes, None).await.unwrap().blob;
            assert!(store.metrics().snapshot().segments_created > 6);
            sim.world.cut_now();
            drop(store);
            sim.world.restart(seed);
            assert!(read_all(&sim.open(&mut order), &blob).await.unwrap() == bytes);
        });
    }
}
