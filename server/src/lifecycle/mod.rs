//! The lifecycle worker: what buckets' rules say is due goes, in the background.
//!
//! | file | part |
//! |---|---|
//! | `pass` | one pass over a bucket: pages of its listings, within a budget |
//! | `remove` | one removal, as a command of the system, judged again at apply |
//! | `announce` | `x-amz-expiration` and the like on answers |
//!
//! The worker keeps no state of its own: what is due is seen in the rows at every pass, so that a
//! restart loses nothing and a pass that breaks off is simply begun again. It reads listings page by
//! page on the blocking pool, rests in between, and removes a few objects at a time: requests come
//! first. What a lock or a hold protects is refused at apply, as for anybody.

mod announce;
mod pass;
mod remove;

use std::sync::Arc;
use std::time::Duration;

use chartrier_storage::ids::BucketId;
use chartrier_storage::namespace::rows::VersionRow;
use tokio::sync::watch;

use crate::app::App;
use crate::config::LifecycleConfig;
use crate::logging::chain;
use crate::s3::error::S3Error;
use crate::s3::settings::lifecycle::{Clockwork, Lifecycle};
use crate::s3::tags::TagSet;
pub use announce::{announce, announce_upload};

impl LifecycleConfig {
    /// How long a day is.
    pub fn clockwork(&self) -> Clockwork {
        Clockwork { day_s: self.day_s }
    }

    /// From the end of one pass to the beginning of the next: days that are shorter want more of them.
    fn rest(&self) -> Duration {
        Duration::from_secs(self.every_s.min(self.day_s).max(1))
    }
}

/// Makes one pass after another until `stop` turns true.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let rest = app.config.lifecycle.rest();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(rest) => {}
        }
        tokio::select! {
            biased;
            // Dropped between two steps: commands that were proposed hold, the rest waits for the next start.
            _ = stop.wait_for(|stop| *stop) => return,
            () = pass(&app) => {}
        }
    }
}

/// One pass over every bucket that has rules.
async fn pass(app: &Arc<App>) {
    let buckets = match app.engine.buckets() {
        Ok(buckets) => buckets,
        Err(error) => {
            tracing::warn!(error = chain(&error), "lifecycle: the buckets cannot be read");
            return;
        }
    };
    for bucket in buckets {
        let outcome = match app.bucket_config::<Lifecycle>(bucket.id) {
            Ok(None) => continue,
            Ok(Some(lifecycle)) => pass::over_bucket(app, &bucket, &lifecycle).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(done) if done.removed > 0 => {
                tracing::info!(bucket = %bucket.id, removed = done.removed, seen = done.seen, "lifecycle: expired");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(bucket = %bucket.id, error = chain(&error), "lifecycle: a pass broke off"),
        }
    }
}

/// The tags of a stored version.
///
/// # Errors
/// An internal error if they do not open: what cannot be read must not expire.
fn tags_of(app: &App, bucket: BucketId, key: &str, row: &VersionRow) -> Result<Vec<(String, String)>, S3Error> {
    if row.sealed_tags.is_empty() {
        return Ok(Vec::new());
    }
    let tags = TagSet::of_row(&app.operator_key, bucket, key, row)?;
    Ok(tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}
