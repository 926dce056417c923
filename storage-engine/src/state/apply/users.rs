//! Users and their access keys.

use std::collections::BTreeMap;

use chartrier_journal::{Json, Target};

use super::super::journal::{Event, EventType, hex};
use super::super::keys;
use super::super::kv::prefix_end;
use super::super::overlay::decode_row;
use super::super::rows::NameRow;
use super::{ACCESS_KEYS_MAX, Effects, Entry, Refusal, SMALL_ROW_BYTES_MAX, StateError, Transition};
use crate::namespace::rows::{AccessKeyRow, UserRow};

impl Transition<'_> {
    pub(super) fn create_user(&mut self, entry: Entry<'_>, row: &UserRow) -> Result<Effects, StateError> {
        if self.user(&row.name)?.is_some() || self.rows.contains(keys::USR, &keys::user_id(&row.id))? {
            return Ok(Effects::refused(Refusal::UserExists));
        }
        for (at, key) in row.access_keys.iter().enumerate() {
            let earlier = row.access_keys.iter().take(at).any(|other| other.access_key_id == key.access_key_id);
            if earlier || self.rows.contains(keys::USR, &keys::access_key(&key.access_key_id))? {
                return Ok(Effects::refused(Refusal::UserExists));
            }
        }
        if !user_fits(row) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let leaf = self.user_leaf(entry, EventType::UserCreate, row, None)?;
        self.rows.put_row(keys::USR, keys::user_id(&row.id), &NameRow(row.name.clone()));
        for key in &row.access_keys {
            self.rows.put_row(keys::USR, keys::access_key(&key.access_key_id), &NameRow(row.name.clone()));
        }
        self.put_user(row);
        Ok(Effects::done(leaf))
    }

    pub(super) fn remove_user(&mut self, entry: Entry<'_>, name: &str) -> Result<Effects, StateError> {
        let Some(row) = self.user(name)? else {
            return Ok(Effects::refused(Refusal::NoSuchUser));
        };
        if row.root || self.account(&row.id)?.buckets > 0 || self.has_members(&row.id)? {
            return Ok(Effects::refused(Refusal::UserInUse));
        }
        let leaf = self.user_leaf(entry, EventType::UserRemove, &row, None)?;
        for key in &row.access_keys {
            self.rows.delete(keys::USR, keys::access_key(&key.access_key_id));
        }
        self.rows.delete(keys::USR, keys::user_id(&row.id));
        self.rows.delete(keys::USR, keys::account(&row.id));
        self.rows.delete(keys::USR, keys::user_name(name));
        self.touched_users = true;
        Ok(Effects::done(leaf))
    }

    pub(super) fn add_access_key(
        &mut self,
        entry: Entry<'_>,
        user: &str,
        key: &AccessKeyRow,
    ) -> Result<Effects, StateError> {
        let Some(mut row) = self.user(user)? else {
            return Ok(Effects::refused(Refusal::NoSuchUser));
        };
        if self.rows.contains(keys::USR, &keys::access_key(&key.access_key_id))? {
            return Ok(Effects::refused(Refusal::UserExists));
        }
        row.access_keys.push(key.clone());
        if !user_fits(&row) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let leaf = self.user_leaf(entry, EventType::UserKeyAdd, &row, Some(&key.access_key_id))?;
        self.rows.put_row(keys::USR, keys::access_key(&key.access_key_id), &NameRow(row.name.clone()));
        self.put_user(&row);
        Ok(Effects::done(leaf))
    }

    pub(super) fn remove_access_key(
        &mut self,
        entry: Entry<'_>,
        user: &str,
        access_key_id: &str,
    ) -> Result<Effects, StateError> {
        let Some(mut row) = self.user(user)? else {
            return Ok(Effects::refused(Refusal::NoSuchUser));
        };
        let before = row.access_keys.len();
        row.access_keys.retain(|key| key.access_key_id != access_key_id);
        if row.access_keys.len() == before {
            return Ok(Effects::refused(Refusal::NoSuchAccessKey));
        }
        if row.root && !has_lasting_key(&row) {
            // Without a key that lasts nobody could administer the tenant.
            return Ok(Effects::refused(Refusal::UserInUse));
        }
        let leaf = self.user_leaf(entry, EventType::UserKeyRemove, &row, Some(access_key_id))?;
        self.rows.delete(keys::USR, keys::access_key(access_key_id));
        self.put_user(&row);
        Ok(Effects::done(leaf))
    }

    pub(super) fn set_user_document(
        &mut self,
        entry: Entry<'_>,
        user: &str,
        expected_digest: &[u8; 32],
        document: &[u8],
    ) -> Result<Effects, StateError> {
        let Some(mut row) = self.user(user)? else {
            return Ok(Effects::refused(Refusal::NoSuchUser));
        };
        let before = blake3::hash(&row.document);
        if before.as_bytes() != expected_digest {
            return Ok(Effects::refused(Refusal::Superseded));
        }
        row.document = document.to_vec();
        if !user_fits(&row) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let leaf = self.user_change_leaf(entry, &row, None, document_change("document", &before, document))?;
        self.put_user(&row);
        Ok(Effects::done(leaf))
    }

    pub(super) fn rename_user(
        &mut self,
        entry: Entry<'_>,
        user: &str,
        new_name: &str,
        expected_digest: &[u8; 32],
        document: &[u8],
    ) -> Result<Effects, StateError> {
        let Some(mut row) = self.user(user)?.filter(|row| !row.account.is_empty()) else {
            return Ok(Effects::refused(Refusal::NoSuchUser));
        };
        if new_name != user && self.user(new_name)?.is_some() {
            return Ok(Effects::refused(Refusal::UserExists));
        }
        let before = blake3::hash(&row.document);
        if before.as_bytes() != expected_digest {
            return Ok(Effects::refused(Refusal::Superseded));
        }
        row.name = new_name.to_owned();
        row.display_name = new_name.to_owned();
        row.document = document.to_vec();
        if !user_fits(&row) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let leaf = self.user_change_leaf(entry, &row, None, document_change("name", &before, document))?;
        self.rows.delete(keys::USR, keys::user_name(user));
        self.rows.put_row(keys::USR, keys::user_id(&row.id), &NameRow(row.name.clone()));
        for key in &row.access_keys {
            self.rows.put_row(keys::USR, keys::access_key(&key.access_key_id), &NameRow(row.name.clone()));
        }
        self.put_user(&row);
        Ok(Effects::done(leaf))
    }

    pub(super) fn set_access_key(
        &mut self,
        entry: Entry<'_>,
        user: &str,
        access_key_id: &str,
        disabled: bool,
        expires_us: Option<u64>,
    ) -> Result<Effects, StateError> {
        let Some(mut row) = self.user(user)? else {
            return Ok(Effects::refused(Refusal::NoSuchUser));
        };
        let Some(key) = row.access_keys.iter_mut().find(|key| key.access_key_id == access_key_id) else {
            return Ok(Effects::refused(Refusal::NoSuchAccessKey));
        };
        (key.disabled, key.expires_us) = (disabled, expires_us);
        if row.root && !has_lasting_key(&row) {
            // Without a key that lasts nobody could administer the tenant.
            return Ok(Effects::refused(Refusal::UserInUse));
        }
        let data = BTreeMap::from([
            ("changed".to_owned(), "access-key".into()),
            ("disabled".to_owned(), disabled.into()),
            ("expires".to_owned(), expires_us.and_then(chartrier_journal::format_time).map_or(Json::Null, Json::from)),
        ]);
        let leaf = self.user_change_leaf(entry, &row, Some(access_key_id), data)?;
        self.put_user(&row);
        Ok(Effects::done(leaf))
    }

    fn user_change_leaf(
        &mut self,
        entry: Entry<'_>,
        row: &UserRow,
        access_key_id: Option<&str>,
        data: BTreeMap<String, Json>,
    ) -> Result<Option<u64>, StateError> {
        let target =
            Target { user: Some(row.id.clone()), access_key: access_key_id.map(str::to_owned), ..Target::default() };
        self.leaf(entry, Event { kind: EventType::UserChange, target, refused: None, data })
    }

    /// Whether some user is a member of this account: it would belong to nobody.
    fn has_members(&self, account: &str) -> Result<bool, StateError> {
        let users = self.rows.collect(keys::USR, keys::USER_NAMES, prefix_end(keys::USER_NAMES).as_deref())?;
        for bytes in users.values() {
            if decode_row::<UserRow>(keys::USR, bytes)?.account == account {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn user(&self, name: &str) -> Result<Option<UserRow>, StateError> {
        self.rows.row(keys::USR, &keys::user_name(name))
    }

    fn put_user(&mut self, row: &UserRow) {
        self.rows.put_row(keys::USR, keys::user_name(&row.name), row);
        self.touched_users = true;
    }

    /// The canonical id is drawn at random: it is a pseudonym, and the register that opens it is these rows.
    fn user_leaf(
        &mut self,
        entry: Entry<'_>,
        kind: EventType,
        row: &UserRow,
        access_key_id: Option<&str>,
    ) -> Result<Option<u64>, StateError> {
        let target =
            Target { user: Some(row.id.clone()), access_key: access_key_id.map(str::to_owned), ..Target::default() };
        self.leaf(entry, Event { kind, target, refused: None, data: Default::default() })
    }
}

/// What a leaf says of a change that gives a user another document.
fn document_change(what: &str, before: &blake3::Hash, document: &[u8]) -> BTreeMap<String, Json> {
    BTreeMap::from([
        ("changed".to_owned(), what.into()),
        ("digest_before".to_owned(), hex(before.as_bytes()).into()),
        ("digest_after".to_owned(), hex(blake3::hash(document).as_bytes()).into()),
    ])
}

/// Whether a user has a key that signs and does not end.
fn has_lasting_key(row: &UserRow) -> bool {
    row.access_keys.iter().any(|key| !key.disabled && key.expires_us.is_none())
}

fn user_fits(row: &UserRow) -> bool {
    let keys: usize = row.access_keys.iter().map(|key| key.access_key_id.len() + key.sealed_secret.len() + 16).sum();
    let ids_fit = row.id.len() <= 256 && row.access_keys.iter().all(|key| key.access_key_id.len() <= 256);
    ids_fit
        && !row.name.is_empty()
        && row.name.len() <= 1024
        && row.access_keys.len() <= ACCESS_KEYS_MAX
        && row.display_name.len() + row.email.len() + row.account.len() + row.document.len() + keys
            <= SMALL_ROW_BYTES_MAX
}
