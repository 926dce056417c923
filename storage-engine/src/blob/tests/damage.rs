//! Flipped bytes and lost drives: never a wrong byte, and nothing lost while k shards are good.

use super::*;
use crate::codec::GEOMETRIES;

/// Removes each set of up to m drives in turn, in every geometry.
#[tokio::test]
async fn any_m_drives_may_go() {
    for (k, m) in GEOMETRIES {
        let drives = u32::from(k + m);
        let sim = Sim::new(k, m);
        let mut order = Vec::new();
        let bytes = pattern(1, usize::from(k) * 3 * CELL_BYTES + 4321);
        let store_before = sim.open(&mut order);
        let blob = write(&store_before, &bytes, None).await.unwrap().blob;
        store_before.close().await;
        drop(store_before);
        let metrics = Arc::new(DataMetrics::default());
        let all: Vec<_> = sim.ios.iter().map(|io| sim.open_drive(io, &metrics).unwrap()).collect();
        for lost in (0_u32..1 << drives).filter(|lost| lost.count_ones() <= u32::from(m) + 1) {
            // Of the wide geometries a sample of the pairs, triples and quadruples is enough.
            if drives > 6 && lost.count_ones() > 1 && lost % 7 != 3 {
                continue;
            }
            let there = all.iter().enumerate().filter(|(at, _)| lost >> at & 1 == 0).map(|(_, drive)| drive.clone());
            let layout = rotated_layout(1, k, m, &order);
            let store = store(there.collect(), layout, &sim.env, metrics.clone());
            let got = read_all(&store, &blob).await;
            if lost.count_ones() <= u32::from(m) {
                assert!(got.unwrap() == bytes, "{k}+{m} without {lost:b}");
            } else {
                assert!(matches!(got, Err(StorageError::Unavailable { .. })), "{k}+{m} without {lost:b}");
            }
        }
    }
}

/// Flips bytes anywhere on up to m drives, at rest: the same bytes come back.
#[tokio::test]
async fn flips_on_m_drives_are_mended() {
    let mut random = SplitMix::new(11);
    for round in 0..30 {
        let sim = Sim::new(4, 2);
        let mut order = Vec::new();
        let store = sim.open(&mut order);
        let bytes = pattern(round, 900_000);
        let blob = write(&store, &bytes, None).await.unwrap().blob;
        if round % 2 == 0 {
            store.close().await;
        }
        drop(store);
        for io in &sim.ios[..2] {
            flip_anywhere(io, &mut random, 200);
        }
        let store = sim.open(&mut order);
        assert!(read_all(&store, &blob).await.unwrap() == bytes);
    }
}

/// Flips bytes on all drives: the right bytes or an error, never others.
#[tokio::test]
async fn flips_everywhere_never_give_wrong_bytes() {
    let mut random = SplitMix::new(12);
    let (mut mended, mut refused) = (0, 0);
    for round in 0..40 {
        let sim = Sim::new(2, 2);
        let mut order = Vec::new();
        let store = sim.open(&mut order);
        let bytes = pattern(round, 400_000);
        let blob = write(&store, &bytes, None).await.unwrap().blob;
        // At run time too: the index is intact, the cells are not.
        for io in &sim.ios {
            flip_anywhere(io, &mut random, 1 + round as usize / 4);
        }
        let store = if round % 2 == 0 {
            store
        } else {
            drop(store);
            sim.open(&mut order)
        };
        match read_all(&store, &blob).await {
            Ok(got) => {
                assert!(got == bytes, "round {round}");
                mended += 1;
            }
            Err(StorageError::Corrupted { .. } | StorageError::Unavailable { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(mended > 5 && refused > 1, "{mended} mended, {refused} refused");
}

/// Flips bytes of segments, superblocks and whatever else there is, mostly where records are.
fn flip_anywhere(io: &SimIo, random: &mut SplitMix, count: usize) {
    let files = io.files();
    for _ in 0..count {
        let (name, len) = &files[random.below(files.len() as u64) as usize];
        // One copy of the superblock must stay, or the drive counts as lost: also fine, but another test.
        if *len > 0 && name != "superblock.a" {
            io.flip(name, random.below((*len).min(700_000)), 1 << random.below(8));
        }
    }
}

#[tokio::test]
async fn a_bad_cell_is_counted_and_rebuilt() {
    let sim = Sim::new(4, 2);
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    let bytes = pattern(1, 300_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    let io = &sim.ios[1];
    let (name, _) = io.files().into_iter().find(|(name, _)| name.ends_with(".seg")).unwrap();
    io.flip(&name, 4096 + 4096 + 100, 0x80);
    assert!(read_all(&store, &blob).await.unwrap() == bytes);
    let counts = store.metrics().snapshot();
    assert_eq!((counts.crc_failures, counts.cells_rebuilt), (1, 1));
    let failures: Vec<u64> = order.iter().map(|id| store.core.drive(*id).unwrap().status().crc_failures).collect();
    assert_eq!(failures, [0, 1, 0, 0, 0, 0]);
}

/// Two segments swapped, and one put in the place of another: told by what records say of themselves.
#[tokio::test]
async fn swapped_segments_are_not_believed() {
    let sim = Sim::new(2, 2);
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    let bytes = pattern(1, 3_000_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    store.close().await;
    drop(store);
    let segments = |io: &SimIo| -> Vec<String> {
        io.files().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".seg")).collect()
    };
    let from = sim.ios[0].read_all(&segments(&sim.ios[0])[0], 1 << 30).unwrap();
    let target = &segments(&sim.ios[1])[0];
    sim.ios[1].remove(target).unwrap();
    sim.ios[1].write_atomic(target, &from).unwrap();
    let store = sim.open(&mut order);
    assert!(read_all(&store, &blob).await.unwrap() == bytes);
}
