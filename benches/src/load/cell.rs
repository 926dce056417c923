//! One cell of the table: an operation, a size, a number of clients.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;

use crate::measure::{Row, Sample};
use crate::options::{Operation, Plan};
use crate::requests::Worker;
use crate::server::ServerUsage;

/// The stop rule of a cell and the count of what was begun.
struct Budget {
    begun: AtomicU64,
    count_max: u64,
    until: Instant,
}

impl Budget {
    fn next(&self) -> Option<u64> {
        if Instant::now() >= self.until {
            return None;
        }
        let index = self.begun.fetch_add(1, Ordering::Relaxed);
        (index < self.count_max).then_some(index)
    }
}

/// Runs a cell: each client takes the next index until time or count is used up.
pub(crate) async fn run(
    plan: &Plan,
    operation: Operation,
    size_bytes: u64,
    clients: usize,
) -> Result<Row, Box<dyn std::error::Error>> {
    let count_max = plan.count_max.min((plan.bytes_max / size_bytes.max(1)).max(clients as u64));
    let written = plan.stored_keys(size_bytes);
    if written == 0 && !matches!(operation, Operation::Put | Operation::Multipart) {
        return Err("PUT comes before the operations that use what it wrote".into());
    }
    let count_max = if operation == Operation::Delete { count_max.min(written) } else { count_max };
    let budget = Arc::new(Budget { begun: AtomicU64::new(0), count_max, until: Instant::now() + plan.time_max });
    let mut workers = JoinSet::new();
    let counters = match &plan.counters {
        Some(source) => Some((source, source.read().await?)),
        None => None,
    };
    let before = ServerUsage::read(plan.server_pid);
    let start = Instant::now();
    for number in 0..clients {
        let worker = Worker::new(plan, operation, size_bytes, number as u64, written.max(1));
        workers.spawn(work(worker, Arc::clone(&budget), plan.keys_max));
    }
    let mut samples = Vec::new();
    while let Some(done) = workers.join_next().await {
        samples.extend(done??);
    }
    let elapsed = start.elapsed();
    let usage = ServerUsage::read(plan.server_pid).since(&before);
    match operation {
        Operation::Put => {
            plan.set_stored_keys(size_bytes, written.max((samples.len() as u64).min(plan.keys_max)));
        }
        Operation::Delete => plan.set_stored_keys(size_bytes, 0),
        _ => {}
    }
    let mut row = Row::new(plan, operation, size_bytes, clients, samples, elapsed, usage);
    if let Some((source, before)) = counters {
        row.count(&source.read().await?, &before);
    }
    Ok(row)
}

async fn work(mut worker: Worker, budget: Arc<Budget>, keys_max: u64) -> io::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    while let Some(index) = budget.next() {
        let start = Instant::now();
        let bytes = worker.once(index % keys_max).await?;
        samples.push(Sample { took: start.elapsed(), bytes });
    }
    Ok(samples)
}
