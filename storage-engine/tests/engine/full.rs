//! A disk that runs full: a clear error, nothing half-written, and service when there is room again.
//!
//! `mount -t tmpfs -o size=400m none /mnt/small; CHARTRIER_SMALL_FS=/mnt/small cargo test --release
//! -p chartrier-storage --test all -- --ignored a_full_disk`

#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::time::{Duration, Instant};

use chartrier_storage::meta::MetaReads;
use chartrier_storage::namespace::command::JournalIdentity;
use chartrier_storage::state::{StateConfig, StateMachine};

use super::*;

/// Takes every byte that is left.
fn fill(ballast: &Path) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(ballast).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

async fn try_put(engine: &Engine, key: &str, len: usize) -> Result<(), StorageError> {
    let written = write(engine, key, len).await?;
    let op = put_op(key, len, written);
    engine.propose(command(op)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs CHARTRIER_SMALL_FS, an empty file system of 400 MiB"]
async fn a_full_disk() {
    let root = PathBuf::from(std::env::var("CHARTRIER_SMALL_FS").unwrap());
    let mut rig = Rig::new();
    rig.config.data_dir = root.join("data");
    rig.config.drives = (0..6).map(|n| root.join(format!("d{n}"))).collect();
    rig.config.checkpoint_log_bytes = 8 << 20;
    let ballast = root.join("ballast");
    let engine = rig.open_with_bucket().await;
    let mut kept = Vec::new();
    for round in 0..3 {
        for n in 0..200 {
            let (key, len) = (format!("{round}/{n}"), 1 + n * 300);
            try_put(&engine, &key, len).await.unwrap();
            kept.push((key, len));
        }
        fill(&ballast);
        let mut refused = 0;
        for n in 200..2_000 {
            let (key, len) = (format!("{round}/{n}"), 1 + n % 7 * 3_000);
            let put = tokio::time::timeout(Duration::from_secs(5), try_put(&engine, &key, len)).await;
            match put {
                Ok(Ok(())) => kept.push((key, len)),
                Ok(Err(StorageError::Full)) => refused += 1,
                // It may hold later: not among those that must.
                Err(_elapsed) => refused += 1,
                Ok(Err(error)) => panic!("round {round}, {n}: {error}"),
            }
            if refused > 50 {
                break;
            }
        }
        assert!(refused > 50);
        for (key, len) in &kept {
            check(&engine, key, *len).await;
        }
        std::fs::remove_file(&ballast).unwrap();
        let begun = Instant::now();
        while let Err(error) = try_put(&engine, "again", 20_000).await {
            assert!(matches!(error, StorageError::Full | StorageError::Unavailable { .. }), "{error}");
            assert!(begun.elapsed() < Duration::from_secs(60), "still refused: {error}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!("round {round}: {} kept, service again after {:?}", kept.len(), begun.elapsed());
    }
    drop(engine);
    let engine = rig.open().await;
    for (key, len) in &kept {
        check(&engine, key, *len).await;
    }
    engine.close().await.unwrap();
}

/// The index itself meets the full disk: applying waits, and goes on.
#[test]
#[ignore = "needs CHARTRIER_SMALL_FS, an empty file system of 400 MiB"]
fn a_full_disk_under_the_index() {
    let root = PathBuf::from(std::env::var("CHARTRIER_SMALL_FS").unwrap()).join("index-only");
    std::fs::create_dir_all(&root).unwrap();
    let config = StateConfig::new(2 << 20, 2 << 20);
    let machine = Arc::new(StateMachine::open(&root.join("index"), &config).unwrap());
    let identity =
        JournalIdentity { origin: "o.example/c".to_owned(), tenant: "default".to_owned(), node: "n".to_owned() };
    let first = [(1, command(Op::SetJournal(identity))), (2, command(create_bucket(BUCKET, "b")))];
    machine.apply_batch(&first).unwrap();
    machine.wait_for_space(true);
    let ballast = root.join("ballast");
    fill(&ballast);
    let helper = std::thread::spawn({
        let machine = machine.clone();
        move || {
            let begun = Instant::now();
            while !machine.is_waiting_for_space() {
                assert!(begun.elapsed() < Duration::from_secs(100), "the disk never ran full");
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_secs(1));
            std::fs::remove_file(&ballast).unwrap();
            Instant::now()
        }
    });
    let mut index = 2;
    while !helper.is_finished() {
        index += 1;
        let written = WrittenBlob { blob: BlobRef::Inline(vec![7; 8000]), missing: Vec::new(), blake3: [0; 32] };
        machine.apply_batch(&[(index, command(put_op(&format!("k{index}"), 8000, written)))]).unwrap();
    }
    println!("{index} entries, going on {:?} after there was room", helper.join().unwrap().elapsed());
    assert!(!machine.is_waiting_for_space());
    machine.flush().unwrap();
    drop(machine);
    let machine = StateMachine::open(&root.join("index"), &config).unwrap();
    assert_eq!((machine.applied_index(), machine.journal_size()), (index, index - 1));
}
