//! Clients that take their time, and clients that come in numbers: none of them holds the listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bursar::config::edge::Proxies;
use bursar::listener::{self, Bounds, Patience};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

/// Long enough for a slow machine, short enough to tell that something hangs.
const HANG: Duration = Duration::from_secs(20);

/// Whoever gets no turn for so long cannot keep to his moments.
const STILL: Duration = Duration::from_millis(150);

/// The length of the answer at `/large`.
const LARGE: usize = 32 << 20;

const fn patience(head: u64, idle: u64, write: u64) -> Patience {
    Patience {
        head: Duration::from_millis(head),
        idle: Duration::from_millis(idle),
        write: Duration::from_millis(write),
    }
}

/// No test that uses this waits for any of it.
const PATIENT: Patience = patience(60_000, 60_000, 60_000);

/// A service that says hello, gives a lot, reads what it is sent, or leaves it unread, and is served until the test ends.
async fn open(bounds: Bounds) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/large", get(async || Body::from(vec![b'x'; LARGE])))
        .route(
            "/slow",
            get(async || sleep(Duration::from_millis(1_500)).await),
        )
        .route("/upgrade", get(upgrade))
        .route("/read", post(async |body: String| body.len().to_string()))
        .route("/unread", post(async || "no"));
    tokio::spawn(listener::serve(
        listener,
        router,
        bounds,
        std::future::pending(),
    ));
    address
}

/// Leaves HTTP, and gives back what it is sent.
async fn upgrade(request: Request) -> impl IntoResponse {
    tokio::spawn(async {
        let upgraded = hyper::upgrade::on(request).await.unwrap();
        let (mut reading, mut writing) = tokio::io::split(TokioIo::new(upgraded));
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
    });
    let headers = [("connection", "upgrade"), ("upgrade", "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}

fn bounds(patience: Patience) -> Bounds {
    Bounds {
        patience,
        ..Bounds::default()
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// All that comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A connection that is reset has ended, too.
    let _ = timeout(HANG, stream.read_to_end(&mut all)).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

/// Asks for the greeting and reads it.
async fn greet(stream: &mut TcpStream) -> Option<()> {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .ok()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut some = [0; 1024];
        let read = timeout(HANG, stream.read(&mut some)).await.unwrap().ok()?;
        if read == 0 {
            return None;
        }
        answer.extend_from_slice(&some[..read]);
    }
    Some(())
}

/// Plays a scene that lives by its moments; again if the machine has stood still meanwhile and it has failed.
async fn undisturbed<F: Future<Output = ()> + Send + 'static>(scene: impl Fn() -> F) {
    for _ in 0..20 {
        let stood_still = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&stood_still);
        let watch = tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                sleep(Duration::from_millis(10)).await;
                watched.fetch_or(begun.elapsed() > STILL, Ordering::SeqCst);
            }
        });
        let played = tokio::spawn(scene()).await;
        watch.abort();
        match played {
            Err(failed) if stood_still.load(Ordering::SeqCst) => drop(failed),
            done => return done.unwrap(),
        }
    }
    panic!("the machine stands still again and again");
}

#[tokio::test]
async fn a_head_that_drips_is_ended_with_408() {
    let address = open(bounds(patience(300, 60_000, 60_000))).await;
    let begun = Instant::now();
    let stream = connect(address).await;
    let (mut reading, mut writing) = stream.into_split();
    // A byte now and then, for ever.
    let dripping = tokio::spawn(async move {
        for byte in b"GET / HTTP/1.1\r\nX-Slow: "
            .iter()
            .chain(std::iter::repeat(&b'y'))
        {
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = [0; 12];
    timeout(HANG, reading.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    dripping.abort();
}

#[tokio::test]
async fn who_says_nothing_is_told_nothing() {
    let address = open(bounds(patience(200, 60_000, 60_000))).await;
    assert_eq!(rest(&mut connect(address).await).await, "");
}

#[tokio::test]
async fn a_connection_may_idle_longer_than_a_head_may_take_and_not_for_ever() {
    undisturbed(|| async {
        let address = open(bounds(patience(400, 2_000, 60_000))).await;
        let mut stream = connect(address).await;
        for _ in 0..2 {
            greet(&mut stream).await.unwrap();
            sleep(Duration::from_millis(800)).await;
        }
        // The second head has as long as the first.
        stream.write_all(b"GET / HT").await.unwrap();
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 408"));
        let mut stream = connect(address).await;
        greet(&mut stream).await.unwrap();
        let begun = Instant::now();
        assert_eq!(rest(&mut stream).await, "");
        assert!(begun.elapsed() >= Duration::from_millis(1_900));
    })
    .await;
}

#[tokio::test]
async fn a_handler_may_take_longer_than_clients() {
    undisturbed(|| async {
        let address = open(bounds(patience(400, 400, 400))).await;
        let mut stream = connect(address).await;
        let request = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    })
    .await;
}

/// A client that has said everything may close its side of the connection. One that is gone costs nothing but its request.
#[tokio::test]
async fn who_closes_his_side_behind_a_request_is_answered() {
    let address = open(bounds(PATIENT)).await;
    let slow = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    let body = "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
    for (text, answers) in [
        (slow, 1),
        (body, 1),
        (&[slow, body].concat(), 2),
        (&body[..body.len() - 1], 1),
        (&slow[..20], 0),
        ("", 0),
    ] {
        let mut stream = connect(address).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answered = rest(&mut stream).await;
        let count = answered.matches("HTTP/1.1 ").count();
        assert_eq!(count, answers, "{text:?}: {answered}");
    }
}

/// A connection whose buffers hold little.
async fn connect_small(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn who_does_not_read_his_answer_is_cut_off() {
    let address = open(bounds(patience(60_000, 60_000, 400))).await;
    let mut stream = connect_small(address).await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_secs(2)).await;
    assert!(rest(&mut stream).await.len() < LARGE);
}

#[tokio::test]
async fn who_reads_slowly_but_steadily_gets_it_all() {
    undisturbed(|| async {
        let address = open(bounds(patience(60_000, 60_000, 1_500))).await;
        let mut stream = connect(address).await;
        let request = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let (mut total, mut some) = (0, vec![0; 1 << 20]);
        loop {
            let read = timeout(HANG, stream.read(&mut some))
                .await
                .unwrap()
                .unwrap();
            total += read;
            if read == 0 {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert!(total > LARGE);
    })
    .await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_a_proxy_any_number() {
    let few = |proxies| Bounds {
        per_address_max: 3,
        proxies: Proxies::parse(proxies).unwrap(),
        ..bounds(PATIENT)
    };
    let address = open(few("")).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(address).await;
        greet(&mut stream).await.unwrap();
        kept.push(stream);
    }
    let mut fourth = connect(address).await;
    assert!(rest(&mut fourth).await.starts_with("HTTP/1.1 429"));
    greet(&mut kept[0]).await.unwrap();
    kept.pop();
    // The listener hears of it in its own time.
    let again = async {
        loop {
            if greet(&mut connect(address).await).await.is_some() {
                return;
            }
        }
    };
    timeout(HANG, again).await.unwrap();

    let address = open(few("loopback")).await;
    let mut kept = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(address).await;
        greet(&mut stream).await.unwrap();
        kept.push(stream);
    }
}

#[tokio::test]
async fn when_all_places_are_taken_the_idle_make_room() {
    let address = open(Bounds {
        connections_max: 4,
        ..bounds(PATIENT)
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(address).await;
        greet(&mut stream).await.unwrap();
        idle.push(stream);
    }
    for _ in 0..20 {
        let mut stream = connect(address).await;
        greet(&mut stream).await.unwrap();
        idle.push(stream);
    }
    assert_eq!(rest(&mut idle[0]).await, "");
}

#[tokio::test]
async fn heads_and_addresses_have_a_length() {
    let address = open(bounds(PATIENT)).await;
    let head = |name: &str, length| {
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{name}: {}",
            "y".repeat(length)
        )
    };
    for (request, status) in [
        // Neither ends.
        (head("X", 20_000), "431"),
        (format!("GET /{} HTTP/1.1\r\n", "y".repeat(20_000)), "431"),
        (format!("{}\r\n\r\n", head("X", 16_400)), "431"),
        (
            format!("{}\r\nConnection: close\r\n\r\n", head("X", 15_000)),
            "200",
        ),
    ] {
        let mut stream = connect(address).await;
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{status}: {answer}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_a_body_that_nobody_reads_arrives() {
    let address = open(bounds(PATIENT)).await;
    for _ in 0..5 {
        let mut stream = connect(address).await;
        let length = 8 << 20;
        let head = format!("POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // Simple clients send first and look at the answer then; to be cut off while they send is all that they would see.
        for _ in 0..4 {
            stream.write_all(&vec![b'x'; 128 << 10]).await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn who_asks_before_he_sends_is_told_to_go_on() {
    let address = open(bounds(PATIENT)).await;
    let mut stream = connect(address).await;
    let head = "POST /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 25];
    timeout(HANG, stream.read_exact(&mut told))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"12345").await.unwrap();
    assert!(rest(&mut stream).await.ends_with("\r\n\r\n5"));
}

#[tokio::test]
async fn a_connection_that_is_upgraded_has_its_own_patience() {
    undisturbed(|| async {
        let address = open(bounds(patience(400, 400, 400))).await;
        let mut stream = connect(address).await;
        let head =
            "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(HANG, stream.read_u8()).await.unwrap().unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"));
        for _ in 0..2 {
            sleep(Duration::from_millis(1_500)).await;
            stream.write_all(b"still here").await.unwrap();
            let mut echo = [0; 10];
            timeout(HANG, stream.read_exact(&mut echo))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(&echo, b"still here");
        }
    })
    .await;
}
