//! The server's certificate: given in the configuration, or signed by a CA that the server makes.
//!
//! The CA is made once, in `DATA/tls`: `ca.pem` is what clients are told to trust. The server's own
//! certificate is made anew at each start and long before it expires; given files are read again
//! when they change. Connections that are open keep what they began with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::{self, kx_group};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig, version};

use crate::config::TlsConfig;
use crate::identity::keyring::write_private;

/// How long the self-made certificate of the server holds.
const LEAF_DAYS: i64 = 397;
/// When it is made anew by a server that runs on.
const LEAF_RENEW_DAYS: u64 = 300;
const DAY_US: u64 = 86_400 * 1_000_000;
/// How long the CA holds.
const CA_DAYS: i64 = 3650;
const CA_NAME: &str = "Chartrier local CA";

/// There is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot read or write {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file holds no certificate or key.
    #[error("{path} holds no PEM certificate or key")]
    Pem {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// Certificate and key do not fit.
    #[error("the certificate cannot be used")]
    Use(#[from] rustls::Error),
}

/// The certificate that new connections are served with.
pub struct Certificates {
    config: TlsConfig,
    data: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    version: Mutex<Version>,
}

/// What a loaded certificate was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// When the files of certificate and key were last changed.
    Given(SystemTime, SystemTime),
    /// When it is to be made anew.
    SelfMade { renew_us: u64 },
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Certificates {
    /// Reads or makes the certificate.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(config: &TlsConfig, data: &Path, now_us: u64) -> Result<Self, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        // The hybrid group first: SSE-C keys travel inside TLS, and a recording must stay closed.
        provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        let provider = Arc::new(provider);
        let version = version_of(config, now_us)?;
        let current = Arc::new(Current(ArcSwap::new(load(config, data, now_us, &provider)?)));
        Ok(Self { config: config.clone(), data: data.to_owned(), provider, current, version: Mutex::new(version) })
    }

    /// What turns a TCP stream into a TLS stream, with the certificate of the moment.
    ///
    /// # Errors
    /// [`TlsError::Use`].
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(server)))
    }

    /// Takes a certificate that has changed on disk, or makes the next one when it is time. True if so.
    ///
    /// Reads files: not for a runtime thread.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate of before is served on. Certificate and key that are replaced one
    /// after the other do not fit in between: the next call takes both.
    pub fn renew(&self, now_us: u64) -> Result<bool, TlsError> {
        let mut loaded = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let version = version_of(&self.config, now_us)?;
        let due = match *loaded {
            Version::Given(..) => *loaded != version,
            Version::SelfMade { renew_us } => renew_us <= now_us,
        };
        if due {
            self.current.0.store(load(&self.config, &self.data, now_us, &self.provider)?);
            *loaded = version;
        }
        Ok(due)
    }
}

fn version_of(config: &TlsConfig, now_us: u64) -> Result<Version, TlsError> {
    let changed = |path: &Path| {
        let read = fs::metadata(path).and_then(|metadata| metadata.modified());
        read.map_err(|source| TlsError::Io { path: path.to_owned(), source })
    };
    match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => Ok(Version::Given(changed(certificate)?, changed(key)?)),
        _ => Ok(Version::SelfMade { renew_us: now_us.saturating_add(LEAF_RENEW_DAYS * DAY_US) }),
    }
}

fn load(
    config: &TlsConfig,
    data: &Path,
    now_us: u64,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let (chain, key) = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => given(certificate, key)?,
        _ => self_made(&data.join("tls"), now_us)?,
    };
    Ok(Arc::new(CertifiedKey::from_der(chain, key, provider)?))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn given(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |_| TlsError::Pem { path }
    };
    let read = |path: &Path| fs::read(path).map_err(|source| TlsError::Io { path: path.to_owned(), source });
    let chain =
        CertificateDer::pem_slice_iter(&read(certificate)?).collect::<Result<Vec<_>, _>>().map_err(pem(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Pem { path: certificate.to_owned() });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(pem(key))?;
    Ok((chain, key))
}

fn self_made(dir: &Path, now_us: u64) -> Result<Identity, TlsError> {
    let now = OffsetDateTime::from_unix_timestamp(i64::try_from(now_us / 1_000_000).unwrap_or(0))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let ca_key = ca_key(dir, now)?;
    let issuer = Issuer::new(ca_params(now), &ca_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "*.localhost".to_owned()])?;
    for address in [std::net::Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()] {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.distinguished_name = named("Chartrier");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(LEAF_DAYS);
    let certificate = params.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|_| TlsError::Pem { path: dir.join("the server's key") })?;
    Ok((vec![certificate.der().clone()], key))
}

/// Reads the CA's key, or makes CA and key.
fn ca_key(dir: &Path, now: OffsetDateTime) -> Result<KeyPair, TlsError> {
    let (key_path, certificate_path) = (dir.join("ca.key"), dir.join("ca.pem"));
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Io { path, source }
    };
    if certificate_path.exists() {
        let pem = zeroize::Zeroizing::new(fs::read_to_string(&key_path).map_err(io(&key_path))?);
        return Ok(KeyPair::from_pem(&pem)?);
    }
    let key = KeyPair::generate()?;
    let certificate = ca_params(now).self_signed(&key)?;
    let pem = zeroize::Zeroizing::new(key.serialize_pem());
    write_private(&key_path, pem.as_bytes()).map_err(io(&key_path))?;
    // Last, because it is what says that the CA exists. Clients other than us read it.
    write_private(&certificate_path, certificate.pem().as_bytes()).map_err(io(&certificate_path))?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&certificate_path, readable).map_err(io(&certificate_path))?;
    Ok(key)
}

fn ca_params(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(CA_DAYS);
    params
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 1_795_322_747_000_000;

    fn served(certificates: &Certificates) -> Vec<u8> {
        certificates.current.0.load().cert[0].to_vec()
    }

    #[test]
    fn the_ca_is_made_once_and_its_key_is_private() {
        use std::os::unix::fs::MetadataExt as _;
        let data = tempfile::tempdir().unwrap();
        Certificates::open(&TlsConfig::default(), data.path(), NOW_US).unwrap();
        let ca = fs::read(data.path().join("tls/ca.pem")).unwrap();
        Certificates::open(&TlsConfig::default(), data.path(), NOW_US + DAY_US).unwrap();
        assert_eq!(fs::read(data.path().join("tls/ca.pem")).unwrap(), ca);
        assert_eq!(fs::metadata(data.path().join("tls/ca.key")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_servers_own_certificate_is_made_anew_before_it_expires() {
        let data = tempfile::tempdir().unwrap();
        let certificates = Certificates::open(&TlsConfig::default(), data.path(), NOW_US).unwrap();
        let first = served(&certificates);
        assert!(!certificates.renew(NOW_US + 299 * DAY_US).unwrap());
        assert_eq!(served(&certificates), first);
        assert!(certificates.renew(NOW_US + 301 * DAY_US).unwrap());
        assert_ne!(served(&certificates), first);
    }

    #[test]
    fn a_certificate_that_changes_on_disk_is_taken_and_a_bad_one_is_not() {
        let data = tempfile::tempdir().unwrap();
        let config = TlsConfig { certificate: Some(data.path().join("c.pem")), key: Some(data.path().join("k.pem")) };
        let write = |seconds: u64, certificate: &str, key: &str| {
            for (path, text) in [(&config.certificate, certificate), (&config.key, key)] {
                let path = path.as_ref().unwrap();
                fs::write(path, text).unwrap();
                let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
                fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
            }
        };
        let made = || {
            let key = KeyPair::generate().unwrap();
            let certificate = ca_params(OffsetDateTime::UNIX_EPOCH).self_signed(&key).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        let ((one, one_key), (two, two_key)) = (made(), made());
        write(1000, &one, &one_key);
        let certificates = Certificates::open(&config, data.path(), NOW_US).unwrap();
        let first = served(&certificates);
        assert!(!certificates.renew(NOW_US).unwrap());
        // The new certificate is there, its key is not yet.
        write(2000, &two, &one_key);
        assert!(certificates.renew(NOW_US).is_err());
        assert_eq!(served(&certificates), first);
        write(2001, &two, &two_key);
        assert!(certificates.renew(NOW_US).unwrap());
        assert_ne!(served(&certificates), first);
        assert!(!certificates.renew(NOW_US).unwrap());
    }
}
