//! Goal: keys lie in locked memory that no core dump holds, and leave no copy behind.
//! Method: use keys that are nowhere else in the process, and search all of its memory for them.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;

use chartrier_crypto::*;
use zeroize::Zeroize;

/// Keys are `MASKED ^ 0x5a`, so that the needles themselves are not found.
const MASKED_CLIENT: [u8; 32] = *b"(canary of the client's own key)";
const MASKED_OBJECT: [u8; 32] = *b"[canary of the random obj. key!]";
const MASK: u8 = 0x5a;

#[test]
fn keys_are_locked_while_alive_and_gone_after() {
    let keys = (client_key(), object_key());
    for masked in [&MASKED_CLIENT, &MASKED_OBJECT] {
        let places = search(masked);
        assert_eq!(places.len(), 1, "one copy of a living key: {places:x?}");
        let flag = |name| places[0].flags.iter().any(|flag| flag == name);
        assert!(flag("dd"), "left out of core dumps: {places:x?}");
        assert_eq!(flag("lo"), locked_memory().unlocked_bytes == 0);
    }
    drop(keys);

    // Each use has a thread, which then waits: what it left on its stack is still there.
    let uses: [fn(&ClientKey, &ObjectKey); 6] = [
        |client, _| assert_ne!(client.md5(), [0; 16]),
        |client, object| assert!(!wrap_record(client, object).is_empty()),
        |client, object| {
            let record = wrap_record(client, object);
            assert!(unwrap(RootKey::Client(client), &record, &CONTEXT).is_ok());
        },
        |_, object| assert_eq!(sealer(object).header().part_number, 0),
        |_, object| assert!(PartOpener::new(object, sealer(object).header()).is_ok()),
        |_, object| {
            object.metadata_key();
            object.manifest_key();
        },
    ];
    let (used, waiting) = (Barrier::new(uses.len() + 1), Barrier::new(uses.len() + 1));
    std::thread::scope(|scope| {
        for use_keys in uses {
            let (used, waiting) = (&used, &waiting);
            scope.spawn(move || {
                let (client, object) = (client_key(), object_key());
                use_keys(&client, &object);
                drop((client, object));
                used.wait();
                waiting.wait();
            });
        }
        used.wait();
        let left = [search(&MASKED_CLIENT), search(&MASKED_OBJECT)];
        waiting.wait();
        assert!(left.iter().all(Vec::is_empty), "{left:x?}");
    });
}

const CONTEXT: WrapContext<'_> =
    WrapContext { mode: Mode::C, bucket: &[1; 16], key_name: b"k", version_id: &[2; 16], object_uuid: &[3; 16] };

#[inline(never)]
fn wrap_record(client: &ClientKey, object_key: &ObjectKey) -> Vec<u8> {
    wrap(RootKey::Client(client), object_key, &CONTEXT, [4; 32])
}

#[inline(never)]
fn sealer(object_key: &ObjectKey) -> PartSealer {
    PartSealer::new(object_key, Mode::C, [3; 16], 0, [5; 24])
}

fn object_key() -> ObjectKey {
    ObjectKey::generate_with(|slot| {
        for (byte, masked) in slot.iter_mut().zip(MASKED_OBJECT) {
            *byte = masked ^ MASK;
        }
    })
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

#[derive(Debug)]
struct Place {
    address: u64,
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
                found.extend(hits.map(|(i, _)| Place { address: at + i as u64, flags: flags.clone() }));
            }
            // Else the search would find what it has read.
            buf.as_mut_slice().zeroize();
            at += STEP as u64;
        }
    }
    // Steps overlap by the length of a key.
    found.dedup_by_key(|place| place.address);
    found
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
