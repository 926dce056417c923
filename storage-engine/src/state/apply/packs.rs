//! Small runs on their way: owned as copies, packed with others, moved to another pack, gone.
//!
//! | rows of | `stp` | `pak` |
//! |---|---|---|
//! | a run of copies | its owner | `w`: it waits to be packed |
//! | a member | none: no drive holds anything of its own | `m`: its owner, and where in which pack |
//! | a member that was removed | none | `m` without an owner, for readers, as long as its row of `dead` |
//! | a pack | [`OwnerPlace::Pack`] | `p`: its run and what is live; `l`: who was put into it; `s`: too much is dead |

use super::super::keys;
use super::super::rows::{MemberRow, PackMembers, PackRow};
use super::{Effects, Refusal, StateError, Transition};
use crate::ids::{BucketId, ObjectUuid, StripeId};
use crate::namespace::packs::{MemberSource, PACK_DEAD_PERCENT, PACK_MEMBERS_MAX, PackRuns, PackedRun};
use crate::namespace::rows::{OwnerPlace, PartRow, RunOwner, StripeRun};

impl Transition<'_> {
    /// Makes runs members of a pack, each if it is still owned and where it was read. Those that are not are dead
    /// bytes of the pack; a pack without any member is freed.
    pub(super) fn pack_runs(&mut self, command: &PackRuns) -> Result<Effects, StateError> {
        if !fits(command) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let pack = &command.pack;
        if self.rows.contains(keys::STP, pack.first.as_bytes())? {
            // The same command again: its pack is in use.
            return Ok(Effects::refused(Refusal::Superseded));
        }
        let mut freed = Vec::new();
        let mut row = PackRow { run: pack.clone(), members: 0, live_bytes: 0 };
        let mut firsts = Vec::new();
        for member in &command.members {
            let Some(owner) = self.take_member(member, &mut freed)? else { continue };
            let (offset, len_bytes) = (member.offset, member.len_bytes);
            let member_row = MemberRow { owner: Some(owner), pack: pack.clone(), offset, len_bytes };
            self.rows.put_row(keys::PAK, keys::pack_member(&member.first), &member_row);
            row.members += 1;
            row.live_bytes += u64::from(len_bytes);
            firsts.push(member.first);
        }
        if firsts.is_empty() {
            return Ok(Effects::refused(Refusal::Superseded).with_freed(vec![pack.clone()]));
        }
        let (bucket, object_uuid) = (BucketId::from_bytes([0; 16]), ObjectUuid::from_bytes([0; 16]));
        let place = OwnerPlace::Pack(pack.first);
        let owner = RunOwner { bucket, key: String::new(), object_uuid, place, count: pack.count };
        self.rows.put_row(keys::STP, pack.first.as_bytes().to_vec(), &owner);
        // As for any run that finds its owner late.
        self.rows.delete(keys::DEAD, pack.first.as_bytes().to_vec());
        self.rows.put_row(keys::PAK, keys::pack_list(&pack.first), &PackMembers(firsts));
        let counts = &mut self.memory.head.packs;
        counts.packs += 1;
        counts.packed_bytes += pack.len_bytes;
        counts.members += u64::from(row.members);
        counts.live_bytes += row.live_bytes;
        self.put_pack(&row);
        Ok(Effects::done(None).with_freed(freed))
    }

    /// Takes a run from where it was read, if it is there and owned; answers its owner.
    fn take_member(&mut self, member: &PackedRun, freed: &mut Vec<StripeRun>) -> Result<Option<RunOwner>, StateError> {
        match &member.from {
            MemberSource::Copies(run) => {
                if !self.rows.contains(keys::PAK, &keys::waiting(&run.first))? {
                    return Ok(None);
                }
                let owner = self.rows.row(keys::STP, run.first.as_bytes())?;
                let owner: RunOwner = owner.ok_or(StateError::Inconsistent { what: "a run waits without an owner" })?;
                self.release_stripes(run)?;
                freed.push(run.clone());
                Ok(Some(owner))
            }
            MemberSource::Pack(old) => {
                let row = self.member(&member.first)?.filter(|row| row.pack.first == *old);
                let Some(MemberRow { owner: Some(owner), pack, len_bytes, .. }) = row else { return Ok(None) };
                self.leave_pack(&pack.first, len_bytes, freed)?;
                Ok(Some(owner))
            }
        }
    }

    /// Records the owner of a run of copies, if it is a member already; says whether it is.
    pub(super) fn own_member(&mut self, run: &StripeRun, owner: &RunOwner) -> Result<bool, StateError> {
        let Some(row) = self.member_of(run)?.filter(|row| row.owner.is_some()) else { return Ok(false) };
        self.rows.put_row(keys::PAK, keys::pack_member(&run.first), &MemberRow { owner: Some(owner.clone()), ..row });
        Ok(true)
    }

    /// Records that a run of copies waits to be packed.
    pub(super) fn await_packing(&mut self, run: &StripeRun) -> Result<(), StateError> {
        let key = keys::waiting(&run.first);
        if run.is_copies() && !self.rows.contains(keys::PAK, &key)? {
            self.rows.put_row(keys::PAK, key, run);
            self.memory.head.packs.waiting_runs += 1;
            self.memory.head.packs.waiting_bytes += run.len_bytes;
        }
        Ok(())
    }

    /// Removes the rows that say that drives hold shards of a run.
    pub(super) fn release_stripes(&mut self, run: &StripeRun) -> Result<(), StateError> {
        self.rows.delete(keys::STP, run.first.as_bytes().to_vec());
        let waiting = keys::waiting(&run.first);
        if run.is_copies() && self.rows.contains(keys::PAK, &waiting)? {
            self.rows.delete(keys::PAK, waiting);
            let counts = &mut self.memory.head.packs;
            counts.waiting_runs = counts.waiting_runs.saturating_sub(1);
            counts.waiting_bytes = counts.waiting_bytes.saturating_sub(run.len_bytes);
        }
        self.forget_heal(run)
    }

    /// Takes a run that dies from its pack, if it is in one; says whether it is. A pack that loses its last member
    /// is freed with it.
    pub(super) fn release_member(&mut self, run: &StripeRun, freed: &mut Vec<StripeRun>) -> Result<bool, StateError> {
        let Some(row) = self.member_of(run)?.filter(|row| row.owner.is_some()) else { return Ok(false) };
        freed.push(run.clone());
        self.leave_pack(&row.pack.first, row.len_bytes, freed)?;
        self.rows.put_row(keys::PAK, keys::pack_member(&run.first), &MemberRow { owner: None, ..row });
        Ok(true)
    }

    /// Whether some run of these parts was a member and died: what it names is no longer there.
    pub(super) fn was_packed(&self, parts: &[PartRow]) -> Result<bool, StateError> {
        for run in parts.iter().filter_map(|part| part.blob.stripes()) {
            if self.member_of(run)?.is_some_and(|row| row.owner.is_none()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something owns a run, wherever its bytes are.
    pub(super) fn is_owned(&self, run: &StripeRun) -> Result<bool, StateError> {
        Ok(self.rows.contains(keys::STP, run.first.as_bytes())?
            || self.member_of(run)?.is_some_and(|row| row.owner.is_some()))
    }

    /// Takes a live member of `len_bytes` out of a pack.
    fn leave_pack(&mut self, pack: &StripeId, len_bytes: u32, freed: &mut Vec<StripeRun>) -> Result<(), StateError> {
        let row = self.rows.row(keys::PAK, &keys::pack(pack))?;
        let mut row: PackRow =
            row.ok_or(StateError::Inconsistent { what: "a member names a pack that is not there" })?;
        row.members = row.members.saturating_sub(1);
        row.live_bytes = row.live_bytes.saturating_sub(u64::from(len_bytes));
        let counts = &mut self.memory.head.packs;
        counts.members = counts.members.saturating_sub(1);
        counts.live_bytes = counts.live_bytes.saturating_sub(u64::from(len_bytes));
        if row.members > 0 {
            self.put_pack(&row);
            return Ok(());
        }
        counts.packs = counts.packs.saturating_sub(1);
        counts.packed_bytes = counts.packed_bytes.saturating_sub(row.run.len_bytes);
        self.rows.delete(keys::PAK, keys::pack(pack));
        self.rows.delete(keys::PAK, keys::sparse(pack));
        // The list of its members stays until its shards are freed: who reads one keeps them.
        self.release_stripes(&row.run)?;
        freed.push(row.run);
        Ok(())
    }

    fn put_pack(&mut self, row: &PackRow) {
        let first = &row.run.first;
        self.rows.put_row(keys::PAK, keys::pack(first), row);
        if row.live_bytes * 100 < row.run.len_bytes * (100 - PACK_DEAD_PERCENT) {
            self.rows.put(keys::PAK, keys::sparse(first), Vec::new());
        }
    }

    fn member_of(&self, run: &StripeRun) -> Result<Option<MemberRow>, StateError> {
        if run.is_copies() { self.member(&run.first) } else { Ok(None) }
    }

    fn member(&self, first: &StripeId) -> Result<Option<MemberRow>, StateError> {
        self.rows.row(keys::PAK, &keys::pack_member(first))
    }
}

/// Whether a command is within its limits and does not contradict itself.
fn fits(command: &PackRuns) -> bool {
    let pack = &command.pack;
    let ends = command.members.iter().map(|member| u64::from(member.offset) + u64::from(member.len_bytes));
    let begins = command.members.iter().skip(1).map(|member| u64::from(member.offset));
    let source_fits = |member: &PackedRun| match &member.from {
        MemberSource::Copies(run) => {
            run.is_copies() && run.first == member.first && run.len_bytes == u64::from(member.len_bytes)
        }
        MemberSource::Pack(old) => *old != pack.first,
    };
    pack.count == 1
        && !pack.is_copies()
        && (1..=PACK_MEMBERS_MAX).contains(&command.members.len())
        && command.members.iter().all(|member| member.len_bytes > 0 && source_fits(member))
        && ends.zip(begins.chain([pack.len_bytes])).all(|(end, next)| end <= next)
}
