//! What every request shares.

use std::sync::Arc;

use chartrier_crypto::OperatorKey;
use chartrier_journal::Signer;
use chartrier_storage::engine::Engine;
use chartrier_storage::env::{Clock, Env, Random};
use chartrier_storage::error::StorageError;
use chartrier_storage::namespace::command::{Applied, Command, CommandContext, Op};
use chartrier_storage::namespace::notification::Cause;
use chartrier_storage::namespace::rows::BucketRow;
use http::HeaderValue;

use crate::access::standing::account_number;
use crate::access_log::AccessLog;
use crate::admin::run_file::AdminToken;
use crate::auth::{AuthRules, SigningKeys};
use crate::config::Config;
use crate::edge::rate::RateLimiter;
use crate::identity::pseudonym::Pseudonyms;
use crate::identity::{Identities, SecretDoesNotOpen};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::s3::bucket_config::BucketConfigs;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::RequestId;
use crate::s3::request::{AuthKind, Caller, S3Request};
use crate::sts::issuer::Issuers;

/// The running server: one per process, shared by every connection.
pub struct App {
    /// Drives, log and namespace.
    pub engine: Arc<Engine>,
    /// Who may sign.
    pub identities: Identities,
    /// Seals what the server itself must be able to open.
    pub operator_key: OperatorKey,
    /// Signs checkpoints.
    pub journal_signer: Signer,
    /// As started.
    pub config: Config,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids, salts and keys.
    pub random: Arc<dyn Random>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Derived signing keys.
    pub signing: SigningKeys,
    /// Held while IAM changes something: a change reads what it changes.
    pub iam_turn: tokio::sync::Mutex<()>,
    /// Opens the admin API.
    pub admin_token: AdminToken,
    /// Names accounts in leaves.
    pub pseudonyms: Pseudonyms,
    /// Requests of a key and of a source.
    pub rate: RateLimiter,
    /// Parsed documents of buckets.
    pub bucket_configs: BucketConfigs,
    /// Whom changes of buckets are told to.
    pub notifier: Notifier,
    /// Keys of the issuers of web identities.
    pub issuers: Issuers,
    /// Lines of access logs that wait for their delivery.
    pub access_log: AccessLog,
}

/// Identities could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The index does not answer.
    #[error("cannot read the users")]
    Storage(#[from] StorageError),
    /// A secret does not open.
    #[error(transparent)]
    Secret(#[from] SecretDoesNotOpen),
}

impl App {
    /// The bucket that a request names. Whether the caller may use it the edge has judged, by
    /// [`App::authorise`](crate::app::App::authorise), before the handler ran.
    ///
    /// # Errors
    /// `NoSuchBucket`; `AccessDenied` if `x-amz-expected-bucket-owner` is not the owner's canonical id or
    /// account number.
    pub fn authorise_bucket(&self, request: &S3Request) -> Result<BucketRow, S3Error> {
        let name = request.bucket_name()?.as_str();
        let bucket = self
            .engine
            .bucket(name)?
            .ok_or_else(|| S3Error::of(S3ErrorCode::NoSuchBucket).with_detail("BucketName", name))?;
        expect_owner(&bucket, request.headers.get("x-amz-expected-bucket-owner"))?;
        Ok(bucket)
    }

    /// What signatures are checked against now.
    pub fn auth_rules(&self) -> AuthRules<'_> {
        AuthRules {
            identities: &self.identities,
            operator_key: &self.operator_key,
            signing_keys: &self.signing,
            region: &self.config.region,
            region_aliases: &self.config.region_aliases,
            services: &["s3"],
            now_seconds: i64::try_from(self.now_us() / 1_000_000).unwrap_or(i64::MAX),
        }
    }

    /// What the journal says of who asked.
    pub fn command_context(&self, caller: &Caller, request_id: RequestId) -> CommandContext {
        let time_us = self.clock.now_us();
        CommandContext {
            time_us,
            request_id: request_id.to_string(),
            actor_pid: self.pseudonyms.of(&caller.standing.actor_id, time_us),
            actor_role: actor_role(caller),
            actor_auth: caller.auth_kind.as_str().into(),
            origin: None,
        }
    }

    /// Makes a change durable on behalf of a caller.
    ///
    /// # Errors
    /// What the engine answers; a refusal is not an error but an outcome.
    pub async fn propose(&self, caller: &Caller, request_id: RequestId, op: Op) -> Result<Applied, S3Error> {
        self.propose_caused(caller, request_id, op, Cause::Request).await
    }

    /// As [`App::propose`], for a command that does not say itself how it came about.
    ///
    /// # Errors
    /// As [`App::propose`].
    pub async fn propose_caused(
        &self,
        caller: &Caller,
        request_id: RequestId,
        op: Op,
        cause: Cause,
    ) -> Result<Applied, S3Error> {
        let origin = self.origin_of(caller, &op, cause)?;
        let context = CommandContext { origin, ..self.command_context(caller, request_id) };
        Ok(self.engine.propose(Command { context, op }).await?)
    }

    /// Unix time in microseconds.
    pub fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    /// `N` unpredictable bytes.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// The clock and the randomness as the engine takes them.
    pub fn env(&self) -> Env {
        Env { clock: Arc::clone(&self.clock), random: Arc::clone(&self.random) }
    }

    /// Reads users and keys again: call it after every change of them.
    ///
    /// # Errors
    /// [`ReloadError`]; who was known stays known.
    pub fn reload_identities(&self) -> Result<(), ReloadError> {
        self.identities.load(&self.engine.users()?, &self.operator_key)?;
        self.signing.clear();
        Ok(())
    }
}

/// Holds a bucket against the owner that a client expects, if it names one.
///
/// # Errors
/// `AccessDenied` if the bucket is another's.
pub fn expect_owner(bucket: &BucketRow, expected: Option<&HeaderValue>) -> Result<(), S3Error> {
    match expected {
        Some(owner)
            if owner.as_bytes() != bucket.owner.as_bytes()
                && owner.as_bytes() != account_number(&bucket.owner).as_bytes() =>
        {
            Err(S3Error::of(S3ErrorCode::AccessDenied))
        }
        _ => Ok(()),
    }
}

/// What a leaf says beside the pseudonym: of a session of a role, which role, by its random id. The
/// pseudonym is then of whoever assumed it.
fn actor_role(caller: &Caller) -> String {
    let role_id = caller.standing.session.as_ref().map(|session| &session.role_id).filter(|id| !id.is_empty());
    match (caller, role_id) {
        _ if caller.is_anonymous() => "anonymous".to_owned(),
        (Caller { auth_kind: AuthKind::Internal, .. }, _) => "system".to_owned(),
        (_, Some(role_id)) => format!("assumed-role/{role_id}"),
        (Caller { root: true, .. }, _) => "root".to_owned(),
        _ => "user".to_owned(),
    }
}
