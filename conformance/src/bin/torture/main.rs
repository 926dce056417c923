//! Kills a server with SIGKILL at random moments under load, again and again, and checks what it kept.
//!
//! Each client owns its keys and changes one at a time, so that after a kill the state of every key is
//! known but for the one change in flight: that one must have happened whole or not at all. At the end
//! the journal is exported, verified offline, and must hold exactly one leaf for each change that holds.
//!
//! With `--power-cut` the data lies on a disk of ours that loses at each kill what was not synced.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

mod ledger;
mod verify;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chartrier_conformance::process::Server;
use chartrier_conformance::random::Random;
use chartrier_conformance::site::SiteOptions;
use clap::Parser;
use tokio::task::JoinSet;

use crate::ledger::Ledger;

/// Kills a server under load and checks that it lost nothing.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    site: SiteOptions,
    /// The offline journal verifier
    #[arg(long)]
    verify: PathBuf,
    /// Kills
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Concurrent clients
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Longest time under load before a kill
    #[arg(long, default_value_t = 1200)]
    load_ms_max: u64,
    /// Check every object and the journal, and have dead space given back, after every so many kills
    #[arg(long, default_value_t = 20)]
    full_check_every: u32,
    /// Pack small objects as soon as they are written and give space back every second, so that kills meet both; the run
    /// fails if nothing was ever packed. Wants a longer `--load-ms-max`: packing begins a second after a start
    #[arg(long)]
    packing: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chartrier-torture: FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Settings with which a server packs, frees and compacts all the time.
const PACKING: &str = "[storage.pack]\nage_s = 0\nleftover_age_s = 1\n\
                       [storage.reclaim]\ngrace_s = 1\ncompaction_interval_s = 1\n";

async fn run(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let (seed, mut site) = (options.site.seed(), options.site.set_up("torture")?);
    let mut random = Random::new(seed);
    println!("torture: seed {seed}, data in {}", site.data.display());
    let mut most_packs = 0;
    if options.packing {
        let settings = site.beside("toml");
        std::fs::write(&settings, PACKING)?;
        options.site.server_arguments.extend(["--config".to_owned(), settings.display().to_string()]);
    }
    let mut ledgers: Vec<Ledger> = (0..options.clients).map(|client| Ledger::new(client, random.number())).collect();
    let mut restart_ms_max = 0;
    let (mut pages_lost, mut names_lost) = (0, 0);
    for round in 1..=options.rounds {
        let begun = Instant::now();
        let mut server = Server::start(&options.site.server, &site.data, &options.site.server_arguments).await?;
        restart_ms_max = restart_ms_max.max(begun.elapsed().as_millis());
        let client = server.client()?;
        worker::prepare(&client).await?;
        for ledger in &mut ledgers {
            verify::settle(&client, ledger).await.map_err(|error| format!("round {round}: {error}"))?;
        }
        if options.packing {
            most_packs = most_packs.max(verify::packs(&options.site.server, &server).await?);
        }
        if round % options.full_check_every == 0 {
            full_check(&options, &server, &client, &ledgers, round).await?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        for ledger in ledgers.drain(..) {
            workers.spawn(worker::run(client.clone(), ledger, Arc::clone(&stop)));
        }
        tokio::time::sleep(Duration::from_millis(20 + random.below(options.load_ms_max))).await;
        server.kill().await?;
        stop.store(true, Ordering::Relaxed);
        while let Some(done) = workers.join_next().await {
            ledgers.push(done??);
        }
        ledgers.sort_by_key(|ledger| ledger.client);
        if let Some(cut) = site.cut(random.number())? {
            pages_lost += cut.pages_lost;
            names_lost += cut.names_lost;
        }
    }
    let server = Server::start(&options.site.server, &site.data, &options.site.server_arguments).await?;
    let client = server.client()?;
    for ledger in &mut ledgers {
        verify::settle(&client, ledger).await?;
    }
    full_check(&options, &server, &client, &ledgers, options.rounds).await?;
    // Nothing that is read is among what the last one gave back.
    full_check(&options, &server, &client, &ledgers, options.rounds).await?;
    server.stop().await?;
    let totals = ledger::Totals::of(&ledgers);
    println!(
        "torture: {} kills survived: {} deposits and {} deletes held, {} changes were in flight at a kill \
         ({} of them happened), slowest start {restart_ms_max} ms",
        options.rounds, totals.deposits, totals.deletes, totals.in_flight, totals.in_flight_happened
    );
    if options.packing {
        if most_packs == 0 {
            return Err("nothing was packed: the kills met no packing".into());
        }
        println!("torture: up to {most_packs} packs at a start");
    }
    if options.site.power_cut {
        println!("torture: the power cuts lost {pages_lost} unsynced pages and {names_lost} unsynced names");
    }
    Ok(site.remove(&["toml"])?)
}

/// Reads everything, verifies the journal, then has the space of what is dead given back: kills come faster than
/// it comes back by itself.
async fn full_check(
    options: &Options,
    server: &Server,
    client: &chartrier_conformance::client::Client,
    ledgers: &[Ledger],
    round: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let objects = verify::every_object(client, ledgers).await.map_err(|error| format!("round {round}: {error}"))?;
    let leaves = verify::journal(&options.site.server, &options.verify, server, ledgers)
        .await
        .map_err(|error| format!("round {round}: {error}"))?;
    println!("torture: after {round} kills: {objects} objects read back, {leaves} leaves verified");
    Ok(verify::give_space_back(&options.site.server, server).await?)
}
