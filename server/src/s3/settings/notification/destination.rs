//! ARNs of targets. The names in them are those of the configuration's targets.
//!
//! | form | as which kind |
//! |---|---|
//! | `arn:aws:sns:REGION:ACCOUNT:NAME` | topic |
//! | `arn:aws:sqs:REGION:ACCOUNT:NAME` | queue |
//! | `arn:aws:lambda:REGION:ACCOUNT:function:NAME` | function |
//! | `arn:minio:sqs:REGION:NAME:webhook` | any |
//!
//! `REGION` is the server's, one of its aliases, or empty; `ACCOUNT` 12 digits or empty.

use chartrier_storage::namespace::notification::Destination;

use crate::s3::error::{S3Error, S3ErrorCode};

/// What ARNs are judged by.
pub struct Destinations<'a> {
    /// The server's region and its aliases.
    pub regions: &'a [&'a str],
    /// Whether a target of that name is configured.
    pub knows: &'a dyn Fn(&str) -> bool,
}

impl Destinations<'_> {
    /// The name of the target that an ARN names.
    ///
    /// # Errors
    /// `InvalidArgument` in AWS's words: not well formed, another region, or nobody that could be told.
    pub(super) fn target(&self, destination: Destination, arn: &str) -> Result<String, S3Error> {
        let (region, name) = split(destination, arn)
            .ok_or_else(|| refuse("The ARN is not well formed", arn, "Not an ARN of this kind of target"))?;
        if !region.is_empty() && !self.regions.contains(&region) {
            let message = "The notification destination service region is not valid for the bucket location constraint";
            return Err(refuse(message, arn, "Another region"));
        }
        if !(self.knows)(name) {
            let kind = match destination {
                Destination::Topic => "The destination topic does not exist",
                Destination::Queue => "The destination queue does not exist",
                Destination::Function => "The destination Lambda does not exist",
            };
            let message = "Unable to validate the following destination configurations";
            return Err(refuse(message, arn, kind));
        }
        Ok(name.to_owned())
    }
}

fn refuse(message: &'static str, arn: &str, why: &str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidArgument, message)
        .with_detail("ArgumentName1", arn)
        .with_detail("ArgumentValue1", why)
}

/// Region and name of a target's ARN; `None` if it is none of this kind.
fn split(destination: Destination, arn: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = arn.split(':').collect();
    let is_account = |text: &str| text.is_empty() || (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()));
    match (destination, parts.as_slice()) {
        (_, ["arn", "minio", "sqs", region, name, "webhook"]) => Some((*region, *name)),
        (Destination::Topic, ["arn", "aws", "sns", region, account, name])
        | (Destination::Queue, ["arn", "aws", "sqs", region, account, name])
        | (Destination::Function, ["arn", "aws", "lambda", region, account, "function", name])
            if is_account(account) =>
        {
            Some((*region, *name))
        }
        _ => None,
    }
    .filter(|(_, name)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_name_configured_targets_of_their_kind_and_region() {
        let destinations = Destinations { regions: &["fr", "us-east-1"], knows: &|name| name == "hook" };
        let judge = |kind, arn: &str| destinations.target(kind, arn).map_err(|error| error.message.into_owned());
        use Destination::{Function, Queue, Topic};
        for (kind, arn) in [
            (Topic, "arn:aws:sns:fr:123456789012:hook"),
            (Queue, "arn:aws:sqs:us-east-1::hook"),
            (Queue, "arn:aws:sqs::123456789012:hook"),
            (Function, "arn:aws:lambda:fr:123456789012:function:hook"),
            (Queue, "arn:minio:sqs::hook:webhook"),
            (Topic, "arn:minio:sqs:fr:hook:webhook"),
        ] {
            assert_eq!(judge(kind, arn).as_deref(), Ok("hook"), "{arn}");
        }
        for (kind, arn) in [
            (Topic, "arn:aws:sqs:fr:123456789012:hook"),
            (Queue, "arn:aws:sqs:fr:12345:hook"),
            (Queue, "arn:aws:sqs:fr:123456789012:"),
            (Queue, "hook"),
            (Queue, ""),
            (Function, "arn:aws:lambda:fr:123456789012:hook"),
        ] {
            assert_eq!(judge(kind, arn), Err("The ARN is not well formed".to_owned()), "{arn}");
        }
        assert!(judge(Queue, "arn:aws:sqs:eu-west-3::hook").is_err_and(|message| message.contains("region")));
        assert!(judge(Queue, "arn:aws:sqs:fr::other").is_err_and(|message| message.starts_with("Unable to validate")));
    }
}
