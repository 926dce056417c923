//! `chartrier admin journal export`: a log as a folder that anyone can verify offline.
//!
//! The leaves come from the server; hashes are computed here and compared with the signed root, so
//! that an export which would not verify is never written.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chartrier_journal::{
    Checkpoint, FolderSink, JournalError, TILE_WIDTH, TilePath, Verifier, decode_bundle, write_export,
};
use tokio::runtime::Handle;

use super::client::{AdminClient, ClientError};
use super::wire::JournalExport;

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A call of the admin API failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What the server sent is not the log that it signed.
    #[error("the journal that the server sent does not verify")]
    Journal(#[from] JournalError),
    /// The folder cannot be written, or is not empty.
    #[error("cannot write the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The writing thread failed.
    #[error("the export stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

/// Exports the log into `out`, which must be missing or empty.
///
/// # Errors
/// [`ExportError`]; `out` is then as it was.
pub async fn export_journal(client: &AdminClient, log: &str, out: &Path) -> Result<JournalExport, ExportError> {
    let base = format!("/journal/{log}");
    let note = text(client.get_bytes(&format!("{base}/checkpoint")).await?)?;
    let vkey = text(client.get_bytes(&format!("{base}/vkey")).await?)?;
    let verifier = Verifier::from_vkey(vkey.trim_end())?;
    let size = Checkpoint::open(&note, &verifier)?.size();

    let folder = |source| ExportError::Folder { path: out.to_owned(), source };
    let mut sink = FolderSink::create(out).map_err(folder)?;
    let mut bundles = Bundles { client: client.clone(), runtime: Handle::current(), base, size, current: None };
    let (checkpoint, sink) = tokio::task::spawn_blocking(move || {
        let leaf = |index| bundles.leaf(index).map_err(|error| JournalError::Read(Box::new(error)));
        write_export(&note, &verifier, leaf, &mut sink).map(|checkpoint| (checkpoint, sink)).map_err(unwrapped)
    })
    .await??;
    sink.commit().map_err(folder)?;
    Ok(JournalExport { origin: checkpoint.origin().to_owned(), leaves: checkpoint.size() })
}

/// Fetches entry bundles as the export asks for their leaves, one in memory at a time.
struct Bundles {
    client: AdminClient,
    runtime: Handle,
    base: String,
    size: u64,
    current: Option<(u64, Vec<Vec<u8>>)>,
}

impl Bundles {
    fn leaf(&mut self, index: u64) -> Result<Vec<u8>, ExportError> {
        let width = u64::from(TILE_WIDTH);
        let n = index / width;
        if self.current.as_ref().is_none_or(|(loaded, _)| *loaded != n) {
            self.current = Some((n, self.fetch(n)?));
        }
        let place = usize::try_from(index % width).expect("under 256");
        let entries = self.current.as_mut().map(|(_, entries)| entries).expect("loaded above");
        // Each leaf is asked for once.
        Ok(std::mem::take(&mut entries[place]))
    }

    fn fetch(&self, n: u64) -> Result<Vec<Vec<u8>>, ExportError> {
        let width = u64::from(TILE_WIDTH);
        let count = u16::try_from((self.size - n * width).min(width)).expect("at most 256");
        let path = TilePath::entries(n, count).expect("within the tree of a checkpoint");
        let bundle = self.runtime.block_on(self.client.get_bytes(&format!("{}/{path}", self.base)))?;
        Ok(decode_bundle(&bundle, count)?.into_iter().map(<[u8]>::to_vec).collect())
    }
}

/// A call that failed under the export is what the caller should read of, not the export's view of it.
fn unwrapped(error: JournalError) -> ExportError {
    match error {
        JournalError::Read(source) => match source.downcast::<ExportError>() {
            Ok(error) => *error,
            Err(source) => ExportError::Journal(JournalError::Read(source)),
        },
        error => ExportError::Journal(error),
    }
}

fn text(bytes: Bytes) -> Result<String, ClientError> {
    String::from_utf8(bytes.into()).map_err(|error| ClientError::Answer(error.to_string()))
}
