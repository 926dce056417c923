//! Samples, and the row that a cell comes to.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::counts::{CellCounts, Counters};
use crate::options::{Operation, Plan};
use crate::server::ServerUsage;

/// The table's heading.
pub(crate) const HEADER: &str = "\
| server | operation | size | clients | ops/s | MB/s | p50 ms | p99 ms | server CPU | peak RSS |
|---|---|---|---|---|---|---|---|---|---|";

/// One operation.
pub(crate) struct Sample {
    pub(crate) took: Duration,
    pub(crate) bytes: u64,
}

/// One cell, measured.
#[derive(Serialize)]
pub(crate) struct Row {
    server: String,
    operation: Operation,
    size_bytes: u64,
    clients: usize,
    operations: u64,
    ops_per_s: f64,
    mb_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// CPU seconds of the server per second of the cell.
    server_cpu: Option<f64>,
    peak_rss_mib: Option<u64>,
    bytes: u64,
    counts: Option<CellCounts>,
}

impl Row {
    pub(crate) fn new(
        plan: &Plan,
        operation: Operation,
        size_bytes: u64,
        clients: usize,
        mut samples: Vec<Sample>,
        elapsed: Duration,
        usage: ServerUsage,
    ) -> Self {
        samples.sort_by_key(|sample| sample.took);
        let seconds = elapsed.as_secs_f64();
        let bytes: u64 = samples.iter().map(|sample| sample.bytes).sum();
        Self {
            server: plan.label.clone(),
            operation,
            size_bytes,
            clients,
            operations: samples.len() as u64,
            ops_per_s: samples.len() as f64 / seconds,
            mb_per_s: bytes as f64 / 1e6 / seconds,
            p50_ms: quantile_ms(&samples, 0.50),
            p99_ms: quantile_ms(&samples, 0.99),
            server_cpu: usage.cpu.map(|cpu| cpu.as_secs_f64() / seconds),
            peak_rss_mib: usage.peak_rss_mib,
            bytes,
            counts: None,
        }
    }

    /// Adds what the cell cost the server, by its counters.
    pub(crate) fn count(&mut self, after: &Counters, before: &Counters) {
        self.counts = Some(after.since(before, self.operations, self.bytes));
    }

    /// The row of the second table, if the server counts.
    pub(crate) fn counts_row(&self) -> Option<String> {
        let counts = self.counts.as_ref()?;
        let (server, operation, size) = (&self.server, self.operation, size(self.size_bytes));
        Some(format!("| {server} | {operation:?} | {size} | {} | {counts}", self.clients))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = || "-".to_owned();
        write!(
            f,
            "| {} | {:?} | {} | {} | {:.0} | {:.1} | {:.2} | {:.2} | {} | {} |",
            self.server,
            self.operation,
            size(self.size_bytes),
            self.clients,
            self.ops_per_s,
            self.mb_per_s,
            self.p50_ms,
            self.p99_ms,
            self.server_cpu.map_or_else(dash, |cpu| format!("{cpu:.2}")),
            self.peak_rss_mib.map_or_else(dash, |rss| format!("{rss} MiB")),
        )
    }
}

/// `samples` are sorted.
fn quantile_ms(samples: &[Sample], quantile: f64) -> f64 {
    let rank = ((samples.len() as f64 * quantile).ceil() as usize).clamp(1, samples.len().max(1));
    samples.get(rank - 1).map_or(f64::NAN, |sample| sample.took.as_secs_f64() * 1e3)
}

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{}m", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{}k", bytes >> 10),
        _ => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let samples: Vec<_> = (1..=100).map(|ms| Sample { took: Duration::from_millis(ms), bytes: 0 }).collect();
        assert_eq!(quantile_ms(&samples, 0.50), 50.0);
        assert_eq!(quantile_ms(&samples, 0.99), 99.0);
        assert_eq!(quantile_ms(&samples[..1], 0.99), 1.0);
        assert!(quantile_ms(&[], 0.5).is_nan());
    }
}
