//! Buckets and their documents on the model.

use chartrier_journal::{EventType, Json, Target};

use super::State;
use super::apply::{Verdict, done, refused};
use super::leaves::text;
use super::versions::lock_facts;
use crate::ids::BucketId;
use crate::namespace::bucket_config::{BucketConfigKind, BucketConfigRow};
use crate::namespace::command::{Command, Refusal};
use crate::namespace::lock::Versioning;
use crate::namespace::rows::BucketRow;

impl State {
    pub(super) fn create_bucket(&mut self, command: &Command, row: &BucketRow) -> Verdict {
        if let Some(taken) = self.buckets.get(&row.name) {
            return refused(Refusal::BucketExists { owner: taken.owner.clone() });
        }
        if self.bucket_is(row.id) {
            return refused(Refusal::BucketExists { owner: row.owner.clone() });
        }
        if row.object_lock.is_some() && row.versioning != Versioning::Enabled {
            return refused(Refusal::InvalidBucketState);
        }
        self.buckets.insert(row.name.clone(), row.clone());
        let target = Target { bucket: Some(row.id.to_string()), ..Target::default() };
        let mut data = vec![("class", "standard".into())];
        data.extend(row.object_lock.iter().flat_map(|lock| lock_facts(lock.default_retention)));
        done(self.leaf(command, EventType::BucketCreate, target, None, data))
    }

    pub(super) fn delete_bucket(&mut self, command: &Command, name: &str) -> Verdict {
        let Some(id) = self.buckets.get(name).map(|row| row.id) else {
            return refused(Refusal::NoSuchBucket);
        };
        if self.objects.keys().any(|(bucket, _)| *bucket == id) || self.uploads.keys().any(|(b, ..)| *b == id) {
            return refused(Refusal::BucketNotEmpty);
        }
        self.buckets.remove(name);
        self.configs.retain(|(bucket, _), _| *bucket != id);
        let target = Target { bucket: Some(id.to_string()), ..Target::default() };
        done(self.leaf(command, EventType::BucketDelete, target, None, vec![]))
    }

    pub(super) fn set_config(
        &mut self,
        command: &Command,
        bucket: BucketId,
        kind: BucketConfigKind,
        document: Option<Vec<u8>>,
    ) -> Verdict {
        if !self.bucket_is(bucket) {
            return refused(Refusal::NoSuchBucket);
        }
        if document.as_ref().is_some_and(|document| document.len() > kind.document_bytes_max()) {
            return refused(Refusal::TooLarge);
        }
        let row = document.map(|document| BucketConfigRow {
            document,
            changed_us: command.context.time_us,
            commit_index: self.applied,
        });
        let place = (bucket, kind);
        let is_removal = row.is_none();
        let after = row.as_ref().map_or(Json::Null, |row| text(blake3::hash(&row.document).as_bytes()));
        let old = match row {
            Some(row) => self.configs.insert(place, row),
            None => self.configs.remove(&place),
        };
        if old.is_none() && is_removal {
            return done(None);
        }
        let before = old.map_or(Json::Null, |row| text(blake3::hash(&row.document).as_bytes()));
        let data = vec![("config", kind.name().into()), ("digest_before", before), ("digest_after", after)];
        let target = Target { bucket: Some(bucket.to_string()), ..Target::default() };
        done(self.leaf(command, EventType::BucketConfig, target, None, data))
    }
}
