//! What waits for the targets of notifications, in Prometheus' text format, read at each scrape.

use std::fmt::Write as _;

use crate::app::App;
use crate::notify::{TargetStatus, statuses};

/// The notifications' part of `/metrics`; nothing without a target.
pub fn render_events(app: &App) -> String {
    let statuses = match statuses(app) {
        Ok(statuses) => statuses,
        Err(error) => return format!("# {error}\n"),
    };
    let mut page = String::new();
    for (name, kind, help, value) in METRICS {
        if statuses.is_empty() {
            break;
        }
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for status in &statuses {
            let _ = writeln!(page, "{name}{{target=\"{}\"}} {}", status.queue.target, value(status));
        }
    }
    page
}

type Metric = (&'static str, &'static str, &'static str, fn(&TargetStatus) -> u64);

const METRICS: [Metric; 5] = [
    ("chartrier_events_pending", "gauge", "Events that wait for a target.", |status| status.queue.rows),
    ("chartrier_events_pending_bytes", "gauge", "Bytes of their rows.", |status| status.queue.bytes),
    (
        "chartrier_events_dropped_total",
        "counter",
        "Events never told: the queue was full, or they were discarded.",
        |status| status.queue.dropped,
    ),
    ("chartrier_events_delivered_total", "counter", "Events told since the start.", |status| status.delivered),
    ("chartrier_events_failures_total", "counter", "Attempts to tell that failed since the start.", |status| {
        status.failures
    }),
];
