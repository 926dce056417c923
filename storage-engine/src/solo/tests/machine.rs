//! A state machine that remembers the commands it applied: enough to see what was lost or doubled.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::StateError;
use crate::namespace::command::{Applied, Command, CommandContext, Op, Outcome};
use crate::solo::Machine;

/// Entries per immutable file of a saved state.
const CHUNK: usize = 16;
/// A command of this name cannot be applied.
pub(super) const POISON: &str = "poison";

pub(super) struct History {
    dir: PathBuf,
    entries: Mutex<Vec<(u64, String)>>,
}

pub(super) fn command(name: &str) -> Command {
    let context = CommandContext {
        time_us: 0,
        request_id: name.to_owned(),
        actor_pid: String::new(),
        actor_role: "root".into(),
        actor_auth: "internal".into(),
        origin: None,
    };
    Command { context, op: Op::DeleteBucket { name: name.to_owned() } }
}

impl History {
    pub(super) fn open(dir: &Path) -> Result<Arc<Self>, StateError> {
        let entries = if dir.exists() {
            load(dir).ok_or(StateError::Inconsistent { what: "a saved history" })?
        } else {
            Vec::new()
        };
        Ok(Arc::new(Self { dir: dir.to_owned(), entries: Mutex::new(entries) }))
    }

    /// The names of the commands applied, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.entries.lock().unwrap().iter().map(|(_, name)| name.clone()).collect()
    }
}

impl Machine for History {
    fn applied_index(&self) -> u64 {
        self.entries.lock().unwrap().last().map_or(0, |(index, _)| *index)
    }

    fn apply_batch(&self, batch: &[(u64, Command)]) -> Result<Vec<Applied>, StateError> {
        let mut entries = self.entries.lock().unwrap();
        if batch.iter().any(|(_, command)| command.context.request_id == POISON) {
            return Err(StateError::Inconsistent { what: "a command that cannot be applied" });
        }
        for (index, command) in batch {
            assert_eq!(*index, entries.last().map_or(0, |(index, _)| *index) + 1, "no entry skipped or repeated");
            entries.push((*index, command.context.request_id.clone()));
        }
        let applied = |index: u64| Applied {
            commit_index: index,
            leaf_index: None,
            outcome: Outcome::Done,
            version_id: None,
            freed: vec![],
        };
        Ok(batch.iter().map(|(index, _)| applied(*index)).collect())
    }

    fn checkpoint_to(&self, dir: &Path) -> Result<u64, StateError> {
        let entries = self.entries.lock().unwrap();
        save(&self.dir, &entries);
        save(dir, &entries);
        Ok(entries.last().map_or(0, |(index, _)| *index))
    }
}

fn save(dir: &Path, entries: &[(u64, String)]) {
    fs::create_dir_all(dir).unwrap();
    let line = |(index, name): &(u64, String)| format!("{index} {name}\n");
    let mut whole = blake3::Hasher::new();
    for (number, chunk) in entries.chunks(CHUNK).enumerate() {
        let text: String = chunk.iter().map(line).collect();
        whole.update(text.as_bytes());
        let path = dir.join(format!("chunk-{number:06}"));
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            fs::write(path, text).unwrap();
        }
    }
    fs::write(dir.join("SUM"), whole.finalize().to_hex().as_bytes()).unwrap();
}

fn load(dir: &Path) -> Option<Vec<(u64, String)>> {
    let mut text = String::new();
    for number in 0.. {
        match fs::read_to_string(dir.join(format!("chunk-{number:06}"))) {
            Ok(chunk) => text.push_str(&chunk),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            Err(_) => return None,
        }
    }
    let sum = fs::read_to_string(dir.join("SUM")).ok()?;
    if blake3::hash(text.as_bytes()).to_hex().as_str() != sum {
        return None;
    }
    text.lines()
        .map(|line| line.split_once(' ').and_then(|(index, name)| Some((index.parse().ok()?, name.to_owned()))))
        .collect()
}
