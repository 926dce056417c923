//! What each client knows of its keys, and the bodies that it writes.

use chartrier_conformance::random::Random;

/// One body: its bytes follow from these two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) seed: u64,
    pub(crate) len_bytes: usize,
}

impl Body {
    /// A body whose size is drawn so that every storage path is met: inline, small, several stripes.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let limit = match random.below(10) {
            0..=3 => 9 << 10,
            4..=6 => 80 << 10,
            7..=8 => 1 << 20,
            _ => 5 << 20,
        };
        Self { seed: random.number(), len_bytes: random.below(limit) as usize }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut random = Random::new(self.seed);
        let mut bytes = Vec::with_capacity(self.len_bytes + 8);
        while bytes.len() < self.len_bytes {
            bytes.extend_from_slice(&random.number().to_le_bytes());
        }
        bytes.truncate(self.len_bytes);
        bytes
    }
}

/// What a key should hold: nothing, or a body.
pub(crate) type State = Option<Body>;

/// One client's keys.
pub(crate) struct Ledger {
    pub(crate) client: u64,
    pub(crate) random: Random,
    /// The acknowledged state of key `i`.
    pub(crate) keys: Vec<State>,
    /// The change whose answer never came: key, and what it would have made of it.
    pub(crate) in_flight: Option<(usize, State)>,
    pub(crate) totals: Totals,
}

/// Changes that hold.
#[derive(Default, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) deposits: u64,
    pub(crate) deletes: u64,
    pub(crate) in_flight: u64,
    pub(crate) in_flight_happened: u64,
}

/// Keys a client plays with.
const KEYS_PER_CLIENT: usize = 40;

impl Ledger {
    pub(crate) fn new(client: u64, seed: u64) -> Self {
        Self {
            client,
            random: Random::new(seed),
            keys: vec![None; KEYS_PER_CLIENT],
            in_flight: None,
            totals: Totals::default(),
        }
    }

    pub(crate) fn key_name(&self, index: usize) -> String {
        format!("client-{}/{index:03}", self.client)
    }

    /// Odd clients send an SSE-C key with each request.
    pub(crate) fn uses_client_key(&self) -> bool {
        self.client % 2 == 1
    }

    /// Records that key `index` now holds `state`.
    pub(crate) fn holds(&mut self, index: usize, state: State) {
        match (state, self.keys[index]) {
            (Some(_), _) => self.totals.deposits += 1,
            (None, Some(_)) => self.totals.deletes += 1,
            (None, None) => {}
        }
        self.keys[index] = state;
    }
}

impl Totals {
    pub(crate) fn of(ledgers: &[Ledger]) -> Self {
        ledgers.iter().fold(Self::default(), |sum, ledger| Self {
            deposits: sum.deposits + ledger.totals.deposits,
            deletes: sum.deletes + ledger.totals.deletes,
            in_flight: sum.in_flight + ledger.totals.in_flight,
            in_flight_happened: sum.in_flight_happened + ledger.totals.in_flight_happened,
        })
    }
}
