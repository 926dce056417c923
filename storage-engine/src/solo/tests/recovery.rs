//! Goal: whatever of index and drives is missing or damaged at the start, within what m allows, every
//! acknowledged command is there, once and in order.

use super::machine::POISON;
use super::{Machine, history, names};
use crate::error::{OpenError, StorageError};

/// Fills a machine so that it has checkpoints, a recycled log and a tail after the last checkpoint.
fn filled(drives: usize, parity: usize) -> (Machine, Vec<String>) {
    let machine = Machine::new(drives, parity);
    let solo = machine.open(&[]).unwrap().solo;
    let mut all = Vec::new();
    for round in 0..12 {
        let batch = names(round * 30..round * 30 + 30);
        for answer in machine.propose_all(&solo, &batch) {
            answer.unwrap();
        }
        all.extend(batch);
        if round == 4 || round == 9 {
            solo.checkpoint().unwrap();
        }
    }
    drop(solo);
    (machine, all)
}

#[test]
fn answers_name_the_entries_in_order_and_survive_restarts() {
    let machine = Machine::new(6, 2);
    let solo = machine.open(&[]).unwrap().solo;
    let answers = machine.propose_all(&solo, &names(0..100));
    let indexes: Vec<u64> = answers.into_iter().map(|answer| answer.unwrap().commit_index).collect();
    assert_eq!(indexes, (1..=100).collect::<Vec<u64>>());
    assert!(solo.status().batches < 100, "commands that wait together share a batch");
    solo.close().unwrap();
    assert!(matches!(machine.propose(&solo, "late"), Err(StorageError::Closed)));
    solo.close().unwrap();
    drop(solo);
    let opened = machine.open(&[]).unwrap();
    assert_eq!((opened.replayed, opened.rebuilt), (0, false), "a clean stop leaves nothing to replay");
    assert_eq!(history(&opened.solo), names(0..100));
    assert_eq!(machine.propose(&opened.solo, "next").unwrap().commit_index, 101);
}

#[test]
fn any_two_drives_and_the_index_may_be_lost() {
    for first in 0..6 {
        for second in first + 1..6 {
            let (machine, all) = filled(6, 2);
            std::fs::remove_dir_all(machine.index()).unwrap();
            let opened = machine.open(&[first, second]).unwrap();
            assert!(opened.rebuilt && history(&opened.solo) == all, "without {first} and {second}");
            machine.propose(&opened.solo, "one more").unwrap();
            assert_eq!(opened.solo.status().mirrors.len().min(2), 2);
        }
    }
}

#[test]
fn the_log_is_recycled_after_a_checkpoint() {
    let (machine, all) = filled(6, 2);
    let kept = machine.rig.log_files(0).len();
    assert!(kept <= 6, "{kept} segments are kept for {} commands", all.len());
    let opened = machine.open(&[]).unwrap();
    assert!(opened.replayed > 0 && !opened.rebuilt);
    assert_eq!(history(&opened.solo), all);
}

#[test]
fn a_damaged_index_is_rebuilt_and_the_old_one_removed() {
    let (machine, all) = filled(5, 1);
    std::fs::write(machine.index().join("SUM"), "nonsense").unwrap();
    let opened = machine.open(&[]).unwrap();
    assert!(opened.rebuilt && history(&opened.solo) == all);
    drop(opened);
    assert!(!machine.index().with_extension("old").exists());
    assert!(!machine.open(&[]).unwrap().rebuilt);
}

#[test]
fn flips_in_checkpoints_of_m_mirrors_are_survived() {
    let (machine, all) = filled(6, 2);
    for place in [0, 1] {
        let files = machine.rig.ios[place].files();
        for (name, len) in files.iter().filter(|(name, len)| name.starts_with("checkpoints/") && *len > 0) {
            machine.rig.ios[place].flip(name, len / 2, 0x40);
        }
    }
    std::fs::remove_dir_all(machine.index()).unwrap();
    assert_eq!(history(&machine.open(&[]).unwrap().solo), all);
}

#[test]
fn checkpoints_damaged_everywhere_are_an_error_that_destroys_nothing() {
    let (machine, all) = filled(4, 1);
    let flip_all = || {
        for place in machine.rig.mirrors() {
            for (name, len) in machine.rig.ios[place].files() {
                if name.starts_with("checkpoints/files/") {
                    machine.rig.ios[place].flip(&name, len / 2, 0x40);
                }
            }
        }
    };
    let aside = machine.data.path().join("elsewhere");
    std::fs::rename(machine.index(), &aside).unwrap();
    flip_all();
    assert!(matches!(machine.open(&[]), Err(OpenError::Recovery(_))));
    flip_all();
    assert_eq!(history(&machine.open(&[]).unwrap().solo), all);
}

#[test]
fn an_older_index_is_rebuilt() {
    let machine = Machine::new(4, 1);
    let solo = machine.open(&[]).unwrap().solo;
    machine.propose(&solo, "first").unwrap();
    solo.close().unwrap();
    drop(solo);
    let copy = machine.data.path().join("copy");
    std::fs::rename(machine.index(), &copy).unwrap();
    let solo = machine.open(&[]).unwrap().solo;
    machine.propose(&solo, "second").unwrap();
    solo.close().unwrap();
    drop(solo);
    std::fs::remove_dir_all(machine.index()).unwrap();
    std::fs::rename(&copy, machine.index()).unwrap();
    let opened = machine.open(&[]).unwrap();
    assert_eq!(history(&opened.solo), ["first", "second"]);
}

#[test]
fn a_command_that_cannot_be_applied_poisons_until_the_index_is_rebuilt() {
    let machine = Machine::new(4, 1);
    let solo = machine.open(&[]).unwrap().solo;
    machine.propose(&solo, "good").unwrap();
    assert!(matches!(machine.propose(&solo, POISON), Err(StorageError::Poisoned { .. })));
    assert!(matches!(machine.propose(&solo, "after"), Err(StorageError::Poisoned { .. })));
    assert!(solo.poisoned().is_some());
    assert!(solo.close().is_err(), "no checkpoint of a state that lags behind the log");
    assert!(machine.index().with_extension("damaged").exists());
}

#[test]
fn drives_of_another_installation_are_refused() {
    let (machine, _) = filled(4, 1);
    let blank = Machine::new(4, 1);
    let config =
        super::SoloConfig { index_dir: machine.index(), log: blank.rig.config.clone(), checkpoint_log_bytes: 1 << 20 };
    let refused = super::Solo::open(blank.rig.drives(&[]), config, super::History::open);
    assert!(matches!(refused, Err(OpenError::Recovery(_))));
}
