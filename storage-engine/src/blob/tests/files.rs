//! The same on real files: removed and moved directories, kill without warning, the page cache.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::drive::IndexFactory;
use crate::io::FileIo;

/// Ids are never drawn twice, over restarts too.
fn fresh_env() -> Env {
    static SEED: AtomicU64 = AtomicU64::new(1);
    SimEnv::env(SEED.fetch_add(1, Ordering::Relaxed))
}

fn open_files(root: &Path, order: &mut Vec<DriveId>) -> BlobStore {
    open_files_with(root, order, &memory_index())
}

fn open_files_with(root: &Path, order: &mut Vec<DriveId>, index: &IndexFactory) -> BlobStore {
    let metrics = Arc::new(DataMetrics::default());
    let config = DriveConfig {
        cluster: ClusterId::from_bytes([0xc1; 16]),
        site: "FR-75".parse().unwrap(),
        segment_bytes: SEGMENT_BYTES,
        index: index.clone(),
    };
    let drives: Vec<Arc<Drive>> = (0..6)
        .map(|number| {
            let io = FileIo::open(&root.join(format!("d{number}"))).unwrap();
            Drive::open_or_format(Arc::new(io), &config, &fresh_env(), metrics.clone()).unwrap()
        })
        .collect();
    if order.is_empty() {
        *order = drives.iter().map(|drive| drive.id()).collect();
    }
    store(drives, rotated_layout(1, 4, 2, order), &fresh_env(), metrics)
}

#[tokio::test]
async fn any_two_folders_may_be_removed_or_moved_while_it_runs() {
    let root = tempfile::tempdir().unwrap();
    let mut order = Vec::new();
    let store = open_files(root.path(), &mut order);
    let bytes = pattern(1, 7_000_000);
    let old = write(&store, &bytes, None).await.unwrap().blob;
    std::fs::remove_dir_all(root.path().join("d3")).unwrap();
    let written = write(&store, &bytes, None).await.unwrap();
    assert_eq!(written.missing.len(), 14, "one shard of each stripe");
    std::fs::rename(root.path().join("d0"), root.path().join("elsewhere")).unwrap();
    store.tick();
    for blob in [&old, &written.blob] {
        assert!(read_all(&store, blob).await.unwrap() == bytes);
    }
    assert!(store.metrics().snapshot().cells_rebuilt > 0);
    drop(store);

    // Stopped, two of the remaining are not enough to lose it: the folder that was moved comes back.
    std::fs::rename(root.path().join("elsewhere"), root.path().join("d0")).unwrap();
    let mut again = order.clone();
    let store = open_files(root.path(), &mut again);
    assert!(!store.drives().iter().any(|drive| drive.id() == order[3]), "a fresh folder is another drive");
    for blob in [&old, &written.blob] {
        assert!(read_all(&store, blob).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn cached_cells_are_read_without_a_thread() {
    let root = tempfile::tempdir().unwrap();
    let store = open_files(root.path(), &mut Vec::new());
    let bytes = pattern(1, 3_000_000);
    let blob = write(&store, &bytes, None).await.unwrap().blob;
    assert!(read_all(&store, &blob).await.unwrap() == bytes);
    let counts = store.metrics().snapshot();
    assert_eq!(counts.cells_cached + counts.cells_queued, 48);
    assert!(counts.cells_cached > 0 || !cfg!(target_os = "linux"), "{counts:?}");
}

#[tokio::test]
async fn a_stop_without_warning_loses_nothing_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let mut order = Vec::new();
    let mut blobs = Vec::new();
    for round in 0..3 {
        let store = open_files(root.path(), &mut order);
        for seed in 0..5 {
            let bytes = pattern(round * 10 + seed, 50_000 + 400_000 * seed as usize);
            blobs.push((write(&store, &bytes, None).await.unwrap().blob, bytes));
        }
        // No close: segments stay open, the index in memory is lost.
        drop(store);
    }
    let store = open_files(root.path(), &mut order);
    for (blob, bytes) in &blobs {
        assert!(read_all(&store, blob).await.unwrap() == *bytes);
    }
    store.close().await;
    let segments = std::fs::read_dir(root.path().join("d1/segments")).unwrap().count();
    assert!(segments <= 12, "{segments} segments: spares are removed");
}

/// Fills a real file system, with RocksDB indexes on it, and frees space again.
///
/// `mount -t tmpfs -o size=300m none /mnt/small; CHARTRIER_SMALL_FS=/mnt/small cargo test --release
/// -p chartrier-storage -- --ignored a_real_file_system`
#[tokio::test]
#[ignore = "needs CHARTRIER_SMALL_FS, an empty file system of a few hundred MiB"]
async fn a_real_file_system_may_run_full() {
    let root = std::path::PathBuf::from(std::env::var("CHARTRIER_SMALL_FS").unwrap());
    let memory = crate::state::rocks::RocksMemory::new(8 << 20, 2 << 20);
    let index = crate::drive::rocks_index(crate::state::rocks::RocksConfig::drive_index(memory));
    let mut order = Vec::new();
    let store = open_files_with(&root, &mut order, &index);
    let ballast = root.join("ballast");
    let mut kept = Vec::new();
    for round in 0..3 {
        let mut refused = 0;
        for seed in 0..200_000 {
            let bytes = pattern(seed, 3000 + (seed as usize % 7) * 30_000);
            match write(&store, &bytes, None).await {
                Ok(written) => kept.push((seed, bytes.len(), written.blob)),
                Err(StorageError::Full) => refused += 1,
                Err(error) => panic!("round {round}, after {} blobs: {error}", kept.len()),
            }
            if refused == 0 && seed == 300 {
                fill(&ballast);
            }
            if refused > 50 {
                break;
            }
        }
        assert!(refused > 50, "it ran full");
        // Indexes flush on the full disk, as they would in the background.
        for drive in store.drives() {
            drop(drive.close().await);
        }
        for (seed, len, blob) in &kept {
            assert!(read_all(&store, blob).await.unwrap() == pattern(*seed, *len));
        }
        std::fs::remove_file(&ballast).unwrap();
        let began = std::time::Instant::now();
        while let Err(error) = write(&store, &pattern(1, 50_000), None).await {
            assert!(began.elapsed().as_secs() < 30, "writes are still refused: {error}");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
    drop(store);
    let store = open_files_with(&root, &mut order, &index);
    for (seed, len, blob) in &kept {
        assert!(read_all(&store, blob).await.unwrap() == pattern(*seed, *len));
    }
}

/// Takes every byte that is left.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}
