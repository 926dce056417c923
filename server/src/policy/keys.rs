//! Every condition key that a policy may name.
//!
//! Keys are compared without case; what follows a slash (the key of a tag) is compared with it. A key
//! that is not here is refused when a policy is stored, so that no condition silently never holds.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html> and
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

/// The key as it is looked up: lower case up to the slash; `None` if no such key exists here.
pub fn canonical(key: &str) -> Option<String> {
    let (name, tag) = match key.split_once('/') {
        None => (key, None),
        Some((name, tag)) => (name, Some(tag)),
    };
    let name = name.to_ascii_lowercase();
    match tag {
        None => KEYS.contains(&name.as_str()).then_some(name),
        Some("") => None,
        Some(tag) => TAG_KEYS.contains(&name.as_str()).then(|| format!("{name}/{tag}")),
    }
}

/// A claim of an identity provider's token, `idp.example/realm:sub`, as it is looked up: lower case.
///
/// Only trust policies have them, and only claims that this server passes on.
pub fn federated(key: &str) -> Option<String> {
    let (issuer, claim) = key.rsplit_once(':')?;
    let claim = FEDERATED_CLAIMS.iter().find(|known| claim.eq_ignore_ascii_case(known))?;
    let is_service = issuer.eq_ignore_ascii_case("aws") || issuer.eq_ignore_ascii_case("s3");
    (!issuer.is_empty() && !is_service).then(|| format!("{}:{claim}", issuer.to_ascii_lowercase()))
}

/// Claims of a web identity that conditions may ask for.
pub const FEDERATED_CLAIMS: [&str; 5] = ["amr", "aud", "azp", "email", "sub"];

/// Keys with the key of a tag behind a slash.
const TAG_KEYS: [&str; 7] = [
    "aws:principaltag",
    "aws:requesttag",
    "aws:resourcetag",
    "s3:buckettag",
    "s3:existingobjecttag",
    "s3:requestobjecttag",
    "s3:resourcetag",
];

/// Keys without. VPC keys are missing on purpose: there is no such network here, and a condition on one
/// would never hold.
const KEYS: [&str; 82] = [
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:currenttime",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:rolesessionname",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "iam:policyarn",
    "s3:accessgrantsinstancearn",
    "s3:authtype",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:delimiter",
    "s3:destinationregion",
    "s3:existingjoboperation",
    "s3:existingjobpriority",
    "s3:if-match",
    "s3:if-none-match",
    "s3:inventoryaccessibleoptionalfields",
    "s3:jobsuspendedcause",
    "s3:locationconstraint",
    "s3:max-keys",
    "s3:object-lock-legal-hold",
    "s3:object-lock-mode",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-retain-until-date",
    "s3:objectcreationoperation",
    "s3:prefix",
    "s3:requestjoboperation",
    "s3:requestobjecttagkeys",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:tlsversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-object-ownership",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location",
    "sts:authentication",
    "sts:externalid",
    "sts:rolesessionname",
    "sts:sourceidentity",
    "sts:transitivetagkeys",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_case_and_tags_keep_theirs() {
        assert_eq!(canonical("AWS:SourceIP").as_deref(), Some("aws:sourceip"));
        assert_eq!(canonical("s3:ExistingObjectTag/Dept").as_deref(), Some("s3:existingobjecttag/Dept"));
        for bad in [
            "aws:SourceVpc",
            "aws:SourceVpce",
            "aws:VpcSourceIp",
            "s3:nothing",
            "s3:prefix/x",
            "s3:RequestObjectTag",
            "s3:RequestObjectTag/",
            "",
        ] {
            assert_eq!(canonical(bad), None, "{bad}");
        }
        assert!(KEYS.is_sorted() && TAG_KEYS.is_sorted());
    }

    #[test]
    fn claims_of_providers_have_keys() {
        assert_eq!(federated("idp.example/Realm:SUB").as_deref(), Some("idp.example/realm:sub"));
        assert_eq!(federated("127.0.0.1:8443:aud").as_deref(), Some("127.0.0.1:8443:aud"));
        for bad in ["idp.example:groups", "aws:sub", "sub", ":sub", ""] {
            assert_eq!(federated(bad), None, "{bad}");
        }
    }
}
