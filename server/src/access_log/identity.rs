//! Who asked, and over what: in the words of AWS's logs.

use crate::s3::request::{AuthKind, Caller};

/// What a request proved. Empty texts are unknown.
#[derive(Default)]
pub(super) struct Proved {
    /// The canonical id of an account, the ARN of its member; empty for nobody.
    pub(super) requester: String,
    pub(super) signature_version: &'static str,
    pub(super) authentication_type: &'static str,
}

impl Proved {
    pub(super) fn of(caller: &Caller) -> Self {
        let (signature_version, authentication_type) = match caller.auth_kind {
            AuthKind::SigV4 => ("SigV4", "AuthHeader"),
            AuthKind::SigV4Presigned => ("SigV4", "QueryString"),
            AuthKind::PostPolicy if !caller.user_id.is_empty() => ("", ""),
            AuthKind::PostPolicy | AuthKind::Anonymous | AuthKind::Internal => return Self::default(),
        };
        let principal = &caller.standing.principal;
        let requester = if principal.is_account { caller.user_id.to_string() } else { principal.arn.clone() };
        Self { requester, signature_version, authentication_type }
    }
}

/// A version of TLS; empty without TLS.
pub(super) fn tls_name(version: Option<&'static str>) -> String {
    version.map(|version| format!("TLSv{version}")).unwrap_or_default()
}

/// A cipher suite under the name that OpenSSL, and so AWS, has for it; empty without TLS.
pub(super) fn cipher_name(suite: Option<&'static str>) -> String {
    suite.map(openssl_name).unwrap_or_default()
}

fn openssl_name(suite: &'static str) -> String {
    if let Some(rest) = suite.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let rest = suite.strip_prefix("TLS_").unwrap_or(suite);
    rest.replace("_WITH_", "-").replace("AES_", "AES").replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_suites_have_openssls_names() {
        assert_eq!(openssl_name("TLS13_AES_256_GCM_SHA384"), "TLS_AES_256_GCM_SHA384");
        assert_eq!(openssl_name("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), "ECDHE-ECDSA-AES128-GCM-SHA256");
    }
}
