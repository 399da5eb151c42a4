//! Connections: accepted, bounded in number and patience, and drained at the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Most connections at a time; more wait in the system's queue.
const CONNECTIONS_MAX: u32 = 4096;

/// How long the head of a request may take, and how long a connection may idle.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// The largest head of a request, in bytes. A longer one answers 431.
const HEAD_MAX: usize = 64 * 1024;

/// How long requests that have begun may take when the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The pause after the system refused a connection, for want of file descriptors as a rule.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` ends, then lets requests that have begun finish for a while.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let (drain, draining) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let service = TowerToHyperService::new(router.clone());
                let connection = server.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(attend(connection.with_upgrades(), draining.clone(), place));
            }
            Err(_) => tokio::time::sleep(REFUSED_PAUSE).await,
        }
    }
    drop(listener);
    drain.send_replace(true);
    // All places are free again when the last connection has ended.
    if tokio::time::timeout(DRAIN_TIME, places.acquire_many(CONNECTIONS_MAX))
        .await
        .is_err()
    {
        tracing::warn!("requests were cut off: they did not finish within {DRAIN_TIME:?}");
    }
}

type Connection = http1::UpgradeableConnection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

/// Sees a connection to its end; from `draining` on, it ends with the request that has begun.
async fn attend(
    connection: Connection,
    mut draining: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    let mut connection = std::pin::pin!(connection);
    // A connection that breaks is the client's affair.
    tokio::select! {
        _ = &mut connection => {}
        // The value waited for is a lock and must not be kept; the block drops it.
        () = async { let _ = draining.wait_for(|draining| *draining).await.is_ok(); } => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    drop(place);
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

/// Ends at Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            let _ = interrupt.await;
            return;
        };
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
