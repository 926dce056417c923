//! A load generator for any S3 endpoint.
//!
//! For each operation and size it runs a fixed number of clients, each with one keep-alive connection,
//! until a time or a count is reached, and prints ops/s, MB/s, p50, p99, and the server's CPU and peak
//! memory, as a table and as JSON. Bodies are random and never the same twice, so that a server that
//! stores equal blocks once gains nothing. A Chartrier is also asked what each cell cost it.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is this program's output")]

mod cell;
mod counts;
mod measure;
mod options;
mod requests;
mod server;

use std::process::ExitCode;

use clap::Parser;

use crate::options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chartrier-load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let plan = options.plan()?;
    plan.prepare_bucket().await?;
    println!("{}", measure::HEADER);
    let mut rows = Vec::new();
    for &clients in &options.clients {
        for &size_bytes in &options.sizes {
            for &operation in &options.operations {
                let row = cell::run(&plan, operation, size_bytes, clients).await?;
                println!("{row}");
                rows.push(row);
            }
        }
    }
    let counted: Vec<_> = rows.iter().filter_map(measure::Row::counts_row).collect();
    if !counted.is_empty() {
        println!("\n{}\n{}", counts::HEADER, counted.join("\n"));
    }
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(())
}
