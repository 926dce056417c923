//! Copies that a change of drives left behind: of stripes that have an owner, on a drive where the newest
//! layout does not want them.
//!
//! Whoever moves a shard frees the copy that it leaves. A crash in between, or a start that reads records
//! back into a drive's index, leaves such a copy for good: its stripe is somebody's, so it is no orphan.
//!
//! One is freed only while every shard is known to be in its place and no drive comes or goes, and only when the
//! drive where it belongs has a record of it in a segment that is closed and synced.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::Engine;
use crate::blob::{Placement, stripe_shape};
use crate::drive::Drive;
use crate::error::StorageError;
use crate::ids::{DriveId, SegmentId};
use crate::meta::MetaReads;
use crate::namespace::rows::{OwnedRun, StripeRun};
use crate::segment::location::ShardKey;

/// A run that has an owner, and where its shards belong.
pub(super) struct OwnedPlaces {
    pub(super) owned: OwnedRun,
    /// `None` if no drive ever came or went, or if a move is not over: then nothing is a stray.
    places: Option<(StripeRun, Placement)>,
}

impl OwnedPlaces {
    pub(super) fn of(engine: &Engine, owned: OwnedRun) -> Result<Self, StorageError> {
        let mut places = None;
        if may_have_strays(engine)
            && let Some(run) = engine.machine.owned_run(&owned)?
        {
            places = engine.blobs.placement(&run).map(|placement| (run, placement));
        }
        Ok(Self { owned, places })
    }

    /// Whether a shard of the run does not belong on `drive`.
    pub(super) fn is_stray(&self, key: &ShardKey, drive: DriveId) -> bool {
        self.target(key).is_some_and(|target| target != drive)
    }

    fn target(&self, key: &ShardKey) -> Option<DriveId> {
        let (run, placement) = self.places.as_ref()?;
        let index = key.stripe.index_in_run(run.first).filter(|index| *index < run.count)?;
        placement.targets(index).get(usize::from(key.shard)).copied()
    }
}

fn may_have_strays(engine: &Engine) -> bool {
    engine.machine.layout().is_ok_and(|layout| layout.is_some_and(|layout| layout.version > 1)) && engine.is_settled()
}

/// Those of `candidates`, which are on `drive`, that are certainly needed no more. Whoever changes drives waits
/// until the answer was acted upon.
pub(super) fn needless(
    engine: &Arc<Engine>,
    drive: &Arc<Drive>,
    candidates: Vec<(ShardKey, u64)>,
) -> Result<Vec<(ShardKey, u64)>, StorageError> {
    let mut sealed: HashMap<DriveId, HashSet<SegmentId>> = HashMap::new();
    let mut needless = Vec::new();
    for (key, record_bytes) in candidates {
        let Some(owned) = engine.machine.run_owner(key.stripe)? else { continue };
        let places = OwnedPlaces::of(engine, owned)?;
        let Some(target) = places.target(&key).filter(|target| *target != drive.id()) else { continue };
        let Some(target) = engine.blobs.drive(target).filter(|target| target.state().reads()) else { continue };
        if engine.blobs.is_written(key.stripe) {
            continue;
        }
        // What cannot be looked up is not there.
        let Ok(Some(location)) = target.locate(key.stripe, key.shard) else { continue };
        let shape = places.places.as_ref().and_then(|(run, _)| stripe_shape(run, key.stripe.index_in_run(run.first)?));
        let sealed = sealed.entry(target.id()).or_insert_with(|| target.sealed_segments().into_iter().collect());
        if shape.is_some_and(|shape| location.fits(&shape)) && sealed.contains(&location.segment) {
            needless.push((key, record_bytes));
        }
    }
    Ok(needless)
}
