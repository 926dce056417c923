//! Lists by pages: `MaxItems`, `Marker`, `IsTruncated`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Iam;
use crate::query_api::ApiError;
use crate::s3::xml::XmlWriter;

/// Items of a page whose client names no number, as on AWS.
const ITEMS_DEFAULT: usize = 100;
/// Most items of a page.
const ITEMS_MAX: usize = 1000;

/// What of a list is answered.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next page begins, if there is one.
    marker: Option<String>,
}

impl Iam<'_> {
    /// The page of a list that the request asks for. The list is in the order of its names, each there
    /// once: what comes or goes between two pages moves nothing else.
    pub(super) fn page<T>(&self, list: impl IntoIterator<Item = (String, T)>) -> Result<Page<T>, ApiError> {
        page(self.form.non_empty("MaxItems"), self.form.non_empty("Marker"), list)
    }
}

impl<T> Page<T> {
    /// Ends the list.
    pub(super) fn end(&self, doc: &mut XmlWriter) {
        doc.value("IsTruncated", self.marker.is_some());
        doc.element_if("Marker", self.marker.as_deref());
    }
}

fn page<T>(
    items_max: Option<&str>,
    marker: Option<&str>,
    list: impl IntoIterator<Item = (String, T)>,
) -> Result<Page<T>, ApiError> {
    let items_max = match items_max.map(str::parse) {
        None => ITEMS_DEFAULT,
        Some(Ok(number)) if (1..=ITEMS_MAX).contains(&number) => number,
        Some(_) => return Err(ApiError::validation(format!("MaxItems must be 1 to {ITEMS_MAX}."))),
    };
    let after = match marker {
        None => None,
        Some(marker) => {
            let name = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|name| String::from_utf8(name).ok());
            Some(name.ok_or_else(|| ApiError::validation("Invalid Marker."))?)
        }
    };
    let mut rest = list.into_iter().filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
    let mut items = Vec::new();
    let mut last = String::new();
    for (name, item) in rest.by_ref().take(items_max) {
        items.push(item);
        last = name;
    }
    let marker = rest.next().map(|_| URL_SAFE_NO_PAD.encode(last));
    Ok(Page { items, marker })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_up_whatever_goes_between_them() {
        let names = |without: &str| {
            let all = ["a", "b", "c", "d", "e"].into_iter().filter(move |name| *name != without);
            all.map(|name| (name.to_owned(), name)).collect::<Vec<_>>()
        };
        let first = page(Some("2"), None, names("")).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let second = page(Some("2"), first.marker.as_deref(), names("b")).unwrap();
        assert_eq!(second.items, ["c", "d"]);
        let third = page(Some("2"), second.marker.as_deref(), names("")).unwrap();
        assert_eq!((third.items, third.marker), (vec!["e"], None));
        assert_eq!(page(Some("5"), None, names("")).unwrap().marker, None);
        for (items, marker) in [("0", None), ("1001", None), ("x", None), ("1", Some("*"))] {
            assert!(page(Some(items), marker, names("")).is_err(), "{items}");
        }
    }
}
