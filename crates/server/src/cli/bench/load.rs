//! The load: so many connections, each sending its next delivery as soon as the last one is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bursar_engine::clock::{Clock as _, SystemClock};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::event::{Delivery, Source};
use crate::http::WEBHOOK_PATH;

/// What came of sending for a while.
#[derive(Debug, Default)]
pub(super) struct Volley {
    /// From the first request sent to the last answer received.
    pub(super) elapsed: Duration,
    /// Time from sending to the end of the answer, in microseconds, for every answer of 200; in order of size.
    pub(super) latencies: Vec<u32>,
    /// Other answers than 200.
    pub(super) refused: u64,
}

impl Volley {
    /// Answers of 200.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Answers of 200 in a second.
    pub(super) fn per_second(&self) -> u64 {
        let micros = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX);
        self.acknowledged() * 1_000_000 / micros.max(1)
    }

    /// The latency that this share of the answers did not exceed, in microseconds.
    pub(super) fn percentile(&self, per_cent: usize) -> u32 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (self.latencies.len() * per_cent)
            .div_ceil(100)
            .saturating_sub(1);
        self.latencies.get(place.min(last)).copied().unwrap_or(0)
    }
}

/// Sends for this long. Connections are made before the time begins; a request under way at the end is finished.
pub(super) async fn send(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    source: &Arc<Source>,
) -> anyhow::Result<Volley> {
    let mut senders = Vec::with_capacity(connections);
    for _ in 0..connections {
        senders.push(connect(address).await?);
    }
    let begun = Instant::now();
    let tasks: Vec<_> = senders
        .into_iter()
        .map(|sender| tokio::spawn(send_on(sender, address, begun + time, Arc::clone(source))))
        .collect();
    let mut volley = Volley::default();
    for task in tasks {
        let part = task.await??;
        volley.latencies.extend(part.latencies);
        volley.refused += part.refused;
    }
    volley.elapsed = begun.elapsed();
    volley.latencies.sort_unstable();
    Ok(volley)
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address)
        .await
        .context("the server does not answer")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send_on(
    mut sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    end: Instant,
    source: Arc<Source>,
) -> anyhow::Result<Volley> {
    let host = address.to_string();
    let mut volley = Volley::default();
    while Instant::now() < end {
        let request = request(source.next(SystemClock.now().seconds()), &host)?;
        let sent = Instant::now();
        let response = sender
            .send_request(request)
            .await
            .context("a connection broke")?;
        let status = response.status();
        response
            .into_body()
            .collect()
            .await
            .context("an answer broke off")?;
        if status == http::StatusCode::OK {
            volley
                .latencies
                .push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else {
            volley.refused += 1;
        }
    }
    Ok(volley)
}

fn request(delivery: Delivery, host: &str) -> http::Result<Request<Full<Bytes>>> {
    Request::post(WEBHOOK_PATH)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "bursar bench")
        .header(header::ACCEPT, "*/*; q=0.5, application/xml")
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header("stripe-signature", delivery.signature)
        .body(Full::new(Bytes::from(delivery.body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_latency_not_exceeded_by_its_share() {
        let volley = |latencies: Vec<u32>| Volley {
            latencies,
            ..Volley::default()
        };
        let hundred = volley((1..=100).collect());
        assert_eq!(
            [50, 99, 100].map(|share| hundred.percentile(share)),
            [50, 99, 100]
        );
        assert_eq!(volley(vec![7]).percentile(99), 7);
        assert_eq!(volley(vec![]).percentile(99), 0);
    }

    #[test]
    fn a_rate_counts_what_was_acknowledged() {
        let volley = Volley {
            elapsed: Duration::from_millis(500),
            latencies: vec![1; 30],
            refused: 9,
        };
        assert_eq!(volley.per_second(), 60);
    }
}
