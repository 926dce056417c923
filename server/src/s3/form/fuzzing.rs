//! Fuzz target: forms of browsers, from their bytes to the headers of a PUT.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::reader::FIELDS_BYTES_MAX;
use super::{FormFields, FormReader, Policy, boundary};
use crate::auth::authenticate_form;
use crate::auth::fuzzing::{ACCESS_KEY_ID, NOW_S, form_signature, rules};
use crate::config::FormSignatureV2;
use crate::fuzzing::{cut, pieces, text};
use crate::s3::error::S3ErrorCode;
use crate::s3::request::{Decoding, RequestBody, SseHeaders};

/// Input: a `Content-Type`, a policy, a body, each behind a separator. The boundary is `B0` if the type names none.
pub fn post_form(bytes: &[u8]) {
    let mut pieces = pieces(bytes);
    let named = boundary(text(pieces.next()));
    if let Some(named) = &named {
        assert!((1..=70).contains(&named.len()));
    }
    let boundary = named.as_deref().unwrap_or("B0");
    let policy = Policy::parse(pieces.next().unwrap_or_default());
    let body = pieces.next().unwrap_or_default();

    let whole = read([body], boundary);
    let step = body.len() % 7 + 1;
    let in_pieces = read(cut(body, step), boundary);
    match (&whole, &in_pieces) {
        (Ok((fields, file)), Ok((again, file_again))) => {
            assert!(fields.iter().eq(again.iter()) && file == file_again, "a form says another thing cut otherwise");
            assert_eq!(fields.file_name(), again.file_name());
            assert!(file.len() <= body.len());
        }
        (Err(one), Err(other)) => assert_eq!(one, other),
        _ => panic!("a form is refused in pieces and taken whole, or the other way around"),
    }
    let Ok((fields, _)) = whole else { return };
    judge(fields, policy.ok().as_ref());
}

fn judge(mut fields: FormFields, policy: Option<&Policy>) {
    for v2 in [FormSignatureV2::Accepted, FormSignatureV2::Refused] {
        let author = authenticate_form(&fields, rules(NOW_S), v2);
        assert!(fields.get("policy").is_some() || !author.is_ok_and(|author| author.is_some()), "nothing was signed");
    }
    signed(&fields);
    if fields.expand_file_name().is_err() {
        return;
    }
    let bytes: usize = fields.iter().map(|(_, value)| value.len()).sum();
    assert!(bytes <= FIELDS_BYTES_MAX, "the file's name made {bytes} bytes of fields");
    if let Ok(mut headers) = fields.to_headers() {
        let _ = SseHeaders::take_from(&mut headers);
        assert!(!headers.contains_key("x-amz-server-side-encryption-customer-key"), "a key stayed behind");
    }
    let Some(policy) = policy else { return };
    let allowed = policy.check(&fields, "bucket", NOW_S).is_ok();
    assert!(policy.check(&fields, "bucket", i64::MAX).is_err(), "a policy that is over allows");
    // A field that no condition is about closes a form.
    let unnamed = "a field that no policy of a seed names";
    if allowed && fields.add(unnamed, Vec::new()).is_ok() && policy.check(&fields, "bucket", NOW_S).is_ok() {
        panic!("a field that no condition is about was let in");
    }
}

/// The same form, signed right: whatever else is wrong with it, its signature is not.
fn signed(fields: &FormFields) {
    let mut form = FormFields::default();
    let (date, region) = ("20261122T044547Z", "fr");
    let policy = BASE64.encode(fields.get("policy").unwrap_or("policy"));
    let signature = form_signature(&policy, date, region).expect("a date");
    let credential = format!("{ACCESS_KEY_ID}/20261122/{region}/s3/aws4_request");
    let of_claim = [
        ("policy", policy.as_str()),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", &credential),
        ("x-amz-date", date),
        ("x-amz-signature", &signature),
    ];
    for (name, value) in of_claim {
        form.add(name, value.as_bytes().to_vec()).expect("each once");
    }
    for (name, value) in fields.iter().filter(|(name, _)| !["awsaccesskeyid", "signature"].contains(name)) {
        let _ = form.add(name, value.as_bytes().to_vec());
    }
    if let Err(error) = authenticate_form(&form, rules(NOW_S), FormSignatureV2::Refused) {
        assert_ne!(error.code, S3ErrorCode::SignatureDoesNotMatch, "the right signature was called wrong");
    }
}

/// The fields and the file; nothing waits, because the body is in memory.
fn read<'b>(
    fragments: impl IntoIterator<Item = &'b [u8]>,
    boundary: &str,
) -> Result<(FormFields, Vec<u8>), S3ErrorCode> {
    let frames: Vec<Bytes> = fragments.into_iter().map(Bytes::copy_from_slice).collect();
    let mut reader = FormReader::new(RequestBody::from_frames(frames, Decoding::Identity, None), boundary);
    let all = async {
        let fields = reader.fields().await?;
        let mut file = Vec::new();
        while let Some(bytes) = reader.next_file_bytes().await? {
            assert!(!bytes.is_empty());
            file.extend_from_slice(&bytes);
        }
        Ok((fields, file))
    };
    match pin!(all).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(read) => read.map_err(|error: crate::s3::error::S3Error| error.code),
        Poll::Pending => unreachable!("a body in memory is there"),
    }
}
