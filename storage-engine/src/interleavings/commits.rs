//! Group commit: proposers, the committer, the mirrors and whoever closes the log.

use std::sync::Arc;

use shuttle::future::block_on;

use super::check;
use crate::io::SimFault;
use crate::log::tests::rig::Rig;
use crate::meta::suite::commands::{command, create_bucket, journal};
use crate::namespace::command::Outcome;
use crate::solo::{Solo, SoloConfig};
use crate::state::StateMachine;
use crate::state::kv::MemoryKv;
use crate::sync::thread;

fn open(rig: &Rig, kv: &Arc<MemoryKv>) -> Solo<StateMachine> {
    let config = SoloConfig {
        index_dir: std::env::temp_dir().join("chartrier-index-that-is-never-there"),
        log: rig.config.clone(),
        checkpoint_log_bytes: u64::MAX,
    };
    Solo::open(rig.drives(&[]), config, |_| Ok(Arc::new(StateMachine::over(kv.clone())?))).unwrap().solo
}

/// What ends while three proposers are at work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    Close,
    MirrorFails,
    PowerGoes,
}

fn play(meanwhile: Meanwhile) {
    let rig = Rig::new(2, 1, 64 << 10);
    let kv = Arc::new(MemoryKv::new());
    let solo = Arc::new(open(&rig, &kv));
    block_on(solo.propose(command(journal()))).unwrap();
    let proposers: Vec<_> = (1..=3_u8)
        .map(|n| {
            let solo = solo.clone();
            thread::spawn(move || {
                let mut held = Vec::new();
                for round in 0..2 {
                    let name = format!("bucket-{}", n + 10 * round);
                    let Ok(applied) = block_on(solo.propose(command(create_bucket(n + 10 * round, &name)))) else {
                        break;
                    };
                    assert_eq!(applied.outcome, Outcome::Done);
                    // Whoever is answered sees it, and it is durable.
                    assert!(solo.machine().applied_index() >= applied.commit_index);
                    assert!(solo.status().durable_index >= applied.commit_index);
                    held.push((applied.commit_index, name));
                }
                held
            })
        })
        .collect();
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Close => drop(solo.close()),
        Meanwhile::MirrorFails => rig.ios[1].set_fault(SimFault::SyncEio, true),
        Meanwhile::PowerGoes => rig.world.cut_now(),
    }
    let mut held: Vec<(u64, String)> = proposers.into_iter().flat_map(|proposer| proposer.join().unwrap()).collect();
    held.sort();
    assert!(held.windows(2).all(|pair| pair[0].0 < pair[1].0), "one entry for each: {held:?}");
    if meanwhile == Meanwhile::Nothing || meanwhile == Meanwhile::MirrorFails {
        assert_eq!(held.len(), 6, "{held:?}");
    }
    drop(solo);
    rig.ios[1].set_fault(SimFault::SyncEio, false);
    kv.crash();
    rig.power_cut(3);
    let solo = open(&rig, &kv);
    let rows = crate::meta::MetaReads::buckets(&**solo.machine()).unwrap();
    for (_, name) in held {
        assert!(rows.iter().any(|row| row.name == name), "{name} was answered and is gone");
    }
}

#[test]
fn what_is_answered_is_durable_and_seen() {
    check(300, || play(Meanwhile::Nothing));
}

#[test]
fn a_close_lets_everybody_go_and_keeps_what_was_answered() {
    check(300, || play(Meanwhile::Close));
}

#[test]
fn one_mirror_may_fail() {
    check(300, || play(Meanwhile::MirrorFails));
}

#[test]
fn the_power_may_go() {
    check(300, || play(Meanwhile::PowerGoes));
}
