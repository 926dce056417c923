//! Sealing and opening a part, and the wrap of its object key.
//!
//! A part stream costs one key derivation, then AES-256-GCM; both are in the figures, as each upload pays both.

use chartrier_crypto::{
    ClientKey, Mode, ObjectKey, PartHeader, PartOpener, PartSealer, RootKey, StreamOpener, StreamSealer, WrapContext,
    sealed_len, unwrap, wrap,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use std::hint::black_box;

use crate::noise;

const SIZES: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];
const OBJECT_UUID: [u8; 16] = [3; 16];

pub(crate) fn benches(criterion: &mut Criterion) {
    let object_key = ObjectKey::generate([7; 32]);
    let mut group = criterion.benchmark_group("sealing");
    for size in SIZES {
        let plain = noise(size);
        let mut window = vec![0; sealed_len(size as u64) as usize];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("seal", size), &plain, |bench, plain| {
            bench.iter(|| seal(&object_key, black_box(plain), &mut window));
        });
        let header = seal(&object_key, &plain, &mut window);
        group.bench_with_input(BenchmarkId::new("open", size), &window, |bench, sealed| {
            // Opening is in place, so each round needs the sealed bytes afresh; the copy is not measured.
            bench.iter_batched_ref(
                || sealed.clone(),
                |sealed| open(&object_key, &header, size as u64, black_box(sealed)),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
    wraps(criterion, &object_key);
}

fn wraps(criterion: &mut Criterion, object_key: &ObjectKey) {
    let client_key = ClientKey::from_slice(&[1; 32]).unwrap();
    let context = WrapContext {
        mode: Mode::C,
        bucket: &[2; 16],
        key_name: b"minutes/2026/11/council.pdf",
        version_id: &[0; 16],
        object_uuid: &OBJECT_UUID,
    };
    let mut group = criterion.benchmark_group("wrap");
    group.bench_function("wrap", |bench| {
        bench.iter(|| wrap(RootKey::Client(&client_key), object_key, black_box(&context), [4; 32]));
    });
    let record = wrap(RootKey::Client(&client_key), object_key, &context, [4; 32]);
    group.bench_function("unwrap", |bench| {
        bench.iter(|| unwrap(RootKey::Client(&client_key), black_box(&record), &context).unwrap());
    });
    group.finish();
}

/// As an upload does it: a stream into one window that is long enough.
fn seal(object_key: &ObjectKey, plain: &[u8], window: &mut [u8]) -> PartHeader {
    let mut sealer = StreamSealer::new(PartSealer::new(object_key, Mode::C, OBJECT_UUID, 0, [5; 24]));
    let step = sealer.push(plain, window).unwrap();
    assert_eq!(step.consumed, plain.len());
    let end = sealer.finish(&mut window[step.written..]).unwrap();
    assert!(end.done && step.written + end.written == window.len());
    *sealer.header()
}

/// As a download does it: the whole part in one buffer, opened where it lies.
fn open(object_key: &ObjectKey, header: &PartHeader, plain_len: u64, sealed: &mut [u8]) {
    let opener = PartOpener::new(object_key, header).unwrap();
    let mut opener = StreamOpener::new(opener, plain_len, 0..plain_len);
    let wanted = opener.sealed();
    let run = opener.open(&mut sealed[wanted.start as usize..wanted.end as usize]).unwrap();
    opener.finish().unwrap();
    assert_eq!(run.plain.len() as u64, plain_len);
}
