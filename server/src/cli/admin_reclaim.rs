//! `chartrier admin reclaim` and `chartrier admin uploads`.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::admin::{AdminError, escape, print, size};
use crate::admin::client::AdminClient;
use crate::admin::wire;

/// Gives the space of what was deleted back to the file systems.
#[derive(Debug, Args)]
pub(super) struct ReclaimArgs {
    /// Waits for the end of the pass and tells what it gave back. (A pass that nobody waits for runs by itself.)
    #[arg(long, required = true)]
    wait: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum UploadsCommand {
    /// Lists multipart uploads in progress, with age and bytes.
    List {
        /// Only those begun at least this long ago: 90s, 30m, 12h, 7d.
        #[arg(long, value_name = "AGE", value_parser = seconds, default_value = "0s")]
        older_than: u64,
    },
    /// Drops one upload and its parts.
    Abort {
        /// The bucket's name.
        #[arg(long)]
        bucket: String,
        /// The object's key.
        #[arg(long)]
        key: String,
        /// The upload.
        #[arg(long)]
        upload_id: String,
    },
}

pub(super) async fn reclaim(client: &AdminClient, args: &ReclaimArgs, json: bool) -> Result<(), AdminError> {
    debug_assert!(args.wait, "the command line requires it");
    let answer: wire::Reclaimed = client.post("/reclaim", &serde_json::json!({})).await?;
    print(json, &answer, |text| {
        writeln!(
            text,
            "{} given back: {} segments removed, {} copied, {} runs freed, {} small objects packed, {} orphans of {}",
            size(answer.reclaimed_bytes),
            answer.segments_removed,
            size(answer.copied_bytes),
            answer.runs_freed,
            answer.packed,
            answer.orphans,
            size(answer.orphan_bytes)
        )?;
        if answer.damaged > 0 {
            writeln!(text, "{} damaged records keep their segments until they are rebuilt", answer.damaged)?;
        }
        if answer.drives_failed > 0 {
            writeln!(text, "the pass failed on {} drives: see the server's log", answer.drives_failed)?;
        }
        Ok(())
    })
}

pub(super) async fn uploads(client: &AdminClient, command: UploadsCommand, json: bool) -> Result<(), AdminError> {
    match command {
        UploadsCommand::List { older_than } => {
            let answer: wire::Uploads = client.get(&format!("/uploads?older-than-s={older_than}")).await?;
            print(json, &answer, |text| {
                for upload in &answer.uploads {
                    let (age, bytes) = (age(upload.age_s), size(upload.bytes));
                    let wire::Upload { bucket, key, upload_id, parts, .. } = upload;
                    writeln!(text, "{upload_id}  {age}  {bytes} in {parts} parts  {bucket}/{key}")?;
                }
                if answer.more {
                    writeln!(text, "and more")?;
                }
                Ok(())
            })
        }
        UploadsCommand::Abort { bucket, key, upload_id } => {
            let query = format!("bucket={}&key={}&upload-id={}", escape(&bucket), escape(&key), escape(&upload_id));
            let answer: wire::Aborted = client.delete(&format!("/uploads?{query}")).await?;
            print(json, &answer, |text| writeln!(text, "aborted upload {upload_id} of {bucket}/{key}"))
        }
    }
}

/// Reads `90s`, `30m`, `12h` or `7d`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let unit = |suffix| match suffix {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        _ => None,
    };
    let wrong = || format!("'{text}' is not an age such as 90s, 30m, 12h or 7d");
    let suffix = text.chars().next_back().ok_or_else(wrong)?;
    let factor = unit(suffix).ok_or_else(wrong)?;
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(factor).ok_or_else(wrong)
}

/// An age in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_and_shown() {
        assert_eq!([seconds("90s"), seconds("7d")], [Ok(90), Ok(604_800)]);
        for wrong in ["", "7", "d", "-1d", "7w", "1é", "99999999999999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!([age(5), age(7199), age(604_800)], ["5s", "119m", "7d"]);
    }
}
