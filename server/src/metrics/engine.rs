//! The engine's counters in Prometheus' text format, read at each scrape.

use std::fmt::Write as _;

use chartrier_storage::drive::{DriveState, DriveStatus};
use chartrier_storage::engine::Engine;
use chartrier_storage::log::{BATCH_ENTRY_BOUNDS, LogStatus};
use chartrier_storage::metrics::EngineMetricsSnapshot;
use chartrier_storage::namespace::integrity::CorruptionKind;

/// The engine's part of `/metrics`.
pub fn render_engine(engine: &Engine) -> String {
    let mut page = Page(String::new());
    let snapshot = engine.metrics();
    data(&mut page, &snapshot);
    log(&mut page, &snapshot.log);
    drives(&mut page, &snapshot.drives);
    mend(&mut page, engine);
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// One line per drive.
    fn per_drive(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        drives: &[DriveStatus],
        value: fn(&DriveStatus) -> u64,
    ) {
        self.head(name, kind, help);
        for drive in drives {
            let _ = writeln!(self.0, "{name}{{drive=\"{}\"}} {}", drive.id, value(drive));
        }
    }
}

fn data(page: &mut Page, snapshot: &EngineMetricsSnapshot) {
    let data = &snapshot.data;
    page.counter("chartrier_syncs_total", "fdatasync calls on data segments and log mirrors.", snapshot.syncs());
    page.counter("chartrier_data_syncs_total", "fdatasync calls on data segments.", data.syncs);
    page.counter("chartrier_data_sync_waiters_total", "Writes that those syncs answered.", data.sync_waiters);
    page.counter(
        "chartrier_disk_bytes_written_total",
        "Bytes written to data segments and log mirrors.",
        snapshot.bytes_written(),
    );
    page.counter("chartrier_data_bytes_written_total", "Bytes written to data segments.", data.bytes_written);
    page.counter("chartrier_data_bytes_stored_total", "Sealed bytes taken from writers.", data.bytes_stored);
    page.counter("chartrier_data_bytes_read_total", "Sealed bytes given to readers.", data.bytes_read);
    page.counter("chartrier_copied_bytes_total", "Sealed bytes that the engine copied in memory.", data.bytes_copied);
    page.counter("chartrier_data_records_total", "Records written to data segments.", data.records);
    page.counter("chartrier_data_batches_total", "Batches of records that appenders wrote.", data.batches);
    page.counter("chartrier_cells_cached_total", "Cells read from the page cache.", data.cells_cached);
    page.counter("chartrier_cells_queued_total", "Cells read by a reader thread.", data.cells_queued);
    page.counter("chartrier_crc_failures_total", "Cells that did not match their checksum.", data.crc_failures);
    page.counter("chartrier_cells_missing_total", "Cells that could not be read.", data.cells_missing);
    page.counter("chartrier_cells_rebuilt_total", "Cells rebuilt from others.", data.cells_rebuilt);
    page.counter(
        "chartrier_cells_spared_total",
        "Cells rebuilt from others at once, because their drive reads slowly beyond its peers.",
        data.cells_spared,
    );
    page.counter("chartrier_reads_hedged_total", "Reads that did not wait for a late drive.", data.reads_hedged);
    page.counter("chartrier_writes_hedged_total", "Writes that did not wait for a late drive.", data.writes_hedged);
    page.counter("chartrier_shards_missed_total", "Shards that a write did without.", data.shards_missed);
    page.counter("chartrier_shards_freed_total", "Shards whose records were freed.", data.shards_freed);
    reclaim(page, snapshot);
    packing(page, snapshot);
    page.gauge("chartrier_shards_to_heal", "Shards that degraded writes left to be healed.", snapshot.shards_to_heal);
    page.gauge("chartrier_lost_drives", "Drives of the installation that are not open.", snapshot.lost_drives);
    page.gauge("chartrier_transfer_buffer_bytes", "Bytes of transfer buffers in use.", snapshot.transfer_bytes);
    page.gauge("chartrier_index_memory_bytes", "Bytes of the index's caches.", snapshot.index_memory_bytes);
    page.gauge("chartrier_journal_leaves", "Leaves in the journal.", snapshot.journal_leaves);
}

fn reclaim(page: &mut Page, snapshot: &EngineMetricsSnapshot) {
    let (data, status) = (&snapshot.data, &snapshot.reclaim);
    page.counter("chartrier_segments_created_total", "Data segments begun.", data.segments_created);
    page.counter("chartrier_segments_removed_total", "Data segments whose files were removed.", data.segments_removed);
    page.counter("chartrier_compacted_bytes_total", "Bytes of records that compaction copied.", data.bytes_compacted);
    page.counter("chartrier_reclaimed_bytes_total", "Bytes that removed segments gave back.", data.bytes_reclaimed);
    page.counter("chartrier_damaged_records_total", "Damaged records that compaction met.", data.records_damaged);
    page.counter("chartrier_orphan_shards_total", "Shards that nobody owned, freed.", data.orphans_freed);
    page.counter("chartrier_orphan_bytes_total", "Bytes of their records.", data.orphan_bytes_freed);
    page.counter("chartrier_dead_runs_freed_total", "Runs of deleted versions, freed.", status.runs_freed);
    page.gauge("chartrier_dead_runs_waiting", "Runs of deleted versions that wait for readers.", status.waiting_runs);
    let seconds = |us: u64| us / 1_000_000;
    page.gauge(
        "chartrier_compaction_last_seconds",
        "Unix time of the last look at the segments.",
        seconds(status.compacted_us),
    );
    page.gauge(
        "chartrier_orphan_walk_last_seconds",
        "Unix time of the last walk for orphans.",
        seconds(status.walked_us),
    );
}

fn packing(page: &mut Page, snapshot: &EngineMetricsSnapshot) {
    let (data, status) = (&snapshot.data, &snapshot.packing);
    let counts = &status.counts;
    page.counter("chartrier_blobs_in_copies_total", "Small blobs written as whole copies.", data.blobs_in_copies);
    page.counter("chartrier_packs_written_total", "Stripes that small blobs were packed into.", status.done.packs);
    page.counter("chartrier_packed_blobs_total", "Small blobs that were packed.", status.done.runs);
    page.counter("chartrier_packed_bytes_total", "Their sealed bytes.", status.done.bytes);
    page.counter("chartrier_packs_given_up_total", "Packs that were begun and given up.", status.given_up);
    page.gauge("chartrier_unpacked_blobs", "Small blobs that wait to be packed.", counts.waiting_runs);
    page.gauge("chartrier_unpacked_bytes", "Their sealed bytes.", counts.waiting_bytes);
    page.gauge("chartrier_packs", "Stripes that small blobs are packed in.", counts.packs);
    page.gauge("chartrier_pack_bytes", "Bytes of those stripes, parity left out.", counts.packed_bytes);
    page.gauge("chartrier_pack_live_bytes", "Bytes in them that something names.", counts.live_bytes);
}

fn log(page: &mut Page, log: &LogStatus) {
    page.counter("chartrier_log_syncs_total", "fdatasync calls on log mirrors.", log.syncs);
    page.counter("chartrier_log_bytes_written_total", "Bytes written to log mirrors.", log.bytes_written);
    page.gauge("chartrier_log_live_bytes", "Bytes of log that a restart would read.", log.live_bytes);
    page.gauge("chartrier_log_mirrors", "Live mirrors of the log.", log.mirrors.len() as u64);
    page.gauge("chartrier_log_mirrors_wanted", "Mirrors that the log aims for.", log.mirrors_wanted as u64);
    page.gauge("chartrier_log_durable_index", "Last entry that is durable on every live mirror.", log.durable_index);
    let name = "chartrier_commit_batch_entries";
    page.head(name, "histogram", "Entries made durable by one batch.");
    let mut cumulative = 0;
    let bounds = BATCH_ENTRY_BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(log.batch_entries) {
        cumulative += count;
        let _ = writeln!(page.0, "{name}_bucket{{le=\"{bound}\"}} {cumulative}");
    }
    let _ = writeln!(page.0, "{name}_sum {}\n{name}_count {}", log.entries, log.batches);
}

fn mend(page: &mut Page, engine: &Engine) {
    let status = engine.mender().status();
    page.gauge("chartrier_repair_queue_stripes", "Stripes that wait for repair or are in hand.", status.queued);
    let name = "chartrier_repair_queue_stripes_by_redundancy";
    page.head(name, "gauge", "Queued stripes by the shards that they could still lose; 4 is four and more.");
    for (redundancy, count) in status.queued_by_redundancy.iter().enumerate() {
        let _ = writeln!(page.0, "{name}{{redundancy=\"{redundancy}\"}} {count}");
    }
    page.gauge("chartrier_repair_waiting_stripes", "Stripes whose repair waits for a drive.", status.waiting);
    page.counter("chartrier_repaired_shards_total", "Shards rebuilt.", status.shards);
    page.counter("chartrier_repaired_bytes_total", "Bytes of cells rebuilt.", status.bytes);
    page.counter("chartrier_repaired_files_total", "Files, or parts of them, written again.", status.files);
    page.counter("chartrier_lost_stripes_total", "Stripes with too few good shards.", status.lost_stripes);
    // An index that cannot be read shows elsewhere.
    let Ok(scrub) = engine.mender().scrub_status() else { return };
    let name = "chartrier_scrub_findings_total";
    page.head(name, "counter", "What scrub found, by kind.");
    for kind in CorruptionKind::ALL {
        let count = scrub.found.get(kind).copied().unwrap_or(0);
        let _ = writeln!(page.0, "{name}{{kind=\"{}\"}} {count}", kind.word());
    }
    let name = "chartrier_scrub_age_seconds";
    page.head(name, "gauge", "Since a drive was last checked whole; no line before the first time.");
    let now_us = engine.env().clock.now_us();
    for (drive, ended_us) in &scrub.drives {
        let _ = writeln!(page.0, "{name}{{drive=\"{drive}\"}} {}", now_us.saturating_sub(*ended_us) / 1_000_000);
    }
    let failing = scrub.failing.len() as u64;
    page.gauge("chartrier_scrub_failing", "Drives, and the index, that scrub fails to check whole.", failing);
    let name = "chartrier_scrub_failed_passes_total";
    page.counter(name, "Passes of scrub that did not check all of their scope.", scrub.failed_passes);
    let name = "chartrier_stripes_by_redundancy";
    page.head(name, "gauge", "Stripes by the shards that they can still lose, by the last walk over all of them.");
    for (redundancy, count) in ["unreadable", "0", "1", "2", "3", "more"].iter().zip(scrub.stripes_by_redundancy) {
        let _ = writeln!(page.0, "{name}{{redundancy=\"{redundancy}\"}} {count}");
    }
}

fn drives(page: &mut Page, drives: &[DriveStatus]) {
    let online = |drive: &DriveStatus| u64::from(drive.state == DriveState::Online);
    page.per_drive("chartrier_drive_online", "gauge", "1 if the drive takes reads and writes.", drives, online);
    page.per_drive("chartrier_drive_free_bytes", "gauge", "Bytes that can still be allocated.", drives, |drive| {
        drive.free_bytes.unwrap_or(0)
    });
    page.per_drive("chartrier_drive_stored_bytes", "gauge", "Bytes of records, dead ones included.", drives, |drive| {
        drive.stored_bytes
    });
    page.per_drive("chartrier_drive_dead_bytes", "gauge", "Bytes of freed records.", drives, |drive| drive.dead_bytes);
    page.per_drive("chartrier_drive_segments", "gauge", "Data segments.", drives, |drive| drive.segments);
    page.per_drive(
        "chartrier_drive_blocked_segments",
        "gauge",
        "Segments kept for a damaged record.",
        drives,
        |drive| drive.blocked_segments,
    );
    page.per_drive("chartrier_drive_write_errors_total", "counter", "Failed writes and syncs.", drives, |drive| {
        drive.write_errors
    });
    page.per_drive("chartrier_drive_read_errors_total", "counter", "Failed reads.", drives, |drive| drive.read_errors);
    page.per_drive("chartrier_drive_crc_failures_total", "counter", "Cells with a wrong checksum.", drives, |drive| {
        drive.crc_failures
    });
}
