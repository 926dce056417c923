//! Drives that run full, each a small file system of its own: mounted here when this process may, else
//! the stories are passed over. `CHARTRIER_SMALL_FS=off` passes them over too.

#![allow(clippy::print_stderr)]

use std::process::Command as Process;
use std::time::{Duration, Instant};

use super::*;

/// A tmpfs, gone when dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where this process may not mount.
    fn mount(dir: &Path, bytes: u64) -> Option<Self> {
        if std::env::var("CHARTRIER_SMALL_FS").is_ok_and(|set| set == "off") || !rustix_is_root() {
            return None;
        }
        std::fs::create_dir_all(dir).unwrap();
        let size = format!("size={bytes}");
        let mounted = Process::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(dir).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(dir.to_path_buf()))
    }
}

fn rustix_is_root() -> bool {
    Process::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn try_put(engine: &Engine, key: &str, len: usize) -> Result<usize, StorageError> {
    let written = write(engine, key, len).await?;
    let missing = written.missing.len();
    engine.propose(command(put_op(key, len, written))).await.map(|_| missing)
}

/// Puts until there is no room; answers how many fitted.
async fn fill(engine: &Engine, prefix: &str, len: usize) -> usize {
    for n in 0.. {
        match try_put(engine, &format!("{prefix}/{n}"), len).await {
            Ok(_) => {}
            Err(StorageError::Full) => return n,
            Err(error) => panic!("{prefix}/{n}: {error}"),
        }
    }
    unreachable!("a drive has an end")
}

async fn resumes(engine: &Engine, len: usize) {
    let begun = Instant::now();
    while let Err(error) = try_put(engine, "again", len).await {
        assert!(matches!(error, StorageError::Full), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(60), "still refused: {error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    check(engine, "again", len).await;
}

const LEN: usize = 600_000;

#[tokio::test(flavor = "multi_thread")]
async fn all_drives_full_then_deletes_then_service() {
    let mut rig = Rig::new();
    let root = rig.dir.path().to_path_buf();
    let mounts: Option<Vec<Small>> = (0..6).map(|n| Small::mount(&root.join(format!("d{n}")), 48 << 20)).collect();
    let Some(mounts) = mounts else {
        return eprintln!("passed over: no small file systems here");
    };
    rig.config.segment_bytes = 4 << 20;
    rig.config.log_segment_bytes = 1 << 20;
    rig.config.checkpoint_log_bytes = 2 << 20;
    let engine = rig.open_with_bucket().await;
    let count = fill(&engine, "k", LEN).await;
    assert!(count > 100, "{count} objects");
    for n in (0..count).step_by(7) {
        check(&engine, &format!("k/{n}"), LEN).await;
    }
    for n in 0..count {
        if n % 4 != 0 {
            delete(&engine, &format!("k/{n}")).await;
        }
    }
    let report = engine.reclaim_now().await.unwrap();
    assert!(report.drives_failed == 0 && report.compaction.reclaimed_bytes > 100 << 20, "{report:?}");
    resumes(&engine, LEN).await;
    let more = fill(&engine, "more", LEN).await;
    assert!(more * 4 >= count * 2, "{more} more after {count} were cut to a quarter");
    for n in (0..count).step_by(4) {
        check(&engine, &format!("k/{n}"), LEN).await;
    }
    let status = engine.status();
    assert!(status.is_whole(), "{status:?}");
    close(engine).await;
    let engine = rig.open().await;
    check(&engine, "again", LEN).await;
    engine.close().await.unwrap();
    drop((engine, mounts));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_full_drive_is_written_around_and_comes_back() {
    let mut rig = Rig::new();
    let root = rig.dir.path().to_path_buf();
    let Some(small) = Small::mount(&root.join("d2"), 40 << 20) else {
        return eprintln!("passed over: no small file systems here");
    };
    rig.config.segment_bytes = 4 << 20;
    rig.config.log_segment_bytes = 1 << 20;
    let engine = rig.open_with_bucket().await;
    let mut missing = 0;
    let mut count = 0;
    while missing < 20 {
        missing += try_put(&engine, &format!("k/{count}"), LEN).await.unwrap();
        count += 1;
        assert!(count < 2000);
    }
    assert_eq!(engine.status().shards_to_heal, missing as u64);
    for n in (0..count).step_by(5) {
        check(&engine, &format!("k/{n}"), LEN).await;
    }
    for n in 0..count {
        delete(&engine, &format!("k/{n}")).await;
    }
    assert_eq!(engine.status().shards_to_heal, 0, "the dead need no healing");
    engine.reclaim_now().await.unwrap();
    assert_eq!(try_put(&engine, "again", LEN).await.unwrap(), 0, "the drive takes shards again");
    engine.close().await.unwrap();
    drop((engine, small));
}

/// A drive whose disk others fill to the last byte: its index cannot flush. It refuses, it is not
/// taken out of service for being slow, and it goes on when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_drive_whose_index_has_no_room_refuses_and_goes_on() {
    let mut rig = Rig::with(1, 1, 2);
    let root = rig.dir.path().to_path_buf();
    let Some(small) = Small::mount(&root.join("d1"), 96 << 20) else {
        return eprintln!("passed over: no small file systems here");
    };
    rig.config.segment_bytes = 64 << 20;
    rig.config.log_segment_bytes = 1 << 20;
    rig.config.inline_limit = 0;
    rig.config.drive_index_bytes = 1 << 20;
    let engine = rig.open_with_bucket().await;
    put(&engine, "first", LEN).await;
    let ballast = root.join("d1/ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    // Small blobs: much index, little else.
    let begun = Instant::now();
    let mut refused = 0;
    for n in 0..30_000 {
        match tokio::time::timeout(Duration::from_secs(20), try_put(&engine, &format!("s/{n}"), 64)).await {
            Ok(Ok(_)) => {}
            Ok(Err(StorageError::Full)) => refused += 1,
            Ok(Err(error)) => panic!("{n}: {error}"),
            Err(_elapsed) => panic!("{n}: a write hangs on a full drive"),
        }
        if refused >= 3 || begun.elapsed() > Duration::from_secs(30) {
            break;
        }
    }
    check(&engine, "first", LEN).await;
    // Open, it would keep its space.
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    resumes(&engine, LEN).await;
    assert!(engine.status().drives.iter().all(|drive| drive.state.writes()), "{:?}", engine.status().drives);
    engine.close().await.unwrap();
    drop((engine, small));
}
