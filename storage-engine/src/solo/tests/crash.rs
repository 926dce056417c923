//! Goal: acknowledged commands survive power cuts, kills, lost mirrors, lost drives and a lost index, in
//! any order of events, once each and in order; what was not acknowledged is there whole or not.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{Machine, history};
use crate::env::SplitMix;
use crate::io::SimFault;

#[derive(Default)]
struct Model {
    acknowledged: Vec<String>,
    tried: HashSet<String>,
    next: u32,
}

impl Model {
    fn check(&mut self, found: Vec<String>) {
        let unique: HashSet<&String> = found.iter().collect();
        assert_eq!(unique.len(), found.len(), "a command was applied twice");
        assert!(found.iter().all(|name| self.tried.contains(name)), "a command that nobody proposed");
        let kept: Vec<&String> = found.iter().filter(|name| self.acknowledged.contains(name)).collect();
        assert!(kept.len() == self.acknowledged.len(), "{} acknowledged, {} kept", self.acknowledged.len(), kept.len());
        // What was found is now part of the state that readers see: it must stay.
        self.acknowledged = found;
    }
}

/// One life of the process: open, propose in bunches with checkpoints and faults, end somehow.
fn live(
    machine: &Machine,
    model: &mut Model,
    missing: &[usize],
    random: &mut SplitMix,
    may_fail_a_mirror: bool,
) -> bool {
    let opened = match machine.open(missing) {
        Ok(opened) => opened,
        Err(error) if machine.rig.world.is_on() => panic!("cannot open: {error}"),
        Err(_) => return false,
    };
    let solo = opened.solo;
    model.check(history(&solo));
    let mut failed = false;
    for _ in 0..random.below(12) {
        if may_fail_a_mirror && !failed && random.below(6) == 0 {
            let place = machine.rig.ios.len() as u64;
            let place = random.below(place) as usize;
            if !missing.contains(&place) {
                machine.rig.ios[place].set_fault(SimFault::SyncEio, true);
                failed = true;
            }
        }
        if random.below(5) == 0 {
            // It may fail: the power may be gone.
            let _ = solo.checkpoint();
        }
        let bunch: Vec<String> = (0..1 + random.below(25)).map(|number| format!("{}-{number}", model.next)).collect();
        model.next += 1;
        model.tried.extend(bunch.iter().cloned());
        let answers = machine.propose_all(&solo, &bunch);
        let mut order: Vec<(u64, String)> = Vec::new();
        for (answer, name) in answers.into_iter().zip(bunch) {
            if let Ok(applied) = answer {
                order.push((applied.commit_index, name));
            }
        }
        order.sort();
        model.acknowledged.extend(order.into_iter().map(|(_, name)| name));
    }
    if random.below(3) == 0 {
        let _ = solo.close();
    }
    failed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_commands_survive(seed in any::<u64>(), parity in 1..3usize, lives in 1..6usize) {
        let mut random = SplitMix::new(seed);
        let machine = Machine::new(parity + 4, parity);
        let mut model = Model::default();
        let mut missing: Vec<usize> = Vec::new();
        for _ in 0..lives {
            machine.rig.world.cut_at(machine.rig.world.points() + random.below(1500));
            // One fault at a time: a mirror that fails now, or a drive that is missing.
            live(&machine, &mut model, &missing, &mut random, missing.is_empty());
            machine.rig.power_cut(random.next());
            machine.rig.ios.iter().for_each(|io| io.set_fault(SimFault::SyncEio, false));
            if random.below(3) == 0 {
                let _ = std::fs::remove_dir_all(machine.index());
            }
            missing.clear();
            let lost = random.below(machine.rig.ios.len() as u64) as usize;
            // The last true mirror may not be lost before a successor is on record elsewhere: that is one fault too many.
            if random.coin() && !machine.rig.mirrors_without(Some(lost)).is_empty() {
                missing.push(lost);
            }
        }
        let opened = machine.open(&[]).unwrap();
        model.check(history(&opened.solo));
    }
}
