//! Goal: keys lie in locked memory that no core dump holds, and leave no copy behind.
//! Method: use keys that are nowhere else in the process, and search all of its memory for them.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use chartrier_crypto::*;
use zeroize::Zeroize;

/// Keys are `MASKED ^ 0x5a`, so that the needles themselves are not found.
const MASKED_CLIENT: [u8; 32] = *b"(canary of the client's own key)";
const MASKED_OBJECT: [u8; 32] = *b"[canary of the random obj. key!]";
const MASK: u8 = 0x5a;

#[test]
fn keys_are_locked_while_alive_and_gone_after() {
    let client = client_key();
    let object_key = ObjectKey::generate_with(|slot| unmask(slot, &MASKED_OBJECT));
    let found = [search(&MASKED_CLIENT), search(&MASKED_OBJECT)];
    for places in found {
        assert_eq!(places.len(), 1, "one copy of a living key");
        let dump_flag = places[0].flags.iter().any(|flag| flag == "dd");
        let locked_flag = places[0].flags.iter().any(|flag| flag == "lo");
        assert!(dump_flag, "left out of core dumps: {:?}", places[0].flags);
        assert_eq!(locked_flag, locked_memory().unlocked_bytes == 0);
    }

    use_keys(&client, &object_key);
    drop((client, object_key));
    for masked in [&MASKED_CLIENT, &MASKED_OBJECT] {
        let left = search(masked);
        assert!(left.is_empty(), "{left:x?}");
    }
}

/// All that a request does with a client key and an object key.
#[inline(never)]
fn use_keys(client: &ClientKey, object_key: &ObjectKey) {
    let context =
        WrapContext { mode: Mode::C, bucket: &[1; 16], key_name: b"k", version_id: &[2; 16], object_uuid: &[3; 16] };
    client.md5();
    let record = wrap(RootKey::Client(client), object_key, &context, [4; 32]);
    let opened = unwrap(RootKey::Client(client), &record, &context).unwrap();
    let sealer = PartSealer::new(&opened, Mode::C, [3; 16], 0, [5; 24]);
    let header = *sealer.header();
    let mut chunk = [0; 100];
    sealer.seal_last(&mut chunk, 84).unwrap();
    let opener = PartOpener::new(&opened, &header).unwrap();
    opener.open_chunk_in_place(ChunkIndex(0), LastChunk::Yes, &mut chunk).unwrap();
    let metadata_key = opened.metadata_key();
    let sealed = metadata_key.seal([6; 32], METADATA_LABEL, b"metadata");
    metadata_key.open(METADATA_LABEL, &sealed).unwrap();
    let manifest = Manifest { parts: &[], total_len: 0, metadata_hash: [0; 32] };
    opened.manifest_key().mac(&manifest);
}

/// As a request brings it: in base64.
#[inline(never)]
fn client_key() -> ClientKey {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let masked = |i: usize| MASKED_CLIENT.get(i).map_or(0, |byte| u32::from(byte ^ MASK));
    let mut text = Vec::new();
    for at in (0..33).step_by(3) {
        let bits = masked(at) << 16 | masked(at + 1) << 8 | masked(at + 2);
        text.extend((0..4).map(|i| ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]));
    }
    text[43] = b'=';
    ClientKey::from_base64(&text).unwrap()
}

fn unmask(slot: &mut [u8; 32], masked: &[u8; 32]) {
    for (byte, masked) in slot.iter_mut().zip(masked) {
        *byte = masked ^ MASK;
    }
}

#[derive(Debug)]
struct Place {
    _address: u64,
    flags: Vec<String>,
}

/// Every place in the memory of this process that holds the unmasked bytes.
fn search(masked: &[u8; 32]) -> Vec<Place> {
    const STEP: usize = 256 * 1024;
    let memory = File::open("/proc/self/mem").unwrap();
    let mut buf = vec![0; STEP + masked.len()];
    let mut found = Vec::new();
    for (range, flags) in mappings() {
        let mut at = range.start;
        while at < range.end {
            let len = buf.len().min((range.end - at) as usize);
            if memory.read_exact_at(&mut buf[..len], at).is_ok() {
                let hits = buf[..len]
                    .windows(masked.len())
                    .enumerate()
                    .filter(|(_, window)| window.iter().zip(masked).all(|(byte, masked)| *byte == masked ^ MASK));
                found.extend(hits.map(|(i, _)| (at + i as u64, flags.clone())));
            }
            // Else the search would find what it has read.
            buf.as_mut_slice().zeroize();
            at += STEP as u64;
        }
    }
    found.dedup_by_key(|(address, _)| *address);
    found.into_iter().map(|(_address, flags)| Place { _address, flags }).collect()
}

/// Readable mappings with their flags, as `proc_pid_smaps(5)` shows them.
fn mappings() -> Vec<(Range<u64>, Vec<String>)> {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut mappings: Vec<(Range<u64>, Vec<String>)> = Vec::new();
    for line in smaps.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if let Some(flags) = line.strip_prefix("VmFlags: ") {
            if let Some(mapping) = mappings.last_mut() {
                mapping.1 = flags.split_whitespace().map(String::from).collect();
            }
        } else if let Some((start, end)) = first.split_once('-') {
            let parse = |hex| u64::from_str_radix(hex, 16).unwrap();
            mappings.push((parse(start)..parse(end), Vec::new()));
        }
    }
    mappings
}
