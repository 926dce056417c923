//! Batches of several uploads, hashed side by side on the blocking pool.
//!
//! A worker takes what waits, up to [`LANES_MAX`] batches, hashes a few blocks of each in one step, and
//! looks again: a batch that comes while others run joins them. It ends when nothing waits.
//!
//! One batch alone costs as much as two. So while several uploads go on, a worker lingers a moment before it begins,
//! until their next batches are there or one of them is at its end.

use std::array::from_fn;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use tokio::sync::oneshot;

use super::block::{BLOCK_BYTES, compress};
use super::stream::Md5Stream;

/// Streams in one step.
const LANES_MAX: usize = 16;
/// Blocks of each stream in one step, after which waiting batches may join.
const STEP_BLOCKS: usize = 64;
/// Batches that wait before a second worker helps.
const WAITING_PER_WORKER: usize = LANES_MAX;

/// Uploads from which on a worker lingers.
const UPLOADS_TO_LINGER: usize = 4;
/// What a worker lingers for each of them; their batches are further apart the more there are.
const LINGER_PER_UPLOAD: Duration = Duration::from_micros(250);
/// The longest that a worker lingers.
const LINGER_MAX: Duration = Duration::from_millis(4);
/// An upload whose last batch came longer ago is not waited for: its client may be slow.
const RECENT: Duration = Duration::from_millis(25);
/// Batches that are remembered to tell which uploads go on.
const RECENT_MAX: usize = 64;

/// One for the process, as the blocking pool is.
static WAITING: Mutex<Waiting> =
    Mutex::new(Waiting { batches: VecDeque::new(), workers: 0, hurry: false, recent: VecDeque::new() });
/// A batch came while a worker is there, or an upload ends.
static CAME: Condvar = Condvar::new();

struct Waiting {
    /// At most two of each upload in progress.
    batches: VecDeque<Lane>,
    workers: usize,
    /// An upload ends when its batch is hashed.
    hurry: bool,
    /// When the last batches came, and of which uploads.
    recent: VecDeque<(Instant, u64)>,
}

impl Waiting {
    fn came(&mut self, upload: u64) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((Instant::now(), upload));
    }

    /// Uploads with a batch of late.
    fn uploads(&self) -> usize {
        let recent = self.recent.iter().filter(|(at, _)| at.elapsed() < RECENT);
        recent.map(|(_, upload)| upload).collect::<HashSet<_>>().len()
    }
}

/// One upload beside the others.
pub struct Md5Beside {
    upload: u64,
    began: bool,
}

impl Md5Beside {
    /// Another upload.
    pub fn join() -> Self {
        static UPLOADS: AtomicU64 = AtomicU64::new(0);
        Self { upload: UPLOADS.fetch_add(1, Ordering::Relaxed), began: false }
    }

    /// Pushes a batch into a stream beside the caller's work; the stream comes back through the channel.
    ///
    /// Dropping the receiver does not stop the work. An error from it means that the worker died.
    pub fn hash(&mut self, stream: Md5Stream, batch: Vec<Bytes>) -> oneshot::Receiver<Md5Stream> {
        let (done, receiver) = oneshot::channel();
        self.began = true;
        let mut waiting = lock();
        waiting.came(self.upload);
        waiting.batches.push_back(Lane { stream, batch: batch.into(), across: false, done });
        let helps = waiting.batches.len() > WAITING_PER_WORKER * waiting.workers;
        if waiting.workers == 0 || helps {
            waiting.workers += 1;
            drop(waiting);
            tokio::task::spawn_blocking(work);
        } else {
            CAME.notify_one();
        }
        receiver
    }

    /// Says that this upload is at its end and waits for what it gave: a worker lingers no longer.
    pub fn hurry(&self) {
        lock().hurry = true;
        CAME.notify_one();
    }
}

impl Drop for Md5Beside {
    /// An upload that ended is not waited for.
    fn drop(&mut self) {
        if self.began {
            lock().recent.retain(|(_, upload)| *upload != self.upload);
        }
    }
}

fn lock() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a worker out however it ends.
struct Worker;

impl Drop for Worker {
    fn drop(&mut self) {
        lock().workers -= 1;
    }
}

fn work() {
    let worker = Worker;
    let mut lanes: Vec<Lane> = Vec::with_capacity(LANES_MAX);
    loop {
        let mut waiting = lock();
        if lanes.is_empty() {
            waiting = linger(waiting);
        }
        waiting.hurry = false;
        let room = (LANES_MAX - lanes.len()).min(waiting.batches.len());
        lanes.extend(waiting.batches.drain(..room));
        if lanes.is_empty() {
            // Under the lock: a batch that comes now finds no worker, and starts one.
            waiting.workers -= 1;
            std::mem::forget(worker);
            return;
        }
        drop(waiting);
        step(&mut lanes);
    }
}

/// Waits until half of the uploads that go on have a batch here, but not for long.
fn linger(mut waiting: MutexGuard<'static, Waiting>) -> MutexGuard<'static, Waiting> {
    let uploads = waiting.uploads();
    if uploads < UPLOADS_TO_LINGER || waiting.batches.is_empty() {
        return waiting;
    }
    let until = Instant::now() + LINGER_MAX.min(LINGER_PER_UPLOAD * uploads as u32);
    while !waiting.hurry && waiting.batches.len() < LANES_MAX.min(uploads / 2) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        waiting = CAME.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    waiting
}

/// Hashes some blocks of every lane; lanes at their end leave.
fn step(lanes: &mut Vec<Lane>) {
    let mut at = 0;
    while at < lanes.len() {
        if lanes[at].has_block() {
            at += 1;
        } else {
            let Lane { stream, done, .. } = lanes.swap_remove(at);
            // Nobody waits any more if the upload was cut.
            let _ = done.send(stream);
        }
    }
    match lanes.len() {
        0 => {}
        1 => compress_lanes::<1>(lanes),
        // Two and three are as fast in plain registers, where the steps of one fill the gaps of the other.
        2 => compress_lanes::<2>(lanes),
        3 => compress_lanes::<3>(lanes),
        4 => compress_lanes::<4>(lanes),
        5..=8 => compress_lanes::<8>(lanes),
        _ => compress_lanes::<LANES_MAX>(lanes),
    }
}

fn compress_lanes<const N: usize>(lanes: &mut [Lane]) {
    let blocks = lanes.iter().map(Lane::blocks).min().unwrap_or(0).min(STEP_BLOCKS);
    // Lanes that are not there hash the first one's blocks, for nothing.
    let lane_of = |n: usize| if n < lanes.len() { n } else { 0 };
    let mut states: [[u32; N]; 4] = from_fn(|word| from_fn(|n| lanes[lane_of(n)].stream.state[word]));
    compress(&mut states, from_fn(|n| lanes[lane_of(n)].bytes()), blocks);
    for (n, lane) in lanes.iter_mut().enumerate() {
        lane.stream.state = from_fn(|word| states[word][n]);
        lane.advance(blocks);
    }
}

/// One batch on its way.
struct Lane {
    stream: Md5Stream,
    batch: VecDeque<Bytes>,
    /// A block that lay across two fragments is complete in the stream.
    across: bool,
    done: oneshot::Sender<Md5Stream>,
}

impl Lane {
    /// Finds the next whole block; false at the end of the batch.
    fn has_block(&mut self) -> bool {
        while !self.across {
            let Some(front) = self.batch.front_mut() else { return false };
            if self.stream.whole_blocks(front) > 0 {
                return true;
            }
            let mut rest = &front[..];
            self.across = self.stream.fill_block(&mut rest);
            let taken = front.len() - rest.len();
            front.advance(taken);
            self.drop_if_empty();
        }
        true
    }

    /// Whole blocks in [`bytes`](Self::bytes), at least one.
    fn blocks(&self) -> usize {
        if self.across { 1 } else { self.stream.whole_blocks(self.front()) }
    }

    fn bytes(&self) -> &[u8] {
        if self.across { self.stream.begun_block() } else { self.front() }
    }

    fn advance(&mut self, blocks: usize) {
        if !std::mem::take(&mut self.across) {
            self.stream.skip(blocks);
            if let Some(front) = self.batch.front_mut() {
                front.advance(blocks * BLOCK_BYTES);
            }
            self.drop_if_empty();
        }
    }

    fn front(&self) -> &[u8] {
        self.batch.front().map_or(&[], |front| front)
    }

    fn drop_if_empty(&mut self) {
        if self.batch.front().is_some_and(Bytes::is_empty) {
            self.batch.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use md5::{Digest as _, Md5};

    use super::*;

    fn bytes(seed: usize, len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 31 + seed * 17 + at / 251) as u8).collect()
    }

    /// Uploads of many lengths, in fragments that cross blocks, more than there are lanes.
    #[tokio::test(flavor = "multi_thread")]
    async fn streams_side_by_side_agree_with_the_oracle() {
        let uploads: Vec<_> = (0..40usize)
            .map(|upload| {
                tokio::spawn(async move {
                    let body = bytes(upload, upload * 7_919);
                    let (mut stream, mut beside) = (Md5Stream::default(), Md5Beside::join());
                    for batch in body.chunks(20_000 + upload) {
                        let fragments = batch.chunks(1 + upload * 97).map(Bytes::copy_from_slice).collect();
                        stream = beside.hash(stream, fragments).await.unwrap();
                    }
                    let expected: [u8; 16] = Md5::digest(&body).into();
                    assert_eq!(stream.finish(), expected, "upload {upload}");
                })
            })
            .collect();
        for upload in uploads {
            upload.await.unwrap();
        }
    }

    #[test]
    fn each_number_of_lanes_hashes_alike() {
        for count in 1..=LANES_MAX {
            let mut lanes = Vec::new();
            let mut answers = Vec::new();
            for lane in 0..count {
                let (done, answer) = oneshot::channel();
                let batch = VecDeque::from([Bytes::from(bytes(lane, 640 * (lane + 1) + lane)), Bytes::new()]);
                lanes.push(Lane { stream: Md5Stream::default(), batch, across: false, done });
                answers.push(answer);
            }
            while !lanes.is_empty() {
                step(&mut lanes);
            }
            for (lane, mut answer) in answers.into_iter().enumerate() {
                let expected: [u8; 16] = Md5::digest(bytes(lane, 640 * (lane + 1) + lane)).into();
                assert_eq!(answer.try_recv().unwrap().finish(), expected, "{lane} of {count}");
            }
        }
    }
}
