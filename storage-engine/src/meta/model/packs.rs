//! Packs on the model.

use std::collections::{BTreeMap, BTreeSet};

use super::State;
use super::apply::{Verdict, done, refused};
use crate::ids::{BucketId, ObjectUuid, StripeId};
use crate::namespace::command::Refusal;
use crate::namespace::packs::{MemberSource, PackCounts, PackPlace, PackRuns};
use crate::namespace::rows::{OwnedRun, OwnerPlace, RunOwner, StripeRun};

/// Packs that something needs, and every run that was ever in one.
#[derive(Debug, Default)]
pub(super) struct Packs {
    packs: BTreeMap<StripeId, (StripeRun, BTreeSet<StripeId>)>,
    members: BTreeMap<StripeId, Member>,
}

#[derive(Debug)]
struct Member {
    place: PackPlace,
    live: bool,
}

impl Packs {
    pub(super) fn is_live_member(&self, run: StripeId) -> bool {
        self.members.get(&run).is_some_and(|member| member.live)
    }

    pub(super) fn was_member(&self, run: StripeId) -> bool {
        self.members.get(&run).is_some_and(|member| !member.live)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = OwnedRun> + '_ {
        self.packs.keys().map(|first| {
            let (bucket, object_uuid) = (BucketId::from_bytes([0; 16]), ObjectUuid::from_bytes([0; 16]));
            let place = OwnerPlace::Pack(*first);
            OwnedRun { first: *first, owner: RunOwner { bucket, key: String::new(), object_uuid, place, count: 1 } }
        })
    }

    pub(super) fn place(&self, run: StripeId) -> Option<PackPlace> {
        self.members.get(&run).map(|member| member.place.clone())
    }

    pub(super) fn sparse(&self) -> Vec<StripeId> {
        let is_sparse = |(run, members): &&(StripeRun, BTreeSet<StripeId>)| {
            let dead = run.len_bytes - self.live_bytes(members);
            dead * 100 > run.len_bytes * 35
        };
        self.packs.values().filter(is_sparse).map(|(run, _)| run.first).collect()
    }

    pub(super) fn counts(&self, waiting: &[StripeRun]) -> PackCounts {
        PackCounts {
            waiting_runs: waiting.len() as u64,
            waiting_bytes: waiting.iter().map(|run| run.len_bytes).sum(),
            packs: self.packs.len() as u64,
            packed_bytes: self.packs.values().map(|(run, _)| run.len_bytes).sum(),
            members: self.packs.values().map(|(_, members)| members.len() as u64).sum(),
            live_bytes: self.packs.values().map(|(_, members)| self.live_bytes(members)).sum(),
        }
    }

    fn live_bytes(&self, members: &BTreeSet<StripeId>) -> u64 {
        members.iter().map(|first| u64::from(self.members[first].place.len_bytes)).sum()
    }

    /// Takes a member out of its pack; the pack, if that was its last.
    fn leave(&mut self, run: StripeId) -> Option<StripeRun> {
        let pack = self.members.get(&run)?.place.pack.first;
        let (_, members) = self.packs.get_mut(&pack)?;
        members.remove(&run);
        if members.is_empty() { self.packs.remove(&pack).map(|(run, _)| run) } else { None }
    }

    /// Follows runs that lost their name: the packs that die with them go where they fall. `named` are those left.
    pub(super) fn follow(&mut self, freed: Vec<StripeRun>, named: &[OwnedRun]) -> Vec<StripeRun> {
        let mut all = Vec::new();
        for run in freed {
            let first = run.first;
            all.push(run);
            if self.is_live_member(first) && !named.iter().any(|run| run.first == first) {
                all.extend(self.leave(first));
                self.members.entry(first).and_modify(|member| member.live = false);
            }
        }
        all
    }
}

impl State {
    pub(super) fn pack_runs(&mut self, command: &PackRuns) -> Verdict {
        let pack = &command.pack;
        let mut end = 0;
        for member in &command.members {
            let from_fits = match &member.from {
                MemberSource::Copies(run) => {
                    run.places != 0 && run.first == member.first && run.len_bytes == u64::from(member.len_bytes)
                }
                MemberSource::Pack(old) => *old != pack.first,
            };
            if u64::from(member.offset) < end || member.len_bytes == 0 || !from_fits {
                return refused(Refusal::TooLarge);
            }
            end = u64::from(member.offset) + u64::from(member.len_bytes);
        }
        if command.members.is_empty() || end > pack.len_bytes || pack.count != 1 || pack.places != 0 {
            return refused(Refusal::TooLarge);
        }
        if self.owned_runs().iter().any(|run| run.first == pack.first) {
            return refused(Refusal::Superseded);
        }
        let (mut freed, mut live) = (Vec::new(), BTreeSet::new());
        for member in &command.members {
            let is_named = self.named_runs().iter().any(|run| run.first == member.first);
            match &member.from {
                MemberSource::Copies(run)
                    if is_named && !self.packs.is_live_member(member.first) && !live.contains(&member.first) =>
                {
                    freed.push(run.clone());
                }
                MemberSource::Pack(old)
                    if self.packs.is_live_member(member.first)
                        && self.packs.place(member.first).is_some_and(|place| place.pack.first == *old) =>
                {
                    freed.extend(self.packs.leave(member.first));
                }
                _ => continue,
            }
            live.insert(member.first);
            let place = PackPlace { pack: pack.clone(), offset: member.offset, len_bytes: member.len_bytes };
            self.packs.members.insert(member.first, Member { place, live: true });
        }
        if live.is_empty() {
            return Verdict { freed: vec![pack.clone()], ..refused(Refusal::Superseded) };
        }
        self.packs.packs.insert(pack.first, (pack.clone(), live));
        Verdict { freed, ..done(None) }
    }
}
