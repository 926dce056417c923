//! Which segments to compact: those that give back most for what they cost.

use std::collections::HashSet;

use super::super::DriveCore;
use super::super::index::SegmentRow;
use super::CompactionPolicy;
use super::output::output_bytes_max;
use crate::ids::SegmentId;
use crate::segment::header::SegmentClass;

/// A segment with less dead than this share is never worth its copy.
const WORTHWHILE_PERCENT: u64 = 5;

/// Copies of small blobs are left where they are for so long: those that live are about to be packed, and the
/// whole segment then goes without one being moved.
const COPIES_REST_US: u64 = 2 * 60 * 60 * 1_000_000;

/// A segment to be emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Victim {
    pub(super) id: SegmentId,
    pub(super) row: SegmentRow,
}

/// Segments whose live records go into one new one.
pub(super) struct Group {
    pub(super) victims: Vec<Victim>,
    /// Space is low: speed is not bounded.
    pub(super) urgent: bool,
}

/// The next segments: first all that are dead whole, then, best first, as many as fill one new segment.
///
/// Best is the most of age times dead per live byte: what is young may still die by itself.
pub(super) fn choose(core: &DriveCore, policy: &CompactionPolicy, free_bytes: u64, seen: &HashSet<SegmentId>) -> Group {
    let now_us = core.env.clock.now_us();
    let usage = core.segments.usage();
    let space = free_bytes + usage.stored_bytes;
    let urgent = space > 0 && u128::from(free_bytes) * 100 < u128::from(space) * u128::from(policy.low_space_percent);
    let threshold = if urgent || policy.eager { WORTHWHILE_PERCENT } else { u64::from(policy.dead_percent) };
    let mut blocked = core.lock_blocked();
    blocked.retain(|_, until_us| *until_us > now_us);
    let mut victims: Vec<Victim> = core
        .segments
        .rows()
        .into_iter()
        .filter(|(id, row)| row.sealed && !seen.contains(id) && (policy.eager || !blocked.contains_key(id)))
        .filter(|(_, row)| row.dead_bytes * 100 > row.stored_bytes * threshold || row.live_bytes() == 0)
        .filter(|(_, row)| urgent || policy.eager || !rests(row, now_us))
        .map(|(id, row)| Victim { id, row })
        .collect();
    drop(blocked);
    let dead: Vec<Victim> = victims.iter().filter(|victim| victim.row.live_bytes() == 0).copied().collect();
    if !dead.is_empty() {
        return Group { victims: dead, urgent };
    }
    victims.sort_by(|a, b| score(&b.row, now_us).total_cmp(&score(&a.row, now_us)));
    // What writers leave for log, checkpoints and index is not compaction's either.
    let reserve = core.segments.reserved_bytes / 8;
    let mut room = core.segments.reserved_bytes.min(free_bytes.saturating_sub(reserve));
    let mut taken = Vec::new();
    for victim in victims {
        let bytes = output_bytes_max(&victim.row);
        if bytes <= room {
            room -= bytes;
            taken.push(victim);
        }
    }
    Group { victims: taken, urgent }
}

/// Whether what lives in a segment will soon be dead, or elsewhere, by itself.
fn rests(row: &SegmentRow, now_us: u64) -> bool {
    row.class == SegmentClass::Copies && row.live_bytes() > 0 && now_us < row.written_us.saturating_add(COPIES_REST_US)
}

fn score(row: &SegmentRow, now_us: u64) -> f64 {
    let age_s = now_us.saturating_sub(row.written_us) as f64 / 1e6;
    (1.0 + age_s) * row.dead_bytes as f64 / row.live_bytes().max(1) as f64
}
