//! The load: so many connections, each sending its next request as soon as the last one is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Whoever sits at one end of a connection: knows what to ask next, and judges the answer.
pub(super) trait Client: Send + 'static {
    /// The next request; none when there is nothing left to ask.
    fn next(&mut self) -> anyhow::Result<Option<Request<Full<Bytes>>>>;

    /// Takes the answer to the last request.
    fn judge(&mut self, status: StatusCode, answer: &[u8]) -> Judgement;

    /// Whether something was begun that has to be finished, although the time is over.
    fn owes(&self) -> bool {
        false
    }
}

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    /// How much was done of what is counted.
    pub(super) done: u64,
    /// How much was refused.
    pub(super) refused: u64,
}

impl Judgement {
    /// Everything was done.
    pub(super) const fn done(done: u64) -> Self {
        Self { done, refused: 0 }
    }

    /// Nothing was done.
    pub(super) const fn refused(refused: u64) -> Self {
        Self { done: 0, refused }
    }
}

/// What came of sending for a while.
#[derive(Debug, Default)]
pub(super) struct Volley {
    /// From the first request sent to the last answer received.
    pub(super) elapsed: Duration,
    /// Time from sending to the end of the answer, in microseconds, for every request that did something; in order of size.
    pub(super) latencies: Vec<u32>,
    /// How much was done of what is counted.
    pub(super) done: u64,
    /// How much was refused.
    pub(super) refused: u64,
    /// Length of all answers, in bytes.
    pub(super) answer_bytes: u64,
    /// The beginning of the first answer that refused something.
    pub(super) refusal: Option<String>,
}

/// So much of an answer is shown, in bytes.
const SHOWN_MAX: usize = 300;

impl Volley {
    /// How much was done in a second.
    pub(super) fn per_second(&self) -> u64 {
        let micros = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX);
        self.done * 1_000_000 / micros.max(1)
    }

    /// The latency that this share of the answers did not exceed, in microseconds.
    pub(super) fn percentile(&self, per_cent: usize) -> u32 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (self.latencies.len() * per_cent)
            .div_ceil(100)
            .saturating_sub(1);
        self.latencies.get(place.min(last)).copied().unwrap_or(0)
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.done += other.done;
        self.refused += other.refused;
        self.answer_bytes += other.answer_bytes;
        if self.refusal.is_none() {
            self.refusal = other.refusal;
        }
    }
}

/// A connection and the client at our end of it.
pub(super) struct Line<C> {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    client: C,
}

/// Connects every client.
pub(super) async fn connect<C: Client>(
    address: SocketAddr,
    clients: impl IntoIterator<Item = C>,
) -> anyhow::Result<Vec<Line<C>>> {
    let host = HeaderValue::try_from(address.to_string())?;
    let mut lines = Vec::new();
    for client in clients {
        let stream = TcpStream::connect(address)
            .await
            .context("the server does not answer")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        lines.push(Line {
            sender,
            host: host.clone(),
            client,
        });
    }
    Ok(lines)
}

/// Sends for this long, or until the clients have nothing left to ask. A request under way at the end is finished, and so is
/// what a client owes. Gives the lines back, to go on with.
pub(super) async fn send_on<C: Client>(
    lines: Vec<Line<C>>,
    time: Option<Duration>,
) -> anyhow::Result<(Volley, Vec<Line<C>>)> {
    let begun = Instant::now();
    let end = time.map(|time| begun + time);
    let tasks: Vec<_> = lines
        .into_iter()
        .map(|line| tokio::spawn(line.send(end)))
        .collect();
    let mut volley = Volley::default();
    let mut lines = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (part, line) = task.await??;
        volley.add(part);
        lines.push(line);
    }
    volley.elapsed = begun.elapsed();
    volley.latencies.sort_unstable();
    Ok((volley, lines))
}

/// Connects every client and sends. Connections are made before the time begins.
pub(super) async fn send<C: Client>(
    address: SocketAddr,
    clients: impl IntoIterator<Item = C>,
    time: Option<Duration>,
) -> anyhow::Result<Volley> {
    let (volley, _) = send_on(connect(address, clients).await?, time).await?;
    Ok(volley)
}

impl<C: Client> Line<C> {
    async fn send(mut self, end: Option<Instant>) -> anyhow::Result<(Volley, Self)> {
        let mut volley = Volley::default();
        while end.is_none_or(|end| Instant::now() < end) || self.client.owes() {
            let Some(mut request) = self.client.next()? else {
                break;
            };
            let headers = request.headers_mut();
            headers.insert(header::HOST, self.host.clone());
            let sent = Instant::now();
            let response = self
                .sender
                .send_request(request)
                .await
                .context("a connection broke")?;
            let status = response.status();
            let answer = response
                .into_body()
                .collect()
                .await
                .context("an answer broke off")?
                .to_bytes();
            let micros = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
            let Judgement { done, refused } = self.client.judge(status, &answer);
            if done > 0 {
                volley.latencies.push(micros);
            }
            if refused > 0 && volley.refusal.is_none() {
                let shown = String::from_utf8_lossy(&answer[..answer.len().min(SHOWN_MAX)]);
                volley.refusal = Some(format!("{status}: {shown}"));
            }
            volley.done += done;
            volley.refused += refused;
            volley.answer_bytes += answer.len() as u64;
        }
        Ok((volley, self))
    }
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
    fn a_rate_counts_what_was_done() {
        let volley = Volley {
            elapsed: Duration::from_millis(500),
            latencies: vec![1; 3],
            done: 30,
            refused: 9,
            ..Volley::default()
        };
        assert_eq!(volley.per_second(), 60);
    }
}
