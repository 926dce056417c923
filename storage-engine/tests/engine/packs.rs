//! Small objects: whole copies first, packed into stripes later. Every object reads back right at every step, whatever
//! is removed, packed, killed or lost in between, and in the end they take little more than (k+m)/k of their bytes.

mod drives;
mod random;

use std::time::Duration;

use chartrier_storage::engine::{PackConfig, PackStatus, ReclaimConfig};
use chartrier_storage::ids::UploadId;

use super::*;

/// Nothing is packed or given back by itself.
fn quiet(rig: &mut Rig) {
    let hour = Duration::from_secs(3600);
    rig.config.pack = PackConfig { age: hour, leftover_age: hour, ..PackConfig::default() };
    rig.config.reclaim = ReclaimConfig { grace: hour, compaction_interval: hour, ..ReclaimConfig::default() };
}

fn rig() -> Rig {
    let mut rig = Rig::new();
    quiet(&mut rig);
    rig
}

/// Objects of 9 to 250 KB.
fn len_of(n: usize) -> usize {
    9_000 + n * 7_919 % 241_000
}

async fn fill(engine: &Engine, count: usize) {
    for n in 0..count {
        put(engine, &format!("k{n}"), len_of(n)).await;
    }
}

async fn check_all(engine: &Engine, keys: impl Iterator<Item = usize>) {
    for n in keys {
        check(engine, &format!("k{n}"), len_of(n)).await;
    }
}

fn blob_of(engine: &Engine, key: &str) -> BlobRef {
    engine.current(BUCKET, key).unwrap().unwrap().parts[0].blob.clone()
}

async fn read_range(engine: &Engine, blob: &BlobRef, range: std::ops::Range<u64>) -> Result<Vec<u8>, StorageError> {
    let mut reader = engine.blobs().reader(blob, range);
    let mut bytes = Vec::new();
    while let Some(buffer) = reader.next().await? {
        bytes.extend_from_slice(buffer.as_slice());
    }
    Ok(bytes)
}

/// Four packs were filled at once, whatever memory there was for them and for clients.
#[tokio::test(flavor = "multi_thread")]
async fn packing_leaves_clients_most_of_a_small_budget() {
    let mut rig = rig();
    rig.config.memory_budget_bytes = 12 << 20;
    let engine = rig.open_with_bucket().await;
    fill(&engine, 150).await;
    let writers = engine.blobs().budget().writers().clone();
    let packing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.pack_now().await.unwrap() }
    });
    let mut most = 0;
    while !packing.is_finished() {
        most = most.max(writers.used_bytes());
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    assert!(packing.await.unwrap().packs > 8);
    assert!(most > 0 && most <= writers.limit_bytes() / 4, "{most} of {} bytes", writers.limit_bytes());
    check_all(&engine, 0..150).await;
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_end_near_the_overhead_of_stripes() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 150).await;
    put(&engine, "inline", 5_000).await;
    put(&engine, "large", 900_000).await;
    let bytes: u64 = (0..150).map(|n| len_of(n) as u64).sum();
    let large = 900_000 * 3 / 2 + 6 * 4096;
    let status = engine.pack_status();
    assert_eq!((status.counts.waiting_runs, status.counts.waiting_bytes, status.counts.packs), (150, bytes, 0));
    let as_copies = stored(&engine) - large;
    assert!(as_copies > bytes * 3 && as_copies < bytes * 33 / 10, "{as_copies} for {bytes}");
    let before: Vec<BlobRef> = (0..150).map(|n| blob_of(&engine, &format!("k{n}"))).collect();

    let report = engine.pack_now().await.unwrap();
    assert_eq!((report.runs, report.bytes), (150, bytes));
    let counts = engine.pack_status().counts;
    assert_eq!((counts.waiting_runs, counts.members, counts.packs), (0, 150, report.packs));
    assert_eq!((counts.live_bytes, counts.packed_bytes), (bytes, bytes));
    check_all(&engine, 0..150).await;
    assert_eq!(engine.metrics().data.cells_missing, 0, "nothing was looked for in vain");
    // What names them is not touched, and any range is read with the cells it needs.
    for n in (0..150).step_by(7) {
        let blob = blob_of(&engine, &format!("k{n}"));
        assert_eq!(blob, before[n]);
        let (len, whole) = (len_of(n) as u64, pattern(&format!("k{n}"), len_of(n)));
        for range in [0..1, len - 1..len, len / 3..len / 2, 0..len + 99, len..len + 1] {
            let expected = &whole[range.start as usize..(range.end as usize).min(whole.len())];
            assert!(read_range(&engine, &blob, range.clone()).await.unwrap() == expected, "k{n} {range:?}");
        }
    }

    // Copies keep their grace. Then they go, and again nothing is to be done.
    assert_eq!(engine.reclaim_now().await.unwrap().runs_freed, 150);
    let packed = stored(&engine) - large;
    assert!(packed < bytes * 155 / 100, "{packed} for {bytes}");
    assert_eq!(engine.pack_now().await.unwrap(), Default::default());
    assert_eq!(engine.reclaim_now().await.unwrap().runs_freed, 0);
    check_all(&engine, 0..150).await;
    close(engine).await;
    let engine = rig.open().await;
    check_all(&engine, 0..150).await;
    assert_eq!(engine.pack_status().counts, counts);
    assert_eq!(engine.reclaim_now().await.unwrap().orphans.orphans, 0);
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_packed_by_themselves_when_they_are_old_enough() {
    let mut rig = rig();
    rig.config.pack = PackConfig {
        age: Duration::from_millis(500),
        leftover_age: Duration::from_secs(3600),
        ..PackConfig::default()
    };
    let engine = rig.open_with_bucket().await;
    fill(&engine, 40).await;
    eventually("whole stripes are packed", || engine.pack_status().counts.waiting_bytes < 1 << 20).await;
    assert!(engine.pack_status().counts.waiting_runs > 0, "what does not fill a stripe waits");
    check_all(&engine, 0..40).await;
    close(engine).await;
    rig.config.pack.leftover_age = Duration::from_secs(1);
    let engine = rig.open().await;
    eventually("the others follow", || engine.pack_status().counts.waiting_runs == 0).await;
    check_all(&engine, 0..40).await;
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_while_what_it_reads_is_packed_packed_again_and_deleted() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 40).await;
    let (blob, expected) = (blob_of(&engine, "k30"), pattern("k30", len_of(30)));
    let run = blob.stripes().unwrap().clone();
    assert!(run.is_copies());
    // Takes its lease, and is slow.
    let mut early = engine.blobs().reader(&blob, 0..u64::MAX);
    let hold = engine.blobs().hold(std::iter::once(&run));
    engine.pack_now().await.unwrap();
    // The copies of all but this one go at once.
    assert_eq!(engine.reclaim_now().await.unwrap().runs_freed, 39);
    let first = early.next().await.unwrap().unwrap().as_slice().to_vec();
    assert!(expected.starts_with(&first));

    // Most of each pack dies, so that the rest is packed again, under a reader of the pack.
    let mut of_pack = engine.blobs().reader(&blob, 100..u64::MAX);
    let second = of_pack.next().await.unwrap().unwrap().as_slice().to_vec();
    assert!(expected[100..].starts_with(&second));
    let before = engine.pack_status().done;
    for n in (0..40).filter(|n| n % 5 != 0) {
        delete(&engine, &format!("k{n}")).await;
    }
    // By this, or by the keeper before it.
    engine.pack_now().await.unwrap();
    assert!(engine.pack_status().done.runs > before.runs, "packed again");
    engine.reclaim_now().await.unwrap();
    // Whoever knows the row reads it still, by the hold, after its deletion too.
    delete(&engine, "k30").await;
    engine.reclaim_now().await.unwrap();
    assert!(read_range(&engine, &blob, 0..u64::MAX).await.unwrap() == expected);
    drop((early, of_pack));
    engine.reclaim_now().await.unwrap();
    assert!(read_range(&engine, &blob, 0..u64::MAX).await.unwrap() == expected, "held");
    drop(hold);
    engine.reclaim_now().await.unwrap();
    assert!(read_range(&engine, &blob, 0..u64::MAX).await.is_err(), "nobody held it, and its grace is over");
    check_all(&engine, (0..40).filter(|n| n % 5 == 0 && *n != 30)).await;
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_is_read_within_the_grace_also_when_it_was_packed() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 10).await;
    engine.pack_now().await.unwrap();
    engine.reclaim_now().await.unwrap();
    let blobs: Vec<BlobRef> = (0..10).map(|n| blob_of(&engine, &format!("k{n}"))).collect();
    for n in 0..10 {
        delete(&engine, &format!("k{n}")).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Somebody who read the rows before begins only now.
    for (n, blob) in blobs.iter().enumerate() {
        assert!(read_range(&engine, blob, 0..u64::MAX).await.unwrap() == pattern(&format!("k{n}"), len_of(n)));
    }
    let freed = engine.reclaim_now().await.unwrap().runs_freed;
    assert!(freed > 10, "the ten and their packs: {freed}");
    assert_eq!((stored(&engine), engine.pack_status().counts), (0, Default::default()));
    close(engine).await;
    let engine = rig.open().await;
    assert_eq!(engine.reclaim_now().await.unwrap().runs_freed, 0, "all is forgotten");
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_with_much_that_is_dead_give_their_space_back() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 200).await;
    engine.pack_now().await.unwrap();
    let full = engine.pack_status();
    assert_eq!(full.counts.live_bytes, full.counts.packed_bytes);
    for n in (0..200).filter(|n| n % 3 != 0) {
        delete(&engine, &format!("k{n}")).await;
    }
    let live_bytes: usize = (0..200).step_by(3).map(len_of).sum();
    // The keeper may have begun by itself: whoever did it, in the end all such packs are made again.
    engine.pack_now().await.unwrap();
    let PackStatus { counts: after, done, .. } = engine.pack_status();
    assert_eq!((after.members, after.live_bytes), (67, live_bytes as u64));
    assert!(after.packed_bytes * 65 <= after.live_bytes * 100 && done.packs > full.done.packs, "{full:?} {after:?}");
    engine.reclaim_now().await.unwrap();
    assert!(stored(&engine) < after.packed_bytes * 155 / 100);
    check_all(&engine, (0..200).filter(|n| n % 3 == 0)).await;
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_packed_before_and_after_their_upload_is_complete() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    let upload = upload_row(UploadId::from_bytes([7; 16]));
    let (bucket, key, id) = (BUCKET, "of-parts".to_owned(), upload.id);
    propose(&engine, Op::CreateUpload { bucket, key: key.clone(), row: Box::new(upload) }).await;
    let mut parts = Vec::new();
    for number in 1..=6_u16 {
        let len = 50_000 + usize::from(number) * 9_000;
        let written = write(&engine, &format!("part{number}"), len).await.unwrap();
        let part = part_row(number, len, written.blob);
        let stored = Box::new(part.clone());
        propose(&engine, Op::PutPart { bucket, key: key.clone(), upload: id, part: stored, missing: vec![] }).await;
        parts.push(part);
        if number == 3 {
            assert_eq!(engine.pack_now().await.unwrap().runs, 3);
        }
    }
    // The fifth is left out; the second, which is packed, is sent again.
    let again = write(&engine, "part2 again", 70_000).await.unwrap();
    parts[1] = PartRow { blob: again.blob, plain_bytes: 70_000, ..parts[1].clone() };
    let part = Box::new(parts[1].clone());
    propose(&engine, Op::PutPart { bucket, key: key.clone(), upload: id, part, missing: Vec::new() }).await;
    parts.remove(4);
    let row = Box::new(version_row(parts.clone()));
    let condition = WriteCondition::None;
    propose(&engine, Op::CompleteUpload { bucket, key: key.clone(), upload: id, row, condition }).await;
    let read_parts = async |engine: &Engine| {
        for part in &engine.current(BUCKET, "of-parts").unwrap().unwrap().parts {
            let name = if part.number == 2 { "part2 again".to_owned() } else { format!("part{}", part.number) };
            assert!(read(engine, &part.blob).await == pattern(&name, part.plain_bytes as usize), "{name}");
        }
    };
    read_parts(&engine).await;
    assert_eq!(engine.pack_status().counts.members, 2);
    assert_eq!(engine.pack_now().await.unwrap().runs, 3, "the others");
    engine.reclaim_now().await.unwrap();
    read_parts(&engine).await;
    close(engine).await;
    let engine = rig.open().await;
    read_parts(&engine).await;
    delete(&engine, "of-parts").await;
    engine.reclaim_now().await.unwrap();
    assert_eq!((stored(&engine), engine.pack_status().counts), (0, Default::default()));
    engine.close().await.unwrap();
}
