//! Drives come and go while objects are written and read: nothing is lost, and full redundancy returns
//! by itself. What "full" means is seen on the drives: each shard is where the newest layout wants it.

use std::time::{Duration, Instant};

use chartrier_storage::engine::DriveChangeError;
use chartrier_storage::ids::DriveId;
use chartrier_storage::namespace::drives::DriveRole;

use super::*;

pub(super) const OBJECTS: usize = 14;

fn len_of(n: usize) -> usize {
    20_000 + n * 150_000
}

pub(super) async fn fill(engine: &Engine) {
    for n in 0..OBJECTS {
        put(engine, &format!("k{n}"), len_of(n)).await;
    }
}

pub(super) async fn check_all(engine: &Engine) {
    for n in 0..OBJECTS {
        check(engine, &format!("k{n}"), len_of(n)).await;
    }
}

/// Waits until the engine says that every shard is in its place, and sees for itself that it is.
pub(super) async fn settled(engine: &Engine) {
    let patience = Instant::now() + Duration::from_secs(120);
    while !(engine.is_settled() && engine.status().shards_to_heal == 0) {
        assert!(Instant::now() < patience, "{:?} {:?}", engine.move_progress(), engine.mender().status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(missing(engine), Vec::<String>::new());
}

/// Shards that are not on the drive where they belong.
pub(super) fn missing(engine: &Engine) -> Vec<String> {
    let mut missing = Vec::new();
    for n in 0..OBJECTS {
        let Some(row) = engine.current(BUCKET, &format!("k{n}")).unwrap() else { continue };
        let BlobRef::Stripes(run) = &row.parts[0].blob else { panic!("inline") };
        let placement = engine.blobs().placement(run).unwrap();
        for index in 0..run.count {
            for (shard, target) in placement.targets(index).iter().enumerate() {
                let held = engine.blobs().drive(*target).is_some_and(|drive| {
                    drive.locate(run.first.nth(index), shard as u8).is_ok_and(|found| found.is_some())
                });
                if !held {
                    missing.push(format!("k{n}/{index}/{shard} on {target}"));
                }
            }
        }
    }
    missing
}

/// Shards of objects that a drive holds.
fn held_on(engine: &Engine, id: DriveId) -> usize {
    let drive = engine.blobs().drive(id).unwrap();
    let mut held = 0;
    for n in 0..OBJECTS {
        let row = engine.current(BUCKET, &format!("k{n}")).unwrap().unwrap();
        let BlobRef::Stripes(run) = &row.parts[0].blob else { panic!("inline") };
        for (index, shard) in (0..run.count).flat_map(|index| (0..6).map(move |shard| (index, shard))) {
            held += usize::from(drive.locate(run.first.nth(index), shard).unwrap().is_some());
        }
    }
    held
}

/// Removes a drive's directory while the engine may be making files in it.
pub(super) fn wipe(path: &Path) {
    while std::fs::remove_dir_all(path).is_err() {
        assert!(path.exists(), "{} is not there", path.display());
    }
}

/// Ends an engine, and waits until it has let go of its files.
pub(super) async fn stop(engine: Arc<Engine>) {
    // Without mirrors enough for a last checkpoint it replays more.
    let _ = engine.close().await;
    while Arc::strong_count(&engine) > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn id_at(engine: &Engine, path: &Path) -> DriveId {
    let reports = engine.drive_reports().unwrap();
    let here = reports.iter().filter(|report| Path::new(&report.row.path) == path);
    here.filter(|report| report.row.role == DriveRole::Active).map(|report| report.row.id).next().unwrap()
}

pub(super) fn role_of(engine: &Engine, id: DriveId) -> DriveRole {
    engine.drive_reports().unwrap().into_iter().find(|report| report.row.id == id).unwrap().row.role
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_drive_is_replaced_in_its_own_folder_and_heals_by_itself() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let old = id_at(&engine, rig.drive(3));
    // It works: its own directory is no place for another.
    let error = engine.replace_drive(&old.to_string(), None).await.unwrap_err();
    assert!(matches!(error, DriveChangeError::Directory { .. }), "{error}");
    wipe(rig.drive(3));
    let row = engine.replace_drive("d3", None).await.unwrap();
    assert_ne!(row.id, old);
    put(&engine, "k0", len_of(0)).await;
    settled(&engine).await;
    assert_eq!(role_of(&engine, old), DriveRole::Retired);
    assert_eq!((engine.status().drives.len(), engine.status().lost_drives.len()), (6, 0));
    // The two drives whose loss says most: what the new drive holds is needed now.
    wipe(rig.drive(0));
    wipe(rig.drive(1));
    check_all(&engine).await;
    stop(engine).await;
    check_all(&*rig.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_found_again_with_the_old_configuration() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let new_path = rig.dir.path().join("elsewhere/new");
    let old = id_at(&engine, rig.drive(2));
    engine.replace_drive(rig.drive(2).to_str().unwrap(), Some(new_path.clone())).await.unwrap();
    // Stopped in the middle: it goes on at the next start, with drive 2 still read.
    stop(engine).await;
    let engine = rig.open().await;
    assert_eq!(engine.status().drives.len(), 7);
    settled(&engine).await;
    let new = id_at(&engine, &new_path);
    stop(engine).await;
    // The old drive is in the configuration and in place: it is known for what it is.
    let engine = rig.open().await;
    assert_eq!(role_of(&engine, old), DriveRole::Retired);
    assert!(engine.blobs().drive(old).is_none() && engine.blobs().drive(new).is_some());
    assert!(engine.status().is_whole());
    check_all(&engine).await;
    let error = engine.add_drive(Some(rig.drive(2).to_path_buf())).await.unwrap_err();
    assert!(error.to_string().contains("empty it first"), "{error}");
    stop(engine).await;
    // With engine.json lost the state still knows where the new drive is.
    std::fs::remove_file(rig.config.data_dir.join("engine.json")).unwrap();
    let engine = rig.open().await;
    assert!(engine.blobs().drive(old).is_none() && engine.blobs().drive(new).is_some());
    assert_eq!(missing(&engine), Vec::<String>::new());
}

/// The index of a drive whose folder was removed writes files by their path while it is closed: into
/// the folder of the drive that takes its place, if that is in too much of a hurry.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_old_drive_gets_into_the_new_one() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    for n in [1, 4] {
        wipe(rig.drive(n));
        engine.replace_drive(rig.drive(n).to_str().unwrap(), None).await.unwrap();
        let new = engine.blobs().drive(id_at(&engine, rig.drive(n))).unwrap();
        settled(&engine).await;
        assert!(new.status().stored_bytes > 0, "what it holds was written to it");
    }
    for n in [0, 2] {
        wipe(rig.drive(n));
    }
    check_all(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lost_drives_are_replaced_one_after_the_other() {
    for (a, b) in [(0, 1), (0, 5), (2, 4)] {
        let rig = Rig::new();
        let engine = rig.open_with_bucket().await;
        fill(&engine).await;
        for n in [a, b] {
            wipe(rig.drive(n));
        }
        check_all(&engine).await;
        for n in [a, b] {
            engine.replace_drive(rig.drive(n).to_str().unwrap(), None).await.unwrap();
        }
        settled(&engine).await;
        assert!(engine.status().is_whole(), "{:?}", engine.status());
        // All the others but k-2 go: the data is on the new drives too.
        let others: Vec<usize> = (0..6).filter(|n| ![a, b].contains(n)).take(2).collect();
        for n in others {
            wipe(rig.drive(n));
        }
        check_all(&engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_codes_lose_as_many_as_they_may_and_are_whole_again() {
    let losses: [(u8, u8, &[usize]); 4] =
        [(8, 3, &[0, 1, 2]), (8, 3, &[3, 7, 10]), (8, 4, &[0, 4, 5, 11]), (8, 4, &[8, 9, 10, 11])];
    for (k, m, lost) in losses {
        let rig = Rig::with(k, m, usize::from(k + m));
        let engine = rig.open_with_bucket().await;
        fill(&engine).await;
        for n in lost {
            wipe(rig.drive(*n));
        }
        check_all(&engine).await;
        for n in lost {
            engine.replace_drive(rig.drive(*n).to_str().unwrap(), None).await.unwrap();
        }
        settled(&engine).await;
        let others: Vec<usize> = (0..usize::from(k + m)).filter(|n| !lost.contains(n)).take(usize::from(m)).collect();
        for n in others {
            wipe(rig.drive(n));
        }
        check_all(&engine).await;
        stop(engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_grows_from_six_to_eight_and_shrinks_again() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let first = engine.add_drive(None).await.unwrap();
    assert_eq!(Path::new(&first.path), rig.config.data_dir.join("drives/d1"));
    let second = engine.add_drive(Some(rig.dir.path().join("d7"))).await.unwrap();
    put(&engine, "k1", len_of(1)).await;
    settled(&engine).await;
    check_all(&engine).await;
    let stored = |engine: &Engine, id| engine.blobs().drive(id).unwrap().status();
    for id in [first.id, second.id] {
        let status = stored(&engine, id);
        assert!(status.stored_bytes > 0, "a new drive holds its share");
    }
    stop(engine).await;
    let engine = rig.open().await;
    assert_eq!(engine.status().drives.len(), 8);
    // Two original drives leave; a third cannot while six are needed.
    let (gone, drained) = (id_at(&engine, rig.drive(0)), id_at(&engine, rig.drive(1)));
    engine.remove_drive("d0").await.unwrap();
    engine.drain_drive(&drained.to_string()[..8]).await.unwrap();
    let error = engine.drain_drive("d2").await.unwrap_err();
    assert!(matches!(error, DriveChangeError::TooFew { active: 6, needed: 6 }), "{error}");
    settled(&engine).await;
    check_all(&engine).await;
    assert_eq!((role_of(&engine, gone), role_of(&engine, drained)), (DriveRole::Retired, DriveRole::Drained));
    while held_on(&engine, drained) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = engine.remove_drive("d1").await.unwrap_err();
    assert!(matches!(error, DriveChangeError::Ambiguous(_)), "{error}");
    engine.remove_drive(rig.drive(1).to_str().unwrap()).await.unwrap();
    assert_eq!(engine.status().drives.len(), 6);
    assert!(!engine.status().log.mirrors.contains(&gone));
    for path in [rig.drive(0), rig.drive(1)] {
        wipe(path);
    }
    stop(engine).await;
    let engine = rig.open().await;
    assert!(engine.status().is_whole(), "{:?}", engine.status());
    check_all(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_went_away_and_came_back_is_opened_again() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    rig.take_away(4);
    for n in 0..OBJECTS / 2 {
        put(&engine, &format!("k{n}"), len_of(n)).await;
    }
    delete(&engine, "k9").await;
    assert!(engine.status().shards_to_heal > 0);
    // An empty directory in its place is not taken for a drive: its disk may be unmounted.
    std::fs::create_dir(rig.drive(4)).unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    let lost = engine.status().lost_drives;
    assert!(lost.len() == 1 && lost[0].reason.contains("is its disk mounted?"), "{lost:?}");
    wipe(rig.drive(4));
    rig.bring_back(4);
    let patience = Instant::now() + Duration::from_secs(90);
    while engine.status().lost_drives.len() + engine.status().shards_to_heal as usize > 0 {
        assert!(Instant::now() < patience, "{:?}", engine.status());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(missing(&engine), Vec::<String>::new());
    for n in (0..OBJECTS).filter(|n| *n != 9) {
        check(&engine, &format!("k{n}"), len_of(n)).await;
    }
}

/// Away and back before anybody looks for it: the drive failed all the same, and is opened again.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_came_back_at_once_is_opened_again() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    rig.take_away(2);
    fill(&engine).await;
    rig.bring_back(2);
    let patience = Instant::now() + Duration::from_secs(90);
    while !engine.status().is_whole() || engine.status().shards_to_heal > 0 {
        assert!(Instant::now() < patience, "{:?}", engine.status());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(missing(&engine), Vec::<String>::new());
    check_all(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_changes_nothing() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    let rows = engine.drive_reports().unwrap().len();
    let text = |error: DriveChangeError| error.to_string();
    assert!(text(engine.drain_drive("nowhere").await.unwrap_err()).contains("no drive nowhere"));
    assert!(text(engine.drain_drive("d0").await.unwrap_err()).contains("6 drives are in use and 6 are needed"));
    let full = rig.dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("thesis.tex"), b"years of work").unwrap();
    let error = text(engine.add_drive(Some(full.clone())).await.unwrap_err());
    assert!(error.contains("neither empty nor a drive"), "{error}");
    assert_eq!(std::fs::read(full.join("thesis.tex")).unwrap(), b"years of work");
    assert!(text(engine.add_drive(Some(rig.drive(1).to_path_buf())).await.unwrap_err()).contains("in use"));
    let other = Rig::new();
    stop(other.open().await).await;
    let error = text(engine.replace_drive("d0", Some(other.drive(0).to_path_buf())).await.unwrap_err());
    assert!(error.contains("is a drive of installation"), "{error}");
    assert_eq!(engine.drive_reports().unwrap().len(), rows);
    assert!(engine.status().is_whole());
}
