//! Drives of unequal size: a small one gets less the fuller it is, and lasts longer than if all took turns.

use super::*;

const LEN: usize = 200_000;

/// Eight drives, the third a quarter as large as the others.
fn unequal() -> Sim {
    let sim = Sim::with_drives(4, 2, 8);
    sim.ios.iter().for_each(|io| io.set_capacity(Some(96 << 20)));
    sim.ios[2].set_capacity(Some(24 << 20));
    sim
}

/// Blobs that are written whole until a drive refuses its shard, and the bytes then on the small drive and on the others
/// on average.
async fn until_refused(store: &BlobStore, small: DriveId, measured: bool) -> (usize, u64, u64) {
    for n in 0..5_000 {
        if measured && n % 8 == 0 {
            store.tick();
        }
        match write(store, &pattern(n as u64, LEN), Some(LEN as u64)).await {
            Ok(written) if written.missing.is_empty() => {}
            Ok(_) | Err(StorageError::Full) => {
                let stored = |id: &DriveId| store.drive(*id).unwrap().status().stored_bytes;
                let ids: Vec<DriveId> = store.drives().iter().map(|drive| drive.id()).collect();
                let others: u64 = ids.iter().filter(|id| **id != small).map(stored).sum();
                return (n, stored(&small), others / 7);
            }
            Err(error) => panic!("{n}: {error}"),
        }
    }
    panic!("drives have an end");
}

#[tokio::test]
async fn a_drive_that_runs_full_gets_fewer_new_stripes_before_it_refuses() {
    let mut counts = Vec::new();
    for measured in [false, true] {
        let sim = unequal();
        let mut order = Vec::new();
        let store = sim.open(&mut order);
        counts.push(until_refused(&store, order[2], measured).await);
    }
    let [(turns, ..), (leaning, small, others)] = counts[..] else { unreachable!() };
    assert!(leaning * 2 > turns * 3, "{turns} blobs by turns, {leaning} leaning");
    assert!(small < others, "{small} bytes on the small drive, {others} on each other");
}

#[tokio::test]
async fn what_a_drive_gave_back_is_filled_again() {
    let sim = unequal();
    let mut order = Vec::new();
    let store = sim.open(&mut order);
    let share = async |from: u64| {
        let mut on_small = 0;
        for n in from..from + 160 {
            if n % 8 == 0 {
                store.tick();
            }
            let written = write(&store, &pattern(n, LEN), Some(LEN as u64)).await.unwrap();
            let run = written.blob.stripes().unwrap().clone();
            on_small += u32::from(store.placement(&run).unwrap().targets(0).contains(&order[2]));
        }
        on_small
    };
    let first = share(0).await;
    sim.ios[2].set_capacity(Some(16 << 20));
    let full = share(1_000).await;
    sim.ios[2].set_capacity(Some(1 << 30));
    let roomy = share(2_000).await;
    assert!(full * 4 < first * 3, "{first}, then {full}, then {roomy} of 160");
    assert!(roomy >= 115, "{roomy}: by turns it is in 120");
}
