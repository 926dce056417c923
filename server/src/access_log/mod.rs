//! Server access logs: requests to a bucket, one line each, delivered as objects of another bucket.
//!
//! ```text
//!  edge: head seen ──▶ Entry ──▶ answered, last byte gone ──▶ line ──▶ buffer of the source bucket
//!                                                                            │ time or size
//!                                          object of the target bucket ◀── deliver
//! ```
//!
//! | file | part |
//! |---|---|
//! | `entry` | what is known of a request, from its head to the last byte of its answer |
//! | `aside` | lines of what no request to the bucket asked: sources of copies, what lifecycle removes |
//! | `identity` | who asked, and over what |
//! | `line` | the fields in AWS's order |
//! | `operation` | AWS's names of operations |
//! | `scrub` | a request target without what would let its reader in |
//! | `buffer` | lines that wait, within a bound |
//! | `deliver` | from lines to a sealed object |
//! | `permission` | whether the target lets logs in |
//!
//! Best effort, as on AWS: what waits in memory is lost by a crash, and delivered by a clean stop.
//! Deliveries are no requests: they leave no line, so that a bucket that logs into itself does not
//! fill itself.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>

mod aside;
mod buffer;
mod deliver;
mod entry;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod identity;
mod line;
mod operation;
mod permission;
mod scrub;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::App;
pub(crate) use aside::{copied, expired};
pub use buffer::AccessLog;
pub(crate) use entry::{BatchDeleted, Entry, Posted, RequestFacts};

/// Delivers what has waited long enough, or is large enough, until `stop` turns true.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(app.config.access_log.every_s));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => app.access_log.close_all(),
            () = app.access_log.some_ready() => {}
        }
        deliver::ready(&app).await;
    }
}

/// Delivers everything that waits: for a clean stop, after the last request.
pub async fn flush(app: &Arc<App>) {
    app.access_log.close_all();
    deliver::ready(app).await;
}
