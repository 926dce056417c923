//! Drives that become slow under a serving server: what clients wait then, and whether it holds them up.
//!
//! Every drive is a disk of ours, mounted by itself. The same requests are made with all of them quick, with one slow, and
//! with as many slow as may be lost; in the end all are quick again, everything must heal and be read.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

mod load;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chartrier_conformance::admin::Admin;
use chartrier_conformance::client::Request;
use chartrier_conformance::power::{Disk, Mounted, mount_uncached};
use chartrier_conformance::process::Server;
use chartrier_conformance::site::Site;
use clap::Parser;
use serde_json::Value;

use crate::load::{BUCKET, Figures, Load};

/// Measures PUT and GET while drives are slow, and fails if one fails, if fewer than m slow drives hold up most of them, or
/// if a slow drive is not shown as slow.
#[derive(Parser)]
struct Options {
    /// The server's binary
    #[arg(long)]
    server: PathBuf,
    /// Data shards of a stripe
    #[arg(long, default_value_t = 4)]
    k: usize,
    /// Drives that may be lost
    #[arg(long, default_value_t = 2)]
    m: usize,
    /// What each read, write, sync and change of a name takes longer on a slow drive
    #[arg(long, default_value_t = 500)]
    delay_ms: u64,
    /// Requests of each kind and size at a time
    #[arg(long, default_value_t = 200)]
    requests: u32,
    /// Concurrent clients
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    clients: u32,
    /// Folder for the server's data and the drives; a new one under the temporary folder if not given
    #[arg(long)]
    data: Option<PathBuf>,
    /// Further arguments for the server
    #[arg(last = true)]
    server_arguments: Vec<String>,
}

/// Sizes of the objects: in the row, in whole copies, in stripes.
const SIZES: [(usize, &str); 3] = [(4 << 10, "4 KiB"), (256 << 10, "256 KiB"), (4 << 20, "4 MiB")];
/// After the drives are quick again everything must be whole within this time.
const HEAL_MAX: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chartrier-slow: FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let site = Site::new(options.data.as_deref(), "slow", None)?;
    std::fs::create_dir_all(&site.data)?;
    let drives: Vec<Mounted> = (0..options.k + options.m)
        .map(|n| mount_uncached(Disk::new(), &site.data.join(format!("m{n}"))))
        .collect::<Result<_, _>>()?;
    let mut arguments = options.server_arguments.clone();
    arguments.extend(["--erasure".to_owned(), format!("{}+{}", options.k, options.m)]);
    for n in 0..drives.len() {
        arguments.extend(["--drive".to_owned(), site.data.join(format!("m{n}/d")).display().to_string()]);
    }
    let server = Server::start(&options.server, &site.data.join("data"), &arguments).await?;
    let client = server.client()?;
    let admin = Admin::from_run_file(&server.data.join("run/admin.json"))?;
    let made = client.send(&Request::new("PUT", BUCKET, "")).await?;
    if made.head.status != 200 {
        return Err(format!("CreateBucket answered {}", made.head.status).into());
    }
    println!(
        "slow: {}+{}, {} clients, {} requests each, {} ms longer on a slow drive",
        options.k, options.m, options.clients, options.requests, options.delay_ms
    );
    println!("| slow drives | size | PUT p50 | p99 | max | GET p50 | p99 | max | ms |");
    let mut load = Load::new(client, options.clients);
    let mut held_up = Vec::new();
    for slow in if options.m > 1 { vec![0, 1, options.m] } else { vec![0, 1] } {
        set_slow(&drives, slow, options.delay_ms);
        for (bytes, name) in SIZES {
            // Fewer of the large ones: the disks are in memory.
            let requests = if bytes > 1 << 20 { options.requests.div_ceil(2) } else { options.requests };
            let (puts, gets) = load.run(slow, bytes, requests).await?;
            println!("| {slow} of {} | {name} | {puts} | {gets} |", drives.len());
            // Until it is found out it is waited for. With m slow a stripe is not durable enough without one of them.
            let usual = puts.p50_ms.max(gets.p50_ms);
            if slow > 0 && slow < options.m && usual >= options.delay_ms {
                held_up.push(format!("{name} with {slow} slow: p50 {usual} ms"));
            }
        }
        let shown = slow_drives(&admin).await?;
        println!("slow: with {slow} slow drives the list shows as slow: {shown:?}");
        for n in 0..slow {
            if !shown.iter().any(|path| path.contains(&format!("/m{n}/"))) {
                held_up.push(format!("drive m{n} is slow, and the list does not say so"));
            }
        }
    }
    set_slow(&drives, 0, 0);
    let quick = Instant::now();
    while !is_whole(&admin).await? {
        if quick.elapsed() > HEAL_MAX {
            return Err(format!("not whole {} s after the drives are quick again", HEAL_MAX.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("slow: whole again {:.1} s after all were quick", quick.elapsed().as_secs_f64());
    println!("slow: {} objects read back", load.read_all().await?);
    server.stop().await?;
    drop(drives);
    site.remove(&["log"])?;
    if held_up.is_empty() { Ok(()) } else { Err(held_up.join("; ").into()) }
}

fn set_slow(drives: &[Mounted], slow: usize, delay_ms: u64) {
    for (n, drive) in drives.iter().enumerate() {
        drive.set_delay(if n < slow { Duration::from_millis(delay_ms) } else { Duration::ZERO });
    }
}

/// The directories of the drives that the list shows as slow, in writes or in reads.
async fn slow_drives(admin: &Admin) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let list = admin.json("GET", "/drives", "").await?;
    let drives = list["drives"].as_array().ok_or("no list of drives")?;
    let slow = drives.iter().filter(|drive| drive["state"] == "slow" || drive["spared"] == true);
    Ok(slow.filter_map(|drive| drive["path"].as_str().map(str::to_owned)).collect())
}

/// Whether every drive takes reads and writes, and no shard is left to be healed.
async fn is_whole(admin: &Admin) -> Result<bool, Box<dyn std::error::Error>> {
    let list = admin.json("GET", "/drives", "").await?;
    let online = |drive: &Value| drive["state"] == "online";
    let all = list["drives"].as_array().is_some_and(|drives| drives.iter().all(online));
    Ok(all && list["shards_to_heal"] == 0)
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} | {} | {}", self.p50_ms, self.p99_ms, self.max_ms)
    }
}
