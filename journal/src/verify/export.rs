//! Verification of a whole export.

use std::fmt;
use std::io;

use super::{VerifyError, check_leaf};
use crate::bundle::{BUNDLE_LEN_MAX, decode_bundle};
use crate::checkpoint::Checkpoint;
use crate::export::{TileStack, bundle_path};
use crate::hash::{HASH_LEN, leaf_hash};
use crate::note::{NOTE_LEN_MAX, Verifier};
use crate::stored::Frontier;
use crate::tile::{TILE_WIDTH, TilePath};
use crate::time::format_time;

/// Longest `vkey` file.
pub(crate) const VKEY_LEN_MAX: usize = 4096;

/// Reads the files of an export.
pub trait ExportReader {
    /// The whole file, or `None` if it is not there. A file longer than `len_max` bytes is an error.
    ///
    /// # Errors
    /// Those of the medium.
    fn read(&self, path: &str, len_max: usize) -> io::Result<Option<Vec<u8>>>;

    /// Calls `visit` with the path of every file, in any order, until it fails.
    ///
    /// # Errors
    /// Those of the medium, and what `visit` answers.
    fn files(&self, visit: &mut dyn FnMut(&str) -> Result<(), VerifyError>) -> Result<(), VerifyError>;
}

/// What was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedExport {
    /// The signed head that everything hashes to.
    pub checkpoint: Checkpoint,
    /// The key that signed it.
    pub key: Verifier,
    /// Tiles and entry bundles compared, byte by byte.
    pub files: u64,
    /// Files beside the export, which were not looked at.
    pub other_files: u64,
    /// Times of the first and last leaf, Unix time in microseconds.
    pub times_us: Option<(u64, u64)>,
}

impl fmt::Display for VerifiedExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, size, root) =
            (self.checkpoint.origin().escape_debug(), self.checkpoint.size(), self.checkpoint.root());
        write!(f, "ok: {origin}: {size} leaves in order, {} tiles and bundles, root {root}", self.files)?;
        if let Some((first, last)) = self.times_us {
            let text = |time| format_time(time).unwrap_or_default();
            write!(f, ", from {} to {}", text(first), text(last))?;
        }
        write!(f, ", signed by key {}", self.key.key_id_hex())?;
        if self.other_files > 0 {
            write!(f, " ({} other files not checked)", self.other_files)?;
        }
        Ok(())
    }
}

/// Checks a whole export.
///
/// The checkpoint is signed by the log's key; the entries hash to its root; every tile is that of the entries
/// and none is missing or left over; every leaf is canonical, in its place, of this log, and no earlier than
/// the one before. `known` is the key to trust; without it, the export's own `vkey` is taken, and the reader
/// compares the key id that is reported with one from elsewhere.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify_export(reader: &impl ExportReader, known: Option<&Verifier>) -> Result<VerifiedExport, VerifyError> {
    let key = read_key(reader, known)?;
    let note = read_text(reader, "checkpoint", NOTE_LEN_MAX)?;
    let checkpoint = Checkpoint::open(&note, &key).map_err(VerifyError::invalid("checkpoint"))?;
    let (mut files, mut last_time, mut first_time) = (0, 0, None);
    let mut frontier = Frontier::new();
    let mut tiles = TileStack::default();
    while frontier.size() < checkpoint.size() {
        let width = (checkpoint.size() - frontier.size()).min(TILE_WIDTH.into());
        let path = bundle_path(frontier.size() / u64::from(TILE_WIDTH), width);
        let bundle = read_file(reader, &path.path(), BUNDLE_LEN_MAX)?;
        let entries = decode_bundle(&bundle, path.width()).map_err(VerifyError::invalid(path.path()))?;
        files += 1;
        for entry in entries {
            let index = frontier.size();
            let leaf = check_leaf(entry, index, checkpoint.origin())?;
            if leaf.time_us < last_time {
                return Err(VerifyError::Leaf { index, why: "its time is before the leaf before", source: None });
            }
            last_time = leaf.time_us;
            first_time.get_or_insert(last_time);
            let hash = leaf_hash(entry);
            frontier.push(hash);
            tiles.push(0, hash, &mut |path, bytes| compare_tile(reader, path, bytes, &mut files))?;
        }
    }
    tiles.finish(&mut |path, bytes| compare_tile(reader, path, bytes, &mut files))?;
    if frontier.root() != checkpoint.root() {
        return Err(VerifyError::WrongRoot);
    }
    let other_files = check_leftovers(reader, checkpoint.size())?;
    Ok(VerifiedExport { times_us: first_time.map(|first| (first, last_time)), checkpoint, key, files, other_files })
}

fn read_key(reader: &impl ExportReader, known: Option<&Verifier>) -> Result<Verifier, VerifyError> {
    let text = read_text(reader, "vkey", VKEY_LEN_MAX)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let key = Verifier::from_vkey(line).map_err(VerifyError::invalid("vkey"))?;
    if known.is_some_and(|known| *known != key) {
        return Err(VerifyError::OtherKey);
    }
    Ok(key)
}

fn compare_tile(reader: &impl ExportReader, path: TilePath, bytes: &[u8], files: &mut u64) -> Result<(), VerifyError> {
    let path = path.path();
    *files += 1;
    // One byte of room, so that a longer tile is told as a wrong one.
    let found = read_file(reader, &path, usize::from(TILE_WIDTH) * HASH_LEN + 1)?;
    if found == bytes { Ok(()) } else { Err(VerifyError::WrongTile { path }) }
}

/// Refuses files under `tile/` that the tree does not have; counts files that are none of an export's.
fn check_leftovers(reader: &impl ExportReader, size: u64) -> Result<u64, VerifyError> {
    let mut other_files = 0;
    reader.files(&mut |path| {
        if path.starts_with("tile/") {
            return match TilePath::parse(path) {
                Ok(tile) if tile.belongs_to(size) => Ok(()),
                _ => Err(VerifyError::Unexpected { path: path.escape_debug().to_string() }),
            };
        }
        other_files += u64::from(path != "checkpoint" && path != "vkey");
        Ok(())
    })?;
    Ok(other_files)
}

fn read_file(reader: &impl ExportReader, path: &str, len_max: usize) -> Result<Vec<u8>, VerifyError> {
    match reader.read(path, len_max) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(VerifyError::Missing { path: path.to_owned() }),
        Err(source) => Err(VerifyError::Io { path: path.to_owned(), source }),
    }
}

fn read_text(reader: &impl ExportReader, path: &str, len_max: usize) -> Result<String, VerifyError> {
    let bytes = read_file(reader, path, len_max)?;
    String::from_utf8(bytes).map_err(|error| {
        let source = io::Error::new(io::ErrorKind::InvalidData, error);
        VerifyError::Io { path: path.to_owned(), source }
    })
}
