//! Small blobs: as whole copies on m+1 places of their group, or many of them, later, as one stripe.

use std::sync::Arc;

use super::BlobWriter;
use crate::blob::{Placement, StoreCore};
use crate::drive::{DataMetrics, Durability};
use crate::ids::StripeId;
use crate::segment::shape::{CELL_BYTES, ROWS_MAX, StripeShape};
use crate::segment::stripe::encode_row;

impl BlobWriter {
    /// A stripe however few bytes it gets, on the next group whose drives all take writes; `None` if there is none.
    pub(in crate::blob) fn for_pack(store: Arc<StoreCore>, len: u64) -> Option<Self> {
        let (layouts, geometry) = store.layouts();
        let newest = layouts.newest();
        let is_whole =
            |group: &u32| newest.groups[*group as usize].iter().all(|drive| store.ready_drive(*drive).is_some());
        let groups = newest.groups.len() as u32;
        // Those that are drawn need not be all that there are.
        let whole = (0..groups).map(|_| store.next_group(newest)).chain(0..groups).find(is_whole)?;
        let mut writer = Self::on(store, geometry, Placement::new(layouts, whole), Some(len));
        (writer.inline_bytes_max, writer.copies_bytes_max) = (0, 0);
        Some(writer)
    }

    /// Hands over the whole blob as copies, with a sync.
    pub(super) fn submit_copies(&mut self) {
        let Some(stripe) = self.current.as_mut().filter(|stripe| stripe.filled > 0) else { return };
        self.hasher.update(&stripe.buffer[stripe.hashed..stripe.filled]);
        self.geometry = self.geometry.copies();
        self.stripe_bytes = ROWS_MAX * CELL_BYTES;
        let shape = StripeShape::new(self.geometry, stripe.filled).expect("at most what a record can hold");
        stripe.buffer[stripe.filled..shape.padded_bytes()].fill(0);
        stripe.crcs.clear();
        for row in 0..shape.rows() {
            encode_row(self.first, &shape, row, &mut stripe.buffer, stripe.parity_at, &mut stripe.crcs);
        }
        let places = self.store.places_for_copies(&self.placement, self.first, self.geometry.shards());
        self.placement = self.placement.clone().on_places(places);
        DataMetrics::add(&self.store.metrics.blobs_in_copies, 1);
        self.submit(shape, Durability::Synced);
    }
}

impl StoreCore {
    /// The places of a blob's group that take its copies: from one that its id chooses on, so that all are loaded
    /// alike, and those whose drives take no writes only for want of others.
    fn places_for_copies(&self, placement: &Placement, first: StripeId, copies: usize) -> u16 {
        let drives = placement.group_drives(0);
        let start = usize::from(first.as_bytes()[11]) % drives.len();
        let takes_writes = |place: &usize| self.ready_drive(drives[*place]).is_some();
        let (ready, others): (Vec<usize>, Vec<usize>) =
            (0..drives.len()).map(|step| (start + step) % drives.len()).partition(takes_writes);
        ready.into_iter().chain(others).take(copies).fold(0, |places, place| places | 1 << place)
    }
}
