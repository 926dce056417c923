//! Goal: whatever is not exactly what was sealed, in its place, is refused.
//! Method: flip, cut, swap and reorder, everywhere for small structures and at random for large.

use chartrier_crypto::*;
use proptest::prelude::*;

use crate::common::{client_key, object_key, open_blob, operator_key, pattern, seal_blob, sealer};

const CONTEXT: WrapContext<'_> = WrapContext {
    mode: Mode::C,
    bucket: &[1; 16],
    key_name: b"dossier/7",
    version_id: &[2; 16],
    object_uuid: &[3; 16],
};

fn unwrap_error(root: RootKey<'_>, record: &[u8], context: &WrapContext<'_>) -> UnwrapError {
    unwrap(root, record, context).err().expect("refused")
}

#[test]
fn a_wrap_opens_with_its_key_and_context_only() {
    let key = client_key(1);
    let record = wrap(RootKey::Client(&key), &object_key(), &CONTEXT, [4; 32]);
    let opened = unwrap(RootKey::Client(&key), &record, &CONTEXT).unwrap();
    let header = *sealer(0).header();
    assert!(PartOpener::new(&opened, &header).is_ok(), "it is the key that was wrapped");

    let other = client_key(2);
    let wrong = unwrap_error(RootKey::Client(&other), &record, &CONTEXT);
    assert_eq!(wrong, UnwrapError::WrongKey);
    let operator = operator_key(1);
    let wrong = unwrap_error(RootKey::Operator(&operator), &record, &CONTEXT);
    assert_eq!(wrong, UnwrapError::WrongKey, "the same bytes in another role");

    let elsewhere = [
        WrapContext { bucket: &[9; 16], ..CONTEXT },
        WrapContext { key_name: b"dossier/8", ..CONTEXT },
        WrapContext { key_name: b"", ..CONTEXT },
        WrapContext { version_id: &[9; 16], ..CONTEXT },
        WrapContext { object_uuid: &[9; 16], ..CONTEXT },
    ];
    for context in elsewhere {
        let wrong = unwrap_error(RootKey::Client(&key), &record, &context);
        assert_eq!(wrong, UnwrapError::WrongKey);
    }
    let context = WrapContext { mode: Mode::O, ..CONTEXT };
    let wrong = unwrap_error(RootKey::Operator(&operator), &record, &context);
    assert_eq!(wrong, UnwrapError::Malformed);
}

#[test]
fn every_bit_and_length_of_a_wrap_counts() {
    let key = client_key(1);
    let record = wrap(RootKey::Client(&key), &object_key(), &CONTEXT, [4; 32]);
    for bit in 0..record.len() * 8 {
        let mut bad = record.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        unwrap_error(RootKey::Client(&key), &bad, &CONTEXT);
    }
    for len in 0..record.len() {
        let error = unwrap_error(RootKey::Client(&key), &record[..len], &CONTEXT);
        assert_eq!(error, UnwrapError::Malformed);
    }
    let longer = [&record[..], &[0]].concat();
    assert_eq!(unwrap_error(RootKey::Client(&key), &longer, &CONTEXT), UnwrapError::Malformed);
}

#[test]
fn the_wrapped_key_of_another_record_is_refused() {
    let key = client_key(1);
    let one = wrap(RootKey::Client(&key), &object_key(), &CONTEXT, [4; 32]);
    let two = wrap(RootKey::Client(&key), &ObjectKey::generate([8; 32]), &CONTEXT, [5; 32]);
    let mixed = [&one[..104], &two[104..]].concat();
    let error = unwrap_error(RootKey::Client(&key), &mixed, &CONTEXT);
    assert_eq!(error, UnwrapError::AuthenticationFailed);
}

#[test]
fn a_rewrap_moves_the_key_and_shuts_the_old_one_out() {
    let (old, new, operator) = (client_key(1), client_key(2), operator_key(3));
    let record = wrap(RootKey::Client(&old), &object_key(), &CONTEXT, [4; 32]);
    let renamed = WrapContext { key_name: b"autre", version_id: &[6; 16], ..CONTEXT };
    let from = (RootKey::Client(&old), &CONTEXT);
    let moved = rewrap(from, &record, (RootKey::Client(&new), &renamed), [5; 32]).unwrap();
    assert_eq!(unwrap_error(RootKey::Client(&old), &moved, &renamed), UnwrapError::WrongKey);
    let opened = unwrap(RootKey::Client(&new), &moved, &renamed).unwrap();
    assert!(PartOpener::new(&opened, sealer(0).header()).is_ok());

    let context = WrapContext { mode: Mode::O, ..CONTEXT };
    let to = (RootKey::Operator(&operator), &context);
    assert!(rewrap((RootKey::Client(&new), &CONTEXT), &record, to, [6; 32]).is_err());
    let moved = rewrap(from, &record, to, [6; 32]).unwrap();
    assert!(unwrap(RootKey::Operator(&operator), &moved, &context).is_ok());
}

#[test]
fn an_epoch_seal_opens_with_its_key_only() {
    let record = wrap(RootKey::Client(&client_key(1)), &object_key(), &CONTEXT, [4; 32]);
    let key = EpochKey::from_slice(&[1; 32]).unwrap();
    let sealed = epoch_seal(&key, 3, [9; 16], &record).unwrap();
    let other = EpochKey::from_slice(&[2; 32]).unwrap();
    assert_eq!(epoch_open(&other, &sealed), Err(UnwrapError::AuthenticationFailed));
    assert_eq!(epoch_seal(&key, 4, [9; 16], &sealed), Err(UnwrapError::EpochSealed));
    assert_eq!(epoch_open(&key, &record), Err(UnwrapError::Malformed));
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(epoch_open(&key, &bad).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(epoch_open(&key, &sealed[..len]).is_err());
    }
}

#[test]
fn every_bit_of_a_small_blob_counts() {
    let blob = seal_blob(sealer(1), b"acte de naissance");
    for bit in 0..blob.len() * 8 {
        let mut bad = blob.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(open_blob(&object_key(), &bad).is_err(), "bit {bit}");
    }
    assert!(open_blob(&ObjectKey::generate([8; 32]), &blob).is_err());
}

#[test]
fn whole_chunks_cannot_be_cut_swapped_or_taken_from_elsewhere() {
    let plain = pattern(3 * CHUNK_PLAIN + 100);
    let blob = seal_blob(sealer(1), &plain);
    let chunk = |k: usize| HEADER_LEN + k * CHUNK_SEALED..HEADER_LEN + (k + 1) * CHUNK_SEALED;

    let cut = &blob[..chunk(2).end];
    assert!(plain_len(cut.len() as u64).is_none(), "a blob without its last chunk has no length");
    let tail = [&blob[..chunk(0).end], &blob[chunk(3).start..]].concat();
    assert!(open_blob(&object_key(), &tail).is_err(), "chunks dropped from the middle");

    let mut swapped = blob.clone();
    swapped[chunk(0)].copy_from_slice(&blob[chunk(1)]);
    swapped[chunk(1)].copy_from_slice(&blob[chunk(0)]);
    assert!(open_blob(&object_key(), &swapped).is_err());

    let mut doubled = blob.clone();
    doubled[chunk(1)].copy_from_slice(&blob[chunk(0)]);
    assert!(open_blob(&object_key(), &doubled).is_err());

    // The same chunk of another part, of another salt, of another mode and of another object.
    let others = [
        sealer(2),
        PartSealer::new(&object_key(), Mode::C, [3; 16], 1, [6; 24]),
        PartSealer::new(&object_key(), Mode::O, [3; 16], 1, [5; 24]),
        PartSealer::new(&object_key(), Mode::C, [4; 16], 1, [5; 24]),
        PartSealer::new(&ObjectKey::generate([8; 32]), Mode::C, [3; 16], 1, [5; 24]),
    ];
    for other in others {
        let other = seal_blob(other, &plain);
        let mut mixed = blob.clone();
        mixed[chunk(1)].copy_from_slice(&other[chunk(1)]);
        assert!(open_blob(&object_key(), &mixed).is_err());
        let mut headed = other.clone();
        headed[..HEADER_LEN].copy_from_slice(&blob[..HEADER_LEN]);
        assert!(open_blob(&object_key(), &headed).is_err(), "a header on another's chunks");
    }
}

#[test]
fn a_chunk_opens_at_its_index_only_and_as_what_it_is() {
    let mut sealer = sealer(0);
    let header = *sealer.header();
    let mut chunk = vec![1; CHUNK_SEALED];
    sealer.seal_chunk_in_place(&mut chunk).unwrap();
    let mut last = [1; 3 + TAG_LEN];
    sealer.seal_last(&mut last, 3).unwrap();

    let opener = PartOpener::new(&object_key(), &header).unwrap();
    let open = |index, last, bytes: &[u8]| {
        let mut buf = bytes.to_vec();
        opener.open_chunk_in_place(ChunkIndex(index), last, &mut buf)
    };
    assert_eq!(open(0, LastChunk::No, &chunk), Ok(CHUNK_PLAIN));
    assert_eq!(open(1, LastChunk::Yes, &last), Ok(3));
    let failed = Err(OpenError::AuthenticationFailed);
    assert_eq!(open(1, LastChunk::No, &chunk), failed);
    assert_eq!(open(0, LastChunk::Yes, &last), failed);
    let length = Err(OpenError::Length);
    assert_eq!(open(0, LastChunk::Yes, &chunk), length, "a last chunk is short");
    assert_eq!(open(1, LastChunk::No, &last), length);
    assert_eq!(open(1, LastChunk::Yes, &last[..15]), length);
    assert_eq!(open(1, LastChunk::Yes, &[]), length);
    assert_eq!(open(CHUNKS_MAX, LastChunk::No, &chunk), length);
}

#[test]
fn a_failed_chunk_leaves_no_plaintext() {
    let mut blob = seal_blob(sealer(0), &[0x41; 1000]);
    let header = PartHeader::decode(&blob[..HEADER_LEN]).unwrap();
    *blob.last_mut().unwrap() ^= 1;
    let opener = PartOpener::new(&object_key(), &header).unwrap();
    let chunk = &mut blob[HEADER_LEN..];
    assert!(opener.open_chunk_in_place(ChunkIndex(0), LastChunk::Yes, chunk).is_err());
    assert!(!chunk.windows(8).any(|w| w == [0x41; 8]));
}

#[test]
fn sealers_refuse_wrong_lengths() {
    let mut sealer = sealer(0);
    for len in [0, CHUNK_PLAIN, CHUNK_SEALED - 1, CHUNK_SEALED + 1] {
        assert_eq!(sealer.seal_chunk_in_place(&mut vec![0; len]), Err(SealError::Length));
    }
    let mut buf = vec![0; CHUNK_SEALED];
    assert_eq!(sealer.seal_last(&mut buf, CHUNK_PLAIN), Err(SealError::Length));
    assert_eq!(crate::common::sealer(0).seal_last(&mut buf[..18], 3), Err(SealError::Length));
}

#[test]
fn boxes_open_with_their_key_label_and_kind_only() {
    let (key, operator) = (object_key(), operator_key(1));
    let metadata_key = key.metadata_key();
    let sealed = metadata_key.seal([1; 32], METADATA_LABEL, b"nom: Dupont");
    assert_eq!(sealed.len(), 11 + BOX_OVERHEAD);
    assert!(metadata_key.open(&part_label(1), &sealed).is_err());
    assert!(ObjectKey::generate([8; 32]).metadata_key().open(METADATA_LABEL, &sealed).is_err());
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(metadata_key.open(METADATA_LABEL, &bad).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(metadata_key.open(METADATA_LABEL, &sealed[..len]).is_err());
    }

    let secret = operator.seal_secret(b"access key AK1", [1; 32], b"s3cr3t");
    assert!(operator.open_secret(b"access key AK2", &secret).is_err());
    assert!(operator_key(2).open_secret(b"access key AK1", &secret).is_err());
    assert!(pending_keys_open(&operator, b"access key AK1", &secret).is_err());
    let pending = pending_keys_seal(&operator, b"u", [1; 32], &key.manifest_key(), &metadata_key);
    assert!(operator.open_secret(b"u", &pending).is_err());
    assert!(pending_keys_open(&operator, b"v", &pending).is_err());
    assert!(pending_keys_open(&operator_key(2), b"u", &pending).is_err());
    for bit in 0..pending.len() * 8 {
        let mut bad = pending.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(pending_keys_open(&operator, b"u", &bad).is_err(), "bit {bit}");
    }
}

#[test]
fn a_manifest_pins_parts_order_lengths_and_metadata() {
    let key = object_key().manifest_key();
    let part = |number: u32| ManifestPart {
        number,
        salt: [number as u8; 24],
        commitment: [number as u8 + 50; 32],
        plain_len: u64::from(number) * 1000,
    };
    let parts = [part(1), part(2), part(3)];
    let good = Manifest { parts: &parts, total_len: 6000, metadata_hash: [1; 32] };
    let mac = key.mac(&good);
    assert_eq!(key.verify(&good, &mac), Ok(()));

    let refused = |parts: &[ManifestPart], total_len, metadata_hash| {
        let manifest = Manifest { parts, total_len, metadata_hash };
        assert!(key.verify(&manifest, &mac).is_err());
    };
    refused(&parts[..2], 3000, [1; 32]);
    refused(&parts[1..], 5000, [1; 32]);
    refused(&[part(2), part(1), part(3)], 6000, [1; 32]);
    refused(&[part(1), part(2), part(3), part(3)], 9000, [1; 32]);
    refused(&parts, 6001, [1; 32]);
    refused(&parts, 6000, [2; 32]);
    let changed: [fn(&mut ManifestPart); 4] =
        [|p| p.number = 9, |p| p.salt[23] ^= 1, |p| p.commitment[0] ^= 1, |p| p.plain_len += 1];
    for change in changed {
        let mut parts = parts;
        change(&mut parts[1]);
        refused(&parts, 6000, [1; 32]);
    }
    let other = ObjectKey::generate([8; 32]).manifest_key();
    assert!(other.verify(&good, &mac).is_err());

    // A MAC over parts that do not add up does not help, nor do lengths that overflow.
    let lie = Manifest { parts: &parts, total_len: 7, metadata_hash: [1; 32] };
    assert!(key.verify(&lie, &key.mac(&lie)).is_err());
    let mut huge = parts;
    huge[0].plain_len = u64::MAX;
    let lie = Manifest { parts: &huge, total_len: 4999, metadata_hash: [1; 32] };
    assert!(key.verify(&lie, &key.mac(&lie)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flip_anywhere_is_refused(len in 0usize..70_000, at: prop::sample::Index, bit in 0u8..8) {
        let mut blob = seal_blob(sealer(1), &pattern(len));
        let at = at.index(blob.len());
        blob[at] ^= 1 << bit;
        prop_assert!(open_blob(&object_key(), &blob).is_err());
    }

    #[test]
    fn a_cut_anywhere_is_refused(len in 0usize..70_000, at: prop::sample::Index) {
        let blob = seal_blob(sealer(1), &pattern(len));
        prop_assert!(open_blob(&object_key(), &blob[..at.index(blob.len())]).is_err());
    }

    #[test]
    fn bytes_added_anywhere_are_refused(
        len in 0usize..70_000,
        at: prop::sample::Index,
        added in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut blob = seal_blob(sealer(1), &pattern(len));
        let at = at.index(blob.len() + 1);
        blob.splice(at..at, added);
        prop_assert!(open_blob(&object_key(), &blob).is_err());
    }

    #[test]
    fn random_bytes_are_no_structure(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let key = client_key(1);
        prop_assert!(unwrap(RootKey::Client(&key), &bytes, &CONTEXT).is_err());
        prop_assert!(object_key().metadata_key().open(b"", &bytes).is_err());
        prop_assert!(pending_keys_open(&operator_key(1), b"", &bytes).is_err());
        prop_assert!(open_blob(&object_key(), &bytes).is_err());
        prop_assert!(unseal::unseal(&bytes[..], &[1; 32], std::io::sink()).is_err());
    }
}
