//! Trailers of aws-chunked: declared, bounded, hashed in canonical form.

use chartrier_crypto::sha256;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::s3::error::{S3Error, S3ErrorCode};

/// Most bytes of trailers, line ends included.
pub const TRAILERS_LEN_BYTES_MAX: usize = 16 << 10;
/// Most trailers that may be declared; S3 knows one checksum at a time.
const DECLARED_MAX: usize = 16;
/// The line that signs the others.
const SIGNATURE: &str = "x-amz-trailer-signature";

/// The names in `x-amz-trailer`.
#[derive(Debug, Default)]
pub(super) struct DeclaredTrailers(Vec<HeaderName>);

impl DeclaredTrailers {
    /// Reads the header, a list of names.
    ///
    /// # Errors
    /// `InvalidRequest` for a name that is not one of S3's checksums, or for too many.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, S3Error> {
        let mut names = Vec::new();
        for value in headers.get_all("x-amz-trailer") {
            for name in value.to_str().unwrap_or("?").split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let name = HeaderName::from_bytes(name.as_bytes())
                    .ok()
                    .filter(|name| name.as_str().starts_with("x-amz-checksum-") && names.len() < DECLARED_MAX)
                    .ok_or_else(|| {
                        S3Error::new(
                            S3ErrorCode::InvalidRequest,
                            "The value specified in the x-amz-trailer header is not supported",
                        )
                    })?;
                names.push(name);
            }
        }
        Ok(Self(names))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Trailers as they are read, line by line.
#[derive(Debug)]
pub(super) struct Trailers {
    declared: DeclaredTrailers,
    read: HeaderMap,
    signature: Option<String>,
    len_bytes: usize,
}

impl Trailers {
    pub(super) fn new(declared: DeclaredTrailers) -> Self {
        Self { declared, read: HeaderMap::new(), signature: None, len_bytes: 0 }
    }

    /// Takes a line that is not empty, without its line end.
    pub(super) fn line(&mut self, line: &[u8], signed: bool) -> Result<(), S3Error> {
        self.len_bytes += line.len() + 2;
        if self.len_bytes > TRAILERS_LEN_BYTES_MAX || self.signature.is_some() {
            return Err(malformed());
        }
        let text = std::str::from_utf8(line).map_err(|_| malformed())?;
        let (name, value) = text.split_once(':').ok_or_else(malformed)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| malformed())?;
        let value = value.trim();
        if name == SIGNATURE && signed {
            self.signature = Some(value.to_owned());
            return Ok(());
        }
        if !self.declared.0.contains(&name) || self.read.contains_key(&name) {
            return Err(malformed());
        }
        self.read.insert(name, HeaderValue::from_str(value).map_err(|_| malformed())?);
        Ok(())
    }

    /// Whether the line that must come last has come.
    pub(super) fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// The signature that was sent, and what it must sign: SHA-256 of `name:value\n`, sorted.
    pub(super) fn signed_hash(&self) -> Option<(&str, [u8; 32])> {
        let mut lines: Vec<String> =
            self.read.iter().map(|(name, value)| format!("{name}:{}\n", value.to_str().unwrap_or_default())).collect();
        lines.sort_unstable();
        Some((self.signature.as_deref()?, sha256(lines.concat().as_bytes())))
    }

    /// The trailers, once every declared one is there.
    pub(super) fn finish(self) -> Result<HeaderMap, S3Error> {
        if self.declared.0.iter().all(|name| self.read.contains_key(name)) { Ok(self.read) } else { Err(malformed()) }
    }
}

pub(super) fn malformed() -> S3Error {
    S3Error::of(S3ErrorCode::MalformedTrailerError)
}
