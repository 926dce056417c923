//! From a drive: its superblocks, its index, and every record that the index names.

use std::sync::Arc;

use super::ScrubScope;
use super::pass::{Pass, Speed};
use crate::drive::{Drive, DriveError, SegmentCheck, stripes_of};
use crate::error::chain;
use crate::ids::{SegmentId, StripeId};
use crate::meta::MetaReads;
use crate::namespace::integrity::{CorruptionKind, FileRepair};
use crate::state::kv::KvError;

/// Says how far the present pass is on a drive, so that a start goes on from there.
const CURSOR_NAME: &str = "scrub.cursor";
const CURSOR_BYTES_MAX: u64 = 256;
/// What leaves call the index of a drive.
const INDEX_PLACE: &str = "index";

impl Pass {
    /// Checks one drive; whether it was checked whole.
    pub(super) async fn drive(self: &Arc<Self>, drive: &Arc<Drive>) -> bool {
        if !drive.state().reads() {
            self.unchecked(format!(
                "drive {} at {} cannot be read and was not checked",
                drive.id(),
                drive.io().label()
            ));
            return false;
        }
        self.superblocks(drive).await;
        self.drive_index(drive).await && self.segments(drive).await
    }

    async fn superblocks(&self, drive: &Arc<Drive>) {
        let looking = drive.clone();
        let Some(damaged) = self.blocking(move || looking.damaged_superblocks()).await else { return };
        self.count(|counts| counts.superblocks += 2);
        if damaged.is_empty() {
            return;
        }
        for name in &damaged {
            self.found(CorruptionKind::Superblock, Some(drive.id()), name, (1, 4096), &[]).await;
        }
        let writing = drive.clone();
        match self.blocking(move || writing.rewrite_superblocks()).await {
            Some(Ok(())) => {
                let file = |name: &&str| file_repair(CorruptionKind::Superblock, drive, name, 4096);
                self.mended(damaged.iter().map(file).collect()).await;
            }
            Some(Err(error)) => {
                self.unmended(format!("a superblock of drive {} cannot be written: {}", drive.id(), chain(&error)))
            }
            None => {}
        }
    }

    async fn drive_index(self: &Arc<Self>, drive: &Arc<Drive>) -> bool {
        let (looking, mut pace) = (drive.clone(), self.pacer(Some(drive.clone())));
        match self.blocking(move || looking.check_index(&mut pace)).await {
            Some(Ok(rows)) => {
                self.count(|counts| counts.index_rows += rows);
                !self.is_stopped()
            }
            Some(Err(KvError::Corruption { detail, .. })) => {
                tracing::warn!(drive = %drive.id(), detail, "the index of a drive is damaged");
                self.found(CorruptionKind::DriveIndex, Some(drive.id()), INDEX_PLACE, (1, 0), &[]).await;
                self.rebuild_index(drive).await
            }
            Some(Err(error)) => {
                self.unchecked(format!("the index of drive {} was not checked: {}", drive.id(), chain(&error)));
                true
            }
            None => false,
        }
    }

    /// Makes the index of a drive anew from its segments.
    async fn rebuild_index(self: &Arc<Self>, drive: &Arc<Drive>) -> bool {
        let (writing, mut pace) = (drive.clone(), self.pacer(None));
        let machine = self.mender.machine.clone();
        let rebuilt = self.blocking(move || {
            // What cannot be looked up is kept: it may be needed.
            let owned = |stripe: StripeId| machine.run_owner(stripe).map_or(true, |owner| owner.is_some());
            writing.rebuild_index(&owned, &mut pace)
        });
        match rebuilt.await {
            Some(Ok(shards)) => {
                self.mended(vec![file_repair(CorruptionKind::DriveIndex, drive, INDEX_PLACE, shards * 65)]).await;
                true
            }
            Some(Err(error)) => {
                self.unmended(format!("the index of drive {} cannot be made anew: {}", drive.id(), chain(&error)));
                false
            }
            None => false,
        }
    }

    async fn segments(self: &Arc<Self>, drive: &Arc<Drive>) -> bool {
        let resumed = self.resumed(drive);
        for id in drive.segments() {
            if resumed.is_some_and(|last| id <= last) {
                continue;
            }
            let mut checked = self.check(drive, id).await;
            if let Some(Err(DriveError::Index(_) | DriveError::IndexEntry(_))) = &checked {
                // It was damaged after it was checked.
                self.found(CorruptionKind::DriveIndex, Some(drive.id()), INDEX_PLACE, (1, 0), &[]).await;
                if !self.rebuild_index(drive).await {
                    return false;
                }
                checked = self.check(drive, id).await;
            }
            match checked {
                Some(Ok(Some((check, unowned)))) => self.segment(drive, check, unowned).await,
                // Compacted away meanwhile.
                Some(Ok(None)) if !self.is_stopped() => {}
                Some(Ok(None)) | None => return false,
                Some(Err(error)) => {
                    self.unchecked(format!("a segment of drive {} was not checked: {}", drive.id(), chain(&error)));
                    if !drive.state().reads() {
                        return false;
                    }
                }
            }
            self.keep_place(drive, id);
        }
        // A place that is kept for a pass that ended would begin the next one in the middle.
        if self.keeps_place() {
            let _ = drive.io().remove(CURSOR_NAME);
        }
        true
    }

    /// Checks one segment, and counts its records that nobody owns.
    async fn check(
        self: &Arc<Self>,
        drive: &Arc<Drive>,
        id: SegmentId,
    ) -> Option<Result<Option<(SegmentCheck, u64)>, DriveError>> {
        let (looking, mut pace) = (drive.clone(), self.pacer(Some(drive.clone())));
        let machine = self.mender.machine.clone();
        self.blocking(move || {
            let Some(check) = looking.check_segment(id, &mut pace)? else { return Ok(None) };
            let unowned = stripes_of(&check.shards)
                .into_iter()
                .filter(|stripe| machine.run_owner(*stripe).is_ok_and(|owner| owner.is_none()))
                .count() as u64;
            Ok(Some((check, unowned)))
        })
        .await
    }

    async fn segment(self: &Arc<Self>, drive: &Arc<Drive>, check: SegmentCheck, unowned: u64) {
        self.count(|counts| {
            counts.segments += 1;
            counts.records += check.shards.len() as u64;
            counts.bytes += check.bytes;
            counts.unowned_records += unowned;
        });
        if check.is_whole() {
            return;
        }
        let (id, place) = (drive.id(), check.file_name());
        if check.missing {
            let shards = check.shards.iter().map(|key| (key.stripe, key.shard)).collect();
            drive.forget_segment(check.segment);
            let owned = self.push_shards(id, shards).await;
            self.found(CorruptionKind::SegmentMissing, Some(id), &place, (1, 0), &owned).await;
            return;
        }
        if !check.damaged.is_empty() {
            let bytes = check.damaged.iter().map(|(_, bytes)| u64::from(*bytes)).sum();
            let shards = check.damaged.iter().map(|(key, _)| (key.stripe, key.shard)).collect();
            let owned = self.push_shards(id, shards).await;
            if !owned.is_empty() {
                self.found(CorruptionKind::Shard, Some(id), &place, (owned.len() as u64, bytes), &owned).await;
            }
        }
        let ends = [
            (check.header_damaged, CorruptionKind::SegmentHeader),
            (check.footer_damaged, CorruptionKind::SegmentFooter),
        ];
        let ends: Vec<CorruptionKind> = ends.into_iter().filter(|(bad, _)| *bad).map(|(_, kind)| kind).collect();
        for kind in &ends {
            self.found(*kind, Some(id), &place, (1, 4096), &[]).await;
        }
        if ends.is_empty() {
            return;
        }
        let writing = drive.clone();
        match self.blocking(move || writing.rewrite_segment_ends(&check)).await {
            Some(Ok(bytes)) => {
                let share = bytes / ends.len() as u64;
                self.mended(ends.iter().map(|kind| file_repair(*kind, drive, &place, share)).collect()).await;
            }
            Some(Err(error)) => {
                self.unmended(format!("segment {place} of drive {id} cannot be mended: {}", chain(&error)))
            }
            None => {}
        }
    }

    /// Only a pass in the background goes on after a start: one that was asked for begins anew.
    fn keeps_place(&self) -> bool {
        matches!(self.speed, Speed::Paced(_)) && matches!(self.scope, ScrubScope::Drive(_))
    }

    fn resumed(&self, drive: &Drive) -> Option<SegmentId> {
        if !self.keeps_place() {
            return None;
        }
        let text = drive.io().read_all(CURSOR_NAME, CURSOR_BYTES_MAX).ok()?;
        // A hint: anything but an id begins at the first segment.
        std::str::from_utf8(&text).ok()?.trim().parse().ok()
    }

    fn keep_place(&self, drive: &Drive, id: SegmentId) {
        if self.keeps_place()
            && let Err(error) = drive.io().write_atomic(CURSOR_NAME, id.to_string().as_bytes())
        {
            tracing::debug!(drive = %drive.id(), %error, "how far scrub is was not kept");
        }
    }
}

fn file_repair(kind: CorruptionKind, drive: &Drive, place: &str, bytes: u64) -> FileRepair {
    FileRepair { kind, drive: Some(drive.id()), place: place.to_owned(), bytes }
}
