//! Providers of identities: whose OpenID Connect tokens an account believes, and for whom they are meant.

use std::collections::BTreeSet;

use super::document::{IamDocument, Provider};
use super::{Iam, members, time};
use crate::identity::accounts::{provider_arn, provider_key};
use crate::query_api::ApiError;
use crate::s3::xml::XmlWriter;
use crate::sts::issuer::IssuerUrl;

/// Most providers of one account.
const PROVIDERS_MAX: usize = 100;
/// Most audiences of one provider.
const CLIENT_IDS_MAX: usize = 100;
/// Longest audience.
const CLIENT_ID_LEN_MAX: usize = 255;
/// Most thumbprints of one provider, and the length of each: SHA-1 in hexadecimal. That it is hexadecimal nobody asks, as
/// on AWS: nothing is compared with it.
const THUMBPRINTS_MAX: usize = 5;
const THUMBPRINT_LEN: usize = 40;

impl Iam<'_> {
    pub(super) async fn create_provider(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let url = self.parameter("Url")?;
        IssuerUrl::parse(url, self.app.config.trusts_local_issuers()).map_err(|error| {
            ApiError::new(400, "InvalidInput", format!("Invalid Open ID Connect Provider URL: {error}"))
        })?;
        let client_ids = members(self.form, "ClientIDList", "");
        client_ids.iter().try_for_each(|id| check_client_id(id))?;
        let provider = Provider {
            url: url.to_owned(),
            created_us: self.app.now_us(),
            client_ids: client_ids.into_iter().map(str::to_owned).collect(),
            thumbprints: self.thumbprints()?,
        };
        if provider.client_ids.len() > CLIENT_IDS_MAX {
            return Err(ApiError::limit("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"));
        }
        let key = provider_key(url).to_owned();
        let arn = provider_arn(&self.account_number(), &key);
        self.change(&self.account_row()?, |document| {
            if document.providers.contains_key(&key) {
                return Err(ApiError::exists("Provider", url));
            }
            if document.providers.len() >= PROVIDERS_MAX {
                return Err(ApiError::limit("Cannot exceed quota for OpenIdConnectProvidersPerAccount: 100"));
            }
            document.providers.insert(key, provider);
            Ok(())
        })
        .await?;
        doc.element("OpenIDConnectProviderArn", &arn);
        Ok(())
    }

    pub(super) fn get_provider(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        let key = self.provider_key()?;
        let provider = account.providers.get(key).ok_or_else(|| no_such(key))?;
        // Without its scheme, as on AWS.
        doc.element("Url", provider_key(&provider.url));
        doc.open("ClientIDList");
        provider.client_ids.iter().for_each(|id| doc.element("member", id));
        doc.close("ClientIDList");
        doc.open("ThumbprintList");
        provider.thumbprints.iter().for_each(|thumbprint| doc.element("member", thumbprint));
        doc.close("ThumbprintList");
        doc.element("CreateDate", &time(provider.created_us));
        Ok(())
    }

    pub(super) fn list_providers(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        doc.open("OpenIDConnectProviderList");
        for key in account.providers.keys() {
            doc.open("member");
            doc.element("Arn", &provider_arn(&self.account_number(), key));
            doc.close("member");
        }
        doc.close("OpenIDConnectProviderList");
        Ok(())
    }

    pub(super) async fn add_client_id(&self) -> Result<(), ApiError> {
        let id = self.parameter("ClientID")?;
        check_client_id(id)?;
        self.change_provider(|provider| {
            provider.client_ids.insert(id.to_owned());
            match provider.client_ids.len() <= CLIENT_IDS_MAX {
                true => Ok(()),
                false => Err(ApiError::limit("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100")),
            }
        })
        .await
    }

    pub(super) async fn remove_client_id(&self) -> Result<(), ApiError> {
        let id = self.parameter("ClientID")?;
        self.change_provider(|provider| {
            provider.client_ids.remove(id);
            Ok(())
        })
        .await
    }

    pub(super) async fn update_thumbprints(&self) -> Result<(), ApiError> {
        let thumbprints = self.thumbprints()?;
        self.change_provider(|provider| {
            provider.thumbprints = thumbprints;
            Ok(())
        })
        .await
    }

    pub(super) async fn delete_provider(&self) -> Result<(), ApiError> {
        let key = self.provider_key()?.to_owned();
        self.change(&self.account_row()?, |document| {
            document.providers.remove(&key).map(drop).ok_or_else(|| no_such(&key))
        })
        .await
    }

    fn thumbprints(&self) -> Result<Vec<String>, ApiError> {
        let list: BTreeSet<&str> = members(self.form, "ThumbprintList", "").into_iter().collect();
        let good = |text: &&str| text.len() == THUMBPRINT_LEN && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if list.len() > THUMBPRINTS_MAX || !list.iter().all(good) {
            return Err(ApiError::new(400, "InvalidInput", "Thumbprints are up to 5 texts of 40 letters and digits."));
        }
        Ok(list.into_iter().map(str::to_owned).collect())
    }

    /// The URL without scheme in the ARN that the request names.
    fn provider_key(&self) -> Result<&str, ApiError> {
        let arn = self.parameter("OpenIDConnectProviderArn")?;
        let prefix = provider_arn(&self.account_number(), "");
        arn.strip_prefix(&prefix).ok_or_else(|| no_such(arn))
    }

    async fn change_provider(
        &self,
        change: impl FnOnce(&mut Provider) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let key = self.provider_key()?;
        self.change(&self.account_row()?, |document| {
            change(document.providers.get_mut(key).ok_or_else(|| no_such(key))?)
        })
        .await
    }
}

fn check_client_id(id: &str) -> Result<(), ApiError> {
    if (1..=CLIENT_ID_LEN_MAX).contains(&id.len()) {
        return Ok(());
    }
    Err(ApiError::new(400, "InvalidInput", "A client id is 1 to 255 bytes."))
}

fn no_such(name: &str) -> ApiError {
    ApiError::new(404, "NoSuchEntity", format!("OpenIDConnect Provider not found for arn {name}"))
}
