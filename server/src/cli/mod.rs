//! The command line: `chartrier serve`, `chartrier admin …`.

pub mod admin;
mod admin_bucket;
mod admin_drive;
mod admin_events;
mod admin_health;
mod admin_reclaim;
mod admin_user;
pub mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::logging::chain;

/// An S3-compatible object store for records that stay readable to their owner only.
#[derive(Debug, Parser)]
#[command(name = "chartrier", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves S3 from a data directory.
    Serve(Box<serve::ServeArgs>),
    /// Administers a running server.
    Admin(Box<admin::AdminArgs>),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let result: Result<(), Box<dyn std::error::Error>> = match Cli::parse().command {
        Command::Serve(args) => serve::main(*args).map_err(Into::into),
        Command::Admin(args) => run_admin(*args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chartrier: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run_admin(args: admin::AdminArgs) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(admin::run(args))?)
}
