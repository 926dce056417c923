//! The policy of a form: what its author signed that others may post.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::FormFields;
use crate::s3::error::{S3Error, S3ErrorCode};

/// Least and most bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LengthRange {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

/// A parsed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    expires_unix_s: i64,
    conditions: Vec<Condition>,
    length: Option<LengthRange>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    test: Test,
    /// In lower case, without `$`.
    field: String,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Eq,
    StartsWith,
}

/// Fields that need no condition.
const FREE: [&str; 5] = ["awsaccesskeyid", "file", "policy", "signature", "x-amz-signature"];
/// How more of them begin. A checksum asks for nothing: it can only make a damaged upload fail.
const FREE_FAMILIES: [&str; 2] = ["x-ignore-", "x-amz-checksum-"];

impl Policy {
    /// Reads the document, base64 already taken off.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`, saying what is wrong.
    pub fn parse(document: &[u8]) -> Result<Self, S3Error> {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(document) else {
            return Err(invalid("Invalid JSON."));
        };
        let expiration = members.remove("expiration").ok_or_else(|| invalid("Policy missing expiration."))?;
        let conditions = members.remove("conditions").ok_or_else(|| invalid("Policy missing conditions."))?;
        if let Some(name) = members.keys().next() {
            return Err(invalid(format!("Unexpected: '{name}'.")));
        }
        let expires_unix_s = expiration
            .as_str()
            // The RFC lets a space stand for the T; ISO 8601, which AWS names, does not.
            .filter(|text| text.contains('T'))
            .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
            .ok_or_else(|| invalid(format!("Invalid 'expiration' value: {expiration}")))?
            .unix_timestamp();
        let Value::Array(conditions) = conditions else {
            return Err(invalid("Invalid 'conditions' value: must be a List."));
        };
        let mut policy = Self { expires_unix_s, conditions: Vec::new(), length: None };
        for condition in conditions {
            match condition {
                Value::Object(pairs) => policy.add_simple(pairs)?,
                Value::Array(items) => policy.add_list(&items)?,
                _ => return Err(invalid("Invalid Condition: must be a List or a Map.")),
            }
        }
        Ok(policy)
    }

    /// The range that the file's length must keep to.
    pub fn length(&self) -> Option<LengthRange> {
        self.length
    }

    /// Holds the fields of a form, posted to `bucket`, against the policy.
    ///
    /// # Errors
    /// `AccessDenied` in AWS's words: expired, a condition that fails, a field that no condition is about.
    pub fn check(&self, fields: &FormFields, bucket: &str, now_unix_s: i64) -> Result<(), S3Error> {
        if now_unix_s > self.expires_unix_s {
            return Err(denied("Policy expired."));
        }
        for condition in &self.conditions {
            let value = if condition.field == "bucket" { Some(bucket) } else { fields.get(&condition.field) };
            // "Any value" is written as a beginning of nothing, and no value is one.
            let value = value.or((condition.test == Test::StartsWith).then_some(""));
            if !value.is_some_and(|value| condition.holds(value)) {
                return Err(denied(format!("Policy Condition failed: {}", condition.text())));
            }
        }
        let is_free = |name: &str| FREE.contains(&name) || FREE_FAMILIES.iter().any(|family| name.starts_with(family));
        let is_named = |name: &str| self.conditions.iter().any(|condition| condition.field == name);
        // The bucket is a field of every form: its address holds it. A policy that names none would be
        // good for every bucket of who signed it.
        let names = fields.iter().map(|(name, _)| name).filter(|name| *name != "bucket").chain(["bucket"]);
        let mut extra: Vec<&str> = names.filter(|name| !is_free(name) && !is_named(name)).collect();
        if extra.is_empty() {
            return Ok(());
        }
        extra.sort_unstable();
        Err(denied(format!("Extra input fields: {}", extra.join(", "))))
    }

    fn add_simple(&mut self, pairs: serde_json::Map<String, Value>) -> Result<(), S3Error> {
        if pairs.len() != 1 {
            return Err(invalid(
                "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
            ));
        }
        for (name, value) in pairs {
            let value = text_of(&value).ok_or_else(|| invalid("Invalid Simple-Condition: value must be a string."))?;
            self.conditions.push(Condition { test: Test::Eq, field: name.to_ascii_lowercase(), value });
        }
        Ok(())
    }

    fn add_list(&mut self, items: &[Value]) -> Result<(), S3Error> {
        let wrong = || invalid("Invalid Condition: wrong number of arguments.");
        let [operator, first, second] = items else { return Err(wrong()) };
        let operator = operator.as_str().ok_or_else(|| invalid("Invalid Condition: unknown operation."))?;
        let test = match operator.to_ascii_lowercase().as_str() {
            "eq" => Test::Eq,
            "starts-with" => Test::StartsWith,
            "content-length-range" => {
                let number = |value: &Value| {
                    let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                    number.ok_or_else(|| invalid("Invalid Content-Length-Range: not a length."))
                };
                let range = LengthRange { min: number(first)?, max: number(second)? };
                if range.min > range.max {
                    return Err(invalid("Invalid Content-Length-Range: the least is over the most."));
                }
                // Two ranges hold together where they overlap.
                self.length = Some(match self.length {
                    None => range,
                    Some(other) => LengthRange { min: range.min.max(other.min), max: range.max.min(other.max) },
                });
                return Ok(());
            }
            other => return Err(invalid(format!("Invalid Condition: unknown operation '{other}'."))),
        };
        let field = first.as_str().and_then(|name| name.strip_prefix('$'));
        let field = field.ok_or_else(|| invalid("Invalid Condition: a field is named with '$'."))?.to_ascii_lowercase();
        let value = text_of(second).ok_or_else(|| invalid("Invalid Condition: value must be a string."))?;
        self.conditions.push(Condition { test, field, value });
        Ok(())
    }
}

impl Condition {
    fn holds(&self, value: &str) -> bool {
        match self.test {
            Test::Eq => value == self.value,
            // Several types in one field must each begin as the policy says.
            Test::StartsWith if self.field == "content-type" => {
                value.split(',').all(|one| one.trim().starts_with(&self.value))
            }
            Test::StartsWith => value.starts_with(&self.value),
        }
    }

    /// As AWS writes it.
    fn text(&self) -> String {
        let test = match self.test {
            Test::Eq => "eq",
            Test::StartsWith => "starts-with",
        };
        format!("[\"{test}\", \"${}\", \"{}\"]", self.field, self.value)
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // Policies made by hand write the status as a number.
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn invalid(what: impl std::fmt::Display) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidPolicyDocument, format!("Invalid Policy: {what}"))
}

fn denied(what: impl std::fmt::Display) -> S3Error {
    S3Error::new(S3ErrorCode::AccessDenied, format!("Invalid according to Policy: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(conditions: &str) -> Result<Policy, S3Error> {
        Policy::parse(format!("{{\"expiration\":\"2026-01-02T00:00:00.000Z\",\"conditions\":{conditions}}}").as_bytes())
    }

    fn check(conditions: &str, pairs: &[(&str, &str)]) -> Result<(), String> {
        let mut fields = FormFields::default();
        for (name, value) in pairs {
            fields.add(name, value.as_bytes().to_vec()).unwrap();
        }
        policy(conditions).unwrap().check(&fields, "b", 1_767_225_600).map_err(|error| {
            assert_eq!(error.code, S3ErrorCode::AccessDenied);
            error.message.into_owned()
        })
    }

    #[test]
    fn documents_that_are_no_policy_are_refused() {
        let refused = |text: &str| {
            let error = Policy::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidPolicyDocument, "{text}");
            error.message.into_owned()
        };
        assert_eq!(refused("{"), "Invalid Policy: Invalid JSON.");
        assert_eq!(refused("[]"), "Invalid Policy: Invalid JSON.");
        assert!(refused("{\"EXPIRATION\":\"x\",\"conditions\":[]}").contains("missing expiration"));
        assert!(refused("{\"expiration\":\"2026-01-02T00:00:00Z\"}").contains("missing conditions"));
        refused("{\"expiration\":\"2026-01-02 00:00:00\",\"conditions\":[]}");
        refused("{\"expiration\":\"2026-01-02 00:00:00.123+00:00\",\"conditions\":[]}");
        refused("{\"expiration\":\"2026-01-02T00:00:00Z\",\"conditions\":{}}");
        refused("{\"expiration\":\"2026-01-02T00:00:00Z\",\"conditions\":[],\"more\":1}");
        for conditions in [
            "[{}]",
            "[{\"a\":\"b\",\"c\":\"d\"}]",
            "[[\"eq\",\"$key\"]]",
            "[[\"eq\",\"key\",\"x\"]]",
            "[[\"ends-with\",\"$key\",\"x\"]]",
            "[[\"content-length-range\",0]]",
            "[[\"content-length-range\",-1,5]]",
            "[[\"content-length-range\",6,5]]",
            "[7]",
        ] {
            assert_eq!(policy(conditions).unwrap_err().code, S3ErrorCode::InvalidPolicyDocument, "{conditions}");
        }
    }

    #[test]
    fn every_condition_type() {
        let all = "[{\"bucket\":\"b\"},[\"StArTs-WiTh\",\"$KEY\",\"user/\"],[\"eq\",\"$acl\",\"private\"],\
                   [\"content-length-range\",1,5],[\"starts-with\",\"$x-amz-meta-t\",\"\"],{\"success_action_status\":201}]";
        let good = [("key", "user/a"), ("ACL", "private"), ("x-amz-meta-t", ""), ("success_action_status", "201")];
        assert_eq!(check(all, &good), Ok(()));
        assert_eq!(policy(all).unwrap().length(), Some(LengthRange { min: 1, max: 5 }));
        let mut extended = good.to_vec();
        extended.extend([("x-ignore-a", "1"), ("policy", "p"), ("x-amz-signature", "s")]);
        assert_eq!(check(all, &extended), Ok(()));
        extended.extend([("x-amz-meta-more", "1"), ("submit", "go")]);
        assert_eq!(
            check(all, &extended).unwrap_err(),
            "Invalid according to Policy: Extra input fields: submit, x-amz-meta-more"
        );
        let failed = |at: usize, value: &'static str| {
            let mut pairs = good.to_vec();
            pairs[at].1 = value;
            check(all, &pairs).unwrap_err()
        };
        assert!(failed(0, "other/a").ends_with("Policy Condition failed: [\"starts-with\", \"$key\", \"user/\"]"));
        assert!(failed(1, "Private").ends_with("[\"eq\", \"$acl\", \"private\"]"));
        // A field that the policy speaks of must be there, unless it may hold anything.
        assert!(check(all, &good[..2]).unwrap_err().contains("$success_action_status"));
        assert_eq!(check(all, &[good[0], good[1], good[3], ("x-amz-checksum-crc32", "AAAAAA==")]), Ok(()));
        assert!(check("[{\"bucket\":\"other\"}]", &[]).unwrap_err().contains("$bucket"));
    }

    #[test]
    fn several_types_must_each_begin_as_said() {
        let images = "[{\"bucket\":\"b\"},[\"starts-with\",\"$Content-Type\",\"image/\"]]";
        assert_eq!(check(images, &[("content-type", "image/png,image/gif")]), Ok(()));
        assert!(check(images, &[("content-type", "image/png, text/html")]).is_err());
    }

    #[test]
    fn a_policy_that_names_no_bucket_is_good_for_none() {
        let refused = "Invalid according to Policy: Extra input fields: bucket";
        assert_eq!(check("[]", &[]).unwrap_err(), refused);
        assert_eq!(check("[]", &[("bucket", "b")]).unwrap_err(), refused);
        assert_eq!(check("[[\"starts-with\",\"$bucket\",\"\"]]", &[]), Ok(()));
        // What the form calls its bucket does not count: it goes where it is posted to.
        assert!(check("[{\"bucket\":\"c\"}]", &[("bucket", "c")]).unwrap_err().contains("$bucket"));
    }

    #[test]
    fn an_expired_policy_allows_nothing() {
        let policy = policy("[{\"bucket\":\"b\"}]").unwrap();
        let end = 1_767_312_000;
        assert!(policy.check(&FormFields::default(), "b", end).is_ok());
        let error = policy.check(&FormFields::default(), "b", end + 1).unwrap_err();
        assert_eq!(error.message, "Invalid according to Policy: Policy expired.");
    }
}
