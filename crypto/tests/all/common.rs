//! What the stories share: fixed keys and a part sealed whole.

use chartrier_crypto::*;

pub(crate) fn object_key() -> ObjectKey {
    ObjectKey::generate([7; 32])
}

pub(crate) fn client_key(byte: u8) -> ClientKey {
    ClientKey::from_slice(&[byte; 32]).unwrap()
}

pub(crate) fn operator_key(byte: u8) -> OperatorKey {
    OperatorKey::from_slice(&[byte; 32]).unwrap()
}

/// As `pattern` in vectors/generate.py.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 131 + (i >> 8)) as u8).collect()
}

/// A blob made by the chunk calls alone.
pub(crate) fn seal_blob(mut sealer: PartSealer, plain: &[u8]) -> Vec<u8> {
    let mut out = sealer.header().encode().to_vec();
    let mut chunks = plain.chunks_exact(CHUNK_PLAIN);
    for chunk in &mut chunks {
        let mut buf = vec![0; CHUNK_SEALED];
        buf[..CHUNK_PLAIN].copy_from_slice(chunk);
        sealer.seal_chunk_in_place(&mut buf).unwrap();
        out.extend(buf);
    }
    let last = chunks.remainder();
    let mut buf = vec![0; last.len() + TAG_LEN];
    buf[..last.len()].copy_from_slice(last);
    assert_eq!(sealer.seal_last(&mut buf, last.len()), Ok(buf.len()));
    out.extend(buf);
    out
}

pub(crate) fn sealer(part_number: u32) -> PartSealer {
    PartSealer::new(&object_key(), Mode::C, [3; 16], part_number, [5; 24])
}

/// Opens a blob whole, as a reader does who knows only its rows.
pub(crate) fn open_blob(object_key: &ObjectKey, blob: &[u8]) -> Result<Vec<u8>, String> {
    let header = blob.get(..HEADER_LEN).ok_or("short")?;
    let header = PartHeader::decode(header).map_err(|e| e.to_string())?;
    let opener = PartOpener::new(object_key, &header).map_err(|e| e.to_string())?;
    let len = plain_len(blob.len() as u64).ok_or("no such length")?;
    open_range(opener, len, 0..len, &blob[HEADER_LEN..], blob.len())
}

/// Opens a range from buffers of `step` bytes.
pub(crate) fn open_range(
    opener: PartOpener,
    plain_len: u64,
    range: std::ops::Range<u64>,
    sealed: &[u8],
    step: usize,
) -> Result<Vec<u8>, String> {
    let mut stream = StreamOpener::new(opener, plain_len, range);
    let mut out = Vec::new();
    for buf in sealed.chunks(step) {
        let mut buf = buf.to_vec();
        let run = stream.open(&mut buf).map_err(|e| e.to_string())?;
        out.extend_from_slice(&run.head);
        out.extend_from_slice(&buf[run.plain]);
    }
    stream.finish().map_err(|e| e.to_string())?;
    Ok(out)
}
