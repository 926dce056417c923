//! Goal: whoever goes first, nothing is lost, nobody waits for ever, no wrong byte is read.
//!
//! Method: Shuttle runs the threads and futures of a drive, of the log, of leases and budget one at a time and
//! decides at every lock, channel and wake-up who goes on: at random, and by PCT, which finds bugs that need few
//! switches at the wrong places. A deadlock fails the test. A failure prints the schedule; `shuttle::replay` repeats
//! it. `CHARTRIER_SCHEDULES=n` runs more. All of it: `cargo test --features shuttle --lib interleavings`.

mod budget;
mod commits;
mod drives;
mod leases;
mod queues;

use shuttle::scheduler::{PctScheduler, RandomScheduler};

/// Switches that PCT places.
const DEPTH: usize = 3;

/// Runs a test under many schedules, half of them of each kind.
fn check(schedules: usize, test: impl Fn() + Send + Sync + Clone + 'static) {
    let asked = std::env::var("CHARTRIER_SCHEDULES").ok().map(|text| text.parse::<usize>().unwrap());
    let half = asked.map_or(schedules, |asked| schedules * asked.max(1)) / 2;
    let mut config = shuttle::Config::new();
    config.stack_size = 512 << 10;
    config.max_steps = shuttle::MaxSteps::FailAfter(5_000_000);
    shuttle::Runner::new(RandomScheduler::new(half), config.clone()).run(test.clone());
    shuttle::Runner::new(PctScheduler::new(DEPTH, half), config).run(test);
}
