//! The one module that draws randomness, from the kernel.

use std::sync::Mutex;

use chartrier_storage::env::Random;
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroize as _;

/// The kernel's generator.
#[derive(Default)]
pub struct SystemRandom {
    /// A reserve, so that a request id does not cost a system call. Used bytes are wiped at once.
    reserve: Mutex<Reserve>,
}

struct Reserve {
    bytes: Box<[u8; RESERVE_LEN_BYTES]>,
    used: usize,
}

const RESERVE_LEN_BYTES: usize = 4096;
/// Keys are longer than this and are drawn straight from the kernel, never through the reserve.
const FROM_RESERVE_LEN_BYTES_MAX: usize = 16;

impl Default for Reserve {
    fn default() -> Self {
        Self { bytes: Box::new([0; RESERVE_LEN_BYTES]), used: RESERVE_LEN_BYTES }
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > FROM_RESERVE_LEN_BYTES_MAX {
            return fill_from_kernel(bytes);
        }
        let mut reserve = self.reserve.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if reserve.used + bytes.len() > RESERVE_LEN_BYTES {
            fill_from_kernel(reserve.bytes.as_mut_slice());
            reserve.used = 0;
        }
        let from = reserve.used;
        reserve.used += bytes.len();
        let taken = &mut reserve.bytes[from..from + bytes.len()];
        bytes.copy_from_slice(taken);
        taken.zeroize();
    }
}

/// # Panics
/// If the kernel has no generator: nothing here can be done safely without one.
fn fill_from_kernel(mut bytes: &mut [u8]) {
    while !bytes.is_empty() {
        match getrandom(&mut *bytes, GetRandomFlags::empty()) {
            Ok(count) => bytes = &mut bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel gives no random bytes: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn draws_differ_across_refills_of_the_reserve() {
        let random = SystemRandom::default();
        let mut seen = HashSet::new();
        for _ in 0..2000 {
            let mut id = [0; 16];
            random.fill(&mut id);
            assert!(seen.insert(id));
        }
        let mut key = [0; 32];
        random.fill(&mut key);
        assert_ne!(key, [0; 32]);
    }
}
