//! What a child process does until it is ended: changes by workers, and one thing beside them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ledger::{Body, Change, Held, Ledger};
use super::site::{DRIVES, Site, settled};
use crate::blob::{DamagedShard, WrittenBlob};
use crate::drive::Drive;
use crate::engine::Engine;
use crate::engine::reclaim::Grace;
use crate::env::SplitMix;
use crate::error::StorageError;
use crate::ids::StripeId;
use crate::meta::MetaReads;
use crate::meta::suite::commands::{abort, bucket_id, command, create_upload, part, put_part, upload_id, version};
use crate::namespace::command::{Op, Outcome, WriteCondition};
use crate::namespace::integrity::FoundBy;
use crate::namespace::rows::PartRow;

/// Those that change what they hold.
pub(super) const WORKERS: usize = 3;
/// Between two changes of a worker.
const REST: Duration = Duration::from_millis(2);
pub(super) const BUCKET: u8 = 1;
pub(super) const KEYS: u64 = 5;
const PARTS: u16 = 3;

/// What happens beside the workers' changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// Nothing.
    Changes,
    /// Checkpoints, one after the other.
    Checkpoints,
    /// Dead runs freed and forgotten, segments compacted, orphans freed.
    Reclaim,
    /// Shards vanish and come back.
    Repair,
    /// Drives' indexes are made anew.
    Reindex,
    /// The log's mirrors move from drive to drive.
    Mirrors,
    /// A drive comes, another goes.
    AddAndRemove,
    /// A drive is replaced by another.
    Replace,
    /// A drive is drained, then removed, and one comes.
    Drain,
    /// Small blobs are packed, and packed again, as soon as they are written.
    Pack,
    /// Nothing but the opening.
    Opening,
}

impl Scene {
    pub(super) const ALL: [Self; 11] = [
        Self::Changes,
        Self::Checkpoints,
        Self::Reclaim,
        Self::Repair,
        Self::Reindex,
        Self::Mirrors,
        Self::AddAndRemove,
        Self::Replace,
        Self::Drain,
        Self::Pack,
        Self::Opening,
    ];
}

/// Works until the process is ended by a step; returns only from [`Scene::Opening`].
pub(super) async fn run(mut site: Site, scene: Scene) {
    let engine = site.open().await;
    if scene == Scene::Opening {
        return;
    }
    let ledger = Arc::new(Mutex::new(Ledger::open(&site.dir)));
    for worker in 0..WORKERS {
        tokio::spawn(work(engine.clone(), ledger.clone(), worker));
    }
    let mut random = SplitMix::new(std::process::id().into());
    loop {
        act(&engine, &site, scene, &mut random).await;
    }
}

async fn act(engine: &Arc<Engine>, site: &Site, scene: Scene, random: &mut SplitMix) {
    match scene {
        Scene::Changes | Scene::Opening => tokio::time::sleep(Duration::from_secs(1)).await,
        Scene::Checkpoints => {
            let taking = engine.clone();
            tokio::task::spawn_blocking(move || taking.solo.checkpoint()).await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Scene::Reclaim => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            engine.bury(Grace::Ended).await.unwrap();
            engine.forget_freed().await;
            engine.reclaim_now().await.unwrap();
        }
        Scene::Pack => {
            tokio::time::sleep(Duration::from_millis(40)).await;
            // A drive that is late leaves a pack to be made again.
            let _ = engine.pack_now().await;
            engine.reclaim_now().await.unwrap();
        }
        Scene::Repair => lose_a_shard(engine, random).await,
        Scene::Reindex => {
            let drive = any_drive(engine, random);
            let machine = engine.machine.clone();
            let owned = move |stripe| machine.run_owner(stripe).unwrap().is_some();
            let pace = |_| std::ops::ControlFlow::Continue(());
            let rebuild = move || drive.rebuild_index(&owned, &mut { pace });
            tokio::task::spawn_blocking(rebuild).await.unwrap().unwrap();
        }
        Scene::Mirrors => move_a_mirror(engine, random).await,
        Scene::AddAndRemove | Scene::Drain if active(engine).len() > DRIVES => {
            let oldest = active(engine)[0].to_string();
            if scene == Scene::Drain {
                engine.drain_drive(&oldest).await.unwrap();
                settled(engine).await;
            }
            engine.remove_drive(&oldest).await.unwrap();
            settled(engine).await;
        }
        Scene::AddAndRemove | Scene::Drain => {
            engine.add_drive(Some(site.new_folder())).await.unwrap();
            settled(engine).await;
        }
        Scene::Replace => {
            let oldest = active(engine)[0].to_string();
            engine.replace_drive(&oldest, Some(site.new_folder())).await.unwrap();
            settled(engine).await;
        }
    }
}

fn active(engine: &Engine) -> Vec<crate::ids::DriveId> {
    engine.roster.table().active().map(|row| row.id).collect()
}

fn any_drive(engine: &Engine, random: &mut SplitMix) -> Arc<Drive> {
    let drives = engine.blobs().drives();
    drives[random.below(drives.len() as u64) as usize].clone()
}

/// One drive forgets a shard; the mender is told, and the next one is lost when it is back.
async fn lose_a_shard(engine: &Engine, random: &mut SplitMix) {
    let drive = any_drive(engine, random);
    let shards = drive.shards(None, 1000).unwrap();
    let owned: Vec<_> = shards.into_iter().filter(|(key, _)| engine.run_owner(key.stripe).unwrap().is_some()).collect();
    if owned.is_empty() {
        return tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let key = owned[random.below(owned.len() as u64) as usize].0;
    drive.free(vec![key]).await.unwrap().unwrap();
    let (stripe, shard, met_on) = (key.stripe, key.shard, Some(drive.id()));
    engine.blobs().damage().add(DamagedShard { stripe, shard, found_by: FoundBy::Compaction, drive: met_on });
    let is_back = || drive.locate(key.stripe, key.shard).unwrap().is_some();
    let is_needed = |stripe: StripeId| engine.run_owner(stripe).unwrap().is_some();
    while is_needed(key.stripe) && !is_back() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A drive that mirrors the log looks as if it were to be left, until another is a mirror instead.
async fn move_a_mirror(engine: &Engine, random: &mut SplitMix) {
    let mirrors = engine.solo.status().mirrors;
    let mirror = mirrors[random.below(mirrors.len() as u64) as usize];
    let drive = engine.blobs().drive(mirror).unwrap();
    drive.set_leaving(true);
    engine.solo.drives_changed();
    while engine.solo.status().mirrors.contains(&mirror) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drive.set_leaving(false);
}

/// Changes what one worker holds, until a change fails: whether that one holds is then not known.
async fn work(engine: Arc<Engine>, ledger: Arc<Mutex<Ledger>>, worker: usize) {
    let (mut held, mut serial) = {
        let ledger = ledger.lock().unwrap();
        (ledger.workers[worker].held.clone(), ledger.lines * 8 + worker as u64)
    };
    let mut random = SplitMix::new(serial ^ u64::from(std::process::id()) << 32);
    loop {
        serial += 8;
        let change = draw(&held, worker, serial, &mut random);
        ledger.lock().unwrap().begin(worker, change.clone());
        match make(&engine, worker, &held, &change).await {
            Ok(holds) => ledger.lock().unwrap().end(worker, holds),
            Err(Unknown) => return,
        }
        held = ledger.lock().unwrap().workers[worker].held.clone();
        tokio::time::sleep(REST).await;
    }
}

/// Objects that stay as they are: what drives that come and go must move.
pub(super) async fn put_kept(engine: &Arc<Engine>, ledger: &mut Ledger) {
    for n in 0..KEYS {
        let (key, body) = (format!("w{WORKERS}/{n}"), Body { seed: u64::MAX - n, len: 20_000 + 300_000 * n as usize });
        let change = Change::Put { key, body };
        ledger.begin(WORKERS, change.clone());
        assert!(matches!(make(engine, WORKERS, &Held::default(), &change).await, Ok(true)));
        ledger.end(WORKERS, true);
    }
}

fn draw(held: &Held, worker: usize, serial: u64, random: &mut SplitMix) -> Change {
    let key = format!("w{worker}/{}", random.below(KEYS));
    let limit = [400, 7_000, 40_000, 200_000, 1_400_000][random.below(5) as usize];
    let body = Body { seed: serial, len: random.below(limit) as usize };
    match (&held.upload, random.below(10)) {
        (_, 0..=3) => Change::Put { key, body },
        (_, 4..=5) => Change::Delete { key },
        (None, _) => Change::Create { key, upload: serial as u8 },
        (Some(upload), 6..=7) if upload.parts.len() < usize::from(PARTS) => {
            Change::Part { number: 1 + random.below(PARTS.into()) as u16, body }
        }
        (Some(upload), 8) if !upload.parts.is_empty() => Change::Complete,
        (Some(_), 9) => Change::Abort,
        (Some(_), _) => Change::Part { number: 1 + random.below(PARTS.into()) as u16, body },
    }
}

/// A change that may hold or not.
struct Unknown;

/// Makes a change; whether it holds.
async fn make(engine: &Arc<Engine>, worker: usize, held: &Held, change: &Change) -> Result<bool, Unknown> {
    let bucket = bucket_id(BUCKET);
    let upload = |id: u8| upload_id(worker as u8 * 64 + id % 64);
    let op = match change {
        Change::Put { key, body } => {
            let Ok(written) = write(engine, body).await else { return Ok(false) };
            let missing = written.missing.clone();
            let row = version("etag", vec![part_of(0, body, written)]);
            Op::PutVersion { bucket, key: key.clone(), row, condition: WriteCondition::None, missing }
        }
        Change::Delete { key } => {
            Op::DeleteObject { bucket, key: key.clone(), marker: None, condition: WriteCondition::None }
        }
        Change::Create { key, upload: id } => {
            let Op::CreateUpload { mut row, .. } = create_upload(BUCKET, key, 0) else { unreachable!() };
            row.id = upload(*id);
            Op::CreateUpload { bucket, key: key.clone(), row }
        }
        Change::Part { number, body } => {
            let of = held.upload.as_ref().unwrap();
            let Ok(written) = write(engine, body).await else { return Ok(false) };
            let shards = written.missing.clone();
            let mut op = put_part(BUCKET, &of.key, 0, part_of(*number, body, written));
            if let Op::PutPart { upload: id, missing, .. } = &mut op {
                (*id, *missing) = (upload(of.id), shards);
            }
            op
        }
        Change::Complete => {
            let of = held.upload.as_ref().unwrap();
            let (parts, _) = engine.machine.parts(bucket, &of.key, upload(of.id), 0, 100).unwrap();
            let (row, condition) = (version("multi", parts), WriteCondition::None);
            Op::CompleteUpload { bucket, key: of.key.clone(), upload: upload(of.id), row, condition }
        }
        Change::Abort => {
            let of = held.upload.as_ref().unwrap();
            let Op::AbortUpload { bucket, key, .. } = abort(BUCKET, &of.key, 0) else { unreachable!() };
            Op::AbortUpload { bucket, key, upload: upload(of.id) }
        }
    };
    match engine.propose(command(op)).await.map(|applied| applied.outcome) {
        Ok(Outcome::Done | Outcome::Deleted { .. }) => Ok(true),
        Ok(Outcome::Refused(refusal)) => panic!("{change:?} was refused: {refusal:?}"),
        Err(_) => Err(Unknown),
    }
}

pub(super) fn upload_of(worker: usize, id: u8) -> crate::ids::UploadId {
    upload_id(worker as u8 * 64 + id % 64)
}

fn part_of(number: u16, body: &Body, written: WrittenBlob) -> PartRow {
    PartRow { blob: written.blob, plain_bytes: body.len as u64, ..part(number, 0) }
}

pub(super) async fn write(engine: &Engine, body: &Body) -> Result<WrittenBlob, StorageError> {
    let bytes = body.bytes();
    let mut writer = engine.blobs().writer(Some(body.len as u64)).await;
    writer.write_all(&bytes).await?;
    writer.finish().await
}
