//! The cases, by area, and what runs them.

mod advisories;
mod auth;
mod buckets;
mod checksums;
mod chunked;
mod conditions;
mod context;
mod copies;
mod cors;
mod encryption;
mod forms;
mod hostile;
mod iam;
mod keys;
mod lifecycle;
mod listing;
mod lock;
mod logging;
mod multipart;
mod multipart_checksums;
mod notification;
mod objects;
mod part_copies;
mod policies;
mod policy_conditions;
mod policy_documents;
mod public_access;
mod quotas;
mod races;
mod rounds;
mod settings;
mod sharing;
mod sse_c;
mod storage_class;
mod sts;
mod tagging;
mod versions;
mod vitam;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

pub use context::{Context, Failure, RACE_ROUNDS};
use tokio::time::timeout;

/// A case that takes longer has failed; so much for each hundred rounds that clients race.
const CASE_TIMEOUT: Duration = Duration::from_secs(120);

type CaseFuture = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// One thing that a server must do.
pub struct Case {
    /// The area, which is the module's name.
    pub area: &'static str,
    /// What must hold, in snake case.
    pub name: &'static str,
    run: fn(Context) -> CaseFuture,
}

/// How a case ended.
pub struct Outcome {
    /// The area of the case.
    pub area: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it held.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// Whether a case held.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It held.
    Passed,
    /// It did not, and why.
    Failed(String),
    /// The run lacks what it needs.
    NotRun(&'static str),
}

/// Lists async functions as the cases of a module.
macro_rules! cases {
    ($area:literal: $($name:ident),+ $(,)?) => {
        /// The cases of this module.
        pub(super) const CASES: &[crate::suite::Case] = &[$(crate::suite::Case {
            area: $area,
            name: stringify!($name),
            run: |context| Box::pin($name(context)),
        }),+];
    };
}
use cases;

/// All cases, by area.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        advisories::CASES,
        auth::CASES,
        buckets::CASES,
        checksums::CASES,
        chunked::CASES,
        conditions::CASES,
        copies::CASES,
        cors::CASES,
        encryption::CASES,
        forms::CASES,
        hostile::CASES,
        iam::CASES,
        keys::CASES,
        lifecycle::CASES,
        listing::CASES,
        lock::CASES,
        logging::CASES,
        multipart::CASES,
        multipart_checksums::CASES,
        notification::CASES,
        objects::CASES,
        part_copies::CASES,
        policies::CASES,
        policy_conditions::CASES,
        policy_documents::CASES,
        public_access::CASES,
        quotas::CASES,
        races::CASES,
        rounds::CASES,
        settings::CASES,
        sharing::CASES,
        sse_c::CASES,
        storage_class::CASES,
        sts::CASES,
        tagging::CASES,
        versions::CASES,
        vitam::CASES,
    ]
    .into_iter()
    .flatten()
}

/// Runs the cases whose `area::name` contains `filter`, one after the other; `tell` hears of each as it ends.
pub async fn run(context: &Context, filter: &str, tell: impl Fn(&Outcome)) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let limit = CASE_TIMEOUT * context.race_rounds.div_ceil(100).max(1);
    for case in all().filter(|case| format!("{}::{}", case.area, case.name).contains(filter)) {
        let start = Instant::now();
        let result = timeout(limit, (case.run)(context.for_case(case.area, case.name))).await;
        let verdict = match result {
            Ok(Ok(())) => Verdict::Passed,
            Ok(Err(Failure::NotRun(why))) => Verdict::NotRun(why),
            Ok(Err(failure)) => Verdict::Failed(failure.to_string()),
            Err(_) => Verdict::Failed(format!("no end within {} minutes", limit.as_secs() / 60)),
        };
        let outcome = Outcome { area: case.area, name: case.name, verdict, took: start.elapsed() };
        tell(&outcome);
        outcomes.push(outcome);
    }
    outcomes
}
