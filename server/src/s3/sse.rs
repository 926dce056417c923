//! Which root key a request uses: SSE-C and its misuse, `x-amz-server-side-encryption`, the echo.
//!
//! Source: reference B1; the texts are AWS's where they are known. No error carries a key, an MD5
//! of one, or any value of these headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chartrier_crypto::{ClientKey, Mode, OperatorKey, RootKey, ct_eq};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{S3Error, S3ErrorCode};
use super::request::{Query, SseTrio, SuppliedKey, SuppliedMd5, Transport};

/// The root key of one object, as one request knows it.
pub enum Encryption {
    /// Mode O: the operator's key.
    Operator,
    /// Mode C: the key that the client sent.
    Client(ClientKey),
}

impl Encryption {
    /// The SOV1 mode.
    pub fn mode(&self) -> Mode {
        match self {
            Self::Operator => Mode::O,
            Self::Client(_) => Mode::C,
        }
    }

    /// The root key.
    pub fn root<'k>(&'k self, operator: &'k OperatorKey) -> RootKey<'k> {
        match self {
            Self::Operator => RootKey::Operator(operator),
            Self::Client(key) => RootKey::Client(key),
        }
    }

    /// Adds what the answer says of the encryption: the echo of SSE-C, or `AES256`.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        match self {
            Self::Operator => {
                headers.insert(SSE, HeaderValue::from_static("AES256"));
            }
            Self::Client(key) => {
                let md5 = HeaderValue::from_str(&BASE64.encode(key.md5())).expect("base64 is visible ASCII");
                headers.insert(ALGORITHM, HeaderValue::from_static("AES256"));
                headers.insert(KEY_MD5, md5);
            }
        }
    }
}

const SSE: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const KMS_KEY_ID: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
const ALGORITHM: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-customer-algorithm");
const KEY_MD5: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-customer-key-md5");

/// The encryption that a write asks for: PutObject, CreateMultipartUpload, the target of a copy.
///
/// # Errors
/// The misuse table of B1; `NotImplemented` for `aws:kms`.
pub fn for_write(trio: SseTrio, transport: Transport, headers: &HeaderMap) -> Result<Encryption, S3Error> {
    let asked = headers.get(SSE).map(HeaderValue::as_bytes);
    let both = asked.is_some() && trio.any();
    let key = client_key(trio, transport);
    if both {
        return Err(argument(
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
        ));
    }
    let key = key?;
    if headers.contains_key(KMS_KEY_ID) && !asked.is_some_and(|asked| asked.starts_with(b"aws:kms")) {
        return Err(argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
        ));
    }
    match (asked, key) {
        (None, None) | (Some(b"AES256"), None) => Ok(Encryption::Operator),
        (_, Some(key)) => Ok(Encryption::Client(key)),
        (Some(b"aws:kms" | b"aws:kms:dsse"), None) => {
            Err(S3Error::not_implemented("Server-side encryption with a key service (aws:kms)"))
        }
        (Some(_), None) => Err(argument("The encryption method specified is not supported")),
    }
}

/// Refuses the header that chooses how a write is encrypted, on a request that reads.
///
/// # Errors
/// `InvalidArgument` in AWS's words.
pub fn refuse_choice_on_read(headers: &HeaderMap) -> Result<(), S3Error> {
    if headers.contains_key(SSE) {
        return Err(argument("x-amz-server-side-encryption header is not supported for this operation."));
    }
    Ok(())
}

/// The encryption of a stored object that a request reads; `mode` is the row's.
///
/// # Errors
/// The misuse table of B1. Whether the key is the right one only unwrapping tells: [`wrong_key`].
pub fn for_read(trio: SseTrio, transport: Transport, mode: u8) -> Result<Encryption, S3Error> {
    let key = client_key(trio, transport)?;
    match (Mode::try_from(mode).map_err(S3Error::internal)?, key) {
        (Mode::O, None) => Ok(Encryption::Operator),
        (Mode::C, Some(key)) => Ok(Encryption::Client(key)),
        (Mode::C, None) => Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided \
             to retrieve the object.",
        )),
        (_, Some(_)) => Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "The encryption parameters are not applicable to this object.",
        )),
        (Mode::H | Mode::G, None) => Err(S3Error::not_implemented("Reading objects of this encryption mode")),
    }
}

/// What a read with another key than the object's is answered.
pub fn wrong_key() -> S3Error {
    S3Error::of(S3ErrorCode::AccessDenied)
}

/// Judges one trio: no key, a good key, or the row of the misuse table that it breaks.
///
/// # Errors
/// In the order of B1: transport, algorithm, key, MD5, MD5 against key, length.
pub fn client_key(trio: SseTrio, transport: Transport) -> Result<Option<ClientKey>, S3Error> {
    if !trio.any() {
        return Ok(None);
    }
    if transport == Transport::Plain {
        // Whoever listened has the key now: its owner must be told to change it.
        tracing::warn!(alarm = "key exposed", "an SSE-C key came over a connection without TLS");
        return Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure \
             connection.",
        ));
    }
    match trio.algorithm.as_deref() {
        Some("AES256") => {}
        Some(_) => return Err(S3Error::of(S3ErrorCode::InvalidEncryptionAlgorithmError)),
        None => {
            return Err(argument(
                "Requests specifying Server Side Encryption with Customer provided keys must provide a valid \
                 encryption algorithm.",
            ));
        }
    }
    let Some(supplied) = trio.key else {
        return Err(argument(
            "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate \
             secret key.",
        ));
    };
    let Some(claimed) = trio.key_md5 else {
        return Err(argument(
            "Requests specifying Server Side Encryption with Customer provided keys must provide the client \
             calculated MD5 of the secret key.",
        ));
    };
    let md5 = match &supplied {
        SuppliedKey::Key(key) => key.md5(),
        SuppliedKey::WrongLength { md5 } => *md5,
        SuppliedKey::Malformed => return Err(invalid_key()),
    };
    match claimed {
        SuppliedMd5::Md5(claimed) if ct_eq(&claimed, &md5) => {}
        SuppliedMd5::Md5(_) | SuppliedMd5::Malformed => {
            return Err(argument("The calculated MD5 hash of the key did not match the hash that was provided."));
        }
    }
    match supplied {
        SuppliedKey::Key(key) => Ok(Some(key)),
        SuppliedKey::WrongLength { .. } | SuppliedKey::Malformed => Err(invalid_key()),
    }
}

/// Refuses SSE-C parameters in the query: a key in a URL ends in logs and histories everywhere.
///
/// # Errors
/// `InvalidArgument`; the value is not repeated.
pub fn refuse_key_in_query(query: &Query) -> Result<(), S3Error> {
    let is_key = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.contains("server-side-encryption-customer-key")
    };
    if query.iter().any(|(name, _)| is_key(name)) {
        return Err(argument("Encryption keys are sent as headers, never in the URL. Consider this key as exposed."));
    }
    Ok(())
}

fn invalid_key() -> S3Error {
    argument("The secret key was invalid for the specified algorithm.")
}

fn argument(message: &'static str) -> S3Error {
    S3Error::invalid_argument(message, "x-amz-server-side-encryption", "null")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::request::SseHeaders;

    const KEY: [u8; 32] = [7; 32];
    const PREFIX: &str = "x-amz-server-side-encryption-customer-";

    /// Algorithm, key bytes or text, MD5: what is `None` is not sent.
    fn trio(algorithm: Option<&str>, key: Option<&str>, md5: Option<&str>) -> SseTrio {
        let mut headers = HeaderMap::new();
        for (name, value) in [("algorithm", algorithm), ("key", key), ("key-md5", md5)] {
            if let Some(value) = value {
                let name: HeaderName = format!("{PREFIX}{name}").parse().unwrap();
                headers.insert(name, value.parse().unwrap());
            }
        }
        SseHeaders::take_from(&mut headers).target
    }

    fn md5_of(bytes: &[u8]) -> String {
        use md5::Digest as _;
        BASE64.encode(md5::Md5::digest(bytes))
    }

    fn good() -> SseTrio {
        trio(Some("AES256"), Some(&BASE64.encode(KEY)), Some(&md5_of(&KEY)))
    }

    fn refusal<T>(result: Result<T, S3Error>) -> (S3ErrorCode, String) {
        let error = result.err().expect("refused");
        (error.code, error.message.into_owned())
    }

    /// Each row of the misuse table that one trio can break.
    #[test]
    fn misuse_of_the_trio() {
        use S3ErrorCode::{InvalidArgument, InvalidEncryptionAlgorithmError, InvalidRequest};
        let key = BASE64.encode(KEY);
        let (key, md5) = (key.as_str(), md5_of(&KEY));
        let (short, other) = (BASE64.encode([7; 16]), md5_of(&[8; 32]));
        let short_md5 = md5_of(&[7; 16]);
        let (md5, short, short_md5, other) = (md5.as_str(), short.as_str(), short_md5.as_str(), other.as_str());
        for (algorithm, key, md5, code, text) in [
            (None, Some(key), Some(md5), InvalidArgument, "valid encryption algorithm"),
            (None, None, Some(md5), InvalidArgument, "valid encryption algorithm"),
            (Some("AES128"), Some(key), Some(md5), InvalidEncryptionAlgorithmError, "AES256"),
            (Some("aes256"), Some(key), Some(md5), InvalidEncryptionAlgorithmError, "AES256"),
            (Some("AES256"), None, Some(md5), InvalidArgument, "appropriate secret key"),
            (Some("AES256"), None, None, InvalidArgument, "appropriate secret key"),
            (Some("AES256"), Some(key), None, InvalidArgument, "calculated MD5"),
            (Some("AES256"), Some(key), Some(other), InvalidArgument, "did not match the hash"),
            (Some("AES256"), Some(key), Some("nonsense"), InvalidArgument, "did not match the hash"),
            // The MD5 is judged before the length.
            (Some("AES256"), Some(short), Some(md5), InvalidArgument, "did not match the hash"),
            (Some("AES256"), Some(short), Some(short_md5), InvalidArgument, "invalid for the specified algorithm"),
            (Some("AES256"), Some("not base64!"), Some(md5), InvalidArgument, "invalid for the specified algorithm"),
        ] {
            let (got, message) = refusal(client_key(trio(algorithm, key, md5), Transport::Tls));
            assert_eq!(got, code, "{message}");
            assert!(message.contains(text), "{message}");
        }
        let (code, message) = refusal(client_key(good(), Transport::Plain));
        assert_eq!(code, InvalidRequest);
        assert!(message.contains("secure connection"));
        // Over plain HTTP even a broken trio is first of all in the wrong place.
        assert_eq!(refusal(client_key(trio(Some("x"), None, None), Transport::Plain)).0, InvalidRequest);
        assert!(client_key(SseTrio::default(), Transport::Plain).unwrap_or_else(|e| panic!("{e}")).is_none());
        assert!(client_key(good(), Transport::Tls).unwrap_or_else(|e| panic!("{e}")).is_some());
    }

    #[test]
    fn writes_choose_a_mode() {
        let write = |trio, sse: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(sse) = sse {
                headers.insert(SSE, sse.parse().unwrap());
            }
            for_write(trio, Transport::Tls, &headers).map(|encryption| encryption.mode()).map_err(|error| error.code)
        };
        assert_eq!(write(SseTrio::default(), None), Ok(Mode::O));
        assert_eq!(write(SseTrio::default(), Some("AES256")), Ok(Mode::O));
        assert_eq!(write(good(), None), Ok(Mode::C));
        assert_eq!(write(good(), Some("AES256")), Err(S3ErrorCode::InvalidArgument));
        assert_eq!(write(SseTrio::default(), Some("aws:kms")), Err(S3ErrorCode::NotImplemented));
        assert_eq!(write(SseTrio::default(), Some("rot13")), Err(S3ErrorCode::InvalidArgument));
        // Two modes at once are wrong on any transport.
        let headers = HeaderMap::from_iter([(SSE, HeaderValue::from_static("AES256"))]);
        let refused = for_write(good(), Transport::Plain, &headers).err().map(|error| error.code);
        assert_eq!(refused, Some(S3ErrorCode::InvalidArgument));
    }

    #[test]
    fn a_key_of_a_key_service_needs_its_algorithm() {
        let mut headers = HeaderMap::new();
        headers.insert(KMS_KEY_ID, HeaderValue::from_static("key"));
        let mut write = |sse: Option<&'static str>| {
            sse.map(|sse| headers.insert(SSE, HeaderValue::from_static(sse)));
            for_write(SseTrio::default(), Transport::Tls, &headers).err().map(|error| error.code)
        };
        assert_eq!(write(None), Some(S3ErrorCode::InvalidArgument));
        assert_eq!(write(Some("AES256")), Some(S3ErrorCode::InvalidArgument));
        assert_eq!(write(Some("aws:kms")), Some(S3ErrorCode::NotImplemented));
        assert!(refuse_choice_on_read(&headers).is_err());
    }

    #[test]
    fn reads_need_the_keys_of_the_stored_mode() {
        let read = |trio, mode: Mode| {
            for_read(trio, Transport::Tls, mode.as_byte()).map(|key| key.mode()).map_err(|error| error.code)
        };
        assert_eq!(read(good(), Mode::C), Ok(Mode::C));
        assert_eq!(read(SseTrio::default(), Mode::O), Ok(Mode::O));
        assert_eq!(read(SseTrio::default(), Mode::C), Err(S3ErrorCode::InvalidRequest));
        assert_eq!(read(good(), Mode::O), Err(S3ErrorCode::InvalidRequest));
        assert_eq!(read(SseTrio::default(), Mode::H), Err(S3ErrorCode::NotImplemented));
        assert!(for_read(SseTrio::default(), Transport::Tls, b'?').is_err());
    }

    #[test]
    fn the_echo_names_the_algorithm_and_the_md5_and_no_sse() {
        let mut headers = HeaderMap::new();
        Encryption::Client(ClientKey::from_slice(&KEY).unwrap_or_else(|e| panic!("{e}"))).write_to(&mut headers);
        assert_eq!(headers[ALGORITHM], "AES256");
        assert_eq!(headers[KEY_MD5], md5_of(&KEY).as_str());
        assert!(!headers.contains_key(SSE));
        let mut headers = HeaderMap::new();
        Encryption::Operator.write_to(&mut headers);
        assert_eq!(headers[SSE], "AES256");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn a_key_in_the_query_is_refused_without_repeating_it() {
        let query = Query::parse("X-Amz-Server-Side-Encryption-Customer-Key=c2VjcmV0").unwrap();
        let error = refuse_key_in_query(&query).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::InvalidArgument);
        assert!(!format!("{error:?}").contains("c2VjcmV0"));
        assert!(refuse_key_in_query(&Query::parse("versionId=null").unwrap()).is_ok());
    }
}
