//! Whom the connections trust that this server makes itself: to webhooks, and to issuers of identities.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// It cannot be said whom to trust. The operator mends it: in the configuration, or in the system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file of authorities cannot be read, or what is in it is no PEM.
    #[error("the authorities in {path} cannot be read")]
    File {
        /// Which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: pem::Error,
    },
    /// A file of authorities holds none.
    #[error("there is no certificate in {path}")]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// Nobody would be trusted.
    #[error("the system trusts no authority; name one by ca_file")]
    Nobody,
    /// A certificate is none, or TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// The authorities that an operator names: each certificate of a PEM file, one at least.
///
/// # Errors
/// [`TrustError::File`], [`TrustError::NoCertificate`].
pub fn authorities_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let wrong = |source| TrustError::File { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(wrong)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if certificates.is_empty() {
        return Err(TrustError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// The authorities that the system trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. What cannot be
/// read of them is logged. Reads files.
pub fn authorities_of_the_system() -> Vec<CertificateDer<'static>> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some of the system's trusted certificates cannot be read");
    }
    system.certs
}

/// TLS that trusts the `named` authorities, each of which must be one, and those of the system that are.
/// It speaks HTTP/1.1.
///
/// # Errors
/// [`TrustError::Nobody`] if there is none, [`TrustError::Tls`].
pub fn connector(
    named: Vec<CertificateDer<'static>>,
    system: Vec<CertificateDer<'static>>,
) -> Result<TlsConnector, TrustError> {
    let mut roots = RootCertStore::empty();
    named.into_iter().try_for_each(|certificate| roots.add(certificate))?;
    roots.add_parsable_certificates(system);
    if roots.is_empty() {
        return Err(TrustError::Nobody);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(matches!(authorities_of(&path), Err(TrustError::File { .. })));
        std::fs::write(&path, "no certificate\n").unwrap();
        assert!(matches!(authorities_of(&path), Err(TrustError::NoCertificate { .. })));
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(matches!(authorities_of(&path), Err(TrustError::File { .. })));
        // PEM of something that is no certificate.
        std::fs::write(&path, broken.replace('!', "AAAA")).unwrap();
        assert!(matches!(connector(authorities_of(&path).unwrap(), Vec::new()), Err(TrustError::Tls(_))));
        assert!(matches!(connector(Vec::new(), Vec::new()), Err(TrustError::Nobody)));
    }
}
