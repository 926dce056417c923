//! Which objects a rule is about: prefix, tags, size.

use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::xml::{Element, XmlWriter};

/// Longest prefix, in characters, as AWS counts it.
const PREFIX_LEN_MAX: usize = 1024;
/// Longest key and value of a tag.
const TAG_KEY_LEN_MAX: usize = 128;
const TAG_VALUE_LEN_MAX: usize = 256;

/// All that is named must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Written as `Prefix` of the rule itself, as before 2016.
    legacy: bool,
    prefix: Option<String>,
    tags: Vec<(String, String)>,
    larger_than: Option<u64>,
    smaller_than: Option<u64>,
}

/// What a filter asks of an object.
pub struct Facts<'o> {
    /// Its key.
    pub key: &'o str,
    /// Plaintext bytes.
    pub size_bytes: u64,
    /// Its tags; only read if a filter asks.
    pub tags: &'o [(String, String)],
}

impl Filter {
    /// What keys must begin with; empty if with anything.
    pub fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or("")
    }

    /// Whether it asks for tags.
    pub fn wants_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    /// Whether it asks for a size.
    pub fn wants_size(&self) -> bool {
        self.larger_than.is_some() || self.smaller_than.is_some()
    }

    /// Whether the object is one of those that it is about.
    pub fn holds(&self, object: &Facts<'_>) -> bool {
        self.holds_without_tags(object.key, object.size_bytes)
            && self.tags.iter().all(|wanted| object.tags.contains(wanted))
    }

    /// As [`holds`](Self::holds), as far as it can be told without the tags.
    pub fn holds_without_tags(&self, key: &str, size_bytes: u64) -> bool {
        key.starts_with(self.prefix())
            && self.larger_than.is_none_or(|limit| size_bytes > limit)
            && self.smaller_than.is_none_or(|limit| size_bytes < limit)
    }

    /// Reads `Filter` or `Prefix` of a rule, of which there must be one.
    pub(super) fn parse(rule: &Element) -> Result<Self, S3Error> {
        match (rule.child("Filter"), rule.child("Prefix")) {
            (Some(filter), None) => {
                let mut parsed = Self::default();
                for child in &filter.children {
                    match child.name.as_str() {
                        "And" => {
                            if child.children.len() < 2 && filter.children.len() < 2 {
                                return Err(malformed());
                            }
                            for child in &child.children {
                                parsed.add(child)?;
                            }
                        }
                        _ => parsed.add(child)?,
                    }
                }
                parsed.check()?;
                Ok(parsed)
            }
            (None, Some(prefix)) => {
                let parsed = Self { legacy: true, prefix: Some(prefix.text.clone()), ..Self::default() };
                parsed.check()?;
                Ok(parsed)
            }
            _ => Err(malformed()),
        }
    }

    fn add(&mut self, element: &Element) -> Result<(), S3Error> {
        let size = || element.text.trim().parse::<u64>().map_err(|_| malformed());
        match element.name.as_str() {
            "Prefix" => {
                // Beside `And` there may be another: both must hold, so one must begin with the other.
                let (new, old) = (element.text.as_str(), self.prefix.as_deref().unwrap_or(""));
                if !new.starts_with(old) && !old.starts_with(new) {
                    return Err(malformed());
                }
                self.prefix = Some(if new.len() > old.len() { new } else { old }.to_owned());
            }
            "ObjectSizeGreaterThan" if self.larger_than.is_none() => self.larger_than = Some(size()?),
            "ObjectSizeLessThan" if self.smaller_than.is_none() => self.smaller_than = Some(size()?),
            "Tag" => {
                let text = |name| element.child(name).map(|child| child.text.clone()).ok_or_else(malformed);
                let (key, value) = (text("Key")?, text("Value")?);
                let fits =
                    (1..=TAG_KEY_LEN_MAX).contains(&key.chars().count()) && value.chars().count() <= TAG_VALUE_LEN_MAX;
                if !fits {
                    return Err(S3Error::of(S3ErrorCode::InvalidTag));
                }
                if self.tags.iter().any(|(other, _)| *other == key) {
                    return Err(invalid("Duplicate Tag Keys are not allowed."));
                }
                self.tags.push((key, value));
            }
            _ => return Err(malformed()),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), S3Error> {
        if self.prefix().chars().count() > PREFIX_LEN_MAX {
            return Err(invalid("The maximum size of a prefix is 1024."));
        }
        match (self.larger_than, self.smaller_than) {
            (Some(larger), Some(smaller)) if larger >= smaller => {
                Err(invalid("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'."))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn write(&self, doc: &mut XmlWriter) {
        if self.legacy {
            doc.element("Prefix", self.prefix());
            return;
        }
        let named = usize::from(self.prefix.is_some())
            + self.tags.len()
            + usize::from(self.larger_than.is_some())
            + usize::from(self.smaller_than.is_some());
        doc.open("Filter");
        if named > 1 {
            doc.open("And");
        }
        doc.element_if("Prefix", self.prefix.as_deref());
        for (key, value) in &self.tags {
            doc.open("Tag");
            doc.element("Key", key);
            doc.element("Value", value);
            doc.close("Tag");
        }
        for (name, limit) in [("ObjectSizeGreaterThan", self.larger_than), ("ObjectSizeLessThan", self.smaller_than)] {
            if let Some(limit) = limit {
                doc.value(name, limit);
            }
        }
        if named > 1 {
            doc.close("And");
        }
        doc.close("Filter");
    }
}

fn malformed() -> S3Error {
    S3Error::of(S3ErrorCode::MalformedXml)
}

fn invalid(message: &'static str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidRequest, message)
}
