//! One stripe under the mender: shards that do not belong together, and faults of the mender's own reads and writes.

use std::sync::Arc;
use std::time::Duration;

use super::stripe::{ShardSet, StripeError, StripeOutcome, StripeTask, mend_stripe, survey_stripe};
use crate::blob::tests::{Sim, pattern, read_all, write};
use crate::blob::{BlobStore, stripe_shape};
use crate::drive::DriveState;
use crate::ids::DriveId;
use crate::io::SimFault;
use crate::namespace::integrity::ShardFault;
use crate::namespace::rows::{BlobRef, StripeRun};
use crate::segment::stripe::{EncodedStripe, encode_row, parity_bytes};

struct Patient {
    sim: Sim,
    order: Vec<DriveId>,
    store: BlobStore,
    blob: BlobRef,
    bytes: Vec<u8>,
}

impl Patient {
    async fn new(k: u8, m: u8, len: usize) -> Self {
        let sim = Sim::new(k, m);
        let mut order = Vec::new();
        let store = sim.open(&mut order);
        let bytes = pattern(len as u64, len);
        let blob = write(&store, &bytes, None).await.unwrap().blob;
        Self { sim, order, store, blob, bytes }
    }

    fn run(&self) -> &StripeRun {
        self.blob.stripes().unwrap()
    }

    /// The place of the drive that a shard belongs on.
    fn place(&self, index: u32, shard: usize) -> usize {
        let target = self.store.placement(self.run()).unwrap().targets(index)[shard];
        self.order.iter().position(|id| *id == target).unwrap()
    }

    /// Puts shards of another stripe, with checksums that match, in the place of these.
    async fn forge(&self, index: u32, shards: &[usize], seed: u64) {
        let run = self.run();
        let shape = stripe_shape(run, index).unwrap();
        let parity_at = shape.padded_bytes();
        let mut buffer = self.store.budget().writers().take(parity_at + parity_bytes(&shape)).await;
        buffer[..parity_at].copy_from_slice(&pattern(seed, parity_at));
        let (id, mut crcs) = (run.first.nth(index), Vec::new());
        for row in 0..shape.rows() {
            encode_row(id, &shape, row, &mut buffer, parity_at, &mut crcs);
        }
        let place = (run.layout_version, self.store.placement(run).unwrap().group(index));
        let encoded = Arc::new(EncodedStripe::new(id, shape, place, (buffer, parity_at), crcs));
        for shard in shards {
            let drive = self.store.drive(self.order[self.place(index, *shard)]).unwrap();
            drive.replace(encoded.clone(), *shard as u8).await.unwrap().unwrap();
        }
    }

    async fn mend(&self, index: u32, check: ShardSet) -> Result<StripeOutcome, StripeError> {
        let task = StripeTask { run: self.run().clone(), index, check, rewrite: ShardSet::NONE };
        mend_stripe(&self.store, &task).await
    }

    /// Everything reads back, also without any `m` of the drives.
    async fn is_whole(&mut self) {
        let (drives, m) = (self.order.len(), usize::from(self.run().m));
        for lost in (0_u32..1 << drives).filter(|lost| lost.count_ones() as usize == m) {
            let away = |n: usize| lost & (1 << n) != 0;
            for (n, io) in self.sim.ios.iter().enumerate() {
                io.set_fault(SimFault::ReadEio, away(n));
            }
            assert!(read_all(&self.store, &self.blob).await.unwrap() == self.bytes, "without {lost:b}");
        }
        self.sim.ios.iter().for_each(|io| io.set_fault(SimFault::ReadEio, false));
    }
}

/// Whatever shards are of another stripe, m/2 of them and more: the blob's hash tells.
#[tokio::test]
async fn shards_of_another_stripe_are_found_out_and_rebuilt() {
    let cases: [(u8, u8, usize, u32, &[usize]); 7] = [
        (4, 2, 500_000, 0, &[5]),
        (4, 2, 500_000, 0, &[0]),
        (4, 2, 500_000, 0, &[1, 4]),
        (4, 2, 1_900_000, 1, &[2]),
        (4, 2, 1_900_000, 3, &[0, 3]),
        (8, 3, 900_000, 0, &[0, 7, 9]),
        (2, 1, 300_000, 1, &[2]),
    ];
    for (k, m, len, index, wrong) in cases {
        let mut patient = Patient::new(k, m, len).await;
        patient.forge(index, wrong, 77).await;
        let outcome = patient.mend(index, ShardSet::ALL).await.unwrap();
        let mut repaired: Vec<usize> = outcome.repaired.iter().map(|shard| shard.shard_index.into()).collect();
        repaired.sort_unstable();
        assert_eq!(repaired, wrong, "{k}+{m} {index}");
        assert!(outcome.repaired.iter().all(|shard| shard.fault == ShardFault::Mismatched));
        assert!(outcome.mismatched.is_empty() && outcome.waiting.is_empty());
        let again = patient.mend(index, ShardSet::ALL).await.unwrap();
        assert!(again.repaired.is_empty() && again.mismatched.is_empty(), "it is mended once");
        patient.is_whole().await;
    }
}

/// More than m are of another stripe, or the hash cannot be had: nothing is changed, and it is said.
#[tokio::test]
async fn what_cannot_be_told_apart_is_left_alone() {
    let patient = Patient::new(4, 2, 500_000).await;
    patient.forge(0, &[0, 2, 5], 78).await;
    let outcome = patient.mend(0, ShardSet::ALL).await.unwrap();
    assert!(!outcome.mismatched.is_empty() && outcome.repaired.is_empty());
    // Another stripe of the blob is wrong too, so no choice for this one hashes right.
    let patient = Patient::new(4, 2, 1_900_000).await;
    patient.forge(0, &[1], 79).await;
    patient.forge(2, &[1], 80).await;
    let outcome = patient.mend(0, ShardSet::ALL).await.unwrap();
    assert!(!outcome.mismatched.is_empty() && outcome.repaired.is_empty());
}

/// The drive that the rebuilt shard belongs on refuses it: it waits, nothing is lost, and it is written when it can be.
#[tokio::test]
async fn a_repair_that_cannot_be_written_waits() {
    for fault in [Some(SimFault::WriteEio), Some(SimFault::SyncEio), None] {
        let mut patient = Patient::new(4, 2, 500_000).await;
        let place = patient.place(0, 3);
        let drive = patient.store.drive(patient.order[place]).unwrap();
        let key = crate::segment::location::ShardKey { stripe: patient.run().first, shard: 3 };
        drive.free(vec![key]).await.unwrap().unwrap();
        let io = patient.sim.ios[place].clone();
        match fault {
            Some(fault) => io.set_fault(fault, true),
            None => {
                io.set_capacity(Some(0));
                // What is reserved is used up.
                while let Ok(written) = write(&patient.store, &pattern(9, 900_000), None).await {
                    if !written.missing.is_empty() {
                        break;
                    }
                }
            }
        }
        let outcome = patient.mend(0, ShardSet::NONE).await.unwrap();
        assert_eq!(outcome.waiting, [(3, ShardFault::Missing)], "{fault:?}");
        assert!(outcome.repaired.is_empty() && !outcome.present.has(3), "nothing is said to be there");
        let writes = drive.state() == DriveState::Online;
        assert!(read_all(&patient.store, &patient.blob).await.unwrap() == patient.bytes);
        // Asked again and again it makes no more of it.
        let before = drive.status().write_errors;
        for _ in 0..5 {
            assert_eq!(patient.mend(0, ShardSet::NONE).await.unwrap().waiting.len(), 1);
        }
        assert!(drive.status().write_errors <= before + 2, "two errors make it read-only, and then nobody writes");
        fault.iter().for_each(|fault| io.set_fault(*fault, false));
        io.set_capacity(None);
        drop(drive);
        if !writes || fault.is_some() {
            // Read-only until the next start.
            patient.store = patient.sim.open(&mut patient.order);
        }
        let outcome = patient.mend(0, ShardSet::NONE).await.unwrap();
        // A drive that was opened again reads its segments back, and with them what was only forgotten.
        assert!(outcome.present.has(3), "{fault:?} {outcome:?}");
        assert!(outcome.waiting.is_empty());
        patient.is_whole().await;
    }
}

/// Drives fail under the mender's reads: others are read, and where too few are left nothing is judged lost that is away.
#[tokio::test]
async fn reads_of_a_repair_that_fail_are_read_around() {
    let patient = Patient::new(4, 2, 500_000).await;
    let key = crate::segment::location::ShardKey { stripe: patient.run().first, shard: 0 };
    let place = patient.place(0, 0);
    patient.store.drive(patient.order[place]).unwrap().free(vec![key]).await.unwrap().unwrap();
    let one = patient.place(0, 1);
    patient.sim.ios[one].set_fault(SimFault::ReadEio, true);
    let outcome = patient.mend(0, ShardSet::NONE).await.unwrap();
    let repaired: Vec<u8> = outcome.repaired.iter().map(|shard| shard.shard_index).collect();
    assert_eq!(repaired, [0, 1], "what could not be read is written anew where it belongs");
    // Two drives are gone, a third cannot be read: it waits for them, and says so.
    for shard in [3, 4] {
        patient.sim.ios[patient.place(0, shard)].set_fault(SimFault::Removed, true);
    }
    patient.store.tick();
    patient.sim.ios[patient.place(0, 5)].set_fault(SimFault::ReadEio, true);
    let error = patient.mend(0, ShardSet::ALL).await.unwrap_err();
    assert!(matches!(error, StripeError::Away { good: 2 | 3, needed: 4, away: 2 }), "{error}");
}

/// The power goes between the write of a rebuilt shard and its record in the log: the shard is there or not, the
/// stripe reads, and the next look finds what is left to do.
#[tokio::test]
async fn a_cut_before_the_record_leaves_a_whole_stripe() {
    for cut in 0..12 {
        let patient = Patient::new(4, 2, 500_000).await;
        let key = crate::segment::location::ShardKey { stripe: patient.run().first, shard: 2 };
        let place = patient.place(0, 2);
        patient.store.drive(patient.order[place]).unwrap().free(vec![key]).await.unwrap().unwrap();
        patient.sim.world.cut_at(patient.sim.world.points() + cut);
        let mended = tokio::time::timeout(Duration::from_secs(20), patient.mend(0, ShardSet::NONE)).await;
        assert!(mended.is_ok(), "it hangs on a dead drive");
        patient.sim.world.cut_now();
        let Patient { sim, mut order, store, blob, bytes } = patient;
        drop(store);
        sim.world.restart(cut);
        let store = sim.open(&mut order);
        let mut patient = Patient { sim, order, store, blob, bytes };
        assert!(read_all(&patient.store, &patient.blob).await.unwrap() == patient.bytes, "cut {cut}");
        patient.mend(0, ShardSet::ALL).await.unwrap();
        let survey = survey_stripe(&patient.store, patient.run(), 0).unwrap();
        assert!(survey.missing.is_empty() && survey.spare == 2, "cut {cut}");
        patient.is_whole().await;
    }
}
