//! GetAccountSummary: what an account holds, and how much it may.

use super::Iam;
use super::document::IamDocument;
use super::groups::GROUPS_MAX;
use super::roles::ROLES_MAX;
use super::users::USERS_MAX;
use crate::admin::users::ACCESS_KEYS_OF_USER_MAX;
use crate::query_api::ApiError;
use crate::s3::xml::XmlWriter;

impl Iam<'_> {
    /// The counts and quotas of what exists here, by AWS's names.
    pub(super) fn get_account_summary(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        let counts = [
            ("Users", self.members()?.len()),
            ("UsersQuota", USERS_MAX),
            ("Groups", account.groups.len()),
            ("GroupsQuota", GROUPS_MAX),
            ("Roles", account.roles.len()),
            ("RolesQuota", ROLES_MAX),
            ("Policies", account.managed.len()),
            ("Providers", account.providers.len()),
            ("AccessKeysPerUserQuota", ACCESS_KEYS_OF_USER_MAX),
            ("MFADevices", 0),
            ("MFADevicesInUse", 0),
            ("AccountMFAEnabled", 0),
        ];
        doc.open("SummaryMap");
        for (key, value) in counts {
            doc.open("entry");
            doc.element("key", key);
            doc.value("value", value);
            doc.close("entry");
        }
        doc.close("SummaryMap");
        Ok(())
    }
}
