//! What another process still holds is waited for, and never taken for damaged.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::drive::DRIVE_INDEX_SCHEMA;
use crate::engine::{Engine, EngineConfig};
use crate::env::SimEnv;
use crate::error::OpenError;
use crate::state::keys::SCHEMA;
use crate::state::kv::FamilySpec;
use crate::state::rocks::{RocksConfig, RocksKv, RocksMemory};

/// Long enough that an opening that does not wait has ended.
const A_WHILE: Duration = Duration::from_millis(500);

fn config(dir: &Path) -> EngineConfig {
    EngineConfig {
        data_dir: dir.join("data"),
        drives: (0..3).map(|n| dir.join(format!("d{n}"))).collect(),
        k: 2,
        m: 1,
        segment_bytes: 2 << 20,
        log_segment_bytes: 256 << 10,
        ..EngineConfig::default()
    }
}

async fn open(dir: &Path) -> Result<Arc<Engine>, OpenError> {
    Engine::open(config(dir), SimEnv::env(1)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_ends_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).await.unwrap();
    let path = dir.path().to_path_buf();
    let second = tokio::spawn(async move { open(&path).await });
    tokio::time::sleep(A_WHILE).await;
    assert!(!second.is_finished());
    first.close().await.unwrap();
    assert_eq!(Arc::strong_count(&first), 1, "a task still holds the closed engine");
    drop(first);
    second.await.unwrap().unwrap().close().await.unwrap();
}

/// The locks of the directories may be gone before that of an index.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_in_use_is_not_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.unwrap().close().await.unwrap();
    let indexes: [(&str, &'static [FamilySpec]); 2] = [("data/index", SCHEMA), ("d1/index", DRIVE_INDEX_SCHEMA)];
    for (index, schema) in indexes {
        let held = {
            let config = RocksConfig::drive_index(RocksMemory::new(1 << 20, 1 << 20));
            RocksKv::open(&dir.path().join(index), schema, &config).unwrap()
        };
        let path = dir.path().to_path_buf();
        let opening = tokio::spawn(async move { open(&path).await });
        tokio::time::sleep(A_WHILE).await;
        assert!(!opening.is_finished(), "{index}");
        assert!(!dir.path().join("data/index.old").exists());
        drop(held);
        let engine = opening.await.unwrap().unwrap();
        assert_eq!(engine.status().lost_drives.len(), 0, "{index}");
        engine.close().await.unwrap();
    }
}
