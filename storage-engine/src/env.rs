//! Time and randomness, passed in: nothing else in the engine reads a clock or draws a number.

use std::fmt;
use std::sync::Arc;

/// The wall clock.
pub trait Clock: Send + Sync {
    /// Unix time in microseconds.
    fn now_us(&self) -> u64;
}

/// A source of random bytes fit for identifiers.
pub trait Random: Send + Sync {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock and the randomness that one engine runs on.
#[derive(Clone)]
pub struct Env {
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

impl Env {
    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_us() / 1000
    }

    /// `N` random bytes.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

/// A clock and a generator that give the same values in every run: for tests and simulation.
///
/// The clock starts at 2026-01-01 and goes forward by one microsecond at each reading. The
/// random bytes are splitmix64: predictable, never for production.
pub struct SimEnv {
    now_us: std::sync::atomic::AtomicU64,
    state: std::sync::Mutex<SplitMix>,
}

impl SimEnv {
    /// An [`Env`] whose values depend on `seed` only.
    pub fn env(seed: u64) -> Env {
        let sim = Arc::new(Self {
            now_us: std::sync::atomic::AtomicU64::new(1_767_225_600_000_000),
            state: std::sync::Mutex::new(SplitMix::new(seed)),
        });
        Env { clock: sim.clone(), random: sim }
    }
}

impl Clock for SimEnv {
    fn now_us(&self) -> u64 {
        self.now_us.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

impl Random for SimEnv {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            let word = state.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Sebastiano Vigna's splitmix64: small, seedable, for simulation only.
#[derive(Debug, Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[expect(clippy::should_implement_trait, reason = "the sequence never ends, so no Option")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True half of the time.
    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
