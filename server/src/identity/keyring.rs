//! Key files of the server: `DATA/keys/*.key`, 32 raw bytes each, mode 0600.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chartrier_storage::env::Random;
use zeroize::Zeroizing;

/// Seals the secrets of access keys, pending uploads and objects of mode O.
pub const OPERATOR_KEY: &str = "operator.key";
/// Seed of the key that signs checkpoints.
pub const JOURNAL_KEY: &str = "journal-signing.key";
/// From it come the keys of the pseudonyms in leaves.
pub const PSEUDONYM_KEY: &str = "pseudonym.key";

/// A key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The disk refused.
    #[error("cannot read or write {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It is not 32 bytes: restore it from a backup.
    #[error("{path} is not a key of 32 bytes: restore it from a backup")]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
    /// Others may read it: `chmod 600`.
    #[error("{path} may be read by others: chmod 600 it")]
    TooOpen {
        /// Which file.
        path: PathBuf,
    },
    /// It is gone while data needs it: restore it from a backup.
    #[error("{path} is missing, and data was written with it: restore it from a backup")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
}

/// Whether a missing key may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Nothing depends on it yet.
    Create,
    /// What it protects exists already.
    Refuse,
}

/// Reads `DATA/keys/<name>`, or makes it.
///
/// # Errors
/// [`KeyFileError`].
pub fn load_or_create(
    data: &Path,
    name: &str,
    if_missing: IfMissing,
    random: &dyn Random,
) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let dir = data.join("keys");
    let path = dir.join(name);
    let io_error = |source| KeyFileError::Io { path: path.clone(), source };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => return Err(KeyFileError::TooOpen { path }),
        Ok(_) => {
            let bytes = Zeroizing::new(fs::read(&path).map_err(io_error)?);
            let key = <[u8; 32]>::try_from(bytes.as_slice());
            return key.map(Zeroizing::new).map_err(|_| KeyFileError::Malformed { path });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
        Err(_) if if_missing == IfMissing::Refuse => return Err(KeyFileError::Missing { path }),
        Err(_) => {}
    }
    let mut key = Zeroizing::new([0; 32]);
    random.fill(key.as_mut_slice());
    write_private(&path, key.as_slice()).map_err(io_error)?;
    Ok(key)
}

/// Writes a file of mode 0600 in place of an older one; it is on disk when this returns.
///
/// # Errors
/// What the file system answers.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn a_key_is_made_once_private_and_never_replaced() {
        let data = tempfile::tempdir().unwrap();
        let load = |if_missing| load_or_create(data.path(), OPERATOR_KEY, if_missing, &SystemRandom::default());
        assert!(matches!(load(IfMissing::Refuse), Err(KeyFileError::Missing { .. })));
        let key = load(IfMissing::Create).unwrap();
        assert_eq!(*load(IfMissing::Refuse).unwrap(), *key);
        let path = data.path().join("keys").join(OPERATOR_KEY);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load(IfMissing::Create), Err(KeyFileError::TooOpen { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(load(IfMissing::Create), Err(KeyFileError::Malformed { .. })));
    }
}
