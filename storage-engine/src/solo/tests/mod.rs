//! `Solo` on simulated drives: restarts, lost drives and index, failover, full disks, crashes.

mod cost;
mod crash;
mod failover;
mod machine;
mod recovery;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::machine::{History, command};
use super::{Opened, Solo, SoloConfig};
use crate::error::{OpenError, StorageError};
use crate::log::tests::rig::Rig;
use crate::namespace::command::Applied;

/// Simulated drives and a real directory for the index.
struct Machine {
    rig: Rig,
    data: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    checkpoint_log_bytes: u64,
}

impl Machine {
    fn new(drives: usize, parity: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self {
            rig: Rig::new(drives, parity, 64 << 10),
            data: tempfile::tempdir().unwrap(),
            runtime,
            checkpoint_log_bytes: 150 << 10,
        }
    }

    fn index(&self) -> PathBuf {
        self.data.path().join("index")
    }

    fn open(&self, missing: &[usize]) -> Result<Opened<History>, OpenError> {
        let config = SoloConfig {
            index_dir: self.index(),
            log: self.rig.config.clone(),
            checkpoint_log_bytes: self.checkpoint_log_bytes,
        };
        Solo::open(self.rig.drives(missing), config, History::open)
    }

    fn propose(&self, solo: &Solo<History>, name: &str) -> Result<Applied, StorageError> {
        self.runtime.block_on(solo.propose(command(name)))
    }

    /// Proposes `names` all at once; answers come back in the same order.
    fn propose_all(&self, solo: &Solo<History>, names: &[String]) -> Vec<Result<Applied, StorageError>> {
        self.runtime.block_on(async {
            let mut proposals: Vec<_> = names.iter().map(|name| Box::pin(solo.propose(command(name)))).collect();
            let mut answers: Vec<Option<Result<Applied, StorageError>>> = names.iter().map(|_| None).collect();
            std::future::poll_fn(|context| {
                for (proposal, answer) in proposals.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none())
                {
                    if let std::task::Poll::Ready(done) = proposal.as_mut().poll(context) {
                        *answer = Some(done);
                    }
                }
                if answers.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            answers.into_iter().map(Option::unwrap).collect()
        })
    }
}

fn names(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("command-{number}")).collect()
}

/// Waits until the keeper has done something.
fn wait_until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never happened: {what}");
}

fn history(solo: &Solo<History>) -> Vec<String> {
    let history: &Arc<History> = solo.machine();
    history.names()
}
