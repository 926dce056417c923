//! Goal: a mirror that fails, vanishes or fills up is dropped before the next acknowledgement, is
//! known to be stale afterwards, and too few mirrors refuse writes instead of losing them.

use std::time::{Duration, Instant};

use super::rig::{Rig, contents};
use crate::io::SimFault;
use crate::log::LogError;

fn entry(number: u8) -> Vec<u8> {
    vec![number; 500]
}

#[test]
fn a_failing_mirror_is_dropped_and_its_stale_copy_is_not_believed() {
    for fault in [SimFault::WriteEio, SimFault::SyncEio, SimFault::Removed] {
        let rig = Rig::new(6, 2, 64 << 10);
        let mut log = rig.recover(&[]).unwrap().log;
        log.append_batch(&[entry(1)]).unwrap();
        rig.ios[0].set_fault(fault, true);
        for number in 2..40 {
            log.append_batch(&[entry(number)]).unwrap();
        }
        assert_eq!(log.status().mirrors.len(), 2, "{fault:?}");
        assert_eq!(log.status().dropped.len(), 1);
        drop(log);
        rig.ios[0].set_fault(fault, false);
        assert!(!rig.mirrors().contains(&0), "the superblocks say so");
        assert_eq!(contents(&rig.recover(&[]).unwrap()).len(), 39);
        assert_eq!(contents(&rig.recover(&[1]).unwrap()).len(), 39, "one of the two true mirrors is enough");
        let refused = rig.recover(&[1, 2]).unwrap_err();
        assert!(matches!(refused, LogError::MirrorsMissing { .. }), "the stale copy alone is refused: {refused}");
    }
}

/// Every batch once waited for a mirror that took its time and never failed.
#[test]
fn a_mirror_that_is_slow_again_and_again_is_dropped_while_enough_are_left() {
    let rig = Rig::new(6, 2, 64 << 10);
    let mut log = rig.recover(&[]).unwrap().log;
    log.append_batch(&[entry(1)]).unwrap();
    let slow = Duration::from_millis(400);
    rig.ios[0].set_delay(Some(slow));
    let mut took = Vec::new();
    for number in 2..14 {
        let begun = Instant::now();
        log.append_batch(&[entry(number)]).unwrap();
        took.push(begun.elapsed());
    }
    assert!(took[..4].iter().all(|took| *took > slow), "{took:?}");
    assert!(took[6..].iter().all(|took| *took < slow), "it is waited for: {took:?}");
    assert_eq!((log.status().mirrors.len(), log.status().dropped.len()), (2, 1));
    // Of two none is dropped for that.
    rig.ios[1].set_delay(Some(slow));
    for number in 14..22 {
        log.append_batch(&[entry(number)]).unwrap();
    }
    assert_eq!(log.status().mirrors.len(), 2);
    drop(log);
    rig.ios.iter().for_each(|io| io.set_delay(None));
    assert!(!rig.mirrors().contains(&0), "the superblocks say so");
    assert_eq!(contents(&rig.recover(&[0]).unwrap()).len(), 21);
}

/// The committer once wrote the new set of mirrors to the hanging drive too, and hung with it.
#[test]
fn a_mirror_that_hangs_is_dropped_and_nobody_waits_for_its_superblock() {
    let rig = Rig::new(6, 2, 64 << 10);
    let mut log = rig.recover(&[]).unwrap().log;
    log.set_silence_max(Duration::from_secs(1));
    log.append_batch(&[entry(1)]).unwrap();
    let hang = Duration::from_secs(15);
    rig.ios[0].set_delay(Some(hang));
    let begun = Instant::now();
    for number in 2..10 {
        log.append_batch(&[entry(number)]).unwrap();
    }
    assert!(begun.elapsed() < hang, "it was waited for: {:?}", begun.elapsed());
    assert_eq!((log.status().mirrors.len(), log.status().dropped.len()), (2, 1));
    // A drive that is no mirror hangs: it is waited for once, and not at every change.
    rig.ios[5].set_delay(Some(hang));
    let begun = Instant::now();
    (0..8).for_each(|_| log.drives_changed());
    log.append_batch(&[entry(10)]).unwrap();
    assert!(begun.elapsed() < hang / 3, "it was waited for: {:?}", begun.elapsed());
    drop(log);
    rig.ios.iter().for_each(|io| io.set_delay(None));
    assert!(!rig.mirrors_without(Some(0)).contains(&0), "the superblocks say so");
    assert_eq!(contents(&rig.recover(&[0, 5]).unwrap()), (1..=10).map(entry).collect::<Vec<_>>());
}

#[test]
fn too_few_mirrors_refuse_writes_and_keep_what_was_acknowledged() {
    let rig = Rig::new(6, 2, 64 << 10);
    let mut log = rig.recover(&[]).unwrap().log;
    log.append_batch(&[entry(1), entry(2)]).unwrap();
    rig.ios[0].set_fault(SimFault::SyncEio, true);
    rig.ios[1].set_fault(SimFault::SyncEio, true);
    let refused = log.append_batch(&[entry(3)]).unwrap_err();
    assert!(matches!(refused, LogError::TooFewMirrors { live: 1, needed: 2 }), "{refused}");
    let refused = log.append_batch(&[entry(4)]).unwrap_err();
    assert!(matches!(refused, LogError::TooFewMirrors { .. }), "{refused}");
    assert!(!log.is_writable());
    drop(log);
    let found = contents(&rig.recover(&[0, 1]).unwrap());
    assert_eq!(found[..2], [entry(1), entry(2)]);
    assert!(found.len() <= 3, "the refused entry was never written");
}

#[test]
fn full_drives_refuse_a_batch_whole_and_take_it_later() {
    let rig = Rig::new(3, 1, 64 << 10);
    let mut log = rig.recover(&[]).unwrap().log;
    rig.ios.iter().for_each(|io| io.set_capacity(Some(300 << 10)));
    let mut written = 0;
    let refused = loop {
        match log.append_batch(&[entry(written)]) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, LogError::Full), "{refused}");
    assert!(written > 10 && log.is_writable());
    assert_eq!(log.status().mirrors.len(), 2, "a full disk costs no mirror when all are full");
    rig.ios.iter().for_each(|io| io.set_capacity(None));
    log.append_batch(&[entry(written)]).unwrap();
    drop(log);
    let found = contents(&rig.recover(&[]).unwrap());
    assert_eq!(found, (0..=written).map(entry).collect::<Vec<_>>());
}

#[test]
fn one_full_mirror_of_several_is_dropped() {
    let rig = Rig::new(4, 2, 64 << 10);
    let mut log = rig.recover(&[]).unwrap().log;
    rig.ios[1].set_capacity(Some(200 << 10));
    for number in 0..100 {
        log.append_batch(&[entry(number)]).unwrap();
    }
    assert_eq!(log.status().mirrors.len(), 2);
    drop(log);
    rig.ios[1].set_capacity(None);
    assert_eq!(contents(&rig.recover(&[]).unwrap()).len(), 100);
}

#[test]
fn a_payload_over_the_limit_is_refused_and_harms_nothing() {
    let rig = Rig::new(3, 1, 64 << 10);
    let mut log = rig.recover(&[]).unwrap().log;
    let long = vec![0; log.config().payload_bytes_max() + 1];
    assert!(matches!(log.append_batch(&[long]), Err(LogError::TooLarge { .. })));
    let longest = vec![7; log.config().payload_bytes_max()];
    log.append_batch(std::slice::from_ref(&longest)).unwrap();
    drop(log);
    assert_eq!(contents(&rig.recover(&[]).unwrap()), [longest]);
}

#[test]
fn a_batch_costs_one_sync_per_mirror() {
    let rig = Rig::new(4, 2, 1 << 20);
    let mut log = rig.recover(&[]).unwrap().log;
    let before = log.status();
    log.append_batch(&(0..64).map(entry).collect::<Vec<_>>()).unwrap();
    let after = log.status();
    assert_eq!((after.batches - before.batches, after.entries - before.entries), (1, 64));
    assert_eq!(after.syncs - before.syncs, 3);
}
