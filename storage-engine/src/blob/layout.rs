//! Which drive holds which shard.
//!
//! A stripe is placed by the layout that is newest when its blob is begun. Later layouts may give
//! its place in the group to another drive: that drive is then where the shard belongs, and
//! until it was moved or rebuilt there it is still where an older layout put it. So a shard is
//! looked for in the newest layout first, then in each older one down to the one that placed it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::DriveId;
use crate::namespace::command::Layout;
use crate::namespace::rows::StripeRun;

/// Placement groups of a new pool, at least: enough for 36 drives to share them evenly. The number
/// never changes afterwards, because a stripe names its group by number.
const GROUPS_MIN: usize = 128;

/// A layout of as many groups for each drive, each the drives in order from another start.
///
/// Data and parity columns then spread evenly. The order of `drives` is kept in the layout.
///
/// # Panics
/// If there are fewer drives than shards: the caller checks its configuration.
pub fn rotated_layout(version: u32, k: u8, m: u8, drives: &[DriveId]) -> Layout {
    let shards = usize::from(k) + usize::from(m);
    assert!(drives.len() >= shards, "{k}+{m} needs {shards} drives");
    let group = |start| (0..shards).map(|shard| drives[(start + shard) % drives.len()]).collect();
    let groups = GROUPS_MIN.next_multiple_of(drives.len());
    Layout { version, k, m, groups: (0..groups).map(group).collect() }
}

/// All layouts of a pool, as known at one moment. They have the same k, m and number of groups.
#[derive(Debug, Clone)]
pub struct Layouts {
    known: BTreeMap<u32, Arc<Layout>>,
    newest: Arc<Layout>,
}

impl Layouts {
    /// A pool of one layout; `None` if its groups are not of k+m drives each.
    pub fn new(layout: Layout) -> Option<Self> {
        let newest = Arc::new(layout);
        is_whole(&newest).then(|| Self { known: BTreeMap::from([(newest.version, newest.clone())]), newest })
    }

    /// The same with another layout; `None` if it is of another shape.
    #[must_use]
    pub fn with(&self, layout: Layout) -> Option<Self> {
        let same_shape =
            (layout.k, layout.m, layout.groups.len()) == (self.newest.k, self.newest.m, self.newest.groups.len());
        if !same_shape || !is_whole(&layout) {
            return None;
        }
        let mut known = self.known.clone();
        known.insert(layout.version, Arc::new(layout));
        let newest = known.values().next_back().expect("one was just inserted").clone();
        Some(Self { known, newest })
    }

    /// The layout that places what is written now.
    pub fn newest(&self) -> &Arc<Layout> {
        &self.newest
    }
}

fn is_whole(layout: &Layout) -> bool {
    let shards = usize::from(layout.k) + usize::from(layout.m);
    !layout.groups.is_empty() && layout.groups.iter().all(|group| group.len() == shards)
}

/// Where the stripes of one blob lie.
#[derive(Debug, Clone)]
pub struct Placement {
    layouts: Arc<Layouts>,
    /// Version of the layout that placed the blob.
    placed_by: u32,
    first_group: u32,
    /// As in [`StripeRun`].
    places: u16,
}

impl Placement {
    /// For a new blob, with stripe 0 on `first_group`.
    pub fn new(layouts: Arc<Layouts>, first_group: u32) -> Self {
        let placed_by = layouts.newest.version;
        Self { layouts, placed_by, first_group, places: 0 }
    }

    /// For a blob that was written; `None` if the layout that placed it is not known.
    pub fn of_run(layouts: Arc<Layouts>, run: &StripeRun) -> Option<Self> {
        let known = layouts.known.contains_key(&run.layout_version);
        let (placed_by, first_group, places) = (run.layout_version, run.first_group, run.places);
        known.then_some(Self { layouts, placed_by, first_group, places })
    }

    /// The same for a blob of whole copies on some places of the group.
    #[must_use]
    pub fn on_places(self, places: u16) -> Self {
        Self { places, ..self }
    }

    /// As in [`StripeRun`].
    pub fn places(&self) -> u16 {
        self.places
    }

    /// The version of the layout that placed the blob.
    pub fn layout_version(&self) -> u32 {
        self.placed_by
    }

    /// The group of stripe 0.
    pub fn first_group(&self) -> u32 {
        self.first_group
    }

    /// The group of a stripe.
    pub fn group(&self, stripe_index: u32) -> u32 {
        let groups = self.layouts.newest.groups.len() as u64;
        ((u64::from(self.first_group) + u64::from(stripe_index)) % groups) as u32
    }

    /// The drives that the shards of a stripe belong on, one per shard.
    pub fn targets(&self, stripe_index: u32) -> Cow<'_, [DriveId]> {
        let group = &self.layouts.newest.groups[self.group(stripe_index) as usize];
        if self.places == 0 {
            return Cow::Borrowed(group);
        }
        Cow::Owned(self.held_places().filter_map(|place| group.get(place).copied()).collect())
    }

    /// The drives of a stripe's group, whether they hold a shard or not.
    pub fn group_drives(&self, stripe_index: u32) -> &[DriveId] {
        &self.layouts.newest.groups[self.group(stripe_index) as usize]
    }

    /// The places that hold copies, in order of shard.
    fn held_places(&self) -> impl Iterator<Item = usize> {
        let places = self.places;
        (0..u16::BITS as usize).filter(move |place| places >> place & 1 == 1)
    }

    /// The place in its group where a shard of [`Placement::targets`] belongs.
    fn place_of(&self, shard: usize) -> usize {
        if self.places == 0 { shard } else { self.held_places().nth(shard).expect("one of the targets") }
    }

    /// The drives that may hold a shard: its target first, then those that older layouts name,
    /// newest first, each once. The shard is one of [`Placement::targets`].
    pub fn holders(&self, stripe_index: u32, shard: usize) -> impl Iterator<Item = DriveId> + '_ {
        let (group, shard) = (self.group(stripe_index) as usize, self.place_of(shard));
        let target = self.layouts.newest.groups[group][shard];
        let mut seen: Vec<DriveId> = Vec::new();
        let older =
            self.layouts.known.range(self.placed_by..).rev().map(move |(_, layout)| layout.groups[group][shard]);
        let others = older.filter(move |drive| {
            let new = *drive != target && !seen.contains(drive);
            if new {
                seen.push(*drive);
            }
            new
        });
        std::iter::once(target).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StripeId;

    fn ids(count: u8) -> Vec<DriveId> {
        (0..count).map(|byte| DriveId::from_bytes([byte; 16])).collect()
    }

    fn run(layout_version: u32, first_group: u32) -> StripeRun {
        StripeRun {
            first: StripeId::first(1, [0; 6]),
            count: 4,
            stripe_bytes: 1 << 20,
            len_bytes: 4 << 20,
            k: 4,
            m: 2,
            layout_version,
            first_group,
            blake3: [0; 32],
            places: 0,
        }
    }

    #[test]
    fn each_drive_holds_each_shard_equally_often() {
        let drives = ids(7);
        let layout = rotated_layout(1, 4, 2, &drives);
        let groups = layout.groups.len();
        assert_eq!(groups, 133);
        let placement = Placement::new(Arc::new(Layouts::new(layout.clone()).unwrap()), 5);
        for shard in 0..6 {
            let mut holders: Vec<DriveId> = (0..7).map(|stripe| placement.targets(stripe)[shard]).collect();
            holders.sort();
            assert_eq!(holders, drives);
        }
        assert_eq!(placement.group(130), 2);
        assert_eq!(placement.group(u32::MAX), ((5 + u64::from(u32::MAX)) % 133) as u32);
        let torn = Layout { groups: vec![drives[..3].to_vec()], ..layout };
        assert!(Layouts::new(torn).is_none());
    }

    #[test]
    fn a_shard_is_looked_for_from_the_newest_layout_down_to_its_own() {
        let drives = ids(9);
        let mut layouts = Layouts::new(rotated_layout(1, 4, 2, &drives[..6])).unwrap();
        // Drive 6, then 7, then 0 again takes the place of drive 0 in group 0.
        for (version, drive) in [(2, 6), (3, 6), (4, 7), (5, 0)] {
            let mut next = (**layouts.newest()).clone();
            (next.version, next.groups[0][0]) = (version, drives[drive]);
            layouts = layouts.with(next).unwrap();
        }
        let other_shape = Layout { version: 6, groups: vec![drives[..6].to_vec()], ..(**layouts.newest()).clone() };
        assert!(layouts.with(other_shape).is_none());
        let layouts = Arc::new(layouts);
        let holders = |version, shard| -> Vec<DriveId> {
            Placement::of_run(layouts.clone(), &run(version, 0)).unwrap().holders(0, shard).collect()
        };
        assert_eq!(holders(1, 0), [drives[0], drives[7], drives[6]]);
        assert_eq!(holders(3, 0), [drives[0], drives[7], drives[6]]);
        assert_eq!(holders(4, 0), [drives[0], drives[7]]);
        assert_eq!(holders(1, 1), [drives[1]]);
        // Copies on places 0, 2 and 5.
        let copies = StripeRun { k: 1, m: 2, places: 0b10_0101, ..run(1, 0) };
        let copies = Placement::of_run(layouts.clone(), &copies).unwrap();
        assert_eq!(*copies.targets(0), [drives[0], drives[2], drives[5]]);
        assert_eq!(copies.holders(0, 0).collect::<Vec<_>>(), holders(1, 0));
        assert_eq!(copies.holders(0, 2).collect::<Vec<_>>(), [drives[5]]);
        assert!(Placement::of_run(layouts.clone(), &run(9, 0)).is_none());
        assert_eq!(Placement::new(layouts, 0).layout_version(), 5);
    }
}
