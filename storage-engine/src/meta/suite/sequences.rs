//! Goal: whatever commands come, in whatever batches, and wherever the process ends, the state machine is the
//! model: every answer, every row, every leaf; what was answered stays, and of the rest a beginning.
//!
//! Method: 100,000 short sequences of commands, batches, flushes and crashes over a store in memory, each from a
//! seed of its own, on all cores; and some thousands more through the real log on simulated drives, where the
//! power is cut at a random write, unsynced sectors are lost or torn, and the index may be lost too. The first seed is
//! of the clock. A failure names its seed: `CHARTRIER_SEED=n CHARTRIER_SEQUENCES=1` runs that one again, and
//! `CHARTRIER_SEQUENCES=n` alone runs more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::strategy::{BoxedStrategy, Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::commands::{at, command, create_bucket, journal};
use super::random::op;
use super::same::{bucket_pages, same_journal, same_rows};
use crate::env::SplitMix;
use crate::error::{StateError, StorageError};
use crate::log::tests::rig::Rig;
use crate::meta::MetaReads;
use crate::meta::model::Model;
use crate::namespace::command::{Command, Op};
use crate::namespace::query::{ListQuery, UploadQuery, VersionQuery};
use crate::solo::{Solo, SoloConfig};
use crate::state::StateMachine;
use crate::state::kv::MemoryKv;

const SEQUENCES: u64 = 100_000;
const EVENTS_MAX: u64 = 24;
/// Through the log on simulated drives, whose threads are what costs.
const LOG_SEQUENCES: u64 = SEQUENCES / 40;
/// One in so many is compared row by row, not only by its listings and its bytes.
const COMPARED_WHOLE: u64 = 200;

#[test]
fn the_state_machine_is_the_model_in_any_sequence() {
    run_all("state", SEQUENCES, state_sequence);
}

#[test]
fn the_log_and_the_state_machine_are_the_model_across_power_cuts() {
    run_all("log", LOG_SEQUENCES, log_sequence);
}

/// Runs a sequence for each seed, on two threads or as many as there are cores.
fn run_all(name: &str, default: u64, run: fn(u64, &mut Commands)) {
    let of = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = of("CHARTRIER_SEED").unwrap_or(clock.as_nanos() as u64 >> 8);
    let count = of("CHARTRIER_SEQUENCES").map_or(default, |asked| asked.max(1).div_ceil(SEQUENCES / default));
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get() as u64).min(count);
    let (next, begun) = (AtomicU64::new(0), std::time::Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut commands = Commands::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let seed = first.wrapping_add(number);
                    let failed = Failed { name, seed };
                    commands.seed(seed);
                    run(seed, &mut commands);
                    std::mem::forget(failed);
                }
            });
        }
    });
    eprintln!("{count} sequences ({name}) from seed {first} in {} ms", begun.elapsed().as_millis());
}

/// Names the seed when a sequence panics.
struct Failed<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Failed<'_> {
    fn drop(&mut self) {
        eprintln!(
            "the sequence ({}) of CHARTRIER_SEED={} failed: run it again with CHARTRIER_SEQUENCES=1",
            self.name, self.seed
        );
    }
}

/// Draws commands as the proptests do.
struct Commands {
    strategy: BoxedStrategy<Op>,
    runner: TestRunner,
}

impl Commands {
    fn new() -> Self {
        Self { strategy: op().boxed(), runner: TestRunner::deterministic() }
    }

    fn seed(&mut self, seed: u64) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        self.runner = TestRunner::new_with_rng(Config::default(), rng);
    }

    fn draw(&mut self) -> Op {
        self.strategy.new_tree(&mut self.runner).unwrap().current()
    }
}

/// What a new installation says first, so that most commands find a bucket.
fn opening(random: &mut SplitMix) -> Vec<Command> {
    let bucket = 1 + random.below(3) as u8;
    vec![command(journal()), command(create_bucket(bucket, &format!("bucket-{bucket}")))]
}

fn state_sequence(seed: u64, commands: &mut Commands) {
    let mut random = SplitMix::new(seed);
    let kv = Arc::new(MemoryKv::new());
    let mut machine = StateMachine::over(kv.clone()).unwrap();
    let model = Model::new();
    // What the log holds, and of it how much was applied; the rest may be lost in a crash, from the end.
    let mut log: Vec<(u64, Command)> = Vec::new();
    let mut applied = 0;
    for command in opening(&mut random) {
        log.push((log.len() as u64 + 1, command));
    }
    for event in 0..=1 + random.below(EVENTS_MAX) {
        match if event == 0 { 8 } else { random.below(10) } {
            0..=5 => log.push((log.len() as u64 + 1, at(random.below(1000), commands.draw()))),
            6 => machine.flush().unwrap(),
            7 => {
                kv.crash();
                log.truncate(applied + random.below((log.len() - applied) as u64 + 1) as usize);
                machine = StateMachine::over(kv.clone()).unwrap();
                replay(&machine, &log[..applied], &mut random);
            }
            _ => apply(&machine, &model, &log, &mut applied),
        }
    }
    apply(&machine, &model, &log, &mut applied);
    if random.below(COMPARED_WHOLE) == 0 {
        same_rows(&machine, &model).unwrap();
        same_journal(&machine, &model).unwrap();
    }
    same_answers(&machine, &model);
    // Replayed in other batches by a machine that knows nothing, it is the same, byte for byte.
    let again = Arc::new(MemoryKv::new());
    replay(&StateMachine::over(again.clone()).unwrap(), &log, &mut random);
    assert_eq!(again.dump(), kv.dump());
}

fn apply(machine: &StateMachine, model: &Model, log: &[(u64, Command)], applied: &mut usize) {
    let batch = &log[*applied..];
    for (done, (index, command)) in machine.apply_batch(batch).unwrap().iter().zip(batch) {
        assert_eq!(*done, model.apply(*index, command), "{command:?}");
    }
    *applied = log.len();
}

/// Gives a machine what it lacks of the log, in batches of any size.
fn replay(machine: &StateMachine, log: &[(u64, Command)], random: &mut SplitMix) {
    let mut from = machine.applied_index() as usize;
    while from < log.len() {
        let until = from + 1 + random.below((log.len() - from) as u64) as usize;
        machine.apply_batch(&log[from..until]).unwrap();
        from = until;
    }
}

/// Listings, sums and owners: what is read of the rows without knowing their names.
fn same_answers(machine: &StateMachine, model: &Model) {
    assert_eq!(machine.buckets().unwrap(), model.buckets().unwrap());
    assert_eq!(machine.users().unwrap(), model.users().unwrap());
    assert_eq!(machine.layout().unwrap(), model.layout().unwrap());
    assert_eq!(machine.journal_size(), model.journal_size());
    assert_eq!(machine.journal_head().1.to_bytes(), model.journal_root(model.journal_size()));
    assert_eq!(machine.owned_runs(None, 10_000).unwrap(), model.owned_runs());
    let heal = machine.heal_queue(None, 10_000).unwrap();
    let shards: Vec<_> = heal.iter().map(|(shard, _)| (shard.stripe, shard.shard_index)).collect();
    assert_eq!(shards, model.heal_queue());
    for query in bucket_pages() {
        assert_eq!(machine.list_buckets(&query).unwrap(), model.list_buckets(&query).unwrap());
    }
    for account in ["owner", "other"] {
        assert_eq!(machine.account_usage(account).unwrap(), model.account_usage(account).unwrap());
    }
    let (prefix, limit) = (String::new(), 100);
    for row in machine.buckets().unwrap() {
        let bucket = row.id;
        assert_eq!(machine.bucket_usage(&row.name).unwrap(), model.bucket_usage(&row.name).unwrap());
        let query = ListQuery { bucket, prefix: prefix.clone(), delimiter: None, after: None, limit };
        assert_eq!(machine.list_objects(&query).unwrap(), model.list_objects(&query).unwrap());
        let query = VersionQuery { bucket, prefix: prefix.clone(), delimiter: None, after: None, limit };
        assert_eq!(machine.list_versions(&query).unwrap(), model.list_versions(&query).unwrap());
        let query = UploadQuery { bucket, prefix: prefix.clone(), delimiter: None, after: None, limit };
        assert_eq!(machine.list_uploads(&query).unwrap(), model.list_uploads(&query).unwrap());
    }
}

/// Some lives of a process on two drives; each ends with a power cut.
fn log_sequence(seed: u64, commands: &mut Commands) {
    let mut random = SplitMix::new(seed);
    let rig = Rig::new(2, 1, 64 << 10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut kv = Arc::new(MemoryKv::new());
    let mut log: Vec<Command> = Vec::new();
    let mut answered = 0;
    let lives = 1 + random.below(3);
    for life in 0..=lives {
        let Ok(solo) = open(&rig, &kv) else { panic!("it does not open") };
        let held = solo.machine().applied_index() as usize;
        assert!((answered..=log.len()).contains(&held), "{held} held, {answered} answered, {} tried", log.len());
        log.truncate(held);
        answered = held;
        let model = Model::new();
        for (index, command) in log.iter().enumerate() {
            model.apply(index as u64 + 1, command);
        }
        same_answers(solo.machine(), &model);
        if life == lives {
            return;
        }
        let mut todo = if log.is_empty() { opening(&mut random) } else { Vec::new() };
        todo.extend((0..random.below(12)).map(|_| at(random.below(1000), commands.draw())));
        rig.world.cut_at(rig.world.points() + 1 + random.below(4 * todo.len() as u64 + 4));
        let mut todo = todo.into_iter().peekable();
        while todo.peek().is_some() {
            // Proposed together they are one batch, or some.
            let bunch: Vec<Command> = todo.by_ref().take(1 + random.below(4) as usize).collect();
            let first = log.len();
            log.extend(bunch.iter().cloned());
            let answers = runtime.block_on(propose_all(&solo, bunch));
            for (index, answer) in (first as u64 + 1..).zip(answers) {
                let Ok(applied) = answer else { continue };
                assert_eq!(applied.commit_index, index, "one entry for each, in order");
                assert_eq!(applied, model.apply(index, &log[index as usize - 1]));
                answered = index as usize;
            }
            if answered < log.len() {
                break;
            }
            if random.below(4) == 0 {
                solo.machine().flush().unwrap();
            }
        }
        drop(solo);
        if random.below(8) == 0 {
            // The disk of the index is lost.
            kv = Arc::new(MemoryKv::new());
        } else {
            kv.crash();
        }
        rig.power_cut(random.next());
    }
}

async fn propose_all(
    solo: &Solo<StateMachine>,
    bunch: Vec<Command>,
) -> Vec<Result<crate::namespace::command::Applied, StorageError>> {
    let mut proposals: Vec<_> = bunch.into_iter().map(|command| Box::pin(solo.propose(command))).collect();
    // Polled once each, they are all in the queue.
    let mut answers: Vec<_> = proposals.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (proposal, answer) in proposals.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            if let std::task::Poll::Ready(done) = proposal.as_mut().poll(context) {
                *answer = Some(done);
            }
        }
        if answers.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers.into_iter().map(Option::unwrap).collect()
}

fn open(rig: &Rig, kv: &Arc<MemoryKv>) -> Result<Solo<StateMachine>, String> {
    let config = SoloConfig {
        index_dir: std::env::temp_dir().join("chartrier-index-that-is-never-there"),
        log: rig.config.clone(),
        checkpoint_log_bytes: u64::MAX,
    };
    let opened = Solo::open(rig.drives(&[]), config, |_| -> Result<_, StateError> {
        Ok(Arc::new(StateMachine::over(kv.clone())?))
    });
    opened.map(|opened| opened.solo).map_err(|error| error.to_string())
}
