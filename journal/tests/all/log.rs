//! A small real log to test with, and an export kept in memory.

use std::collections::BTreeMap;
use std::io;

use chartrier_journal::{
    Actor, Checkpoint, EventType, ExportReader, ExportSink, Frontier, Hash, JournalError, Json, LEAF_VERSION, Leaf,
    Outcome, Signer, Target, VerifyError, commitment, leaf_hash, write_export,
};

pub(crate) const ORIGIN: &str = "chartrier.example/default/cycle";

pub(crate) fn signer() -> Signer {
    Signer::new(ORIGIN, &[0x5e; 32]).unwrap()
}

/// A leaf as the store writes them; every type of event takes its turn.
pub(crate) fn leaf(seq: u64) -> Leaf {
    assert_eq!(LEAF_VERSION, 1);
    let turn = usize::try_from(seq).unwrap() % EventType::ALL.len();
    // The document shows a log of the first three; then every type has its turn.
    let event = match seq {
        0 => EventType::BucketCreate,
        1 => EventType::BucketDelete,
        2 => EventType::ObjectDeposit,
        _ => EventType::ALL[turn],
    };
    Leaf {
        log: ORIGIN.to_owned(),
        seq,
        time_us: 1_795_322_740_123_456 + seq * 1000,
        event,
        tenant: "default".to_owned(),
        actor: Actor {
            pid: "5f2c0d7a9be14c33".to_owned(),
            role: "user".to_owned(),
            org: seq.is_multiple_of(2).then(|| "Archives départementales".to_owned()),
            auth: "sigv4".to_owned(),
        },
        req: format!("{seq:016X}"),
        node: "n1".to_owned(),
        target: Target {
            bucket: Some("00112233445566778899aabbccddeeff".to_owned()),
            object: Some(commitment(&[3; 32], &seq.to_be_bytes()).to_hex()),
            version: Some("null".to_owned()),
            ..Target::default()
        },
        outcome: if event.is_refusal() { Outcome::Refused("AccessDenied".to_owned()) } else { Outcome::Ok },
        data: BTreeMap::from([("size".to_owned(), Json::Number(seq * 17))]),
    }
}

/// A log in memory: its leaves and all stored hashes.
pub(crate) struct Log {
    pub(crate) leaves: Vec<Vec<u8>>,
    pub(crate) stored: Vec<Hash>,
    pub(crate) frontier: Frontier,
}

impl Log {
    pub(crate) fn of(leaves: Vec<Vec<u8>>) -> Self {
        let mut frontier = Frontier::new();
        let stored = leaves.iter().flat_map(|leaf| frontier.push(leaf_hash(leaf))).collect();
        Self { leaves, stored, frontier }
    }

    pub(crate) fn with_size(size: u64) -> Self {
        Self::of((0..size).map(|seq| leaf(seq).encode().unwrap()).collect())
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub(crate) fn checkpoint(&self) -> String {
        Checkpoint::new(ORIGIN, self.size(), self.frontier.root()).unwrap().sign(&signer()).unwrap()
    }

    pub(crate) fn read(&self, index: u64) -> Result<Vec<u8>, JournalError> {
        Ok(self.leaves[usize::try_from(index).unwrap()].clone())
    }

    pub(crate) fn export(&self, sink: &mut dyn ExportSink) {
        write_export(&self.checkpoint(), &signer().verifier(), |index| self.read(index), sink).unwrap();
    }

    pub(crate) fn exported(&self) -> Files {
        let mut files = Files::default();
        self.export(&mut files);
        files
    }
}

/// An export in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl ExportSink for Files {
    fn put(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        assert!(self.0.insert(path.to_owned(), bytes.to_vec()).is_none(), "{path} came twice");
        Ok(())
    }
}

impl ExportReader for Files {
    fn read(&self, path: &str, len_max: usize) -> io::Result<Option<Vec<u8>>> {
        match self.0.get(path) {
            Some(bytes) if bytes.len() > len_max => Err(io::Error::other("too long")),
            found => Ok(found.cloned()),
        }
    }

    fn files(&self, visit: &mut dyn FnMut(&str) -> Result<(), VerifyError>) -> Result<(), VerifyError> {
        self.0.keys().try_for_each(|path| visit(path))
    }
}
