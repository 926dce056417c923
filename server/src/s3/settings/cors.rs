//! CORS rules of a bucket: which origins' scripts may read its answers.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html>

use bytes::Bytes;
use chartrier_storage::namespace::bucket_config::BucketConfigKind;

use crate::s3::bucket_config::BucketDocument;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::xml::{Element, XmlWriter};

/// Most rules of a bucket.
pub const RULES_MAX: usize = 100;
/// Longest document that a client may send.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// Longest id of a rule.
const ID_LEN_MAX: usize = 255;

const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// The rules of one bucket, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsRules {
    rules: Vec<CorsRule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsRule {
    id: Option<String>,
    methods: Vec<String>,
    origins: Vec<String>,
    headers: Vec<String>,
    expose: Vec<String>,
    max_age_seconds: Option<u32>,
}

/// A rule that allows a request, and what to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed<'r> {
    rule: &'r CorsRule,
    /// Whether the origin matched the pattern `*`, which allows no credentials.
    pub any_origin: bool,
}

impl CorsRules {
    /// Reads and validates what a client sent.
    ///
    /// # Errors
    /// `MalformedXML`, `InvalidRequest` in AWS's words.
    pub fn parse(document: &[u8]) -> Result<Self, S3Error> {
        let root = Element::parse(document, "CORSConfiguration")?;
        let rules = root.children.iter().map(CorsRule::parse).collect::<Result<Vec<_>, _>>()?;
        if rules.is_empty() {
            return Err(S3Error::of(S3ErrorCode::MalformedXml));
        }
        if rules.len() > RULES_MAX {
            return Err(S3Error::new(
                S3ErrorCode::InvalidRequest,
                format!("The number of CORS rules should not exceed allowed limit of {RULES_MAX} rules."),
            ));
        }
        Ok(Self { rules })
    }

    /// The document that is stored and answered.
    pub fn write(&self) -> Bytes {
        let mut doc = XmlWriter::new();
        doc.open_root("CORSConfiguration");
        for rule in &self.rules {
            doc.open("CORSRule");
            doc.element_if("ID", rule.id.as_deref());
            let lists = [
                ("AllowedOrigin", &rule.origins),
                ("AllowedMethod", &rule.methods),
                ("AllowedHeader", &rule.headers),
                ("ExposeHeader", &rule.expose),
            ];
            for (name, values) in lists {
                for value in values {
                    doc.element(name, value);
                }
            }
            if let Some(seconds) = rule.max_age_seconds {
                doc.value("MaxAgeSeconds", seconds);
            }
            doc.close("CORSRule");
        }
        doc.close("CORSConfiguration");
        doc.finish()
    }

    /// The first rule that allows this origin, method and set of request headers.
    pub fn find<'r>(&'r self, origin: &str, method: &str, headers: &[&str]) -> Option<Allowed<'r>> {
        self.rules.iter().find_map(|rule| {
            let pattern = rule.origins.iter().find(|pattern| matches(pattern, origin))?;
            let method_allowed = rule.methods.iter().any(|allowed| allowed == method);
            let headers_allowed = headers.iter().all(|header| {
                let header = header.to_ascii_lowercase();
                rule.headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &header))
            });
            (method_allowed && headers_allowed).then_some(Allowed { rule, any_origin: pattern == "*" })
        })
    }
}

impl Allowed<'_> {
    /// Methods of the rule, for `Access-Control-Allow-Methods`.
    pub fn methods(&self) -> String {
        self.rule.methods.join(", ")
    }

    /// Headers that scripts may read, for `Access-Control-Expose-Headers`; `None` if there are none.
    pub fn expose(&self) -> Option<String> {
        (!self.rule.expose.is_empty()).then(|| self.rule.expose.join(", "))
    }

    /// How long a preflight may be kept, for `Access-Control-Max-Age`.
    pub fn max_age_seconds(&self) -> Option<u32> {
        self.rule.max_age_seconds
    }
}

impl CorsRule {
    fn parse(element: &Element) -> Result<Self, S3Error> {
        let malformed = || S3Error::of(S3ErrorCode::MalformedXml);
        if element.name != "CORSRule" {
            return Err(malformed());
        }
        let mut rule = Self {
            id: None,
            methods: Vec::new(),
            origins: Vec::new(),
            headers: Vec::new(),
            expose: Vec::new(),
            max_age_seconds: None,
        };
        for child in &element.children {
            let text = child.text.trim().to_owned();
            match child.name.as_str() {
                "ID" if rule.id.is_none() && text.chars().count() <= ID_LEN_MAX => rule.id = Some(text),
                "AllowedMethod" => rule.methods.push(method(text)?),
                "AllowedOrigin" => rule.origins.push(pattern("AllowedOrigin", text)?),
                "AllowedHeader" => rule.headers.push(pattern("AllowedHeader", text)?),
                "ExposeHeader" => rule.expose.push(exposed(text)?),
                "MaxAgeSeconds" if rule.max_age_seconds.is_none() => {
                    rule.max_age_seconds = Some(text.parse().map_err(|_| malformed())?);
                }
                _ => return Err(malformed()),
            }
        }
        if rule.methods.is_empty() || rule.origins.is_empty() {
            return Err(malformed());
        }
        Ok(rule)
    }
}

impl BucketDocument for CorsRules {
    const KIND: BucketConfigKind = BucketConfigKind::Cors;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        Self::parse(document).map_err(S3Error::internal)
    }
}

fn method(text: String) -> Result<String, S3Error> {
    if METHODS.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(S3Error::new(
        S3ErrorCode::InvalidRequest,
        format!("Found unsupported HTTP method in CORS config. Unsupported method is {text}"),
    ))
}

fn pattern(name: &str, text: String) -> Result<String, S3Error> {
    if text.is_empty() || !is_header_text(&text) {
        return Err(S3Error::of(S3ErrorCode::MalformedXml));
    }
    if text.matches('*').count() > 1 {
        let message = format!("{name} \"{text}\" can not have more than one wildcard.");
        return Err(S3Error::new(S3ErrorCode::InvalidRequest, message));
    }
    Ok(text)
}

/// A header that scripts may read goes into an answer's head as it is.
fn exposed(text: String) -> Result<String, S3Error> {
    if text.contains('*') {
        let message = format!(
            "ExposeHeader \"{text}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
        );
        return Err(S3Error::new(S3ErrorCode::InvalidRequest, message));
    }
    if http::HeaderName::from_bytes(text.as_bytes()).is_err() {
        let message = format!("ExposeHeader \"{text}\" contains invalid character.");
        return Err(S3Error::new(S3ErrorCode::InvalidRequest, message));
    }
    Ok(text)
}

fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a pattern with at most one `*` covers the whole text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(inside: &str) -> Result<CorsRules, (S3ErrorCode, String)> {
        CorsRules::parse(format!("<CORSConfiguration>{inside}</CORSConfiguration>").as_bytes())
            .map_err(|error| (error.code, error.message.into_owned()))
    }

    fn one(inside: &str) -> Result<CorsRules, (S3ErrorCode, String)> {
        rules(&format!(
            "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>http://a</AllowedOrigin>{inside}</CORSRule>"
        ))
    }

    #[test]
    fn what_is_written_reads_back() {
        let parsed = one("<ID>x&lt;</ID><AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-*</AllowedHeader>\
                          <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds>")
        .unwrap();
        assert_eq!(CorsRules::from_stored(&parsed.write()).unwrap(), parsed);
    }

    #[test]
    fn what_aws_refuses_is_refused_in_its_words() {
        use S3ErrorCode::{InvalidRequest, MalformedXml};
        let refused = |inside: &str, code, text: &str| {
            let (got, message) = one(inside).unwrap_err();
            assert_eq!(got, code, "{inside}");
            assert!(message.contains(text), "{message}");
        };
        refused("<AllowedMethod>OPTIONS</AllowedMethod>", InvalidRequest, "Unsupported method is OPTIONS");
        refused("<AllowedMethod>get</AllowedMethod>", InvalidRequest, "Unsupported method is get");
        refused("<AllowedOrigin>*.a.*</AllowedOrigin>", InvalidRequest, "can not have more than one wildcard");
        refused("<AllowedHeader>*a*</AllowedHeader>", InvalidRequest, "AllowedHeader \"*a*\"");
        refused("<ExposeHeader>x-*</ExposeHeader>", InvalidRequest, "wildcard for ExposeHeader");
        refused("<ExposeHeader>a\r\nb</ExposeHeader>", InvalidRequest, "invalid character");
        refused("<MaxAgeSeconds>-1</MaxAgeSeconds>", MalformedXml, "");
        refused("<Other/>", MalformedXml, "");
        refused(&format!("<ID>{}</ID>", "i".repeat(256)), MalformedXml, "");
        for inside in [
            "",
            "<CORSRule/>",
            "<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>",
            "<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>",
            "<Rule/>",
        ] {
            assert_eq!(rules(inside).unwrap_err().0, MalformedXml, "{inside}");
        }
        let rule = "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>";
        assert!(rules(&rule.repeat(100)).is_ok());
        assert_eq!(rules(&rule.repeat(101)).unwrap_err().0, InvalidRequest);
    }

    #[test]
    fn the_first_rule_that_allows_all_three_is_taken() {
        let rules = rules(
            "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>http://*.fr</AllowedOrigin>\
             <AllowedHeader>X-Amz-*</AllowedHeader></CORSRule>\
             <CORSRule><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>\
             <AllowedOrigin>*</AllowedOrigin></CORSRule>",
        )
        .unwrap();
        let find = |origin, method, headers: &[&str]| {
            rules.find(origin, method, headers).map(|allowed| (allowed.methods(), allowed.any_origin))
        };
        let (first, second) = (("GET".to_owned(), false), ("GET, PUT".to_owned(), true));
        assert_eq!(find("http://a.fr", "GET", &["x-amz-date"]), Some(first.clone()));
        assert_eq!(find("http://a.fr", "GET", &[]), Some(first));
        assert_eq!(find("http://a.de", "GET", &[]), Some(second.clone()));
        assert_eq!(find("http://a.fr", "PUT", &[]), Some(second));
        assert_eq!(find("http://a.fr", "PUT", &["x-amz-date"]), None);
        assert_eq!(find("http://a.fr", "DELETE", &[]), None);
    }

    #[test]
    fn a_wildcard_covers_any_text_once() {
        assert!(matches("*", "") && matches("start*end", "startend") && matches("a*", "a"));
        assert!(!matches("ab*bc", "abc") && !matches("*.fr", "http://a.fr.de") && !matches("a", "ab"));
    }
}
