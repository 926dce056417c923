//! What the workers of a child process did, as they said it before and after each change.
//!
//! The file outlives the process: a line that was written is in the page cache when SIGKILL comes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::work::WORKERS;

/// Bytes that follow from these two numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) seed: u64,
    pub(super) len: usize,
}

impl Body {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        blake3::Hasher::new().update(&self.seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }
}

/// One change of what a worker holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    Put { key: String, body: Body },
    Delete { key: String },
    Create { key: String, upload: u8 },
    Part { number: u16, body: Body },
    Complete,
    Abort,
}

/// What a worker's part of the bucket holds: objects, each of one body or of its parts, and one upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) objects: BTreeMap<String, Vec<Body>>,
    pub(super) upload: Option<Upload>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) id: u8,
    pub(super) parts: BTreeMap<u16, Body>,
}

impl Held {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Put { key, body } => drop(self.objects.insert(key.clone(), vec![body.clone()])),
            Change::Delete { key } => drop(self.objects.remove(key)),
            Change::Create { key, upload } => {
                self.upload = Some(Upload { key: key.clone(), id: *upload, parts: BTreeMap::new() });
            }
            Change::Part { number, body } => {
                self.upload.as_mut().unwrap().parts.insert(*number, body.clone());
            }
            Change::Complete => {
                let upload = self.upload.take().unwrap();
                self.objects.insert(upload.key, upload.parts.into_values().collect());
            }
            Change::Abort => self.upload = None,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Line {
    Begun { worker: usize, change: Change },
    Ended { worker: usize, holds: bool },
}

/// One worker, as far as its lines tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Worker {
    pub(super) held: Held,
    /// A change that was begun and whose end is not known.
    pub(super) in_flight: Option<Change>,
    pub(super) deposits: u64,
    pub(super) deletes: u64,
}

impl Worker {
    /// What it holds if the change in flight happened.
    pub(super) fn otherwise(&self) -> Option<Held> {
        let change = self.in_flight.as_ref()?;
        let mut held = self.held.clone();
        held.change(change);
        Some(held)
    }

    fn end(&mut self, holds: bool) {
        let Some(change) = self.in_flight.take().filter(|_| holds) else { return };
        match &change {
            Change::Put { .. } | Change::Complete => self.deposits += 1,
            Change::Delete { key } if self.held.objects.contains_key(key) => self.deletes += 1,
            _ => {}
        }
        self.held.change(&change);
    }
}

/// The workers of one installation, across all its processes; and one more, whose objects are never changed.
pub(super) struct Ledger {
    file: File,
    pub(super) workers: Vec<Worker>,
    pub(super) lines: u64,
}

impl Ledger {
    /// Reads what there is.
    pub(super) fn open(dir: &Path) -> Self {
        let path = dir.join("ledger");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        // A process may be killed in the middle of a line: that change was not begun, or is still in flight.
        let text = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        file.set_len(text.len() as u64).unwrap();
        let mut ledger = Self { file, workers: vec![Worker::default(); WORKERS + 1], lines: 0 };
        for line in text.lines() {
            ledger.follow(serde_json::from_str(line).unwrap());
        }
        ledger
    }

    pub(super) fn begin(&mut self, worker: usize, change: Change) {
        self.write(Line::Begun { worker, change });
    }

    /// Says what became of the change in flight.
    pub(super) fn end(&mut self, worker: usize, holds: bool) {
        self.write(Line::Ended { worker, holds });
    }

    fn write(&mut self, line: Line) {
        let mut text = serde_json::to_string(&line).unwrap();
        text.push('\n');
        self.file.write_all(text.as_bytes()).unwrap();
        self.follow(line);
    }

    fn follow(&mut self, line: Line) {
        self.lines += 1;
        match line {
            Line::Begun { worker, change } => self.workers[worker].in_flight = Some(change),
            Line::Ended { worker, holds } => self.workers[worker].end(holds),
        }
    }
}
