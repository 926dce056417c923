//! Entry bundles: leaves, each behind its length as a big-endian u16.

use crate::error::JournalError;
use crate::tile::{TILE_WIDTH, TileKind, TilePath};

/// Longest entry: what its length field can say.
pub const ENTRY_LEN_MAX: usize = 65_535;

/// Longest bundle.
pub(crate) const BUNDLE_LEN_MAX: usize = TILE_WIDTH as usize * (2 + ENTRY_LEN_MAX);

/// Writes 1 to 256 entries as a bundle.
///
/// # Errors
/// [`JournalError::EntryTooLong`].
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, JournalError> {
    let mut bundle = Vec::new();
    for entry in entries {
        append_entry(&mut bundle, entry.as_ref())?;
    }
    Ok(bundle)
}

/// Appends one entry to a bundle.
pub(crate) fn append_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), JournalError> {
    let len = u16::try_from(entry.len()).map_err(|_| JournalError::EntryTooLong { len: entry.len() })?;
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle, which must be `count` and fill it to the last byte.
///
/// # Errors
/// [`JournalError::Malformed`].
pub fn decode_bundle(mut bundle: &[u8], count: u16) -> Result<Vec<&[u8]>, JournalError> {
    let short = || JournalError::malformed("entry bundle", "it ends within an entry");
    let mut entries = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (len, rest) = bundle.split_first_chunk::<2>().ok_or_else(short)?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into()).ok_or_else(short)?;
        entries.push(entry);
        bundle = rest;
    }
    if bundle.is_empty() {
        Ok(entries)
    } else {
        Err(JournalError::malformed("entry bundle", "bytes after the last entry"))
    }
}

/// Bytes of an entry bundle, its leaves read one by one.
///
/// # Errors
/// The reader's; [`JournalError::Malformed`] for a tile of hashes.
pub fn bundle_contents(
    path: &TilePath,
    mut leaf: impl FnMut(u64) -> Result<Vec<u8>, JournalError>,
) -> Result<Vec<u8>, JournalError> {
    if path.kind() != TileKind::Entries {
        return Err(JournalError::malformed("tile path", "a tile of hashes holds no entries"));
    }
    let mut bundle = Vec::new();
    for index in path.first()..path.first() + u64::from(path.width()) {
        append_entry(&mut bundle, &leaf(index)?)?;
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_comes_back_and_every_cut_is_refused() {
        let entries: [&[u8]; 3] = [b"one", b"", b"three"];
        let bundle = encode_bundle(&entries).unwrap();
        assert_eq!(&bundle[..5], [0, 3, b'o', b'n', b'e']);
        assert_eq!(decode_bundle(&bundle, 3).unwrap(), entries);
        for cut in 0..bundle.len() {
            assert!(decode_bundle(&bundle[..cut], 3).is_err(), "{cut}");
        }
        assert!(decode_bundle(&bundle, 2).is_err());
        assert!(decode_bundle(&bundle, 4).is_err());
    }

    #[test]
    fn an_entry_fits_in_its_length_field() {
        let longest = vec![b'x'; ENTRY_LEN_MAX];
        assert_eq!(decode_bundle(&encode_bundle(&[&longest]).unwrap(), 1).unwrap(), [&longest[..]]);
        assert!(matches!(encode_bundle(&[vec![0; 65_536]]), Err(JournalError::EntryTooLong { len: 65_536 })));
    }
}
