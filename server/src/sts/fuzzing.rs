//! Fuzz target: what issuers of identities and clients of STS send, and the tokens that clients keep.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::grant::duration_s;
use super::issuer::{IssuerUrl, LocalIssuers, keys_url, parse_keys};
use super::jwt::Jwt;
use super::tags::SessionTags;
use super::token::{Claims, Session, Source, Subject, TemporaryKey};
use crate::fuzzing::{pieces, text};
use crate::iam::members;
use crate::identity::test_operator_key;
use crate::s3::request::Query;

/// Input: a token's header, its claims, a set of keys, a form, a URL, each behind a separator; or any one of these,
/// which the first piece is tried as.
pub fn sts(bytes: &[u8]) {
    let mut pieces = pieces(bytes);
    let header = pieces.next().unwrap_or_default();
    token(text(Some(header)), header);
    let claims = pieces.next().unwrap_or_default();
    let keys = pieces.next().unwrap_or_default();
    let encoded = [header, claims, b"signature"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    token(&encoded, keys);
    form(text(pieces.next()));
    issuer(text(pieces.next()), keys);
    session(text(Some(header)), claims);
}

fn token(written: &str, keys: &[u8]) {
    let keys = parse_keys(keys).unwrap_or_default();
    assert!(keys.len() <= 50);
    let Ok(jwt) = Jwt::parse(written) else { return };
    assert!(!jwt.issuer().is_empty() && jwt.audiences().count() <= 101);
    assert!(!jwt.is_signed_by(&[]));
    let _ = jwt.is_signed_by(&keys);
    for now_s in [i64::MIN, 0, 1_795_322_747, i64::MAX] {
        if let Ok(subject) = jwt.check(now_s) {
            assert!((1..=255).contains(&subject.len()) && now_s < i64::MAX);
        }
    }
    if let Ok(tags) = SessionTags::claimed(&jwt) {
        inherited(&tags);
    }
}

fn form(written: &str) {
    let Ok(form) = Query::parse_form(written) else { return };
    for (name, _) in form.iter() {
        if let Some((list, suffix)) = name.split_once(".member.1") {
            assert!(members(&form, list, suffix).len() <= form.iter().count());
        }
    }
    let _ = crate::iam::fuzzed_names(&form);
    if let Ok(seconds) = duration_s(&form, 900..=43_200, 3600) {
        assert!((900..=43_200).contains(&seconds));
    }
    if let Ok(tags) = SessionTags::asked(&form) {
        inherited(&tags);
    }
}

/// Tags are within their limits, whoever hands them on, and read back from a token.
fn inherited(tags: &SessionTags) {
    assert!(tags.chars() <= 4096);
    let _ = tags.actions().count();
    let handed_on = SessionTags::default().inherit(tags).expect("what holds by itself is handed on");
    assert_eq!(handed_on.source_identity(), tags.source_identity());
    let twice = SessionTags::default().inherit(&handed_on).expect("and handed on again");
    assert_eq!(twice, handed_on);
}

fn issuer(url: &str, configuration: &[u8]) {
    for local in [LocalIssuers::Asked, LocalIssuers::Refused] {
        let Ok(parsed) = IssuerUrl::parse(url, local) else { continue };
        assert!(!url.contains(['#', '?', ' ']) && url.len() <= 255);
        assert!(
            local == LocalIssuers::Asked || url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
        );
        assert!(!format!("{parsed:?}").is_empty());
    }
    let _ = keys_url(configuration, url);
}

/// A session token: any text, claims that were sealed as they are, and claims made of the input.
fn session(written: &str, claims: &[u8]) {
    let operator = test_operator_key();
    let key = TemporaryKey::from_random([7; 16], &Zeroizing::new([9; 40]));
    assert!(Session::open(&operator, &key.access_key_id, written).is_err(), "a token that was made elsewhere opens");
    let label = format!("chartrier/session/3/{}", key.access_key_id);
    let sealed = URL_SAFE_NO_PAD.encode(operator.seal_secret(label.as_bytes(), [3; 32], claims));
    if let Ok(session) = Session::open(&operator, &key.access_key_id, &sealed) {
        assert!(session.has_ended(i64::MAX));
    }
    let of_input = Claims {
        account: written.to_owned(),
        subject: Subject::User { id: written.to_owned() },
        name: written.to_owned(),
        source: Source::AccessKey(written.to_owned()),
        actor: written.to_owned(),
        issued_s: 1,
        expires_s: 2,
        policy: Some(String::from_utf8_lossy(claims).into_owned()),
        policy_arns: BTreeSet::from([written.to_owned()]).into_iter().collect(),
        tags: SessionTags::default(),
    };
    let token = of_input.seal(&key, &operator, [3; 32]);
    if token.len() > super::token::TOKEN_LEN_BYTES_MAX {
        return;
    }
    let opened = Session::open(&operator, &key.access_key_id, &token).expect("a token of ours opens");
    assert!(*opened == of_input && opened.secret() == key.secret.as_str());
    let mut changed = URL_SAFE_NO_PAD.decode(&token).expect("base64");
    let at = written.len() * 31 % changed.len();
    changed[at] ^= 1 << (claims.len() % 8);
    let changed = URL_SAFE_NO_PAD.encode(changed);
    assert!(Session::open(&operator, &key.access_key_id, &changed).is_err(), "a changed token opens");
}
