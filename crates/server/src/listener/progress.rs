//! How far the requests of one connection have come, known to the service that answers and to the stream that waits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

/// One for each connection; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Counts beginnings and ends of requests: odd while one is served.
    turns: AtomicU32,
    upgraded: AtomicBool,
    unread: AtomicBool,
}

/// What a connection does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for the head of a request; so many turns were taken before.
    Waiting(u32),
    /// A request is being served.
    Serving,
    /// It is no HTTP any more.
    Upgraded,
}

impl Progress {
    pub(super) fn phase(&self) -> Phase {
        if self.0.upgraded.load(Ordering::Relaxed) {
            return Phase::Upgraded;
        }
        // Service and stream are polled by the same task, one after the other.
        match self.0.turns.load(Ordering::Relaxed) {
            turns if turns % 2 == 0 => Phase::Waiting(turns),
            _ => Phase::Serving,
        }
    }

    /// A head is complete. The request ends when what is returned is dropped.
    pub(super) fn begin(&self) -> Turn {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
        Turn(self.clone())
    }

    /// From now on the connection speaks another protocol, with its own patience.
    pub(super) fn upgrade(&self) {
        self.0.upgraded.store(true, Ordering::Relaxed);
    }

    /// Whether the body of a request was not read to its end.
    pub(super) fn is_unread(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed)
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(super) struct Turn(Progress);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.turns.fetch_add(1, Ordering::Relaxed);
    }
}

/// The body of a request. One that is dropped before its end is noted.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) body: Incoming,
    pub(super) progress: Progress,
}

impl hyper::body::Body for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.progress.0.unread.store(true, Ordering::Relaxed);
        }
    }
}

/// The body of a response; with its end the request has been served.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) body: Body,
    pub(super) _turn: Turn,
}

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
