//! Documents of buckets as the server uses them: parsed once, kept until any of them changes.
//!
//! Whoever serves a kind implements [`BucketDocument`] for its parsed form. A request then asks
//! [`App::bucket_config`], which costs a look in a map while nothing changes.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chartrier_storage::ids::BucketId;
use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use chartrier_storage::namespace::command::{Op, Outcome};

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::refusal::refused;
use crate::s3::request::S3Request;

/// Parsed documents kept before the cache starts over.
const DOCUMENTS_MAX: usize = 8192;

/// The parsed form of one kind of document.
pub trait BucketDocument: Send + Sync + Sized + 'static {
    /// Which kind.
    const KIND: BucketConfigKind;

    /// Reads what was stored.
    ///
    /// # Errors
    /// Only for bytes that this program did not store: damage, answered as an internal error.
    fn from_stored(document: &[u8]) -> Result<Self, S3Error>;
}

type Parsed = Option<Arc<dyn Any + Send + Sync>>;

/// Parsed documents, and the absence of documents, as of one count of changes.
#[derive(Default)]
pub struct BucketConfigs {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// [`Engine::bucket_config_changes`](chartrier_storage::engine::Engine::bucket_config_changes) when
    /// the documents were read; with another count they are all stale.
    changes: u64,
    documents: HashMap<(BucketId, BucketConfigKind), Parsed>,
}

impl BucketConfigs {
    fn get(&self, changes: u64, place: (BucketId, BucketConfigKind)) -> Option<Parsed> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        (inner.changes == changes).then(|| inner.documents.get(&place).cloned()).flatten()
    }

    fn keep(&self, changes: u64, place: (BucketId, BucketConfigKind), parsed: Parsed) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.changes > changes {
            return;
        }
        if inner.changes < changes || inner.documents.len() >= DOCUMENTS_MAX {
            inner.documents.clear();
            inner.changes = changes;
        }
        inner.documents.insert(place, parsed);
    }
}

impl App {
    /// A document of a bucket, parsed; `None` if the bucket has none. As current as a read of the row.
    ///
    /// # Errors
    /// What the engine answers; an internal error for a document that does not parse.
    pub fn bucket_config<T: BucketDocument>(&self, bucket: BucketId) -> Result<Option<Arc<T>>, S3Error> {
        let place = (bucket, T::KIND);
        // Taken before the row is read: a change in between makes the copy stale, never too fresh.
        let changes = self.engine.bucket_config_changes();
        if let Some(parsed) = self.bucket_configs.get(changes, place) {
            return Ok(parsed.and_then(|parsed| parsed.downcast().ok()));
        }
        let parsed = match self.engine.bucket_config(bucket, T::KIND)? {
            None => None,
            Some(row) => Some(Arc::new(T::from_stored(&row.document)?)),
        };
        self.bucket_configs.keep(changes, place, parsed.clone().map(|parsed| parsed as Arc<dyn Any + Send + Sync>));
        Ok(parsed)
    }

    /// Sets or removes a document of a bucket on behalf of a caller. Durable when it returns.
    ///
    /// # Errors
    /// `NoSuchBucket` if it went meanwhile; what the engine answers.
    pub async fn set_bucket_config(
        &self,
        request: &S3Request,
        bucket: BucketId,
        kind: BucketConfigKind,
        document: Option<Vec<u8>>,
    ) -> Result<(), S3Error> {
        let op = Op::SetBucketConfig { bucket, kind, document };
        match self.propose(&request.caller, request.request_id, op).await?.outcome {
            Outcome::Done | Outcome::Deleted { .. } => Ok(()),
            Outcome::Refused(refusal) => Err(refused(refusal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_makes_every_copy_stale() {
        let cache = BucketConfigs::default();
        let place = (BucketId::from_bytes([1; 16]), BucketConfigKind::Cors);
        let value = |n: u32| -> Parsed { Some(Arc::new(n)) };
        let read = |changes| cache.get(changes, place).map(|parsed| parsed.and_then(|p| p.downcast::<u32>().ok()));
        assert_eq!(read(0), None);
        cache.keep(0, place, value(1));
        assert_eq!(read(0), Some(Some(Arc::new(1))));
        assert_eq!(read(1), None);
        cache.keep(1, place, None);
        assert_eq!(read(1), Some(None));
        // A reader that began before the change does not put its old copy back.
        cache.keep(0, place, value(1));
        assert_eq!((read(0), read(1)), (None, Some(None)));
    }
}
