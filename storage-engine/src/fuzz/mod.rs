//! Goal: no bytes that a disk, a log or an export can give make a decoder panic, read out of bounds or take
//! more memory than a row may have, whoever made their checksums good again.
//!
//! Method: for each format some valid inputs, changed at random where it hurts (bits, fields set to extremes,
//! cuts, splices of two inputs, pieces repeated), mostly sealed again so that the checks behind the checksum are
//! met. What decodes must encode again to something that decodes to the same. All of it in a process of its own
//! whose memory is limited, so that a length that is believed ends it. `CHARTRIER_SEED=n` repeats a run,
//! `CHARTRIER_FUZZ_ROUNDS=n` makes a longer one.

mod targets;

use std::process::{Command, Stdio};

use crate::env::SplitMix;

const CHILD: &str = "CHARTRIER_FUZZ_CHILD";
/// Inputs for each format.
const ROUNDS: u64 = 100_000;
/// What the process may have. Threads and the test harness take some of it.
const MEMORY_BYTES: u64 = 256 << 20;

/// All targets, in a process with little memory.
#[test]
fn every_decoder_stands_any_bytes_in_little_memory() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["fuzz::targets::", "--test-threads", "2", "--nocapture"]).env(CHILD, "1").stdin(Stdio::null());
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let ran = said.lines().filter(|line| line.contains("inputs of")).count();
    assert!(ran >= 15, "only {ran} targets ran: {said}");
}

/// A format under attack.
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    /// Valid inputs.
    pub(crate) seeds: Vec<Vec<u8>>,
    /// Makes the checksums of a changed input good again.
    pub(crate) seal: &'a dyn Fn(&mut Vec<u8>),
    /// Decodes it, and looks at what came out.
    pub(crate) decode: &'a dyn Fn(&[u8]),
}

impl Target<'_> {
    /// Attacks it, but only in the process with little memory.
    pub(crate) fn attack(&self) {
        self.attack_for(ROUNDS);
    }

    pub(crate) fn attack_for(&self, rounds: u64) {
        if std::env::var(CHILD).is_err() {
            return;
        }
        limit_memory();
        let of = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let first = of("CHARTRIER_SEED").unwrap_or(clock.as_nanos() as u64 >> 8);
        let rounds = of("CHARTRIER_FUZZ_ROUNDS").map_or(rounds, |asked| asked * rounds / ROUNDS);
        for seed in &self.seeds {
            (self.decode)(seed);
        }
        for round in 0..rounds {
            let seed = first.wrapping_add(round);
            let mut random = SplitMix::new(seed);
            let mut input = self.changed(&mut random);
            if random.below(4) > 0 {
                (self.seal)(&mut input);
            }
            let failed = Failed { name: self.name, seed };
            (self.decode)(&input);
            std::mem::forget(failed);
        }
        eprintln!("{rounds} inputs of {} from seed {first}", self.name);
    }

    fn changed(&self, random: &mut SplitMix) -> Vec<u8> {
        let mut input = self.seeds[random.below(self.seeds.len() as u64) as usize].clone();
        for _ in 0..1 + random.below(3) {
            let other = &self.seeds[random.below(self.seeds.len() as u64) as usize];
            change(&mut input, other, random);
        }
        input
    }
}

/// Names the seed when a decoder panics.
struct Failed<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Failed<'_> {
    fn drop(&mut self) {
        eprintln!("an input of {} failed: CHARTRIER_SEED={}", self.name, self.seed);
    }
}

fn limit_memory() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let old = getrlimit(Resource::Data);
    let limit = Rlimit { current: Some(MEMORY_BYTES), maximum: old.maximum };
    setrlimit(Resource::Data, limit).unwrap();
}

/// One change: mostly small, at a place that is drawn evenly or near the start, where the fields are.
fn change(input: &mut Vec<u8>, other: &[u8], random: &mut SplitMix) {
    let len = input.len() as u64;
    if len == 0 {
        return input.extend_from_slice(other);
    }
    let reach = if random.coin() { len } else { len.min(160) };
    let at = random.below(reach) as usize;
    let span = 1 + random.below((len - at as u64).min(64)) as usize;
    match random.below(10) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.next() as u8,
        2..=4 => set_field(input, at, random),
        5 => input.truncate(at),
        6 => input.extend((0..span).map(|_| 0)),
        7 => {
            let piece = input[at..at + span].to_vec();
            let to = random.below(len) as usize;
            drop(input.splice(to..to, piece));
        }
        8 => drop(input.drain(at..at + span)),
        _ => {
            let from = random.below(other.len() as u64 + 1) as usize;
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}

/// Sets one, two, four or eight bytes, or a variable-length integer, to a number that is wrong in some way.
fn set_field(input: &mut Vec<u8>, at: usize, random: &mut SplitMix) {
    let len = input.len() as u64;
    let extremes = [
        0,
        1,
        2,
        len - 1,
        len,
        len + 1,
        0x7f,
        0x80,
        0xff,
        0xffff,
        1 << 20,
        1 << 31,
        u32::MAX.into(),
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    let value = extremes[random.below(extremes.len() as u64) as usize];
    if random.below(3) == 0 {
        let mut bytes = Vec::new();
        let mut rest = value;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        drop(input.splice(at..at + 1, bytes));
        return;
    }
    let width = (1 << random.below(4)).min(input.len() - at);
    input[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}
