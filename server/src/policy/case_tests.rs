//! The table of cases: `cases.json`, each a policy, a request and what must come of it.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Policy, PolicyKind, Principal, Request, Verdict};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    kind: String,
    /// The policy as JSON, or `text` as it is.
    #[serde(default)]
    policy: Option<serde_json::Value>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    who: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    context: HashMap<String, Vec<String>>,
    /// `allow`, `account` (allowed to the principal's account), `silent`, `deny`, `refused`.
    expect: String,
    /// Of `refused`, if the words matter.
    #[serde(default)]
    message: Option<String>,
}

const ONE: &str = "111122223333";
const OTHER: &str = "444455556666";

fn principal(who: &str) -> Principal {
    let member = |account: &str, id: &str, name: &str| Principal {
        account: account.into(),
        canonical_id: id.repeat(64),
        arn: format!("arn:aws:iam::{account}:user/{name}"),
        user_name: name.into(),
        ..Principal::default()
    };
    match who {
        "account" => {
            Principal { arn: format!("arn:aws:iam::{ONE}:root"), is_account: true, ..member(ONE, "a", "owner") }
        }
        "alice" => member(ONE, "a", "alice"),
        "bob" => member(OTHER, "b", "bob"),
        "session" => Principal {
            arn: format!("arn:aws:sts::{ONE}:assumed-role/reader/s1"),
            alias_arn: Some(format!("arn:aws:iam::{ONE}:role/reader")),
            ..member(ONE, "a", "")
        },
        "anonymous" => Principal::anonymous(),
        other => panic!("unknown principal {other}"),
    }
}

#[test]
fn every_case_of_the_table_holds() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).unwrap();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let kind = match case.kind.as_str() {
            "bucket" => PolicyKind::Bucket("bucket"),
            "identity" => PolicyKind::Identity,
            "trust" => PolicyKind::Trust,
            other => panic!("unknown kind {other}"),
        };
        let text = case.text.clone().unwrap_or_else(|| case.policy.as_ref().unwrap().to_string());
        let got = match Policy::parse(&text, kind) {
            Err(error) => {
                if let Some(message) = case.message.as_ref().filter(|message| **message != error.0) {
                    wrong.push(format!("{}: said {:?}, not {message:?}", case.name, error.0));
                }
                format!("refused{}", if case.expect == "refused" { String::new() } else { format!(": {error}") })
            }
            Ok(policy) if case.expect == "refused" => format!("accepted {policy:?}"),
            Ok(policy) => {
                let principal = principal(&case.who);
                let (action, resource) = (case.action.as_str(), case.resource.as_str());
                let request = Request { principal: &principal, action, resource, context: &case.context };
                match policy.evaluate(request) {
                    Verdict::Allows => "allow",
                    Verdict::AllowsAccount => "account",
                    Verdict::Silent => "silent",
                    Verdict::Denies => "deny",
                }
                .to_owned()
            }
        };
        if got != case.expect {
            wrong.push(format!("{}: expected {}, got {got}", case.name, case.expect));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn public_policies() {
    let public = |statement: &str| {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        Policy::parse(&text, PolicyKind::Bucket("bucket")).unwrap().is_public()
    };
    let with = |principal: &str, condition: &str| {
        public(&format!(
            r#"{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"{condition}}}"#
        ))
    };
    let under = |operator: &str, key: &str, value: &str| {
        with(r#""*""#, &format!(r#","Condition":{{"{operator}":{{"{key}":{value}}}}}"#))
    };
    assert!(with(r#""*""#, "") && with(r#"{"AWS":"*"}"#, "") && with(r#"{"AWS":["111122223333","*"]}"#, ""));
    assert!(!with(r#"{"AWS":"111122223333"}"#, ""));
    assert!(!public(r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}"#));
    assert!(!under("IpAddress", "aws:SourceIp", r#""203.0.113.0/24""#));
    assert!(under("IpAddress", "aws:SourceIp", r#"["203.0.113.0/24","0.0.0.0/1"]"#));
    assert!(under("NotIpAddress", "aws:SourceIp", r#""203.0.113.0/24""#));
    assert!(under("IpAddressIfExists", "aws:SourceIp", r#""203.0.113.0/24""#));
    assert!(
        under("StringEquals", "aws:UserAgent", r#""mine""#) && under("StringLike", "aws:Referer", r#""http://a/*""#)
    );
    assert!(!under("StringEquals", "aws:PrincipalAccount", r#""111122223333""#));
    assert!(under("StringLike", "aws:PrincipalAccount", r#""1111*""#));
    assert!(!under("ArnEquals", "aws:PrincipalArn", r#""arn:aws:iam::111122223333:user/alice""#));
    assert!(under("StringEquals", "aws:username", r#""${aws:username}""#));
}
