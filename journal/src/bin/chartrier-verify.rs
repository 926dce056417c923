//! Checks an exported journal or a proof, offline, and says in one line what holds or what does not.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chartrier_journal::{ENTRY_LEN_MAX, FolderReader, PROOF_LEN_MAX, Verifier, verify_export, verify_proof};

const USAGE: &str = "usage: chartrier-verify OUT [--vkey FILE]            check an exported log
       chartrier-verify PROOF --vkey FILE [--entry FILE]   check a .tlog-proof

OUT holds checkpoint, vkey and tile/. Without --vkey its own vkey is taken: compare the key id.
Exit code: 0 everything holds, 1 something does not, 2 wrong usage.";

/// Longest file that holds a verifier key.
const VKEY_LEN_MAX: usize = 4096;

struct Arguments {
    subject: PathBuf,
    vkey: Option<PathBuf>,
    entry: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "--help" || first == "-h") {
        return say(&mut std::io::stdout(), USAGE, 0);
    }
    let Some(arguments) = parse_arguments(arguments) else {
        return say(&mut std::io::stderr(), USAGE, 2);
    };
    match check(&arguments) {
        Ok(line) => say(&mut std::io::stdout(), &line, 0),
        Err(error) => say(&mut std::io::stderr(), &format!("failed: {}", chain(error.as_ref())), 1),
    }
}

/// Says one line. A verdict that nobody can read is no success.
fn say(to: &mut dyn std::io::Write, line: &str, code: u8) -> ExitCode {
    match writeln!(to, "{line}").and_then(|()| to.flush()) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(if code == 0 { 1 } else { code }),
    }
}

fn parse_arguments(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Option<Arguments> {
    let (mut subject, mut vkey, mut entry) = (None, None, None);
    while let Some(argument) = arguments.next() {
        let (slot, value) = match argument.to_str() {
            Some("--vkey") => (&mut vkey, arguments.next()?),
            Some("--entry") => (&mut entry, arguments.next()?),
            Some(text) if text.starts_with("--") => return None,
            _ => (&mut subject, argument),
        };
        if slot.replace(PathBuf::from(value)).is_some() {
            return None; // said twice
        }
    }
    Some(Arguments { subject: subject?, vkey, entry })
}

fn check(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let key = arguments.vkey.as_deref().map(read_vkey).transpose()?;
    if arguments.subject.is_dir() {
        if arguments.entry.is_some() {
            return Err("--entry goes with a proof, not with a folder".into());
        }
        return Ok(verify_export(&FolderReader::new(&arguments.subject), key.as_ref())?.to_string());
    }
    let proof = read_text(&arguments.subject, PROOF_LEN_MAX)?;
    let key = key.ok_or("a proof needs --vkey FILE with the log's verifier key")?;
    let entry = arguments.entry.as_deref().map(|path| read(path, ENTRY_LEN_MAX)).transpose()?;
    Ok(verify_proof(&proof, entry.as_deref(), &key)?.to_string())
}

fn read_vkey(path: &Path) -> Result<Verifier, Box<dyn Error>> {
    let text = read_text(path, VKEY_LEN_MAX)?;
    let key = Verifier::from_vkey(text.strip_suffix('\n').unwrap_or(&text));
    key.map_err(|error| format!("{}: {}", path.display(), chain(&error)).into())
}

fn read_text(path: &Path, len_max: usize) -> Result<String, Box<dyn Error>> {
    String::from_utf8(read(path, len_max)?).map_err(|_| format!("{}: not UTF-8", path.display()).into())
}

fn read(path: &Path, len_max: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, len_max as u64 + 1), &mut bytes).map_err(failed)?;
    if bytes.len() > len_max {
        return Err(format!("{}: longer than such a file can be", path.display()).into());
    }
    Ok(bytes)
}

/// The error and its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    line
}
