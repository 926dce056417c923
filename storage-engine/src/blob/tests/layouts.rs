//! A place given to another drive: what it held is found where it was until it has moved, what is
//! written goes to the new drive, and a free reaches both.

use super::*;

/// Puts `to` wherever the newest layout has `from`.
fn hand_over(store: &BlobStore, from: DriveId, to: DriveId) -> Layout {
    let mut next = (**store.core.layouts().0.newest()).clone();
    next.version += 1;
    next.groups.iter_mut().flatten().filter(|drive| **drive == from).for_each(|drive| *drive = to);
    next
}

fn shards_on(store: &BlobStore, drive: DriveId, run: &StripeRun) -> usize {
    let drive = store.drive(drive).unwrap();
    let keys = (0..run.count).flat_map(|index| (0..run.k + run.m).map(move |shard| (run.first.nth(index), shard)));
    keys.filter(|(stripe, shard)| drive.locate(*stripe, *shard).unwrap().is_some()).count()
}

#[test]
fn a_blob_is_read_by_its_layout_after_others_and_freed_everywhere() {
    let sim = Sim::with_drives(4, 2, 7);
    runtime().block_on(async {
        let metrics = Arc::new(DataMetrics::default());
        let drives: Vec<Arc<Drive>> = sim.ios.iter().map(|io| sim.open_drive(io, &metrics).unwrap()).collect();
        let ids: Vec<DriveId> = drives.iter().map(|drive| drive.id()).collect();
        let store = store(drives, rotated_layout(1, 4, 2, &ids[..6]), &sim.env, metrics);
        let bytes = pattern(3, 1_500_000);
        let old = write(&store, &bytes, None).await.unwrap();
        store.add_layout(hand_over(&store, ids[0], ids[6]));
        let new = write(&store, &bytes, None).await.unwrap();
        let (BlobRef::Stripes(old_run), BlobRef::Stripes(new_run)) = (&old.blob, &new.blob) else { panic!("inline") };
        assert_eq!((old_run.layout_version, new_run.layout_version), (1, 2));
        assert_eq!((shards_on(&store, ids[0], old_run), shards_on(&store, ids[6], old_run)), (3, 0));
        assert_eq!((shards_on(&store, ids[0], new_run), shards_on(&store, ids[6], new_run)), (0, 3));

        assert!(read_all(&store, &old.blob).await.unwrap() == bytes);
        assert!(read_all(&store, &new.blob).await.unwrap() == bytes);
        assert_nothing_lost(&store);

        // Both homes fail in turn, with one more: any k are enough.
        for lost in [[ids[0], ids[1]], [ids[6], ids[2]]] {
            let survivors = store.drives().into_iter().filter(|drive| !lost.contains(&drive.id()));
            let metrics = Arc::new(DataMetrics::default());
            let layout = rotated_layout(1, 4, 2, &ids[..6]);
            let degraded = super::store(survivors.collect(), layout, &sim.env, metrics);
            degraded.add_layout((**store.core.layouts().0.newest()).clone());
            assert!(read_all(&degraded, &old.blob).await.unwrap() == bytes);
            assert!(read_all(&degraded, &new.blob).await.unwrap() == bytes);
        }

        assert!(store.free(std::slice::from_ref(old_run)).await);
        for drive in store.drives() {
            assert_eq!(shards_on(&store, drive.id(), old_run), 0);
        }
        assert!(read_all(&store, &new.blob).await.unwrap() == bytes);
    });
}
