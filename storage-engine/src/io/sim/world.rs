//! The power supply of a simulation: counts what can become durable, and cuts.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::state::SimDrive;
use crate::env::SplitMix;

/// The power supply that the simulated drives of one test share.
pub struct SimWorld {
    power: Mutex<Power>,
}

struct Power {
    on: bool,
    /// Durability points (writes, syncs, changes of names) so far.
    points: u64,
    cut_at: Option<u64>,
    /// Grows at each restart: files opened before it are dead.
    generation: u64,
    drives: Vec<Weak<SimDrive>>,
}

impl SimWorld {
    /// A world with the power on.
    pub fn new() -> Arc<Self> {
        let power = Power { on: true, points: 0, cut_at: None, generation: 0, drives: Vec::new() };
        Arc::new(Self { power: Mutex::new(power) })
    }

    /// Durability points passed so far: writes, syncs and changes of names.
    pub fn points(&self) -> u64 {
        self.lock().points
    }

    /// Cuts the power at durability point `point`: it fails and has no effect, and so does all that follows.
    pub fn cut_at(&self, point: u64) {
        self.lock().cut_at = Some(point);
    }

    /// Cuts the power now.
    pub fn cut_now(&self) {
        self.lock().on = false;
    }

    /// Whether the power is on.
    pub fn is_on(&self) -> bool {
        self.lock().on
    }

    /// Decides from `seed` what the cut left on each drive, then turns the power on.
    pub fn restart(&self, seed: u64) {
        let mut power = self.lock();
        let mut random = SplitMix::new(seed);
        for drive in power.drives.iter().filter_map(Weak::upgrade) {
            drive.lock().settle(&mut random);
        }
        power.on = true;
        power.cut_at = None;
        power.generation += 1;
    }

    /// Supplies one more drive.
    pub(super) fn add(&self, drive: &Arc<SimDrive>) {
        self.lock().drives.push(Arc::downgrade(drive));
    }

    fn lock(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present generation, if the power is on.
    pub(super) fn require_power(&self) -> io::Result<u64> {
        let power = self.lock();
        if power.on { Ok(power.generation) } else { Err(io::Error::other("simulated power cut")) }
    }

    /// Passes one durability point, or cuts the power there.
    pub(super) fn pass_point(&self) -> io::Result<()> {
        let mut power = self.lock();
        if power.on && power.cut_at == Some(power.points) {
            power.on = false;
        }
        if !power.on {
            return Err(io::Error::other("simulated power cut"));
        }
        power.points += 1;
        Ok(())
    }
}
