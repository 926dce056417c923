//! `chartrier serve`: from flags to a running server, and down again.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chartrier_crypto::OperatorKey;
use chartrier_journal::Signer;
use chartrier_storage::engine::{Engine, EngineConfig};
use chartrier_storage::env::Env;
use chartrier_storage::error::{OpenError, StorageError};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::access_log::{self, AccessLog};
use crate::admin::run_file::{AdminToken, RunFile};
use crate::app::{App, ReloadError};
use crate::auth::SigningKeys;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError, Geometry};
use crate::edge::rate::RateLimiter;
use crate::edge::{listener, tls};
use crate::identity::keyring::{self, IfMissing, KeyFileError};
use crate::identity::pseudonym::Pseudonyms;
use crate::identity::{Identities, root};
use crate::lifecycle;
use crate::logging::{self, chain};
use crate::metrics::Metrics;
use crate::notify::{self, Notifier, TargetError};
use crate::process;
use crate::random::SystemRandom;
use crate::s3::bucket_config::BucketConfigs;
use crate::sts::issuer::Issuers;
use crate::trust::TrustError;

/// How often certificates are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(60);
/// How often a checkpoint is signed while there are new leaves.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);

/// Flags of `chartrier serve`. Each overrides the configuration file.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// A TOML configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory [default: ./chartrier-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A drive folder; repeat it for each.
    #[arg(long, value_name = "DIR")]
    drive: Vec<PathBuf>,
    /// Data and parity columns [default: 4+2].
    #[arg(long, value_name = "K+M")]
    erasure: Option<Geometry>,
    /// Allows 1+0, which loses data with its drive.
    #[arg(long)]
    unprotected: bool,
    /// Where S3 is served [default: 127.0.0.1:9000].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where health, metrics and administration are served [default: 127.0.0.1:9001].
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// The region of buckets and signatures [default: fr].
    #[arg(long)]
    region: Option<String>,
}

/// The server cannot start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// See the message.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory or the runtime cannot be made.
    #[error("cannot prepare {what}")]
    Prepare {
        /// What.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// An address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The storage engine does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage engine failed.
    #[error("the storage engine failed")]
    Storage(#[from] StorageError),
    /// A key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The journal's key cannot be used.
    #[error("the journal's signing key cannot be used")]
    Journal(#[from] chartrier_journal::JournalError),
    /// The root user cannot be made.
    #[error(transparent)]
    Root(#[from] root::RootError),
    /// Users cannot be read.
    #[error(transparent)]
    Identities(#[from] ReloadError),
    /// A target of notifications cannot be used.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It cannot be said whom to trust when issuers of identities are asked.
    #[error("web_identity")]
    Trust(#[from] TrustError),
    /// There is no certificate to serve with.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// [`ServeError`], one line.
pub fn main(args: ServeArgs) -> Result<(), ServeError> {
    let config = configure(args)?;
    logging::start(&config.log.filter, config.log.format);
    if let Err(error) = process::forbid_core_dumps() {
        tracing::warn!(%error, "core dumps cannot be turned off");
    }
    process::raise_open_files();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.worker_threads > 0 {
        runtime.worker_threads(config.worker_threads);
    }
    let runtime = runtime
        .enable_all()
        .thread_name("chartrier-edge")
        .build()
        .map_err(|source| ServeError::Prepare { what: "the runtime".into(), source })?;
    let served = runtime.block_on(async {
        let server = Server::open(config).await?;
        let line = server.readiness();
        let stop = stop_signal()?;
        let mut out = io::stdout();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        server.run(stop).await
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    served
}

fn configure(args: ServeArgs) -> Result<Config, ConfigError> {
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if let Some(data) = args.data {
        config.data = data;
    }
    if !args.drive.is_empty() {
        config.drives = args.drive;
    }
    if let Some(erasure) = args.erasure {
        config.erasure = erasure;
    }
    config.unprotected |= args.unprotected;
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(admin_listen) = args.admin_listen {
        config.admin_listen = admin_listen;
    }
    if let Some(region) = args.region {
        config.region = region;
    }
    config.complete()
}

/// Turns true at SIGTERM or SIGINT.
fn stop_signal() -> Result<watch::Receiver<bool>, ServeError> {
    let handler =
        |kind| signal(kind).map_err(|source| ServeError::Prepare { what: "the signal handlers".into(), source });
    let (mut terminate, mut interrupt) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = sender.send(true);
    });
    Ok(receiver)
}

/// A server that has opened its data and bound its ports, and has not accepted anything yet.
pub struct Server {
    app: Arc<App>,
    s3: TcpListener,
    admin: TcpListener,
    certificates: tls::Certificates,
}

impl Server {
    /// Binds the ports, opens the data, makes what a first start makes.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is listening then.
    pub async fn open(config: Config) -> Result<Self, ServeError> {
        let s3 = bind(config.listen).await?;
        let admin = bind(config.admin_listen).await?;
        create_data_dir(&config)?;
        let env = Env { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom::default()) };
        let engine = Engine::open(engine_config(&config), env.clone()).await?;
        let app = match assemble(config, env, Arc::clone(&engine), &admin).await {
            Ok(app) => app,
            Err(error) => {
                // The data was opened: leave it closed, whatever else is wrong.
                let _ = engine.close().await;
                return Err(error);
            }
        };
        let certificates = tls::Certificates::open(&app.config.tls, &app.config.data, app.now_us())?;
        Ok(Self { app, s3, admin, certificates })
    }

    /// The readiness line: `ready s3=http://… admin=http://…`.
    pub fn readiness(&self) -> String {
        let url =
            |listener: &TcpListener| listener.local_addr().map_or_else(|e| e.to_string(), |a| format!("http://{a}"));
        format!("ready s3={} admin={}", url(&self.s3), url(&self.admin))
    }

    /// The address of the S3 port.
    pub fn s3_address(&self) -> io::Result<SocketAddr> {
        self.s3.local_addr()
    }

    /// What requests share, for tests that look inside.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves until `stop` turns true: drains requests, signs the last checkpoint, closes the engine.
    ///
    /// # Errors
    /// [`ServeError::Storage`] if the engine did not close cleanly; nothing acknowledged is lost.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), ServeError> {
        let Self { app, s3, admin, certificates } = self;
        let tls = certificates.acceptor()?;
        let renewals = tokio::spawn(renew_certificates(Arc::clone(&app), certificates));
        let checkpoints = tokio::spawn(sign_checkpoints(Arc::clone(&app), stop.clone()));
        let lifecycle = tokio::spawn(lifecycle::run(Arc::clone(&app), stop.clone()));
        let access_logs = tokio::spawn(access_log::run(Arc::clone(&app), stop.clone()));
        let notifications = tokio::spawn(notify::run(Arc::clone(&app), stop.clone()));
        let admin = tokio::spawn(listener::serve_admin(Arc::clone(&app), admin, stop.clone()));
        listener::serve_s3(Arc::clone(&app), s3, tls, stop).await;
        renewals.abort();
        let _ = admin.await;
        let _ = checkpoints.await;
        let _ = lifecycle.await;
        let _ = notifications.await;
        let _ = access_logs.await;
        access_log::flush(&app).await;
        if let Err(error) = app.engine.sign_due_checkpoint(&app.journal_signer).await {
            tracing::error!(error = chain(&error), "the last checkpoint was not signed");
        }
        let _ = RunFile::remove(&app.config.data);
        app.engine.close().await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Takes new certificates as they come, until it is cut.
async fn renew_certificates(app: Arc<App>, certificates: tls::Certificates) {
    let certificates = Arc::new(certificates);
    let mut tick = tokio::time::interval(CERTIFICATES_EVERY);
    loop {
        tick.tick().await;
        let (certificates, now_us) = (Arc::clone(&certificates), app.now_us());
        match tokio::task::spawn_blocking(move || certificates.renew(now_us)).await {
            Ok(Ok(true)) => tracing::info!("new connections get a new certificate"),
            Ok(Ok(false)) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "the certificate of before is served on"),
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

fn create_data_dir(config: &Config) -> Result<(), ServeError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .map_err(|source| ServeError::Prepare { what: config.data.display().to_string(), source })
}

fn engine_config(config: &Config) -> EngineConfig {
    EngineConfig {
        data_dir: config.data.clone(),
        drives: config.drives.clone(),
        k: config.erasure.k,
        m: config.erasure.m,
        inline_limit: config.storage.inline_limit_bytes,
        segment_bytes: config.storage.segment_bytes,
        log_segment_bytes: config.storage.log_segment_bytes,
        memory_budget_bytes: config.storage.memory_budget_bytes,
        journal_origin: config.journal_origin(),
        tenant: config.tenant.clone(),
        node: config.node.clone(),
        site: config.site.clone(),
        checkpoint_log_bytes: config.storage.checkpoint_log_bytes,
        mend: config.mend(),
        pack: config.storage.pack.to_engine(),
        reclaim: config.storage.reclaim.to_engine(),
        ..EngineConfig::default()
    }
}

async fn assemble(config: Config, env: Env, engine: Arc<Engine>, admin: &TcpListener) -> Result<Arc<App>, ServeError> {
    let users = engine.users()?;
    // A key that data was written with is never replaced by a new one.
    let if_missing = if users.is_empty() { IfMissing::Create } else { IfMissing::Refuse };
    let key = |name| keyring::load_or_create(&config.data, name, if_missing, env.random.as_ref());
    let operator_key =
        OperatorKey::from_slice(key(keyring::OPERATOR_KEY)?.as_slice()).expect("a key file holds 32 bytes");
    // The log keeps the name of its first start, whatever the configuration says by now.
    let journal_signer = Signer::new(&engine.journal().origin(), &*key(keyring::JOURNAL_KEY)?)?;
    let pseudonyms = Pseudonyms::new(key(keyring::PSEUDONYM_KEY)?, &config.tenant);
    root::ensure(&engine, &users, &operator_key, &env, &config.data).await?;
    let admin_token = AdminToken::from_random(env.random_bytes());
    let run_file = RunFile {
        endpoint: admin.local_addr().map_or_else(|e| e.to_string(), |address| format!("http://{address}")),
        token: admin_token.clone(),
        pid: std::process::id(),
    };
    run_file
        .write(&config.data)
        .map_err(|source| ServeError::Prepare { what: RunFile::path(&config.data).display().to_string(), source })?;
    let notifier = Notifier::open(&config.notification_targets)?;
    let issuers = Issuers::new(config.trusts_local_issuers(), config.web_identity.ca_file.as_deref())?;
    let app = Arc::new(App {
        engine,
        issuers,
        identities: Identities::new(),
        rate: RateLimiter::new(&config.rate_limits),
        operator_key,
        journal_signer,
        config,
        clock: env.clock,
        random: env.random,
        metrics: Metrics::new(),
        signing: SigningKeys::default(),
        iam_turn: tokio::sync::Mutex::default(),
        admin_token,
        pseudonyms,
        bucket_configs: BucketConfigs::default(),
        notifier,
        access_log: AccessLog::default(),
    });
    app.reload_identities()?;
    Ok(app)
}

/// Signs a checkpoint whenever leaves were added, until the stop.
async fn sign_checkpoints(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(CHECKPOINT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = app.engine.sign_due_checkpoint(&app.journal_signer).await {
            tracing::error!(error = chain(&error), "a checkpoint was not signed");
        }
    }
}
