//! How stores are sized and laid out.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel,
    LruCacheOptions, Options, WriteBufferManager,
};

use super::super::kv::{FamilySpec, ValueSize};

/// Memory that several stores share: a block cache and a bound on unflushed writes.
#[derive(Clone)]
pub struct RocksMemory {
    cache: Cache,
    buffers: WriteBufferManager,
}

impl RocksMemory {
    /// `cache_bytes` for blocks read, `buffer_bytes` for writes not yet flushed (a soft bound).
    pub fn new(cache_bytes: usize, buffer_bytes: usize) -> Self {
        Self {
            cache: Cache::new_lru_cache_opts(&cache_options(cache_bytes)),
            buffers: WriteBufferManager::new_write_buffer_manager(buffer_bytes, false),
        }
    }

    /// What the stores hold now, in bytes.
    pub fn usage_bytes(&self) -> u64 {
        (self.cache.get_usage() + self.buffers.get_usage()) as u64
    }
}

/// How one store is sized.
#[derive(Clone)]
pub struct RocksConfig {
    /// Shared with other stores.
    pub memory: RocksMemory,
    /// Unflushed bytes of one family before it flushes.
    pub write_buffer_bytes: usize,
    /// Open table files; the others are opened again when read.
    pub open_files: i32,
    /// Threads for flushes and compactions of this store (RocksDB's pool is one per process).
    pub background_jobs: i32,
}

impl RocksConfig {
    /// For the namespace.
    pub fn namespace(memory: RocksMemory) -> Self {
        Self { memory, write_buffer_bytes: 8 << 20, open_files: 256, background_jobs: 2 }
    }

    /// For the index of one drive.
    pub fn drive_index(memory: RocksMemory) -> Self {
        Self { memory, write_buffer_bytes: 2 << 20, open_files: 32, background_jobs: 1 }
    }
}

/// Options of a whole store.
pub(super) fn database_options(config: &RocksConfig) -> Options {
    let mut options = Options::default();
    options.set_atomic_flush(true);
    options.set_paranoid_checks(true);
    options.set_write_buffer_manager(&config.memory.buffers);
    options.set_max_background_jobs(config.background_jobs);
    options.set_max_open_files(config.open_files);
    options.set_table_cache_num_shard_bits(2);
    options.set_skip_stats_update_on_db_open(true);
    options.set_bytes_per_sync(1 << 20);
    // RocksDB's own notes: small, few, and never statistics.
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn cache_options(cache_bytes: usize) -> LruCacheOptions {
    let mut options = LruCacheOptions::default();
    options.set_capacity(cache_bytes);
    // Few shards, so that each has room for many blocks though the whole is small.
    options.set_num_shard_bits(2);
    options
}

/// The families of a schema, and the one that RocksDB wants beside them.
pub(super) fn families(config: &RocksConfig, schema: &[FamilySpec]) -> Vec<ColumnFamilyDescriptor> {
    let default = ("default", ValueSize::Small);
    let named = schema.iter().map(|spec| (spec.name, spec.values));
    let all = std::iter::once(default).chain(named);
    all.map(|(name, values)| ColumnFamilyDescriptor::new(name, family_options(config, values))).collect()
}

/// Options of one family.
fn family_options(config: &RocksConfig, values: ValueSize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&config.memory.cache);
    table.set_block_size(8 << 10);
    table.set_bloom_filter(10.0, false);
    // Index and filter blocks count against the cache, so that memory does not grow with the store.
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    // They are cut into small blocks: whole ones would not fit in a shard of a small cache, and
    // every look-up would read them again.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 << 10);
    table.set_pin_top_level_index_and_filter(true);
    table.set_format_version(5);

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(config.write_buffer_bytes);
    options.set_max_write_buffer_number(3);
    // A family that is hardly used must not hold a large arena.
    options.set_arena_block_size(64 << 10);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(16 << 20);
    // Compaction that falls behind stops writes for a moment at last; it never slows them down before:
    // RocksDB's slowdown counts each refused attempt as written, and one that retries would starve.
    options.set_level_zero_slowdown_writes_trigger(LEVEL0_FILES_MAX);
    options.set_level_zero_stop_writes_trigger(LEVEL0_FILES_MAX);
    options.set_soft_pending_compaction_bytes_limit(0);
    options.set_hard_pending_compaction_bytes_limit(0);
    // Listings step over removed keys until compaction takes them: files dense in them go first.
    options.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS_WINDOW / 4, 0.5);
    if values == ValueSize::Large {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_file_size(64 << 20);
        // Sealed bytes do not compress.
        options.set_blob_compression_type(DBCompressionType::None);
        options.set_enable_blob_gc(true);
        options.set_blob_gc_age_cutoff(0.25);
        options.set_blob_gc_force_threshold(0.5);
    }
    options
}

/// Values at or over this many bytes go to blob files in a family of large values.
const BLOB_BYTES_MIN: u64 = 4 << 10;

/// Flushed files that may wait for compaction.
const LEVEL0_FILES_MAX: i32 = 64;

/// A file with this many rows in a row, a quarter of them removals, is compacted soon.
const DELETIONS_WINDOW: usize = 4096;
