//! Listings of buckets: of one owner, from its own rows, or of all. They cost what they return, but for
//! the rows that a filter by region passes.

use serde::de::DeserializeOwned;

use super::keys;
use super::kv::{Kv, ScanStep, ScanVisitor, prefix_end, try_scan};
use super::overlay::decode_row;
use super::rows::OwnedBucketRow;
use crate::error::StateError;
use crate::namespace::encoding::Stored;
use crate::namespace::query::{BucketEntry, BucketPage, BucketQuery};
use crate::namespace::rows::BucketRow;

/// A page of buckets.
pub(super) fn list_buckets(kv: &dyn Kv, query: &BucketQuery) -> Result<BucketPage, StateError> {
    match &query.owner {
        Some(owner) => page::<OwnedBucketRow>(kv, &keys::owned_buckets(owner), query),
        None => page::<BucketRow>(kv, keys::BUCKET_NAMES, query),
    }
}

/// Rows whose keys are `names` and a bucket's name.
fn page<T: Listed>(kv: &dyn Kv, names: &[u8], query: &BucketQuery) -> Result<BucketPage, StateError> {
    let whole = [names, query.prefix.as_bytes()].concat();
    let after = query.after.as_ref().map(|after| [names, after.as_bytes(), &[0]].concat());
    let from = after.map_or_else(|| whole.clone(), |after| after.max(whole.clone()));
    let mut page = BucketPage::default();
    let until = prefix_end(&whole);
    let scan = |visit: &mut ScanVisitor<'_>| kv.scan(keys::BKT, &from, until.as_deref(), visit);
    try_scan(scan, |key, value| {
        let entry = entry::<T>(&key[names.len()..], value)?;
        if query.region.as_ref().is_some_and(|region| *region != entry.region) {
            return Ok(ScanStep::Next);
        }
        if page.buckets.len() == query.limit {
            page.more = true;
            return Ok(ScanStep::Stop);
        }
        page.buckets.push(entry);
        Ok::<_, StateError>(ScanStep::Next)
    })?;
    Ok(page)
}

fn entry<T: Listed>(name: &[u8], value: &[u8]) -> Result<BucketEntry, StateError> {
    let name =
        std::str::from_utf8(name).map_err(|_| StateError::Inconsistent { what: "a bucket's name is no text" })?;
    let (created_us, region) = decode_row::<T>(keys::BKT, value)?.facts();
    Ok(BucketEntry { name: name.to_owned(), created_us, region })
}

/// A row that says what a listing shows of its bucket.
trait Listed: Stored + DeserializeOwned {
    /// Time of creation, and region.
    fn facts(self) -> (u64, String);
}

impl Listed for BucketRow {
    fn facts(self) -> (u64, String) {
        (self.created_us, self.region)
    }
}

impl Listed for OwnedBucketRow {
    fn facts(self) -> (u64, String) {
        (self.created_us, self.region)
    }
}
