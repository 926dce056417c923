//! The same stories, and random commands with power cuts, on the real engine of one machine: mirrored
//! log, state machine on RocksDB, checkpoints.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::commands::{command, journal};
use super::random::op;
use super::same::{same_journal, same_rows};
use crate::error::StorageError;
use crate::log::tests::rig::Rig;
use crate::meta::model::Model;
use crate::namespace::command::{Applied, Command};
use crate::solo::{Solo, SoloConfig};
use crate::state::{StateConfig, StateMachine};

/// Three simulated drives, one of which may go, and a real directory for the index.
struct Machine {
    rig: Rig,
    data: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { rig: Rig::new(3, 1, 64 << 10), data: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Solo<StateMachine> {
        let config = SoloConfig {
            index_dir: self.data.path().join("index"),
            log: self.rig.config.clone(),
            checkpoint_log_bytes: 100 << 10,
        };
        let state = StateConfig::new(1 << 20, 1 << 20);
        Solo::open(self.rig.drives(&[]), config, |path| StateMachine::open(path, &state).map(Arc::new)).unwrap().solo
    }
}

#[tokio::test]
async fn solo_passes() {
    let machines = std::cell::RefCell::new(Vec::new());
    super::run(|| {
        let machine = Machine::new();
        let solo = machine.open();
        machines.borrow_mut().push(machine);
        solo
    })
    .await;
}

/// What a client of the engine knows: the commands it gave, in order, and how many were answered.
#[derive(Default)]
struct Client {
    log: Vec<Command>,
    answered: usize,
}

impl Client {
    /// Proposes one command; `false` when the power is gone.
    fn propose(&mut self, solo: &Solo<StateMachine>, model: &Model, command: Command) -> Result<bool, TestCaseError> {
        self.log.push(command.clone());
        let answer: Result<Applied, StorageError> = runtime().block_on(solo.propose(command));
        let Ok(applied) = answer else { return Ok(false) };
        prop_assert_eq!(applied.commit_index, self.log.len() as u64, "each command has one entry");
        let expected = model.apply(applied.commit_index, self.log.last().unwrap());
        prop_assert_eq!(applied, expected, "{:?}", self.log.last());
        self.answered = self.log.len();
        Ok(true)
    }

    /// After a restart: everything answered holds, and of the rest a beginning. Answers a model of it.
    fn settle(&mut self, solo: &Solo<StateMachine>) -> Result<Model, TestCaseError> {
        let held = solo.machine().applied_index() as usize;
        prop_assert!((self.answered..=self.log.len()).contains(&held), "{held} held, {} answered", self.answered);
        self.log.truncate(held);
        self.answered = held;
        let model = Model::new();
        for (index, command) in self.log.iter().enumerate() {
            model.apply(index as u64 + 1, command);
        }
        same_rows(solo.machine(), &model)?;
        same_journal(solo.machine(), &model)?;
        Ok(model)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn solo_is_the_model_across_power_cuts(
        lives in proptest::collection::vec((1..60_usize, 1..4000_u64, any::<u64>(), any::<bool>()), 1..4),
        seed in any::<[u8; 32]>(),
    ) {
        let rng = proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        let commands = op();
        let machine = Machine::new();
        let mut client = Client::default();
        for (count, cut_after, cut_seed, index_lost) in lives {
            let solo = machine.open();
            let model = client.settle(&solo)?;
            machine.rig.world.cut_at(machine.rig.world.points() + cut_after);
            if client.log.is_empty() {
                client.propose(&solo, &model, command(journal()))?;
            }
            for _ in 0..count {
                let op = commands.new_tree(&mut runner).unwrap().current();
                if !client.propose(&solo, &model, command(op))? {
                    break;
                }
            }
            drop(solo);
            machine.rig.power_cut(cut_seed);
            if index_lost {
                std::fs::remove_dir_all(machine.data.path().join("index")).unwrap();
            }
        }
        client.settle(&machine.open())?;
    }
}
