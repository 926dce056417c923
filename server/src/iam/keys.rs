//! CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey.

use chartrier_storage::namespace::command::Op;
use chartrier_storage::namespace::rows::AccessKeyRow;

use super::{Iam, time};
use crate::admin::users::ACCESS_KEYS_OF_USER_MAX;
use crate::identity::access_key::NewAccessKey;
use crate::query_api::ApiError;
use crate::s3::xml::XmlWriter;

impl Iam<'_> {
    pub(super) async fn create_access_key(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let row = self.named_user()?;
        if row.access_keys.len() >= ACCESS_KEYS_OF_USER_MAX {
            return Err(ApiError::limit("Cannot exceed quota for AccessKeysPerUser."));
        }
        let env = self.app.env();
        let key = NewAccessKey::generate(&env);
        let sealed = key.seal(&self.app.operator_key, &env);
        let created_us = sealed.created_us;
        self.propose(Op::AddAccessKey { user: row.name.clone(), key: sealed }, &row.name).await?;
        doc.open("AccessKey");
        doc.element("UserName", &row.name);
        doc.element("AccessKeyId", &key.access_key_id);
        doc.element("Status", "Active");
        doc.element("SecretAccessKey", &key.secret);
        doc.element("CreateDate", &time(created_us));
        doc.close("AccessKey");
        Ok(())
    }

    pub(super) fn list_access_keys(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let row = self.named_user()?;
        let mut keys: Vec<_> = row.access_keys.iter().map(|key| (key.access_key_id.clone(), key)).collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        let page = self.page(keys)?;
        doc.element("UserName", &row.name);
        doc.open("AccessKeyMetadata");
        for key in &page.items {
            doc.open("member");
            doc.element("UserName", &row.name);
            doc.element("AccessKeyId", &key.access_key_id);
            doc.element("Status", self.status_of(key));
            doc.element("CreateDate", &time(key.created_us));
            doc.close("member");
        }
        doc.close("AccessKeyMetadata");
        page.end(doc);
        Ok(())
    }

    fn status_of(&self, key: &AccessKeyRow) -> &'static str {
        match key {
            AccessKeyRow { disabled: true, .. } => "Inactive",
            AccessKeyRow { expires_us: Some(end_us), .. } if self.app.now_us() >= *end_us => "Expired",
            _ => "Active",
        }
    }

    pub(super) async fn update_access_key(&self) -> Result<(), ApiError> {
        let row = self.named_user()?;
        let disabled = match self.parameter("Status")? {
            "Active" => false,
            "Inactive" => true,
            _ => return Err(ApiError::validation("Status is Active or Inactive.")),
        };
        let id = self.parameter("AccessKeyId")?;
        let expires_us = row.access_keys.iter().find(|key| key.access_key_id == id).and_then(|key| key.expires_us);
        let op = Op::SetAccessKey { user: row.name, access_key_id: id.to_owned(), disabled, expires_us };
        self.propose(op, id).await
    }

    pub(super) async fn delete_access_key(&self) -> Result<(), ApiError> {
        let row = self.named_user()?;
        let id = self.parameter("AccessKeyId")?;
        self.propose(Op::RemoveAccessKey { user: row.name, access_key_id: id.to_owned() }, id).await
    }
}
