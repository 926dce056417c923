//! Goal: an acknowledged entry survives any crash, torn writes and the loss of any m drives; order
//! holds; what was not acknowledged is there whole, as a prefix of what was tried, or not at all.
//!
//! Method: a model keeps what was acknowledged and what was tried; the power is cut at a random
//! durability point; recovery must give back the model. Several crashes in a row.

use proptest::prelude::*;

use super::rig::{Rig, contents, try_contents};
use crate::env::SplitMix;

/// What must be there, and what may be.
#[derive(Default)]
struct Model {
    acknowledged: Vec<Vec<u8>>,
    tried: Vec<Vec<u8>>,
}

impl Model {
    /// Checks a recovered log; what it holds counts as acknowledged from now on.
    fn check(&mut self, found: Vec<Vec<u8>>) {
        assert!(
            found.len() >= self.acknowledged.len(),
            "{} acknowledged, {} found",
            self.acknowledged.len(),
            found.len()
        );
        let (certain, rest) = found.split_at(self.acknowledged.len());
        assert!(certain == self.acknowledged, "an acknowledged entry changed");
        assert!(
            rest.len() <= self.tried.len() && *rest == self.tried[..rest.len()],
            "an entry that nobody tried, or out of order"
        );
        self.acknowledged = found;
        self.tried.clear();
    }
}

fn batch(random: &mut SplitMix) -> Vec<Vec<u8>> {
    let payload = |random: &mut SplitMix| {
        let len = if random.below(8) == 0 { random.below(9000) } else { random.below(300) };
        let fill = random.next() as u8;
        (0..len).map(|at| fill.wrapping_add(at as u8)).collect()
    };
    (0..1 + random.below(5)).map(|_| payload(random)).collect()
}

/// Appends until the power goes or the rounds are over.
fn run(rig: &Rig, model: &mut Model, missing: &[usize], random: &mut SplitMix, rounds: u64) {
    let recovered = match rig.recover(missing) {
        Ok(recovered) => recovered,
        Err(error) if rig.world.is_on() => panic!("recovery failed: {error}"),
        Err(_) => return,
    };
    match try_contents(&recovered) {
        Ok(found) => model.check(found),
        Err(error) if rig.world.is_on() => panic!("replay failed: {error}"),
        Err(_) => return,
    }
    let mut log = recovered.log;
    for _ in 0..rounds {
        let payloads = batch(random);
        model.tried.extend(payloads.iter().cloned());
        match log.append_batch(&payloads) {
            Ok(_) => model.acknowledged.append(&mut model.tried),
            Err(_) => return,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_entries_survive_crashes_in_a_row(seed in any::<u64>(), parity in 0..3usize, crashes in 1..5usize) {
        let mut random = SplitMix::new(seed);
        let rig = Rig::new(parity + 3, parity, 64 << 10);
        let mut model = Model::default();
        let mut missing: Vec<usize> = Vec::new();
        for _ in 0..crashes {
            rig.world.cut_at(rig.world.points() + random.below(220));
            run(&rig, &mut model, &missing, &mut random, 40);
            rig.power_cut(random.next());
            if missing.len() < parity && random.coin() {
                let lost = random.below(rig.ios.len() as u64) as usize;
                if !missing.contains(&lost) {
                    missing.push(lost);
                }
            }
        }
        run(&rig, &mut model, &missing, &mut random, 3);
        run(&rig, &mut model, &missing, &mut random, 0);
    }

    #[test]
    fn a_killed_process_loses_nothing_even_if_power_goes_right_after_the_restart(seed in any::<u64>()) {
        let mut random = SplitMix::new(seed);
        let rig = Rig::new(6, 2, 64 << 10);
        let mut model = Model::default();
        run(&rig, &mut model, &[], &mut random, 10);
        // Killed with a batch written and not synced: the page cache keeps it.
        let recovered = rig.recover(&[]).unwrap();
        model.check(contents(&recovered));
        drop(recovered);
        rig.power_cut(random.next());
        run(&rig, &mut model, &[], &mut random, 1);
    }
}

#[test]
fn entries_come_back_in_order_over_many_segments_and_starts() {
    let rig = Rig::new(4, 1, 64 << 10);
    let mut model = Model::default();
    let mut random = SplitMix::new(7);
    for _ in 0..6 {
        run(&rig, &mut model, &[], &mut random, 30);
    }
    assert!(rig.log_files(0).len() > 5, "the test fills several segments");
}
