//! The query of a request, decoded.

use percent_encoding::percent_decode;

use crate::s3::error::{S3Error, S3ErrorCode};

/// Most parameters in one query; S3's own operations need fewer than twenty.
const QUERY_PARAMETERS_MAX: usize = 100;
/// Most parameters of a form: fifty tags, or a hundred audiences, and what goes with them.
const FORM_PARAMETERS_MAX: usize = 300;

/// A decoded multimap of query parameters, in the order sent.
///
/// Presigned requests carry credentials here: never log it, and it has no `Debug` of its values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `a=b&c`: `%XX` once, `+` as a space. A name without `=` has an empty value.
    ///
    /// # Errors
    /// `InvalidURI` if a part is not UTF-8 once decoded or there are too many.
    pub fn parse(text: &str) -> Result<Self, S3Error> {
        Self::parse_up_to(text, QUERY_PARAMETERS_MAX)
    }

    /// Decodes a form, which is written as a query is and may have more parameters.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub fn parse_form(text: &str) -> Result<Self, S3Error> {
        Self::parse_up_to(text, FORM_PARAMETERS_MAX)
    }

    fn parse_up_to(text: &str, most: usize) -> Result<Self, S3Error> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == most {
                return Err(S3Error::new(S3ErrorCode::InvalidUri, "The query has too many parameters."));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self { pairs })
    }

    /// The first value of a parameter; names are case-sensitive.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// As [`Query::get`], but an empty value counts as absent.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Whether a parameter is there, with or without a value.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Takes a parameter out, wherever it is.
    pub fn remove(&mut self, name: &str) {
        self.pairs.retain(|(n, _)| n != name);
    }

    /// All parameters in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Query({} parameters)", self.pairs.len())
    }
}

fn decode(text: &str) -> Result<String, S3Error> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(text.to_owned());
    }
    let spaced: Vec<u8> = text.bytes().map(|b| if b == b'+' { b' ' } else { b }).collect();
    let decoded = percent_decode(&spaced).decode_utf8().map_err(|_| S3Error::of(S3ErrorCode::InvalidUri))?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_once() {
        let query = Query::parse("prefix=a%2Fb+c%2B&delimiter=%2F&uploads&list-type=2&&x=1&x=2").unwrap();
        assert_eq!(query.get("prefix"), Some("a/b c+"));
        assert_eq!(query.get("delimiter"), Some("/"));
        assert_eq!(query.get("uploads"), Some(""));
        assert_eq!(query.non_empty("uploads"), None);
        assert_eq!(query.get("x"), Some("1"));
        assert!(!query.contains("Prefix"));
    }

    #[test]
    fn bytes_that_are_not_utf_8_and_floods_are_refused() {
        assert_eq!(Query::parse("a=%FF").unwrap_err().code, S3ErrorCode::InvalidUri);
        assert_eq!(Query::parse(&"a&".repeat(101)).unwrap_err().code, S3ErrorCode::InvalidUri);
    }

    #[test]
    fn debug_shows_no_value() {
        let query = Query::parse("X-Amz-Signature=abcd").unwrap();
        assert!(!format!("{query:?}").contains("abcd"));
    }
}
