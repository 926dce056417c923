//! What does not open, and the one line that says why.

use super::*;

async fn refusal(rig: &Rig) -> String {
    let text = rig.try_open().await.unwrap_err().to_string();
    assert!(!text.contains('\n'), "more than one line: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_directory() {
    let rig = Rig::new();
    let engine = rig.open().await;
    // Other data directory, same drives.
    let mut other = Rig::new();
    other.config.drives = rig.config.drives.clone();
    let (same, drives) = tokio::join!(refusal(&rig), refusal(&other));
    assert!(same.contains("is in use by another server") && drives.contains("is in use by another server"));
    drop(engine);
    rig.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format() {
    let rig = Rig::new();
    drop(rig.open().await);
    let path = rig.config.data_dir.join("engine.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"format\": 1", "\"format\": 9")).unwrap();
    let error = rig.try_open().await.unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 9, known: 1, .. }), "{error}");
    std::fs::write(&path, text).unwrap();
    rig.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_geometry_journal_or_installation() {
    let rig = Rig::with(2, 1, 4);
    drop(rig.open().await);
    let mut changed = Rig { dir: tempfile::tempdir().unwrap(), config: rig.config.clone() };
    (changed.config.k, changed.config.m) = (2, 2);
    assert!(refusal(&changed).await.contains("made with 2+1"));
    changed.config = rig.config.clone();
    changed.config.journal_origin = "elsewhere.example/default/cycle".to_owned();
    assert!(refusal(&changed).await.contains("journal is chartrier.local/default/cycle"));
    changed.config = rig.config.clone();
    changed.config.site = "DE-BE".to_owned();
    assert!(refusal(&changed).await.contains("French department"));

    let other = Rig::with(2, 1, 4);
    drop(other.open().await);
    changed.config = rig.config.clone();
    changed.config.drives[3] = other.config.drives[3].clone();
    assert!(refusal(&changed).await.contains("belongs to installation"));
    rig.open().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_cannot_work_touch_nothing() {
    let mut rig = Rig::with(4, 2, 5);
    assert!(refusal(&rig).await.contains("needs 6 drives, 5 are given"));
    rig.config.drives = (0..37).map(|n| rig.dir.path().join(format!("d{n}"))).collect();
    assert!(refusal(&rig).await.contains("the most is 36"));
    rig.config.drives.truncate(6);
    rig.config.drives[5] = rig.config.drives[0].clone();
    assert!(refusal(&rig).await.contains("given twice"));
    (rig.config.k, rig.config.m) = (5, 1);
    assert!(refusal(&rig).await.contains("5+1"));
    assert!(!rig.config.data_dir.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_geometry_opens_with_as_many_drives_as_it_needs_or_more() {
    for (k, m, drives) in [(1, 0, 1), (1, 1, 2), (2, 1, 3), (2, 2, 5), (8, 3, 11), (8, 4, 13)] {
        let rig = Rig::with(k, m, drives);
        let engine = rig.open_with_bucket().await;
        put(&engine, "k", 700_000).await;
        check(&engine, "k", 700_000).await;
        drop(engine);
        check(&*rig.open().await, "k", 700_000).await;
    }
}

/// A disk that is not mounted leaves no folder, or an empty one. Nothing is made there, with the data directory or
/// without: what is written would go to the disk below. A start without the data directory once made the folder.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_first_start_makes_folders_for_drives() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    put(&engine, "k", 700_000).await;
    close(engine).await;
    for without_data in [false, true] {
        if without_data {
            std::fs::remove_dir_all(&rig.config.data_dir).unwrap();
        }
        rig.take_away(2);
        rig.take_away(4);
        std::fs::create_dir(rig.drive(4)).unwrap();
        let engine = rig.open().await;
        assert_eq!(engine.status().lost_drives.len(), 2);
        check(&engine, "k", 700_000).await;
        eventually("the log has its mirrors", || engine.status().log.mirrors.len() == 3).await;
        close(engine).await;
        assert!(!rig.drive(2).exists(), "a folder was made, data directory lost: {without_data}");
        let left: Vec<_> = std::fs::read_dir(rig.drive(4)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "lock"), "{left:?} was put where a disk should be");
        std::fs::remove_dir_all(rig.drive(4)).unwrap();
        rig.bring_back(2);
        rig.bring_back(4);
    }
    // Too few of them, and nothing that says which there were: refused, and nothing made.
    std::fs::remove_dir_all(&rig.config.data_dir).unwrap();
    (0..3).for_each(|n| rig.take_away(n));
    assert!(refusal(&rig).await.contains("drives"));
    assert!((0..3).all(|n| !rig.drive(n).exists()));
    (0..3).for_each(|n| rig.bring_back(n));
    check(&*rig.open().await, "k", 700_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_cut_short_goes_on() {
    let rig = Rig::new();
    drop(rig.open().await);
    // As if the last drives had not been formatted, nor the first entries written.
    let path = rig.config.data_dir.join("engine.json");
    let mut description: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    description["drives"] = serde_json::json!([]);
    std::fs::write(&path, serde_json::to_vec(&description).unwrap()).unwrap();
    std::fs::remove_dir_all(rig.config.data_dir.join("index")).unwrap();
    for n in 0..6 {
        if n < 2 {
            for dir in ["log", "checkpoints"] {
                let _ = std::fs::remove_dir_all(rig.drive(n).join(dir));
            }
        }
        std::fs::remove_dir_all(rig.drive(n)).unwrap();
    }
    let engine = rig.open_with_bucket().await;
    put(&engine, "k", 100_000).await;
    check(&engine, "k", 100_000).await;
}
