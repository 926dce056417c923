//! `chartrier admin drive`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::admin::{AdminError, escape, print, size};
use crate::admin::client::AdminClient;
use crate::admin::wire;

#[derive(Debug, Subcommand)]
pub(super) enum DriveCommand {
    /// Lists drives with role, state, space and errors.
    List,
    /// Adds a drive in an empty or new directory; shards move to it in the background.
    Add {
        /// The directory; the next folder of DATA/drives when absent.
        path: Option<PathBuf>,
        /// Waits until every shard is where it belongs.
        #[arg(long)]
        wait: bool,
    },
    /// Puts a new drive in the place of another; what that held is copied or rebuilt.
    Replace {
        /// The drive to be replaced: its id, the first digits of it, or its directory.
        drive: String,
        /// The new drive's directory, empty or new; the old one's, emptied, when absent.
        path: Option<PathBuf>,
        /// Waits until every shard is where it belongs.
        #[arg(long)]
        wait: bool,
    },
    /// Moves everything off a drive; it stays known, empty.
    Drain {
        /// Its id, the first digits of it, or its directory.
        drive: String,
        /// Waits until it is empty.
        #[arg(long)]
        wait: bool,
    },
    /// Moves everything off a drive and forgets it.
    Remove {
        /// Its id, the first digits of it, or its directory.
        drive: String,
        /// Waits until it is out.
        #[arg(long)]
        wait: bool,
    },
    /// Waits until every shard is where it belongs.
    Wait,
}

/// Carries out one command about drives.
pub(super) async fn drive(client: &AdminClient, command: DriveCommand, json: bool) -> Result<(), AdminError> {
    let (changed, wait): (wire::Drive, bool) = match command {
        DriveCommand::List => {
            let answer: wire::Drives = client.get("/drives").await?;
            return print(json, &answer, |text| drive_page(text, &answer));
        }
        DriveCommand::Wait => {
            let answer = settled(client).await?;
            return print(json, &answer, |text| drive_page(text, &answer));
        }
        DriveCommand::Add { path, wait } => (client.post("/drives", &new_drive(path)).await?, wait),
        DriveCommand::Replace { drive, path, wait } => {
            let path_of = format!("/drives/{}/replace", drive_segment(&drive));
            (client.post(&path_of, &new_drive(path)).await?, wait)
        }
        DriveCommand::Drain { drive, wait } => {
            let path_of = format!("/drives/{}/drain", drive_segment(&drive));
            (client.post(&path_of, &serde_json::json!({})).await?, wait)
        }
        DriveCommand::Remove { drive, wait } => {
            (client.delete(&format!("/drives/{}", drive_segment(&drive))).await?, wait)
        }
    };
    if wait {
        let answer = settled(client).await?;
        return print(json, &answer, |text| drive_page(text, &answer));
    }
    print(json, &changed, |text| drive_table(text, std::slice::from_ref(&changed)))
}

/// How often a waiting command looks.
const SETTLED_POLL: Duration = Duration::from_millis(500);

/// Waits until every shard is where it belongs.
async fn settled(client: &AdminClient) -> Result<wire::Drives, AdminError> {
    loop {
        let answer: wire::Drives = client.get("/drives").await?;
        if answer.settled && answer.shards_to_heal == 0 {
            return Ok(answer);
        }
        tokio::time::sleep(SETTLED_POLL).await;
    }
}

/// The server runs elsewhere: a path is meant from here.
fn new_drive(path: Option<PathBuf>) -> wire::NewDrive {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).display().to_string();
    wire::NewDrive { path: path.map(absolute) }
}

/// A drive as a segment of a path: a directory is meant from here, an id is as it is.
fn drive_segment(which: &str) -> String {
    let is_path = which.contains('/');
    let absolute = std::path::absolute(which).ok().filter(|_| is_path);
    escape(&absolute.map_or_else(|| which.to_owned(), |path| path.display().to_string()))
}

/// A line for each drive.
pub(super) fn drive_table(text: &mut String, drives: &[wire::Drive]) -> std::fmt::Result {
    for drive in drives {
        let free = drive.free_bytes.map_or("?".to_owned(), size);
        let errors = drive.write_errors + drive.read_errors + drive.crc_failures;
        let (stored, dead) = (size(drive.stored_bytes), size(drive.dead_bytes));
        let log = if drive.log_mirror { "  log" } else { "" };
        write!(
            text,
            "{}  {}  {}  {}  free {free}  stored {stored}  dead {dead}  errors {errors}  places {}{log}",
            drive.id, drive.role, drive.state, drive.path, drive.places
        )?;
        if drive.spared {
            write!(text, "  reads slowly, asked last")?;
        }
        match &drive.reason {
            Some(reason) => writeln!(text, "  ({reason})")?,
            None => writeln!(text)?,
        }
        if let Some(care) = &drive.care {
            writeln!(text, "  {care}")?;
        }
    }
    Ok(())
}

fn drive_page(text: &mut String, drives: &wire::Drives) -> std::fmt::Result {
    drive_table(text, &drives.drives)?;
    if drives.shards_to_heal > 0 {
        writeln!(text, "shards to heal {}", drives.shards_to_heal)?;
    }
    moves_line(text, drives.settled, drives.moves.as_ref())
}

/// How far shards are on their way to where they belong.
pub(super) fn moves_line(text: &mut String, settled: bool, moves: Option<&wire::Moves>) -> std::fmt::Result {
    match moves {
        Some(moves) => writeln!(
            text,
            "{}: layout {}  {} of {} shards moved  {} in {:.1} s{}",
            if settled { "every shard is in its place" } else { "shards are on their way" },
            moves.layout,
            moves.moved,
            moves.missing,
            size(moves.bytes),
            moves.took_ms as f64 / 1000.0,
            if moves.failed > 0 { format!("  {} to be tried again", moves.failed) } else { String::new() },
        ),
        None if settled => Ok(()),
        None => writeln!(text, "shards are on their way"),
    }
}
