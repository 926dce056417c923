//! Whether a bucket lets the logs of another in: by its policy, or by its ACL where ACLs are on.

use std::collections::HashMap;

use chartrier_storage::namespace::rows::BucketRow;

use crate::access::acl::{Acl, Grantee, Permission};
use crate::access::documents::{Ownership, PolicyDocument};
use crate::access::standing::account_number;
use crate::app::App;
use crate::policy::{Principal, Request, Verdict};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::settings::logging::Logging;

/// The service that delivers, as bucket policies name it.
pub(super) const SERVICE: &str = "logging.s3.amazonaws.com";

impl App {
    /// The target of a rule, if it may have the logs of `source`.
    ///
    /// # Errors
    /// `InvalidTargetBucketForLogging`: it does not exist, is another account's, has a default retention,
    /// or neither its policy lets the service `logging.s3.amazonaws.com` put objects there nor its ACL the
    /// group `LogDelivery`; what the engine answers.
    pub fn log_target(&self, source: &BucketRow, rule: &Logging) -> Result<BucketRow, S3Error> {
        let Some(target) = self.engine.bucket(&rule.target_bucket)? else {
            return Err(refuse(rule, "The target bucket for logging does not exist"));
        };
        if target.owner != source.owner {
            return Err(refuse(rule, "The owner for the bucket to be logged and the target bucket must be the same."));
        }
        if target.object_lock.is_some_and(|lock| lock.default_retention.is_some()) {
            return Err(refuse(rule, "The target bucket must not have a default retention."));
        }
        if self.lets_logs_in(source, &target, rule)? {
            return Ok(target);
        }
        Err(refuse(
            rule,
            "The target bucket must let logging.s3.amazonaws.com put objects under the prefix by its policy, or give \
             the log-delivery group WRITE and READ_ACP permissions.",
        ))
    }

    fn lets_logs_in(&self, source: &BucketRow, target: &BucketRow, rule: &Logging) -> Result<bool, S3Error> {
        // Judged by what every key will begin with: a policy that lets in only some of them lets in none.
        let resource = format!("arn:aws:s3:::{}/{}", target.name, rule.target_prefix);
        let one = |key: &str, value: String| (key.to_owned(), vec![value]);
        let context: HashMap<String, Vec<String>> = HashMap::from([
            one("aws:sourcearn", format!("arn:aws:s3:::{}", source.name)),
            one("aws:sourceaccount", account_number(&source.owner)),
            one("aws:securetransport", "true".to_owned()),
            one("aws:principalisawsservice", "true".to_owned()),
            one("aws:principalservicename", SERVICE.to_owned()),
            one("aws:resourceaccount", account_number(&target.owner)),
            one("s3:resourceaccount", account_number(&target.owner)),
        ]);
        let principal = Principal::service(SERVICE);
        let question =
            Request { principal: &principal, action: "s3:PutObject", resource: &resource, context: &context };
        let policy = self.bucket_config::<PolicyDocument>(target.id)?;
        match policy.map_or(Verdict::Silent, |document| document.policy.evaluate(question)) {
            Verdict::Denies => Ok(false),
            Verdict::Allows => Ok(true),
            Verdict::Silent | Verdict::AllowsAccount => {
                let acls = self.ownership(target)? != Ownership::BucketOwnerEnforced;
                Ok(acls && grants_delivery(&self.bucket_acl(target)?))
            }
        }
    }
}

fn grants_delivery(acl: &Acl) -> bool {
    let grants = |permission| {
        acl.grants.iter().any(|grant| {
            grant.grantee == Grantee::LogDelivery
                && (grant.permission == permission || grant.permission == Permission::FullControl)
        })
    };
    grants(Permission::Write) && grants(Permission::ReadAcp)
}

fn refuse(rule: &Logging, message: &'static str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidTargetBucketForLogging, message).with_detail("TargetBucket", &rule.target_bucket)
}
