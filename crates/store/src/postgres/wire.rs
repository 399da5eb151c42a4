//! Bytes to and from a PostgreSQL server: a socket, with or without TLS, and the messages on it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(unix)]
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;
use rustls::{ClientConnection, StreamOwned};
#[cfg(unix)]
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::{Address, Place, SslMode};
use super::tls;

/// How long connecting may take, and each answer until we are signed in. Another host may be there to try.
const CONNECT: Duration = Duration::from_secs(5);

/// So much is sent without looking for answers. A server that cannot get rid of its answers reads nothing more: if both waited for
/// each other, they would wait for ever. So much finds room in the buffers of any socket.
const UNREAD_MAX: usize = 32 * 1024;

/// How long is waited when the server neither takes nor gives.
const LOOK: Duration = Duration::from_micros(200);

/// So much is read at a time.
const CHUNK: usize = 64 * 1024;

/// An answer longer than so many bytes in one message is no answer of ours: a body of an event is the largest thing stored.
const MESSAGE_MAX: i32 = 256 * 1024 * 1024;

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn io(&mut self) -> &mut dyn ReadWrite {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Tls(stream) => stream.as_mut(),
        }
    }

    /// Reads what is there, even while something is still to be sent.
    fn read_some(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        let Self::Tls(stream) = self else {
            return self.io().read(chunk);
        };
        if stream.conn.wants_read() && stream.conn.read_tls(&mut stream.sock)? == 0 {
            return Ok(0);
        }
        let checked = stream.conn.process_new_packets();
        checked.map_err(io::Error::other)?;
        stream.conn.reader().read(chunk)
    }

    fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(is_nonblocking),
            #[cfg(unix)]
            Self::Unix(stream) => stream.set_nonblocking(is_nonblocking),
            Self::Tls(stream) => stream.sock.set_nonblocking(is_nonblocking),
        }
    }

    /// How long an answer may take from now on.
    fn limit(&self, time: Duration) -> io::Result<()> {
        let time = Some(time);
        match self {
            #[cfg(unix)]
            Self::Unix(stream) => {
                stream.set_read_timeout(time)?;
                stream.set_write_timeout(time)
            }
            Self::Tcp(stream) => limit(stream, time),
            Self::Tls(stream) => limit(&stream.sock, time),
        }
    }
}

fn limit(stream: &TcpStream, time: Option<Duration>) -> io::Result<()> {
    stream.set_read_timeout(time)?;
    stream.set_write_timeout(time)
}

/// Who might read along, or stand in between.
#[derive(Debug)]
pub(super) enum Protection {
    /// Anybody on the way.
    None,
    /// Nobody but this machine.
    Local,
    /// Nobody; with what binds a sign-in to the server's certificate, if that can be told.
    Tls(Option<Vec<u8>>),
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A connection on the level of messages.
pub(super) struct Wire {
    stream: Stream,
    arrived: BytesMut,
    chunk: Box<[u8]>,
    /// How long an answer may take.
    patience: Duration,
}

impl Wire {
    /// Connects, encrypted as `address` asks.
    pub(super) fn connect(place: &Place, address: &Address) -> io::Result<Self> {
        let stream = match place.socket() {
            #[cfg(unix)]
            Some(path) => Stream::Unix(uninterrupted(CONNECT, || connect_to_socket(&path))?),
            #[cfg(not(unix))]
            Some(_) => return Err(io::Error::other("there are no such sockets here")),
            None => encrypted(connect(place)?, place, address)?,
        };
        stream.limit(CONNECT)?;
        Ok(Self {
            stream,
            arrived: BytesMut::with_capacity(CHUNK),
            chunk: vec![0; CHUNK].into(),
            patience: CONNECT,
        })
    }

    /// How long an answer may take from now on, before the server counts as gone.
    pub(super) fn wait_for(&mut self, time: Duration) -> io::Result<()> {
        self.patience = time;
        self.stream.limit(time)
    }

    /// Who might read along.
    pub(super) fn protection(&self) -> Protection {
        match &self.stream {
            Stream::Tcp(_) => Protection::None,
            #[cfg(unix)]
            Stream::Unix(_) => Protection::Local,
            Stream::Tls(stream) => Protection::Tls(tls::binding(&stream.conn)),
        }
    }

    /// Sends messages and forgets them.
    pub(super) fn send(&mut self, messages: &mut BytesMut) -> io::Result<()> {
        if messages.len() > UNREAD_MAX {
            self.stream.set_nonblocking(true)?;
            let sent = self.send_and_receive(messages);
            self.stream.set_nonblocking(false)?;
            return sent;
        }
        let io = self.stream.io();
        io.write_all(messages)?;
        uninterrupted(self.patience, || io.flush())?;
        messages.clear();
        Ok(())
    }

    /// Sends, and takes in what the server answers meanwhile.
    fn send_and_receive(&mut self, messages: &mut BytesMut) -> io::Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            let io = self.stream.io();
            let sent = if messages.is_empty() {
                io.flush().map(|()| 0)
            } else {
                io.write(messages)
            };
            let sent = unless_it_would_wait(sent)?;
            match sent {
                Some(_) if messages.is_empty() => return Ok(()),
                Some(count) => messages.advance(count),
                None => {}
            }
            let came = unless_it_would_wait(self.stream.read_some(&mut self.chunk))?;
            match came {
                Some(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                Some(count) => self.arrived.extend_from_slice(&self.chunk[..count]),
                None => {}
            }
            if sent.is_some() || came.is_some() {
                waited = Duration::ZERO;
                continue;
            }
            if waited > self.patience {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
    }

    /// The next message, without those that may come at any time and say nothing to us.
    pub(super) fn receive(&mut self) -> io::Result<Message> {
        loop {
            if let Some(header) = Header::parse(&self.arrived)?
                && header.len() > MESSAGE_MAX
            {
                return Err(io::Error::other("a message that is too long"));
            }
            match Message::parse(&mut self.arrived)? {
                Some(Message::NoticeResponse(_) | Message::NotificationResponse(_)) => {}
                Some(message) => return Ok(message),
                None => self.read()?,
            }
        }
    }

    /// Whether the server has ended the session while nobody asked for anything. What it says then is its farewell, or can be
    /// passed over.
    pub(super) fn has_ended(&mut self) -> bool {
        loop {
            match Message::parse(&mut self.arrived) {
                Ok(Some(Message::ErrorResponse(_))) | Err(_) => return true,
                Ok(Some(_)) => continue,
                Ok(None) => {}
            }
            match self.read_what_is_there() {
                Ok(Some(1..)) => {}
                Ok(None) => return false,
                Ok(Some(0)) | Err(_) => return true,
            }
        }
    }

    fn read_what_is_there(&mut self) -> io::Result<Option<usize>> {
        self.stream.set_nonblocking(true)?;
        let came = unless_it_would_wait(self.stream.read_some(&mut self.chunk));
        self.stream.set_nonblocking(false)?;
        let count = came?;
        self.arrived
            .extend_from_slice(&self.chunk[..count.unwrap_or(0)]);
        Ok(count)
    }

    fn read(&mut self) -> io::Result<()> {
        match uninterrupted(self.patience, || self.stream.io().read(&mut self.chunk))? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server has closed the connection",
            )),
            count => {
                self.arrived.extend_from_slice(&self.chunk[..count]);
                Ok(())
            }
        }
    }
}

/// Begins again what was interrupted. A process that is stopped and goes on, as when a container is paused, finds its waiting for an
/// answer interrupted, although nothing has happened to the connection. Not for ever: each time it waits anew.
fn uninterrupted<T>(patience: Duration, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let begun = Instant::now();
    loop {
        match act() {
            Err(error)
                if error.kind() == io::ErrorKind::Interrupted && begun.elapsed() < patience => {}
            done => return done,
        }
    }
}

/// What was moved; none if that would have to wait.
fn unless_it_would_wait(moved: io::Result<usize>) -> io::Result<Option<usize>> {
    match moved {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// A server that stands still takes nobody in any more. Once its queue is full the system would wait for it without end.
#[cfg(unix)]
fn connect_to_socket(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(CONNECT))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

fn connect(place: &Place) -> io::Result<TcpStream> {
    let mut failed = io::Error::other("the host has no address");
    for address in (place.host.as_str(), place.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                limit(&stream, Some(CONNECT))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn encrypted(mut stream: TcpStream, place: &Place, address: &Address) -> io::Result<Stream> {
    if address.ssl_mode == SslMode::Disable {
        return Ok(Stream::Tcp(stream));
    }
    let mut ask = BytesMut::new();
    frontend::ssl_request(&mut ask);
    stream.write_all(&ask)?;
    // One byte, and nothing behind it before the handshake: what came unencrypted is not read as an answer.
    let mut answer = [0];
    stream.read_exact(&mut answer).map_err(|error| {
        io::Error::other(format!("it gave no answer when asked for TLS: {error}"))
    })?;
    match (answer[0], address.ssl_mode) {
        (b'S', _) => {
            let session = tls::session(&place.host, address)?;
            let mut stream = StreamOwned::new(session, stream);
            while stream.conn.is_handshaking() {
                let done = uninterrupted(CONNECT, || stream.conn.complete_io(&mut stream.sock));
                done.map_err(|error| io::Error::other(format!("no TLS with it: {error}")))?;
            }
            Ok(Stream::Tls(Box::new(stream)))
        }
        (b'N', SslMode::Prefer) => Ok(Stream::Tcp(stream)),
        (b'N', _) => Err(io::Error::other(
            "the server does not offer TLS, and sslmode asks for it",
        )),
        _ => Err(io::Error::other(
            "it gave an error when asked for TLS: it is full, or no PostgreSQL server",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_interrupted_is_begun_again_and_not_for_ever() {
        let interrupted = || io::Error::from(io::ErrorKind::Interrupted);
        let mut tries = 0;
        let answer = uninterrupted(Duration::from_mins(1), || {
            tries += 1;
            (tries == 3).then_some(7).ok_or_else(interrupted)
        });
        assert_eq!((answer.ok(), tries), (Some(7), 3));
        let never = uninterrupted(Duration::from_millis(5), || Err::<(), _>(interrupted()));
        assert_eq!(never.unwrap_err().kind(), io::ErrorKind::Interrupted);
        let other = uninterrupted(Duration::from_mins(1), || {
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
