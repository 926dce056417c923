//! An export as a folder, read with care: it may come from anyone.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::VerifyError;
use super::export::ExportReader;

/// Deepest folder that is looked into: `tile/<L>/` and seven groups of digits, and `.p`.
const DEPTH_MAX: usize = 12;

/// An export in a folder. Only plain files are read: no symbolic link, pipe or device.
pub struct FolderReader {
    folder: PathBuf,
}

impl FolderReader {
    /// Takes the folder as it is; nothing is read yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn visit_folder(
        &self,
        folder: &Path,
        prefix: &str,
        depth: usize,
        visit: &mut dyn FnMut(&str) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let failed = |source| VerifyError::Io { path: shown(prefix), source };
        if depth > DEPTH_MAX {
            return Err(VerifyError::Unexpected { path: shown(prefix) });
        }
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A name that is not UTF-8 is none of an export's: its lossy form parses as no tile.
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().map_err(failed)?.is_dir() {
                // Only the tree's own folder is of interest; what lies beside it is counted, not walked.
                if prefix.is_empty() && name != "tile" {
                    visit(&name)?;
                } else {
                    self.visit_folder(&entry.path(), &format!("{name}/"), depth + 1, visit)?;
                }
            } else {
                visit(&name)?;
            }
        }
        Ok(())
    }
}

impl ExportReader for FolderReader {
    fn read(&self, path: &str, len_max: usize) -> io::Result<Option<Vec<u8>>> {
        read_plain_file(&self.folder.join(path), len_max)
    }

    fn files(&self, visit: &mut dyn FnMut(&str) -> Result<(), VerifyError>) -> Result<(), VerifyError> {
        self.visit_folder(&self.folder, "", 0, visit)
    }
}

/// Reads a plain file of at most `len_max` bytes; `None` if it is not there.
pub(crate) fn read_plain_file(path: &Path, len_max: usize) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(io::Error::other("not a plain file")),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(len_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > len_max {
        return Err(io::Error::other("longer than such a file can be"));
    }
    Ok(Some(bytes))
}

fn shown(path: &str) -> String {
    path.escape_debug().to_string()
}
