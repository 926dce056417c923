//! A drive that fails is left without anybody asking, and what it held is on the others; what looks like another
//! fault than a drive's moves nothing.

use std::io;
use std::time::{Duration, Instant};

use chartrier_journal::Leaf;
use chartrier_storage::drive::DriveState;
use chartrier_storage::engine::CarePlan;
use chartrier_storage::ids::DriveId;
use chartrier_storage::namespace::drives::DriveRole;

use super::drives::{OBJECTS, check_all, fill, id_at, missing, role_of, settled, stop, wipe};
use super::*;

/// Eight drives of which two may go, and little patience with those that are away.
fn rig(drives: usize) -> Rig {
    let mut rig = Rig::with(4, 2, drives);
    rig.config.mend.evacuate_after_s = 2;
    rig
}

async fn until(engine: &Engine, what: &str, holds: impl Fn(&Engine) -> bool) {
    let patience = Instant::now() + Duration::from_secs(90);
    while !holds(engine) {
        assert!(Instant::now() < patience, "{what}: {:?} {:?}", engine.drive_cares(), engine.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the journal says of drives: `drive-health` with the health, `drives` with the roles.
fn said(engine: &Engine, id: DriveId) -> Vec<String> {
    let journal = engine.journal();
    let leaves = (0..journal.size()).map(|at| Leaf::parse(&journal.leaf(at).unwrap()).unwrap());
    let id = chartrier_journal::Json::from(id.to_string());
    let word = |json: &chartrier_journal::Json| match json {
        chartrier_journal::Json::String(word) => word.clone(),
        other => format!("{other:?}"),
    };
    let of_drive = |leaf: Leaf| match leaf.event.name() {
        "storage.drive-health" if leaf.data["drive"] == id => Some(word(&leaf.data["health"])),
        "storage.drives" => {
            let chartrier_journal::Json::Array(drives) = &leaf.data["drives"] else { return None };
            let mut rows = drives.iter().filter_map(|drive| match drive {
                chartrier_journal::Json::Object(row) if row["drive"] == id => Some(word(&row["role"])),
                _ => None,
            });
            rows.next_back()
        }
        _ => None,
    };
    leaves.filter_map(of_drive).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_stays_away_is_rebuilt_on_the_others() {
    let rig = rig(8);
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let gone = id_at(&engine, rig.drive(3));
    wipe(rig.drive(3));
    until(&engine, "the drive is left", |engine| role_of(engine, gone) != DriveRole::Active).await;
    settled(&engine).await;
    assert_eq!(role_of(&engine, gone), DriveRole::Retired);
    assert!(engine.drive_cares().is_empty() && engine.status().is_whole(), "{:?}", engine.status());
    assert_eq!(said(&engine, gone), ["failed", "leaving", "retired"]);
    // Any two of the others may go now.
    wipe(rig.drive(0));
    wipe(rig.drive(7));
    check_all(&engine).await;
    stop(engine).await;
    check_all(&*rig.open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_whose_writes_fail_is_emptied_and_read_until_it_is() {
    let rig = rig(7);
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let failing = id_at(&engine, rig.drive(2));
    let drive = engine.blobs().drive(failing).unwrap();
    for _ in 0..2 {
        drive.note_write_error("a write in the test", &io::Error::from(io::ErrorKind::Other));
    }
    assert_eq!(drive.state(), DriveState::ReadOnly);
    drop(drive);
    until(&engine, "the drive is left", |engine| role_of(engine, failing) != DriveRole::Active).await;
    settled(&engine).await;
    assert_eq!(role_of(&engine, failing), DriveRole::Retired);
    assert_eq!(said(&engine, failing), ["read-only", "leaving", "retired"]);
    check_all(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_drives_enough_it_says_what_is_missing_and_goes_on_when_it_comes() {
    let rig = rig(6);
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let gone = id_at(&engine, rig.drive(5));
    wipe(rig.drive(5));
    let blocked = |engine: &Engine| matches!(engine.drive_cares().as_slice(), [care] if matches!(care.plan, CarePlan::Blocked(_)));
    until(&engine, "blocked", blocked).await;
    let text = engine.drive_cares()[0].text();
    assert!(text.contains("5 drives are well and 6 are needed: add a drive"), "{text}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(role_of(&engine, gone), DriveRole::Active);
    engine.add_drive(Some(rig.dir.path().join("new"))).await.unwrap();
    until(&engine, "the drive is left", |engine| role_of(engine, gone) == DriveRole::Retired).await;
    settled(&engine).await;
    check_all(&engine).await;
}

/// Three drives of eight go at once and come back: a cable. Nothing was moved for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_many_drives_moves_nothing() {
    let mut rig = rig(8);
    // They are found again one by one, up to five seconds apart.
    rig.config.mend.evacuate_after_s = 9;
    let engine = rig.open_with_bucket().await;
    fill(&engine).await;
    let lost: Vec<DriveId> = [1, 4, 6].map(|n| id_at(&engine, rig.drive(n))).to_vec();
    for n in [1, 4, 6] {
        rig.take_away(n);
    }
    until(&engine, "three are out", |engine| engine.drive_cares().len() == 3).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    for care in engine.drive_cares() {
        assert!(care.text().contains("3 of 8 drives are out at once"), "{}", care.text());
    }
    assert!(lost.iter().all(|id| role_of(&engine, *id) == DriveRole::Active));
    for n in [1, 4, 6] {
        rig.bring_back(n);
    }
    until(&engine, "all are back", |engine| engine.status().is_whole() && engine.drive_cares().is_empty()).await;
    for id in lost {
        assert_eq!(said(&engine, id), ["failed", "online"]);
    }
    assert_eq!((missing(&engine), OBJECTS), (Vec::new(), 14));
    check_all(&engine).await;
}
