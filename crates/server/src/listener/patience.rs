//! A connection's stream, with an end to every wait.
//!
//! The server above it waits for a head, for the next request, and for a client that reads; here each of these waits has a
//! deadline. (The wait for a body has its own, where bodies are read: there an answer can still be given.)

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Patience;
use super::progress::{Phase, Progress};

/// A client that reads slowly gains a second for so many bytes.
const BYTES_A_SECOND: u64 = 16 * 1024;

/// After an answer to a request that was not read to its end the connection stays open for so long, reading and dropping: the
/// system would take the answer back if bytes came to a closed socket.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// And drops so many bytes at most.
const LINGER_BYTES: usize = 1 << 20;

/// What a client is told who does not finish a head.
const HEAD_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A stream that ends with an error when a wait has taken too long.
#[derive(Debug)]
pub(super) struct PatientStream {
    stream: TcpStream,
    progress: Progress,
    patience: Patience,
    /// The turn whose head is waited for, and whether bytes of it have come.
    turn: u32,
    began: bool,
    read_by: Option<Instant>,
    write_by: Option<Instant>,
    lingering: Option<Linger>,
    /// Rings at the earliest deadline or before. It is moved only when it has rung too early: deadlines change with every request,
    /// and most are never met.
    alarm: Pin<Box<Sleep>>,
}

#[derive(Debug)]
struct Linger {
    until: Instant,
    bytes_left: usize,
}

impl PatientStream {
    pub(super) fn new(stream: TcpStream, progress: Progress, patience: Patience) -> Self {
        let first = Instant::now() + patience.head;
        Self {
            stream,
            progress,
            patience,
            turn: 0,
            began: false,
            // The first head may not wait to begin.
            read_by: Some(first),
            write_by: None,
            lingering: None,
            alarm: Box::pin(sleep_until(first)),
        }
    }

    /// Whether the earliest deadline has passed; if not, the task is woken when it does.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let until = self.lingering.as_ref().map(|linger| linger.until);
        let deadlines = [self.read_by, self.write_by, until];
        let Some(by) = deadlines.into_iter().flatten().min() else {
            return false;
        };
        if by < self.alarm.deadline() {
            self.alarm.as_mut().reset(by);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= by {
                return true;
            }
            self.alarm.as_mut().reset(by);
        }
        false
    }

    /// Sets the deadline for reading that belongs to what is waited for.
    fn wait_for_head(&mut self) {
        match self.progress.phase() {
            Phase::Waiting(turn) => {
                if turn != self.turn {
                    (self.turn, self.began, self.read_by) = (turn, false, None);
                }
                let idle = self.patience.idle;
                self.read_by.get_or_insert_with(|| Instant::now() + idle);
            }
            Phase::Serving | Phase::Upgraded => self.read_by = None,
        }
    }

    /// Bytes have come: if they are the first of a head, the rest has to follow soon.
    fn note_read(&mut self) {
        if let Phase::Waiting(turn) = self.progress.phase()
            && (turn != self.turn || !self.began)
        {
            let is_first = turn == 0;
            (self.turn, self.began) = (turn, true);
            if !is_first {
                self.read_by = Some(Instant::now() + self.patience.head);
            }
        }
    }

    /// So many bytes were taken after a wait: a client that goes on reading gets more time, and never more than at the beginning.
    fn note_written(&mut self, bytes: usize) {
        if let Some(by) = &mut self.write_by {
            let gained = Duration::from_millis(bytes as u64 * 1000 / BYTES_A_SECOND);
            *by = (*by + gained).min(Instant::now() + self.patience.write);
        }
    }

    fn blocked(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.wait_for_head();
        if self.progress.phase() != Phase::Upgraded {
            let write = self.patience.write;
            self.write_by.get_or_insert_with(|| Instant::now() + write);
        }
        if self.is_late(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    fn wants_linger(&self) -> bool {
        self.progress.is_unread()
            || (self.began && self.progress.phase() == Phase::Waiting(self.turn))
    }

    /// Reads and drops until the client has closed, or for long enough.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut dropped = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut dropped);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let read = buffer.filled().len();
                    let left = self.lingering.as_mut().map_or(0, |linger| {
                        linger.bytes_left = linger.bytes_left.saturating_sub(read);
                        linger.bytes_left
                    });
                    if left == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if self.is_late(cx) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncRead for PatientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if Pin::new(&mut self.stream).poll_read(cx, buffer)?.is_ready() {
            self.note_read();
            return Poll::Ready(Ok(()));
        }
        self.wait_for_head();
        if !self.is_late(cx) {
            return Poll::Pending;
        }
        if self.began && self.write_by.is_none() {
            // Whether it arrives is the client's affair.
            let _ = self.stream.try_write(HEAD_SLOW);
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(written) => {
                self.note_written(*written.as_ref().unwrap_or(&0));
                Poll::Ready(written)
            }
            Poll::Pending => self.blocked(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(cx, bytes) {
            Poll::Ready(written) => {
                self.note_written(*written.as_ref().unwrap_or(&0));
                Poll::Ready(written)
            }
            Poll::Pending => self.blocked(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Flushed is what was written: nobody waits for the client any more.
        self.write_by = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.wants_linger() {
                return Poll::Ready(Ok(()));
            }
            (self.read_by, self.write_by) = (None, None);
            self.lingering = Some(Linger {
                until: Instant::now() + LINGER_TIME,
                bytes_left: LINGER_BYTES,
            });
        }
        self.linger(cx)
    }
}
