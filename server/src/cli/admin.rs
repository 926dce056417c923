//! `chartrier admin …`: the command line of the admin API.
//!
//! Finds the server that runs on `--data` by its `run/admin.json`, or takes `--endpoint` and
//! `--token-file`. Answers go to standard output, JSON with `--json`; errors to standard error.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::admin_bucket::{self, BucketCommand};
use super::admin_drive::{self, DriveCommand};
use super::admin_events::{self, EventsCommand};
use super::admin_health::{self, ScrubArgs};
use super::admin_reclaim::{self, ReclaimArgs, UploadsCommand};
use super::admin_user::{self, UserCommand};
use crate::admin::client::{AdminClient, Clear, ClientError};
use crate::admin::export_journal::{ExportError, export_journal};
use crate::admin::run_file::{AdminToken, RunFile};
use crate::admin::wire;

/// Administers a running server.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The data directory of the running server.
    #[arg(long, default_value = "./chartrier-data", global = true)]
    data: PathBuf,
    /// The admin endpoint, instead of the one of --data.
    #[arg(long, value_name = "URL", requires = "token_file", global = true)]
    endpoint: Option<String>,
    /// A file with the admin token (or a copy of run/admin.json).
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// Lets the token travel over plain HTTP to another machine.
    #[arg(long, global = true)]
    allow_clear: bool,
    /// Answers JSON on one line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Users of the tenant, and their access keys.
    #[command(subcommand)]
    User(UserCommand),
    /// Buckets: what they hold and what they may hold.
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// The journal: checkpoint, proofs, export.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Objects, as their sealed bytes.
    #[command(subcommand)]
    Object(ObjectCommand),
    /// The drives.
    #[command(subcommand)]
    Drive(DriveCommand),
    /// Checks what is stored, and mends what is bad; without a drive or a bucket, everything.
    Scrub(ScrubArgs),
    /// Gives the space of what was deleted back, now.
    Reclaim(ReclaimArgs),
    /// Multipart uploads in progress.
    #[command(subcommand)]
    Uploads(UploadsCommand),
    /// Events that wait for the targets of notifications.
    #[command(subcommand)]
    Events(EventsCommand),
    /// One page of health.
    Status,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Log {
    /// Every change of objects, buckets and users.
    Cycle,
}

impl Log {
    fn name(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
        }
    }
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Prints the latest signed checkpoint.
    Checkpoint {
        /// Which log.
        #[arg(long, value_enum, default_value = "cycle")]
        log: Log,
    },
    /// Prints the proof that an object version is in the log (a .tlog-proof).
    Proof {
        #[command(flatten)]
        object: ObjectArgs,
        /// Writes the proof to a file instead.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Writes the leaf that the proof is about, byte for byte.
        #[arg(long, value_name = "FILE")]
        entry_out: Option<PathBuf>,
    },
    /// Writes the log as a folder that chartrier-verify checks offline.
    Export {
        /// Which log.
        #[arg(long, value_enum, default_value = "cycle")]
        log: Log,
        /// The folder: made if missing, refused if not empty.
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ObjectCommand {
    /// Writes an object's sealed bytes and wrap record, for chartrier-unseal. Needs no key.
    Export {
        #[command(flatten)]
        object: ObjectArgs,
        /// The file to write.
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ObjectArgs {
    /// The bucket's name.
    #[arg(long)]
    bucket: String,
    /// The object's key.
    #[arg(long)]
    key: String,
    /// The version; the current one when absent.
    #[arg(long)]
    version_id: Option<String>,
}

impl ObjectArgs {
    fn query(&self) -> String {
        let mut query = format!("bucket={}&key={}", escape(&self.bucket), escape(&self.key));
        if let Some(version) = &self.version_id {
            query.push_str("&version-id=");
            query.push_str(&escape(version));
        }
        query
    }
}

/// Why an admin command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// No server runs on the data directory: start one.
    #[error("no server runs on {data} (its run/admin.json cannot be read)")]
    NotRunning {
        /// The data directory.
        data: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The token file cannot be read.
    #[error("cannot read the token file {path}")]
    Token {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The journal's export failed.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A scrub left something that is not mended: its report says what and what to do.
    #[error("{0} findings are not mended")]
    Unrepaired(u64),
    /// The server stopped, or began another pass: ask again.
    #[error("the scrub did not come to its end")]
    ScrubStopped,
    /// A file or standard output cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file, or `standard output`.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Carries out one admin command.
///
/// # Errors
/// [`AdminError`]; print it with its sources and exit with a code that is not 0.
pub async fn run(args: AdminArgs) -> Result<(), AdminError> {
    let client = connect(&args)?;
    let json = args.json;
    match args.command {
        AdminCommand::User(command) => admin_user::user(&client, command, json).await,
        AdminCommand::Bucket(command) => admin_bucket::bucket(&client, command, json).await,
        AdminCommand::Journal(command) => journal(&client, command, json).await,
        AdminCommand::Object(ObjectCommand::Export { object, out }) => {
            let bytes = client.download(&format!("/objects/export?{}", object.query()), &out).await?;
            print(json, &Wrote { path: &out, bytes }, |text| writeln!(text, "wrote {} ({bytes} bytes)", out.display()))
        }
        AdminCommand::Scrub(args) => admin_health::scrub(&client, args, json).await,
        AdminCommand::Drive(command) => admin_drive::drive(&client, command, json).await,
        AdminCommand::Reclaim(args) => admin_reclaim::reclaim(&client, &args, json).await,
        AdminCommand::Uploads(command) => admin_reclaim::uploads(&client, command, json).await,
        AdminCommand::Events(command) => admin_events::events(&client, command, json).await,
        AdminCommand::Status => admin_health::status(&client, json).await,
    }
}

fn connect(args: &AdminArgs) -> Result<AdminClient, AdminError> {
    let clear = if args.allow_clear { Clear::Anywhere } else { Clear::Loopback };
    let local =
        || RunFile::read(&args.data).map_err(|source| AdminError::NotRunning { data: args.data.clone(), source });
    let (endpoint, token) = match (&args.endpoint, &args.token_file) {
        (Some(endpoint), Some(file)) => (endpoint.clone(), read_token(file)?),
        (None, Some(file)) => (local()?.endpoint, read_token(file)?),
        (_, None) => {
            let run = local()?;
            (run.endpoint, run.token)
        }
    };
    Ok(AdminClient::new(&endpoint, token, clear)?)
}

fn read_token(path: &Path) -> Result<AdminToken, AdminError> {
    let text = std::fs::read_to_string(path).map_err(|source| AdminError::Token { path: path.to_owned(), source })?;
    Ok(match serde_json::from_str::<RunFile>(&text) {
        Ok(run) => run.token,
        Err(_) => AdminToken::from_text(&text),
    })
}

async fn journal(client: &AdminClient, command: JournalCommand, json: bool) -> Result<(), AdminError> {
    match command {
        JournalCommand::Checkpoint { log } => {
            let note = client.get_bytes(&format!("/journal/{}/checkpoint", log.name())).await?;
            let note = String::from_utf8_lossy(&note);
            print(json, &serde_json::json!({ "log": log.name(), "checkpoint": note }), |text| text.write_str(&note))
        }
        JournalCommand::Proof { object, out, entry_out } => {
            let answer: wire::Proof = client.get(&format!("/journal/cycle/proof?{}", object.query())).await?;
            if let Some(path) = &entry_out {
                write_file(path, answer.entry.as_bytes())?;
            }
            match out {
                Some(path) => {
                    write_file(&path, answer.proof.as_bytes())?;
                    let bytes = answer.proof.len() as u64;
                    print(json, &Wrote { path: &path, bytes }, |text| writeln!(text, "wrote {}", path.display()))
                }
                None => print(json, &answer, |text| text.write_str(&answer.proof)),
            }
        }
        JournalCommand::Export { log, out } => {
            let done = export_journal(client, log.name(), &out).await?;
            print(json, &done, |text| {
                writeln!(text, "exported {} leaves of {} to {}", done.leaves, done.origin, out.display())
            })
        }
    }
}

#[derive(Serialize)]
struct Wrote<'a> {
    path: &'a Path,
    bytes: u64,
}

/// Prints `answer` as one line of JSON, or as the text that `human` writes.
pub(super) fn print<T: Serialize>(
    json: bool,
    answer: &T,
    human: impl FnOnce(&mut String) -> std::fmt::Result,
) -> Result<(), AdminError> {
    let mut text = String::new();
    if json {
        text = serde_json::to_string(answer).expect("our answers are plain JSON");
        text.push('\n');
    } else {
        human(&mut text).expect("writing to a string cannot fail");
    }
    print_text(&text)
}

/// Prints an answer that is JSON in both forms: on one line, or indented for a person.
pub(super) fn print_object<T: Serialize>(json: bool, answer: &T) -> Result<(), AdminError> {
    let to_text = if json { serde_json::to_string } else { serde_json::to_string_pretty };
    let mut text = to_text(answer).expect("our answers are plain JSON");
    text.push('\n');
    print_text(&text)
}

fn print_text(text: &str) -> Result<(), AdminError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|source| AdminError::Write { path: "standard output".into(), source })
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), AdminError> {
    std::fs::write(path, bytes).map_err(|source| AdminError::Write { path: path.to_owned(), source })
}

pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: AdminArgs,
    }

    #[test]
    fn flags_go_before_or_after_the_command() {
        for line in [
            "x --data D --json user add alice --display-name A --email a@b",
            "x user add alice --data D --json",
            "x journal proof --bucket b --key k/é --data D",
            "x journal export --log cycle OUT --data D",
            "x object export --bucket b --key k OUT",
            "x drive list",
            "x scrub --wait --json",
            "x scrub --bucket b --key k",
            "x scrub --drive 00112233445566778899aabbccddeeff",
            "x drive add",
            "x drive add /mnt/d7 --wait --data D",
            "x drive replace d3",
            "x drive replace 0a1b2c3d /mnt/new --json",
            "x drive drain d3 --wait",
            "x drive remove /mnt/d3",
            "x drive wait",
            "x reclaim --wait --data D",
            "x uploads list --older-than 7d --json",
            "x uploads abort --bucket b --key k --upload-id 00",
            "x status --json",
            "x user key remove alice AK",
            "x user key add alice --expires 90d",
            "x user key set alice AK --disable --expires 2030-01-01T00:00:00Z",
            "x user key set alice AK --enable --expires never",
            "x user show alice --json",
            "x user quota alice --max-bytes 5 --max-objects 7",
            "x user quota alice",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        assert!(Cli::try_parse_from(["x", "reclaim"]).is_err());
        assert!(Cli::try_parse_from(["x", "status", "--endpoint", "http://127.0.0.1:1"]).is_err());
        assert!(Cli::try_parse_from(["x", "journal", "export", "--log", "acces", "OUT"]).is_err());
    }

    #[test]
    fn queries_escape_every_reserved_character() {
        let object = ObjectArgs { bucket: "b".into(), key: "a&b=c/é".into(), version_id: Some("null".into()) };
        assert_eq!(object.query(), "bucket=b&key=a%26b%3Dc%2F%C3%A9&version%2Did=null".replace("%2Did", "-id"));
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(17), "17 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 40), "5.0 TiB");
    }
}
