//! Reads of runs: who owns which, which are dead and may still be on the drives, which lack shards.

use super::keys;
use super::kv::{Family, KvBatch, ScanStep, prefix_end, try_scan};
use super::machine::StateMachine;
use super::overlay::decode_row;
use super::rows::{DeadRun, HealRow};
use crate::error::StateError;
use crate::ids::{BucketId, StripeId};
use crate::meta::MetaReads;
use crate::namespace::command::MissingShard;
use crate::namespace::rows::{OwnedRun, OwnerPlace, PartRow, RunOwner, StripeRun, VersionRow};

/// A row of a run under something that is not a stripe id.
pub(super) const MALFORMED_RUN_KEY: StateError = StateError::Inconsistent { what: "the key of a run is malformed" };

/// Where a walk over the rows of a bucket goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlace {
    family: Family,
    from: Vec<u8>,
}

impl StateMachine {
    /// Runs that lost their owner and that the drives may still hold, in order, after `after`.
    pub fn dead_runs(&self, after: Option<StripeId>, limit: usize) -> Result<Vec<DeadRun>, StateError> {
        self.page_of_rows(keys::DEAD, (&past_run(after), None), limit, |_, run| Ok(run))
    }

    /// Whether a stripe is of a run that lost its owner and is still to be freed.
    pub fn is_dead(&self, stripe: StripeId) -> Result<bool, StateError> {
        let Some((key, value)) = self.kv().last_at_or_before(keys::DEAD, stripe.as_bytes())? else {
            return Ok(false);
        };
        let first = keys::stripe_of(&key).ok_or(MALFORMED_RUN_KEY)?;
        let dead: DeadRun = decode_row(keys::DEAD, &value)?;
        Ok(stripe.is_in_run(first, dead.run.count))
    }

    /// Forgets dead runs that the drives have durably freed. Not an entry: a replay brings the rows
    /// back and the drives free again, which changes nothing.
    pub fn forget_dead(&self, runs: &[StripeId]) -> Result<(), StateError> {
        let mut batch = KvBatch::new();
        for run in runs {
            batch.delete(keys::DEAD, run.as_bytes().to_vec());
            self.forget_packed(&mut batch, *run)?;
        }
        Ok(self.kv().write_batch(batch)?)
    }

    /// Runs that have an owner, in order, after `after`.
    pub fn owned_runs(&self, after: Option<StripeId>, limit: usize) -> Result<Vec<OwnedRun>, StateError> {
        self.page_of_rows(keys::STP, (&past_run(after), None), limit, |key, owner| {
            let first = keys::stripe_of(key).ok_or(MALFORMED_RUN_KEY)?;
            Ok(OwnedRun { first, owner })
        })
    }

    /// The run itself of one that has an owner; `None` if it lost it meanwhile.
    pub fn owned_run(&self, owned: &OwnedRun) -> Result<Option<StripeRun>, StateError> {
        Ok(self.runs_of(&owned.owner)?.into_iter().find(|run| run.first == owned.first))
    }

    /// All runs of the row that owns a run, those that were packed since among them; none if the row is gone.
    pub fn runs_of(&self, owner: &RunOwner) -> Result<Vec<StripeRun>, StateError> {
        let RunOwner { bucket, key, place, .. } = owner;
        let parts = match place {
            OwnerPlace::Version(version) => self.version(*bucket, key, *version)?.map(|row| row.parts),
            OwnerPlace::Part { upload, number } => {
                self.row::<PartRow>(keys::PRT, &keys::part(*bucket, key, *upload, *number))?.map(|row| vec![row])
            }
            OwnerPlace::Pack(first) => return Ok(self.pack(*first)?.into_iter().collect()),
        };
        Ok(parts.iter().flatten().filter_map(|part| part.blob.stripes()).cloned().collect())
    }

    /// Runs of the versions and parts in a bucket, or of one key in it, as drives hold them: those of up to
    /// `limit` rows from `from` on, and where to go on.
    pub fn runs_in(
        &self,
        bucket: BucketId,
        key: Option<&str>,
        from: Option<RowPlace>,
        limit: usize,
    ) -> Result<(Vec<StripeRun>, Option<RowPlace>), StateError> {
        let prefix = key.map_or_else(|| bucket.as_bytes().to_vec(), |key| keys::object(bucket, key));
        // Parts first: one that becomes a version meanwhile is seen there.
        let RowPlace { family, from } = from.unwrap_or(RowPlace { family: keys::PRT, from: prefix.clone() });
        let (mut runs, mut left, mut next) = (Vec::new(), limit, None);
        try_scan(
            |visit| self.kv().scan(family, &from, prefix_end(&prefix).as_deref(), visit),
            |row_key, value| {
                if left == 0 {
                    next = Some(RowPlace { family, from: row_key.to_vec() });
                    return Ok(ScanStep::Stop);
                }
                left -= 1;
                let parts = if family == keys::PRT {
                    vec![decode_row::<PartRow>(family, value)?]
                } else {
                    decode_row::<VersionRow>(family, value)?.parts
                };
                runs.extend(parts.iter().filter_map(|part| part.blob.stripes()).cloned());
                Ok::<_, StateError>(ScanStep::Next)
            },
        )?;
        if next.is_none() && family == keys::PRT {
            next = Some(RowPlace { family: keys::VER, from: prefix });
        }
        for run in &mut runs {
            *run = self.stored_run(run)?;
        }
        // Neighbours are often in one pack.
        runs.dedup_by_key(|run| run.first);
        Ok((runs, next))
    }

    /// Shards to be healed, with the run of each, at most `limit`, from the one after `after` on.
    pub fn heal_queue(
        &self,
        after: Option<MissingShard>,
        limit: usize,
    ) -> Result<Vec<(MissingShard, StripeRun)>, StateError> {
        let from = after.map(|shard| [&keys::heal(&shard.stripe, shard.shard_index)[..], &[0]].concat());
        self.page_of_rows(keys::HEAL, (&from.unwrap_or_default(), None), limit, |key, row: HealRow| {
            Ok((keys::shard_of_heal(key).ok_or(MALFORMED_RUN_KEY)?, row.run))
        })
    }

    /// Whether a degraded write left this shard to be healed.
    pub fn is_to_be_healed(&self, shard: &MissingShard) -> Result<bool, StateError> {
        Ok(self.kv().get(keys::HEAL, &keys::heal(&shard.stripe, shard.shard_index))?.is_some())
    }
}

/// Where the rows of runs after this one begin; the first of all, without one.
fn past_run(after: Option<StripeId>) -> Vec<u8> {
    after.map(|stripe| [stripe.as_bytes(), &[0][..]].concat()).unwrap_or_default()
}
