//! Lines that wait for their delivery, within a bound: over it lines are lost, counted and logged.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chartrier_storage::ids::BucketId;
use chartrier_storage::namespace::rows::BucketRow;
use tokio::sync::Notify;

use crate::s3::settings::logging::{DateSource, KeyFormat, Logging};

/// Bytes of lines after which they are delivered, however short they have waited.
const OBJECT_BYTES: usize = 1 << 20;
/// Most bytes of lines that wait, of all buckets.
const WAITING_BYTES_MAX: usize = 32 << 20;
const DAY_US: u64 = 86_400 * 1_000_000;

/// The lines of all buckets that are logged.
#[derive(Default)]
pub struct AccessLog {
    waiting: Mutex<Waiting>,
    ready: Notify,
}

#[derive(Default)]
struct Waiting {
    /// By source bucket, and by day where the key of the log object names the day of its events.
    open: HashMap<(BucketId, u64), Batch>,
    /// To be delivered now, oldest first.
    closed: VecDeque<Batch>,
    bytes: usize,
    /// Lines lost since that was last told.
    lost: u64,
}

/// Lines for one log object.
pub(super) struct Batch {
    /// Whose requests.
    pub(super) source: Arc<BucketRow>,
    /// Where to, as it was said when the requests came.
    pub(super) rule: Arc<Logging>,
    /// When the first of them came, Unix time in microseconds.
    pub(super) first_us: u64,
    pub(super) text: String,
    pub(super) lines: u64,
}

impl AccessLog {
    /// Adds a line, which ends with a line feed.
    pub(super) fn add(&self, source: &Arc<BucketRow>, rule: &Arc<Logging>, time_us: u64, line: &str) {
        let mut waiting = self.waiting();
        if waiting.bytes + line.len() > WAITING_BYTES_MAX {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += line.len();
        let day = match rule.key_format {
            KeyFormat::Partitioned(DateSource::EventTime) => time_us / DAY_US,
            _ => 0,
        };
        let place = (source.id, day);
        // Lines that were written under another rule go where that one said.
        let stale = waiting.open.get(&place).is_some_and(|batch| batch.rule != *rule);
        if stale && let Some(batch) = waiting.open.remove(&place) {
            waiting.closed.push_back(batch);
            self.ready.notify_one();
        }
        let batch = waiting.open.entry(place).or_insert_with(|| Batch {
            source: Arc::clone(source),
            rule: Arc::clone(rule),
            first_us: time_us,
            text: String::new(),
            lines: 0,
        });
        batch.text.push_str(line);
        batch.lines += 1;
        if batch.text.len() >= OBJECT_BYTES
            && let Some(batch) = waiting.open.remove(&place)
        {
            waiting.closed.push_back(batch);
            self.ready.notify_one();
        }
    }

    /// Everything that waits is to be delivered.
    pub(super) fn close_all(&self) {
        let mut waiting = self.waiting();
        let mut open: Vec<Batch> = waiting.open.drain().map(|(_, batch)| batch).collect();
        open.sort_by_key(|batch| batch.first_us);
        waiting.closed.extend(open);
    }

    /// Waits until a batch has become large enough.
    pub(super) async fn some_ready(&self) {
        self.ready.notified().await;
    }

    /// The next batch to deliver. Its bytes count until [`AccessLog::done`] or [`AccessLog::again`].
    pub(super) fn next(&self) -> Option<Batch> {
        self.waiting().closed.pop_front()
    }

    /// A batch is delivered, or given up.
    pub(super) fn done(&self, batch: &Batch) {
        let mut waiting = self.waiting();
        waiting.bytes = waiting.bytes.saturating_sub(batch.text.len());
    }

    /// A batch could not be delivered now.
    pub(super) fn again(&self, batch: Batch) {
        self.waiting().closed.push_front(batch);
    }

    /// Lines that were lost since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.waiting().lost)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chartrier_storage::namespace::lock::Versioning;

    use super::*;

    fn source() -> Arc<BucketRow> {
        Arc::new(BucketRow {
            id: BucketId::from_bytes([1; 16]),
            name: "b".into(),
            owner: "o".into(),
            created_us: 0,
            region: "fr".into(),
            versioning: Versioning::Unversioned,
            object_lock: None,
        })
    }

    fn rule(prefix: &str, key_format: KeyFormat) -> Arc<Logging> {
        Arc::new(Logging { target_bucket: "logs".into(), target_prefix: prefix.into(), key_format })
    }

    #[test]
    fn lines_gather_until_they_are_many_or_their_time_has_come() {
        let log = AccessLog::default();
        let (source, rule) = (source(), rule("", KeyFormat::Simple));
        log.add(&source, &rule, 5, "one\n");
        log.add(&source, &rule, 6, "two\n");
        assert!(log.next().is_none());
        log.close_all();
        let batch = log.next().unwrap();
        assert_eq!((batch.text.as_str(), batch.lines, batch.first_us), ("one\ntwo\n", 2, 5));
        log.done(&batch);
        log.add(&source, &rule, 7, &"x".repeat(OBJECT_BYTES));
        assert_eq!(log.next().unwrap().text.len(), OBJECT_BYTES);
    }

    #[test]
    fn another_rule_or_another_day_is_another_object() {
        let log = AccessLog::default();
        let source = source();
        log.add(&source, &rule("a", KeyFormat::Simple), 1, "1\n");
        log.add(&source, &rule("b", KeyFormat::Simple), 2, "2\n");
        let by_day = KeyFormat::Partitioned(DateSource::EventTime);
        log.add(&source, &rule("c", by_day), 3, "3\n");
        log.add(&source, &rule("c", by_day), DAY_US + 1, "4\n");
        log.close_all();
        let texts: Vec<String> = std::iter::from_fn(|| log.next()).map(|batch| batch.text).collect();
        assert_eq!(texts, ["1\n", "2\n", "3\n", "4\n"]);
    }

    #[test]
    fn memory_is_bounded_and_what_is_lost_is_counted() {
        let log = AccessLog::default();
        let (source, rule) = (source(), rule("", KeyFormat::Simple));
        let line = "x".repeat(OBJECT_BYTES);
        for _ in 0..WAITING_BYTES_MAX / OBJECT_BYTES + 3 {
            log.add(&source, &rule, 1, &line);
        }
        assert_eq!(log.take_lost(), 3);
        assert_eq!(log.take_lost(), 0);
        let batch = log.next().unwrap();
        log.again(batch);
        log.add(&source, &rule, 1, "y");
        assert_eq!(log.take_lost(), 1);
        let batch = log.next().unwrap();
        log.done(&batch);
        log.add(&source, &rule, 1, "y");
        assert_eq!(log.take_lost(), 0);
    }
}
