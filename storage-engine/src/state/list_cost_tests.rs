//! What listings cost: rows read follow what is returned, not what is stored.
//!
//! A store that counts the rows which a scan shows, and a hundred thousand keys under few prefixes.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::ids::BucketId;
use crate::meta::suite::commands::upload_row;
use crate::namespace::encoding::encode;
use crate::namespace::lock::Versioning;
use crate::namespace::query::BucketQuery;
use crate::namespace::rows::{BucketRow, ObjectSummary};
use crate::namespace::storage_class::StorageClass;
use crate::state::kv::{Family, KvBatch, KvError, KvPair, MemoryKv, ScanVisitor};
use crate::state::list_buckets::list_buckets;
use crate::state::rows::OwnedBucketRow;

const BUCKET: BucketId = BucketId::from_bytes([1; 16]);
const PREFIXES: usize = 10;
const KEYS_OF_A_PREFIX: usize = 10_000;
/// Rows that a page may read beyond what it returns: the one that tells whether there is more.
const SPARE_ROWS: usize = 1;

/// Counts the rows that scans show.
#[derive(Default)]
struct Counting {
    inner: MemoryKv,
    rows: AtomicUsize,
}

struct CountingView<'a> {
    inner: &'a dyn KvView,
    rows: &'a AtomicUsize,
}

fn counted<'v>(rows: &'v AtomicUsize, visit: &'v mut ScanVisitor<'_>) -> impl FnMut(&[u8], &[u8]) -> ScanStep + 'v {
    move |key, value| {
        rows.fetch_add(1, Ordering::Relaxed);
        visit(key, value)
    }
}

impl Kv for Counting {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Kv::get(&self.inner, family, key)
    }

    fn last_at_or_before(&self, family: Family, key: &[u8]) -> Result<Option<KvPair>, KvError> {
        self.inner.last_at_or_before(family, key)
    }

    fn write_batch(&self, batch: KvBatch) -> Result<(), KvError> {
        self.inner.write_batch(batch)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError> {
        Kv::scan(&self.inner, family, from, until, &mut counted(&self.rows, visit))
    }

    fn view(&self, read: &mut dyn FnMut(&dyn KvView)) {
        self.inner.view(&mut |view| read(&CountingView { inner: view, rows: &self.rows }));
    }

    fn flush(&self) -> Result<(), KvError> {
        self.inner.flush()
    }

    fn checkpoint_to(&self, dir: &Path) -> Result<(), KvError> {
        self.inner.checkpoint_to(dir)
    }
}

impl KvView for CountingView<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.inner.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError> {
        self.inner.scan(family, from, until, &mut counted(self.rows, visit))
    }
}

impl Counting {
    /// What `read` answers, and how many rows it saw.
    fn cost<T>(&self, read: impl FnOnce(&dyn Kv) -> T) -> (T, usize) {
        let before = self.rows.load(Ordering::Relaxed);
        let answer = read(self);
        (answer, self.rows.load(Ordering::Relaxed) - before)
    }

    fn put_all(&self, family: Family, rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) {
        let mut batch = KvBatch::new();
        rows.for_each(|(key, value)| batch.put(family, key, value));
        self.inner.write_batch(batch).unwrap();
    }
}

fn keys_of_the_bucket() -> impl Iterator<Item = String> {
    (0..PREFIXES).flat_map(|at| (0..KEYS_OF_A_PREFIX).map(move |n| format!("p{at}/key-{n:06}")))
}

fn current_row(version: u8, versions: u32, delete_marker: bool) -> Vec<u8> {
    let summary = ObjectSummary {
        version_id: VersionId::from_bytes([version; 16]),
        size_bytes: 1,
        etag: "e".to_owned(),
        modified_us: 1,
        owner: "owner".to_owned(),
        checksum: None,
        delete_marker,
        storage_class: StorageClass::default(),
    };
    encode(&CurrentRow { commit_index: u64::from(version), key_commitment: [0; 32], versions, summary })
}

fn filled(versions: u32, delete_marker: bool) -> Counting {
    let kv = Counting::default();
    let row = current_row(9, versions, delete_marker);
    kv.put_all(keys::CUR, keys_of_the_bucket().map(|key| (keys::current(BUCKET, &key), row.clone())));
    kv
}

fn query(delimiter: Option<&str>, after: Option<ListFrom>, limit: usize) -> ListQuery {
    ListQuery { bucket: BUCKET, prefix: String::new(), delimiter: delimiter.map(str::to_owned), after, limit }
}

#[test]
fn a_rolled_up_prefix_costs_one_row_however_many_keys_it_has() {
    let kv = filled(1, false);
    let (page, rows) = kv.cost(|kv| list_objects(kv, &query(Some("/"), None, 1000)).unwrap());
    assert_eq!((page.entries.len(), page.next), (PREFIXES, None));
    assert!(rows <= PREFIXES + SPARE_ROWS, "{rows} rows");

    let (page, rows) = kv.cost(|kv| list_objects(kv, &query(Some("/"), None, 3)).unwrap());
    assert_eq!(page.next, Some(ListFrom::PastPrefix("p2/".into())));
    assert!(rows <= 3 + SPARE_ROWS, "{rows} rows");
    let (page, rows) = kv.cost(|kv| list_objects(kv, &query(Some("/"), page.next, 1000)).unwrap());
    assert_eq!(page.entries.len(), PREFIXES - 3);
    assert!(rows <= PREFIXES - 3 + SPARE_ROWS, "{rows} rows");
}

#[test]
fn a_flat_page_costs_its_keys_wherever_it_begins() {
    let kv = filled(1, false);
    for after in [None, Some(ListFrom::AfterKey("p7/key-004999".into()))] {
        let (page, rows) = kv.cost(|kv| list_objects(kv, &query(None, after, 100)).unwrap());
        assert_eq!(page.entries.len(), 100);
        assert!(rows <= 100 + SPARE_ROWS, "{rows} rows");
    }
    let narrow = ListQuery { prefix: "p9/key-0000".into(), ..query(None, None, 1000) };
    let (page, rows) = kv.cost(|kv| list_objects(kv, &narrow).unwrap());
    assert_eq!(page.entries.len(), 100);
    assert!(rows <= 100 + SPARE_ROWS, "{rows} rows");
}

#[test]
fn versions_cost_what_they_return() {
    const OLD_OF_A_KEY: u8 = 8;
    let kv = filled(1 + u32::from(OLD_OF_A_KEY), false);
    let old = keys_of_the_bucket().flat_map(|key| {
        (1..=OLD_OF_A_KEY)
            .map(move |version| (keys::noncurrent(BUCKET, &key, u64::from(version)), current_row(version, 0, false)))
    });
    kv.put_all(keys::OLD, old.take(100_000));
    let rolled =
        VersionQuery { bucket: BUCKET, prefix: String::new(), delimiter: Some("/".into()), after: None, limit: 1000 };
    let (page, rows) = kv.cost(|kv| list_versions(kv, &rolled).unwrap());
    assert_eq!(page.entries.len(), PREFIXES);
    assert!(rows <= PREFIXES + SPARE_ROWS, "{rows} rows");

    // All versions, from within a key, in pages: each row is read once, and one more a page.
    let mut flat = VersionQuery { delimiter: None, limit: 100, ..rolled };
    let seen = Cell::new(0);
    for _ in 0..20 {
        let (page, rows) = kv.cost(|kv| list_versions(kv, &flat).unwrap());
        assert_eq!(page.entries.len(), 100);
        // The key that the page begins in is read again for what it has left.
        assert!(rows <= 100 + SPARE_ROWS + 1, "{rows} rows");
        seen.set(seen.get() + page.entries.len());
        flat.after = page.next;
    }
    assert_eq!(seen.get(), 2000);
}

#[test]
fn uploads_cost_what_they_return() {
    let kv = Counting::default();
    let upload = upload_row(7);
    let (id, value) = (upload.id, encode(&upload));
    kv.put_all(keys::UPL, keys_of_the_bucket().map(|key| (keys::upload(BUCKET, &key, id), value.clone())));
    let rolled =
        UploadQuery { bucket: BUCKET, prefix: String::new(), delimiter: Some("/".into()), after: None, limit: 1000 };
    let (page, rows) = kv.cost(|kv| list_uploads(kv, &rolled).unwrap());
    assert_eq!(page.entries.len(), PREFIXES);
    assert!(rows <= PREFIXES + SPARE_ROWS, "{rows} rows");
    let flat =
        UploadQuery { delimiter: None, after: Some(UploadFrom::AfterKey("p5/key-000500".into())), limit: 50, ..rolled };
    let (page, rows) = kv.cost(|kv| list_uploads(kv, &flat).unwrap());
    assert_eq!(page.entries.len(), 50);
    assert!(rows <= 50 + SPARE_ROWS, "{rows} rows");
}

#[test]
fn a_page_steps_over_so_many_delete_markers_and_no_more() {
    let kv = filled(1, true);
    kv.put_all(keys::CUR, std::iter::once((keys::current(BUCKET, "z"), current_row(9, 1, false))));
    let (mut after, mut found, mut pages) = (None, BTreeSet::new(), 0);
    loop {
        let (page, rows) = kv.cost(|kv| list_objects(kv, &query(None, after, 1000)).unwrap());
        assert!(rows <= MARKERS_PASSED_MAX, "{rows} rows");
        found.extend(page.entries.into_iter().filter_map(|entry| match entry {
            ListEntry::Object { key, .. } => Some(key),
            ListEntry::Prefix(_) => None,
        }));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, BTreeSet::from(["z".to_owned()]));
    assert_eq!(pages, PREFIXES * KEYS_OF_A_PREFIX / MARKERS_PASSED_MAX + 1);
}

#[test]
fn buckets_of_an_owner_cost_what_they_return() {
    const OWNERS: usize = 100;
    const BUCKETS_OF_AN_OWNER: usize = 100;
    let kv = Counting::default();
    let name = |owner: usize, n: usize| format!("bucket-{n:04}-of-{owner:04}");
    let all = || {
        (0..OWNERS).flat_map(|owner| (0..BUCKETS_OF_AN_OWNER).map(move |n| (format!("{owner:064x}"), name(owner, n))))
    };
    let owned = encode(&OwnedBucketRow { created_us: 1, region: "fr".into() });
    kv.put_all(keys::BKT, all().map(|(owner, name)| (keys::owned_bucket(&owner, &name), owned.clone())));
    let row = |(owner, name): (String, String)| {
        let (id, key) = (BucketId::from_bytes([1; 16]), keys::bucket_name(&name));
        let (versioning, object_lock) = (Versioning::Unversioned, None);
        let row = BucketRow { id, name, owner, created_us: 1, region: "fr".into(), versioning, object_lock };
        (key, encode(&row))
    };
    kv.put_all(keys::BKT, all().map(row));

    let mine = BucketQuery { owner: Some(format!("{:064x}", 50)), limit: 10_000, ..BucketQuery::default() };
    let (page, rows) = kv.cost(|kv| list_buckets(kv, &mine).unwrap());
    assert_eq!((page.buckets.len(), page.more), (BUCKETS_OF_AN_OWNER, false));
    assert!(rows <= BUCKETS_OF_AN_OWNER + SPARE_ROWS, "{rows} rows");

    for owner in [mine.owner, None] {
        let after = Some(name(50, 40));
        let paged = BucketQuery { owner: owner.clone(), after, limit: 10, ..BucketQuery::default() };
        let (page, rows) = kv.cost(|kv| list_buckets(kv, &paged).unwrap());
        assert_eq!((page.buckets.len(), page.more), (10, true));
        assert!(rows <= 10 + SPARE_ROWS, "{rows} rows");
        let narrow = BucketQuery { owner, prefix: "bucket-0007-of-0050".into(), limit: 10, ..BucketQuery::default() };
        let (page, rows) = kv.cost(|kv| list_buckets(kv, &narrow).unwrap());
        assert_eq!((page.buckets.len(), page.more), (1, false));
        assert!(rows <= 1 + SPARE_ROWS, "{rows} rows");
    }
}
