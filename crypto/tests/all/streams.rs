//! Goal: however the bytes are cut into windows and buffers, a stream is the same blob, and any
//! range of it is the slice of the plaintext.

use chartrier_crypto::*;
use proptest::prelude::*;

use crate::common::{object_key, open_blob, open_range, pattern, seal_blob, sealer};

/// Plays a store with windows of the given lengths, in turn, and a source of pieces.
fn seal_stream(plain: &[u8], piece: usize, windows: &[usize]) -> Vec<u8> {
    let mut sealer = StreamSealer::new(sealer(1));
    let mut windows = windows.iter().copied().cycle();
    let mut out = Vec::new();
    let mut window = vec![0xee; windows.next().unwrap()];
    let mut used = 0;
    let mut renew = |window: &mut Vec<u8>, used: &mut usize| {
        if *used == window.len() {
            *window = vec![0xee; windows.next().unwrap()];
            *used = 0;
        }
    };
    for mut piece in plain.chunks(piece) {
        while !piece.is_empty() {
            renew(&mut window, &mut used);
            let step = sealer.push(piece, &mut window[used..]).unwrap();
            out.extend_from_slice(&window[used..used + step.written]);
            used += step.written;
            piece = &piece[step.consumed..];
        }
    }
    loop {
        renew(&mut window, &mut used);
        let step = sealer.finish(&mut window[used..]).unwrap();
        out.extend_from_slice(&window[used..used + step.written]);
        used += step.written;
        if step.done {
            break;
        }
    }
    assert_eq!(sealer.plain_len(), plain.len() as u64);
    assert_eq!(sealer.push(b"x", &mut [0; 32]), Err(SealError::Finished));
    assert!(sealer.finish(&mut []).unwrap().done);
    out
}

#[test]
fn stripes_of_a_mebibyte() {
    let plain = pattern(3_000_000);
    let expected = seal_blob(sealer(1), &plain);
    assert!(seal_stream(&plain, 65_536, &[1 << 20]) == expected);
    assert!(seal_stream(&plain, 8_192, &[16 << 20]) == expected);
    assert!(open_blob(&object_key(), &expected).unwrap() == plain);
}

#[test]
fn a_window_may_not_shrink_under_a_chunk() {
    let mut sealer = StreamSealer::new(sealer(1));
    let mut window = vec![0; 20_000];
    let step = sealer.push(b"abc", &mut window).unwrap();
    assert_eq!((step.consumed, step.written), (3, HEADER_LEN));
    assert_eq!(sealer.push(b"d", &mut window[..100]), Err(SealError::WindowMoved));
}

#[test]
fn ranges_at_the_edges() {
    let chunk = CHUNK_PLAIN as u64;
    for len in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 5] {
        let plain = pattern(len as usize);
        let blob = seal_blob(sealer(0), &plain);
        let edges = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, len.saturating_sub(1), len];
        for start in edges {
            for end in edges.into_iter().chain([len + 1, u64::MAX]) {
                check_range(&blob, &plain, start..end.max(start), 40_000);
            }
        }
    }
}

#[test]
fn lengths_are_closed_form_and_unique() {
    let mut expected = 0;
    for sealed in 0..60_000 {
        if let Some(plain) = plain_len(sealed) {
            assert_eq!((plain, sealed_len(plain)), (expected, sealed));
            expected += 1;
        }
    }
    assert_eq!(sealed_len(5 << 30), 88 + (5 << 30) + 16 * 327_681);
    assert_eq!(plain_len(sealed_len((1 << 52) - 1)), Some((1 << 52) - 1));
    assert_eq!(plain_len(sealed_len((1 << 52) - 1) + 1), None);
    assert_eq!(plain_len(u64::MAX), None);
}

#[test]
fn the_end_of_the_part_is_read_with_a_range_that_reaches_it() {
    let range = sealed_range(2 * CHUNK_PLAIN as u64, 0..2 * CHUNK_PLAIN as u64);
    assert_eq!(range.chunks, 3, "the empty last chunk proves the length");
    let empty = sealed_range(0, 0..0);
    assert_eq!((empty.chunks, empty.sealed), (1, 88..104));
    let none = sealed_range(50_000, 100..100);
    assert_eq!((none.chunks, none.take), (0, 0));
}

#[test]
fn streams_that_bring_too_little_or_too_much_are_refused() {
    let blob = seal_blob(sealer(0), &pattern(40_000));
    let header = PartHeader::decode(&blob[..HEADER_LEN]).unwrap();
    let sealed = &blob[HEADER_LEN..];
    let open = |sealed: &[u8]| {
        let opener = PartOpener::new(&object_key(), &header).unwrap();
        open_range(opener, 40_000, 0..40_000, sealed, 10_000)
    };
    assert!(open(sealed).is_ok());
    assert!(open(&sealed[..CHUNK_SEALED]).is_err());
    assert!(open(&sealed[..sealed.len() - 1]).is_err());
    assert!(open(&[sealed, &[0]].concat()).is_err());
    assert!(open(&[]).is_err());
}

fn check_range(blob: &[u8], plain: &[u8], range: std::ops::Range<u64>, step: usize) {
    let header = PartHeader::decode(&blob[..HEADER_LEN]).unwrap();
    let opener = PartOpener::new(&object_key(), &header).unwrap();
    let len = plain.len() as u64;
    let map = sealed_range(len, range.clone());
    let sealed = &blob[map.sealed.start as usize..map.sealed.end as usize];
    let wanted = range.start.min(len) as usize..range.end.min(len) as usize;
    assert_eq!(map.take, wanted.len() as u64);
    assert!(sealed.len() <= wanted.len() + wanted.len() / 1000 + 2 * CHUNK_SEALED);
    let opened = open_range(opener, len, range, sealed, step).unwrap();
    assert!(opened == plain[wanted]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn windows_do_not_matter(
        len in 0usize..90_000,
        piece in 1usize..50_000,
        windows in prop::collection::vec(1usize..60_000, 1..6),
    ) {
        let plain = pattern(len);
        prop_assert!(seal_stream(&plain, piece, &windows) == seal_blob(sealer(1), &plain));
    }

    #[test]
    fn any_range_is_the_slice(
        len in 0u64..90_000,
        a in 0u64..95_000,
        b in 0u64..95_000,
        step in 1usize..60_000,
    ) {
        let plain = pattern(len as usize);
        let blob = seal_blob(sealer(0), &plain);
        check_range(&blob, &plain, a.min(b)..a.max(b), step);
    }
}
