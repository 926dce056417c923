//! What the committer needs of a state machine.

use std::path::Path;

use crate::error::StateError;
use crate::namespace::command::{Applied, Command};
use crate::state::StateMachine;

/// A state that follows the log.
///
/// Applying is deterministic, so that replaying the log after a crash gives the same state.
pub trait Machine: Send + Sync + 'static {
    /// The last log entry that the state holds.
    fn applied_index(&self) -> u64;

    /// Applies entries in order, all of them or none. Called by one thread at a time.
    fn apply_batch(&self, entries: &[(u64, Command)]) -> Result<Vec<Applied>, StateError>;

    /// Writes a consistent copy of the state, plain files in one new directory; returns the last entry in it.
    ///
    /// `dir` does not exist and is beside the state's own directory, so that files can be hard-linked.
    /// May run while entries are applied.
    fn checkpoint_to(&self, dir: &Path) -> Result<u64, StateError>;

    /// Whether a copy can be opened. Quick: it does not read all of it.
    ///
    /// # Errors
    /// [`StateError::is_corruption`]: it was made from damaged files.
    fn check_copy(&self, dir: &Path) -> Result<(), StateError> {
        let _ = dir;
        Ok(())
    }
}

impl Machine for StateMachine {
    fn applied_index(&self) -> u64 {
        self.applied_index()
    }

    fn apply_batch(&self, entries: &[(u64, Command)]) -> Result<Vec<Applied>, StateError> {
        self.apply_batch(entries)
    }

    fn checkpoint_to(&self, dir: &Path) -> Result<u64, StateError> {
        self.checkpoint_to(dir)
    }

    fn check_copy(&self, dir: &Path) -> Result<(), StateError> {
        StateMachine::check_copy(dir)
    }
}
