//! What must hold after a kill.

use std::io;
use std::path::Path;

use chartrier_conformance::client::Client;
use chartrier_conformance::process::Server;
use tokio::process::Command;

use crate::ledger::{Ledger, Totals};
use crate::worker;

/// Finds out whether the change in flight at the kill happened; it may not have half happened.
pub(crate) async fn settle(client: &Client, ledger: &mut Ledger) -> io::Result<()> {
    let Some((index, intended)) = ledger.in_flight.take() else { return Ok(()) };
    let before = ledger.keys[index];
    let read = worker::read(client, ledger, index).await?;
    ledger.totals.in_flight += 1;
    if worker::matches(read.as_deref(), intended) {
        ledger.totals.in_flight_happened += 1;
        ledger.holds(index, intended);
        return Ok(());
    }
    if worker::matches(read.as_deref(), before) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} holds {:?} bytes: neither the {before:?} acknowledged before nor the {intended:?} in flight",
        ledger.key_name(index),
        read.map(|bytes| bytes.len()),
    )))
}

/// Reads every key of every client; returns how many hold an object.
pub(crate) async fn every_object(client: &Client, ledgers: &[Ledger]) -> io::Result<usize> {
    let mut objects = 0;
    for ledger in ledgers {
        for (index, &state) in ledger.keys.iter().enumerate() {
            let read = worker::read(client, ledger, index).await?;
            if !worker::matches(read.as_deref(), state) {
                return Err(io::Error::other(format!(
                    "{} holds {:?} bytes, acknowledged was {state:?}",
                    ledger.key_name(index),
                    read.map(|bytes| bytes.len()),
                )));
            }
            objects += usize::from(state.is_some());
        }
    }
    Ok(objects)
}

/// Exports the journal, verifies it offline, and counts: one leaf for each change that holds, no more.
pub(crate) async fn journal(binary: &Path, verifier: &Path, server: &Server, ledgers: &[Ledger]) -> io::Result<u64> {
    let out = server.data.with_extension("export");
    let _ = std::fs::remove_dir_all(&out);
    let mut export = Command::new(binary);
    export.arg("admin").arg("--data").arg(&server.data).args(["journal", "export", "--log", "cycle"]).arg(&out);
    succeed(&mut export).await?;
    succeed(Command::new(verifier).arg(&out)).await?;
    let mut deposits = 0;
    let mut deletes = 0;
    let mut leaves = 0;
    for bundle in files_below(&out.join("tile/entries"))? {
        for leaf in entries(&std::fs::read(bundle)?)? {
            leaves += 1;
            match kind(&leaf).as_deref() {
                Some("object.deposit") => deposits += 1,
                Some("object.delete") => deletes += 1,
                _ => {}
            }
        }
    }
    std::fs::remove_dir_all(&out)?;
    let expected = Totals::of(ledgers);
    if (deposits, deletes) != (expected.deposits, expected.deletes) {
        return Err(io::Error::other(format!(
            "the journal has {deposits} deposits and {deletes} deletes; {} and {} hold",
            expected.deposits, expected.deletes
        )));
    }
    Ok(leaves)
}

/// Packs of small objects that the server has now.
pub(crate) async fn packs(binary: &Path, server: &Server) -> io::Result<u64> {
    let status = Command::new(binary).arg("admin").arg("--data").arg(&server.data).args(["--json", "status"]).output();
    let status: serde_json::Value = serde_json::from_slice(&status.await?.stdout)?;
    status["packing"]["packs"].as_u64().ok_or_else(|| io::Error::other(format!("no packs in {status}")))
}

/// Frees what is dead and compacts, at once.
pub(crate) async fn give_space_back(binary: &Path, server: &Server) -> io::Result<()> {
    succeed(Command::new(binary).arg("admin").arg("--data").arg(&server.data).args(["reclaim", "--wait"])).await
}

async fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{:?} failed: {}{}",
        command.as_std(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )))
}

/// An entry bundle is a sequence of big-endian 16-bit lengths, each with its entry.
fn entries(mut bundle: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) =
            rest.split_at_checked(length).ok_or_else(|| io::Error::other("an entry bundle is cut short"))?;
        entries.push(entry.to_vec());
        bundle = rest;
    }
    Ok(entries)
}

fn kind(leaf: &[u8]) -> Option<String> {
    let leaf: serde_json::Value = serde_json::from_slice(leaf).ok()?;
    Some(leaf.get("type")?.as_str()?.to_owned())
}

fn files_below(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
