//! CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser.

use chartrier_storage::namespace::command::Op;
use chartrier_storage::namespace::rows::UserRow;

use super::document::IamDocument;
use super::{Iam, folded, rooted, time};
use crate::access::standing::{unique_id, user_arn};
use crate::query_api::ApiError;
use crate::s3::xml::XmlWriter;

/// Most users of one account.
pub(super) const USERS_MAX: usize = 5000;

impl Iam<'_> {
    pub(super) async fn create_user(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let name = self.name("UserName")?;
        if self.app.engine.user(name)?.is_some() {
            return Err(ApiError::exists("User", name));
        }
        let members = self.members()?;
        // Names that differ by case alone are the same, as on AWS.
        if members.iter().any(|row| row.name.eq_ignore_ascii_case(name)) {
            return Err(ApiError::exists("User", name));
        }
        if members.len() >= USERS_MAX {
            return Err(ApiError::limit("Cannot exceed quota for UsersPerAccount."));
        }
        let document = IamDocument { path: self.path()?, ..IamDocument::default() };
        let row = UserRow {
            id: hex::encode(self.app.random_bytes::<32>()),
            name: name.to_owned(),
            display_name: name.to_owned(),
            email: String::new(),
            root: false,
            created_us: self.app.now_us(),
            access_keys: Vec::new(),
            account: self.account().to_owned(),
            document: document.to_stored(),
        };
        self.propose(Op::CreateUser(Box::new(row.clone())), name).await?;
        self.write_user(doc, "User", &row)
    }

    pub(super) fn get_user(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let row = self.named_user()?;
        let standing = &self.caller.standing;
        if standing.principal.is_account && !self.form.contains("UserName") {
            // An account that asks for itself is its root, as to STS and to policies.
            return self.write_named(doc, "User", &row, &standing.principal.arn);
        }
        self.write_user(doc, "User", &row)
    }

    pub(super) fn list_users(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let prefix = self.form.non_empty("PathPrefix").unwrap_or("/");
        let mut users = Vec::new();
        for row in self.members()? {
            if path_of(&row)?.starts_with(prefix) {
                users.push((folded(&row.name), row));
            }
        }
        let page = self.page(users)?;
        doc.open("Users");
        for row in &page.items {
            self.write_user(doc, "member", row)?;
        }
        doc.close("Users");
        page.end(doc);
        Ok(())
    }

    /// Gives a user another name, another path, or both. Its id, keys, policies and groups stay, and policies that name
    /// it mean it still. Who may, may so for the ARN that it had and the one that it gets.
    pub(super) async fn update_user(&self) -> Result<(), ApiError> {
        let row = self.user(self.name("UserName")?)?;
        let new_name = self.new_name("NewUserName")?.filter(|name| *name != row.name);
        let new_path = self.new_path()?;
        if new_name.is_none() && new_path.is_none() {
            return Ok(());
        }
        if row.account.is_empty() {
            return Err(ApiError::conflict("An account has no path, and keeps its name."));
        }
        let mut document = IamDocument::from_stored(&row.document)?;
        document.path = new_path.unwrap_or(document.path);
        let name = new_name.unwrap_or(&row.name);
        self.permit("UpdateUser", &user_arn(&self.account_number(), rooted(&document.path), name))?;
        let taken = |other: &UserRow| other.id != row.id && other.name.eq_ignore_ascii_case(name);
        if new_name.is_some() && (self.members()?.iter().any(taken) || self.app.engine.user(name)?.is_some()) {
            return Err(ApiError::exists("User", name));
        }
        let op = Op::RenameUser {
            user: row.name.clone(),
            new_name: name.to_owned(),
            expected_digest: *blake3::hash(&row.document).as_bytes(),
            document: document.to_stored(),
        };
        self.propose(op, name).await
    }

    pub(super) async fn delete_user(&self) -> Result<(), ApiError> {
        let row = self.user(self.name("UserName")?)?;
        let document = IamDocument::from_stored(&row.document)?;
        if row.account.is_empty() {
            return Err(ApiError::conflict("An account is removed by its administrator."));
        }
        if !row.access_keys.is_empty() {
            return Err(ApiError::conflict("Cannot delete entity, must delete access keys first."));
        }
        if document.has_policies() {
            return Err(ApiError::conflict("Cannot delete entity, must delete policies first."));
        }
        let account = self.account_row()?;
        if IamDocument::from_stored(&account.document)?.groups.values().any(|group| group.members.contains(&row.id)) {
            return Err(ApiError::conflict("Cannot delete entity, must remove users from group first."));
        }
        self.propose(Op::RemoveUser { name: row.name.clone() }, &row.name).await
    }

    /// Users of the account, by name.
    pub(super) fn members(&self) -> Result<Vec<UserRow>, ApiError> {
        let mut rows = self.app.engine.users()?;
        rows.retain(|row| row.account == *self.account());
        rows.sort_by_cached_key(|row| folded(&row.name));
        Ok(rows)
    }

    pub(super) fn write_user(&self, doc: &mut XmlWriter, element: &str, row: &UserRow) -> Result<(), ApiError> {
        let arn = user_arn(&self.account_number(), &path_of(row)?, &row.name);
        self.write_named(doc, element, row, &arn)
    }

    fn write_named(&self, doc: &mut XmlWriter, element: &str, row: &UserRow, arn: &str) -> Result<(), ApiError> {
        let path = path_of(row)?;
        doc.open(element);
        doc.element("Path", &path);
        doc.element("UserName", &row.name);
        doc.element("UserId", &unique_id(&row.id));
        doc.element("Arn", arn);
        doc.element("CreateDate", &time(row.created_us));
        doc.close(element);
        Ok(())
    }
}

fn path_of(row: &UserRow) -> Result<String, ApiError> {
    Ok(rooted(&IamDocument::from_stored(&row.document)?.path).to_owned())
}
