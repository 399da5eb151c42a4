//! A cable to the server that can be cut at the worst moment: when a commit has been sent and nobody has heard of it yet.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What happens to the next commit that passes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Never = 0,
    /// It does not arrive.
    Before = 1,
    /// It arrives, and its answer does not.
    After = 2,
}

pub(crate) struct Cable {
    pub(crate) port: u16,
    next: Arc<AtomicU32>,
}

impl Cable {
    pub(crate) fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(AtomicU32::new(Cut::Never as u32));
        let cut = Arc::clone(&next);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, cut) = (client.unwrap(), Arc::clone(&cut));
                let server = UnixStream::connect(&socket).unwrap();
                std::thread::spawn(move || carry(client, server, &cut));
            }
        });
        Self { port, next }
    }

    /// Cuts the next commit.
    pub(crate) fn cut(&self, cut: Cut) {
        self.next.store(cut as u32, Ordering::SeqCst);
    }

    /// Whether the cut has been made.
    pub(crate) fn is_cut(&self) -> bool {
        self.next.load(Ordering::SeqCst) == Cut::Never as u32
    }
}

fn carry(mut client: TcpStream, mut server: UnixStream, next: &AtomicU32) {
    let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut chunk = vec![0; 1 << 20];
    while let Ok(count @ 1..) = client.read(&mut chunk) {
        let sent = &chunk[..count];
        if sent.windows(7).any(|word| word == b"COMMIT\0") {
            match next.swap(Cut::Never as u32, Ordering::SeqCst) {
                1 => break,
                2 => {
                    let _ = client.shutdown(Shutdown::Both);
                    let _ = server.write_all(sent);
                    // The server finds the connection gone when it has committed.
                    std::thread::sleep(std::time::Duration::from_millis(30));
                    return;
                }
                _ => {}
            }
        }
        if server.write_all(sent).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
