//! A machine of simulated drives for the tests of log, checkpoints and `Solo`.

use std::sync::Arc;

use crate::drive::{DataMetrics, Drive, DriveConfig, memory_index};
use crate::env::SimEnv;
use crate::ids::ClusterId;
use crate::io::{DriveIo, SimIo, SimWorld};
use crate::log::{KnownState, LogConfig, LogError, MirroredLog, Recovered};

pub(crate) const CLUSTER: ClusterId = ClusterId::from_bytes([0xc1; 16]);

/// `k + m` simulated drives on one power supply.
pub(crate) struct Rig {
    pub(crate) world: Arc<SimWorld>,
    pub(crate) ios: Vec<SimIo>,
    pub(crate) config: LogConfig,
}

impl Rig {
    pub(crate) fn new(drives: usize, parity: usize, segment_bytes: u64) -> Self {
        let world = SimWorld::new();
        let ios = (0..drives).map(|number| SimIo::new(&world, &format!("d{number}"))).collect();
        let rig = Self { world, ios, config: LogConfig { cluster: CLUSTER, parity, segment_bytes } };
        rig.drives(&[]); // formats them, so that ids do not depend on who is missing later
        rig
    }

    /// Opens the drives but those at the places `missing`.
    pub(crate) fn drives(&self, missing: &[usize]) -> Vec<Arc<Drive>> {
        let present = self.ios.iter().enumerate().filter(|(place, _)| !missing.contains(place));
        present.filter_map(|(place, io)| open(io, place)).collect()
    }

    pub(crate) fn recover(&self, missing: &[usize]) -> Result<Recovered, LogError> {
        MirroredLog::recover(self.drives(missing), self.config.clone(), KnownState { applied: 0, checkpoint: 0 })
    }

    /// The places of the drives that the newest epoch names; drives that do not open have none.
    pub(crate) fn mirrors(&self) -> Vec<usize> {
        self.mirrors_without(None)
    }

    /// The same, as those know it that are left when one drive is lost. An epoch that only the lost one had heard
    /// of is not among what they know.
    pub(crate) fn mirrors_without(&self, lost: Option<usize>) -> Vec<usize> {
        let places = self.ios.iter().enumerate().filter(|(place, _)| Some(*place) != lost);
        let drives: Vec<_> = places.filter_map(|(place, io)| Some((place, open(io, place)?))).collect();
        let newest = drives.iter().map(|(_, drive)| drive.log_membership()).max_by_key(|found| found.epoch).unwrap();
        drives.iter().filter(|(_, drive)| newest.mirrors.contains(&drive.id())).map(|(place, _)| *place).collect()
    }

    /// Power cut and restart: `seed` decides what reached the disks.
    pub(crate) fn power_cut(&self, seed: u64) {
        self.world.cut_now();
        self.world.restart(seed);
    }

    /// The log's segment files of one drive, with their lengths.
    pub(crate) fn log_files(&self, place: usize) -> Vec<(String, u64)> {
        self.ios[place]
            .files()
            .into_iter()
            .filter(|(name, _)| name.starts_with("log/") && name.ends_with(".log"))
            .collect()
    }
}

/// `None` if the drive cannot be opened: it counts as missing.
fn open(io: &SimIo, place: usize) -> Option<Arc<Drive>> {
    let config =
        DriveConfig { cluster: CLUSTER, site: "FR-75".parse().unwrap(), segment_bytes: 2 << 20, index: memory_index() };
    let io: Arc<dyn DriveIo> = Arc::new(io.clone());
    Drive::open_or_format(io, &config, &SimEnv::env(place as u64 + 1), Arc::new(DataMetrics::default())).ok()
}

/// Everything in a recovered log, in order, from entry 1 on.
pub(crate) fn contents(recovered: &Recovered) -> Vec<Vec<u8>> {
    try_contents(recovered).unwrap()
}

/// As [`contents`], while the power may go.
pub(crate) fn try_contents(recovered: &Recovered) -> Result<Vec<Vec<u8>>, LogError> {
    let mut found = Vec::new();
    recovered.replay.for_each(|index, payload| {
        found.push(payload.to_vec());
        assert_eq!(index, found.len() as u64, "entries come in order, without a gap");
        Ok::<(), LogError>(())
    })?;
    Ok(found)
}
