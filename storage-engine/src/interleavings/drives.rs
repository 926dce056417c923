//! One drive: appends, repairs, frees, compaction and reads at once.

use std::sync::Arc;

use bytes::BytesMut;
use shuttle::future::block_on;

use super::check;
use crate::budget::Pool;
use crate::codec::Geometry;
use crate::drive::{CellRead, CompactionPolicy, DataMetrics, Drive, DriveConfig, Durability, memory_index};
use crate::env::SimEnv;
use crate::ids::{ClusterId, StripeId};
use crate::io::{DriveIo, SimIo, SimWorld};
use crate::segment::checksum::cell_crc64;
use crate::segment::location::ShardKey;
use crate::segment::shape::StripeShape;
use crate::segment::stripe::{EncodedStripe, encode_row, parity_bytes};
use crate::sync::thread;

const EAGER: CompactionPolicy =
    CompactionPolicy { dead_percent: 35, low_space_percent: 10, bytes_per_second: 0, eager: true };

fn open(io: &SimIo) -> Arc<Drive> {
    let config = DriveConfig {
        cluster: ClusterId::from_bytes([0xc1; 16]),
        site: "FR-75".parse().unwrap(),
        segment_bytes: 2 << 20,
        index: memory_index(),
    };
    let io: Arc<dyn DriveIo> = Arc::new(io.clone());
    Drive::open_or_format(io, &config, &SimEnv::env(1), Arc::new(DataMetrics::default())).unwrap()
}

fn id(n: u8) -> StripeId {
    StripeId::first(1, [n; 6])
}

/// A small stripe of 2+1 whose bytes follow from its number.
fn stripe(n: u8) -> Arc<EncodedStripe> {
    let shape = StripeShape::new(Geometry::new(2, 1).unwrap(), 900).unwrap();
    let parity_at = shape.padded_bytes();
    let mut buffer = Pool::new(1 << 20).try_take(parity_at + parity_bytes(&shape)).unwrap();
    buffer[..parity_at].fill(n);
    let mut crcs = Vec::new();
    encode_row(id(n), &shape, 0, &mut buffer, parity_at, &mut crcs);
    Arc::new(EncodedStripe::new(id(n), shape, (1, 0), (buffer, parity_at), crcs))
}

fn put(drive: &Drive, n: u8) {
    block_on(drive.append(stripe(n), 0, Durability::Synced)).unwrap().unwrap();
}

/// Whether the shard is there; if it is, its bytes are right.
fn read(drive: &Drive, n: u8) -> bool {
    let Some(location) = drive.locate(id(n), 0).unwrap() else { return false };
    let cell = CellRead { row: 0, bytes: BytesMut::zeroed(location.cell_len(0)) };
    let mut reading = drive.read_column(&ShardKey { stripe: id(n), shard: 0 }, &location, vec![cell]);
    let cells = block_on(reading.finish());
    let [(cell, result)] = &cells[..] else { panic!("{} cells", cells.len()) };
    if result.is_err() {
        // Freed since it was located, and its segment removed: that is said, never other bytes.
        return false;
    }
    assert_eq!(cell_crc64(id(n), 0, 0, &cell.bytes), location.crcs[0], "stripe {n}");
    assert!(cell.bytes.iter().all(|byte| *byte == n), "the bytes of another stripe than {n}");
    true
}

fn free(drive: &Drive, n: u8) {
    block_on(drive.free(vec![ShardKey { stripe: id(n), shard: 0 }])).unwrap().unwrap();
}

/// Stripes 1 to 4 are there before; 1 and 2 are kept, 3 and 4 are freed, 5 and 6 come, 2 is repaired.
fn play(crash: bool) {
    let world = SimWorld::new();
    let io = SimIo::new(&world, "d");
    let drive = open(&io);
    (1..=4).for_each(|n| put(&drive, n));
    let run = |work: fn(&Drive)| {
        let drive = drive.clone();
        thread::spawn(move || work(&drive))
    };
    let collector = run(|drive| {
        free(drive, 3);
        block_on(drive.compact(EAGER)).unwrap().unwrap();
        free(drive, 4);
        block_on(drive.compact(EAGER)).unwrap().unwrap();
    });
    let reader = run(|drive| {
        for n in [1, 3, 2, 4, 1] {
            assert!(read(drive, n) || n > 2, "stripe {n} cannot be read");
        }
    });
    let writer = run(|drive| {
        put(drive, 5);
        assert!(read(drive, 5));
        put(drive, 6);
    });
    let mender = run(|drive| drop(block_on(drive.replace(stripe(2), 0)).unwrap().unwrap()));
    for thread in [collector, reader, writer, mender] {
        thread.join().unwrap();
    }
    for n in 1..=6 {
        assert_eq!(read(&drive, n), n != 3 && n != 4, "stripe {n}");
    }
    if crash {
        world.cut_now();
        drop(drive);
        world.restart(7);
        let drive = open(&io);
        for n in [1, 2, 5, 6] {
            assert!(read(&drive, n), "stripe {n} after a power cut");
        }
    }
}

#[test]
fn what_is_kept_reads_right_while_space_is_given_back() {
    check(400, || play(false));
}

#[test]
fn and_is_there_after_a_power_cut() {
    check(200, || play(true));
}

/// A drive that is failed under its users lets all of them go.
#[test]
fn nobody_waits_for_a_drive_that_failed() {
    check(400, || {
        let io = SimIo::new(&SimWorld::new(), "d");
        let drive = open(&io);
        put(&drive, 1);
        let users: Vec<_> = (0..3_u8)
            .map(|n| {
                let drive = drive.clone();
                thread::spawn(move || match n {
                    // An answer or a dropped channel: both end the wait.
                    0 => drop(block_on(drive.append(stripe(2), 0, Durability::Synced))),
                    1 => drop(block_on(drive.sync())),
                    _ => drop(block_on(drive.compact(EAGER))),
                })
            })
            .collect();
        drive.fail("by the test");
        users.into_iter().for_each(|user| user.join().unwrap());
    });
}
