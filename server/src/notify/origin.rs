//! What a command says of who asked: only where somebody will be told, because it names persons.

use chartrier_storage::ids::BucketId;
use chartrier_storage::namespace::command::Op;
use chartrier_storage::namespace::notification::{Cause, Origin};

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::Caller;
use crate::s3::settings::notification::BucketNotifications;

impl App {
    /// The origin of a caller's command, if its bucket tells its changes to anybody.
    ///
    /// # Errors
    /// What the engine answers.
    pub(crate) fn origin_of(&self, caller: &Caller, op: &Op, cause: Cause) -> Result<Option<Box<Origin>>, S3Error> {
        if !self.tells(op)? {
            return Ok(None);
        }
        let principal = match caller.is_anonymous() {
            true => "ANONYMOUS".to_owned(),
            false => format!("AWS:{}", caller.standing.unique_id),
        };
        let source_ip = caller.peer.map(|peer| peer.to_canonical().to_string()).unwrap_or_default();
        Ok(Some(Box::new(Origin { cause, principal, source_ip })))
    }

    /// The origin of a removal by a lifecycle rule, if its bucket tells its changes to anybody.
    ///
    /// # Errors
    /// What the engine answers.
    pub(crate) fn origin_of_rule(&self, op: &Op) -> Result<Option<Box<Origin>>, S3Error> {
        let of_rule = Origin { cause: Cause::Lifecycle, ..Origin::default() };
        Ok(self.tells(op)?.then(|| Box::new(of_rule)))
    }

    fn tells(&self, op: &Op) -> Result<bool, S3Error> {
        let Some(bucket) = told_of(op) else { return Ok(false) };
        Ok(self.bucket_config::<BucketNotifications>(bucket)?.is_some())
    }
}

/// The bucket that a command changes an object of, or whose notifications it sets.
fn told_of(op: &Op) -> Option<BucketId> {
    match op {
        Op::PutVersion { bucket, .. }
        | Op::Rewrap { bucket, .. }
        | Op::CompleteUpload { bucket, .. }
        | Op::DeleteVersion { bucket, .. }
        | Op::DeleteObject { bucket, .. }
        | Op::ChangeVersion { bucket, .. } => Some(*bucket),
        _ => None,
    }
}
