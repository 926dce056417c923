//! One installation on real directories, whose clock is ahead more and more.

use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::{Engine, EngineConfig, ReclaimConfig};
use crate::env::{Clock, Env, SimEnv};
use crate::mend::MendConfig;

/// Drives of the first start: a group of 2+1 leaves one over.
pub(super) const DRIVES: usize = 4;
/// From one opening to the next: an orphan of the one before is then old.
const STEP_HOURS: u64 = 49;

pub(super) struct Site {
    pub(super) dir: PathBuf,
    pub(super) openings: u64,
}

struct Ahead(u64);

impl Clock for Ahead {
    fn now_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64 + self.0
    }
}

impl Site {
    pub(super) fn new(dir: &Path, openings: u64) -> Self {
        Self { dir: dir.to_path_buf(), openings }
    }

    pub(super) fn config(&self) -> EngineConfig {
        EngineConfig {
            data_dir: self.dir.join("data"),
            drives: (0..DRIVES).map(|n| self.dir.join(format!("d{n}"))).collect(),
            k: 2,
            m: 1,
            segment_bytes: 2 << 20,
            log_segment_bytes: 256 << 10,
            checkpoint_log_bytes: 8 << 20,
            mend: MendConfig { repair_bytes_per_s: 0, scrub_period_s: 0, evacuate_after_s: 0 },
            reclaim: ReclaimConfig {
                grace: Duration::from_millis(300),
                compaction_interval: Duration::from_secs(3600),
                ..ReclaimConfig::default()
            },
            ..EngineConfig::default()
        }
    }

    /// Opens the engine; whatever was left by earlier openings is old by its clock.
    pub(super) async fn open(&mut self) -> Arc<Engine> {
        self.openings += 1;
        let ahead = Ahead(self.openings * STEP_HOURS * 3_600_000_000);
        // Other ids at each opening; not for keys.
        let random = SimEnv::env(std::hash::RandomState::new().hash_one(self.openings)).random;
        let env = Env { clock: Arc::new(ahead), random };
        Engine::open(self.config(), env).await.unwrap()
    }

    /// A folder where no drive ever was.
    pub(super) fn new_folder(&self) -> PathBuf {
        (0..).map(|n| self.dir.join(format!("new{n}"))).find(|path| !path.exists()).unwrap()
    }
}

/// Waits until every shard is where it belongs.
pub(super) async fn settled(engine: &Engine) {
    let patience = std::time::Instant::now() + Duration::from_secs(120);
    while !(engine.is_settled() && engine.status().shards_to_heal == 0 && engine.mender().is_idle()) {
        assert!(
            std::time::Instant::now() < patience,
            "not settled: {:?} {:?} {:?}",
            engine.move_progress(),
            engine.mender().status(),
            engine.status()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
