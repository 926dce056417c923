//! A target of notifications, as the configuration names it: where to, with which token, trusting whom.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderValue, Uri};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::config::NotificationTarget;
use crate::trust::{self, TrustError};

/// Longest token that a file may hold.
const TOKEN_BYTES_MAX: usize = 4096;

/// A target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is none, or of a scheme that is not spoken.
    #[error("notification target {name}: the URL must be http:// or https:// with a host")]
    Url {
        /// Which target.
        name: String,
    },
    /// A token or events would travel in clear.
    #[error("notification target {name}: plain http is for this machine only; say plain_http = true if that is meant")]
    Clear {
        /// Which target.
        name: String,
    },
    /// A file cannot be read.
    #[error("notification target {name}: cannot read {path}")]
    File {
        /// Which target.
        name: String,
        /// Which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The token is empty, too long, or no text that a header can carry.
    #[error("notification target {name}: {path} holds no bearer token")]
    Token {
        /// Which target.
        name: String,
        /// Which file.
        path: PathBuf,
    },
    /// Its certificate could not be judged.
    #[error("notification target {name}: whom to trust cannot be told")]
    Trust {
        /// Which target.
        name: String,
        /// The cause.
        #[source]
        source: TrustError,
    },
}

/// One target, ready to be spoken to.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// As `Host` names it.
    pub(super) authority: HeaderValue,
    pub(super) path: String,
    /// Over TLS, and under which name; `None` in the clear.
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
    /// `Bearer …`, marked so that nothing prints it.
    pub(super) authorization: Option<HeaderValue>,
    /// For one attempt, from the first byte out to the last byte in.
    pub(super) timeout: Duration,
    /// Events in one message.
    pub(super) records_max: usize,
}

impl Target {
    pub(super) fn open(config: &NotificationTarget) -> Result<Self, TargetError> {
        let name = config.name.clone();
        let wrong = || TargetError::Url { name: name.clone() };
        let uri: Uri = config.url.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(host), Some(authority)) = (uri.scheme_str(), uri.host(), uri.authority()) else {
            return Err(wrong());
        };
        if authority.as_str().contains('@') {
            // A password in a URL ends in logs: the token has a file of its own.
            return Err(wrong());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match scheme {
            "http" if config.plain_http || is_loopback(&host) => None,
            "http" => return Err(TargetError::Clear { name }),
            "https" => {
                let server = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
                Some((connector(&name, config.ca_file.as_deref())?, server))
            }
            _ => return Err(wrong()),
        };
        Ok(Self {
            port: uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            authorization: config.bearer_token_file.as_deref().map(|path| bearer(&name, path)).transpose()?,
            timeout: Duration::from_secs(config.timeout_s),
            records_max: config.records_per_message,
            host,
            tls,
            name,
        })
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Reads the token, which the operator keeps in a file of its own so that no configuration shows it.
fn bearer(name: &str, path: &Path) -> Result<HeaderValue, TargetError> {
    let read = fs::read(path).map(Zeroizing::new);
    let bytes = read.map_err(|source| TargetError::File { name: name.to_owned(), path: path.to_owned(), source })?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    let value = Zeroizing::new(format!("Bearer {text}"));
    let mut value = match HeaderValue::from_str(&value) {
        Ok(value) if (1..=TOKEN_BYTES_MAX).contains(&text.len()) => value,
        _ => return Err(TargetError::Token { name: name.to_owned(), path: path.to_owned() }),
    };
    value.set_sensitive(true);
    Ok(value)
}

/// The authorities that the operator names take the place of the system's.
fn connector(name: &str, ca_file: Option<&Path>) -> Result<TlsConnector, TargetError> {
    let connector = match ca_file {
        Some(path) => trust::authorities_of(path).and_then(|named| trust::connector(named, Vec::new())),
        None => trust::connector(Vec::new(), trust::authorities_of_the_system()),
    };
    connector.map_err(|source| TargetError::Trust { name: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Target, TargetError> {
        Target::open(&NotificationTarget { name: "t".into(), url: url.into(), ..NotificationTarget::default() })
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in ["http://127.0.0.1:8080/hook?a=b", "http://localhost/", "http://[::1]:1/"] {
            assert!(open(url).is_ok(), "{url}");
        }
        assert!(matches!(open("http://192.0.2.1/"), Err(TargetError::Clear { .. })));
        for url in ["ftp://127.0.0.1/", "127.0.0.1", "/hook", "", "http://user:secret@127.0.0.1/"] {
            assert!(matches!(open(url), Err(TargetError::Url { .. })), "{url}");
        }
        let target = open("http://127.0.0.1:8080/hook?a=b").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((target.port, target.path.as_str(), target.host.as_str()), (8080, "/hook?a=b", "127.0.0.1"));
    }

    #[test]
    fn a_token_is_read_from_its_file_and_printed_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "s3cret\n").unwrap();
        let value = bearer("t", &path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value.as_bytes(), b"Bearer s3cret");
        assert!(!format!("{value:?}").contains("s3cret"));
        for wrong in ["", "\n", "a\nb"] {
            fs::write(&path, wrong).unwrap();
            assert!(matches!(bearer("t", &path), Err(TargetError::Token { .. })));
        }
        assert!(matches!(bearer("t", &dir.path().join("none")), Err(TargetError::File { .. })));
    }
}
