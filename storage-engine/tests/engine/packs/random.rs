//! Random puts, deletes, packings, reclaims, kills and lost drives beside a map.

use std::collections::BTreeMap;
use std::time::Duration;

use chartrier_storage::env::SplitMix;

use super::super::*;
use super::rig;

/// Random puts, overwrites, deletes, packings, reclaims, kills and lost drives beside a map: what the map has reads back
/// right after every step, and nothing is left when all is deleted.
async fn a_story(seed: u64) {
    let mut random = SplitMix::new(seed);
    let mut below = |bound: usize| random.below(bound as u64) as usize;
    let rig = rig();
    let mut engine = rig.open_with_bucket().await;
    let mut model: BTreeMap<usize, usize> = BTreeMap::new();
    let name = |key: usize, len: usize| format!("{key}-{len}");
    let mut away: Option<usize> = None;
    for step in 0..60 {
        match below(20) {
            0..8 => {
                for _ in 0..6 {
                    let (key, len) = (below(30), 8_300 + below(200_000));
                    let written = write(&engine, &name(key, len), len).await.unwrap();
                    propose(&engine, put_op(&format!("k{key}"), len, written)).await;
                    model.insert(key, len);
                }
            }
            8..12 => {
                for _ in 0..4 {
                    let key = below(30);
                    delete(&engine, &format!("k{key}")).await;
                    model.remove(&key);
                }
            }
            12..15 => {
                let packed = engine.pack_now().await;
                assert!(packed.is_ok() || away.is_some(), "seed {seed}, step {step}: {packed:?}");
            }
            15..17 => drop(engine.reclaim_now().await.unwrap()),
            17 => {
                // Killed, at times in the middle of packing.
                let packing = tokio::spawn({
                    let engine = engine.clone();
                    async move { engine.pack_now().await }
                });
                tokio::time::sleep(Duration::from_millis(below(40) as u64)).await;
                packing.abort();
                let _ = packing.await;
                drop(engine);
                engine = rig.open().await;
            }
            _ => {
                close(engine).await;
                match away.take() {
                    Some(n) => rig.bring_back(n),
                    None => {
                        let n = below(6);
                        rig.take_away(n);
                        away = Some(n);
                    }
                }
                engine = rig.open().await;
            }
        }
        for (key, len) in &model {
            let row = engine.current(BUCKET, &format!("k{key}")).unwrap().expect("it is in the map");
            assert!(
                read(&engine, &row.parts[0].blob).await == pattern(&name(*key, *len), *len),
                "seed {seed}, step {step}: k{key}"
            );
        }
        let counts = engine.pack_status().counts;
        assert_eq!(counts.waiting_runs + counts.members, model.len() as u64, "seed {seed}, step {step}");
    }
    for key in 0..30 {
        delete(&engine, &format!("k{key}")).await;
    }
    assert_eq!(engine.pack_status().counts, Default::default());
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_reads_back_right_at_every_step() {
    let seeds = std::env::var("CHARTRIER_PACK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    for seed in 0..seeds {
        a_story(seed).await;
    }
}
