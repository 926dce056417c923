//! Checkpoints of the journal, its name, and the layouts of placement groups.

use std::collections::BTreeSet;

use chartrier_journal::{Checkpoint, Hash, NOTE_LEN_MAX, empty_root, tree_hash};

use super::super::journal::OverlayHashes;
use super::super::keys;
use super::{Effects, Refusal, StateError, Transition};
use crate::namespace::command::{JournalIdentity, Layout};

/// Most placement groups of a layout.
pub(super) const GROUPS_MAX: usize = 4096;
/// Longest tenant or node name in bytes.
const LABEL_BYTES_MAX: usize = 256;

impl Transition<'_> {
    pub(super) fn sign_checkpoint(&mut self, size: u64, root: &[u8; 32], note: &str) -> Result<Effects, StateError> {
        if !self.checkpoint_holds(size, root, note)? {
            return Ok(Effects::refused(Refusal::CheckpointRefused));
        }
        self.memory.head.signed = Some((size, *root));
        self.rows.put(keys::SYS, keys::SYS_CHECKPOINT.to_vec(), note.as_bytes().to_vec());
        Ok(Effects::done(None))
    }

    /// A log never signs two trees: the root must be that of the stored leaves, the size never less
    /// than the last signed one, and the note must say both.
    fn checkpoint_holds(&self, size: u64, root: &[u8; 32], note: &str) -> Result<bool, StateError> {
        let Some(identity) = &self.memory.journal else {
            return Ok(false);
        };
        let before = self.memory.head.signed.map_or(0, |(size, _)| size);
        if size > self.memory.head.leaves || size < before || note.len() > NOTE_LEN_MAX {
            return Ok(false);
        }
        let Ok(claimed) = Checkpoint::new(&identity.origin, size, Hash::from_bytes(*root)) else {
            return Ok(false);
        };
        let text = claimed.text();
        let says_it = note.strip_prefix(text.as_str()).is_some_and(|signatures| signatures.starts_with('\n'));
        Ok(says_it && tree_hash(size, &OverlayHashes(&self.rows))?.as_bytes() == root)
    }

    pub(super) fn set_journal(&mut self, identity: &JournalIdentity) -> Result<Effects, StateError> {
        let is_origin = Checkpoint::new(&identity.origin, 0, empty_root()).is_ok();
        let labels_fit = identity.tenant.len() <= LABEL_BYTES_MAX && identity.node.len() <= LABEL_BYTES_MAX;
        if self.memory.journal.is_some() || !is_origin || !labels_fit {
            return Ok(Effects::refused(Refusal::JournalRefused));
        }
        self.rows.put_row(keys::SYS, keys::SYS_JOURNAL.to_vec(), identity);
        self.memory.journal = Some(identity.clone());
        Ok(Effects::done(None))
    }

    pub(super) fn set_layout(&mut self, layout: &Layout) -> Result<Effects, StateError> {
        if !self.layout_follows(layout)? {
            return Ok(Effects::refused(Refusal::LayoutRefused));
        }
        self.store_layout(layout);
        Ok(Effects::done(None))
    }

    /// Whether a layout is the next one, well formed, and of the pool's shape: a stripe names its group
    /// by number, and its shards by their place in it.
    pub(super) fn layout_follows(&self, layout: &Layout) -> Result<bool, StateError> {
        let newest = self.memory.head.layout_version;
        let before: Option<Layout> = self.rows.row(keys::SYS, &keys::layout(newest))?;
        let shape = |layout: &Layout| (layout.k, layout.m, layout.groups.len());
        let same_shape = before.is_none_or(|before| shape(&before) == shape(layout));
        Ok(layout.version == newest + 1 && well_formed(layout) && same_shape)
    }

    /// Older versions stay: stripes name the layout that placed them.
    pub(super) fn store_layout(&mut self, layout: &Layout) {
        self.rows.put_row(keys::SYS, keys::layout(layout.version), layout);
        self.memory.head.layout_version = layout.version;
    }
}

fn well_formed(layout: &Layout) -> bool {
    let width = usize::from(layout.k) + usize::from(layout.m);
    layout.k > 0
        && (1..=GROUPS_MAX).contains(&layout.groups.len())
        && layout.groups.iter().all(|group| {
            let distinct: BTreeSet<_> = group.iter().collect();
            group.len() == width && distinct.len() == width
        })
}
