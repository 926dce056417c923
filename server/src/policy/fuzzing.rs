//! Fuzz target: policies and what they say of a request.

use std::collections::{BTreeMap, HashMap};

use super::pattern::{Case, Pattern, Variables, Wildcards};
use super::values::{Network, date, number};
use super::{Policy, PolicyKind, Principal, Request, Verdict, with_names};
use crate::access::documents::PolicyDocument;
use crate::fuzzing::{pieces, text};
use crate::iam::document::IamDocument;
use crate::s3::bucket_config::BucketDocument as _;

const ALICE: &str = "arn:aws:iam::111122223333:user/alice";

/// Input: a policy, an action, a resource, then lines `key=value`, each behind a separator.
pub fn policy(bytes: &[u8]) {
    let mut pieces = pieces(bytes);
    let written = text(pieces.next());
    let (action, resource) = (text(pieces.next()), text(pieces.next()));
    let context = context(text(pieces.next()));
    for value in context.values().flatten() {
        let _ = (date(value), number(value), Network::parse(value));
        wildcards(written, value);
    }
    wildcards(written, resource);
    let _ = IamDocument::from_stored(written.as_bytes());
    for kind in [PolicyKind::Bucket("bucket"), PolicyKind::Identity, PolicyKind::Trust] {
        let Ok(policy) = Policy::parse(written, kind) else { continue };
        let _ = policy.asks_for("s3:existingobjecttag/");
        for principal in &principals() {
            evaluate(&policy, Request { principal, action, resource, context: &context });
        }
        names(written, kind);
    }
    if let Ok(document) = PolicyDocument::parse("bucket", written) {
        let stored = PolicyDocument::from_stored(&document.to_stored("bucket")).expect("what is stored reads back");
        assert!(stored.policy == document.policy && stored.public == document.public);
    }
}

fn context(lines: &str) -> HashMap<String, Vec<String>> {
    let mut context: HashMap<String, Vec<String>> = HashMap::new();
    for (key, value) in lines.lines().filter_map(|line| line.split_once('=')) {
        context.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    context
}

fn principals() -> [Principal; 5] {
    let alice = Principal {
        account: "111122223333".to_owned(),
        canonical_id: "c".repeat(64),
        arn: ALICE.to_owned(),
        user_name: "alice".to_owned(),
        unique_id: "AIDAX".to_owned(),
        ..Principal::default()
    };
    let account = Principal { is_account: true, arn: "arn:aws:iam::111122223333:root".to_owned(), ..alice.clone() };
    [
        Principal::anonymous(),
        Principal::federated("arn:aws:iam::111122223333:oidc-provider/idp.example"),
        Principal::service("logging.s3.amazonaws.com"),
        alice,
        account,
    ]
}

fn evaluate(policy: &Policy, asked: Request<'_>) {
    let said = policy.evaluate(asked);
    let mut turned = policy.clone();
    turned.statements.reverse();
    assert_eq!(turned.evaluate(asked), said, "the order of statements says something");
    let denial = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
    let denial = Policy::parse(denial, PolicyKind::Identity).expect("a policy");
    turned.statements.extend(denial.statements);
    assert_eq!(turned.evaluate(asked), Verdict::Denies, "a deny did not decide");
    let conditional = policy.statements.iter().any(|statement| !statement.conditions.is_empty());
    let of_bucket = policy.statements.iter().all(|statement| statement.principals.is_some());
    if asked.principal.is_anonymous() && asked.principal.provider_arn.is_none() && of_bucket && !conditional {
        assert!(said != Verdict::Allows || policy.is_public(), "anybody is allowed by what is not public");
    }
}

/// A policy with other names in it is a policy.
fn names(written: &str, kind: PolicyKind<'_>) {
    assert_eq!(with_names(written, &BTreeMap::new()), written);
    let renamed = with_names(written, &BTreeMap::from([(ALICE, "arn:aws:iam::111122223333:user/bob")]));
    if renamed.len() <= super::POLICY_LEN_BYTES_MAX {
        assert!(Policy::parse(&renamed, kind).is_ok(), "{renamed} is no policy");
    }
}

/// Texts that are short enough are matched as the definition of a wildcard has it, too.
fn wildcards(pattern: &str, text: &str) {
    for variables in [Variables::Expand, Variables::Literal] {
        let Some(parsed) = Pattern::parse(pattern, Wildcards::Yes, variables) else { continue };
        let (_, _) = (parsed.may_match_under(text), parsed.is_fixed());
        let naive = pattern.len() * text.len() <= 1 << 12;
        for case in [Case::Counts, Case::Ignored] {
            let matches = parsed.matches(text, case, &HashMap::new());
            if naive && case == Case::Counts && parsed.variables().next().is_none() && !pattern.contains("${") {
                assert_eq!(matches, is_covered(pattern, text), "{pattern:?} and {text:?}");
                assert!(!matches || parsed.may_match_under(&text[..text.floor_char_boundary(text.len() / 2)]));
            }
        }
    }
}

fn is_covered(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Which lengths of the text the pattern covers so far.
    let mut covered = vec![false; text.len() + 1];
    covered[0] = true;
    for c in pattern.chars() {
        let before = covered.clone();
        for at in 0..covered.len() {
            covered[at] = match c {
                '*' => before[..=at].contains(&true),
                '?' => at > 0 && before[at - 1],
                c => at > 0 && before[at - 1] && text[at - 1] == c,
            };
        }
    }
    covered[text.len()]
}
