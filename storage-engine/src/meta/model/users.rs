//! Users, their access keys and quotas on the model.

use chartrier_journal::{EventType, Json, Target};

use super::State;
use super::apply::{Verdict, done, refused};
use super::leaves::text;
use crate::namespace::command::{Command, Refusal};
use crate::namespace::rows::{AccessKeyRow, AccountQuota, UserRow};

impl State {
    pub(super) fn create_user(&mut self, command: &Command, row: &UserRow) -> Verdict {
        let mut ids: Vec<&str> = row.access_keys.iter().map(|key| key.access_key_id.as_str()).collect();
        ids.sort_unstable();
        let repeated = ids.windows(2).any(|pair| pair[0] == pair[1]);
        let taken = ids.iter().any(|id| self.key_is_taken(id));
        let known = self.users.contains_key(&row.name) || self.users.values().any(|user| user.id == row.id);
        if repeated || taken || known {
            return refused(Refusal::UserExists);
        }
        self.users.insert(row.name.clone(), row.clone());
        done(self.leaf(command, EventType::UserCreate, user_target(&row.id, None), None, vec![]))
    }

    pub(super) fn remove_user(&mut self, command: &Command, name: &str) -> Verdict {
        let Some(user) = self.users.get(name).cloned() else {
            return refused(Refusal::NoSuchUser);
        };
        let has_members = self.users.values().any(|other| other.account == user.id);
        if user.root || has_members || self.buckets.values().any(|bucket| bucket.owner == user.id) {
            return refused(Refusal::UserInUse);
        }
        self.users.remove(name);
        self.quotas.remove(&user.id);
        done(self.leaf(command, EventType::UserRemove, user_target(&user.id, None), None, vec![]))
    }

    pub(super) fn add_access_key(&mut self, command: &Command, user: &str, key: &AccessKeyRow) -> Verdict {
        let taken = self.key_is_taken(&key.access_key_id);
        let Some(row) = self.users.get_mut(user) else {
            return refused(Refusal::NoSuchUser);
        };
        if taken {
            return refused(Refusal::UserExists);
        }
        row.access_keys.push(key.clone());
        let target = user_target(&row.id, Some(&key.access_key_id));
        done(self.leaf(command, EventType::UserKeyAdd, target, None, vec![]))
    }

    pub(super) fn remove_access_key(&mut self, command: &Command, user: &str, access_key_id: &str) -> Verdict {
        let Some(row) = self.users.get_mut(user) else {
            return refused(Refusal::NoSuchUser);
        };
        let Some(at) = row.access_keys.iter().position(|key| key.access_key_id == access_key_id) else {
            return refused(Refusal::NoSuchAccessKey);
        };
        let mut left = row.access_keys.clone();
        left.remove(at);
        if row.root && !left.iter().any(|key| !key.disabled && key.expires_us.is_none()) {
            return refused(Refusal::UserInUse);
        }
        row.access_keys = left;
        let target = user_target(&row.id, Some(access_key_id));
        done(self.leaf(command, EventType::UserKeyRemove, target, None, vec![]))
    }

    pub(super) fn set_user_document(
        &mut self,
        command: &Command,
        user: &str,
        expected_digest: &[u8; 32],
        document: &[u8],
    ) -> Verdict {
        let Some(row) = self.users.get_mut(user) else {
            return refused(Refusal::NoSuchUser);
        };
        let before = blake3::hash(&row.document);
        if before != *expected_digest {
            return refused(Refusal::Superseded);
        }
        row.document = document.to_vec();
        let target = user_target(&row.id, None);
        let after = text(blake3::hash(document).as_bytes());
        let data =
            vec![("changed", "document".into()), ("digest_before", text(before.as_bytes())), ("digest_after", after)];
        done(self.leaf(command, EventType::UserChange, target, None, data))
    }

    pub(super) fn rename_user(
        &mut self,
        command: &Command,
        user: &str,
        new_name: &str,
        expected_digest: &[u8; 32],
        document: &[u8],
    ) -> Verdict {
        let Some(mut row) = self.users.get(user).filter(|row| !row.account.is_empty()).cloned() else {
            return refused(Refusal::NoSuchUser);
        };
        if user != new_name && self.users.contains_key(new_name) {
            return refused(Refusal::UserExists);
        }
        let before = blake3::hash(&row.document);
        if before != *expected_digest {
            return refused(Refusal::Superseded);
        }
        if new_name.is_empty() {
            return refused(Refusal::TooLarge);
        }
        self.users.remove(user);
        (row.name, row.display_name, row.document) = (new_name.to_owned(), new_name.to_owned(), document.to_vec());
        let target = user_target(&row.id, None);
        self.users.insert(row.name.clone(), row);
        let after = text(blake3::hash(document).as_bytes());
        let data =
            vec![("changed", "name".into()), ("digest_before", text(before.as_bytes())), ("digest_after", after)];
        done(self.leaf(command, EventType::UserChange, target, None, data))
    }

    pub(super) fn set_access_key(
        &mut self,
        command: &Command,
        user: &str,
        access_key_id: &str,
        disabled: bool,
        expires_us: Option<u64>,
    ) -> Verdict {
        let Some(row) = self.users.get_mut(user) else {
            return refused(Refusal::NoSuchUser);
        };
        let mut changed = row.access_keys.clone();
        let Some(key) = changed.iter_mut().find(|key| key.access_key_id == access_key_id) else {
            return refused(Refusal::NoSuchAccessKey);
        };
        (key.disabled, key.expires_us) = (disabled, expires_us);
        if row.root && !changed.iter().any(|key| !key.disabled && key.expires_us.is_none()) {
            return refused(Refusal::UserInUse);
        }
        row.access_keys = changed;
        let target = user_target(&row.id, Some(access_key_id));
        let expires = expires_us.and_then(chartrier_journal::format_time).map_or(Json::Null, Json::from);
        let data = vec![("changed", "access-key".into()), ("disabled", disabled.into()), ("expires", expires)];
        done(self.leaf(command, EventType::UserChange, target, None, data))
    }

    pub(super) fn set_account_quota(&mut self, command: &Command, user: &str, quota: AccountQuota) -> Verdict {
        let Some(id) = self.users.get(user).filter(|row| row.account.is_empty()).map(|row| row.id.clone()) else {
            return refused(Refusal::NoSuchUser);
        };
        let limits = [("max_bytes", quota.max_bytes), ("max_versions", quota.max_versions)];
        if limits.iter().any(|(_, limit)| limit.is_some_and(|limit| limit >= 1 << 53)) {
            return refused(Refusal::TooLarge);
        }
        let mut data = vec![("changed", "quota".into())];
        data.extend(limits.map(|(name, limit)| (name, limit.map_or(Json::Null, Json::from))));
        self.quotas.insert(id.clone(), quota);
        done(self.leaf(command, EventType::UserChange, user_target(&id, None), None, data))
    }

    fn key_is_taken(&self, id: &str) -> bool {
        self.users.values().flat_map(|user| &user.access_keys).any(|key| key.access_key_id == id)
    }
}

/// What a leaf on a user, or on a key of his, is aimed at.
fn user_target(id: &str, key: Option<&str>) -> Target {
    Target { user: Some(id.to_owned()), access_key: key.map(str::to_owned), ..Target::default() }
}
