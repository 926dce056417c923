//! What each part of a request costs by itself: sealing, coding, the log, the edge's parsers.
//!
//! `cargo bench -p chartrier-benches` runs all of them; `-- sealing` those whose name contains a word,
//! `-- --save-baseline NAME` and `-- --baseline NAME` compare two builds. Figures over HTTP, with all
//! parts at work, are those of the load generator.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has nothing better to do than to panic")]

mod coding;
mod edge;
mod log;
mod sealing;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn settings() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3)).sample_size(20)
}

/// Bytes that no compressor or branch predictor can guess.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

criterion_group! {
    name = parts;
    config = settings();
    targets = sealing::benches, coding::benches, edge::benches, log::benches
}
criterion_main!(parts);
