//! The signature of a form: over its policy, by the policy's author.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

use super::claim::Scope;
use super::timestamp::Timestamp;
use super::verify::{AuthRules, PRESIGNED_SECONDS_MAX, SKEW_SECONDS_MAX, caller};
use crate::config::FormSignatureV2;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::form::FormFields;
use crate::s3::request::{AuthKind, Caller};

/// Who signed the form's policy; `None` if the form claims nobody.
///
/// # Errors
/// `InvalidArgument` for a claim that lacks a field, `InvalidAccessKeyId`, `SignatureDoesNotMatch`, and
/// what S3 answers to a scope that is not ours.
pub fn authenticate_form(
    fields: &FormFields,
    rules: AuthRules<'_>,
    v2: FormSignatureV2,
) -> Result<Option<Caller>, S3Error> {
    let claims_v2 = fields.get("awsaccesskeyid").is_some() || fields.get("signature").is_some();
    let claims_v4 = ["x-amz-algorithm", "x-amz-credential", "x-amz-signature"].iter().any(|f| fields.get(f).is_some());
    match (claims_v4, claims_v2) {
        (true, false) => version_4(fields, rules).map(Some),
        (false, true) if v2 == FormSignatureV2::Accepted => version_2(fields, rules).map(Some),
        (false, true) => Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )),
        (true, true) => Err(S3Error::invalid_argument("Only one auth mechanism allowed.", "signature", "")),
        (false, false) if fields.get("policy").is_some() => Err(missing("X-Amz-Signature")),
        (false, false) => Ok(None),
    }
}

fn version_4(fields: &FormFields, rules: AuthRules<'_>) -> Result<Caller, S3Error> {
    let field = |shown: &'static str| fields.non_empty(&shown.to_ascii_lowercase()).ok_or_else(|| missing(shown));
    let policy = field("policy")?;
    if field("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(S3Error::invalid_argument(
            "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
            "X-Amz-Algorithm",
            "",
        ));
    }
    let credential = field("X-Amz-Credential")?;
    let malformed = |message: String| S3Error::new(S3ErrorCode::AuthorizationHeaderMalformed, message);
    let scope = Scope::parse(credential).ok_or_else(|| {
        malformed(
            "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".".to_owned(),
        )
    })?;
    let timestamp = Timestamp::parse(field("X-Amz-Date")?).ok_or_else(|| {
        S3Error::invalid_argument(
            "X-Amz-Date must be formated via ISO8601 Long format",
            "X-Amz-Date",
            fields.get("x-amz-date").unwrap_or(""),
        )
    })?;
    if scope.date != timestamp.date() || scope.service != "s3" {
        return Err(malformed("The credential scope is not of X-Amz-Date and of the service 's3'.".to_owned()));
    }
    if scope.region != rules.region && !rules.region_aliases.iter().any(|alias| alias == scope.region) {
        let message = format!("the region '{}' is wrong; expecting '{}'", scope.region, rules.region);
        return Err(malformed(message).with_detail("Region", rules.region));
    }
    let age = rules.now_seconds - timestamp.unix_seconds();
    if age < -SKEW_SECONDS_MAX || age > i64::from(PRESIGNED_SECONDS_MAX) {
        return Err(S3Error::of(S3ErrorCode::RequestTimeTooSkewed));
    }
    let identity = rules.identity(scope.access_key_id, fields.non_empty("x-amz-security-token"))?;
    let key = rules.signing_keys.key(
        scope.access_key_id,
        identity.secret(),
        &format!("{}/{}/{}/aws4_request", scope.date, scope.region, scope.service),
        timestamp.system_time(),
        scope.region,
        scope.service,
    );
    let signature = field("X-Amz-Signature")?;
    let holds = bool::from(key.sign(policy.as_bytes()).as_bytes().ct_eq(signature.as_bytes()));
    if holds { Ok(caller(&identity, AuthKind::PostPolicy)) } else { Err(mismatch(scope.access_key_id)) }
}

/// Forms in the field are signed with version 2 still: the policy alone, by HMAC-SHA1 of the secret.
fn version_2(fields: &FormFields, rules: AuthRules<'_>) -> Result<Caller, S3Error> {
    let field = |shown: &'static str| fields.non_empty(&shown.to_ascii_lowercase()).ok_or_else(|| missing(shown));
    let (access_key_id, signature, policy) = (field("AWSAccessKeyId")?, field("signature")?, field("policy")?);
    let identity = rules.identity(access_key_id, fields.non_empty("x-amz-security-token"))?;
    let ours = hmac_sha1(identity.secret().as_bytes(), policy.as_bytes());
    let theirs = BASE64.decode(signature.trim()).unwrap_or_default();
    let holds = bool::from(ours.as_slice().ct_eq(theirs.as_slice()));
    if holds { Ok(caller(&identity, AuthKind::PostPolicy)) } else { Err(mismatch(access_key_id)) }
}

/// RFC 2104 over SHA-1, which as a MAC is unbroken.
fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    const BLOCK: usize = 64;
    let mut block = zeroize::Zeroizing::new([0; BLOCK]);
    if key.len() > BLOCK {
        block[..20].copy_from_slice(&Sha1::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |byte: u8| zeroize::Zeroizing::new(block.map(|b| b ^ byte));
    let inner = Sha1::new().chain_update(*padded(0x36)).chain_update(message).finalize();
    Sha1::new().chain_update(*padded(0x5c)).chain_update(inner).finalize().into()
}

fn missing(field: &'static str) -> S3Error {
    let message = format!(
        "Bucket POST must contain a field named '{field}'.  If it is specified, please check the order of the fields."
    );
    S3Error::invalid_argument(message, field, "")
}

fn mismatch(access_key_id: &str) -> S3Error {
    S3Error::of(S3ErrorCode::SignatureDoesNotMatch).with_detail("AWSAccessKeyId", access_key_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, test cases 1, 2 and 6.
    #[test]
    fn hmac_sha1_is_that_of_the_rfc() {
        let hex = |key: &[u8], text: &[u8]| hex::encode(hmac_sha1(key, text));
        assert_eq!(hex(&[0x0b; 20], b"Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00");
        assert_eq!(hex(b"Jefe", b"what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hex(&[0xaa; 80], long), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }
}
