//! Continuation tokens of ListObjectsV2: opaque text that says where the next page starts.
//!
//! base64url of: version (1), kind (1), check (8: the start of BLAKE3 over the rest), then the key
//! or prefix that the last page ended with. The check refuses tokens that were cut or changed; a
//! token holds nothing that its page did not show.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartrier_storage::namespace::query::ListFrom;

use crate::s3::error::S3Error;
use crate::s3::names::OBJECT_KEY_LEN_BYTES_MAX;

/// Writes the token of the page that starts after `after`.
pub fn encode(after: &ListFrom) -> String {
    let (kind, name) = match after {
        ListFrom::AfterKey(key) => (KIND_KEY, key),
        ListFrom::PastPrefix(prefix) => (KIND_PREFIX, prefix),
    };
    let mut bytes = vec![VERSION, kind];
    bytes.extend_from_slice(&check(kind, name));
    bytes.extend_from_slice(name.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token that a client sent back.
///
/// # Errors
/// `InvalidArgument` for anything that [`encode`] did not write.
pub fn decode(token: &str) -> Result<ListFrom, S3Error> {
    let refused =
        || S3Error::invalid_argument("The continuation token provided is incorrect", "continuation-token", "");
    if token.len() > TOKEN_LEN_MAX {
        return Err(refused());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
    let (head, name) = bytes.split_at_checked(HEAD_LEN).ok_or_else(refused)?;
    let name = std::str::from_utf8(name).map_err(|_| refused())?;
    let kind = head[1];
    if head[0] != VERSION || head[2..] != check(kind, name) {
        return Err(refused());
    }
    match kind {
        KIND_KEY => Ok(ListFrom::AfterKey(name.to_owned())),
        KIND_PREFIX => Ok(ListFrom::PastPrefix(name.to_owned())),
        _ => Err(refused()),
    }
}

fn check(kind: u8, name: &str) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new_derive_key("chartrier 2026 continuation token v1");
    hasher.update(&[kind]);
    hasher.update(name.as_bytes());
    let mut check = [0; 8];
    hasher.finalize_xof().fill(&mut check);
    check
}

const VERSION: u8 = 1;
const KIND_KEY: u8 = 1;
const KIND_PREFIX: u8 = 2;
const HEAD_LEN: usize = 10;
/// A prefix may be a key and a delimiter: twice a key's length, in base64.
const TOKEN_LEN_MAX: usize = (HEAD_LEN + 4 * OBJECT_KEY_LEN_BYTES_MAX) * 4 / 3 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        for after in [
            ListFrom::AfterKey("a".into()),
            ListFrom::AfterKey("é\u{1}//".into()),
            ListFrom::PastPrefix("photos/2026/".into()),
            ListFrom::AfterKey("k".repeat(OBJECT_KEY_LEN_BYTES_MAX)),
        ] {
            assert_eq!(decode(&encode(&after)).unwrap(), after);
        }
    }

    #[test]
    fn a_changed_or_cut_token_is_refused() {
        let token = encode(&ListFrom::AfterKey("folder/file".into()));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(decode(&changed).is_err(), "byte {at}");
            assert!(decode(&token[..at]).is_err(), "cut at {at}");
        }
        assert!(decode("").is_err());
        assert!(decode("not a token!").is_err());
        assert!(decode(&"A".repeat(100_000)).is_err());
    }
}
