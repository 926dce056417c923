//! `chartrier-unseal`: an exported object and its key in, its plaintext out. No server needed.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chartrier_crypto::unseal::{Unsealed, unseal};
use zeroize::Zeroizing;

const USAGE: &str = "\
usage: chartrier-unseal --key-file KEY [--metadata FILE] [EXPORT [OUT]]

Opens an object written by `chartrier admin object export`.

  --key-file KEY    the 32 raw bytes of the root key: the client's (SSE-C), or the
                    operator's for objects of mode O
  --metadata FILE   also write the object's sealed metadata, opened, to FILE
  EXPORT            the export; standard input when absent or -
  OUT               where the plaintext goes; standard output when absent or -

Exit code 0 only if every byte was verified. OUT appears only then; what went to
standard output before a failure was verified chunk by chunk, but is not whole.";

fn main() -> ExitCode {
    // A core dump would hold the key and the plaintext.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let Some(options) = Options::parse(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(unsealed) => {
            let export = &unsealed.export;
            eprintln!(
                "verified {} bytes in {} part(s) of {}",
                export.total_len(),
                export.parts.len(),
                String::from_utf8_lossy(&export.key_name).escape_debug(),
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("chartrier-unseal: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

struct Options {
    key_file: PathBuf,
    metadata: Option<PathBuf>,
    input: Option<PathBuf>,
    output: Option<PathBuf>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let (mut key_file, mut metadata) = (None, None);
        let mut paths = Vec::new();
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--key-file") => key_file = Some(args.next()?.into()),
                Some("--metadata") => metadata = Some(args.next()?.into()),
                Some(flag) if flag.starts_with('-') && flag != "-" => return None,
                _ => paths.push(arg),
            }
        }
        let mut paths = paths.into_iter();
        let mut path = || paths.next().filter(|path| path != "-").map(PathBuf::from);
        let (input, output) = (path(), path());
        let options = Self { key_file: key_file?, metadata, input, output };
        paths.next().is_none().then_some(options)
    }
}

fn run(options: &Options) -> Result<Unsealed, Box<dyn Error>> {
    let key = read_key(&options.key_file)
        .map_err(|e| format!("cannot read the key file {}: {e}", options.key_file.display()))?;
    let input: Box<dyn Read> = match &options.input {
        Some(path) => Box::new(File::open(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?),
        None => Box::new(io::stdin().lock()),
    };
    let input = BufReader::with_capacity(BUFFER_LEN, input);
    let unsealed = match &options.output {
        Some(path) => write_whole(path, |output| Ok(unseal(input, &key, output)?))?,
        None => {
            let output = BufWriter::with_capacity(BUFFER_LEN, io::stdout().lock());
            unseal(input, &key, output)?
        }
    };
    if let Some(path) = &options.metadata {
        write_whole(path, |output| Ok(output.write_all(&unsealed.metadata)?))?;
    }
    Ok(unsealed)
}

/// At most one byte more than a key, so that a wrong file is noticed and not read whole.
fn read_key(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(Vec::with_capacity(KEY_READ_MAX as usize));
    File::open(path)?.take(KEY_READ_MAX).read_to_end(&mut key)?;
    Ok(key)
}

/// Writes a new file beside `path` and moves it there once it is whole and on disk.
fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let result = write_and_rename(path, &partial, write);
    if result.is_err() {
        let _ = fs::remove_file(&partial);
    }
    result
}

fn write_and_rename<T>(
    path: &Path,
    partial: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let name = |e: io::Error| format!("cannot write {}: {e}", path.display());
    let file = File::create(partial).map_err(name)?;
    let mut output = BufWriter::with_capacity(BUFFER_LEN, file);
    let value = write(&mut output)?;
    let file = output.into_inner().map_err(|e| name(e.into_error()))?;
    file.sync_all().map_err(name)?;
    fs::rename(partial, path).map_err(name)?;
    Ok(value)
}

fn chain(error: &dyn Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        out.push_str(": ");
        out.push_str(&cause.to_string());
        source = cause.source();
    }
    out
}

const BUFFER_LEN: usize = 256 * 1024;
const KEY_READ_MAX: u64 = 33;
