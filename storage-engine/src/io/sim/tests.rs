use std::collections::BTreeSet;

use super::*;

#[test]
fn unsynced_sectors_may_be_lost_and_synced_ones_never() {
    let mut lost = 0;
    for seed in 0..40 {
        let world = SimWorld::new();
        let io = SimIo::new(&world, "d1");
        let file = io.create("f", 4096, Fill::Zero).unwrap();
        file.write_at(0, &[IoSlice::new(&[1; 1024])]).unwrap();
        file.sync_data().unwrap();
        file.write_at(1024, &[IoSlice::new(&[2; 2048])]).unwrap();
        world.cut_now();
        assert!(file.sync_data().is_err());
        world.restart(seed);
        assert!(file.len().is_err(), "a handle of the last boot is dead");
        let bytes = io.read_all("f", 4096).unwrap();
        assert!(bytes[..1024].iter().all(|byte| *byte == 1));
        lost += bytes[1024..3072].chunks(512).filter(|sector| sector[0] == 0).count();
    }
    assert!((20..140).contains(&lost), "{lost} of 160 sectors lost");
}

#[test]
fn a_cut_between_change_and_sync_leaves_the_name_to_chance() {
    let outcomes: BTreeSet<bool> = (0..20)
        .map(|seed| {
            let world = SimWorld::new();
            let io = SimIo::new(&world, "d1");
            world.cut_at(1);
            assert!(io.create("f", 10, Fill::Allocate).is_err());
            world.restart(seed);
            io.open("f").is_ok()
        })
        .collect();
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn a_failed_sync_loses_data_behind_a_later_success() {
    let world = SimWorld::new();
    let io = SimIo::new(&world, "d1");
    let file = io.create("f", 512, Fill::Zero).unwrap();
    io.set_fault(SimFault::SyncEio, true);
    file.write_at(0, &[IoSlice::new(&[7; 512])]).unwrap();
    assert!(file.sync_data().is_err());
    io.set_fault(SimFault::SyncEio, false);
    file.sync_data().unwrap();
    world.cut_now();
    world.restart(1);
    assert_eq!(io.read_all("f", 512).unwrap(), vec![0; 512]);
}

#[test]
fn a_full_drive_says_so_and_goes_on_when_space_returns() {
    let world = SimWorld::new();
    let io = SimIo::new(&world, "d1");
    io.set_capacity(Some(1000));
    assert!(crate::io::is_full(&io.create("f", 2000, Fill::Allocate).err().unwrap()));
    io.create("g", 900, Fill::Allocate).unwrap();
    assert_eq!(io.free_bytes().unwrap(), 100);
    io.remove("g").unwrap();
    io.create("f", 1000, Fill::Allocate).unwrap();
}
