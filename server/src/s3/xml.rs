//! XML out and in: a writer for answers, a bounded reader for request bodies.

use bytes::Bytes;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::response::XML_DECLARATION;

/// The namespace of S3's documents.
pub const S3_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Deepest nesting that a request body may have; S3's own need five.
pub const XML_DEPTH_MAX: usize = 16;
/// Most elements in a request body; Complete with 10,000 parts of all their checksums needs 80,000.
pub const XML_ELEMENTS_MAX: usize = 200_000;

/// Writes an XML document from top to bottom.
#[derive(Debug)]
pub struct XmlWriter {
    text: String,
}

impl XmlWriter {
    /// Begins with the XML declaration.
    #[expect(clippy::new_without_default, reason = "an empty document is not a useful default")]
    pub fn new() -> Self {
        let mut text = String::with_capacity(1024);
        text.push_str(XML_DECLARATION);
        Self { text }
    }

    /// Begins without a declaration: what is written goes into another document.
    pub fn new_fragment() -> Self {
        Self { text: String::new() }
    }

    /// Appends a fragment.
    pub fn append(&mut self, fragment: Self) {
        self.text.push_str(&fragment.text);
    }

    /// Opens the root element with S3's namespace.
    pub fn open_root(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push_str(" xmlns=\"");
        self.text.push_str(S3_NAMESPACE);
        self.text.push_str("\">");
    }

    /// Opens an element.
    pub fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    /// Opens an element with attributes, written as they are.
    pub fn open_with(&mut self, name: &str, attributes: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push(' ');
        self.text.push_str(attributes);
        self.text.push('>');
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// Text of the open element, escaped.
    pub fn text(&mut self, text: &str) {
        escape_into(&mut self.text, text);
    }

    /// An element with text, escaped.
    pub fn element(&mut self, name: &str, text: &str) {
        self.open(name);
        escape_into(&mut self.text, text);
        self.close(name);
    }

    /// An element with text, if there is some.
    pub fn element_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.element(name, text);
        }
    }

    /// An element with what `value` displays: numbers and booleans.
    pub fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.element(name, &value.to_string());
    }

    /// The document.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.text)
    }
}

/// Escapes text. Control characters, which XML 1.0 cannot carry, become references as on AWS. Not even a reference
/// stands for NUL, which only what is repeated of a request may hold: it is shown as what could not be shown.
fn escape_into(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            '\x01'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {
                write!(out, "&#x{:X};", u32::from(c)).expect("writing to a String does not fail");
            }
            _ => out.push(c),
        }
    }
}

/// An element of a request body. Namespaces and attributes are dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Local name.
    pub name: String,
    /// Character data directly inside, references resolved.
    pub text: String,
    /// Elements directly inside, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document whose root is `root`.
    ///
    /// # Errors
    /// `MalformedXML` for anything that is not well formed, has a DTD, an entity of its own, another
    /// root, is nested too deep or has too many elements.
    pub fn parse(document: &[u8], root: &str) -> Result<Self, S3Error> {
        let element = parse_document(document)?;
        if element.name == root { Ok(element) } else { Err(malformed()) }
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of that name.
    pub fn children<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of that name, without surrounding white space.
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }
}

fn malformed() -> S3Error {
    S3Error::of(S3ErrorCode::MalformedXml)
}

fn parse_document(document: &[u8]) -> Result<Element, S3Error> {
    // No answer could repeat a NUL: no XML has a form for it, and what is stored must read back.
    let text = std::str::from_utf8(document).ok().filter(|text| !text.contains('\0')).ok_or_else(malformed)?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0;
    loop {
        match reader.read_event().map_err(|error| malformed().with_source(error))? {
            Event::Start(start) => {
                elements += 1;
                if elements > XML_ELEMENTS_MAX || open.len() == XML_DEPTH_MAX || root.is_some() {
                    return Err(malformed());
                }
                open.push(named(start.local_name().as_ref()));
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > XML_ELEMENTS_MAX || open.len() == XML_DEPTH_MAX || root.is_some() {
                    return Err(malformed());
                }
                close(named(start.local_name().as_ref()), &mut open, &mut root);
            }
            Event::End(_) => {
                let element = open.pop().ok_or_else(malformed)?;
                close(element, &mut open, &mut root);
            }
            Event::Text(text) => add_text(&mut open, &text)?,
            Event::CData(data) => add_text(&mut open, &data)?,
            Event::GeneralRef(reference) => {
                let c = resolve(&reference).ok_or_else(malformed)?;
                add_text(&mut open, c.encode_utf8(&mut [0; 4]))?;
            }
            Event::Decl(_) | Event::Comment(_) => {}
            // A DTD is how entity bombs begin; S3's documents have neither that nor instructions.
            Event::DocType(_) | Event::PI(_) => return Err(malformed()),
            Event::Eof => break,
        }
    }
    if open.is_empty() { root.ok_or_else(malformed) } else { Err(malformed()) }
}

fn named(local_name: &str) -> Element {
    Element { name: local_name.to_owned(), ..Element::default() }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

fn add_text(open: &mut [Element], text: &str) -> Result<(), S3Error> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        // White space may surround the root; anything else there is not XML.
        None if text.trim().is_empty() => {}
        None => return Err(malformed()),
    }
    Ok(())
}

/// The five references that XML itself defines, and character references.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c);
    }
    match reference.as_ref() {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut xml = XmlWriter::new();
        xml.open_root("Delete");
        xml.open("Object");
        xml.element("Key", "a<b>&\"c' \u{e9}");
        xml.close("Object");
        xml.value("Quiet", true);
        xml.close("Delete");
        let root = Element::parse(&xml.finish(), "Delete").unwrap();
        assert_eq!(root.child("Object").unwrap().child_text("Key"), Some("a<b>&\"c' \u{e9}"));
        assert_eq!(root.child_text("Quiet"), Some("true"));
    }

    #[test]
    fn a4_8_no_dtd_no_entities_bounded_depth_and_count() {
        let refused =
            |text: &str| assert_eq!(Element::parse(text.as_bytes(), "A").unwrap_err().code, S3ErrorCode::MalformedXml);
        refused("<!DOCTYPE A [<!ENTITY x \"y\">]><A>&x;</A>");
        refused("<A>&x;</A>");
        refused("<A>");
        refused("<A></B>");
        refused("<A/><A/>");
        refused("text");
        refused("");
        refused("<B/>");
        refused("<?php x ?><A/>");
        refused(&"<A>".repeat(100_000));
        refused(&format!("<A>{}</A>", "<B/>".repeat(XML_ELEMENTS_MAX)));
        assert!(Element::parse(b"\xff<A/>", "A").is_err());
        let deep = |n| format!("{}{}", "<A>".repeat(n), "</A>".repeat(n));
        assert!(Element::parse(deep(XML_DEPTH_MAX).as_bytes(), "A").is_ok());
        refused(&deep(XML_DEPTH_MAX + 1));
    }

    #[test]
    fn references_and_cdata_are_text() {
        let root = Element::parse(b"<A>&lt;&#65;&#x42;<![CDATA[<c>]]></A>", "A").unwrap();
        assert_eq!(root.text, "<AB<c>");
    }

    #[test]
    fn control_characters_are_written_as_references() {
        let mut xml = XmlWriter::new();
        xml.element("K", "a\rb\x01");
        assert!(std::str::from_utf8(&xml.finish()).unwrap().ends_with("<K>a&#xD;b&#x1;</K>"));
    }

    /// A prefix of a lifecycle rule with a NUL was stored as `&#x0;`, and from then on the document did not parse: the
    /// bucket's rules could not be read any more, by anybody.
    #[test]
    fn a_nul_is_neither_read_nor_written() {
        for document in [&b"<A>a\0b</A>"[..], b"<A><![CDATA[\0]]></A>", b"<A>&#0;</A>", b"<A>&#x0;</A>", b"<A b='\0'/>"]
        {
            assert_eq!(Element::parse(document, "A").unwrap_err().code, S3ErrorCode::MalformedXml);
        }
        let mut xml = XmlWriter::new();
        xml.element("A", "a\0b");
        assert_eq!(Element::parse(&xml.finish(), "A").unwrap().text, "a\u{fffd}b");
    }
}
