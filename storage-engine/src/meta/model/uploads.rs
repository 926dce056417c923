//! Multipart uploads on the model.

use std::collections::BTreeMap;

use super::apply::{Verdict, done, dropped, refused};
use super::{State, Upload};
use crate::ids::{BucketId, UploadId};
use crate::namespace::command::{Command, Refusal, WriteCondition};
use crate::namespace::rows::{PartRow, UploadRow, VersionRow};

impl State {
    pub(super) fn create_upload(&mut self, bucket: BucketId, key: &str, row: &UploadRow) -> Verdict {
        let place = (bucket, key.to_owned(), row.id);
        if !self.bucket_is(bucket) {
            return refused(Refusal::NoSuchBucket);
        }
        if !(1..=1024).contains(&key.len()) {
            return refused(Refusal::TooLarge);
        }
        if self.uploads.contains_key(&place) {
            return refused(Refusal::Superseded);
        }
        self.uploads.insert(place, Upload { row: row.clone(), parts: BTreeMap::new() });
        done(None)
    }

    pub(super) fn put_part(&mut self, bucket: BucketId, key: &str, upload: UploadId, part: &PartRow) -> Verdict {
        let unowned = self.unowned(std::slice::from_ref(part));
        let Some(upload) = self.uploads.get_mut(&(bucket, key.to_owned(), upload)) else {
            return Verdict { freed: unowned, ..refused(Refusal::NoSuchUpload) };
        };
        if !(1..=10_000).contains(&part.number) {
            return Verdict { freed: unowned, ..refused(Refusal::TooLarge) };
        }
        if part.blob.stripes().is_some_and(|run| self.packs.was_member(run.first)) {
            return Verdict { freed: unowned, ..refused(Refusal::Superseded) };
        }
        let old = upload.parts.insert(part.number, part.clone());
        Verdict { freed: dropped(old.as_slice(), std::slice::from_ref(part)), ..done(None) }
    }

    pub(super) fn complete_upload(
        &mut self,
        index: u64,
        command: &Command,
        place: (BucketId, String, UploadId),
        row: &VersionRow,
        condition: &WriteCondition,
    ) -> Verdict {
        let Some(stored) = self.uploads.get(&place) else {
            return refused(Refusal::NoSuchUpload);
        };
        let same = row.parts.iter().all(|part| stored.parts.get(&part.number) == Some(part));
        if !same || row.parts.is_empty() {
            return refused(Refusal::PartsChanged);
        }
        let stored: Vec<PartRow> = stored.parts.values().cloned().collect();
        self.completing = true;
        let put = self.put(index, command, place.0, &place.1, row, condition);
        self.completing = false;
        match put {
            Ok(mut verdict) => {
                self.uploads.remove(&place);
                verdict.freed.extend(dropped(&stored, &row.parts));
                verdict
            }
            Err(verdict) => verdict,
        }
    }

    pub(super) fn abort_upload(&mut self, bucket: BucketId, key: &str, upload: UploadId) -> Verdict {
        let Some(upload) = self.uploads.remove(&(bucket, key.to_owned(), upload)) else {
            return refused(Refusal::NoSuchUpload);
        };
        let parts: Vec<PartRow> = upload.parts.into_values().collect();
        Verdict { freed: dropped(&parts, &[]), ..done(None) }
    }
}
