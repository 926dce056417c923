//! Byte helpers that every SOV1 structure shares. All integers are big-endian.

/// Appends `lp(bytes)`: a 4-byte big-endian length, then the bytes.
pub(crate) fn push_lp(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("no field of SOV1 reaches 4 GiB");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The `N` bytes at `at`. The caller has checked the length.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
