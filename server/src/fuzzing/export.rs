//! Fuzz target: exports, and everything that lies sealed in one.

use chartrier_crypto::export::Export;
use chartrier_crypto::unseal::unseal;
use chartrier_crypto::{
    CHUNK_PLAIN, CHUNK_SEALED, ClientKey, EpochKey, METADATA_LABEL, ManifestPart, Mode, ObjectKey, OperatorKey,
    PartHeader, PartSealer, RootKey, TAG_LEN, epoch_of, epoch_open, unwrap, wrap,
};

const CLIENT_KEY: [u8; 32] = [1; 32];

/// Input: any bytes, read as each thing; then, as edits of three bytes (where, where, what), done to an export of ours.
pub fn export(bytes: &[u8]) {
    raw(bytes);
    let [len @ .., second] = bytes.first_chunk::<3>().copied().unwrap_or_default();
    let len = usize::from(u16::from_be_bytes(len)) % (2 * CHUNK_PLAIN + 100);
    let (sealed, plain) = sealed(&[len, usize::from(second)]);
    let mut changed = sealed.clone();
    for edit in bytes.get(3..).unwrap_or_default().chunks(3) {
        match *edit {
            [high, low, with] => {
                // Half of the edits fall where the fields are.
                let at = usize::from(u16::from_be_bytes([high & 0x7f, low]));
                let reach = if high & 0x80 == 0 { changed.len().min(700) } else { changed.len() };
                if let Some(byte) = changed.get_mut(at.checked_rem(reach).unwrap_or_default()) {
                    *byte ^= with;
                }
            }
            [cut_off, _] => changed.truncate(changed.len().saturating_sub(usize::from(cut_off))),
            [more] => changed.resize(changed.len() + usize::from(more), 0),
            _ => {}
        }
    }
    let mut out = Vec::new();
    let opened = unseal(&changed[..], &CLIENT_KEY, &mut out);
    assert!(plain.starts_with(&out), "bytes came out that were not sealed");
    match opened {
        Ok(unsealed) => assert!(changed == sealed && out == plain && *unsealed.metadata == *b"meta"),
        Err(_) => assert!(changed != sealed, "an export of ours does not open"),
    }
}

fn raw(bytes: &[u8]) {
    let mut rest = bytes;
    if let Ok(export) = Export::read(&mut rest) {
        let front = export.encode().expect("what was read is within the limits");
        assert!(bytes.starts_with(&front), "an export has one form");
        let _ = (export.total_len(), export.container_len());
    }
    assert!(unseal(bytes, &[9; 32], std::io::sink()).is_err());
    if let Ok(header) = PartHeader::decode(bytes) {
        assert_eq!(header.encode(), bytes);
    }
    let _ = epoch_of(bytes);
    let epoch = EpochKey::from_slice(&[3; 32]).expect("32 bytes");
    assert!(epoch_open(&epoch, bytes).is_err());
    let operator = OperatorKey::from_slice(&[2; 32]).expect("32 bytes");
    assert!(operator.open_secret(b"label", bytes).is_err());
    let _ = ClientKey::from_base64(bytes);
}

/// An export of parts of these lengths, and its plaintext.
fn sealed(lengths: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let object_key = ObjectKey::generate([7; 32]);
    let plain: Vec<u8> = (0..lengths.iter().sum::<usize>()).map(|at| (at * 131) as u8).collect();
    let (mut parts, mut blobs, mut rest) = (Vec::new(), Vec::new(), &plain[..]);
    for (number, len) in (1..).zip(lengths) {
        let (of_part, after) = rest.split_at(*len);
        rest = after;
        let mut sealer = PartSealer::new(&object_key, Mode::C, [3; 16], number, [number as u8; 24]);
        let PartHeader { salt, commitment, .. } = *sealer.header();
        blobs.extend_from_slice(&sealer.header().encode());
        let mut chunks = of_part.chunks_exact(CHUNK_PLAIN);
        for chunk in &mut chunks {
            let mut buffer = vec![0; CHUNK_SEALED];
            buffer[..CHUNK_PLAIN].copy_from_slice(chunk);
            sealer.seal_chunk_in_place(&mut buffer).expect("a whole chunk");
            blobs.extend_from_slice(&buffer);
        }
        let last = chunks.remainder();
        let mut buffer = vec![0; last.len() + TAG_LEN];
        buffer[..last.len()].copy_from_slice(last);
        sealer.seal_last(&mut buffer, last.len()).expect("the last chunk");
        blobs.extend_from_slice(&buffer);
        parts.push(ManifestPart { number, salt, commitment, plain_len: *len as u64 });
    }
    let mut export = Export {
        mode: Mode::C,
        bucket: [1; 16],
        version_id: [2; 16],
        object_uuid: [3; 16],
        key_name: b"plan.dwg".to_vec(),
        wrap_record: Vec::new(),
        sealed_metadata: object_key.metadata_key().seal([4; 32], METADATA_LABEL, b"meta"),
        manifest_mac: [0; 32],
        parts,
    };
    let root = ClientKey::from_slice(&CLIENT_KEY).expect("32 bytes");
    export.wrap_record = wrap(RootKey::Client(&root), &object_key, &export.wrap_context(), [9; 32]);
    assert!(unwrap(RootKey::Client(&root), &export.wrap_record, &export.wrap_context()).is_ok());
    export.manifest_mac = object_key.manifest_key().mac(&export.manifest());
    let mut container = export.encode().expect("within the limits");
    container.extend_from_slice(&blobs);
    assert_eq!(export.container_len().ok(), Some(container.len() as u64));
    (container, plain)
}
