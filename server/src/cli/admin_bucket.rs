//! `chartrier admin bucket`, and the quotas that buckets and users have.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::admin::{AdminError, escape, print};
use crate::admin::client::AdminClient;
use crate::admin::wire;

#[derive(Debug, Subcommand)]
pub(super) enum BucketCommand {
    /// Shows owner, usage and quota.
    Show {
        /// The bucket.
        name: String,
    },
    /// Replaces the quota; without any limit it is removed.
    Quota {
        /// The bucket.
        name: String,
        #[command(flatten)]
        quota: QuotaArgs,
    },
}

/// A quota, as flags.
#[derive(Debug, Args)]
pub(super) struct QuotaArgs {
    /// Plaintext bytes of all versions.
    #[arg(long, value_name = "N")]
    max_bytes: Option<u64>,
    /// Versions.
    #[arg(long, value_name = "N")]
    max_objects: Option<u64>,
}

impl From<QuotaArgs> for wire::Quota {
    fn from(QuotaArgs { max_bytes, max_objects }: QuotaArgs) -> Self {
        Self { max_bytes, max_objects }
    }
}

pub(super) async fn bucket(client: &AdminClient, command: BucketCommand, json: bool) -> Result<(), AdminError> {
    let answer: wire::Bucket = match command {
        BucketCommand::Show { name } => client.get(&format!("/buckets/{}", escape(&name))).await?,
        BucketCommand::Quota { name, quota } => {
            client.post(&format!("/buckets/{}/quota", escape(&name)), &wire::Quota::from(quota)).await?
        }
    };
    print(json, &answer, |text| {
        writeln!(
            text,
            "{}: {} bytes {}, {} objects {}, {} uploads in progress",
            answer.name,
            answer.bytes,
            limit(answer.max_bytes),
            answer.objects,
            limit(answer.max_objects),
            answer.uploads
        )
    })
}

/// One limit of a quota, for a person.
pub(super) fn limit(limit: Option<u64>) -> String {
    limit.map_or_else(|| "without limit".to_owned(), |limit| format!("of {limit}"))
}
