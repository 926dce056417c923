//! Damage, repairs and scrub passes: their leaves, and the rows that they clear or set.

use std::collections::BTreeMap;

use chartrier_journal::{JSON_NUMBER_MAX, Json, Target};

use super::super::journal::{Event, EventType, hex};
use super::super::keys;
use super::{Effects, Entry, Refusal, StateError, Transition};
use crate::codec::SHARDS_MAX;
use crate::ids::DriveId;
use crate::namespace::command::MissingShard;
use crate::namespace::integrity::{
    CORRUPTION_SHARDS_MAX, Corruption, CorruptionKind, FileRepair, PLACE_BYTES_MAX, REPAIR_FILES_MAX,
    REPAIR_HEALED_MAX, REPAIR_STRIPES_MAX, Repair, SCRUB_DRIVES_MAX, ScrubMark, ScrubPass, ShardFault, StripeRepair,
};
use crate::namespace::rows::{OwnerPlace, RunOwner, StripeRun};

type Data = BTreeMap<String, Json>;

impl Transition<'_> {
    pub(super) fn record_repair(&mut self, entry: Entry<'_>, repair: &Repair) -> Result<Effects, StateError> {
        if !repair_fits(repair) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let mut unowned: Vec<StripeRun> = Vec::new();
        let mut stripes = Vec::new();
        let mut bytes = 0;
        for stripe in &repair.stripes {
            let owner: Option<RunOwner> = self.rows.row(keys::STP, stripe.run.first.as_bytes())?;
            match owner {
                Some(owner) => {
                    bytes += stripe.shards.iter().map(|shard| u64::from(shard.bytes)).sum::<u64>();
                    stripes.push(stripe_json(stripe, &owner));
                    let id = stripe.run.first.nth(stripe.stripe_index);
                    for shard in &stripe.shards {
                        self.clear_heal(&MissingShard { stripe: id, shard_index: shard.shard_index })?;
                    }
                }
                None if unowned.iter().any(|run| run.first == stripe.run.first) => {}
                None => unowned.push(stripe.run.clone()),
            }
        }
        for shard in &repair.healed {
            self.clear_heal(shard)?;
        }
        bytes += repair.files.iter().map(|file| file.bytes).sum::<u64>();
        let leaf = if stripes.is_empty() && repair.files.is_empty() {
            None
        } else {
            let files = repair.files.iter().map(file_json).collect();
            let data =
                object([("bytes", bytes.into()), ("stripes", Json::Array(stripes)), ("files", Json::Array(files))]);
            self.storage_leaf(entry, EventType::StorageRepair, data)?
        };
        Ok(Effects::done(leaf).with_freed(unowned))
    }

    pub(super) fn record_corruption(&mut self, entry: Entry<'_>, found: &Corruption) -> Result<Effects, StateError> {
        let fits = found.place.len() <= PLACE_BYTES_MAX
            && found.shards.len() <= CORRUPTION_SHARDS_MAX
            && [found.count, found.bytes].iter().all(|number| *number <= JSON_NUMBER_MAX);
        if !fits {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let shards = found.shards.iter().map(|shard| format!("{}/{}", hex(shard.stripe.as_bytes()), shard.shard_index));
        let data = object([
            ("kind", found.kind.word().into()),
            ("found_by", found.found_by.word().into()),
            ("drive", drive_json(found.drive)),
            ("place", found.place.as_str().into()),
            ("count", found.count.into()),
            ("bytes", found.bytes.into()),
            ("shards", Json::Array(shards.map(Json::from).collect())),
        ]);
        Ok(Effects::done(self.storage_leaf(entry, EventType::StorageCorruption, data)?))
    }

    pub(super) fn record_scrub(&mut self, entry: Entry<'_>, pass: &ScrubPass) -> Result<Effects, StateError> {
        let numbers = [pass.began_us, pass.ended_us, pass.repaired, pass.repaired_bytes, pass.unrepaired];
        let counts = pass.checked.named();
        let mut all =
            numbers.iter().chain(pass.found.iter().map(|(_, count)| count)).chain(counts.iter().map(|(_, n)| n));
        let fits = pass.scope.len() <= PLACE_BYTES_MAX
            && pass.drives.len() <= SCRUB_DRIVES_MAX
            && pass.found.len() <= CorruptionKind::ALL.len()
            && all.all(|number| *number <= JSON_NUMBER_MAX);
        if !fits {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        for drive in &pass.drives {
            let mark = ScrubMark { began_us: pass.began_us, ended_us: pass.ended_us };
            self.rows.put_row(keys::SYS, keys::scrub_mark(*drive), &mark);
        }
        let drives = pass.drives.iter().map(|drive| drive_json(Some(*drive))).collect();
        let found = pass.found.iter().map(|(kind, count)| (kind.word().to_owned(), (*count).into())).collect();
        let data = object([
            ("scope", pass.scope.as_str().into()),
            ("began_us", pass.began_us.into()),
            ("ended_us", pass.ended_us.into()),
            ("drives", Json::Array(drives)),
            ("checked", object(counts.map(|(name, count)| (name, count.into()))).into_json()),
            ("found", Json::Object(found)),
            ("repaired", pass.repaired.into()),
            ("repaired_bytes", pass.repaired_bytes.into()),
            ("unrepaired", pass.unrepaired.into()),
            ("complete", Json::Bool(pass.complete)),
        ]);
        Ok(Effects::done(self.storage_leaf(entry, EventType::StorageScrub, data)?))
    }

    fn storage_leaf(&mut self, entry: Entry<'_>, kind: EventType, data: Data) -> Result<Option<u64>, StateError> {
        self.leaf(entry, Event { kind, target: Target::default(), refused: None, data })
    }

    fn clear_heal(&mut self, shard: &MissingShard) -> Result<(), StateError> {
        let key = keys::heal(&shard.stripe, shard.shard_index);
        if self.memory.head.heal_rows > 0 && self.rows.contains(keys::HEAL, &key)? {
            self.rows.delete(keys::HEAL, key);
            self.memory.head.heal_rows -= 1;
        }
        Ok(())
    }
}

fn repair_fits(repair: &Repair) -> bool {
    let stripe_fits =
        |stripe: &StripeRepair| stripe.shards.len() <= SHARDS_MAX && stripe.stripe_index < stripe.run.count;
    let file_fits = |file: &FileRepair| file.place.len() <= PLACE_BYTES_MAX && file.bytes <= JSON_NUMBER_MAX / 64;
    let shards: usize = repair.stripes.iter().map(|stripe| stripe.shards.len()).sum();
    repair.stripes.len() <= REPAIR_STRIPES_MAX
        && shards <= 4 * REPAIR_STRIPES_MAX
        && repair.files.len() <= REPAIR_FILES_MAX
        && repair.healed.len() <= REPAIR_HEALED_MAX
        && repair.stripes.iter().all(stripe_fits)
        && repair.files.iter().all(file_fits)
}

fn stripe_json(stripe: &StripeRepair, owner: &RunOwner) -> Json {
    let shards = stripe.shards.iter().map(|shard| {
        let fault = match shard.fault {
            ShardFault::Missing => "missing",
            ShardFault::Damaged => "damaged",
            ShardFault::Mismatched => "mismatched",
        };
        object([
            ("shard", u64::from(shard.shard_index).into()),
            ("drive", drive_json(Some(shard.drive))),
            ("fault", fault.into()),
            ("bytes", u64::from(shard.bytes).into()),
        ])
        .into_json()
    });
    // A pack is of no one object.
    let is_pack = matches!(owner.place, OwnerPlace::Pack(_));
    let unless_pack = |id: String| if is_pack { Json::Null } else { id.into() };
    object([
        ("bucket", unless_pack(owner.bucket.to_string())),
        ("object_uuid", unless_pack(owner.object_uuid.to_string())),
        ("stripe", hex(stripe.run.first.nth(stripe.stripe_index).as_bytes()).into()),
        ("shards", Json::Array(shards.collect())),
    ])
    .into_json()
}

fn file_json(file: &FileRepair) -> Json {
    object([
        ("kind", file.kind.word().into()),
        ("drive", drive_json(file.drive)),
        ("place", file.place.as_str().into()),
        ("bytes", file.bytes.into()),
    ])
    .into_json()
}

fn drive_json(drive: Option<DriveId>) -> Json {
    drive.map_or(Json::Null, |drive| drive.to_string().into())
}

fn object<const N: usize>(members: [(&str, Json); N]) -> Data {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

trait IntoJson {
    fn into_json(self) -> Json;
}

impl IntoJson for Data {
    fn into_json(self) -> Json {
        Json::Object(self)
    }
}
