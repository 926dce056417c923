//! Writes a log as a folder laid out as C2SP tlog-tiles, with the log's verifier key beside it.
//!
//! One leaf after the other, one tile per level in memory: at most 16 MiB for a bundle of the longest leaves
//! and 64 KiB of hashes, whatever the size of the log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::append_entry;
use crate::checkpoint::Checkpoint;
use crate::error::JournalError;
use crate::hash::{Hash, leaf_hash, node_hash};
use crate::note::Verifier;
use crate::stored::Frontier;
use crate::tile::{TILE_WIDTH, TilePath};

/// Where an export goes: a folder, an archive, a response.
pub trait ExportSink {
    /// Takes one file. Paths are relative, '/'-separated, and each comes once.
    ///
    /// # Errors
    /// Those of the medium; the export stops.
    fn put(&mut self, path: &str, bytes: &[u8]) -> io::Result<()>;
}

/// Writes the tree of a signed checkpoint: entry bundles, tiles, `vkey`, and `checkpoint` last.
///
/// `leaf` answers the leaf of an index; it is called once for each, in rising order. Hashes are computed
/// anew from the leaves, so that a damaged leaf or hash in the store cannot leave it as an export.
///
/// # Errors
/// [`JournalError::RootMismatch`] if the leaves are not those of the signed tree, and then the checkpoint was
/// not written; the reader's; the sink's as [`JournalError::Write`].
pub fn write_export(
    checkpoint_note: &str,
    log: &Verifier,
    mut leaf: impl FnMut(u64) -> Result<Vec<u8>, JournalError>,
    sink: &mut dyn ExportSink,
) -> Result<Checkpoint, JournalError> {
    let checkpoint = Checkpoint::open(checkpoint_note, log)?;
    let mut put = |path: &str, bytes: &[u8]| sink.put(path, bytes).map_err(JournalError::Write);
    let mut tiles = TileStack::default();
    let mut frontier = Frontier::new();
    let mut bundle = Vec::new();
    for index in 0..checkpoint.size() {
        let entry = leaf(index)?;
        append_entry(&mut bundle, &entry)?;
        let hash = leaf_hash(&entry);
        frontier.push(hash);
        tiles.push(0, hash, &mut |path, bytes| put(&path.path(), bytes))?;
        let in_bundle = index % u64::from(TILE_WIDTH) + 1;
        if in_bundle == u64::from(TILE_WIDTH) || index + 1 == checkpoint.size() {
            put(&bundle_path(index / u64::from(TILE_WIDTH), in_bundle).path(), &bundle)?;
            bundle.clear();
        }
    }
    tiles.finish(&mut |path, bytes| put(&path.path(), bytes))?;
    if frontier.root() != checkpoint.root() {
        return Err(JournalError::RootMismatch);
    }
    put("vkey", format!("{}\n", log.vkey()).as_bytes())?;
    put("checkpoint", checkpoint_note.as_bytes())?;
    Ok(checkpoint)
}

pub(crate) fn bundle_path(n: u64, width: u64) -> TilePath {
    let width = u16::try_from(width).expect("at most 256");
    TilePath::entries(n, width).expect("within the tree of a checkpoint")
}

/// The tiles of a growing tree: one open tile per level; a full one is given out and hashed into the level
/// above.
#[derive(Default)]
pub(crate) struct TileStack {
    levels: Vec<OpenTile>,
}

#[derive(Default)]
struct OpenTile {
    n: u64,
    hashes: Vec<Hash>,
}

impl TileStack {
    /// Appends a hash to a level; gives out each tile that becomes full.
    pub(crate) fn push<E>(
        &mut self,
        level: u8,
        hash: Hash,
        give: &mut impl FnMut(TilePath, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = usize::from(level);
        if at == self.levels.len() {
            self.levels.push(OpenTile::default());
        }
        let tile = &mut self.levels[at];
        tile.hashes.push(hash);
        if tile.hashes.len() < usize::from(TILE_WIDTH) {
            return Ok(());
        }
        tile.give(level, give)?;
        let root = perfect_root(&tile.hashes);
        tile.hashes.clear();
        tile.n += 1;
        self.push(level + 1, root, give)
    }

    /// Gives out the partial tiles at the right edge.
    pub(crate) fn finish<E>(self, give: &mut impl FnMut(TilePath, &[u8]) -> Result<(), E>) -> Result<(), E> {
        for (level, tile) in (0..).zip(&self.levels) {
            if !tile.hashes.is_empty() {
                tile.give(level, give)?;
            }
        }
        Ok(())
    }
}

impl OpenTile {
    fn give<E>(&self, level: u8, give: &mut impl FnMut(TilePath, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let width = u16::try_from(self.hashes.len()).expect("at most 256");
        let path = TilePath::hashes(level, self.n, width).expect("within the tree of a checkpoint");
        let bytes: Vec<u8> = self.hashes.iter().flat_map(|hash| hash.to_bytes()).collect();
        give(path, &bytes)
    }
}

/// Root over a power of two of hashes.
fn perfect_root(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    row[0]
}

/// An export into a folder that appears, whole, at [`FolderSink::commit`].
///
/// Files go to a hidden folder beside it, removed on drop unless committed. The files are not synced one by
/// one: after a power cut run `chartrier-verify`, which tells a whole export from a damaged one.
pub struct FolderSink {
    out: PathBuf,
    partial: PathBuf,
    committed: bool,
}

impl FolderSink {
    /// Begins an export to `out`, which must not exist or be an empty folder.
    ///
    /// # Errors
    /// `AlreadyExists` if something is there; those of the file system.
    pub fn create(out: &Path) -> io::Result<Self> {
        let taken = match fs::read_dir(out) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if taken {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty"));
        }
        let name = out.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a folder name"))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".partial-{}", std::process::id()));
        let partial = out.with_file_name(hidden);
        fs::create_dir(&partial)?;
        Ok(Self { out: out.to_owned(), partial, committed: false })
    }

    /// Makes the export appear under its name.
    ///
    /// # Errors
    /// Those of the file system; the export is then removed.
    pub fn commit(mut self) -> io::Result<()> {
        fs::rename(&self.partial, &self.out)?;
        self.committed = true;
        Ok(())
    }
}

impl ExportSink for FolderSink {
    fn put(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        // Only the names of an export: nothing can be made to land outside the folder.
        if path != "checkpoint" && path != "vkey" && TilePath::parse(path).is_err() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file of an export"));
        }
        let file = self.partial.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, bytes)
    }
}

impl Drop for FolderSink {
    fn drop(&mut self) {
        if !self.committed {
            // Best effort: what stays is hidden and has no checkpoint to vouch for it.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}
