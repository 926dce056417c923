//! The largest upload, and a store that fails in the middle.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::commands::*;
use crate::error::StateError;
use crate::meta::MetaReads;
use crate::namespace::command::{Command, Outcome, WriteCondition};
use crate::namespace::encoding::{COMMAND_BYTES_MAX, decode, encode};
use crate::namespace::rows::PartRow;
use crate::state::kv::{Family, Kv, KvBatch, KvError, KvPair, KvView, MemoryKv, ScanVisitor};
use crate::state::{PART_NUMBER_MAX, STATE_FORMAT, StateMachine};

fn long_part(number: u16) -> PartRow {
    PartRow {
        etag: "0123456789abcdef0123456789abcdef-1".to_owned(),
        sealed_checksums: vec![7; 160],
        ..part(number, u32::from(number))
    }
}

#[test]
fn an_upload_of_ten_thousand_parts_fits_in_a_command_and_a_row() {
    let machine = StateMachine::over(Arc::new(MemoryKv::new())).unwrap();
    let mut log = vec![command(journal()), command(create_bucket(1, "b")), command(create_upload(1, "k", 1))];
    log.extend((1..=PART_NUMBER_MAX).map(|number| command(put_part(1, "k", 1, long_part(number)))));
    let parts: Vec<PartRow> = (1..=PART_NUMBER_MAX).map(long_part).collect();
    let complete = command(complete(1, "k", 1, parts, WriteCondition::None));
    let bytes = encode(&complete);
    assert!(bytes.len() < COMMAND_BYTES_MAX / 2, "{} bytes", bytes.len());
    assert_eq!(decode::<Command>(&bytes).unwrap(), complete);
    log.push(complete);
    log.push(command(delete(1, "k", WriteCondition::None)));

    let entries: Vec<_> = (1..).zip(log).collect();
    let (last, before) = entries.split_last().unwrap();
    let applied = machine.apply_batch(before).unwrap();
    assert!(applied.iter().all(|applied| applied.outcome == Outcome::Done));
    let row = machine.current(bucket_id(1), "k").unwrap().unwrap();
    assert_eq!(row.parts.len(), usize::from(PART_NUMBER_MAX));
    assert_eq!(machine.upload(bucket_id(1), "k", upload_id(1)).unwrap(), None);
    let freed = machine.apply_batch(std::slice::from_ref(last)).unwrap().remove(0).freed;
    assert_eq!(freed.len(), usize::from(PART_NUMBER_MAX));
    assert_eq!(machine.dead_runs(None, 20_000).unwrap().len(), usize::from(PART_NUMBER_MAX));
    let firsts: Vec<_> = freed.iter().map(|run| run.first).collect();
    machine.forget_dead(&firsts).unwrap();
    assert!(machine.dead_runs(None, 1).unwrap().is_empty());
}

/// A store that refuses batches while it is told to.
#[derive(Default)]
struct Failing {
    inner: MemoryKv,
    fails: AtomicBool,
}

impl Kv for Failing {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.inner.get(family, key)
    }

    fn last_at_or_before(&self, family: Family, key: &[u8]) -> Result<Option<KvPair>, KvError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(KvError::Full { path: "index".into() });
        }
        self.inner.last_at_or_before(family, key)
    }

    fn write_batch(&self, batch: KvBatch) -> Result<(), KvError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(KvError::Full { path: "index".into() });
        }
        self.inner.write_batch(batch)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError> {
        self.inner.scan(family, from, until, visit)
    }

    fn view(&self, read: &mut dyn FnMut(&dyn KvView)) {
        self.inner.view(read);
    }

    fn flush(&self) -> Result<(), KvError> {
        self.inner.flush()
    }

    fn checkpoint_to(&self, dir: &Path) -> Result<(), KvError> {
        self.inner.checkpoint_to(dir)
    }
}

#[test]
fn a_batch_that_is_not_written_leaves_nothing_behind() {
    let kv = Arc::new(Failing::default());
    let machine = StateMachine::over(kv.clone()).unwrap();
    machine.apply_batch(&[(1, command(journal())), (2, command(create_bucket(1, "b")))]).unwrap();
    let put = |index: u64| (index, command(put(1, "k", version("e", vec![part(0, 1)]), WriteCondition::IfAbsent)));
    let before = (kv.inner.dump(), machine.journal_head(), machine.journal_size(), machine.applied_index());

    kv.fails.store(true, Ordering::Relaxed);
    assert!(matches!(machine.apply_batch(&[put(3)]), Err(StateError::Kv(KvError::Full { .. }))));
    let after = (kv.inner.dump(), machine.journal_head(), machine.journal_size(), machine.applied_index());
    assert!(before == after);

    // With a caller that waits, the batch is written as soon as there is room.
    machine.wait_for_space(true);
    std::thread::scope(|scope| {
        let applying = scope.spawn(|| machine.apply_batch(&[put(3)]));
        std::thread::sleep(std::time::Duration::from_millis(30));
        kv.fails.store(false, Ordering::Relaxed);
        assert_eq!(applying.join().unwrap().unwrap()[0].outcome, Outcome::Done);
    });
    assert!(matches!(machine.apply_batch(&[put(3)]), Err(StateError::OutOfOrder { index: 3, applied: 3 })));
    assert_eq!(machine.journal_size(), 2);
}

#[test]
fn a_store_of_a_newer_or_an_older_format_is_refused() {
    let of_format = |format: u32| {
        let kv = Arc::new(MemoryKv::new());
        let mut batch = KvBatch::new();
        batch.put(Family(0), *b"format", format.to_be_bytes());
        kv.write_batch(batch).unwrap();
        StateMachine::over(kv).err()
    };
    let (newer, older) = (STATE_FORMAT + 1, STATE_FORMAT - 1);
    let refused = of_format(newer);
    assert!(matches!(refused, Some(StateError::NewerFormat { found, known: STATE_FORMAT }) if found == newer));
    // Not read as if it were of this one: what it lacks would be taken for nothing.
    let refused = of_format(older);
    assert!(matches!(refused, Some(StateError::OlderFormat { found, known: STATE_FORMAT }) if found == older));
    assert!(!refused.unwrap().is_corruption(), "a rebuild would read the same format again");
    assert!(of_format(STATE_FORMAT).is_none());
}

#[test]
fn an_index_that_cannot_be_read_never_says_nobody() {
    let kv = Arc::new(Failing::default());
    let machine = StateMachine::over(kv.clone()).unwrap();
    let row = version("e", vec![part(0, 1)]);
    let log = [journal(), create_bucket(1, "b"), put(1, "k", row, WriteCondition::None)];
    machine.apply_batch(&(1..).zip(log.map(command)).collect::<Vec<_>>()).unwrap();
    let stripe = run_of(1).first;
    assert!(machine.run_owner(stripe).unwrap().is_some() && !machine.is_dead(stripe).unwrap());

    kv.fails.store(true, Ordering::Relaxed);
    assert!(machine.run_owner(stripe).is_err() && machine.run_owner(run_of(2).first).is_err());
    assert!(machine.is_dead(stripe).is_err());
    kv.fails.store(false, Ordering::Relaxed);

    // Nor does a row that is not what was written.
    let mut batch = KvBatch::new();
    batch.put(crate::state::kv::Family(7), stripe.as_bytes().to_vec(), vec![1, 2, 3]);
    kv.inner.write_batch(batch).unwrap();
    assert!(machine.run_owner(stripe).is_err() && machine.owned_runs(None, 10).is_err());
}
