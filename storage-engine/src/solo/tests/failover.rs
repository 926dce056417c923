//! Goal: a lost mirror gets a successor while writes go on; too few mirrors and full drives refuse
//! clearly, and service resumes by itself.

use super::{Machine, history, names, wait_until};
use crate::error::StorageError;
use crate::io::SimFault;

#[test]
fn a_lost_mirror_gets_a_successor_that_stands_on_its_own() {
    for fault in [SimFault::Removed, SimFault::SyncEio] {
        let machine = Machine::new(6, 2);
        let solo = machine.open(&[]).unwrap().solo;
        machine.propose_all(&solo, &names(0..200)).into_iter().for_each(|answer| drop(answer.unwrap()));
        machine.rig.ios[0].set_fault(fault, true);
        machine.propose_all(&solo, &names(200..300)).into_iter().for_each(|answer| drop(answer.unwrap()));
        wait_until("a new mirror", || solo.status().mirrors.len() == 3);
        machine.propose_all(&solo, &names(300..400)).into_iter().for_each(|answer| drop(answer.unwrap()));
        drop(solo);
        machine.rig.ios[0].set_fault(fault, false);
        assert_eq!(machine.rig.mirrors(), [1, 2, 3]);
        std::fs::remove_dir_all(machine.index()).ok();
        let opened = machine.open(&[1, 2]).unwrap();
        assert_eq!(history(&opened.solo), names(0..400), "the new mirror alone has it all");
    }
}

#[test]
fn a_drive_folder_removed_while_idle_is_noticed() {
    let machine = Machine::new(5, 1);
    let solo = machine.open(&[]).unwrap().solo;
    machine.propose(&solo, "one").unwrap();
    machine.rig.ios[1].set_fault(SimFault::Removed, true);
    wait_until("the successor", || {
        let status = solo.status();
        status.dropped.len() == 1 && status.mirrors.len() == 2
    });
    // Looked at when nothing runs: to open a drive mends its superblock, which must not meet one that is being written.
    drop(solo);
    assert_eq!(machine.rig.mirrors(), [0, 2]);
}

#[test]
fn two_mirrors_lost_at_once_are_replaced_and_the_batch_in_doubt_is_answered() {
    let machine = Machine::new(6, 2);
    let solo = machine.open(&[]).unwrap().solo;
    machine.propose_all(&solo, &names(0..50)).into_iter().for_each(|answer| drop(answer.unwrap()));
    machine.rig.ios[0].set_fault(SimFault::SyncEio, true);
    machine.rig.ios[2].set_fault(SimFault::WriteEio, true);
    machine.propose(&solo, "in doubt").unwrap();
    wait_until("three mirrors", || solo.status().mirrors.len() == 3);
    machine.propose(&solo, "after").unwrap();
    drop(solo);
    std::fs::remove_dir_all(machine.index()).ok();
    let mut expected = names(0..50);
    expected.extend(["in doubt".to_owned(), "after".to_owned()]);
    assert_eq!(history(&machine.open(&[0, 2]).unwrap().solo), expected);
}

#[test]
fn without_a_successor_writes_are_refused_and_reads_go_on() {
    let machine = Machine::new(4, 2);
    let solo = machine.open(&[]).unwrap().solo;
    machine.propose_all(&solo, &names(0..50)).into_iter().for_each(|answer| drop(answer.unwrap()));
    [0, 1, 3].iter().for_each(|&place| machine.rig.ios[place].set_fault(SimFault::Removed, true));
    assert!(matches!(machine.propose(&solo, "refused"), Err(StorageError::Unavailable { .. })));
    assert!(matches!(machine.propose(&solo, "refused too"), Err(StorageError::Unavailable { .. })));
    assert_eq!(history(&solo), names(0..50));
}

#[test]
fn full_drives_refuse_and_resume_when_space_returns() {
    let machine = Machine { checkpoint_log_bytes: u64::MAX, ..Machine::new(4, 1) };
    let solo = machine.open(&[]).unwrap().solo;
    machine.rig.ios.iter().for_each(|io| io.set_capacity(Some(400 << 10)));
    let mut written = Vec::new();
    let mut refused = 0;
    for name in names(0..400) {
        match machine.propose(&solo, &name) {
            Ok(_) => written.push(name),
            Err(StorageError::Full) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        if refused > 3 {
            break;
        }
    }
    assert!(refused > 0, "400 KiB hold no 400 entries of a block each");
    machine.rig.ios.iter().for_each(|io| io.set_capacity(None));
    machine.propose(&solo, "space is back").unwrap();
    written.push("space is back".into());
    solo.close().unwrap();
    drop(solo);
    assert_eq!(history(&machine.open(&[]).unwrap().solo), written);
}

#[test]
fn a_start_below_the_needed_mirrors_makes_new_ones_first() {
    let machine = Machine::new(6, 2);
    let solo = machine.open(&[]).unwrap().solo;
    machine.propose_all(&solo, &names(0..50)).into_iter().for_each(|answer| drop(answer.unwrap()));
    drop(solo);
    let opened = machine.open(&[0, 1]).unwrap();
    assert!(opened.solo.status().mirrors.len() >= 2, "enough to acknowledge from the first moment");
    machine.propose(&opened.solo, "at once").unwrap();
    wait_until("three mirrors", || opened.solo.status().mirrors.len() == 3);
    drop(opened);
    // The drives that were missing come back with an older log, and are not believed.
    let mut expected = names(0..50);
    expected.push("at once".into());
    assert_eq!(history(&machine.open(&[]).unwrap().solo), expected);
}

#[test]
fn a_full_log_is_given_back_by_a_checkpoint() {
    let machine = Machine { checkpoint_log_bytes: u64::MAX, ..Machine::new(4, 1) };
    let solo = machine.open(&[]).unwrap().solo;
    machine.rig.ios.iter().for_each(|io| io.set_capacity(Some(500 << 10)));
    let all = names(0..400);
    for name in &all {
        wait_until("room in the log", || match machine.propose(&solo, name) {
            Ok(_) => true,
            Err(StorageError::Full) => false,
            Err(other) => panic!("{other}"),
        });
    }
    drop(solo);
    assert_eq!(history(&machine.open(&[]).unwrap().solo), all);
}
