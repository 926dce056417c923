//! One file per operation, each with
//! `pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error>`.
//!
//! A handler calls [`crate::app::App::authorise_bucket`] before it polls the body: `100 Continue`
//! leaves on that poll.
