//! Which drive holds which shard.

use std::sync::Arc;

use crate::ids::DriveId;
use crate::namespace::command::Layout;

/// A layout with one group per drive, each the drives in order from another start.
///
/// Data and parity columns then spread evenly. The order of `drives` is kept in the layout.
///
/// # Panics
/// If there are fewer drives than shards: the caller checks its configuration.
pub fn rotated_layout(version: u32, k: u8, m: u8, drives: &[DriveId]) -> Layout {
    let shards = usize::from(k) + usize::from(m);
    assert!(drives.len() >= shards, "{k}+{m} needs {shards} drives");
    let group = |start| (0..shards).map(|shard| drives[(start + shard) % drives.len()]).collect();
    Layout { version, k, m, groups: (0..drives.len()).map(group).collect() }
}

/// Where the stripes of one blob lie.
#[derive(Debug, Clone)]
pub struct Placement {
    layout: Arc<Layout>,
    first_group: u32,
}

impl Placement {
    /// Stripe 0 on `first_group`; `None` if the layout's groups are not of k+m drives each.
    pub fn new(layout: Arc<Layout>, first_group: u32) -> Option<Self> {
        let shards = usize::from(layout.k) + usize::from(layout.m);
        let whole = !layout.groups.is_empty() && layout.groups.iter().all(|group| group.len() == shards);
        whole.then_some(Self { layout, first_group })
    }

    /// The layout's version.
    pub fn layout_version(&self) -> u32 {
        self.layout.version
    }

    /// The group of stripe 0.
    pub fn first_group(&self) -> u32 {
        self.first_group
    }

    /// The group of a stripe.
    pub fn group(&self, stripe_index: u32) -> u32 {
        let groups = self.layout.groups.len() as u64;
        ((u64::from(self.first_group) + u64::from(stripe_index)) % groups) as u32
    }

    /// The drives of a stripe, one per shard.
    pub fn drives(&self, stripe_index: u32) -> &[DriveId] {
        &self.layout.groups[self.group(stripe_index) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drive_holds_each_shard_equally_often() {
        let drives: Vec<DriveId> = (0..7).map(|byte| DriveId::from_bytes([byte; 16])).collect();
        let layout = Arc::new(rotated_layout(1, 4, 2, &drives));
        let placement = Placement::new(layout.clone(), 5).unwrap();
        for shard in 0..6 {
            let mut holders: Vec<DriveId> = (0..7).map(|stripe| placement.drives(stripe)[shard]).collect();
            holders.sort();
            assert_eq!(holders, drives);
        }
        assert_eq!(placement.group(3), 1);
        assert_eq!(placement.group(u32::MAX), ((5 + u64::from(u32::MAX)) % 7) as u32);
        let torn = Layout { groups: vec![drives[..3].to_vec()], ..(*layout).clone() };
        assert!(Placement::new(Arc::new(torn), 0).is_none());
    }
}
