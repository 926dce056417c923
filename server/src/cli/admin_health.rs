//! `chartrier admin scrub` and `chartrier admin status`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use super::admin::{AdminError, print, size};
use super::admin_drive::{drive_table, moves_line};
use crate::admin::client::AdminClient;
use crate::admin::wire;

#[derive(Debug, Args)]
pub(super) struct ScrubArgs {
    /// Waits for the end of the pass and reports it; the exit code is 1 if something is not mended.
    #[arg(long)]
    wait: bool,
    /// Only what one drive holds and should hold.
    #[arg(long, value_name = "ID", conflicts_with = "bucket")]
    drive: Option<String>,
    /// Only the objects of one bucket.
    #[arg(long)]
    bucket: Option<String>,
    /// Only one key of that bucket.
    #[arg(long, requires = "bucket")]
    key: Option<String>,
}

/// How often a waiting command looks whether the pass has ended.
const SCRUB_POLL: Duration = Duration::from_millis(200);

/// Begins a scrub, and waits for its end if that is asked for.
pub(super) async fn scrub(client: &AdminClient, args: ScrubArgs, json: bool) -> Result<(), AdminError> {
    let body = wire::NewScrub { drive: args.drive, bucket: args.bucket, key: args.key };
    let begun: wire::ScrubBegun = client.post("/scrub", &body).await?;
    if !args.wait {
        return print(json, &begun, |text| writeln!(text, "scrub {} has begun", begun.id));
    }
    loop {
        let state: wire::ScrubState = client.get("/scrub").await?;
        if let Some(report) = state.last.filter(|report| report.id == begun.id) {
            print(json, &report, |text| scrub_page(text, &report))?;
            return if report.unrepaired == 0 { Ok(()) } else { Err(AdminError::Unrepaired(report.unrepaired)) };
        }
        if state.running.is_none_or(|running| running.id != begun.id) {
            return Err(AdminError::ScrubStopped);
        }
        tokio::time::sleep(SCRUB_POLL).await;
    }
}

fn scrub_page(text: &mut String, report: &wire::ScrubReport) -> std::fmt::Result {
    let found: u64 = report.found.values().sum();
    writeln!(
        text,
        "scrub of {}: {found} findings, {} mended ({}), {} not mended",
        report.scope,
        report.repaired,
        size(report.repaired_bytes),
        report.unrepaired
    )?;
    let list = |counts: &std::collections::BTreeMap<String, u64>| {
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join("  ")
    };
    writeln!(text, "checked  {}", list(&report.checked))?;
    if !report.complete {
        writeln!(text, "NOT everything was checked")?;
    }
    if found > 0 {
        writeln!(text, "found  {}", list(&report.found))?;
    }
    report.notes.iter().try_for_each(|note| writeln!(text, "note: {note}"))
}

/// Prints one page of health.
pub(super) async fn status(client: &AdminClient, json: bool) -> Result<(), AdminError> {
    let answer: wire::Status = client.get("/status").await?;
    print(json, &answer, |text| status_page(text, &answer))
}

fn status_page(text: &mut String, status: &wire::Status) -> std::fmt::Result {
    let wire::Status { journal, log, .. } = status;
    writeln!(text, "{}  chartrier {}  cluster {}", status.state, status.version, status.cluster)?;
    if let Some(reason) = &status.reason {
        writeln!(text, "writes are refused until the next start: {reason}")?;
    }
    writeln!(
        text,
        "tenant {}  node {}  region {}  erasure {}  buckets {}  users {}",
        status.tenant, status.node, status.region, status.erasure, status.buckets, status.users
    )?;
    writeln!(text, "journal {}  leaves {}  signed {}", journal.origin, journal.leaves, journal.signed_leaves)?;
    writeln!(
        text,
        "log  mirrors {} of {}  durable entry {}  term {}  epoch {}  to replay {}",
        log.mirrors,
        log.mirrors_wanted,
        log.durable_index,
        log.term,
        log.epoch,
        size(log.live_bytes)
    )?;
    let wire::Status { repair, scrub, .. } = status;
    writeln!(
        text,
        "repair  shards to heal {}  stripes queued {}  waiting {}  repaired {} shards ({}), {} files  lost stripes {}",
        status.shards_to_heal,
        repair.queued_stripes,
        repair.waiting_stripes,
        repair.repaired_shards,
        size(repair.repaired_bytes),
        repair.repaired_files,
        repair.lost_stripes
    )?;
    let oldest = status.drives.iter().map(|drive| scrub.drives.get(&drive.id)).min().flatten();
    writeln!(
        text,
        "scrub  findings {}  every drive checked since {}",
        scrub.found.values().sum::<u64>(),
        oldest.map_or("never", String::as_str)
    )?;
    for failing in &scrub.failing {
        writeln!(
            text,
            "scrub FAILS on {}: {} times since {}, next try {}: {}",
            failing.drive.as_deref().unwrap_or("the index, the log and the checkpoints"),
            failing.times,
            failing.since,
            failing.retry,
            failing.reason
        )?;
    }
    moves_line(text, status.settled, status.moves.as_ref())?;
    let reclaim = &status.reclaim;
    writeln!(
        text,
        "space  live {}  dead {} in {} segments ({} kept for damage)  deleted runs waiting {}  given back {}  last pass {}",
        size(reclaim.live_bytes),
        size(reclaim.dead_bytes),
        reclaim.segments,
        reclaim.blocked_segments,
        reclaim.waiting_runs,
        size(reclaim.reclaimed_bytes),
        reclaim.compacted.as_deref().unwrap_or("none yet")
    )?;
    let packing = &status.packing;
    writeln!(
        text,
        "packs  small objects waiting {} ({})  packed {} ({}) in {} packs of {}",
        packing.waiting,
        size(packing.waiting_bytes),
        packing.members,
        size(packing.live_bytes),
        packing.packs,
        size(packing.packed_bytes)
    )?;
    drive_table(text, &status.drives)
}
