//! The journal as tlog-tiles: checkpoint, tiles, entry bundles, and proofs of object versions.

use chartrier_journal::{Checkpoint, JournalError, Proof, TileKind, TilePath, bundle_contents, tile_contents};

use super::answer::{AdminError, AdminResponse, bytes, json};
use super::wire;
use crate::admin::object_export::named_version;
use crate::app::App;
use crate::s3::request::Query;

/// `GET /journal/cycle/checkpoint`: the latest signed note, covering every leaf acknowledged before.
///
/// # Errors
/// `NoCheckpoint` while the log is empty.
pub async fn checkpoint(app: &App) -> Result<AdminResponse, AdminError> {
    Ok(bytes("text/plain; charset=utf-8", latest(app, Fresh::Now).await?))
}

/// `GET /journal/cycle/vkey`: the log's verifier key on one line.
pub fn vkey(app: &App) -> AdminResponse {
    bytes("text/plain; charset=utf-8", format!("{}\n", app.journal_signer.vkey()))
}

/// `GET /journal/cycle/tile/…`: a tile or entry bundle inside the latest checkpoint.
///
/// # Errors
/// `NoSuchTile` for a path that is none or reaches past the checkpoint.
pub fn tile(app: &App, path: &str) -> Result<AdminResponse, AdminError> {
    let no_such = || AdminError::not_found("NoSuchTile", "The log has no such tile in its latest checkpoint.");
    let path = TilePath::parse(path).map_err(|_| no_such())?;
    let note = app.engine.journal().latest_checkpoint()?.ok_or_else(no_such)?;
    let size = Checkpoint::open(&note, &app.journal_signer.verifier())?.size();
    if !path.is_available(size) {
        return Err(no_such());
    }
    let contents = match path.kind() {
        TileKind::Hashes(_) => tile_contents(&path, &app.engine.journal().hash_reader())?,
        TileKind::Entries => bundle_contents(&path, |index| leaf(app, index))?,
    };
    Ok(bytes("application/octet-stream", contents))
}

/// `GET /journal/cycle/proof?bucket&key[&version-id]`: that the leaf which made a version is in the log.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`.
pub async fn proof(app: &App, query: &Query) -> Result<AdminResponse, AdminError> {
    let (_, _, row) = named_version(app, query)?;
    let entry = leaf(app, row.leaf_index)?;
    let note = latest(app, Fresh::Covering(row.leaf_index)).await?;
    let verifier = app.journal_signer.verifier();
    let proof = Proof::make(row.leaf_index, entry.clone(), &note, &verifier, &app.engine.journal().hash_reader())?;
    let entry = String::from_utf8(entry).map_err(AdminError::internal)?;
    Ok(json(&wire::Proof { proof: proof.encode(), entry, index: row.leaf_index }))
}

/// Which checkpoint will do.
enum Fresh {
    /// One that covers every leaf there is.
    Now,
    /// One that covers this leaf.
    Covering(u64),
}

/// The latest checkpoint; signs one first if the latest does not cover what is asked.
async fn latest(app: &App, fresh: Fresh) -> Result<String, AdminError> {
    let verifier = app.journal_signer.verifier();
    let wanted = match fresh {
        Fresh::Now => app.engine.journal().size(),
        Fresh::Covering(leaf) => leaf + 1,
    };
    for attempt in 0..2 {
        if let Some(note) = app.engine.journal().latest_checkpoint()?
            && (Checkpoint::open(&note, &verifier)?.size() >= wanted || attempt > 0)
        {
            return Ok(note);
        }
        app.engine.sign_due_checkpoint(&app.journal_signer).await?;
    }
    Err(AdminError::not_found("NoCheckpoint", "The log is empty: there is no checkpoint yet."))
}

fn leaf(app: &App, index: u64) -> Result<Vec<u8>, JournalError> {
    app.engine.journal().leaf(index)
}
