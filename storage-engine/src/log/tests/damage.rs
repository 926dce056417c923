//! Goal: flipped bytes on up to m mirrors are mended; an acknowledged entry that is damaged on every
//! mirror at hand is refused, never truncated.

use proptest::prelude::*;

use super::rig::{Rig, contents};
use crate::env::SplitMix;
use crate::log::LogError;

fn payload(number: u64) -> Vec<u8> {
    (0..200 + number % 700).map(|at| (number + at) as u8).collect()
}

/// Writes `count` entries, one batch each, and stops.
fn fill(rig: &Rig, count: u64) {
    let mut log = rig.recover(&[]).unwrap().log;
    for number in 0..count {
        log.append_batch(&[payload(number)]).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn flips_on_m_mirrors_are_mended(seed in any::<u64>(), flips in 1..40usize) {
        let rig = Rig::new(6, 2, 64 << 10);
        fill(&rig, 60);
        let mut random = SplitMix::new(seed);
        for place in [0, 2] {
            for _ in 0..flips {
                let files = rig.log_files(place);
                let (name, len) = &files[random.below(files.len() as u64) as usize];
                // Half of the flips hit headers.
                let offset = if random.coin() { random.below(*len) } else { (random.below(*len / 4096) * 4096) + random.below(128) };
                rig.ios[place].flip(name, offset, 1 << random.below(8));
            }
        }
        let recovered = rig.recover(&[]).unwrap();
        let expected: Vec<_> = (0..60).map(payload).collect();
        prop_assert!(contents(&recovered) == expected);
        drop(recovered);
        // Mended, not only tolerated: the damaged mirrors now stand on their own.
        prop_assert!(contents(&rig.recover(&[1, 3]).unwrap()) == expected);
    }
}

#[test]
fn damage_to_an_acknowledged_entry_on_every_mirror_is_refused() {
    let rig = Rig::new(4, 1, 1 << 20);
    fill(&rig, 20);
    // Entry 10 is the tenth block after the header block.
    for place in rig.mirrors() {
        rig.ios[place].flip("log/0000000000000001.log", 4096 * 10 + 130, 1);
    }
    let refused = rig.recover(&[]).unwrap_err();
    assert!(matches!(refused, LogError::Damaged { first_bad: 10, durable: 19, .. }), "{refused}");
    // Nothing was changed by the attempt: the operator may bring back a good copy.
    for place in rig.mirrors() {
        rig.ios[place].flip("log/0000000000000001.log", 4096 * 10 + 130, 1);
    }
    assert_eq!(contents(&rig.recover(&[]).unwrap()).len(), 20);
}

#[test]
fn a_truncated_or_missing_segment_file_is_made_again() {
    let rig = Rig::new(5, 2, 64 << 10);
    fill(&rig, 60);
    let drives = rig.drives(&[]);
    let name = rig.log_files(0)[1].0.clone();
    drives[0].io().remove(&name).unwrap();
    drives[1].io().open(&name).unwrap().set_len(5000).unwrap();
    drop(drives);
    assert_eq!(contents(&rig.recover(&[]).unwrap()).len(), 60);
    assert_eq!(contents(&rig.recover(&[1, 2]).unwrap()).len(), 60, "the first mirror holds it all again");
}

#[test]
fn a_torn_tail_ends_the_log_without_an_error() {
    let rig = Rig::new(3, 0, 1 << 20);
    fill(&rig, 5);
    // The last entry: nothing says that it was acknowledged.
    rig.ios[0].flip("log/0000000000000001.log", 4096 * 5 + 140, 1);
    assert_eq!(contents(&rig.recover(&[]).unwrap()).len(), 4);
}

#[test]
fn an_index_ahead_of_the_log_is_refused() {
    let rig = Rig::new(3, 0, 1 << 20);
    fill(&rig, 5);
    let known = crate::log::KnownState { applied: 7, checkpoint: 0 };
    let refused = crate::log::MirroredLog::recover(rig.drives(&[]), rig.config.clone(), known).unwrap_err();
    assert!(matches!(refused, LogError::Damaged { first_bad: 6, durable: 7, .. }), "{refused}");
    let other = Rig::new(3, 0, 1 << 20);
    let refused = crate::log::MirroredLog::recover(other.drives(&[]), other.config.clone(), known).unwrap_err();
    assert!(matches!(refused, LogError::NoLog { applied: 7 }), "{refused}");
}

#[test]
fn entries_inside_the_stated_length_of_a_torn_one_are_found() {
    // A long entry was torn, with its header whole; later batches took its place. A scan that trusted the
    // header's length would step over them.
    let rig = Rig::new(3, 0, 1 << 20);
    fill(&rig, 3);
    let mut log = rig.recover(&[]).unwrap().log;
    log.append_batch(&[vec![1; 100], vec![9; 20_000]]).unwrap();
    drop(log);
    let torn = 4096 * 4 + 256;
    rig.ios[0].flip("log/0000000000000001.log", torn + 128 + 10_000, 1);
    assert_eq!(contents(&rig.recover(&[]).unwrap()).len(), 4, "the long entry is a torn tail");
    let mut log = rig.recover(&[]).unwrap().log;
    for number in 0..3 {
        log.append_batch(&[payload(number)]).unwrap();
    }
    drop(log);
    assert_eq!(contents(&rig.recover(&[]).unwrap()).len(), 7);
}
