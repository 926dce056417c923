//! Which drive takes which place of a layout: as few moves as it takes to load each by its capacity.
//!
//! Rules that are never broken: only the drives given hold places; one drive holds at most one place of
//! a group. Deterministic: the same drives and layout give the same answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::blob::rotated_layout;
use crate::drive::Drive;
use crate::ids::DriveId;
use crate::namespace::command::Layout;

/// Capacities that differ by less than this share of the greatest count as equal.
const SAME_CAPACITY_SHARE: u64 = 10;

/// A drive that may hold places, and its capacity in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: DriveId,
    pub(super) capacity_bytes: u64,
    /// It keeps the places that it has and gets no others.
    pub(super) frozen: bool,
}

/// The next layout over `drives`; `None` if those that may get places are fewer than a group has.
pub(super) fn balance(layout: &Layout, drives: &[Candidate]) -> Option<Layout> {
    let width = usize::from(layout.k) + usize::from(layout.m);
    if drives.iter().filter(|drive| !drive.frozen).count() < width {
        return None;
    }
    let mut plan = Plan::new(layout, drives);
    plan.fill_vacated();
    while plan.move_one() {}
    Some(Layout { version: layout.version + 1, k: layout.k, m: layout.m, groups: plan.groups })
}

/// Drives with their capacities. One that is away counts as the smallest of the others.
pub(super) fn candidates(
    ids: impl Iterator<Item = DriveId>,
    open: impl Fn(DriveId) -> Option<Arc<Drive>>,
) -> Vec<Candidate> {
    let capacity = |id| {
        let status = open(id).map(|drive| drive.status());
        status.map_or(0, |status| status.stored_bytes.saturating_add(status.free_bytes.unwrap_or(0)))
    };
    let mut drives: Vec<Candidate> =
        ids.map(|id| Candidate { id, capacity_bytes: capacity(id), frozen: false }).collect();
    let usual = drives.iter().map(|drive| drive.capacity_bytes).filter(|bytes| *bytes > 0).min().unwrap_or(1);
    drives.iter_mut().filter(|drive| drive.capacity_bytes == 0).for_each(|drive| drive.capacity_bytes = usual);
    drives
}

/// The layout of a new pool, version 1: rotated, and then by capacity. `None` if the drives are too few.
pub(super) fn first_layout(k: u8, m: u8, drives: &[Candidate]) -> Option<Layout> {
    let ids: Vec<DriveId> = drives.iter().map(|drive| drive.id).collect();
    (ids.len() >= usize::from(k) + usize::from(m)).then(|| balance(&rotated_layout(0, k, m, &ids), drives))?
}

/// The next layout with `new` in every place of `old`; `None` if `new` holds a place already.
pub(super) fn hand_over(layout: &Layout, old: DriveId, new: DriveId) -> Option<Layout> {
    let mut next = Layout { version: layout.version + 1, ..layout.clone() };
    if next.groups.iter().flatten().any(|drive| *drive == new) {
        return None;
    }
    next.groups.iter_mut().flatten().filter(|drive| **drive == old).for_each(|drive| *drive = new);
    Some(next)
}

struct Plan {
    groups: Vec<Vec<DriveId>>,
    /// Places that each drive should hold, and holds.
    loads: BTreeMap<DriveId, Load>,
    /// Those that may get places, in the order given.
    order: Vec<DriveId>,
}

#[derive(Clone, Copy)]
struct Load {
    quota: usize,
    held: usize,
}

impl Load {
    /// Places over its quota; less than nothing if it has room.
    fn excess(self) -> i64 {
        self.held as i64 - self.quota as i64
    }
}

impl Plan {
    fn new(layout: &Layout, drives: &[Candidate]) -> Self {
        let places: usize = layout.groups.iter().map(Vec::len).sum();
        let mut loads: BTreeMap<DriveId, Load> =
            drives.iter().map(|drive| (drive.id, Load { quota: 0, held: 0 })).collect();
        for drive in layout.groups.iter().flatten() {
            if let Some(load) = loads.get_mut(drive) {
                load.held += 1;
            }
        }
        let (frozen, open): (Vec<Candidate>, Vec<Candidate>) = drives.iter().partition(|drive| drive.frozen);
        let kept: usize = frozen.iter().map(|drive| loads[&drive.id].held).sum();
        let shares = quotas(places - kept, layout.groups.len(), &open);
        let kept_as_they_are = frozen.iter().map(|drive| (drive.id, loads[&drive.id].held)).collect::<Vec<_>>();
        for (id, quota) in open.iter().map(|drive| drive.id).zip(shares).chain(kept_as_they_are) {
            loads.entry(id).and_modify(|load| load.quota = quota);
        }
        let order = open.iter().map(|drive| drive.id).collect();
        Self { groups: layout.groups.clone(), loads, order }
    }

    /// Gives the places of drives that are not candidates to those with the most room.
    fn fill_vacated(&mut self) {
        for group in 0..self.groups.len() {
            for place in 0..self.groups[group].len() {
                if !self.loads.contains_key(&self.groups[group][place]) {
                    let free = self.order.iter().filter(|drive| !self.groups[group].contains(drive));
                    let next = free.copied().min_by_key(|drive| self.loads[drive].excess());
                    let next = next.expect("there are as many candidates as places in a group");
                    self.groups[group][place] = next;
                    self.load(next).held += 1;
                }
            }
        }
    }

    /// Moves one place from a drive over its quota to one under it, directly or through a third.
    fn move_one(&mut self) -> bool {
        let mut over: Vec<DriveId> = self.order.iter().copied().filter(|id| self.loads[id].excess() > 0).collect();
        let mut under: Vec<DriveId> = self.order.iter().copied().filter(|id| self.loads[id].excess() < 0).collect();
        over.sort_by_key(|id| -self.loads[id].excess());
        under.sort_by_key(|id| self.loads[id].excess());
        let pairs = over.iter().flat_map(|from| under.iter().map(move |to| (*from, *to)));
        for (from, to) in pairs.clone() {
            if let Some(place) = self.place_to_move(from, to) {
                self.give(place, to);
                return true;
            }
        }
        for (from, to) in pairs {
            for via in self.order.clone() {
                if via == from || via == to {
                    continue;
                }
                if let (Some(first), Some(second)) = (self.place_to_move(from, via), self.place_to_move(via, to))
                    && first.0 != second.0
                {
                    self.give(second, to);
                    self.give(first, via);
                    return true;
                }
            }
        }
        false
    }

    /// A place of `from` in a group without `to`: the shard that `to` holds least often.
    fn place_to_move(&self, from: DriveId, to: DriveId) -> Option<(usize, usize)> {
        let mut held = vec![0_usize; self.groups.first().map_or(0, Vec::len)];
        for group in &self.groups {
            if let Some(place) = group.iter().position(|drive| *drive == to) {
                held[place] += 1;
            }
        }
        let movable = self.groups.iter().enumerate().filter(|(_, group)| !group.contains(&to));
        let places = movable.filter_map(|(at, group)| Some((at, group.iter().position(|drive| *drive == from)?)));
        places.min_by_key(|(_, place)| held[*place])
    }

    fn give(&mut self, (group, place): (usize, usize), to: DriveId) {
        let from = std::mem::replace(&mut self.groups[group][place], to);
        self.load(from).held -= 1;
        self.load(to).held += 1;
    }

    fn load(&mut self, drive: DriveId) -> &mut Load {
        self.loads.get_mut(&drive).expect("only candidates are given places")
    }
}

/// Shares `places` out by capacity, at most `groups` to each drive.
fn quotas(places: usize, groups: usize, drives: &[Candidate]) -> Vec<usize> {
    let greatest = drives.iter().map(|drive| drive.capacity_bytes).max().unwrap_or(0);
    let least = drives.iter().map(|drive| drive.capacity_bytes).min().unwrap_or(0);
    let even = greatest - least <= greatest / SAME_CAPACITY_SHARE;
    let weights: Vec<u128> =
        drives.iter().map(|drive| if even { 1 } else { u128::from(drive.capacity_bytes.max(1)) }).collect();
    let mut quotas = vec![0; drives.len()];
    let mut left = places;
    // A drive at its cap leaves the rest to the others: shared out again until nothing is left.
    while left > 0 {
        let open: Vec<usize> = (0..drives.len()).filter(|at| quotas[*at] < groups).collect();
        let total: u128 = open.iter().map(|at| weights[*at]).sum();
        if open.is_empty() || total == 0 {
            break;
        }
        let before = left;
        for at in &open {
            let share = (before as u128 * weights[*at] / total) as usize;
            let take = share.min(groups - quotas[*at]).min(left);
            quotas[*at] += take;
            left -= take;
        }
        if left == before {
            // Less than one each: by turns, the largest first.
            let mut by_weight = open;
            by_weight.sort_by_key(|at| std::cmp::Reverse(weights[*at]));
            for at in by_weight.into_iter().take(left) {
                quotas[at] += 1;
                left -= 1;
            }
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: usize) -> DriveId {
        DriveId::from_bytes([n as u8; 16])
    }

    fn candidates(ids: impl IntoIterator<Item = usize>) -> Vec<Candidate> {
        ids.into_iter().map(|n| Candidate { id: id(n), capacity_bytes: 100, frozen: false }).collect()
    }

    fn moves(before: &Layout, after: &Layout) -> usize {
        before.groups.iter().flatten().zip(after.groups.iter().flatten()).filter(|(a, b)| a != b).count()
    }

    fn held(layout: &Layout, drive: DriveId) -> usize {
        layout.groups.iter().flatten().filter(|other| **other == drive).count()
    }

    #[test]
    fn growing_from_six_to_eight_moves_a_quarter_and_evenly() {
        let six = rotated_layout(1, 4, 2, &(0..6).map(id).collect::<Vec<_>>());
        let places = six.groups.len() * 6;
        let eight = balance(&six, &candidates(0..8)).unwrap();
        for n in 0..8 {
            assert!((held(&eight, id(n)) as i64 - places as i64 / 8).abs() <= 1, "{n}: {}", held(&eight, id(n)));
        }
        assert_eq!(moves(&six, &eight), places / 4);
        // Each shard number about as often as any other, so that data and parity spread.
        for shard in 0..6 {
            let often = eight.groups.iter().filter(|group| group[shard] == id(7)).count();
            assert!((14..=19).contains(&often), "shard {shard}: {often}");
        }
        // Back to seven: what the drive held moves, and little else.
        let seven = balance(&eight, &candidates(0..7)).unwrap();
        assert_eq!(held(&seven, id(7)), 0);
        let more = moves(&eight, &seven) - held(&eight, id(7));
        assert!(more <= places / 20, "{more} of {places} places moved besides");
        assert!(balance(&six, &candidates(0..5)).is_none());
    }

    #[test]
    fn load_follows_capacity_up_to_one_place_a_group() {
        let layout = rotated_layout(1, 4, 2, &(0..6).map(id).collect::<Vec<_>>());
        let mut drives = candidates(0..8);
        drives[7].capacity_bytes = 10_000;
        drives[6].capacity_bytes = 130;
        let next = balance(&layout, &drives).unwrap();
        assert_eq!(held(&next, id(7)), layout.groups.len());
        let share = held(&next, id(6)) as f64 / held(&next, id(0)) as f64;
        assert!((1.2..1.4).contains(&share), "{share}");
    }

    #[test]
    fn a_new_pool_of_unequal_drives_begins_by_capacity() {
        let mut drives = candidates(0..8);
        let even = rotated_layout(1, 4, 2, &(0..8).map(id).collect::<Vec<_>>());
        assert_eq!(first_layout(4, 2, &drives), Some(even.clone()));
        drives[2].capacity_bytes = 95;
        assert_eq!(first_layout(4, 2, &drives), Some(even), "as good as equal");
        (drives[2].capacity_bytes, drives[5].capacity_bytes) = (50, 25);
        let first = first_layout(4, 2, &drives).unwrap();
        assert_eq!((first.version, first.groups.len()), (1, 128));
        // 768 places over 675: at most one a group for the large, so that the small get a little more than their share.
        for (n, places) in [(0, 114), (2, 57), (5, 28)] {
            let held = held(&first, id(n));
            assert!(held.abs_diff(places) <= 2, "{n}: {held} places");
        }
        assert!(first_layout(4, 2, &candidates(0..5)).is_none());
        // As many drives as shards: each is in every group, whatever its size.
        drives.truncate(6);
        assert!((0..6).all(|n| held(&first_layout(4, 2, &drives).unwrap(), id(n)) == 132));
    }

    #[test]
    fn a_frozen_drive_keeps_what_it_has_and_gets_nothing() {
        let eight = rotated_layout(1, 4, 2, &(0..8).map(id).collect::<Vec<_>>());
        let mut drives = candidates(1..8);
        drives[2].frozen = true;
        let next = balance(&eight, &drives).unwrap();
        assert_eq!((held(&next, id(0)), held(&next, id(3))), (0, held(&eight, id(3))));
        let places = |n| next.groups.iter().zip(&eight.groups).filter(|(now, _)| now.contains(&id(n))).count();
        assert!(
            (1..8).filter(|n| *n != 3).all(|n| (105..=113).contains(&places(n))),
            "{:?}",
            (1..8).map(places).collect::<Vec<_>>()
        );
        for (now, before) in next.groups.iter().zip(&eight.groups) {
            assert_eq!(now.iter().position(|drive| *drive == id(3)), before.iter().position(|drive| *drive == id(3)));
        }
        // Six may get places, and that is enough; five are not.
        drives[3].frozen = true;
        assert!(balance(&eight, &drives).is_none());
    }

    #[test]
    fn a_drive_takes_the_places_of_another() {
        let layout = rotated_layout(1, 4, 2, &(0..6).map(id).collect::<Vec<_>>());
        let next = hand_over(&layout, id(2), id(9)).unwrap();
        assert_eq!((held(&next, id(2)), held(&next, id(9))), (0, held(&layout, id(2))));
        assert_eq!(moves(&layout, &next), held(&layout, id(2)));
        assert!(hand_over(&layout, id(2), id(3)).is_none());
    }

    proptest! {
        #[test]
        fn groups_stay_whole_whatever_comes_and_goes(
            steps in proptest::collection::vec((proptest::collection::vec(1..40_u64, 6..20), 0..5_usize), 1..5),
        ) {
            let mut layout = rotated_layout(1, 4, 2, &(0..6).map(id).collect::<Vec<_>>());
            for (capacities, from) in steps {
                let drives: Vec<Candidate> = capacities
                    .iter()
                    .enumerate()
                    .map(|(n, capacity)| Candidate { id: id(n + from), capacity_bytes: *capacity, frozen: false })
                    .collect();
                layout = balance(&layout, &drives).unwrap();
                for group in &layout.groups {
                    prop_assert_eq!(group.len(), 6);
                    for (at, drive) in group.iter().enumerate() {
                        prop_assert!(drives.iter().any(|other| other.id == *drive));
                        prop_assert!(!group[..at].contains(drive));
                    }
                }
            }
        }
    }
}
