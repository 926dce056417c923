//! What must hold when the process was ended anywhere and is started again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chartrier_journal::{check_record, leaf_hash, prove_record, tree_hash};

use super::ledger::{Body, Held, Ledger};
use super::site::{Site, settled};
use super::work::{BUCKET, KEYS, WORKERS, put_kept, upload_of, write};
use crate::engine::Engine;
use crate::ids::DriveId;
use crate::mend::ScrubScope;
use crate::meta::MetaReads;
use crate::meta::suite::commands::{bucket_id, command, create_bucket};
use crate::namespace::query::{ListEntry, ListQuery};
use crate::namespace::rows::{BlobRef, PartRow};
use crate::segment::location::ShardKey;

/// Makes an installation, or goes on from where its first start was ended: a bucket, what is kept, an orphan.
pub(super) async fn begin(site: &mut Site) {
    let engine = site.open().await;
    engine.propose(command(create_bucket(BUCKET, "bucket"))).await.unwrap();
    put_kept(&engine, &mut Ledger::open(&site.dir)).await;
    leave_orphan(&engine, site).await;
    close(engine).await;
}

/// Opens what a killed process left and checks all of it; leaves an orphan for the next one.
pub(super) async fn verify(site: &mut Site, what: &str) {
    let engine = site.open().await;
    let mut ledger = Ledger::open(&site.dir);
    settle_ledger(&engine, &mut ledger, what).await;
    check_listing(&engine, &ledger).await;
    check_journal(&engine, &ledger);
    settled(&engine).await;
    let found = scrub(&engine).await;
    assert_eq!(found.unrepaired, 0, "{what}: {found:?}");
    let engine = tidy(engine, site, what).await;
    check_files(site, what);
    // Nothing was lost by what gave space back.
    settle_ledger(&engine, &mut ledger, what).await;
    leave_orphan(&engine, site).await;
    close(engine).await;
}

/// Written whole and never named.
async fn leave_orphan(engine: &Engine, site: &Site) {
    drop(write(engine, &Body { seed: site.openings, len: 50_000 }).await.unwrap());
}

async fn close(engine: Arc<Engine>) {
    engine.close().await.unwrap();
    while Arc::strong_count(&engine) > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Each worker holds what was answered, and its change in flight whole or not at all.
async fn settle_ledger(engine: &Engine, ledger: &mut Ledger, what: &str) {
    for worker in 0..=WORKERS {
        let expected = ledger.workers[worker].held.clone();
        let otherwise = ledger.workers[worker].otherwise();
        if otherwise.is_some() {
            let happened = match (holds(engine, worker, &expected).await, otherwise.as_ref()) {
                (Ok(()), _) => false,
                (Err(first), Some(other)) => {
                    let second = holds(engine, worker, other).await;
                    assert!(second.is_ok(), "{what}: worker {worker} holds neither: {first}; {second:?}");
                    true
                }
                (Err(first), None) => panic!("{what}: worker {worker}: {first}"),
            };
            ledger.end(worker, happened);
        } else if let Err(difference) = holds(engine, worker, &expected).await {
            panic!("{what}: worker {worker}: {difference}");
        }
    }
}

async fn holds(engine: &Engine, worker: usize, held: &Held) -> Result<(), String> {
    let bucket = bucket_id(BUCKET);
    for key in (0..KEYS).map(|n| format!("w{worker}/{n}")) {
        let found = engine.current(bucket, &key).unwrap();
        match (found, held.objects.get(&key)) {
            (None, None) => {}
            (Some(row), Some(bodies)) => has_bodies(engine, &row.parts, bodies.iter(), &key).await?,
            (found, _) => return Err(format!("{key} is there: {}", found.is_some())),
        }
    }
    let listed = engine.machine.uploads_begun_until(u64::MAX, 100).unwrap().0;
    let of_worker = listed.iter().filter(|upload| upload.key.starts_with(&format!("w{worker}/"))).count();
    if of_worker != usize::from(held.upload.is_some()) {
        return Err(format!("{of_worker} uploads"));
    }
    let Some(upload) = &held.upload else { return Ok(()) };
    let id = upload_of(worker, upload.id);
    if engine.upload(bucket, &upload.key, id).unwrap().is_none() {
        return Err(format!("upload {} of {} is not there", upload.id, upload.key));
    }
    let (parts, _) = engine.machine.parts(bucket, &upload.key, id, 0, 100).unwrap();
    let numbers: Vec<u16> = parts.iter().map(|part| part.number).collect();
    if numbers != upload.parts.keys().copied().collect::<Vec<_>>() {
        return Err(format!("the upload has parts {numbers:?}"));
    }
    has_bodies(engine, &parts, upload.parts.values(), &upload.key).await
}

async fn has_bodies(
    engine: &Engine,
    parts: &[PartRow],
    bodies: impl ExactSizeIterator<Item = &Body>,
    key: &str,
) -> Result<(), String> {
    if parts.len() != bodies.len() {
        return Err(format!("{key} has {} parts", parts.len()));
    }
    for (part, body) in parts.iter().zip(bodies) {
        if part.plain_bytes != body.len as u64 {
            return Err(format!("{key} has {} bytes and not {}", part.plain_bytes, body.len));
        }
        if read(engine, &part.blob).await? != body.bytes() {
            return Err(format!("{key} reads other bytes than {body:?}"));
        }
    }
    Ok(())
}

async fn read(engine: &Engine, blob: &BlobRef) -> Result<Vec<u8>, String> {
    let mut reader = engine.blobs().reader(blob, 0..blob.len_bytes());
    let mut bytes = Vec::new();
    while let Some(buffer) = reader.next().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(buffer.as_slice());
    }
    Ok(bytes)
}

async fn check_listing(engine: &Arc<Engine>, ledger: &Ledger) {
    let query =
        ListQuery { bucket: bucket_id(BUCKET), prefix: String::new(), delimiter: None, after: None, limit: 1000 };
    let listed = engine.list_objects(query).await.unwrap();
    let name = |entry| match entry {
        ListEntry::Object { key, .. } => key,
        ListEntry::Prefix(prefix) => panic!("{prefix} in a listing without a delimiter"),
    };
    let keys: BTreeSet<String> = listed.entries.into_iter().map(name).collect();
    let held = ledger.workers.iter().flat_map(|worker| worker.held.objects.keys().cloned()).collect();
    assert_eq!(keys, held);
}

/// One leaf for each change that holds, and a tree over them that is the one at its head.
fn check_journal(engine: &Engine, ledger: &Ledger) {
    let (size, root, _) = engine.machine.journal_head();
    assert_eq!(tree_hash(size, &engine.machine.journal_hashes()).unwrap(), root);
    let (mut deposits, mut deletes) = (0, 0);
    let mut leaves = Vec::new();
    for index in 0..size {
        let leaf = engine.journal().leaf(index).unwrap();
        let text = String::from_utf8_lossy(&leaf).into_owned();
        deposits += u64::from(text.contains("\"object.deposit\""));
        deletes += u64::from(text.contains("\"object.delete\""));
        leaves.push(leaf_hash(&leaf));
    }
    let sum = |of: fn(&super::ledger::Worker) -> u64| ledger.workers.iter().map(of).sum::<u64>();
    assert_eq!((deposits, deletes), (sum(|worker| worker.deposits), sum(|worker| worker.deletes)));
    for (index, leaf) in leaves.into_iter().enumerate() {
        let index = index as u64;
        let proof = prove_record(size, index, &engine.machine.journal_hashes()).unwrap();
        check_record(&proof, size, &root, index, &leaf).unwrap();
    }
}

pub(super) async fn scrub(engine: &Arc<Engine>) -> crate::mend::ScrubReport {
    let id = engine.mender().begin_scrub(engine, ScrubScope::All).unwrap();
    for _ in 0..6000 {
        if let Some(report) = engine.mender().scrub_status().unwrap().last.filter(|report| report.id == id) {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the scrub never ended");
}

/// Gives space back until the drives hold what the rows name and nothing else, and nobody remembers the dead: packs
/// are being coded meanwhile. A copy that a move left goes when its successor is in a closed segment: a start
/// closes all.
async fn tidy(mut engine: Arc<Engine>, site: &mut Site, what: &str) -> Arc<Engine> {
    for _ in 0..3 {
        for _ in 0..20 {
            engine.reclaim_now().await.unwrap();
            engine.forget_freed().await;
            let dead = engine.machine.dead_runs(None, 10).unwrap();
            let (missing, leaked) = differences(&engine);
            if dead.is_empty() && missing.is_empty() && leaked.is_empty() {
                return engine;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        close(engine).await;
        engine = site.open().await;
        settled(&engine).await;
    }
    let dead = engine.machine.dead_runs(None, 10).unwrap();
    let (missing, leaked) = differences(&engine);
    panic!("{what}: missing shards {missing:?}, shards that nobody needs {leaked:?}, dead {dead:?}");
}

type Shards = Vec<(DriveId, ShardKey)>;

/// Shards of runs that have an owner and that are not where the newest layout wants them; shards that are beside.
fn differences(engine: &Engine) -> (Shards, Shards) {
    let mut expected: BTreeSet<(DriveId, ShardKey)> = BTreeSet::new();
    for owned in engine.machine.owned_runs(None, 100_000).unwrap() {
        // One that was coded or replaced since is looked at in the next round.
        let Some(run) = engine.machine.owned_run(&owned).unwrap() else { continue };
        let placement = engine.blobs.placement(&run).unwrap();
        for index in 0..run.count {
            for (shard, drive) in placement.targets(index).iter().enumerate() {
                expected.insert((*drive, ShardKey { stripe: run.first.nth(index), shard: shard as u8 }));
            }
        }
    }
    let drives = engine.blobs.drives();
    let shards = |drive: &Arc<crate::drive::Drive>| drive.shards(None, 100_000).unwrap();
    let found: BTreeSet<(DriveId, ShardKey)> =
        drives.iter().flat_map(|drive| shards(drive).into_iter().map(|(key, _)| (drive.id(), key))).collect();
    (expected.difference(&found).copied().collect(), found.difference(&expected).copied().collect())
}

/// No file that only an unfinished step needs.
fn check_files(site: &Site, what: &str) {
    let mut left = Vec::new();
    for folder in std::fs::read_dir(&site.dir).unwrap().map(|entry| entry.unwrap().path()) {
        for (path, names) in
            [(folder.clone(), ["old", "checkpoint", "restoring"]), (folder.join("segments"), ["new"; 3])]
        {
            let Ok(files) = std::fs::read_dir(path) else { continue };
            left.extend(
                files.map(|file| file.unwrap().path()).filter(|path| {
                    path.extension().is_some_and(|extension| names.iter().any(|name| extension == *name))
                }),
            );
        }
    }
    assert!(left.is_empty(), "{what}: {left:?}");
}
