//! Base64 of key material, decoded without tables or branches on secret characters.
//!
//! A table look-up at a secret index leaves its trace in the cache, so each character is mapped
//! by arithmetic. Only the canonical form with padding is accepted: one text per key.

/// The text is not canonical base64 with padding, or `out` is too short for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Base64Error;

/// Bytes that `text` decodes to, from its length and padding alone.
pub(crate) fn decoded_len(text: &[u8]) -> Result<usize, Base64Error> {
    if !text.len().is_multiple_of(4) {
        return Err(Base64Error);
    }
    let padding = text.iter().rev().take(2).take_while(|&&c| c == b'=').count();
    Ok(text.len() / 4 * 3 - padding)
}

/// Decodes `text` into the first bytes of `out`, whose length must be [`decoded_len`].
pub(crate) fn decode(text: &[u8], out: &mut [u8]) -> Result<(), Base64Error> {
    let len = decoded_len(text)?;
    if out.len() != len {
        return Err(Base64Error);
    }
    let digits_len = text.len() - (text.len() / 4 * 3 - len);
    let mut invalid = 0u32;
    let mut written = 0;
    for quad in text[..digits_len].chunks(4) {
        let mut bits = 0u32;
        for position in 0..4 {
            let value = quad.get(position).map_or(0, |&c| digit(c));
            invalid |= value & INVALID;
            bits = bits << 6 | value & 0x3f;
        }
        let n = quad.len() * 6 / 8;
        out[written..written + n].copy_from_slice(&bits.to_be_bytes()[1..=n]);
        written += n;
        // The bits past the last whole byte are zero in the canonical form.
        let spare = bits & ((1 << (24 - 8 * n)) - 1);
        invalid |= if spare == 0 { 0 } else { INVALID };
    }
    if invalid == 0 { Ok(()) } else { Err(Base64Error) }
}

const INVALID: u32 = 0x100;

/// Value of one character, or [`INVALID`].
fn digit(c: u8) -> u32 {
    let c = u32::from(c);
    let mut value = 0;
    let mut known = 0;
    for (first, last, base) in [(b'A', b'Z', 0), (b'a', b'z', 26), (b'0', b'9', 52), (b'+', b'+', 62), (b'/', b'/', 63)]
    {
        let (first, last) = (u32::from(first), u32::from(last));
        // All ones when first <= c <= last: neither subtraction borrows.
        let below = c.wrapping_sub(first) >> 31;
        let above = last.wrapping_sub(c) >> 31;
        let mask = ((below | above) ^ 1).wrapping_neg();
        value |= mask & c.wrapping_sub(first).wrapping_add(base);
        known |= mask;
    }
    value | (!known & INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_and_refuses() {
        let mut out = [0; 32];
        let text = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        decode(text, &mut out).unwrap();
        assert!(out.iter().enumerate().all(|(i, &byte)| usize::from(byte) == i));

        let mut three = [0; 3];
        decode(b"+/+/", &mut three).unwrap();
        assert_eq!(three, [0xfb, 0xff, 0xbf]);
        for bad in [&b"+/-/"[..], b"+/+ ", b"====", b"=AAA", b"A=AA", b"AA\xffA"] {
            let mut out = vec![0; decoded_len(bad).unwrap()];
            assert_eq!(decode(bad, &mut out), Err(Base64Error), "{bad:?}");
        }
        let mut one = [0; 1];
        decode(b"AQ==", &mut one).unwrap();
        assert_eq!(decode(b"AR==", &mut one), Err(Base64Error), "spare bits");
        assert_eq!(decoded_len(b"AAA"), Err(Base64Error));
    }
}
