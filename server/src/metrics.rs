//! Every metric, declared here with its unit and help text.
//!
//! Labels have few possible values: the operation, the class of the status. The text format is
//! Prometheus'.

mod engine;
mod events;

use std::time::Duration;

pub use engine::render_engine;
pub use events::render_events;
use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::s3::table::{Operation, TABLE};

/// The server's own metrics; those of the engine are added at each scrape.
pub struct Metrics {
    registry: Registry,
    /// One per operation, in table order: looking a label up costs more than counting.
    operations: Vec<OperationMetrics>,
    /// Requests whose operation was never found out.
    unrouted: IntCounterVec,
    /// Connections open on the S3 port.
    pub connections: IntGauge,
    /// Requests being answered on the S3 port.
    pub requests_in_flight: IntGauge,
    /// Connections accepted since the start.
    pub connections_accepted: IntCounter,
    /// TLS handshakes that failed.
    pub handshakes_failed: IntCounter,
    /// Objects, versions, markers and uploads that lifecycle rules removed.
    pub lifecycle_removed: IntCounter,
    /// Lines of access logs that were delivered.
    pub access_log_delivered: IntCounter,
    /// Lines of access logs that were lost.
    pub access_log_lost: IntCounter,
}

struct OperationMetrics {
    /// 1xx to 5xx.
    by_class: [IntCounter; 5],
    seconds: Histogram,
    bytes_in: IntCounter,
    bytes_out: IntCounter,
}

/// Bounds of the latency histogram, in seconds.
const LATENCY_BUCKETS: [f64; 16] =
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Metrics {
    /// Declares all metrics.
    ///
    /// # Panics
    /// If two metrics have one name: the first test finds that.
    pub fn new() -> Self {
        let registry = Registry::new();
        let vec = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let requests = vec("chartrier_requests_total", "S3 requests answered.", &["operation", "class"]);
        let bytes_in =
            vec("chartrier_request_bytes_total", "Plaintext bytes received in request bodies.", &["operation"]);
        let bytes_out = vec("chartrier_response_bytes_total", "Body bytes announced in answers.", &["operation"]);
        let unrouted = vec(
            "chartrier_requests_unrouted_total",
            "S3 requests refused before their operation was known.",
            &["class"],
        );
        let latency = HistogramOpts::new(
            "chartrier_request_seconds",
            "Time from the end of a request's head to the head of its answer, in seconds.",
        )
        .buckets(LATENCY_BUCKETS.to_vec());
        let seconds = register(&registry, HistogramVec::new(latency, &["operation"]));
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help));
        let operations = TABLE
            .iter()
            .map(|row| OperationMetrics {
                by_class: CLASSES.map(|class| requests.with_label_values(&[row.name, class])),
                seconds: seconds.with_label_values(&[row.name]),
                bytes_in: bytes_in.with_label_values(&[row.name]),
                bytes_out: bytes_out.with_label_values(&[row.name]),
            })
            .collect();
        Self {
            operations,
            unrouted,
            connections: gauge("chartrier_connections", "Connections open on the S3 port."),
            requests_in_flight: gauge("chartrier_requests_in_flight", "S3 requests being answered."),
            connections_accepted: counter(
                "chartrier_connections_accepted_total",
                "Connections accepted on the S3 port.",
            ),
            handshakes_failed: counter("chartrier_tls_handshakes_failed_total", "TLS handshakes that failed."),
            lifecycle_removed: counter(
                "chartrier_lifecycle_removed_total",
                "Objects, versions, delete markers and uploads that lifecycle rules removed.",
            ),
            access_log_delivered: counter(
                "chartrier_access_log_lines_total",
                "Lines of access logs that were delivered.",
            ),
            access_log_lost: counter(
                "chartrier_access_log_lines_lost_total",
                "Lines of access logs that were lost: too many waited, or their target did not take them.",
            ),
            registry,
        }
    }

    /// Counts an answered request. `operation` is `None` if it was refused before routing.
    pub fn answered(&self, operation: Option<Operation>, status: u16, elapsed: Duration, bytes_out: u64) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        let Some(operation) = operation else {
            self.unrouted.with_label_values(&[CLASSES[class]]).inc();
            return;
        };
        let metrics = &self.operations[operation as usize];
        metrics.by_class[class].inc();
        metrics.seconds.observe(elapsed.as_secs_f64());
        metrics.bytes_out.inc_by(bytes_out);
    }

    /// Counts plaintext received for an operation.
    pub fn received(&self, operation: Operation, bytes: u64) {
        self.operations[operation as usize].bytes_in.inc_by(bytes);
    }

    /// The text format, without the engine's part. Operations that were never asked for are left out.
    pub fn render(&self) -> String {
        let mut families = self.registry.gather();
        for family in &mut families {
            let kept = family
                .take_metric()
                .into_iter()
                .filter(|metric| {
                    let by_operation = metric.get_label().iter().any(|label| label.name() == "operation");
                    let counted =
                        metric.get_counter().get_value() > 0.0 || metric.get_histogram().get_sample_count() > 0;
                    !by_operation || counted
                })
                .collect();
            family.set_metric(kept);
        }
        families.retain(|family| !family.get_metric().is_empty());
        let mut text = Vec::new();
        match TextEncoder::new().encode(&families, &mut text) {
            Ok(()) => String::from_utf8(text).unwrap_or_default(),
            Err(error) => format!("# {error}\n"),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("metric names and labels are constants that a test has checked");
    registry.register(Box::new(metric.clone())).expect("no two metrics have one name");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_and_nothing_else() {
        let metrics = Metrics::new();
        metrics.answered(Some(Operation::GetObject), 206, Duration::from_millis(3), 4096);
        metrics.answered(None, 403, Duration::ZERO, 0);
        metrics.received(Operation::PutObject, 10);
        let text = metrics.render();
        assert!(text.contains("chartrier_requests_total{class=\"2xx\",operation=\"GetObject\"} 1"), "{text}");
        assert!(text.contains("chartrier_response_bytes_total{operation=\"GetObject\"} 4096"));
        assert!(text.contains("chartrier_request_bytes_total{operation=\"PutObject\"} 10"));
        assert!(text.contains("chartrier_requests_unrouted_total{class=\"4xx\"} 1"));
        assert!(!text.contains("ListParts"));
    }
}
