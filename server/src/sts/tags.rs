//! Session tags and source identities: what a session brings to policies beside who it is.
//!
//! They are given with AssumeRole, or by the issuer's token, and every one needs a permission of its own:
//! `sts:TagSession`, `sts:SetSourceIdentity`. A role that assumes a role passes on its transitive tags and its
//! source identity, and changes neither.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html>

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::jwt::Jwt;
use crate::iam::members;
use crate::query_api::{ApiError, CallContext};
use crate::s3::request::Query;
use crate::s3::tags::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, is_allowed};

/// Most tags of a session, those that it inherits included.
const TAGS_MAX: usize = 50;
/// Most characters of all its tags together: they travel in its token with every request.
const TAGS_CHARS_MAX: usize = 4096;
/// The bounds of a source identity.
const SOURCE_IDENTITY_LEN: RangeInclusive<usize> = 2..=64;
/// The claims by which an issuer gives them.
const TAGS_CLAIM: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY_CLAIM: &str = "https://aws.amazon.com/source_identity";

/// What a session brings to policies. No two keys of its tags differ by case alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionTags {
    tags: BTreeMap<String, String>,
    /// Keys, in lower case, of tags that sessions inherit which are come by with this one.
    transitive: BTreeSet<String>,
    source_identity: Option<String>,
}

impl SessionTags {
    /// What the form of AssumeRole asks for.
    ///
    /// # Errors
    /// `ValidationError`, `InvalidParameterValue`, `PackedPolicyTooLarge`.
    pub(super) fn asked(form: &Query) -> Result<Self, ApiError> {
        let keys = members(form, "Tags", ".Key");
        // A list with a gap would lose what is after it.
        let sent = |start: &str, end: &str| {
            form.iter().filter(|(name, _)| name.starts_with(start) && name.ends_with(end)).count()
        };
        let transitive = members(form, "TransitiveTagKeys", "");
        if sent("Tags.", "") != sent("Tags.", ".Key") + sent("Tags.", ".Value")
            || sent("Tags.", ".Key") != keys.len()
            || sent("Tags.", ".Value") > keys.len()
            || sent("TransitiveTagKeys.", "") != transitive.len()
        {
            return Err(ApiError::validation("Tags and TransitiveTagKeys are numbered from 1 on; each tag has a key."));
        }
        let value = |at: usize| form.get(&format!("Tags.member.{}.Value", at + 1)).unwrap_or_default();
        let tags = keys.iter().enumerate().map(|(at, key)| ((*key).to_owned(), value(at).to_owned()));
        Self::checked(tags, &transitive, form.non_empty("SourceIdentity"))
    }

    /// What the issuer's token gives.
    ///
    /// # Errors
    /// As for AssumeRole, and `InvalidIdentityToken` for claims of another form.
    pub(super) fn claimed(jwt: &Jwt<'_>) -> Result<Self, ApiError> {
        let malformed = || ApiError::new(400, "InvalidIdentityToken", "The claim of session tags is not understood");
        let source_identity = match jwt.claim(SOURCE_IDENTITY_CLAIM) {
            None => None,
            Some(Value::String(name)) => Some(name.as_str()),
            Some(_) => return Err(malformed()),
        };
        let claim = jwt.claim(TAGS_CLAIM);
        let (mut tags, mut transitive) = (Vec::new(), Vec::new());
        if let Some(claim) = claim {
            let named = claim.get("principal_tags").and_then(Value::as_object).ok_or_else(malformed)?;
            for (key, value) in named {
                tags.push((key.clone(), one_text(value).ok_or_else(malformed)?.to_owned()));
            }
            let keys = match claim.get("transitive_tag_keys") {
                None => &[][..],
                Some(keys) => keys.as_array().ok_or_else(malformed)?,
            };
            for key in keys {
                transitive.push(key.as_str().ok_or_else(malformed)?);
            }
        }
        Self::checked(tags.into_iter(), &transitive, source_identity)
    }

    fn checked(
        list: impl Iterator<Item = (String, String)>,
        transitive: &[&str],
        source_identity: Option<&str>,
    ) -> Result<Self, ApiError> {
        let mut this = Self::default();
        let mut seen = BTreeSet::new();
        for (key, value) in list {
            let fits = |text: &str, most: usize| text.chars().count() <= most && text.chars().all(is_allowed);
            let reserved = key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
            if key.is_empty() || reserved || !fits(&key, TAG_KEY_CHARS_MAX) || !fits(&value, TAG_VALUE_CHARS_MAX) {
                return Err(ApiError::validation("A session tag has a key or a value that is none."));
            }
            if !seen.insert(key.to_lowercase()) {
                return Err(wrong("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
            }
            this.tags.insert(key, value);
        }
        this.transitive = transitive.iter().map(|key| key.to_lowercase()).collect();
        if !this.transitive.is_subset(&seen) {
            return Err(wrong("The set of transitive tag keys must be a subset of the passed session tags."));
        }
        this.source_identity = source_identity.map(checked_identity).transpose()?;
        this.check_sizes()?;
        Ok(this)
    }

    /// Adds what a session hands on to those that are come by with it.
    ///
    /// # Errors
    /// `InvalidParameterValue` if a tag was asked for that is inherited, `AccessDenied` if another source
    /// identity was; the limits'.
    pub(super) fn inherit(mut self, from: &Self) -> Result<Self, ApiError> {
        for (key, value) in from.tags.iter().filter(|(key, _)| from.transitive.contains(&key.to_lowercase())) {
            if self.get(key).is_some() {
                return Err(wrong(
                    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag \
                     key from the calling session.",
                ));
            }
            self.tags.insert(key.clone(), value.clone());
            self.transitive.insert(key.to_lowercase());
        }
        if let Some(inherited) = &from.source_identity {
            if self.source_identity.as_ref().is_some_and(|asked| asked != inherited) {
                return Err(ApiError::new(403, "AccessDenied", "The source identity of a session cannot be changed."));
            }
            self.source_identity = Some(inherited.clone());
        }
        self.check_sizes()?;
        Ok(self)
    }

    fn check_sizes(&self) -> Result<(), ApiError> {
        if self.tags.len() > TAGS_MAX {
            return Err(ApiError::validation("A session has at most 50 tags."));
        }
        if self.chars() > TAGS_CHARS_MAX {
            return Err(ApiError::new(400, "PackedPolicyTooLarge", "The session tags are over 4096 characters."));
        }
        Ok(())
    }

    /// The characters of its tags.
    pub(super) fn chars(&self) -> usize {
        self.tags.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum()
    }

    /// What must be allowed beside assuming the role.
    pub(super) fn actions(&self) -> impl Iterator<Item = &'static str> {
        let tags = (!self.tags.is_empty()).then_some("sts:TagSession");
        tags.into_iter().chain(self.source_identity.is_some().then_some("sts:SetSourceIdentity"))
    }

    /// Adds what conditions on the request see of it.
    pub(super) fn see<'r>(&self, mut context: CallContext<'r>) -> CallContext<'r> {
        for (key, value) in &self.tags {
            context = context.with(format!("aws:requesttag/{key}"), [value.as_str()]);
        }
        context
            .with("aws:tagkeys", self.tags.keys().map(String::as_str))
            .with("sts:transitivetagkeys", self.transitive.iter().map(String::as_str))
            .with("sts:sourceidentity", self.source_identity.as_deref())
    }

    /// `aws:PrincipalTag/KEY`; keys of session tags have no case.
    pub fn get(&self, key: &str) -> Option<&str> {
        let lower = key.to_lowercase();
        self.tags.iter().find(|(known, _)| known.to_lowercase() == lower).map(|(_, value)| value.as_str())
    }

    /// `aws:SourceIdentity`.
    pub fn source_identity(&self) -> Option<&str> {
        self.source_identity.as_deref()
    }
}

fn checked_identity(name: &str) -> Result<String, ApiError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if SOURCE_IDENTITY_LEN.contains(&name.len()) && name.bytes().all(good) {
        return Ok(name.to_owned());
    }
    Err(ApiError::validation("SourceIdentity is 2 to 64 letters, digits and _+=,.@-"))
}

/// The text of a claim that is one, or a list of one.
fn one_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(list) => list.first().filter(|_| list.len() == 1)?.as_str(),
        _ => None,
    }
}

fn wrong(message: &str) -> ApiError {
    ApiError::new(400, "InvalidParameterValue", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &[(&str, &str)], transitive: &[&str], source: Option<&str>) -> Result<SessionTags, ApiError> {
        let list = list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        SessionTags::checked(list, transitive, source)
    }

    #[test]
    fn keys_have_no_case_and_transitive_ones_are_inherited() {
        let first = tags(&[("Team", "blue"), ("Cost", "7")], &["TEAM"], Some("ann@example")).unwrap();
        assert_eq!((first.get("team"), first.get("COST"), first.get("x")), (Some("blue"), Some("7"), None));
        let second = tags(&[("cost", "8")], &[], None).unwrap().inherit(&first).unwrap();
        assert_eq!((second.get("Team"), second.get("Cost")), (Some("blue"), Some("8")));
        assert_eq!(second.source_identity(), Some("ann@example"));
        // And on from there.
        let third = SessionTags::default().inherit(&second).unwrap();
        assert_eq!((third.get("Team"), third.get("Cost")), (Some("blue"), None));
        assert_eq!(third.actions().collect::<Vec<_>>(), ["sts:TagSession", "sts:SetSourceIdentity"]);
        assert!(tags(&[("tEAM", "red")], &[], None).unwrap().inherit(&first).is_err());
        assert!(tags(&[], &[], Some("ben@example")).unwrap().inherit(&first).is_err());
        assert!(tags(&[], &[], Some("ann@example")).unwrap().inherit(&first).is_ok());
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let long = "a".repeat(129);
        for bad in
            [("", "v"), ("aws:x", "v"), ("AWS:x", "v"), ("k*", "v"), ("k", "<"), (long.as_str(), "v"), ("k\n", "v")]
        {
            assert!(tags(&[bad], &[], None).is_err(), "{bad:?}");
        }
        assert!(tags(&[("k", &"v".repeat(257))], &[], None).is_err());
        assert!(tags(&[("k", ""), ("\u{e9} _.:/=+-@", "v")], &[], None).is_ok());
        assert!(tags(&[("k", "1"), ("K", "2")], &[], None).is_err());
        assert!(tags(&[("k", "1")], &["l"], None).is_err());
        let many: Vec<(String, String)> = (0..51).map(|n| (format!("k{n}"), String::new())).collect();
        assert!(SessionTags::checked(many.clone().into_iter(), &[], None).is_err());
        assert!(SessionTags::checked(many.into_iter().take(50), &[], None).is_ok());
        let wide = (0..17).map(|n| (format!("k{n}"), "v".repeat(256)));
        assert!(SessionTags::checked(wide, &[], None).is_err());
        for bad in ["a", "a b", "\u{e9}\u{e9}", &"a".repeat(65)] {
            assert!(tags(&[], &[], Some(bad)).is_err(), "{bad}");
        }
    }
}
