//! Accepting connections, and draining them at the stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection;
use crate::app::App;

/// Connections at once on the admin port.
const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Pause after the kernel refuses to accept, for want of file descriptors say.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves S3 until `stop` turns true, then drains within the configured grace and returns.
pub async fn serve_s3(app: Arc<App>, listener: TcpListener, tls: TlsAcceptor, stop: watch::Receiver<bool>) {
    let (connections, grace) = (app.config.limits.connections, app.config.shutdown_grace());
    serve(listener, connections, grace, stop.clone(), move |tcp| {
        let (app, tls, stop) = (Arc::clone(&app), tls.clone(), stop.clone());
        async move {
            app.metrics.connections_accepted.inc();
            app.metrics.connections.inc();
            let _open = scopeguard(&app);
            connection::serve_s3(Arc::clone(&app), tls, tcp, stop).await;
        }
    })
    .await;
}

/// Counts a connection out even when its task is cut.
fn scopeguard(app: &Arc<App>) -> impl Drop + use<> {
    struct Open(Arc<App>);
    impl Drop for Open {
        fn drop(&mut self) {
            self.0.metrics.connections.dec();
        }
    }
    Open(Arc::clone(app))
}

/// Serves the admin port until `stop` turns true.
pub async fn serve_admin(app: Arc<App>, listener: TcpListener, stop: watch::Receiver<bool>) {
    let grace = app.config.shutdown_grace();
    serve(listener, ADMIN_CONNECTIONS_MAX, grace, stop.clone(), move |tcp| {
        connection::serve_admin(Arc::clone(&app), tcp, stop.clone())
    })
    .await;
}

/// Accepts up to `connections_max` at once; when `stop` turns true, waits `grace`, then cuts the rest.
async fn serve<F>(
    listener: TcpListener,
    connections_max: usize,
    grace: Duration,
    mut stop: watch::Receiver<bool>,
    connection: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(connections_max));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            // Ended tasks are taken off as they end, so that the set does not grow.
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((tcp, permit)) => {
                let served = connection(tcp);
                tasks.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    let drained = timeout(grace, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(cut = tasks.len(), "connections cut at the end of the grace period");
        tasks.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
    let (tcp, _) = listener.accept().await?;
    Ok((tcp, permit))
}
