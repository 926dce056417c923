//! How inputs are read: as text that a person can write as a seed.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// The line between two pieces of an input.
const SEPARATOR: &[u8] = b"\n%%\n";

/// The pieces of an input, in order.
pub(crate) fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let all = rest?;
        match all.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
            Some(at) => {
                rest = all.get(at + SEPARATOR.len()..);
                all.get(..at)
            }
            None => rest.take(),
        }
    })
}

/// A piece as text; one that is none is empty.
pub(crate) fn text(piece: Option<&[u8]>) -> &str {
    piece.and_then(|piece| std::str::from_utf8(piece).ok()).unwrap_or_default()
}

/// Cuts bytes as a network might: into fragments of 1 to `step` bytes.
pub(crate) fn cut(bytes: &[u8], step: usize) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut turn) = (bytes, 0);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        turn = turn % step.max(1) + 1;
        let (first, after) = rest.split_at(turn.min(rest.len()));
        rest = after;
        Some(first)
    })
}

/// The head of a request, as HTTP's reader lets it through.
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

impl Head {
    /// Reads `METHOD target`, then a line a header. Lines that are no header are left out.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_at(bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len()));
        let (method, target) = std::str::from_utf8(first).ok()?.split_once(' ')?;
        let mut headers = HeaderMap::new();
        for line in rest.split(|&byte| byte == b'\n') {
            let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
            let name = HeaderName::from_bytes(&line[..colon]);
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        // A target that is a path: hyper gives out no other kind that has one.
        let target = target.parse().ok().filter(|target: &PathAndQuery| target.as_str().starts_with('/'))?;
        Some(Self { method: method.parse().ok()?, target, headers })
    }
}
