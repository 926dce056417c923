//! The block function of RFC 1321 over `N` streams at once: plain loops that the compiler makes
//! vectors of, for the widest registers that the processor has.

use std::array::from_fn;

/// Bytes in a block.
pub(super) const BLOCK_BYTES: usize = 64;

/// The chaining value that every stream begins with.
pub(super) const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// `floor(2^32 * abs(sin(i + 1)))`.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// Takes the first `blocks` blocks of each stream into its chaining value: `states[word][stream]`.
///
/// # Panics
/// If a stream is shorter.
pub(super) fn compress<const N: usize>(states: &mut [[u32; N]; 4], streams: [&[u8]; N], blocks: usize) {
    let compression = Compression { states, streams, blocks };
    if N == 1 {
        pulp::NullaryFnOnce::call(compression);
    } else {
        pulp::Arch::new().dispatch(compression);
    }
}

struct Compression<'a, const N: usize> {
    states: &'a mut [[u32; N]; 4],
    streams: [&'a [u8]; N],
    blocks: usize,
}

impl<const N: usize> pulp::NullaryFnOnce for Compression<'_, N> {
    type Output = ();

    // Inlined into one copy for each kind of register.
    #[inline(always)]
    fn call(self) {
        for block in 0..self.blocks {
            let mut words = [[0; N]; 16];
            for (stream, bytes) in self.streams.iter().enumerate() {
                let bytes = &bytes[block * BLOCK_BYTES..][..BLOCK_BYTES];
                for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                    word[stream] = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
            }
            compress_one(self.states, &words);
        }
    }
}

#[inline(always)]
fn compress_one<const N: usize>(states: &mut [[u32; N]; 4], words: &[[u32; N]; 16]) {
    let [mut a, mut b, mut c, mut d] = *states;
    macro_rules! step {
        ($mix:expr, $a:ident, $b:ident, $c:ident, $d:ident, $word:expr, $sine:expr, $shift:expr) => {
            $a = from_fn(|n| {
                let sum = $a[n].wrapping_add($mix($b[n], $c[n], $d[n])).wrapping_add(words[$word][n]);
                sum.wrapping_add(SINES[$sine]).rotate_left($shift).wrapping_add($b[n])
            });
        };
    }
    macro_rules! round {
        ($mix:expr, $from:expr, $word:expr, $shifts:expr) => {
            for at in [$from, $from + 4, $from + 8, $from + 12] {
                step!($mix, a, b, c, d, $word(at), at, $shifts[0]);
                step!($mix, d, a, b, c, $word(at + 1), at + 1, $shifts[1]);
                step!($mix, c, d, a, b, $word(at + 2), at + 2, $shifts[2]);
                step!($mix, b, c, d, a, $word(at + 3), at + 3, $shifts[3]);
            }
        };
    }
    round!(|x: u32, y: u32, z: u32| (x & y) | (!x & z), 0, |at: usize| at, [7, 12, 17, 22]);
    round!(|x: u32, y: u32, z: u32| (x & z) | (y & !z), 16, |at: usize| (5 * at + 1) % 16, [5, 9, 14, 20]);
    round!(|x: u32, y: u32, z: u32| x ^ y ^ z, 32, |at: usize| (3 * at + 5) % 16, [4, 11, 16, 23]);
    round!(|x: u32, y: u32, z: u32| y ^ (x | !z), 48, |at: usize| (7 * at) % 16, [6, 10, 15, 21]);
    for (state, new) in states.iter_mut().zip([a, b, c, d]) {
        *state = from_fn(|n| state[n].wrapping_add(new[n]));
    }
}
