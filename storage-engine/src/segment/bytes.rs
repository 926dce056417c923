//! Reading and writing little-endian fields at fixed places.

use super::FormatError;

/// Copies `N` bytes out of `bytes` at `at`.
pub fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], FormatError> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    field.copied().ok_or(FormatError::Short)
}

/// Reads a `u16` at `at`.
pub fn take_u16(bytes: &[u8], at: usize) -> Result<u16, FormatError> {
    take(bytes, at).map(u16::from_le_bytes)
}

/// Reads a `u32` at `at`.
pub fn take_u32(bytes: &[u8], at: usize) -> Result<u32, FormatError> {
    take(bytes, at).map(u32::from_le_bytes)
}

/// Reads a `u64` at `at`.
pub fn take_u64(bytes: &[u8], at: usize) -> Result<u64, FormatError> {
    take(bytes, at).map(u64::from_le_bytes)
}

/// Writes a field at `at`.
///
/// # Panics
/// If it does not fit: every caller writes constants into a buffer it sized itself.
pub fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// CRC-64/NVME of a structure whose checksum field, 8 bytes at `at`, counts as zero.
pub fn crc64_without_field(bytes: &[u8], at: usize) -> u64 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    digest.update(&bytes[..at]);
    digest.update(&[0; 8]);
    digest.update(&bytes[at + 8..]);
    digest.finalize()
}

/// Computes the checksum of a finished structure and writes it into its field at `at`.
pub fn seal_crc64(bytes: &mut [u8], at: usize) {
    let crc = crc64_without_field(bytes, at);
    put(bytes, at, &crc.to_le_bytes());
}

/// Compares the checksum in the field at `at` with the structure.
pub fn check_crc64(bytes: &[u8], at: usize) -> Result<(), FormatError> {
    if take_u64(bytes, at)? == crc64_without_field(bytes, at) { Ok(()) } else { Err(FormatError::Checksum) }
}
