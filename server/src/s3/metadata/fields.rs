//! The list of tagged fields that sealed metadata and sealed part checksums open to.
//!
//! ```text
//!  0 1 version (1)   1 1 zero   2 2 number of fields
//!  then each field:  1 tag   2 name length   name   4 value length   value
//! ```
//!
//! Integers are big-endian. `docs/formats/object-metadata.md` draws it with every tag.

use zeroize::Zeroizing;

/// One field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) tag: u8,
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

/// The bytes are not such a list: damaged storage, or written by a newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed object metadata")]
pub struct MalformedMetadata;

/// Encodes fields in order. The buffer is wiped on drop, since it holds what modes C and H hide.
///
/// # Panics
/// Past 65 535 fields or bytes of name: headers are capped far below both.
pub(super) fn encode(fields: &[Field<'_>]) -> Zeroizing<Vec<u8>> {
    let len = 4 + fields.iter().map(|field| 7 + field.name.len() + field.value.len()).sum::<usize>();
    // Reserved whole: growing would leave a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(len));
    out.extend_from_slice(&[VERSION, 0]);
    out.extend_from_slice(&short(fields.len()));
    for field in fields {
        out.push(field.tag);
        out.extend_from_slice(&short(field.name.len()));
        out.extend_from_slice(field.name);
        let value_len = u32::try_from(field.value.len()).expect("headers are capped far below 4 GiB");
        out.extend_from_slice(&value_len.to_be_bytes());
        out.extend_from_slice(field.value);
    }
    out
}

/// Decodes a list, which must fill `bytes` exactly.
///
/// # Errors
/// [`MalformedMetadata`].
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Field<'_>>, MalformedMetadata> {
    let mut rest = bytes;
    if take(&mut rest, 2)? != [VERSION, 0] {
        return Err(MalformedMetadata);
    }
    let count = integer(&mut rest, 2)?;
    let mut fields = Vec::with_capacity(count.min(bytes.len() / 7));
    for _ in 0..count {
        let tag = take(&mut rest, 1)?[0];
        let name_len = integer(&mut rest, 2)?;
        let name = take(&mut rest, name_len)?;
        let value_len = integer(&mut rest, 4)?;
        fields.push(Field { tag, name, value: take(&mut rest, value_len)? });
    }
    if rest.is_empty() { Ok(fields) } else { Err(MalformedMetadata) }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], MalformedMetadata> {
    let (taken, left) = rest.split_at_checked(len).ok_or(MalformedMetadata)?;
    *rest = left;
    Ok(taken)
}

fn integer(rest: &mut &[u8], len: usize) -> Result<usize, MalformedMetadata> {
    Ok(take(rest, len)?.iter().fold(0, |integer, byte| integer << 8 | usize::from(*byte)))
}

fn short(len: usize) -> [u8; 2] {
    u16::try_from(len).expect("headers are capped far below 65 536").to_be_bytes()
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_every_truncation() {
        let fields = [
            Field { tag: 1, name: b"", value: &[7; 32] },
            Field { tag: 2, name: b"content-type", value: b"text/plain" },
            Field { tag: 2, name: b"x-amz-meta-a", value: b"" },
        ];
        let bytes = encode(&fields);
        assert_eq!(decode(&bytes).unwrap(), fields);
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Err(MalformedMetadata), "cut at {end}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert_eq!(decode(&longer), Err(MalformedMetadata));
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        assert_eq!(decode(&newer), Err(MalformedMetadata));
    }
}
