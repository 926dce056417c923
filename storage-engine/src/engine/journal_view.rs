//! The journal for those who read it: the admin API, exports, proofs.

use chartrier_journal::{HashReader, JournalError};

use crate::error::{StateError, StorageError};
use crate::meta::MetaReads;
use crate::state::StateMachine;

/// The `cycle` log of the tenant.
#[derive(Clone, Copy)]
pub struct JournalView<'a> {
    machine: &'a StateMachine,
}

impl<'a> JournalView<'a> {
    pub(super) fn new(machine: &'a StateMachine) -> Self {
        Self { machine }
    }

    /// Leaves in the log. The last signed checkpoint may cover fewer.
    pub fn size(&self) -> u64 {
        self.machine.journal_size()
    }

    /// One encoded leaf.
    ///
    /// # Errors
    /// [`JournalError::OutsideTree`] if there is none of that index.
    pub fn leaf(&self, index: u64) -> Result<Vec<u8>, JournalError> {
        let outside = || JournalError::OutsideTree { what: "leaf", value: index, size: self.size() };
        if index >= self.size() {
            return Err(outside());
        }
        self.machine
            .leaf(index)
            .map_err(JournalError::read)?
            .ok_or_else(|| JournalError::read(StateError::Inconsistent { what: "a leaf of the journal is missing" }))
    }

    /// Stored hashes of the tree: tiles and proofs are made from them.
    pub fn hash_reader(&self) -> impl HashReader + use<'a> {
        self.machine.journal_hashes()
    }

    /// The last signed checkpoint, whole; durable before anyone sees it.
    pub fn latest_checkpoint(&self) -> Result<Option<String>, StorageError> {
        Ok(self.machine.latest_checkpoint()?)
    }

    /// The log's name, as its checkpoints say it.
    pub fn origin(&self) -> String {
        self.machine.journal_identity().map(|identity| identity.origin).unwrap_or_default()
    }
}
