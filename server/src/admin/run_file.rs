//! `DATA/run/admin.json`: how `chartrier admin` on the same machine finds the running server.
//!
//! It holds the admin endpoint and a bearer token drawn at each start, with mode 0600 in a
//! directory of mode 0700: who can read the data directory may administer it, and nobody else.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// The bearer token of the admin API. It has no `Debug`, and compares in constant time.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AdminToken(String);

impl AdminToken {
    /// Makes a token from 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(hex::encode(bytes))
    }

    /// Takes the text of a token as a file holds it.
    pub fn from_text(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text to send in `Authorization: Bearer`.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether an `Authorization` header presents this token.
    pub fn matches_authorization(&self, header: &[u8]) -> bool {
        let Some((scheme, token)) = header.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(token.ct_eq(self.0.as_bytes()))
    }
}

/// Where the admin API of a running server answers, and what opens it.
#[derive(Clone, Serialize, Deserialize)]
pub struct RunFile {
    /// `http://127.0.0.1:9001`.
    pub endpoint: String,
    /// Drawn at each start.
    pub token: AdminToken,
    /// The server's process.
    #[serde(default)]
    pub pid: u32,
}

impl RunFile {
    /// The file's path under a data directory.
    pub fn path(data: &Path) -> PathBuf {
        data.join("run").join("admin.json")
    }

    /// Writes the file in place of an older one, never readable by others, not even for a moment.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let path = Self::path(data);
        let dir = path.parent().expect("the path ends in run/admin.json");
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let temporary = dir.join("admin.json.new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    }

    /// Reads the file of the server that runs on `data`.
    ///
    /// # Errors
    /// `NotFound` when no server has run there; `InvalidData` when the file is not ours.
    pub fn read(data: &Path) -> io::Result<Self> {
        let bytes = fs::read(Self::path(data))?;
        serde_json::from_slice(&bytes).map_err(|source| io::Error::new(io::ErrorKind::InvalidData, source))
    }

    /// Removes the file at a clean stop; a missing file is fine.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn remove(data: &Path) -> io::Result<()> {
        match fs::remove_file(Self::path(data)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn round_trips_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let file =
            RunFile { endpoint: "http://127.0.0.1:9001".into(), token: AdminToken::from_random([7; 32]), pid: 42 };
        file.write(dir.path()).unwrap();
        file.write(dir.path()).unwrap();
        let mode = fs::metadata(RunFile::path(dir.path())).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let back = RunFile::read(dir.path()).unwrap();
        assert_eq!(back.endpoint, file.endpoint);
        assert_eq!(back.token.expose(), file.token.expose());
        RunFile::remove(dir.path()).unwrap();
        RunFile::remove(dir.path()).unwrap();
        assert!(RunFile::read(dir.path()).is_err());
    }

    #[test]
    fn authorization_needs_scheme_and_the_whole_token() {
        let token = AdminToken::from_random([9; 32]);
        let good = format!("Bearer {}", token.expose());
        assert!(token.matches_authorization(good.as_bytes()));
        assert!(token.matches_authorization(good.replace("Bearer", "bearer").as_bytes()));
        assert!(!token.matches_authorization(token.expose().as_bytes()));
        assert!(!token.matches_authorization(&good.as_bytes()[..good.len() - 1]));
        assert!(!token.matches_authorization(b"Bearer "));
        assert!(!token.matches_authorization(b""));
    }
}
