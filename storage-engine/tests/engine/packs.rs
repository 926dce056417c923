//! Small objects: whole copies first, packed into stripes later. Every object reads back right at every step, whatever
//! is removed, packed, killed or lost in between, and in the end they take little more than (k+m)/k of their bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use chartrier_storage::engine::{PackConfig, ReclaimConfig};
use chartrier_storage::ids::UploadId;
use chartrier_storage::mend::ScrubScope;
use chartrier_storage::namespace::rows::UploadRow;

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

fn stored(engine: &Engine) -> u64 {
    engine.status().drives.iter().map(|drive| drive.stored_bytes).sum()
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
    engine.close().await.unwrap();
    drop(engine);
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
    engine.close().await.unwrap();
    drop(engine);
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
    for n in (0..40).filter(|n| n % 5 != 0) {
        delete(&engine, &format!("k{n}")).await;
    }
    assert!(engine.pack_now().await.unwrap().runs > 0, "packed again");
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
    engine.close().await.unwrap();
    drop(engine);
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
    for n in (0..200).filter(|n| n % 3 != 0) {
        delete(&engine, &format!("k{n}")).await;
    }
    let before = engine.pack_status().counts;
    assert!(before.live_bytes * 2 < before.packed_bytes);
    let report = engine.pack_now().await.unwrap();
    let after = engine.pack_status().counts;
    assert_eq!((after.members, after.live_bytes), (before.members, before.live_bytes));
    assert!(after.packed_bytes * 65 <= after.live_bytes * 100, "{before:?} {report:?} {after:?}");
    engine.reclaim_now().await.unwrap();
    assert!(stored(&engine) < after.packed_bytes * 155 / 100);
    check_all(&engine, (0..200).filter(|n| n % 3 == 0)).await;
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_packed_before_and_after_their_upload_is_complete() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    let upload = UploadRow {
        id: UploadId::from_bytes([7; 16]),
        wrap_version: VersionId::NULL,
        object_uuid: ObjectUuid::from_bytes([2; 16]),
        mode: b'O',
        initiated_us: 4,
        owner: "owner".to_owned(),
        checksum: None,
        wrap: vec![1; 60],
        sealed_metadata: vec![2; 80],
        pending_keys: vec![3; 80],
        key_commitment: [6; 32],
        sealed_tags: Vec::new(),
        retention: None,
        legal_hold: None,
        acl: Vec::new(),
        storage_class: Default::default(),
    };
    let (bucket, key, id) = (BUCKET, "of-parts".to_owned(), upload.id);
    propose(&engine, Op::CreateUpload { bucket, key: key.clone(), row: Box::new(upload) }).await;
    let mut parts = Vec::new();
    let mut version = None;
    for number in 1..=6_u16 {
        let len = 50_000 + usize::from(number) * 9_000;
        let written = write(&engine, &format!("part{number}"), len).await.unwrap();
        let Op::PutVersion { mut row, .. } = put_op(&key, len, written) else { unreachable!() };
        let part = PartRow { number, ..row.parts.remove(0) };
        version = Some(row);
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
    let row = Box::new(VersionRow { parts: parts.clone(), size_bytes: 1, ..*version.unwrap() });
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
    engine.close().await.unwrap();
    drop(engine);
    let engine = rig.open().await;
    read_parts(&engine).await;
    delete(&engine, "of-parts").await;
    engine.reclaim_now().await.unwrap();
    assert_eq!((stored(&engine), engine.pack_status().counts), (0, Default::default()));
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drives_may_be_lost_before_while_and_after_it_is_packed() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 60).await;
    engine.close().await.unwrap();
    drop(engine);
    let move_away = |n: usize| std::fs::rename(rig.drive(n), rig.away(n)).unwrap();
    let bring_back = |n: usize| std::fs::rename(rig.away(n), rig.drive(n)).unwrap();

    // Before: nothing is packed on fewer drives, and small objects are written all the same.
    move_away(0);
    move_away(3);
    let engine = rig.open().await;
    check_all(&engine, 0..60).await;
    assert!(matches!(engine.pack_now().await, Err(StorageError::Unavailable { .. })));
    assert_eq!(engine.pack_status().counts.waiting_runs, 60);
    put(&engine, "while-away", 100_000).await;
    check(&engine, "while-away", 100_000).await;
    engine.close().await.unwrap();
    drop(engine);
    bring_back(0);
    bring_back(3);

    // While: two drives go in the middle. Whatever was packed by then, all is read.
    let engine = rig.open().await;
    let packing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.pack_now().await }
    });
    tokio::time::sleep(Duration::from_millis(40)).await;
    for n in [1, 4] {
        let id = engine.status().drives.iter().find(|drive| Path::new(&drive.path) == rig.drive(n)).unwrap().id;
        engine.blobs().drive(id).unwrap().fail("a test");
    }
    let _ = packing.await.unwrap();
    check_all(&engine, 0..60).await;
    check(&engine, "while-away", 100_000).await;
    drop(engine);

    // After, and with what was killed above.
    let engine = rig.open().await;
    check_all(&engine, 0..60).await;
    engine.pack_now().await.unwrap();
    engine.reclaim_now().await.unwrap();
    engine.close().await.unwrap();
    drop(engine);
    for (a, b) in [(0, 1), (2, 5), (3, 4)] {
        move_away(a);
        move_away(b);
        let engine = rig.open().await;
        check_all(&engine, 0..60).await;
        check(&engine, "while-away", 100_000).await;
        engine.close().await.unwrap();
        drop(engine);
        bring_back(a);
        bring_back(b);
    }
}

/// Changes one byte in every so many of each segment of a drive.
fn damage(drive: &Path, every: usize) {
    for entry in std::fs::read_dir(drive.join("segments")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        (8192..bytes.len()).step_by(every).for_each(|at| bytes[at] ^= 0x11);
        std::fs::write(&path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scrub_mends_copies_and_packs() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 60).await;
    engine.pack_now().await.unwrap();
    // These stay copies.
    for n in 60..90 {
        put(&engine, &format!("k{n}"), len_of(n)).await;
    }
    engine.reclaim_now().await.unwrap();
    engine.close().await.unwrap();
    drop(engine);
    damage(rig.drive(0), 200_000);
    damage(rig.drive(2), 150_000);

    let engine = rig.open().await;
    check_all(&engine, 0..90).await;
    engine.mender().begin_scrub(&engine, ScrubScope::All).unwrap();
    eventually("the scrub ends", || engine.mender().scrub_status().unwrap().running.is_none()).await;
    let report = engine.mender().scrub_status().unwrap().last.unwrap();
    assert!(report.repaired > 0 && report.unrepaired == 0, "{report:?}");
    assert_eq!(report.checked.unowned_records, 0, "{report:?}");
    // By bucket: every shard of every object is where it should be, and good.
    engine.mender().begin_scrub(&engine, ScrubScope::Bucket(BUCKET)).unwrap();
    eventually("the scrub ends", || engine.mender().scrub_status().unwrap().running.is_none()).await;
    let report = engine.mender().scrub_status().unwrap().last.unwrap();
    assert!(report.found.is_empty() && report.notes.is_empty() && report.checked.stripes > 30, "{report:?}");
    engine.close().await.unwrap();
    drop(engine);
    for (a, b) in [(1, 3), (4, 5)] {
        [a, b].iter().for_each(|n| std::fs::rename(rig.drive(*n), rig.away(*n)).unwrap());
        let engine = rig.open().await;
        check_all(&engine, 0..90).await;
        engine.close().await.unwrap();
        drop(engine);
        [a, b].iter().for_each(|n| std::fs::rename(rig.away(*n), rig.drive(*n)).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_packs_follow_a_drive_that_is_replaced() {
    let rig = rig();
    let engine = rig.open_with_bucket().await;
    fill(&engine, 50).await;
    engine.pack_now().await.unwrap();
    for n in 50..80 {
        put(&engine, &format!("k{n}"), len_of(n)).await;
    }
    let new = rig.dir.path().join("new");
    engine.replace_drive(rig.drive(2).to_str().unwrap(), Some(new)).await.unwrap();
    for n in 80..90 {
        put(&engine, &format!("k{n}"), len_of(n)).await;
    }
    eventually("every shard is in its place", || engine.is_settled() && engine.status().shards_to_heal == 0).await;
    engine.pack_now().await.unwrap();
    engine.reclaim_now().await.unwrap();
    check_all(&engine, 0..90).await;
    engine.mender().begin_scrub(&engine, ScrubScope::All).unwrap();
    eventually("the scrub ends", || engine.mender().scrub_status().unwrap().running.is_none()).await;
    let report = engine.mender().scrub_status().unwrap().last.unwrap();
    assert!(report.found.is_empty(), "{report:?}");
    assert_eq!(engine.metrics().data.cells_rebuilt, 0);
    engine.close().await.unwrap();
}

/// Random puts, overwrites, deletes, packings, reclaims, kills and lost drives beside a map: what the map has reads back
/// right after every step, and nothing is left when all is deleted.
async fn a_story(seed: u64) {
    let mut random = Draw(seed);
    let rig = rig();
    let mut engine = rig.open_with_bucket().await;
    let mut model: BTreeMap<usize, usize> = BTreeMap::new();
    let name = |key: usize, len: usize| format!("{key}-{len}");
    let mut away: Option<usize> = None;
    for step in 0..60 {
        match random.below(20) {
            0..8 => {
                for _ in 0..6 {
                    let (key, len) = (random.below(30), 8_300 + random.below(200_000));
                    let written = write(&engine, &name(key, len), len).await.unwrap();
                    propose(&engine, put_op(&format!("k{key}"), len, written)).await;
                    model.insert(key, len);
                }
            }
            8..12 => {
                for _ in 0..4 {
                    let key = random.below(30);
                    delete(&engine, &format!("k{key}")).await;
                    model.remove(&key);
                }
            }
            12..15 => {
                let packed = engine.pack_now().await;
                assert!(packed.is_ok() || away.is_some(), "seed {seed}, step {step}: {packed:?}");
            }
            15..17 => drop(engine.reclaim_now().await.unwrap()),
            17 => {
                // Killed, at times in the middle of packing.
                let packing = tokio::spawn({
                    let engine = engine.clone();
                    async move { engine.pack_now().await }
                });
                tokio::time::sleep(Duration::from_millis(random.below(40) as u64)).await;
                packing.abort();
                let _ = packing.await;
                drop(engine);
                engine = rig.open().await;
            }
            _ => {
                engine.close().await.unwrap();
                drop(engine);
                match away.take() {
                    Some(n) => std::fs::rename(rig.away(n), rig.drive(n)).unwrap(),
                    None => {
                        let n = random.below(6);
                        std::fs::rename(rig.drive(n), rig.away(n)).unwrap();
                        away = Some(n);
                    }
                }
                engine = rig.open().await;
            }
        }
        for (key, len) in &model {
            let row = engine.current(BUCKET, &format!("k{key}")).unwrap().expect("it is in the map");
            assert!(
                read(&engine, &row.parts[0].blob).await == pattern(&name(*key, *len), *len),
                "seed {seed}, step {step}: k{key}"
            );
        }
        let counts = engine.pack_status().counts;
        assert_eq!(counts.waiting_runs + counts.members, model.len() as u64, "seed {seed}, step {step}");
    }
    for key in 0..30 {
        delete(&engine, &format!("k{key}")).await;
    }
    assert_eq!(engine.pack_status().counts, Default::default());
    engine.close().await.unwrap();
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_reads_back_right_at_every_step() {
    let seeds = std::env::var("CHARTRIER_PACK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    for seed in 0..seeds {
        a_story(seed).await;
    }
}
