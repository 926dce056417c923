//! Runs the conformance suite against an S3 server and reports.
//!
//! Either names an endpoint and keys, of any server, or starts a Chartrier for the run.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chartrier_conformance::admin::Admin;
use chartrier_conformance::client::Client;
use chartrier_conformance::http::Endpoint;
use chartrier_conformance::process::Server;
use chartrier_conformance::sign::Credentials;
use chartrier_conformance::suite::{self, Context, Outcome, Verdict};
use clap::Parser;

/// Judges an S3 server.
#[derive(Parser)]
struct Options {
    /// http://host:port or https://host:port of a running server
    #[arg(long, conflicts_with = "server")]
    endpoint: Option<String>,
    #[arg(long, default_value = "")]
    access_key: String,
    #[arg(long, default_value = "")]
    secret_key: String,
    /// Access key of another user, for the cases about ownership
    #[arg(long)]
    other_access_key: Option<String>,
    #[arg(long, requires = "other_access_key")]
    other_secret_key: Option<String>,
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// PEM file of the CA to trust
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Start this Chartrier binary for the run, and judge it over TLS and over plain HTTP
    #[arg(long)]
    server: Option<PathBuf>,
    /// What the server wrote for its administrator (DATA/run/admin.json), for the cases about quotas
    #[arg(long)]
    admin_file: Option<PathBuf>,
    /// Only cases whose area::name contains this
    #[arg(long, default_value = "")]
    filter: String,
    /// Rounds in which 64 clients race for one key, in each case about that
    #[arg(long, default_value_t = suite::RACE_ROUNDS)]
    race_rounds: u32,
    /// Write the report to this file as Markdown
    #[arg(long)]
    report: Option<PathBuf>,
    /// Print every case, not only the failed ones
    #[arg(long)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match judge(&options).await {
        Ok(outcomes) => report(&options, &outcomes),
        Err(error) => {
            eprintln!("chartrier-conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn judge(options: &Options) -> io::Result<Vec<Outcome>> {
    let run = run_name();
    if let Some(binary) = &options.server {
        return judge_own(binary, options, &run).await;
    }
    let url = options.endpoint.as_deref().ok_or_else(|| io::Error::other("name an --endpoint or a --server"))?;
    let ca = options.ca.as_ref().map(std::fs::read).transpose()?;
    let endpoint = Endpoint::parse(url, ca.as_deref())?;
    let client = |access_key: &str, secret_key: &str| Client {
        endpoint: endpoint.clone(),
        credentials: Arc::new(Credentials::new(access_key, secret_key, &options.region)),
    };
    let other = options
        .other_access_key
        .as_ref()
        .map(|key| client(key, options.other_secret_key.as_deref().unwrap_or_default()));
    let admin = options.admin_file.as_deref().map(Admin::from_run_file).transpose()?;
    let context = Context::new(client(&options.access_key, &options.secret_key), other, &run).with_admin(admin);
    let context = context.with_race_rounds(options.race_rounds);
    Ok(suite::run(&context, &options.filter, |outcome| tell(options, outcome)).await)
}

async fn judge_own(binary: &std::path::Path, options: &Options, run: &str) -> io::Result<Vec<Outcome>> {
    let data = std::env::temp_dir().join(format!("chartrier-conformance-{}", std::process::id()));
    // Nobody listens there: what cases ask is what a configuration may say.
    let configuration = data.with_extension("toml");
    std::fs::write(&configuration, "[[notification_targets]]\nname = 'conformance'\nurl = 'http://127.0.0.1:9/'\n")?;
    let arguments = ["--config".to_owned(), configuration.display().to_string()];
    let server = Server::start(binary, &data, &arguments).await?;
    let tls = server.client()?;
    let plain = Client { endpoint: Endpoint { tls: None, ..tls.endpoint.clone() }, ..tls.clone() };
    let (access_key, secret_key) = server.add_user(binary, "other").await?;
    let credentials = Arc::new(Credentials::new(&access_key, &secret_key, "fr"));
    let other = |client: &Client| Some(Client { credentials: Arc::clone(&credentials), ..client.clone() });
    let admin = Admin::from_run_file(&data.join("run/admin.json"))?;
    let mut outcomes = Vec::new();
    for (client, prefix) in [(tls, "t"), (plain, "p")] {
        let context = Context::new(client.clone(), other(&client), &format!("{prefix}{run}"));
        let context = context.with_admin(Some(admin.clone())).with_race_rounds(options.race_rounds);
        outcomes.extend(suite::run(&context, &options.filter, |outcome| tell(options, outcome)).await);
    }
    server.stop().await?;
    std::fs::remove_dir_all(&data)?;
    std::fs::remove_file(&configuration)?;
    Ok(outcomes)
}

/// Failures at once; the rest only when asked.
fn tell(options: &Options, outcome: &Outcome) {
    match &outcome.verdict {
        Verdict::Failed(why) => println!("FAILED {}::{}: {why}", outcome.area, outcome.name),
        verdict if options.verbose => println!("{verdict:?} {}::{} {:?}", outcome.area, outcome.name, outcome.took),
        _ => {}
    }
}

fn report(options: &Options, outcomes: &[Outcome]) -> ExitCode {
    let count = |of: fn(&Verdict) -> bool| outcomes.iter().filter(|outcome| of(&outcome.verdict)).count();
    let passed = count(|verdict| *verdict == Verdict::Passed);
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let skipped = count(|verdict| matches!(verdict, Verdict::NotRun(_)));
    if let Some(path) = &options.report
        && let Err(error) = std::fs::write(path, markdown(outcomes))
    {
        eprintln!("chartrier-conformance: {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = String::from("# Conformance\n\n| area | case | result |\n|---|---|---|\n");
    for outcome in outcomes {
        let result = match &outcome.verdict {
            Verdict::Passed => "passed".to_owned(),
            Verdict::Failed(why) => format!("**failed**: {why}"),
            Verdict::NotRun(why) => format!("not run: {why}"),
        };
        text.push_str(&format!("| {} | {} | {result} |\n", outcome.area, outcome.name.replace('_', " ")));
    }
    text
}

/// Seconds since the epoch in base 36: other runs on the same server use other buckets.
fn run_name() -> String {
    let mut seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut name = String::new();
    while seconds > 0 {
        name.push(char::from_digit((seconds % 36) as u32, 36).unwrap_or('0'));
        seconds /= 36;
    }
    name
}
