//! Reads of packs: where a small run's bytes are, what waits to be packed, what is to be packed again.

use super::keys;
use super::kv::{KvBatch, ScanStep, prefix_end, try_scan};
use super::machine::StateMachine;
use super::rows::{MemberRow, PackMembers, PackRow};
use crate::blob::PackedRuns;
use crate::error::StateError;
use crate::ids::StripeId;
use crate::namespace::packs::PackPlace;
use crate::namespace::rows::StripeRun;

/// The key of a row of `pak` that is not a letter and a stripe id.
const MALFORMED_KEY: StateError = StateError::Inconsistent { what: "the key of a pack is malformed" };

impl PackedRuns for StateMachine {
    /// Also of a run that was removed, until that is forgotten: a reader may be about to begin.
    fn pack_place(&self, run: StripeId) -> Result<Option<PackPlace>, StateError> {
        let row: Option<MemberRow> = self.row(keys::PAK, &keys::pack_member(&run))?;
        Ok(row.map(|MemberRow { pack, offset, len_bytes, .. }| PackPlace { pack, offset, len_bytes }))
    }
}

impl StateMachine {
    /// A pack that something needs.
    pub fn pack(&self, first: StripeId) -> Result<Option<StripeRun>, StateError> {
        Ok(self.row::<PackRow>(keys::PAK, &keys::pack(&first))?.map(|row| row.run))
    }

    /// The runs that were put into a pack, live or not; none if the stripe is no pack.
    pub fn put_into_pack(&self, first: StripeId) -> Result<Vec<StripeId>, StateError> {
        let row: Option<PackMembers> = self.row(keys::PAK, &keys::pack_list(&first))?;
        Ok(row.map(|row| row.0).unwrap_or_default())
    }

    /// The live members of a pack, and where each is in it.
    pub fn live_members(&self, pack: StripeId) -> Result<Vec<(StripeId, PackPlace)>, StateError> {
        let mut live = Vec::new();
        for first in self.put_into_pack(pack)? {
            let row: Option<MemberRow> = self.row(keys::PAK, &keys::pack_member(&first))?;
            let Some(row) = row.filter(|row| row.owner.is_some() && row.pack.first == pack) else { continue };
            live.push((first, PackPlace { pack: row.pack, offset: row.offset, len_bytes: row.len_bytes }));
        }
        Ok(live)
    }

    /// Up to `limit` small runs that wait to be packed, after `after`: those begun first come first.
    pub fn waiting_runs(&self, after: Option<StripeId>, limit: usize) -> Result<Vec<StripeRun>, StateError> {
        let from =
            after.map_or_else(|| keys::WAITING_RUNS.to_vec(), |after| [&keys::waiting(&after)[..], &[0]].concat());
        let until = prefix_end(keys::WAITING_RUNS);
        self.page_of_rows(keys::PAK, (&from, until.as_deref()), limit, |_, run| Ok(run))
    }

    /// Up to `limit` packs with much that is dead, after `after`.
    pub fn sparse_packs(&self, after: Option<StripeId>, limit: usize) -> Result<Vec<StripeId>, StateError> {
        let from =
            after.map_or_else(|| keys::SPARSE_PACKS.to_vec(), |after| [&keys::sparse(&after)[..], &[0]].concat());
        let until = prefix_end(keys::SPARSE_PACKS);
        let mut packs = Vec::new();
        try_scan(
            |visit| self.kv().scan(keys::PAK, &from, until.as_deref(), visit),
            |key, _| {
                if packs.len() == limit {
                    return Ok(ScanStep::Stop);
                }
                packs.push(keys::stripe_of(&key[keys::SPARSE_PACKS.len()..]).ok_or(MALFORMED_KEY)?);
                Ok::<_, StateError>(ScanStep::Next)
            },
        )?;
        Ok(packs)
    }

    /// A run as drives hold it: its pack, if it was packed.
    pub(super) fn stored_run(&self, run: &StripeRun) -> Result<StripeRun, StateError> {
        if !run.is_copies() {
            return Ok(run.clone());
        }
        Ok(self.pack_place(run.first)?.map_or_else(|| run.clone(), |place| place.pack))
    }

    /// Adds to a batch that forgets a dead run what readers needed of it: where it was packed, or who was in it.
    pub(super) fn forget_packed(&self, batch: &mut KvBatch, run: StripeId) -> Result<(), StateError> {
        let member: Option<MemberRow> = self.row(keys::PAK, &keys::pack_member(&run))?;
        if member.is_some_and(|row| row.owner.is_none()) {
            batch.delete(keys::PAK, keys::pack_member(&run));
        }
        if self.kv().get(keys::PAK, &keys::pack_list(&run))?.is_some() && self.pack(run)?.is_none() {
            batch.delete(keys::PAK, keys::pack_list(&run));
        }
        Ok(())
    }
}
