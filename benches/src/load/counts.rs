//! What a cell cost the server in syncs, writes and copies: from its `/metrics` before and after.
//!
//! Only a Chartrier has these counters; for other servers the table stays empty.

use std::collections::HashMap;
use std::fmt;
use std::io;

use chartrier_conformance::http::Endpoint;
use serde::Serialize;

/// The table's heading.
pub(crate) const HEADER: &str = "\
| server | operation | size | clients | fdatasync /op/drive | of these log | commands /batch | written /byte | \
engine copies /byte | cells from cache |
|---|---|---|---|---|---|---|---|---|---|";

/// A page of metrics is at most this long.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// Where the counters are read: the admin port.
pub(crate) struct Source(pub(crate) Endpoint);

impl Source {
    pub(crate) async fn read(&self) -> io::Result<Counters> {
        let mut connection = self.0.connect().await?;
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.0.authority);
        connection.send(request.as_bytes()).await?;
        let answer = connection.answer("GET", PAGE_BYTES_MAX).await?;
        if answer.head.status != 200 {
            return Err(io::Error::other(format!("/metrics answers {}", answer.head.status)));
        }
        Ok(Counters(parse(&String::from_utf8_lossy(&answer.body))))
    }
}

/// The counters at one moment; those with labels are summed over them.
pub(crate) struct Counters(HashMap<String, f64>);

/// A cell's counts. Per byte means per byte of request or response bodies.
///
/// Bytes written are those of data segments and log mirrors, as the engine counts them: index and
/// checkpoints are not among them. `/proc/PID/io` is no help there: it counts a whole large folio for
/// each block of it that is made dirty.
#[derive(Serialize)]
pub(crate) struct CellCounts {
    syncs_per_operation_and_drive: f64,
    log_syncs_per_operation_and_drive: f64,
    commands_per_batch: Option<f64>,
    written_per_byte: Option<f64>,
    copies_per_byte: Option<f64>,
    cells_cached_share: Option<f64>,
}

impl Counters {
    /// What `operations` with bodies of `bytes` in all cost between the two readings.
    pub(crate) fn since(&self, before: &Self, operations: u64, bytes: u64) -> CellCounts {
        let grown = |name: &str| self.value(name) - before.value(name);
        let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let per_byte = |count: f64| ratio(count, bytes as f64);
        let drives = self.value("chartrier_drive_online").max(1.0);
        let per_operation_and_drive = |count: f64| ratio(count, operations as f64 * drives).unwrap_or(0.0);
        let cached = grown("chartrier_cells_cached_total");
        CellCounts {
            syncs_per_operation_and_drive: per_operation_and_drive(grown("chartrier_syncs_total")),
            log_syncs_per_operation_and_drive: per_operation_and_drive(grown("chartrier_log_syncs_total")),
            commands_per_batch: ratio(
                grown("chartrier_commit_batch_entries_sum"),
                grown("chartrier_commit_batch_entries_count"),
            ),
            written_per_byte: per_byte(grown("chartrier_disk_bytes_written_total")),
            copies_per_byte: per_byte(grown("chartrier_copied_bytes_total")),
            cells_cached_share: ratio(cached, cached + grown("chartrier_cells_queued_total")),
        }
    }

    fn value(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }
}

impl fmt::Display for CellCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        write!(
            f,
            "{:.3} | {:.3} | {} | {} | {} | {} |",
            self.syncs_per_operation_and_drive,
            self.log_syncs_per_operation_and_drive,
            shown(self.commands_per_batch),
            shown(self.written_per_byte),
            shown(self.copies_per_byte),
            shown(self.cells_cached_share),
        )
    }
}

/// Prometheus' text format: `name{labels} value`.
fn parse(page: &str) -> HashMap<String, f64> {
    let mut values = HashMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        if let Some((series, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse::<f64>()
        {
            let name = series.split('{').next().unwrap_or(series);
            *values.entry(name.to_owned()).or_insert(0.0) += value;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_difference_of_two_pages() {
        let page = |syncs: u32, written: u32| {
            let text = format!(
                "# HELP chartrier_syncs_total Calls.\nchartrier_syncs_total {syncs}\n\
                 chartrier_disk_bytes_written_total {written}\n\
                 chartrier_drive_online{{drive=\"a\"}} 1\nchartrier_drive_online{{drive=\"b\"}} 1\n"
            );
            Counters(parse(&text))
        };
        let counts = page(30, 3500).since(&page(10, 500), 100, 2000);
        assert_eq!(counts.syncs_per_operation_and_drive, 0.1);
        assert_eq!(counts.written_per_byte, Some(1.5));
        assert_eq!(counts.commands_per_batch, None);
    }
}
