//! What every metadata engine must do, whichever it is: named stories, then random commands on the
//! state machine beside the model.

pub(crate) mod commands;
mod drives;
mod edges;
mod events;
mod listings;
mod quota;
pub(crate) mod random;
mod same;
mod sequences;
mod solo;
mod stories;
mod users;
mod versions;

use std::sync::Arc;

use super::model::Model;
use crate::error::MetaError;
use crate::meta::MetaEngine;
use crate::namespace::command::{Applied, Command};
use crate::state::kv::{Kv, MemoryKv};
use crate::state::rocks::RocksMemory;
use crate::state::{StateConfig, StateMachine};

/// A state machine without a log: entries are applied as they are proposed, one per batch.
pub(crate) struct Direct(pub(crate) StateMachine);

impl Direct {
    fn in_memory() -> Self {
        Self::over(Arc::new(MemoryKv::new()))
    }

    fn over(kv: Arc<dyn Kv>) -> Self {
        Self(StateMachine::over(kv).unwrap())
    }
}

impl MetaEngine for Direct {
    type Reads = StateMachine;

    async fn propose(&self, command: Command) -> Result<Applied, MetaError> {
        let index = self.0.applied_index() + 1;
        Ok(self.0.apply_batch(&[(index, command)])?.remove(0))
    }

    fn reads(&self) -> &StateMachine {
        &self.0
    }
}

/// Runs every story on an engine made by `make`.
pub(crate) async fn run<E: MetaEngine>(make: impl Fn() -> E) {
    stories::run(make).await;
}

#[tokio::test]
async fn the_model_passes() {
    run(Model::new).await;
}

#[tokio::test]
async fn the_state_machine_in_memory_passes() {
    run(Direct::in_memory).await;
}

#[tokio::test]
async fn the_state_machine_on_rocksdb_passes() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    run(|| {
        count.set(count.get() + 1);
        let config = StateConfig { memory: RocksMemory::new(1 << 20, 1 << 20) };
        Direct(StateMachine::open(&dir.path().join(count.get().to_string()), &config).unwrap())
    })
    .await;
}
