//! Damage, repairs and scrub passes on the model.

use chartrier_journal::{EventType, Json, Target};

use super::State;
use super::apply::{Verdict, done, refused};
use super::leaves::{hex, json_object};
use crate::namespace::command::{Command, Refusal};
use crate::namespace::integrity::{Corruption, Repair, ScrubMark, ScrubPass, ShardFault};
use crate::namespace::rows::OwnerPlace;

impl State {
    pub(super) fn record_repair(&mut self, command: &Command, repair: &Repair) -> Verdict {
        let long_place = repair.files.iter().any(|file| file.place.len() > 256);
        let outside = repair.stripes.iter().any(|stripe| stripe.stripe_index >= stripe.run.count);
        if repair.stripes.len() > 48 || repair.files.len() > 16 || repair.healed.len() > 4096 || long_place || outside {
            return refused(Refusal::TooLarge);
        }
        let (mut bytes, mut stripes, mut files, mut freed) = (0_u64, Vec::new(), Vec::new(), Vec::new());
        for stripe in &repair.stripes {
            let id = stripe.run.first.nth(stripe.stripe_index);
            let Some(owner) = self.owner_of(stripe.run.first) else {
                if !freed.contains(&stripe.run) {
                    freed.push(stripe.run.clone());
                }
                continue;
            };
            let of_pack = matches!(owner.place, OwnerPlace::Pack(_));
            let of_object = |id: String| if of_pack { Json::Null } else { id.into() };
            let mut shards = Vec::new();
            for shard in &stripe.shards {
                bytes += u64::from(shard.bytes);
                self.heal.remove(&(id, shard.shard_index));
                let fault = match shard.fault {
                    ShardFault::Missing => "missing",
                    ShardFault::Damaged => "damaged",
                    ShardFault::Mismatched => "mismatched",
                };
                shards.push(json_object([
                    ("bytes", u64::from(shard.bytes).into()),
                    ("drive", shard.drive.to_string().into()),
                    ("fault", fault.into()),
                    ("shard", u64::from(shard.shard_index).into()),
                ]));
            }
            stripes.push(json_object([
                ("bucket", of_object(owner.bucket.to_string())),
                ("object_uuid", of_object(owner.object_uuid.to_string())),
                ("shards", Json::Array(shards)),
                ("stripe", hex(id.as_bytes()).into()),
            ]));
        }
        for shard in &repair.healed {
            self.heal.remove(&(shard.stripe, shard.shard_index));
        }
        for file in &repair.files {
            bytes += file.bytes;
            files.push(json_object([
                ("bytes", file.bytes.into()),
                ("drive", file.drive.map_or(Json::Null, |drive| drive.to_string().into())),
                ("kind", file.kind.word().into()),
                ("place", file.place.clone().into()),
            ]));
        }
        let mut leaf = None;
        if !stripes.is_empty() || !files.is_empty() {
            let data = vec![("bytes", bytes.into()), ("files", Json::Array(files)), ("stripes", Json::Array(stripes))];
            leaf = self.leaf(command, EventType::StorageRepair, Target::default(), None, data);
        }
        Verdict { freed, ..done(leaf) }
    }

    pub(super) fn record_corruption(&mut self, command: &Command, found: &Corruption) -> Verdict {
        if found.place.len() > 256 || found.shards.len() > 256 {
            return refused(Refusal::TooLarge);
        }
        let shard = |shard: &crate::namespace::command::MissingShard| {
            Json::String(format!("{}/{}", hex(shard.stripe.as_bytes()), shard.shard_index))
        };
        let data = vec![
            ("bytes", found.bytes.into()),
            ("count", found.count.into()),
            ("drive", found.drive.map_or(Json::Null, |drive| drive.to_string().into())),
            ("found_by", found.found_by.word().into()),
            ("kind", found.kind.word().into()),
            ("place", found.place.clone().into()),
            ("shards", Json::Array(found.shards.iter().map(shard).collect())),
        ];
        done(self.leaf(command, EventType::StorageCorruption, Target::default(), None, data))
    }

    pub(super) fn record_scrub(&mut self, command: &Command, pass: &ScrubPass) -> Verdict {
        if pass.scope.len() > 256 || pass.drives.len() > 64 || pass.found.len() > 12 {
            return refused(Refusal::TooLarge);
        }
        for drive in &pass.drives {
            self.scrubs.insert(*drive, ScrubMark { began_us: pass.began_us, ended_us: pass.ended_us });
        }
        let data = vec![
            ("began_us", pass.began_us.into()),
            ("complete", Json::Bool(pass.complete)),
            ("checked", json_object(pass.checked.named().map(|(name, count)| (name, count.into())))),
            ("drives", Json::Array(pass.drives.iter().map(|drive| drive.to_string().into()).collect())),
            ("ended_us", pass.ended_us.into()),
            ("found", json_object(pass.found.iter().map(|(kind, count)| (kind.word(), (*count).into())))),
            ("repaired", pass.repaired.into()),
            ("repaired_bytes", pass.repaired_bytes.into()),
            ("scope", pass.scope.clone().into()),
            ("unrepaired", pass.unrepaired.into()),
        ];
        done(self.leaf(command, EventType::StorageScrub, Target::default(), None, data))
    }
}
