//! The same on real files: removed and moved directories, kill without warning, the page cache.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::io::FileIo;

/// Ids are never drawn twice, over restarts too.
fn fresh_env() -> Env {
    static SEED: AtomicU64 = AtomicU64::new(1);
    SimEnv::env(SEED.fetch_add(1, Ordering::Relaxed))
}

fn open_files(root: &Path, order: &mut Vec<DriveId>) -> BlobStore {
    let metrics = Arc::new(DataMetrics::default());
    let config = DriveConfig {
        cluster: ClusterId::from_bytes([0xc1; 16]),
        site: "FR-75".parse().unwrap(),
        segment_bytes: SEGMENT_BYTES,
        index: memory_index(),
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
