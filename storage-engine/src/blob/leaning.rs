//! On which group a blob begins: the groups take turns, and new data leans towards emptier drives once some are
//! fuller than others.
//!
//! How much a drive holds in the long run is the layout's business, which gives it places by its capacity. This is for
//! what a layout does not know: a drive that others use too, a smaller one in the place of a larger, one that came just
//! now. A blob of many stripes goes on over the groups that follow, so it is the shorter ones that lean.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::ids::DriveId;
use crate::namespace::command::Layout;

/// While the least weight of a group is this share of the greatest, in percent, the groups take turns.
const EVEN_PERCENT: u64 = 75;

/// Chooses groups.
#[derive(Default)]
pub(super) struct Leaning {
    turn: AtomicU32,
    /// `None` while it matters little which group is chosen.
    odds: RwLock<Option<Arc<Odds>>>,
}

/// How likely each group of one layout is.
struct Odds {
    layout: u32,
    /// Of the weights of this group and all before it.
    sums: Vec<u64>,
}

impl Leaning {
    /// Takes how empty the drives are now. `free_permille` is `None` for one that takes no writes.
    pub(super) fn measure(&self, layout: &Layout, free_permille: impl Fn(DriveId) -> Option<u64>) {
        let odds = odds(layout, free_permille).map(Arc::new);
        *self.odds.write().unwrap_or_else(PoisonError::into_inner) = odds;
    }

    /// The group of a new blob. `random` is asked only if some drives are fuller than others.
    pub(super) fn next(&self, layout: &Layout, random: impl FnOnce() -> u64) -> u32 {
        let odds = self.odds.read().unwrap_or_else(PoisonError::into_inner).clone();
        match odds.filter(|odds| odds.layout == layout.version) {
            Some(odds) => {
                let total = odds.sums.last().copied().unwrap_or(1);
                let drawn = random() % total;
                odds.sums.partition_point(|sum| *sum <= drawn) as u32
            }
            None => self.turn.fetch_add(1, Ordering::Relaxed) % layout.groups.len() as u32,
        }
    }
}

/// A group's weight is the square of what its fullest drive has free, times what all of it have free on average: a drive
/// that is nearly full keeps its groups from being chosen, and of the others those with emptier drives are preferred.
fn odds(layout: &Layout, free_permille: impl Fn(DriveId) -> Option<u64>) -> Option<Odds> {
    let weight = |group: &Vec<DriveId>| {
        let free: Vec<u64> = group.iter().filter_map(|drive| free_permille(*drive)).map(|free| free.max(1)).collect();
        let least = free.iter().copied().min().unwrap_or(1);
        least * least * free.iter().sum::<u64>().checked_div(free.len() as u64).unwrap_or(1)
    };
    let weights: Vec<u64> = layout.groups.iter().map(weight).collect();
    if weights.iter().min()? * 100 >= weights.iter().max()? * EVEN_PERCENT {
        return None;
    }
    let sums = weights.iter().scan(0, |sum, weight| {
        *sum += weight;
        Some(*sum)
    });
    Some(Odds { layout: layout.version, sums: sums.collect() })
}

#[cfg(test)]
mod tests {
    use super::super::rotated_layout;
    use super::*;
    use crate::env::SplitMix;

    fn id(n: u8) -> DriveId {
        DriveId::from_bytes([n; 16])
    }

    /// How often each of eight drives is in the group of 10,000 blobs.
    fn often(free: [u64; 8]) -> [u32; 8] {
        let layout = rotated_layout(3, 4, 2, &(0..8).map(id).collect::<Vec<_>>());
        let (leaning, mut random) = (Leaning::default(), SplitMix::new(5));
        leaning.measure(&layout, |drive| Some(free[usize::from(drive.as_bytes()[0])]));
        let mut often = [0; 8];
        for _ in 0..10_000 {
            let group = leaning.next(&layout, || random.next()) as usize;
            layout.groups[group].iter().for_each(|drive| often[usize::from(drive.as_bytes()[0])] += 1);
        }
        often
    }

    #[test]
    fn equally_empty_drives_take_turns() {
        assert_eq!(often([900; 8]), [7_500; 8]);
        assert_eq!(often([900, 1000, 1000, 950, 1000, 930, 910, 940]), [7_500; 8]);
        assert_eq!(often([0; 8]), [7_500; 8], "all are full");
        // Each group has all six: there is nothing to choose.
        let layout = rotated_layout(1, 4, 2, &(0..6).map(id).collect::<Vec<_>>());
        let leaning = Leaning::default();
        leaning.measure(&layout, |drive| Some(if drive == id(4) { 10 } else { 900 }));
        assert_eq!((0..3).map(|_| leaning.next(&layout, || 77)).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn the_fuller_a_drive_the_less_it_gets() {
        let mut before = 7_500;
        for free in [600, 400, 100, 20, 0] {
            let often = often([800, 800, 800, free, 800, 800, 800, 800]);
            assert!(often[3] < before, "{free}: {often:?}");
            before = often[3];
            // Six places a blob, as ever.
            assert_eq!(often.iter().sum::<u32>(), 60_000);
        }
        assert_eq!(before, 0, "a full one gets nothing while others have room");
    }

    #[test]
    fn emptier_drives_get_more() {
        let often = often([300, 300, 300, 300, 300, 300, 1000, 1000]);
        assert!(often[6] > 7_800 && often[7] > 7_800, "{often:?}");
    }

    #[test]
    fn drives_that_take_no_writes_and_other_layouts_count_for_nothing() {
        let layout = rotated_layout(3, 4, 2, &(0..8).map(id).collect::<Vec<_>>());
        let leaning = Leaning::default();
        leaning.measure(&layout, |drive| (drive != id(2)).then_some(500));
        assert_eq!((0..4).map(|_| leaning.next(&layout, || 77)).collect::<Vec<_>>(), [0, 1, 2, 3]);
        leaning.measure(&layout, |_| None);
        assert_eq!(leaning.next(&layout, || 77), 4);
        leaning.measure(&layout, |drive| Some(if drive == id(2) { 1 } else { 500 }));
        let newer = Layout { version: 4, ..layout };
        assert_eq!(leaning.next(&newer, || 77), 5, "measured by another layout");
    }
}
