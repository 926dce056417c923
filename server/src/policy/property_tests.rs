//! Properties that hold for every policy and request.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Policy, PolicyKind, Principal, Request, Verdict};

const PRINCIPALS: [&str; 4] = ["*", "111122223333", "arn:aws:iam::111122223333:user/alice", "444455556666"];
const ACTIONS: [&str; 5] = ["s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", "*"];
const RESOURCES: [&str; 4] = [
    "arn:aws:s3:::bucket/*",
    "arn:aws:s3:::bucket/a*",
    "arn:aws:s3:::bucket/${aws:username}/*",
    "arn:aws:s3:::bucket*",
];

fn condition() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"StringEquals": {"s3:prefix": "a"}})),
        Just(json!({"StringNotEquals": {"s3:prefix": "a"}})),
        Just(json!({"Null": {"s3:prefix": "true"}})),
        Just(json!({"Bool": {"aws:SecureTransport": "true"}})),
        Just(json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
        Just(json!({"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["t*"]}})),
    ]
}

fn statement() -> impl Strategy<Value = Value> {
    let (principal, action) = (proptest::sample::select(&PRINCIPALS[..]), proptest::sample::select(&ACTIONS[..]));
    let resource = proptest::sample::select(&RESOURCES[..]);
    (any::<bool>(), principal, action, any::<bool>(), resource, condition()).prop_map(
        |(allow, principal, action, not_action, resource, condition)| {
            let effect = if allow { "Allow" } else { "Deny" };
            let action_field = if not_action { "NotAction" } else { "Action" };
            json!({"Effect": effect, "Principal": {"AWS": principal}, (action_field): action, "Resource": resource,
                   "Condition": condition})
        },
    )
}

fn policy(statements: &[Value]) -> Policy {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    Policy::parse(&text, PolicyKind::Bucket("bucket")).unwrap()
}

#[derive(Debug, Clone)]
struct Asked {
    principal: Principal,
    action: &'static str,
    resource: &'static str,
    context: HashMap<String, Vec<String>>,
}

impl Asked {
    fn of(&self, policy: &Policy) -> Verdict {
        let Self { principal, action, resource, context } = self;
        policy.evaluate(Request { principal, action, resource, context })
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let principal = |account: &str, name: &str| Principal {
        account: account.into(),
        canonical_id: "c".repeat(64),
        arn: format!("arn:aws:iam::{account}:user/{name}"),
        user_name: name.into(),
        ..Principal::default()
    };
    let principals = vec![principal("111122223333", "alice"), principal("444455556666", "bob"), Principal::anonymous()];
    let actions = proptest::sample::select(vec!["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]);
    let resources = proptest::sample::select(vec!["arn:aws:s3:::bucket/a", "arn:aws:s3:::bucket/alice/x"]);
    let value = |key: &'static str, values: Vec<&'static str>| {
        proptest::option::of(proptest::sample::select(values)).prop_map(move |value| (key.to_owned(), value))
    };
    let context = (
        value("s3:prefix", vec!["a", "b"]),
        value("aws:securetransport", vec!["true", "false"]),
        value("aws:sourceip", vec!["10.1.1.1", "192.0.2.1"]),
        value("s3:requestobjecttagkeys", vec!["t1", "x"]),
        value("aws:username", vec!["alice"]),
    )
        .prop_map(|(a, b, c, d, e)| {
            let present = [a, b, c, d, e].into_iter().filter_map(|(key, value)| Some((key, vec![value?.to_owned()])));
            present.collect::<HashMap<_, _>>()
        });
    (proptest::sample::select(principals), actions, resources, context)
        .prop_map(|(principal, action, resource, context)| Asked { principal, action, resource, context })
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Denies => 0,
        Verdict::Silent => 1,
        Verdict::AllowsAccount => 2,
        Verdict::Allows => 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_deny_that_applies_always_wins(mut statements in prop::collection::vec(statement(), 0..5), at in any::<usize>(), asked in asked()) {
        let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "arn:aws:s3:::bucket/*"});
        statements.insert(at % (statements.len() + 1), deny);
        prop_assert_eq!(asked.of(&policy(&statements)), Verdict::Denies);
    }

    #[test]
    fn adding_a_deny_never_grants(mut statements in prop::collection::vec(statement(), 1..5), mut deny in statement(), asked in asked()) {
        let before = asked.of(&policy(&statements));
        deny["Effect"] = "Deny".into();
        statements.push(deny);
        prop_assert!(rank(asked.of(&policy(&statements))) <= rank(before));
    }

    #[test]
    fn adding_an_allow_never_refuses(mut statements in prop::collection::vec(statement(), 1..5), mut allow in statement(), asked in asked()) {
        let before = asked.of(&policy(&statements));
        allow["Effect"] = "Allow".into();
        statements.push(allow);
        prop_assert!(rank(asked.of(&policy(&statements))) >= rank(before));
    }

    #[test]
    fn the_order_of_statements_changes_nothing(mut statements in prop::collection::vec(statement(), 1..6), asked in asked()) {
        let before = asked.of(&policy(&statements));
        statements.reverse();
        prop_assert_eq!(asked.of(&policy(&statements)), before);
    }

    #[test]
    fn no_text_panics(text in ".{0,200}", members in prop::collection::vec(statement(), 0..3), cut in any::<usize>()) {
        let _ = Policy::parse(&text, PolicyKind::Bucket("bucket"));
        let whole = json!({"Statement": members}).to_string();
        let end = (0..=cut % (whole.len() + 1)).rev().find(|&at| whole.is_char_boundary(at)).unwrap_or(0);
        let _ = Policy::parse(&whole[..end], PolicyKind::Identity);
    }
}
