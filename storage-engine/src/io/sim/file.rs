//! An open file of a simulated drive.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use super::state::{DataChange, Inode, lock_inode};
use super::{SimFault, SimIo};
use crate::io::DriveFile;

pub(super) struct SimFile {
    pub(super) io: SimIo,
    pub(super) inode: Arc<Mutex<Inode>>,
    /// The boot in which it was opened.
    pub(super) generation: u64,
}

impl SimFile {
    fn require_power(&self) -> io::Result<()> {
        if self.io.world.require_power()? == self.generation {
            return Ok(());
        }
        Err(io::Error::other("a file opened before the simulated power cut"))
    }
}

impl DriveFile for SimFile {
    fn write_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        self.require_power()?;
        self.io.world.pass_point()?;
        self.io.drive.check(SimFault::WriteEio)?;
        self.io.drive.wait();
        let data: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let end = offset + data.len() as u64;
        let have = lock_inode(&self.inode).current.len() as u64;
        if end > have {
            self.io.drive.lock().require_space(end - have)?;
        }
        lock_inode(&self.inode).change(DataChange::Write(offset, data));
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.require_power()?;
        self.io.drive.check(SimFault::ReadEio)?;
        self.io.drive.wait();
        let inode = lock_inode(&self.inode);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        match inode.current.get(start..).and_then(|rest| rest.get(..buf.len())) {
            Some(bytes) => buf.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn try_read_cached(&self, _offset: u64, _buf: &mut [u8]) -> io::Result<bool> {
        self.require_power()?;
        Ok(false)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.require_power()?;
        self.io.world.pass_point()?;
        self.io.drive.wait();
        let failed = self.io.drive.check(SimFault::SyncEio).and_then(|()| self.io.drive.check(SimFault::DataSyncEio));
        let mut inode = lock_inode(&self.inode);
        let changes = std::mem::take(&mut inode.pending);
        // As Linux does, a failed sync forgets what was not written: the next one succeeds without it.
        failed?;
        for change in &changes {
            Inode::apply(&mut inode.durable, change);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.require_power()?;
        Ok(lock_inode(&self.inode).current.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.require_power()?;
        self.io.world.pass_point()?;
        self.io.drive.check(SimFault::WriteEio)?;
        lock_inode(&self.inode).change(DataChange::SetLen(len));
        Ok(())
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.require_power()?;
        let present = self.io.drive.lock().require_present().is_ok();
        Ok(present && lock_inode(&self.inode).links > 0)
    }
}
