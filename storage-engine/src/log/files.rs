//! The segment files of one mirror: the next one ready, the old ones kept for reuse.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError};

use super::segment::{segment_name, spare_name};
use crate::failpoint::{Step, failpoint};
use crate::io::{DriveFile, DriveIo, Fill};
use crate::sync::{Mutex, MutexGuard};

/// Files kept for reuse on each mirror, beside the prepared one.
const SPARES_MAX: usize = 2;

/// The log files of one mirror. Shared by its writer, the preparer and the keeper.
pub(crate) struct MirrorFiles {
    io: Arc<dyn DriveIo>,
    /// Length of a new segment.
    segment_bytes: u64,
    state: Mutex<State>,
}

struct State {
    /// Files under their final names, not begun: the one about to be, and the one after it.
    prepared: BTreeMap<u64, Arc<dyn DriveFile>>,
    /// The last segment begun: its file, and those before, are not to be prepared again.
    begun: u64,
    /// Numbers of the spare files, all of `segment_bytes`.
    spares: Vec<u64>,
    spare_number_next: u64,
}

impl MirrorFiles {
    /// Takes over a drive whose last begun segment is `begun`, with the spares (number, length) that a scan
    /// found; those of another length are removed.
    pub(crate) fn new(io: Arc<dyn DriveIo>, segment_bytes: u64, begun: u64, found: &[(u64, u64)]) -> Self {
        let mut spares = Vec::new();
        for &(number, len) in found {
            if len == segment_bytes && spares.len() < SPARES_MAX {
                spares.push(number);
            } else if let Err(error) = io.remove(&spare_name(number)) {
                tracing::warn!(drive = io.label(), %error, "cannot remove a spare log segment");
            }
        }
        let spare_number_next = found.iter().map(|&(number, _)| number + 1).max().unwrap_or(0);
        Self {
            io,
            segment_bytes,
            state: Mutex::new(State { prepared: BTreeMap::new(), begun, spares, spare_number_next }),
        }
    }

    /// The drive.
    pub(crate) fn io(&self) -> &Arc<dyn DriveIo> {
        &self.io
    }

    /// Makes the file of segment `sequence` ready to be begun; nothing if it is.
    pub(crate) fn prepare(&self, sequence: u64) -> io::Result<()> {
        let mut state = self.lock();
        if sequence <= state.begun {
            return Ok(());
        }
        self.prepared_file(&mut state, sequence).map(drop)
    }

    /// The prepared file of segment `sequence`, prepared now if it was not. The segment counts as begun.
    ///
    /// # Panics
    /// If it was begun before.
    pub(crate) fn take_prepared(&self, sequence: u64) -> io::Result<Arc<dyn DriveFile>> {
        let mut state = self.lock();
        assert!(sequence > state.begun, "a segment is begun once");
        let file = self.prepared_file(&mut state, sequence)?;
        state.prepared.remove(&sequence);
        state.begun = sequence;
        Ok(file)
    }

    /// Keeps a segment that nobody needs any more for reuse, or removes it.
    pub(crate) fn recycle(&self, sequence: u64) -> io::Result<()> {
        let mut state = self.lock();
        let name = segment_name(sequence);
        let fits = self.io.open(&name)?.len()? == self.segment_bytes;
        if !fits || state.spares.len() >= SPARES_MAX {
            return self.io.remove(&name);
        }
        let number = state.spare_number_next;
        state.spare_number_next += 1;
        self.io.rename(&name, &spare_name(number))?;
        state.spares.push(number);
        Ok(())
    }

    fn prepared_file(&self, state: &mut State, sequence: u64) -> io::Result<Arc<dyn DriveFile>> {
        if let Some(file) = state.prepared.get(&sequence) {
            return Ok(file.clone());
        }
        let file = self.make(state, sequence)?;
        failpoint(Step::LogSegmentPrepared);
        state.prepared.insert(sequence, file.clone());
        Ok(file)
    }

    fn make(&self, state: &mut State, sequence: u64) -> io::Result<Arc<dyn DriveFile>> {
        let name = segment_name(sequence);
        if let Some(number) = state.spares.pop() {
            self.io.rename(&spare_name(number), &name)?;
            return self.io.open(&name);
        }
        match self.io.create(&name, self.segment_bytes, Fill::Zero) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Prepared before a restart and never begun, or cut short by a crash.
                self.io.remove(&name)?;
                self.io.create(&name, self.segment_bytes, Fill::Zero)
            }
            other => other,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
