//! Many clients ask the same few keys, a server is killed under them again and again, and what they were told must have
//! an order: one moment for each request, between its begin and its answer, at which it happened.
//!
//! Every request is recorded with the times of its begin and its end. What was under way at a kill happened before the
//! server's end or never; what was answered has happened. See `chartrier_conformance::linear` for the judge.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

mod judge;
mod objects;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chartrier_conformance::client::Request;
use chartrier_conformance::linear::Call;
use chartrier_conformance::process::Server;
use chartrier_conformance::random::Random;
use chartrier_conformance::site::SiteOptions;
use clap::Parser;
use tokio::task::JoinSet;

use crate::judge::Totals;
use crate::worker::{BUCKET, Shared, Worker, key_name};

/// Records what clients are told while a server is killed under them, and judges whether that has an order.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    site: SiteOptions,
    /// Kills
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Concurrent clients
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=64))]
    clients: u32,
    /// Keys that all of them use
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Longest time under load before a kill
    #[arg(long, default_value_t = 2000)]
    load_ms_max: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chartrier-histories: FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let (seed, mut site) = (options.site.seed(), options.site.set_up("histories")?);
    let mut random = Random::new(seed);
    println!("histories: seed {seed}, data in {}", site.data.display());
    let shared = Arc::new(Shared { began: Instant::now(), values: AtomicU64::new(0), ending: AtomicBool::new(false) });
    let mut workers: Vec<Worker> =
        (0..options.clients).map(|number| Worker::new(number, options.keys as usize, random.number())).collect();
    for round in 0..=options.kills {
        let mut server = Server::start(&options.site.server, &site.data, &options.site.server_arguments).await?;
        let client = server.client()?;
        if round == 0 {
            let made = client.send(&Request::new("PUT", BUCKET, "")).await?;
            if made.head.status != 200 {
                return Err(format!("CreateBucket answered {}", made.head.status).into());
            }
        }
        shared.ending.store(false, Ordering::SeqCst);
        let mut running = JoinSet::new();
        for worker in workers.drain(..) {
            running.spawn(worker.run(client.clone(), Arc::clone(&shared)));
        }
        tokio::time::sleep(Duration::from_millis(20 + random.below(options.load_ms_max))).await;
        shared.ending.store(true, Ordering::SeqCst);
        // The last round ends without a kill: every call has its answer.
        if round < options.kills {
            server.kill().await?;
        }
        let gone_ns = shared.now_ns();
        while let Some(done) = running.join_next().await {
            let mut worker = done??;
            for (_, call) in worker.calls.iter_mut().filter(|(_, call)| call.end_ns == u64::MAX) {
                call.end_ns = gone_ns;
            }
            workers.push(worker);
        }
        workers.sort_by_key(|worker| worker.number);
        if round == options.kills {
            server.stop().await?;
        } else {
            site.cut(random.number())?;
        }
    }
    let mut totals = Totals::default();
    for key in 0..options.keys as usize {
        let of_key =
            |worker: &Worker| worker.calls.iter().filter(|(at, _)| *at == key).map(|(_, call)| *call).collect();
        let calls: Vec<Call> = workers.iter().flat_map(|worker| -> Vec<Call> { of_key(worker) }).collect();
        let record = site.beside(&format!("{key}.history"));
        judge::judge(&key_name(key), &calls, &record, &mut random, &mut totals)?;
    }
    report(&options, &totals)?;
    Ok(site.remove(&[])?)
}

fn report(options: &Options, totals: &Totals) -> Result<(), String> {
    println!(
        "histories: {} kills under {} clients of {} keys: {} calls have an order ({} reads, {} writes and {} removals \
         done, {} refused by their conditions, {} without an answer); at most {} possibilities at one time",
        options.kills,
        options.clients,
        options.keys,
        totals.calls,
        totals.reads,
        totals.writes,
        totals.removals,
        totals.refused,
        totals.without_answer,
        totals.configurations_max
    );
    println!("histories: with one read made stale, {} of {} histories have none", totals.wrong_found, totals.wrong);
    if totals.wrong_found * 2 < totals.wrong || totals.wrong == 0 {
        return Err("the histories say too little: most stale reads would have passed".to_owned());
    }
    Ok(())
}
