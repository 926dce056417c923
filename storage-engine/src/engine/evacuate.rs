//! A failing drive is left without anybody asking: what it held is rebuilt on the others.
//!
//! Once a second the health of each drive is compared with what the log knows of it, and a change gets
//! its entry and leaf. A drive that has been ill for long enough is then given up as `drive remove`
//! gives one up: its places go to drives that are well, and the shards follow the layout.
//!
//! What looks like the fault of a controller, a cable or a mount moves nothing: more drives ill at once than the code
//! may lose. Neither does a lack of drives or of room; then the status says what is missing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::balance::balance;
use super::drive_changes::set_role;
use super::{DriveChangeError, Engine};
use crate::drive::DriveState;
use crate::error::{StateError, StorageError, chain};
use crate::ids::DriveId;
use crate::meta::MetaReads;
use crate::namespace::command::{Op, Outcome};
use crate::namespace::drive_health::{DriveHealth, DriveHealthRow, REASON_BYTES_MAX};
use crate::namespace::drives::{DriveRole, DriveRow, Then};

const TICK: Duration = Duration::from_secs(1);
/// How long a drive must be ill in any case: a controller that goes takes its drives one after the other.
const GRACE_US: u64 = 60 * 1_000_000;
/// Of the room that the other drives have, so many percent may be filled with what is moved.
const ROOM_PERCENT: u128 = 90;

/// Drives that are ill, and what is done about it.
#[derive(Default)]
pub(super) struct Watch {
    cares: Mutex<BTreeMap<DriveId, Care>>,
    /// When more drives were out than the code may lose, in microseconds. When they come back one after the
    /// other, the last ones have their time from then on.
    outage_us: AtomicU64,
}

/// What is done about one ill drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Care {
    /// Which.
    pub drive: DriveId,
    /// What it is still good for.
    pub health: DriveHealth,
    /// Since when, in microseconds of the Unix epoch.
    pub since_us: u64,
    /// What follows.
    pub plan: CarePlan,
}

/// What follows for an ill drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarePlan {
    /// Nothing by itself: it is configured so.
    Off,
    /// It is rebuilt on the others then, if it is still ill (microseconds of the Unix epoch).
    WaitsUntil(u64),
    /// It would be, but for this, which the operator can do something about.
    Blocked(String),
    /// It is being rebuilt on the others.
    UnderWay,
}

impl Care {
    /// What follows, in words.
    pub fn text(&self) -> String {
        match &self.plan {
            CarePlan::Off => "it is not rebuilt on the others by itself: replace or remove it".to_owned(),
            CarePlan::WaitsUntil(at_us) => {
                let at = chartrier_journal::format_time(*at_us).unwrap_or_default();
                format!("what it holds is rebuilt on the others from {at}, if it is not back")
            }
            CarePlan::Blocked(why) => format!("what it holds is not rebuilt on the others: {why}"),
            CarePlan::UnderWay => "what it holds is being rebuilt on the others".to_owned(),
        }
    }
}

/// What is known when it is decided about the ill drives of a moment.
#[derive(Debug, Clone)]
struct Ward {
    k: usize,
    m: usize,
    now_us: u64,
    /// 0 is never.
    after_us: u64,
    /// Active drives, ill ones included.
    active: usize,
    /// Drives that are being left already.
    leaving: usize,
    /// Ill drives that are active.
    ill: Vec<Patient>,
    /// Bytes that the drives that are well can still take.
    free_bytes: u64,
    /// When more drives were out than may be, last.
    outage_us: u64,
}

/// One ill drive.
#[derive(Debug, Clone)]
struct Patient {
    id: DriveId,
    health: DriveHealth,
    since_us: u64,
    /// Bytes that must be found room for.
    live_bytes: u64,
}

impl Ward {
    /// Whether more drives are out than the code may lose: that is no drive's fault.
    fn is_outage(&self) -> bool {
        self.ill.len() + self.leaving > self.m || self.ill.len() * 2 > self.active
    }

    /// What follows for each ill drive. Pure: all it depends on is here.
    fn plans(&self) -> Vec<(DriveId, CarePlan)> {
        let well = self.active - self.ill.len();
        let blocked = if self.is_outage() {
            Some(format!(
                "{} of {} drives are out at once, with {} being left already, and {}+{} may lose {}: look at what they share (controller, cable, power, mounts)",
                self.ill.len(),
                self.active,
                self.leaving,
                self.k,
                self.m,
                self.m
            ))
        } else if well < self.k + self.m {
            Some(format!("{well} drives are well and {} are needed: add a drive, or replace this one", self.k + self.m))
        } else {
            None
        };
        let mut room = u64::try_from(u128::from(self.free_bytes) * ROOM_PERCENT / 100).unwrap_or(u64::MAX);
        let mut ill: Vec<&Patient> = self.ill.iter().collect();
        ill.sort_by_key(|patient| (patient.since_us, patient.id));
        let mut plan = |patient: &Patient| {
            // A drive that takes no writes is known to fail; one that is away may come back.
            let after_us = match patient.health {
                DriveHealth::ReadOnly => GRACE_US.min(self.after_us),
                _ => self.after_us,
            };
            let due_us = patient.since_us.max(self.outage_us).saturating_add(after_us.max(GRACE_US.min(self.after_us)));
            if self.after_us == 0 {
                CarePlan::Off
            } else if let Some(why) = &blocked {
                CarePlan::Blocked(why.clone())
            } else if self.now_us < due_us {
                CarePlan::WaitsUntil(due_us)
            } else if patient.live_bytes > room {
                let lacking = patient.live_bytes - room;
                CarePlan::Blocked(format!(
                    "the other drives lack room for {lacking} bytes of it: add a drive, or free space"
                ))
            } else {
                room -= patient.live_bytes;
                CarePlan::UnderWay
            }
        };
        ill.into_iter().map(|patient| (patient.id, plan(patient))).collect()
    }
}

impl Watch {
    fn set(&self, cares: BTreeMap<DriveId, Care>) {
        *self.cares.lock().unwrap_or_else(PoisonError::into_inner) = cares;
    }

    pub(super) fn cares(&self) -> Vec<Care> {
        self.cares.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Looks every second until the engine is gone. Apart from what else is done every second: the log may make it wait.
pub(super) async fn keep_watch(engine: Weak<Engine>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(engine) = engine.upgrade() else { return };
        engine.look_after_drives().await;
    }
}

impl Engine {
    /// What is done about each drive that is ill.
    pub fn drive_cares(&self) -> Vec<Care> {
        self.watch.cares()
    }

    /// Puts changes of health on record, and leaves drives that are ill for too long.
    async fn look_after_drives(self: &Arc<Self>) {
        if let Err(error) = self.record_health().await {
            tracing::debug!(error = chain(&error), "the health of drives is not on record yet");
        }
        if let Err(error) = self.give_up_ill_drives().await {
            tracing::warn!(error = chain(&error), "a failing drive could not be left");
        }
    }

    async fn record_health(&self) -> Result<(), StorageError> {
        let known = self.machine.drive_healths()?;
        for row in self.roster.table().in_use() {
            let (health, mut reason) = self.health_of(row);
            let recorded = known.get(&row.id).map_or(DriveHealth::Online, |row| row.health);
            if health != recorded {
                let end = (0..=REASON_BYTES_MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
                reason.truncate(end.unwrap_or(0));
                let now = DriveHealthRow { health, since_us: self.env.clock.now_us(), reason };
                self.record(Op::RecordDriveHealth { drive: row.id, now }).await?;
            }
        }
        Ok(())
    }

    /// What a drive is good for now, and why it is not online.
    fn health_of(&self, row: &DriveRow) -> (DriveHealth, String) {
        let Some(drive) = self.roster.drives.get(row.id) else {
            let lost = self.roster.lost().into_iter().find(|lost| lost.id == row.id);
            return (DriveHealth::Failed, lost.map_or_else(String::new, |lost| lost.reason));
        };
        let health = match drive.state() {
            DriveState::Online | DriveState::Slow => return (DriveHealth::Online, String::new()),
            DriveState::ReadOnly => DriveHealth::ReadOnly,
            DriveState::Failed => DriveHealth::Failed,
        };
        (health, drive.status().reason.unwrap_or_default())
    }

    async fn give_up_ill_drives(self: &Arc<Self>) -> Result<(), DriveChangeError> {
        let Some(ward) = self.ward().map_err(StorageError::from)? else {
            self.watch.set(BTreeMap::new());
            return Ok(());
        };
        if ward.is_outage() {
            self.watch.outage_us.store(ward.now_us, Relaxed);
        }
        let plans = ward.plans();
        let care = |patient: &Patient, plan: CarePlan| {
            (patient.id, Care { drive: patient.id, health: patient.health, since_us: patient.since_us, plan })
        };
        let plan_of = |id| plans.iter().find(|(of, _)| *of == id).map_or(CarePlan::Off, |(_, plan)| plan.clone());
        self.watch.set(ward.ill.iter().map(|patient| care(patient, plan_of(patient.id))).collect());
        let given_up: Vec<DriveId> =
            plans.iter().filter(|(_, plan)| *plan == CarePlan::UnderWay).map(|(id, _)| *id).collect();
        if given_up.is_empty() {
            return Ok(());
        }
        // An operator is changing drives just now: another look follows in a second.
        let Ok(_changing) = self.roster.changing.try_lock() else { return Ok(()) };
        let frozen: Vec<DriveId> = ward.ill.iter().map(|patient| patient.id).collect();
        self.leave_ill(&given_up, &frozen).await
    }

    /// Who is ill, and what there is to be done with; `None` if nobody is.
    fn ward(&self) -> Result<Option<Ward>, StateError> {
        let table = self.roster.table();
        let known = self.machine.drive_healths()?;
        let now_us = self.env.clock.now_us();
        // Since when is what is on record: it outlives a restart. One that is not on record yet counts from now.
        let ill_row = |row: &DriveRow| match self.health_of(row).0 {
            DriveHealth::Online => None,
            health => {
                let since_us = known.get(&row.id).filter(|known| known.health == health).map(|known| known.since_us);
                Some((health, since_us.unwrap_or(now_us)))
            }
        };
        if !table.active().any(|row| ill_row(row).is_some()) {
            return Ok(None);
        }
        let Some(layout) = self.machine.layout()? else { return Ok(None) };
        let mut ward = Ward {
            k: layout.k.into(),
            m: layout.m.into(),
            now_us,
            after_us: self.evacuate_after_s.saturating_mul(1_000_000),
            active: table.active().count(),
            leaving: table.drives.iter().filter(|row| matches!(row.role, DriveRole::Leaving(_))).count(),
            ill: Vec::new(),
            free_bytes: 0,
            outage_us: self.watch.outage_us.load(Relaxed),
        };
        let mut most_live = 0;
        for row in table.active() {
            let status = self.roster.drives.get(row.id).map(|drive| drive.status());
            let live = status.as_ref().map(|status| status.stored_bytes.saturating_sub(status.dead_bytes));
            most_live = most_live.max(live.unwrap_or(0));
            match ill_row(row) {
                Some((health, since_us)) => {
                    let live_bytes = live.filter(|_| health == DriveHealth::ReadOnly).unwrap_or(u64::MAX);
                    ward.ill.push(Patient { id: row.id, health, since_us, live_bytes });
                }
                None => ward.free_bytes += status.and_then(|status| status.free_bytes).unwrap_or(0),
            }
        }
        // One that cannot be asked holds about as much as the fullest of the others.
        ward.ill.iter_mut().filter(|one| one.live_bytes == u64::MAX).for_each(|one| one.live_bytes = most_live);
        Ok(Some(ward))
    }

    /// Leaves drives for good. Those of `frozen` that stay keep their places and get no others.
    async fn leave_ill(self: &Arc<Self>, given_up: &[DriveId], frozen: &[DriveId]) -> Result<(), DriveChangeError> {
        let mut table = (*self.roster.table()).clone();
        let now_us = self.env.clock.now_us();
        for id in given_up {
            if table.row(*id).is_none_or(|row| row.role != DriveRole::Active) {
                return Ok(());
            }
            set_role(&mut table, *id, DriveRole::Leaving(Then::Retire), now_us);
        }
        table.version += 1;
        let layout = self.newest_layout()?;
        let mut drives = self.candidates(&table, None);
        drives.iter_mut().for_each(|drive| drive.frozen = frozen.contains(&drive.id));
        let needed = usize::from(layout.k) + usize::from(layout.m);
        let layout = balance(&layout, &drives).ok_or(DriveChangeError::TooFew { active: drives.len(), needed })?;
        for id in given_up {
            tracing::warn!(drive = %id, "the drive is given up: what it holds is rebuilt on the others");
        }
        match self.change_drives(table, Some(layout)).await? {
            Outcome::Refused(refusal) => Err(DriveChangeError::Refused(format!("{refusal:?}"))),
            Outcome::Done | Outcome::Deleted { .. } => {
                self.moves.wake();
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: u64 = 60 * 1_000_000;

    fn id(n: u8) -> DriveId {
        DriveId::from_bytes([n; 16])
    }

    fn ward(ill: &[(u8, DriveHealth, u64)]) -> Ward {
        let ill = ill.iter().map(|(n, health, since_min)| Patient {
            id: id(*n),
            health: *health,
            since_us: since_min * MINUTE_US,
            live_bytes: 100,
        });
        Ward {
            k: 4,
            m: 2,
            now_us: 100 * MINUTE_US,
            after_us: 30 * MINUTE_US,
            active: 8,
            leaving: 0,
            ill: ill.collect(),
            free_bytes: 1000,
            outage_us: 0,
        }
    }

    fn plan(ward: &Ward, n: u8) -> CarePlan {
        ward.plans().into_iter().find(|(of, _)| *of == id(n)).unwrap().1
    }

    fn why(plan: CarePlan) -> String {
        match plan {
            CarePlan::Blocked(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_drive_that_is_away_has_its_time_and_one_that_fails_writes_a_minute() {
        let ill = ward(&[(1, DriveHealth::Failed, 71), (2, DriveHealth::ReadOnly, 98)]);
        assert_eq!(plan(&ill, 1), CarePlan::WaitsUntil(101 * MINUTE_US));
        assert_eq!(plan(&ill, 2), CarePlan::UnderWay);
        assert_eq!(plan(&ward(&[(1, DriveHealth::Failed, 70)]), 1), CarePlan::UnderWay);
        assert_eq!(plan(&ward(&[(2, DriveHealth::ReadOnly, 100)]), 2), CarePlan::WaitsUntil(101 * MINUTE_US));
        let off = Ward { after_us: 0, ..ill };
        assert_eq!((plan(&off, 1), plan(&off, 2)), (CarePlan::Off, CarePlan::Off));
    }

    #[test]
    fn many_drives_at_once_are_not_many_failed_drives() {
        let three = ward(&[(1, DriveHealth::ReadOnly, 0), (2, DriveHealth::Failed, 0), (3, DriveHealth::Failed, 0)]);
        for n in 1..4 {
            assert!(why(plan(&three, n)).contains("3 of 8 drives are out at once"));
        }
        // Two may go; not while another is being left.
        let two = ward(&[(1, DriveHealth::Failed, 0), (2, DriveHealth::Failed, 0)]);
        assert_eq!((plan(&two, 1), plan(&two, 2)), (CarePlan::UnderWay, CarePlan::UnderWay));
        let leaving = Ward { leaving: 1, ..two.clone() };
        assert!(why(plan(&leaving, 1)).contains("1 being left"));
        // The last one to come back has its time from the end of the outage.
        let after = Ward { outage_us: 99 * MINUTE_US, ..ward(&[(1, DriveHealth::Failed, 0)]) };
        assert_eq!(plan(&after, 1), CarePlan::WaitsUntil(129 * MINUTE_US));
        // m may be most of a small set.
        let most = Ward {
            k: 1,
            m: 4,
            active: 5,
            ..ward(&[(1, DriveHealth::Failed, 0), (2, DriveHealth::Failed, 0), (3, DriveHealth::Failed, 0)])
        };
        assert!(why(plan(&most, 1)).contains("3 of 5"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let few = Ward { active: 6, ..ward(&[(1, DriveHealth::ReadOnly, 0)]) };
        assert!(why(plan(&few, 1)).contains("5 drives are well and 6 are needed: add a drive"));
        let tight = Ward { free_bytes: 120, ..ward(&[(1, DriveHealth::ReadOnly, 0), (2, DriveHealth::ReadOnly, 1)]) };
        assert_eq!(plan(&tight, 1), CarePlan::UnderWay);
        assert!(why(plan(&tight, 2)).contains("lack room for 92 bytes"), "the first took what there was");
    }
}
