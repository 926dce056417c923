//! The canonical JSON of RFC 8785, restricted to what leaves need.
//!
//! Values are null, booleans, whole numbers 0 to 2^53 - 1, strings, arrays and objects: no fractions, so
//! that no two readers can round differently. The parser accepts canonical text only.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Deepest nesting of arrays and objects.
pub const JSON_DEPTH_MAX: usize = 16;

/// Largest number: beyond it, JSON readers that use doubles lose digits.
pub const JSON_NUMBER_MAX: u64 = (1 << 53) - 1;

/// One JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number, at most [`JSON_NUMBER_MAX`].
    Number(u64),
    /// A text.
    String(String),
    /// Values in order.
    Array(Vec<Json>),
    /// Values by name.
    Object(BTreeMap<String, Json>),
}

/// Why a value or text is not canonical JSON of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// A number over [`JSON_NUMBER_MAX`].
    #[error("a number is over 2^53 - 1")]
    NumberTooLarge,
    /// Nested deeper than [`JSON_DEPTH_MAX`].
    #[error("nested too deep")]
    TooDeep,
    /// The text is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The text is not JSON, or not in the one canonical form.
    #[error("not canonical JSON at byte {offset}")]
    NotCanonical {
        /// Where.
        offset: usize,
    },
}

impl Json {
    /// An object from names and values; of two equal names the last holds.
    pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Json)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The canonical text.
    ///
    /// # Errors
    /// [`JsonError::NumberTooLarge`], [`JsonError::TooDeep`].
    pub fn encode(&self) -> Result<String, JsonError> {
        let mut text = String::new();
        self.write(&mut text, 0)?;
        Ok(text)
    }

    /// Parses canonical text; any other spelling of the same value is refused.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        if parser.at == text.len() { Ok(value) } else { Err(parser.refuse()) }
    }

    fn write(&self, text: &mut String, depth: usize) -> Result<(), JsonError> {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(true) => text.push_str("true"),
            Self::Bool(false) => text.push_str("false"),
            Self::Number(number) if *number > JSON_NUMBER_MAX => return Err(JsonError::NumberTooLarge),
            Self::Number(number) => text.push_str(&number.to_string()),
            Self::String(string) => write_string(string, text),
            Self::Array(_) if depth == JSON_DEPTH_MAX => return Err(JsonError::TooDeep),
            Self::Array(values) => {
                text.push('[');
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        text.push(',');
                    }
                    value.write(text, depth + 1)?;
                }
                text.push(']');
            }
            Self::Object(members) => write_object(members, text, depth)?,
        }
        Ok(())
    }
}

/// Writes an object that lies `depth` objects and arrays deep.
pub(crate) fn write_object(members: &BTreeMap<String, Json>, text: &mut String, depth: usize) -> Result<(), JsonError> {
    if depth == JSON_DEPTH_MAX {
        return Err(JsonError::TooDeep);
    }
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by(|(a, _), (b, _)| name_order(a, b));
    let mut object = ObjectWriter::begin(text);
    for (name, value) in members {
        value.write(object.name(name), depth + 1)?;
    }
    object.end();
    Ok(())
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// RFC 8785, 3.2.3: names are sorted by their UTF-16 code units, which differs from the order of UTF-8
/// beyond the basic plane.
fn name_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// RFC 8785, 3.2.2.2: short escapes where JSON has them, `\u00xx` for other controls, the rest as is.
pub(crate) fn write_string(string: &str, text: &mut String) {
    text.push('"');
    let mut plain_from = 0;
    // All that is escaped is ASCII, so every place found is a character boundary.
    for (at, byte) in string.bytes().enumerate().filter(|(_, byte)| *byte < b' ' || matches!(byte, b'"' | b'\\')) {
        text.push_str(&string[plain_from..at]);
        plain_from = at + 1;
        match SHORT_ESCAPES.iter().find(|(_, c)| *c == char::from(byte)) {
            Some((escape, _)) => text.push_str(escape),
            None => text.push_str(&format!("\\u{byte:04x}")),
        }
    }
    text.push_str(&string[plain_from..]);
    text.push('"');
}

const SHORT_ESCAPES: [(&str, char); 7] =
    [("\\\"", '"'), ("\\\\", '\\'), ("\\b", '\u{08}'), ("\\t", '\t'), ("\\n", '\n'), ("\\f", '\u{0c}'), ("\\r", '\r')];

/// Writes an object whose members the caller names in canonical order.
pub(crate) struct ObjectWriter<'a> {
    text: &'a mut String,
    empty: bool,
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn begin(text: &'a mut String) -> Self {
        text.push('{');
        Self { text, empty: true }
    }

    /// Writes the name; the caller writes the value to what it answers.
    pub(crate) fn name(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.empty) {
            self.text.push(',');
        }
        write_string(name, self.text);
        self.text.push(':');
        self.text
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        write_string(value, self.name(name));
    }

    /// A string, or null.
    pub(crate) fn nullable(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.string(name, value),
            None => self.name(name).push_str("null"),
        }
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) -> Result<(), JsonError> {
        Json::Number(value).write(self.name(name), 0)
    }

    pub(crate) fn end(self) {
        self.text.push('}');
    }
}

/// Reads canonical text from left to right. `at` always lies on a character boundary.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        match self.peek() {
            Some('"') => self.string().map(Json::String),
            Some('0'..='9') => self.number().map(Json::Number),
            Some('[' | '{') if depth == JSON_DEPTH_MAX => Err(JsonError::TooDeep),
            Some('[') => self.array(depth),
            Some('{') => self.object(depth),
            Some('n') => self.expect("null").map(|()| Json::Null),
            Some('t') => self.expect("true").map(|()| Json::Bool(true)),
            Some('f') => self.expect("false").map(|()| Json::Bool(false)),
            _ => Err(self.refuse()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.expect("[")?;
        let mut values = Vec::new();
        if !self.take("]") {
            loop {
                values.push(self.value(depth + 1)?);
                if self.take("]") {
                    break;
                }
                self.expect(",")?;
            }
        }
        Ok(Json::Array(values))
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.expect("{")?;
        let mut members = BTreeMap::new();
        if self.take("}") {
            return Ok(Json::Object(members));
        }
        let mut last: Option<String> = None;
        loop {
            let start = self.at;
            let name = self.string()?;
            // Strictly rising: refuses both another order and a name said twice.
            if last.is_some_and(|last| name_order(&last, &name) != Ordering::Less) {
                return Err(JsonError::NotCanonical { offset: start });
            }
            self.expect(":")?;
            let value = self.value(depth + 1)?;
            members.insert(name.clone(), value);
            last = Some(name);
            if self.take("}") {
                return Ok(Json::Object(members));
            }
            self.expect(",")?;
        }
    }

    fn number(&mut self) -> Result<u64, JsonError> {
        let rest = &self.text[self.at..];
        let len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let digits = &rest[..len];
        if len > 1 && digits.starts_with('0') {
            return Err(self.refuse());
        }
        let number = digits.parse().ok().filter(|&number| number <= JSON_NUMBER_MAX);
        self.at += len;
        number.ok_or(JsonError::NumberTooLarge)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect("\"")?;
        let mut string = String::new();
        loop {
            match self.peek() {
                Some('"') => break,
                Some('\\') => string.push(self.escape()?),
                Some(c) if c >= ' ' => {
                    string.push(c);
                    self.at += c.len_utf8();
                }
                _ => return Err(self.refuse()),
            }
        }
        self.expect("\"")?;
        Ok(string)
    }

    /// One of the escapes that [`write_string`] writes, and no other.
    fn escape(&mut self) -> Result<char, JsonError> {
        for (escape, c) in SHORT_ESCAPES {
            if self.take(escape) {
                return Ok(c);
            }
        }
        for code in 0_u8..0x20 {
            let c = char::from(code);
            if !SHORT_ESCAPES.iter().any(|(_, short)| *short == c) && self.take(&format!("\\u{code:04x}")) {
                return Ok(c);
            }
        }
        Err(self.refuse())
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let there = self.text[self.at..].starts_with(token);
        if there {
            self.at += token.len();
        }
        there
    }

    fn expect(&mut self, token: &str) -> Result<(), JsonError> {
        if self.take(token) { Ok(()) } else { Err(self.refuse()) }
    }

    fn refuse(&self) -> JsonError {
        JsonError::NotCanonical { offset: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_sort_by_utf_16_as_the_rfc_shows() {
        // RFC 8785, 3.2.3, without its bad example's number values.
        let names = ["\u{20ac}", "\r", "\u{fb33}", "1", "\u{1f600}", "\u{80}", "\u{f6}"];
        let text = Json::object(names.map(|name| (name, Json::Null))).encode().unwrap();
        let order = ["\"\\r\"", "\"1\"", "\"\u{80}\"", "\"\u{f6}\"", "\"\u{20ac}\"", "\"\u{1f600}\"", "\"\u{fb33}\""];
        let places: Vec<usize> = order.iter().map(|name| text.find(name).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        assert_eq!(Json::parse(text.as_bytes()).unwrap().encode().unwrap(), text);
    }

    #[test]
    fn strings_escape_as_the_rfc_shows() {
        // The string of RFC 8785, 3.2.2.
        let string = "\u{20ac}$\u{0f}\nA'B\"\\\\\"/";
        let text = Json::from(string).encode().unwrap();
        assert_eq!(text, "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "",
            " 1",
            "1 ",
            "01",
            "-1",
            "-0",
            "1.0",
            "1e3",
            "+1",
            "9007199254740992",
            "99999999999999999999999",
            "nul",
            "True",
            "\"",
            "\"\u{01}\"",
            "\"\\u0041\"",
            "\"\\u000A\"",
            "\"\\u000a\"",
            "\"\\u001F\"",
            "\"\\/\"",
            "\"\\ud83d\\ude00\"",
            "\"\n\"",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 ,2]",
            "{",
            "{}x",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\": 1}",
            "{\"b\":1,\"a\":2}",
            "{\"a\":1,\"a\":1}",
            "{a:1}",
            "'a'",
            "\u{feff}1",
        ] {
            assert!(Json::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(Json::parse(b"\"\xff\""), Err(JsonError::NotUtf8));
        assert_eq!(Json::parse(b"9007199254740991"), Ok(Json::Number(JSON_NUMBER_MAX)));
    }

    #[test]
    fn depth_and_numbers_have_limits_both_ways() {
        let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nest(JSON_DEPTH_MAX).as_bytes()).unwrap().encode().is_ok());
        assert_eq!(Json::parse(nest(JSON_DEPTH_MAX + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(Json::parse("[".repeat(1 << 20).as_bytes()), Err(JsonError::TooDeep));
        let deep = (0..=JSON_DEPTH_MAX).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
        assert_eq!(deep.encode(), Err(JsonError::TooDeep));
        assert_eq!(Json::Number(JSON_NUMBER_MAX + 1).encode(), Err(JsonError::NumberTooLarge));
    }

    pub(crate) fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            (0..=JSON_NUMBER_MAX).prop_map(Json::Number),
            any::<String>().prop_map(Json::String),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Json::Object),
            ]
        })
    }

    fn of_serde(value: serde_json::Value) -> Json {
        match value {
            serde_json::Value::Null => Json::Null,
            serde_json::Value::Bool(value) => Json::Bool(value),
            serde_json::Value::Number(number) => Json::Number(number.as_u64().unwrap()),
            serde_json::Value::String(text) => Json::String(text),
            serde_json::Value::Array(values) => Json::Array(values.into_iter().map(of_serde).collect()),
            serde_json::Value::Object(members) => {
                Json::Object(members.into_iter().map(|(name, value)| (name, of_serde(value))).collect())
            }
        }
    }

    proptest! {
        #[test]
        fn another_reader_sees_the_same_value(value in json()) {
            let text = value.encode().unwrap();
            prop_assert_eq!(of_serde(serde_json::from_str(&text).unwrap()), value.clone());
            prop_assert_eq!(Json::parse(text.as_bytes()).unwrap(), value);
        }

        #[test]
        fn what_is_parsed_encodes_to_the_same_bytes(value in json(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let mut bytes = value.encode().unwrap().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = with;
            if let Ok(parsed) = Json::parse(&bytes) {
                prop_assert_eq!(parsed.encode().unwrap().into_bytes(), bytes);
            }
        }
    }
}
