//! Who a drive is: one block, in two files that are replaced in turn.

use std::io;
use std::sync::PoisonError;

use super::error::DriveOpenError;
use super::site::Site;
use super::{Drive, DriveConfig, DriveCore};
use crate::env::Env;
use crate::failpoint::{Step, failpoint};
use crate::ids::{ClusterId, DriveId};
use crate::io::DriveIo;
use crate::segment::bytes::{check_crc64, put, seal_crc64, take, take_u32, take_u64};
use crate::segment::{BLOCK_BYTES, FormatError};
use crate::sync::MutexGuard;

const MAGIC: &[u8; 8] = b"CHRTDRV1";
/// The newest format of drives that this code writes and reads.
pub(super) const DRIVE_VERSION: u32 = 1;
const COPIES: [&str; 2] = ["superblock.a", "superblock.b"];
const CRC_AT: usize = 4088;
const MIRRORS_AT: usize = 96;
/// Log mirrors that a superblock has room for.
pub(super) const MIRRORS_MAX: usize = 16;

/// What a drive says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// Grows with each change; the greater of the two copies holds.
    pub sequence: u64,
    /// The installation.
    pub cluster: ClusterId,
    /// The drive.
    pub drive: DriveId,
    /// Where it stands.
    pub site: Site,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// Who holds the log.
    pub log: LogMembership,
}

/// Which drives hold the log, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogMembership {
    /// Grows with each change of the mirrors; the greatest on any drive holds. 0 before the first.
    pub epoch: u64,
    /// The term that the log is written in.
    pub term: u64,
    /// The drives.
    pub mirrors: Vec<DriveId>,
}

impl Superblock {
    /// The block as it stands on disk.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES as usize];
        put(&mut block, 0, MAGIC);
        put(&mut block, 8, &DRIVE_VERSION.to_le_bytes());
        put(&mut block, 16, &self.sequence.to_le_bytes());
        put(&mut block, 24, self.cluster.as_bytes());
        put(&mut block, 40, self.drive.as_bytes());
        put(&mut block, 56, &self.created_us.to_le_bytes());
        put(&mut block, 64, &self.log.epoch.to_le_bytes());
        put(&mut block, 72, &self.log.term.to_le_bytes());
        put(&mut block, 80, self.site.to_string().as_bytes());
        put(&mut block, 88, &(self.log.mirrors.len() as u32).to_le_bytes());
        for (place, drive) in self.log.mirrors.iter().enumerate() {
            put(&mut block, MIRRORS_AT + 16 * place, drive.as_bytes());
        }
        seal_crc64(&mut block, CRC_AT);
        block
    }

    /// Reads a block.
    pub(crate) fn decode(block: &[u8]) -> Result<Self, FormatError> {
        let block = block.get(..BLOCK_BYTES as usize).ok_or(FormatError::Short)?;
        if take::<8>(block, 0)? != *MAGIC {
            return Err(FormatError::Magic);
        }
        check_crc64(block, CRC_AT)?;
        let version = take_u32(block, 8)?;
        if version > DRIVE_VERSION {
            return Err(FormatError::NewerVersion { found: version, known: DRIVE_VERSION });
        }
        let mirrors = take_u32(block, 88)? as usize;
        if mirrors > MIRRORS_MAX {
            return Err(FormatError::Range);
        }
        let mirror = |place| take(block, MIRRORS_AT + 16 * place).map(DriveId::from_bytes);
        let site: [u8; 5] = take(block, 80)?;
        let site = std::str::from_utf8(&site).ok().and_then(|site| site.parse().ok());
        Ok(Self {
            sequence: take_u64(block, 16)?,
            cluster: ClusterId::from_bytes(take(block, 24)?),
            drive: DriveId::from_bytes(take(block, 40)?),
            created_us: take_u64(block, 56)?,
            site: site.ok_or(FormatError::Range)?,
            log: LogMembership {
                epoch: take_u64(block, 64)?,
                term: take_u64(block, 72)?,
                mirrors: (0..mirrors).map(mirror).collect::<Result<_, _>>()?,
            },
        })
    }
}

/// Reads the newer of the two copies; `None` if the directory is fresh.
pub(super) fn read(io: &dyn DriveIo) -> Result<Option<Superblock>, DriveOpenError> {
    let mut found: Option<Superblock> = None;
    let mut damaged = false;
    for name in COPIES {
        match io.read_all(name, BLOCK_BYTES) {
            Ok(block) => match Superblock::decode(&block) {
                Ok(copy) if found.as_ref().is_none_or(|other| copy.sequence > other.sequence) => found = Some(copy),
                Ok(_) => {}
                Err(FormatError::NewerVersion { found, known }) => {
                    return Err(DriveOpenError::NewerFormat { found, known });
                }
                Err(_) => damaged = true,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => damaged = true,
            Err(source) => return Err(DriveOpenError::Io { op: "read the superblock", source }),
        }
    }
    if found.is_some() {
        return Ok(found);
    }
    let list = |dir| io.list(dir).map_err(|source| DriveOpenError::Io { op: "list the drive", source });
    let fresh = !damaged && list("segments")?.is_empty() && list("log")?.is_empty();
    if fresh { Ok(None) } else { Err(DriveOpenError::Damaged) }
}

/// The copies that are not readable or not of this drive.
pub(super) fn damaged(io: &dyn DriveIo, current: &Superblock) -> Vec<&'static str> {
    let whole = |name: &&str| {
        let copy = io.read_all(name, BLOCK_BYTES).ok().and_then(|block| Superblock::decode(&block).ok());
        copy.is_some_and(|copy| {
            let identity = |of: &Superblock| (of.cluster, of.drive, of.site);
            // The newer copy is what is known, the older one the change before it.
            identity(&copy) == identity(current) && current.sequence - copy.sequence.min(current.sequence) <= 1
        })
    };
    COPIES.into_iter().filter(|name| !whole(name)).collect()
}

/// Makes a fresh directory a drive: both copies, sequence 1 and 2.
pub(super) fn format(io: &dyn DriveIo, config: &DriveConfig, env: &Env) -> Result<Superblock, DriveOpenError> {
    let mut superblock = Superblock {
        sequence: 0,
        cluster: config.cluster,
        drive: DriveId::from_bytes(env.random_bytes()),
        site: config.site,
        created_us: env.clock.now_us(),
        log: LogMembership::default(),
    };
    for _ in COPIES {
        superblock.sequence += 1;
        write(io, &superblock).map_err(|source| DriveOpenError::Io { op: "write the superblock", source })?;
    }
    Ok(superblock)
}

/// Replaces the older copy. A crash leaves the newer one.
pub(super) fn write(io: &dyn DriveIo, superblock: &Superblock) -> io::Result<()> {
    let name = if superblock.sequence.is_multiple_of(2) { COPIES[1] } else { COPIES[0] };
    io.write_atomic(name, &superblock.encode())?;
    failpoint(Step::SuperblockWritten);
    Ok(())
}

impl Drive {
    /// Its superblock as last written.
    pub fn superblock(&self) -> Superblock {
        self.core.lock_superblock().clone()
    }

    /// Changes the superblock durably: the older copy is replaced.
    ///
    /// # Errors
    /// The write failed; the drive keeps saying what it said before.
    pub fn update_superblock(&self, change: impl FnOnce(&mut Superblock)) -> io::Result<()> {
        let mut current = self.core.lock_superblock();
        let mut next = current.clone();
        change(&mut next);
        next.sequence = current.sequence + 1;
        write(&*self.core.io, &next)?;
        *current = next;
        Ok(())
    }

    /// Who holds the log, as this drive knows.
    pub fn log_membership(&self) -> LogMembership {
        self.core.lock_superblock().log.clone()
    }

    /// Writes who holds the log. Durable when this returns.
    pub fn set_log_membership(&self, membership: &LogMembership) -> io::Result<()> {
        if membership.mirrors.len() > MIRRORS_MAX {
            return Err(io::Error::other("too many log mirrors for a superblock"));
        }
        self.update_superblock(|superblock| superblock.log = membership.clone())
    }
}

impl DriveCore {
    pub(super) fn lock_superblock(&self) -> MutexGuard<'_, Superblock> {
        self.superblock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{SimIo, SimWorld};

    fn sample(sequence: u64) -> Superblock {
        Superblock {
            sequence,
            cluster: ClusterId::from_bytes([1; 16]),
            drive: DriveId::from_bytes([2; 16]),
            site: "FR-75".parse().unwrap(),
            created_us: 5,
            log: LogMembership { epoch: 6, term: 7, mirrors: vec![DriveId::from_bytes([3; 16]); 3] },
        }
    }

    #[test]
    fn round_trip_flip_and_truncate() {
        let block = sample(9).encode();
        assert_eq!(Superblock::decode(&block), Ok(sample(9)));
        for at in 0..block.len() {
            let mut flipped = block.clone();
            flipped[at] ^= 4;
            assert!(Superblock::decode(&flipped).is_err(), "byte {at}");
        }
        assert!(Superblock::decode(&block[..4000]).is_err());
        let mut newer = block;
        newer[8] = 9;
        seal_crc64(&mut newer, CRC_AT);
        assert_eq!(Superblock::decode(&newer), Err(FormatError::NewerVersion { found: 9, known: 1 }));
    }

    #[test]
    fn one_damaged_copy_is_survived_and_two_are_not_a_fresh_drive() {
        let io = SimIo::new(&SimWorld::new(), "d1");
        assert!(read(&io).unwrap().is_none());
        write(&io, &sample(1)).unwrap();
        write(&io, &sample(2)).unwrap();
        assert_eq!(read(&io).unwrap().unwrap().sequence, 2);
        io.flip("superblock.b", 30, 1);
        assert_eq!(read(&io).unwrap().unwrap().sequence, 1);
        io.flip("superblock.a", 30, 1);
        assert!(matches!(read(&io), Err(DriveOpenError::Damaged)));
    }

    #[test]
    fn a_power_cut_during_a_change_leaves_the_old_or_the_new() {
        for cut in 0..12 {
            let world = SimWorld::new();
            let io = SimIo::new(&world, "d1");
            write(&io, &sample(1)).unwrap();
            write(&io, &sample(2)).unwrap();
            world.cut_at(world.points() + cut);
            let acknowledged = write(&io, &sample(3)).is_ok();
            world.cut_now();
            world.restart(cut);
            let sequence = read(&io).unwrap().unwrap().sequence;
            assert!(sequence == 3 || (sequence == 2 && !acknowledged), "{sequence} after {cut}");
        }
    }
}
