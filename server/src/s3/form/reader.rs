//! multipart/form-data as it streams.
//!
//! Fields come first and are kept; the part named `file` is the last that counts, and its bytes go
//! out as they come in. What follows it is ignored, as on AWS.
//!
//! Source: RFC 7578, RFC 2046 section 5.1.1.

use bytes::{Bytes, BytesMut};

use super::FormFields;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::RequestBody;

/// Most bytes of a form before its file: fields, their heads, boundaries. AWS's limit.
pub(super) const FIELDS_BYTES_MAX: usize = 20 << 10;
/// Longest boundary, as RFC 2046 has it.
const BOUNDARY_LEN_MAX: usize = 70;
/// Most bytes that may follow the file for the connection to stay open.
const REST_BYTES_MAX: usize = 64 << 10;

/// The boundary that a `Content-Type` names; `None` unless it is multipart/form-data with a good one.
pub fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    let fits = (1..=BOUNDARY_LEN_MAX).contains(&value.len()) && value.bytes().all(|b| (0x20..0x7f).contains(&b));
    fits.then_some(value)
}

/// Reads one form.
pub struct FormReader {
    body: RequestBody,
    /// Received and not yet consumed. A CRLF is put before the first byte, so that all delimiters look alike.
    buffer: BytesMut,
    /// `\r\n--boundary`.
    delimiter: Vec<u8>,
    /// Bytes taken before the file.
    fields_bytes: usize,
    file_ended: bool,
}

impl FormReader {
    /// Begins to read; nothing is polled yet.
    pub fn new(body: RequestBody, boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Self { body, buffer: BytesMut::from(&b"\r\n"[..]), delimiter, fields_bytes: 0, file_ended: false }
    }

    /// Reads all fields up to the file, whose bytes come next.
    ///
    /// # Errors
    /// `MalformedPOSTRequest`, `MaxPostPreDataLengthExceededError`; `InvalidArgument` for a form without
    /// a file, a field that is no text or is there twice.
    pub async fn fields(&mut self) -> Result<FormFields, S3Error> {
        let mut fields = FormFields::default();
        self.until_delimiter().await?;
        loop {
            if self.is_last_delimiter().await? {
                return Err(no_file());
            }
            let head = self.part_head().await?;
            let disposition = Disposition::parse(&head).ok_or_else(malformed)?;
            if disposition.name.eq_ignore_ascii_case("file") {
                fields.set_file_name(disposition.file_name);
                return Ok(fields);
            }
            let value = self.until_delimiter().await?;
            fields.add(&disposition.name, value.to_vec())?;
        }
    }

    /// The next bytes of the file, never empty; `None` at its end.
    ///
    /// # Errors
    /// `MalformedPOSTRequest` if the form ends before the file does; what the body answers.
    pub async fn next_file_bytes(&mut self) -> Result<Option<Bytes>, S3Error> {
        while !self.file_ended {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                let last = self.buffer.split_to(at).freeze();
                self.file_ended = true;
                self.drain().await?;
                if last.is_empty() {
                    break;
                }
                return Ok(Some(last));
            }
            // All but what may be the beginning of a delimiter.
            let safe = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if safe > 0 {
                return Ok(Some(self.buffer.split_to(safe).freeze()));
            }
            self.fill().await?;
        }
        Ok(None)
    }

    /// Reads what follows the file, within a limit, so that the connection can go on.
    async fn drain(&mut self) -> Result<(), S3Error> {
        let mut left = REST_BYTES_MAX.saturating_sub(self.buffer.len());
        self.buffer.clear();
        while let Some(bytes) = self.body.next().await? {
            match left.checked_sub(bytes.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        Ok(())
    }

    /// Takes what is before the next delimiter, and the delimiter.
    async fn until_delimiter(&mut self) -> Result<Bytes, S3Error> {
        loop {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                let before = self.buffer.split_to(at).freeze();
                let delimiter = self.buffer.split_to(self.delimiter.len());
                self.count(before.len() + delimiter.len())?;
                return Ok(before);
            }
            self.fill_field().await?;
        }
    }

    /// After a delimiter: `--` ends the form, anything but white space up to the line's end is an error.
    async fn is_last_delimiter(&mut self) -> Result<bool, S3Error> {
        loop {
            if self.buffer.starts_with(b"--") {
                return Ok(true);
            }
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let padding = self.buffer.split_to(at + 2);
                self.count(padding.len())?;
                let blank = padding.iter().all(|byte| byte.is_ascii_whitespace());
                return if blank { Ok(false) } else { Err(malformed()) };
            }
            self.fill_field().await?;
        }
    }

    /// The head lines of a part, without the empty line that ends them.
    async fn part_head(&mut self) -> Result<String, S3Error> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                let head = self.buffer.split_to(at + 4);
                self.count(head.len())?;
                let head = head.get(..at).unwrap_or_default();
                return String::from_utf8(head.to_vec()).map_err(|_| malformed());
            }
            self.fill_field().await?;
        }
    }

    async fn fill_field(&mut self) -> Result<(), S3Error> {
        if self.fields_bytes + self.buffer.len() > FIELDS_BYTES_MAX {
            return Err(S3Error::of(S3ErrorCode::MaxPostPreDataLengthExceeded));
        }
        self.fill().await
    }

    async fn fill(&mut self) -> Result<(), S3Error> {
        let bytes = self.body.next().await?.ok_or_else(malformed)?;
        self.buffer.extend_from_slice(&bytes);
        Ok(())
    }

    fn count(&mut self, len: usize) -> Result<(), S3Error> {
        self.fields_bytes += len;
        if self.fields_bytes > FIELDS_BYTES_MAX {
            return Err(S3Error::of(S3ErrorCode::MaxPostPreDataLengthExceeded));
        }
        Ok(())
    }
}

/// What `Content-Disposition` says of a part.
#[derive(Debug, PartialEq, Eq)]
struct Disposition {
    name: String,
    file_name: Option<String>,
}

impl Disposition {
    fn parse(head: &str) -> Option<Self> {
        let value = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then(|| value.trim())
        })?;
        let (kind, mut rest) = value.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return None;
        }
        let (mut name, mut file_name) = (None, None);
        while !rest.trim().is_empty() {
            let (parameter, value, after) = parameter(rest)?;
            match parameter.to_ascii_lowercase().as_str() {
                "name" if name.is_none() => name = Some(value),
                "filename" if file_name.is_none() => file_name = Some(value),
                "name" | "filename" => return None,
                _ => {}
            }
            rest = after;
        }
        Some(Self { name: name.filter(|name| !name.is_empty())?, file_name })
    }
}

/// One `name=value` or `name="value"`: name, value, and what follows it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim().trim_start_matches(';').trim();
    let Some(quoted) = rest.trim_start().strip_prefix('"') else {
        let (value, after) = rest.split_once(';').unwrap_or((rest, ""));
        return Some((name, value.trim().to_owned(), after));
    };
    // Browsers write a quote inside as `%22`; a backslash before a quote escapes it. Other backslashes
    // are the text's own: old browsers sent whole Windows paths.
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let after = quoted.get(at + 1..)?.trim_start();
                return Some((name, value, after.strip_prefix(';').unwrap_or(after)));
            }
            '\\' if quoted.get(at + 1..)?.starts_with('"') => {
                value.push('"');
                chars.next();
            }
            c => value.push(c),
        }
    }
    None
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = haystack.get(from..)?.iter().position(|&byte| byte == first) {
        let at = from + at;
        if haystack.get(at + 1..)?.starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn malformed() -> S3Error {
    S3Error::of(S3ErrorCode::MalformedPostRequest)
}

fn no_file() -> S3Error {
    S3Error::invalid_argument("POST requires exactly one file upload per request.", "file", "0")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::s3::request::Decoding;

    fn reader(text: &[u8], step: usize) -> FormReader {
        let frames: Vec<Bytes> = text.chunks(step.max(1)).map(Bytes::copy_from_slice).collect();
        let body = RequestBody::from_frames(frames, Decoding::Identity, Some(text.len() as u64));
        FormReader::new(body, "B0")
    }

    async fn read(text: &[u8], step: usize) -> Result<(FormFields, Vec<u8>), S3ErrorCode> {
        let mut reader = reader(text, step);
        let fields = reader.fields().await.map_err(|error| error.code)?;
        let mut file = Vec::new();
        while let Some(bytes) = reader.next_file_bytes().await.map_err(|error| error.code)? {
            assert!(!bytes.is_empty());
            file.extend_from_slice(&bytes);
        }
        Ok((fields, file))
    }

    fn form(file: &[u8]) -> Vec<u8> {
        let head = "--B0\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na b\r\n\
                    --B0\r\ncontent-disposition: form-data; name=\"Acl\"\r\nContent-Type: text/plain\r\n\r\nprivate\r\n\
                    --B0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\\\"o.txt\"\r\n\
                    Content-Type: text/plain\r\n\r\n";
        [head.as_bytes(), file, b"\r\n--B0--\r\n"].concat()
    }

    #[tokio::test]
    async fn fields_then_file_however_the_bytes_arrive() {
        for file in [&b""[..], b"x", b"\r\n--B1\r\n--B", b"\r\n\r\n--\r\n-"] {
            for step in [1, 2, 3, 7, 1000] {
                let (fields, got) = read(&form(file), step).await.unwrap();
                assert_eq!(got, file, "step {step}");
                assert_eq!((fields.get("key"), fields.get("acl")), (Some("a b"), Some("private")));
                assert_eq!(fields.file_name(), Some("f\"o.txt"));
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused() {
        use S3ErrorCode::{InvalidArgument, MalformedPostRequest, MaxPostPreDataLengthExceeded};
        let code = async |text: &[u8]| read(text, 5).await.err().expect("refused");
        assert_eq!(code(b"").await, MalformedPostRequest);
        assert_eq!(code(b"--B0--\r\n").await, InvalidArgument);
        assert_eq!(code(b"--B0\r\n\r\nx\r\n--B0--").await, MalformedPostRequest);
        let whole = form(b"data");
        let cut = whole.len() - 10;
        assert_eq!(code(&whole[..cut]).await, MalformedPostRequest);
        let twice = b"--B0\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\nx\r\n--B0--";
        assert_eq!(code(twice).await, MalformedPostRequest);
        let long = format!("--B0\r\nContent-Disposition: form-data; name=\"k\"\r\n\r\n{}", "x".repeat(30_000));
        assert_eq!(code(long.as_bytes()).await, MaxPostPreDataLengthExceeded);
        assert_eq!(code(&b"x".repeat(30_000)).await, MaxPostPreDataLengthExceeded);
    }

    #[test]
    fn boundaries() {
        assert_eq!(boundary("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data; charset=x; Boundary=\"a b\"").as_deref(), Some("a b"));
        for bad in
            ["multipart/form-data", "multipart/mixed; boundary=a", "text/plain", "multipart/form-data; boundary="]
        {
            assert_eq!(boundary(bad), None, "{bad}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "b".repeat(71))), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), step in 1usize..9) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _ = runtime.block_on(read(&bytes, step));
            let _ = runtime.block_on(read(&[b"--B0\r\nContent-Disposition:", &bytes[..]].concat(), step));
        }

        #[test]
        fn any_file_comes_out_as_it_went_in(file in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'B'), any::<u8>()], 0..200), step in 1usize..40) {
            prop_assume!(find(&file, b"\r\n--B0").is_none());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            prop_assert_eq!(runtime.block_on(read(&form(&file), step)).unwrap().1, file);
        }
    }
}
