//! The URL of an issuer, and of what it points to.

use std::net::IpAddr;

use http::Uri;

/// Longest URL of a provider, as on AWS.
const URL_LEN_MAX: usize = 255;

/// Whether issuers on this machine are asked, in the clear if their URL says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalIssuers {
    /// They are: the server is for trying things out.
    Asked,
    /// No address of this machine or its link is.
    Refused,
}

/// A URL that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl {
    uri: Uri,
    host: String,
}

/// Why a URL is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerUrlError {
    /// It is no URL, or too long.
    #[error("it is not a URL of up to 255 characters")]
    Malformed,
    /// It is in the clear, or something else.
    #[error("it must begin with https://")]
    Scheme,
    /// It has a user, a query or a fragment.
    #[error("it must have no user, query or fragment")]
    Parts,
}

impl IssuerUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`IssuerUrlError`].
    pub fn parse(text: &str, local: LocalIssuers) -> Result<Self, IssuerUrlError> {
        let plain = text.len() <= URL_LEN_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        let uri: Uri = text.parse().ok().filter(|_| plain).ok_or(IssuerUrlError::Malformed)?;
        let authority = uri.authority().ok_or(IssuerUrlError::Malformed)?.as_str();
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if local == LocalIssuers::Asked => {}
            _ => return Err(IssuerUrlError::Scheme),
        }
        if authority.contains('@') || uri.query().is_some() || text.contains('#') {
            return Err(IssuerUrlError::Parts);
        }
        let host = uri.host().map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned());
        let host = host.filter(|host| !host.is_empty()).ok_or(IssuerUrlError::Malformed)?;
        Ok(Self { uri, host })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// For the Host header.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", http::uri::Authority::as_str)
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }
}

/// Whether an address may be asked: a name may lead anywhere, so the address decides.
pub(super) fn may_ask(address: IpAddr, local: LocalIssuers) -> bool {
    let here = match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast(),
    };
    local == LocalIssuers::Asked || !here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_https_urls_are_asked() {
        let parse =
            |text: &str| IssuerUrl::parse(text, LocalIssuers::Refused).map(|url| (url.host().to_owned(), url.port()));
        assert_eq!(parse("https://idp.example/realms/x"), Ok(("idp.example".into(), 443)));
        assert_eq!(parse("https://[2001:db8::1]:8443"), Ok(("2001:db8::1".into(), 8443)));
        assert_eq!(parse("http://idp.example"), Err(IssuerUrlError::Scheme));
        assert_eq!(parse("file:///etc/passwd"), Err(IssuerUrlError::Malformed));
        assert_eq!(parse("https://user:pw@idp.example"), Err(IssuerUrlError::Parts));
        assert_eq!(parse("https://idp.example/?a=b"), Err(IssuerUrlError::Parts));
        for bad in ["", "idp.example", "/x", "https://", "https://a b", &format!("https://{}", "a".repeat(255))] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(IssuerUrl::parse("http://127.0.0.1:8080/x", LocalIssuers::Asked).is_ok());
    }

    #[test]
    fn no_address_of_this_machine_is_asked() {
        let asked = |text: &str| may_ask(text.parse().unwrap(), LocalIssuers::Refused);
        for bad in ["127.0.0.1", "127.9.9.9", "169.254.169.254", "0.0.0.0", "::1", "::", "fe80::1", "::ffff:127.0.0.1"]
        {
            assert!(!asked(bad), "{bad}");
        }
        assert!(asked("10.1.2.3") && asked("203.0.113.7") && asked("2001:db8::1"));
        assert!(may_ask("127.0.0.1".parse().unwrap(), LocalIssuers::Asked));
    }
}
