//! What an engine is opened with.

use std::path::PathBuf;

use super::packing::PackConfig;
use super::reclaim::ReclaimConfig;
use crate::blob::INLINE_BYTES;
use crate::codec::Geometry;
use crate::error::OpenError;
use crate::log::LogConfig;
use crate::mend::MendConfig;
use crate::solo::SoloConfig;

/// Most drives of one machine.
pub(super) const DRIVES_MAX: usize = 36;

/// What an engine is opened with.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Directory of the lock, the description of the installation, and the index.
    pub data_dir: PathBuf,
    /// One directory per drive, k+m to 36 of them. Made on the first start only.
    pub drives: Vec<PathBuf>,
    /// Data columns.
    pub k: u8,
    /// Parity columns: how many drives may be lost.
    pub m: u8,
    /// Where the drives stand, `FR-75` style.
    pub site: String,
    /// Blobs up to this many sealed bytes are kept in the namespace; 0 keeps none there.
    pub inline_limit: usize,
    /// Which larger ones are kept as whole copies at first, and when they are packed with others.
    pub pack: PackConfig,
    /// Length of a data segment.
    pub segment_bytes: u64,
    /// Length of a log segment.
    pub log_segment_bytes: u64,
    /// Growth of the log after which a checkpoint is taken.
    pub checkpoint_log_bytes: u64,
    /// Bound on the buffers of all transfers.
    pub memory_budget_bytes: usize,
    /// Block cache of the namespace.
    pub index_cache_bytes: usize,
    /// Writes of the namespace that are not flushed yet.
    pub index_buffer_bytes: usize,
    /// Block cache and unflushed writes of all drive indexes together.
    pub drive_index_bytes: usize,
    /// How the mender may spend the drives' time.
    pub mend: MendConfig,
    /// When space is given back.
    pub reclaim: ReclaimConfig,
    /// Names the `cycle` log. Fixed at the first start.
    pub journal_origin: String,
    /// The tenant that leaves name. Fixed at the first start.
    pub tenant: String,
    /// The node that leaves name. Fixed at the first start.
    pub node: String,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::new(),
            drives: Vec::new(),
            k: 4,
            m: 2,
            site: "FR-75".to_owned(),
            inline_limit: INLINE_BYTES,
            pack: PackConfig::default(),
            segment_bytes: 256 << 20,
            log_segment_bytes: LogConfig::SEGMENT_BYTES_DEFAULT,
            checkpoint_log_bytes: SoloConfig::CHECKPOINT_LOG_BYTES_DEFAULT,
            memory_budget_bytes: 128 << 20,
            index_cache_bytes: 16 << 20,
            index_buffer_bytes: 16 << 20,
            drive_index_bytes: 16 << 20,
            mend: MendConfig::default(),
            reclaim: ReclaimConfig::default(),
            journal_origin: "chartrier.local/default/cycle".to_owned(),
            tenant: "default".to_owned(),
            node: "node-1".to_owned(),
        }
    }
}

impl EngineConfig {
    /// Shards of a stripe.
    pub(super) fn shards(&self) -> usize {
        usize::from(self.k) + usize::from(self.m)
    }

    /// Refuses what cannot work, before anything is touched.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        Geometry::new(self.k, self.m).map_err(|error| OpenError::Config(error.to_string()))?;
        let count = self.drives.len();
        if count < self.shards() {
            return Err(OpenError::Config(format!(
                "{}+{} needs {} drives, {count} are given",
                self.k,
                self.m,
                self.shards()
            )));
        }
        if count > DRIVES_MAX {
            return Err(OpenError::Config(format!("{count} drives are given, the most is {DRIVES_MAX}")));
        }
        let mut sorted = self.drives.clone();
        sorted.sort();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(OpenError::Config(format!("drive {} is given twice", pair[0].display())));
        }
        Ok(())
    }
}
