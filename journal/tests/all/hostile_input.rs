//! The verifier meets input made to harm it: it answers an error, soon, and never panics.

use std::io;

use chartrier_journal::{
    Checkpoint, ExportReader, FolderReader, Proof, TREE_SIZE_MAX, Verifier, VerifyError, leaf_hash, open_note,
    verify_export, verify_proof,
};
use proptest::prelude::*;

use crate::log::{Files, Log, ORIGIN, signer};

/// A signed checkpoint of an immense tree, and a folder that answers every file with the same bytes.
struct Flood {
    checkpoint: Vec<u8>,
    vkey: Vec<u8>,
    rest: Vec<u8>,
}

impl ExportReader for Flood {
    fn read(&self, path: &str, len_max: usize) -> io::Result<Option<Vec<u8>>> {
        let bytes = match path {
            "checkpoint" => &self.checkpoint,
            "vkey" => &self.vkey,
            _ => &self.rest,
        };
        Ok(Some(bytes[..bytes.len().min(len_max)].to_vec()))
    }

    fn files(&self, _: &mut dyn FnMut(&str) -> Result<(), VerifyError>) -> Result<(), VerifyError> {
        Ok(())
    }
}

#[test]
fn an_immense_signed_tree_ends_at_the_first_wrong_bundle() {
    let note = Checkpoint::new(ORIGIN, TREE_SIZE_MAX, leaf_hash(b"")).unwrap().sign(&signer()).unwrap();
    let vkey = signer().vkey().into_bytes();
    for rest in [vec![], vec![0; 512], vec![0xff; 1 << 20], b"{}".repeat(5000)] {
        let flood = Flood { checkpoint: note.clone().into_bytes(), vkey: vkey.clone(), rest };
        assert!(verify_export(&flood, None).is_err());
    }
    let mut alone = Files::default();
    alone.0.insert("checkpoint".to_owned(), note.into_bytes());
    alone.0.insert("vkey".to_owned(), vkey);
    assert!(matches!(verify_export(&alone, None), Err(VerifyError::Missing { .. })));
}

#[cfg(unix)]
#[test]
fn pipes_links_and_deep_folders_do_not_hold_it_up() {
    use std::fs;
    use std::os::unix::fs::symlink;

    let export = |log: &Log| {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in log.exported().0 {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        folder
    };
    let verify = |folder: &tempfile::TempDir| verify_export(&FolderReader::new(folder.path()), None);
    let log = Log::with_size(3);
    assert!(verify(&export(&log)).is_ok());

    for name in ["checkpoint", "vkey", "tile/0/000.p/3", "tile/entries/000.p/3"] {
        let folder = export(&log);
        let file = folder.path().join(name);
        fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(made.success());
        assert!(matches!(verify(&folder), Err(VerifyError::Io { .. })), "{name} as a pipe");
        fs::remove_file(&file).unwrap();
        symlink("/dev/zero", &file).unwrap();
        assert!(matches!(verify(&folder), Err(VerifyError::Io { .. })), "{name} as a link");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(verify(&folder).is_err(), "{name} as a folder");
    }
    let deep = export(&log);
    fs::create_dir_all(deep.path().join(format!("tile/0{}", "/x".repeat(200)))).unwrap();
    assert!(matches!(verify(&deep), Err(VerifyError::Unexpected { .. })));
    let cycle = export(&log);
    symlink(cycle.path(), cycle.path().join("tile/again")).unwrap();
    assert!(matches!(verify(&cycle), Err(VerifyError::Unexpected { .. })));
    let named = export(&log);
    fs::write(named.path().join("tile/\u{1b}[2Jx"), "").unwrap();
    let error = verify(&named).unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "no escape codes reach a terminal: {error:?}");
}

proptest! {
    #[test]
    fn random_files_never_panic(files in prop::collection::btree_map(
        prop_oneof![
            Just("checkpoint".to_owned()), Just("vkey".to_owned()), Just("tile/0/000.p/3".to_owned()),
            Just("tile/entries/000.p/3".to_owned()), "tile/\\PC{0,10}",
        ],
        prop::collection::vec(any::<u8>(), 0..200), 0..6,
    )) {
        let mut export = Log::with_size(3).exported();
        export.0.extend(files.clone());
        let _ = verify_export(&export, None);
        prop_assert!(verify_export(&Files(files), None).is_err());
    }

    /// The leaves are signed, so that their content is reached.
    #[test]
    fn random_signed_leaves_never_panic(leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..5)) {
        prop_assert!(verify_export(&Log::of(leaves).exported(), None).is_err());
    }

    #[test]
    fn random_texts_never_panic(text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z=]{0,8}\n)?(index [0-9]{1,20}\n)?([A-Za-z0-9+/]{43}=\n){0,3}\n?\\PC{0,40}\n{0,2}(\u{2014} \\PC{0,30}\n){0,3}") {
        let key = signer().verifier();
        prop_assert!(verify_proof(&text, None, &key).is_err());
        let _ = Proof::parse(&text);
        let _ = Checkpoint::parse(&text);
        let _ = Verifier::from_vkey(&text);
        prop_assert!(open_note(&text, &[&key]).is_err());
    }
}
