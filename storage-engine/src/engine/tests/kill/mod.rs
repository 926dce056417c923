//! Goal: wherever the process is ended by SIGKILL, the next one finds everything that was answered, nothing
//! half, full redundancy in the end, a journal that verifies, and nothing that nobody needs.
//!
//! Method: a child process, this same test binary, opens an engine on real directories and works: three
//! workers put, delete and upload, and beside them goes what the step belongs to. It is ended at the
//! n-th passage of the step ([`crate::failpoint`]). Then the engine is opened here and all of it is looked
//! at. The installation stays the same for all steps of a story, so that each death meets what the deaths
//! before it left. `CHARTRIER_KILL_ROUNDS=n` repeats the stories, each time with later passages.

mod ledger;
mod site;
mod verify;
mod work;

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use self::site::Site;
use self::work::Scene;
use crate::failpoint::Step;

const CHILD: &str = "CHARTRIER_KILL_CHILD";
const CHILD_TEST: &str = "engine::tests::kill::child";
/// A step that was not passed in this time is never passed: the story is wrong.
const PATIENCE: Duration = Duration::from_secs(90);

/// The other process; as a test of its own it does nothing.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let mut fields = task.splitn(3, '|');
    let mut field = || fields.next().unwrap();
    let (scene, openings, dir) = (field(), field().parse().unwrap(), field());
    let scene = *Scene::ALL.iter().find(|known| format!("{known:?}") == scene).unwrap();
    runtime().block_on(work::run(Site::new(Path::new(dir), openings), scene));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

/// Whether the child met its step.
#[derive(PartialEq, Eq)]
enum End {
    Killed,
    NeverPassed,
}

fn run_child(site: &mut Site, scene: Scene, step: Step, passage: u64) -> End {
    let log = std::fs::File::create(site.dir.join("child.log")).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD_TEST, "--exact", "--nocapture"])
        .env(CHILD, format!("{scene:?}|{}|{}", site.openings, site.dir.display()))
        .env("CHARTRIER_FAILPOINT", format!("{step:?}:{passage}"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    site.openings += 1;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return End::NeverPassed;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    match (status.signal(), status.success()) {
        (Some(9), _) => End::Killed,
        (None, true) => End::NeverPassed,
        _ => panic!("{step:?}:{passage}: {status}: {}", child_log(site)),
    }
}

fn child_log(site: &Site) -> String {
    std::fs::read_to_string(site.dir.join("child.log")).unwrap_or_default()
}

/// Ends children of one installation at these steps, one after the other.
fn story(scene: Scene, steps: Deaths) {
    tell(scene, steps, |_| {});
}

/// The same; before each child `prepare` does something to the installation.
fn tell(scene: Scene, steps: Deaths, prepare: impl Fn(&mut Site)) {
    let dir = tempfile::tempdir().unwrap();
    let mut site = Site::new(dir.path(), 0);
    let runtime = runtime();
    runtime.block_on(verify::begin(&mut site));
    let rounds: u64 = std::env::var("CHARTRIER_KILL_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        for &(step, passage) in steps {
            // The first round meets each step early; later ones anywhere in the first passages.
            let passage = passage + round * (1 + (round * 7 + passage) % 3);
            let what = format!("{scene:?}, {step:?}:{passage}");
            let begun = Instant::now();
            prepare(&mut site);
            let end = run_child(&mut site, scene, step, passage);
            assert!(end == End::Killed || round > 0, "{what}: never passed: {}", child_log(&site));
            let killed = begun.elapsed();
            runtime.block_on(verify::verify(&mut site, &what));
            eprintln!(
                "{what}: {} ms to the end, {} ms to verify",
                killed.as_millis(),
                (begun.elapsed() - killed).as_millis()
            );
        }
    }
}

/// Steps, and at which passage of each the process is ended.
type Deaths = &'static [(Step, u64)];

const CHANGES: Deaths = &[
    (Step::RecordWritten, 1),
    (Step::RecordWritten, 20),
    (Step::RecordsIndexed, 8),
    (Step::SegmentUnsynced, 5),
    (Step::SegmentSynced, 7),
    (Step::SegmentCreated, 5),
    (Step::FooterWritten, 1),
    (Step::FooterWritten, 2),
    (Step::SegmentSealed, 1),
    (Step::SegmentSealed, 3),
    (Step::LogWritten, 9),
    (Step::LogWritten, 10),
    (Step::LogSynced, 11),
    (Step::LogSynced, 14),
    (Step::LogDurable, 12),
    (Step::LogSegmentPrepared, 3),
    (Step::ApplyBegun, 10),
    (Step::ApplyDone, 12),
    (Step::Answered, 11),
    (Step::ShardsFreed, 2),
    (Step::DeadFreed, 1),
];
const CHECKPOINTS: Deaths = &[
    (Step::CheckpointCopied, 2),
    (Step::CheckpointFileWritten, 3),
    (Step::CheckpointFileNamed, 4),
    (Step::CheckpointPublished, 1),
    (Step::CheckpointPublished, 2),
    (Step::CheckpointComplete, 2),
    (Step::LogSegmentRecycled, 1),
    (Step::LogSegmentRecycled, 2),
    (Step::CheckpointManifestRemoved, 1),
    (Step::CheckpointManifestRemoved, 2),
    (Step::CheckpointFileRemoved, 1),
    (Step::CheckpointFileRemoved, 3),
];
const RECLAIM: Deaths = &[
    (Step::OrphansFreed, 1),
    (Step::OrphansFreed, 2),
    (Step::DeadFreed, 1),
    (Step::DeadFlushed, 1),
    (Step::DeadForgotten, 1),
    (Step::ShardsFreed, 4),
    (Step::CompactionCopied, 3),
    (Step::CompactionSynced, 1),
    (Step::CompactionNamed, 1),
    (Step::CompactionMoved, 1),
    (Step::CompactionFlushed, 1),
    (Step::CompactionRemoved, 1),
    (Step::CompactionRemoved, 3),
];
const REPAIR: Deaths = &[
    (Step::RepairWritten, 1),
    (Step::RepairWritten, 3),
    (Step::RepairRecorded, 1),
    (Step::RepairRecorded, 3),
    (Step::SegmentSealed, 2),
];
const REINDEX: Deaths = &[
    (Step::ReindexBegun, 1),
    (Step::ReindexFilled, 1),
    (Step::ReindexFilled, 3),
    (Step::ReindexFlushed, 1),
    (Step::ReindexTaken, 1),
    (Step::ReindexTaken, 2),
];
const MIRRORS: Deaths = &[
    (Step::MirrorCleared, 1),
    (Step::CheckpointPublished, 1),
    (Step::MirrorCopied, 1),
    (Step::MirrorCopied, 2),
    (Step::SuperblockWritten, 6),
    (Step::SuperblockWritten, 7),
    (Step::MembershipPublished, 1),
    (Step::MembershipPublished, 2),
    (Step::MirrorDropped, 1),
];
const ADD_AND_REMOVE: Deaths = &[
    (Step::DriveMade, 1),
    (Step::DescriptionWritten, 2),
    (Step::DescriptionNamed, 2),
    (Step::DrivesChanged, 1),
    (Step::DescriptionWritten, 3),
    (Step::RepairWritten, 1),
    (Step::RepairRecorded, 1),
    (Step::LayoutFollowed, 1),
    (Step::DrivesChanged, 2),
    (Step::DescriptionNamed, 3),
    (Step::LayoutFollowed, 2),
];
const REPLACE: Deaths = &[
    (Step::DriveMade, 1),
    (Step::DescriptionNamed, 2),
    (Step::DrivesChanged, 1),
    (Step::RepairWritten, 1),
    (Step::RepairRecorded, 1),
    (Step::MirrorCopied, 1),
    (Step::LayoutFollowed, 1),
    (Step::DrivesChanged, 2),
];
const DRAIN: Deaths = &[
    (Step::DrivesChanged, 1),
    (Step::DrivesChanged, 3),
    (Step::DrivesChanged, 4),
    (Step::DrivesChanged, 5),
    (Step::RepairRecorded, 2),
];
const PACKS: Deaths = &[
    (Step::PackWritten, 1),
    (Step::PackWritten, 3),
    (Step::PackRecorded, 1),
    (Step::PackRecorded, 2),
    (Step::PackRecorded, 5),
    (Step::RecordWritten, 17),
    (Step::SegmentSynced, 13),
    (Step::LogSynced, 15),
    (Step::ApplyDone, 14),
    (Step::DeadFreed, 2),
    (Step::DeadForgotten, 1),
    (Step::CompactionRemoved, 1),
];
const OPENING: Deaths = &[
    (Step::UnfinishedRemoved, 1),
    (Step::SegmentIndexed, 1),
    (Step::SegmentClosed, 1),
    (Step::SegmentClosed, 3),
    (Step::IndexPutAside, 1),
    (Step::RestoreFile, 1),
    (Step::RestoreFile, 3),
    (Step::RestoreNamed, 1),
    (Step::SuperblockWritten, 1),
    (Step::SuperblockWritten, 3),
    (Step::ReplayBatch, 1),
    (Step::OldIndexForgotten, 1),
    (Step::DescriptionWritten, 1),
];
const FIRST_START: Deaths = &[
    (Step::DescriptionWritten, 1),
    (Step::DescriptionNamed, 1),
    (Step::SuperblockWritten, 1),
    (Step::SuperblockWritten, 5),
    (Step::SuperblockWritten, 8),
    (Step::DescriptionNamed, 2),
    (Step::SuperblockWritten, 10),
    (Step::LogWritten, 1),
    (Step::LogSynced, 2),
    (Step::ApplyDone, 1),
    (Step::LogDurable, 2),
    (Step::ApplyDone, 2),
    (Step::DescriptionWritten, 3),
];

#[test]
fn no_step_is_forgotten() {
    let stories = [
        CHANGES,
        CHECKPOINTS,
        RECLAIM,
        REPAIR,
        REINDEX,
        MIRRORS,
        ADD_AND_REMOVE,
        REPLACE,
        DRAIN,
        PACKS,
        OPENING,
        FIRST_START,
    ];
    let met = |step: &Step| stories.iter().any(|deaths| deaths.iter().any(|(met, _)| met == step));
    let forgotten: Vec<&Step> = Step::ALL.iter().filter(|step| !met(step)).collect();
    assert!(forgotten.is_empty(), "nothing ends at {forgotten:?}");
}

#[test]
fn in_a_change() {
    story(Scene::Changes, CHANGES);
}

#[test]
fn in_a_checkpoint() {
    story(Scene::Checkpoints, CHECKPOINTS);
}

#[test]
fn in_the_giving_back_of_space() {
    story(Scene::Reclaim, RECLAIM);
}

#[test]
fn in_a_repair() {
    story(Scene::Repair, REPAIR);
}

#[test]
fn in_the_making_of_an_index() {
    story(Scene::Reindex, REINDEX);
}

#[test]
fn while_the_log_moves() {
    story(Scene::Mirrors, MIRRORS);
}

#[test]
fn while_drives_come_and_go() {
    story(Scene::AddAndRemove, ADD_AND_REMOVE);
}

#[test]
fn while_a_drive_is_replaced() {
    story(Scene::Replace, REPLACE);
}

#[test]
fn while_a_drive_is_drained() {
    story(Scene::Drain, DRAIN);
}

#[test]
fn while_small_blobs_are_packed() {
    story(Scene::Pack, PACKS);
}

#[test]
fn while_it_starts() {
    // Ended in its work before, with the index marked as damaged and a file that no compaction finished.
    let prepare = |site: &mut Site| {
        assert!(run_child(site, Scene::Changes, Step::Answered, 30) == End::Killed);
        std::fs::write(site.dir.join("data/index.damaged"), "").unwrap();
        std::fs::write(site.dir.join(format!("d1/segments/{}.new", "7".repeat(32))), "x").unwrap();
    };
    tell(Scene::Opening, OPENING, prepare);
}

#[test]
fn in_the_first_start() {
    for &(step, passage) in FIRST_START {
        let dir = tempfile::tempdir().unwrap();
        let mut site = Site::new(dir.path(), 0);
        let what = format!("first start, {step:?}:{passage}");
        assert!(run_child(&mut site, Scene::Opening, step, passage) == End::Killed, "{what}: {}", child_log(&site));
        runtime().block_on(async {
            verify::begin(&mut site).await;
            verify::verify(&mut site, &what).await;
        });
    }
}
