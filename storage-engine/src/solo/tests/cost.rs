//! What a small commit costs on real files. Not a gate: run by hand, figures on standard output.
//!
//! `cargo test --release -p chartrier-storage --lib -- --ignored --nocapture solo::tests::cost`

use std::sync::Arc;
use std::time::Instant;

use super::machine::{History, command};
use crate::drive::{DataMetrics, Drive, DriveConfig, memory_index};
use crate::env::SimEnv;
use crate::io::FileIo;
use crate::log::LogConfig;
use crate::log::tests::rig::CLUSTER;
use crate::solo::{Solo, SoloConfig};

#[test]
#[ignore = "prints figures"]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn small_commits() {
    let data = tempfile::tempdir_in(".").unwrap();
    let drives: Vec<_> = (0..6)
        .map(|place| {
            let io = Arc::new(FileIo::open(&data.path().join(format!("d{place}"))).unwrap());
            let site = "FR-75".parse().unwrap();
            let config = DriveConfig { cluster: CLUSTER, site, segment_bytes: 2 << 20, index: memory_index() };
            Drive::open_or_format(io, &config, &SimEnv::env(place), Arc::new(DataMetrics::default())).unwrap()
        })
        .collect();
    let log = LogConfig { cluster: CLUSTER, parity: 2, segment_bytes: LogConfig::SEGMENT_BYTES_DEFAULT };
    let config = SoloConfig { index_dir: data.path().join("index"), log, checkpoint_log_bytes: u64::MAX };
    let begun = Instant::now();
    let solo = Arc::new(Solo::open(drives, config, History::open).unwrap().solo);
    println!("first start: {:?}", begun.elapsed());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for clients in [1_u32, 8, 64] {
        let (before, begun) = (solo.status(), Instant::now());
        let rounds = 2000 / clients.min(8);
        runtime.block_on(async {
            let client = |number: u32| {
                let solo = solo.clone();
                tokio::spawn(async move {
                    for round in 0..rounds {
                        let mut command = command(&format!("{clients}-{number}-{round}"));
                        command.context.actor_pid = "x".repeat(4400);
                        solo.propose(command).await.unwrap();
                    }
                })
            };
            for client in (0..clients).map(client).collect::<Vec<_>>() {
                client.await.unwrap();
            }
        });
        let (after, took) = (solo.status(), begun.elapsed());
        let entries = (after.entries - before.entries) as f64;
        let syncs = (after.syncs - before.syncs) as f64 / 3.0;
        let rate = entries / took.as_secs_f64();
        println!("{clients} clients: {rate:.0} commits/s, {:.3} syncs per mirror per commit", syncs / entries);
    }
}
