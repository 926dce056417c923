//! A pool grows: new data goes to the new drives in proportion, from the first write on, and what was there follows while
//! it is read and written.

use std::collections::BTreeMap;

use chartrier_storage::ids::DriveId;

use super::drives::{check_all, fill, settled};
use super::*;

const LEN: usize = 270_000;
/// As many as there are groups when six drives begin: 128, rounded up to whole turns.
const GROUPS: usize = 132;

/// Shards of an object by drive, as the layout of the time placed them.
fn shards_on(engine: &Engine, key: &str, often: &mut BTreeMap<DriveId, usize>) {
    let row = engine.current(BUCKET, key).unwrap().unwrap();
    let BlobRef::Stripes(run) = &row.parts[0].blob else { panic!("inline") };
    let placement = engine.blobs().placement(run).unwrap();
    for (shard, target) in placement.targets(0).iter().enumerate() {
        let held = engine.blobs().drive(*target).unwrap().locate(run.first, shard as u8).unwrap();
        assert!(held.is_some(), "{key}: shard {shard} is not where it belongs");
        *often.entry(*target).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_six_to_eight_drives_new_data_is_on_the_new_ones_in_proportion() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let first = engine.add_drive(None).await.unwrap().id;
    let second = engine.add_drive(None).await.unwrap().id;
    // At once, while what was there moves.
    for n in 0..GROUPS {
        put(&engine, &format!("new{n}"), LEN).await;
        if n % 30 == 0 {
            check_all(&engine).await;
        }
    }
    let mut often = BTreeMap::new();
    for n in 0..GROUPS {
        shards_on(&engine, &format!("new{n}"), &mut often);
    }
    let even = GROUPS * 6 / 8;
    for drive in [first, second] {
        assert!(often[&drive].abs_diff(even) <= even / 10, "{even} shards are its share: {often:?}");
    }
    assert!(often.values().all(|count| count.abs_diff(even) <= even / 5), "{often:?}");

    settled(&engine).await;
    check_all(&engine).await;
    // Where shards were before they moved they are freed by and by.
    let live =
        || -> Vec<u64> { engine.status().drives.iter().map(|drive| drive.stored_bytes - drive.dead_bytes).collect() };
    eventually("every drive holds about as much", || {
        let live = live();
        let mean = live.iter().sum::<u64>() / 8;
        live.iter().all(|bytes| bytes.abs_diff(mean) < mean / 5)
    })
    .await;
    engine.close().await.unwrap();
}
