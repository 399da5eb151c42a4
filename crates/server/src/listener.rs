//! Connections: accepted, bounded in number and patience, and drained at the end.
//!
//! Three bounds keep strangers from holding the server: a total of connections, a smaller one for each address, and an end to
//! every wait ([`patience`]). When all places are taken, those who idle have to make room.

mod crowd;
mod patience;
mod progress;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::Service as _;

use self::crowd::{Crowd, Place};
use self::patience::PatientStream;
use self::progress::{Answered, Asked, Phase, Progress};
use crate::config::edge::Proxies;

/// The largest head of a request, in bytes. A longer one answers 431.
pub const HEAD_MAX: usize = 16 * 1024;

/// How much of a body is read at once, in bytes.
const BUFFER_MAX: usize = 64 * 1024;

/// How long requests that have begun may take when the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The pause after the system refused a connection, for want of file descriptors as a rule.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// What a client is told whose address has too many connections.
const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How many connections there may be, and how long they may take.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Most connections at a time; more wait in the system's queue.
    pub connections_max: u32,
    /// Most connections of one address (of IPv6: of one subnet of 64 bits); 0 stands for no bound.
    pub per_address_max: u32,
    /// Addresses that may have any number of connections.
    pub proxies: Proxies,
    /// How long a connection may keep the server waiting.
    pub patience: Patience,
}

/// How long a connection may keep the server waiting.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a whole head: from the connection on, or from its first byte. Then 408.
    pub head: Duration,
    /// For the next request.
    pub idle: Duration,
    /// For a client that does not read; one that reads slowly gets a second more for each 16 KiB.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(5),
            // Longer than proxies keep connections they do not use, so that it is they who close.
            idle: Duration::from_secs(75),
            write: Duration::from_secs(10),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            per_address_max: 64,
            proxies: Proxies::default(),
            patience: Patience::default(),
        }
    }
}

/// Serves until `stop` ends, then lets requests that have begun finish for a while.
///
/// Each request gets the address of its connection as [`ConnectInfo`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) {
    let crowd = Crowd::new(bounds.connections_max, bounds.per_address_max);
    // Each change asks all connections there are to end with the request that has begun; the value says if it is for good.
    let (leave, _) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &crowd, &leave) => accepted,
        };
        match accepted {
            Ok((stream, peer, mut place)) => {
                let is_known = bounds.proxies.contains(peer.ip());
                if !is_known && !crowd.admit(&mut place, peer.ip()) {
                    refuse(stream);
                    continue;
                }
                let connection = Connection {
                    stream,
                    peer,
                    place,
                    leave: leave.subscribe(),
                };
                tokio::spawn(connection.attend(router.clone(), bounds.patience));
            }
            Err(_) => tokio::time::sleep(REFUSED_PAUSE).await,
        }
    }
    drop(listener);
    leave.send_replace(true);
    if tokio::time::timeout(DRAIN_TIME, crowd.gone())
        .await
        .is_err()
    {
        tracing::warn!("requests were cut off: they did not finish within {DRAIN_TIME:?}");
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    leave: watch::Receiver<bool>,
}

impl Connection {
    /// Sees a connection to its end; once asked to leave, it ends with the request that has begun.
    async fn attend(self, router: Router, patience: Patience) {
        let Self {
            stream,
            peer,
            place,
            mut leave,
        } = self;
        let progress = Progress::default();
        let seen = progress.clone();
        let stream = PatientStream::new(stream, progress.clone(), patience);
        let service = hyper::service::service_fn(move |request| {
            answer(router.clone(), request, peer, progress.clone())
        });
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            // Whoever has said everything may close his side, and is answered all the same.
            .half_close(true)
            .max_header_size(HEAD_MAX)
            .max_buf_size(BUFFER_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection.with_upgrades());
        // A connection that breaks is the client's affair.
        loop {
            tokio::select! {
                _ = &mut connection => break,
                _ = leave.changed() => {
                    let is_for_good = *leave.borrow_and_update();
                    // Who has just come idles by no fault of his own, and not for long.
                    if is_for_good || seen.phase() != Phase::Waiting(0) {
                        connection.as_mut().graceful_shutdown();
                        let _ = connection.await;
                        break;
                    }
                }
            }
        }
        drop(place);
    }
}

/// One request, with the address it comes from.
async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    progress: Progress,
) -> Result<Response<Answered>, Infallible> {
    let turn = progress.begin();
    let body = |body| {
        Body::new(Asked {
            body,
            progress: progress.clone(),
        })
    };
    let mut request = request.map(body);
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.call(request).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        progress.upgrade();
    }
    Ok(response.map(|body| Answered { body, _turn: turn }))
}

async fn accept(
    listener: &TcpListener,
    crowd: &Crowd,
    leave: &watch::Sender<bool>,
) -> io::Result<(TcpStream, SocketAddr, Place)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let mut place = crowd.try_place();
    if place.is_none() {
        leave.send_replace(false);
        place = crowd.place().await;
    }
    let place = place.ok_or_else(|| io::Error::other("nobody is served any more"))?;
    Ok((stream, peer, place))
}

/// Says why, if the system takes it at once, and closes.
fn refuse(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(TOO_MANY);
    }
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
