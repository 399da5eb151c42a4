//! I: clients that take their time, and clients that come in numbers.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bursar_stripe::signature;

use crate::exchange::{Answer, ask, bytes, read_to_end};
use crate::program::PATIENCE;
use crate::world::{Kind, WEBHOOK, WEBHOOK_SECRET, World, assert_answered, now};

const TOPUP: &str = "/v1/balance/topups/create";

pub(crate) fn attack(world: &World) {
    let before = world.books();
    slow(world);
    flood(world);
    world.assert_untouched("I: all of them", &before);
    crowd();
}

/// I04, I05, I10: heads and bodies that do not come, all at once, and others are served meanwhile.
fn slow(world: &World) {
    let bearer = format!("Bearer {}", world.token("anna"));
    let json = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let with = |more: &[(&'static str, &'static str)], body: &[u8]| {
        let headers: Vec<(&str, &str)> = json.iter().copied().chain(more.iter().copied()).collect();
        [bytes("POST", TOPUP, &headers, b""), body.to_vec()].concat()
    };
    let signed = format!("Stripe-Signature: t=1,v1={}", "0".repeat(64));
    #[rustfmt::skip]
    let cases: [(&str, Vec<u8>, &[u8], &str, u64); 6] = [
        ("I04 a head drips", b"GET / HTTP/1.1\r\nX-Drip: ".to_vec(), b"y", "408", 5),
        ("I04 a head stands still", b"GET / HTT".to_vec(), b"", "408", 5),
        ("I05 a body drips", with(&[("Content-Length", "1000")], b"{"), b" ", "408", 10),
        ("I05 chunks drip", with(&[("Transfer-Encoding", "chunked")], b""), b"1\r\n \r\n", "408", 10),
        ("I10 asks to go on, and does not", with(&[("Content-Length", "10"), ("Expect", "100-continue")], b""), b"", "100", 10),
        ("I05 a delivery drips", format!("POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\n{signed}\r\nContent-Length: 1000\r\n\r\n").into_bytes(), b" ", "408", 10),
    ];
    std::thread::scope(|scope| {
        for (case, begin, drop, status, seconds) in cases {
            scope.spawn(move || {
                let begun = Instant::now();
                let mut stream = TcpStream::connect(world.address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(&begin).unwrap();
                let mut dripping = stream.try_clone().unwrap();
                let drip = std::thread::spawn(move || {
                    while begun.elapsed() < PATIENCE
                        && !drop.is_empty()
                        && dripping.write_all(drop).is_ok()
                    {
                        sleep(Duration::from_millis(250));
                    }
                });
                let answer = read_to_end(&mut stream);
                let took = begun.elapsed();
                assert!(
                    answer.starts_with(&format!("HTTP/1.1 {status}")),
                    "{case}: {answer}"
                );
                assert!(
                    status != "100" || answer.contains("HTTP/1.1 408"),
                    "{case}: {answer}"
                );
                let (least, most) = (
                    Duration::from_secs(seconds - 1),
                    Duration::from_secs(seconds + 15),
                );
                assert!((least..most).contains(&took), "{case}: {took:?}");
                drop_connection(&stream);
                drip.join().unwrap();
            });
        }
    });
}

fn drop_connection(stream: &TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

/// I14: forged deliveries from everywhere, and genuine ones among them.
fn flood(world: &World) {
    let body = |id: &str| {
        format!(
            r#"{{"id":"{id}","object":"event","type":"x.y","created":1,"livemode":false,"data":{{"object":{{}}}}}}"#
        )
    };
    let secret = signature::Secret::new(WEBHOOK_SECRET).unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        for attacker in 0..4 {
            scope.spawn(move || {
                let from = format!("203.0.113.{attacker}");
                let forged = format!("t={},v1={}", now(), "0".repeat(64));
                let mut seen = Vec::new();
                while Instant::now() < until {
                    let headers = [
                        ("Stripe-Signature", forged.as_str()),
                        ("X-Forwarded-For", &from),
                    ];
                    seen.push(
                        ask(
                            world.address,
                            ("POST", WEBHOOK),
                            &headers,
                            body("evt_forged").as_bytes(),
                        )
                        .status,
                    );
                }
                assert!(
                    seen.iter().all(|status| [400, 429].contains(status)),
                    "I14: {seen:?}"
                );
            });
        }
        for number in 0..50 {
            let text = body(&format!("evt_genuine_{number}"));
            let signed = signature::sign(&secret, now(), text.as_bytes());
            let headers = [
                ("Stripe-Signature", signed.as_str()),
                ("X-Forwarded-For", "203.0.113.0"),
            ];
            let answer: Answer = ask(world.address, ("POST", WEBHOOK), &headers, text.as_bytes());
            assert_answered("I14 a genuine delivery", &answer, (200, ""));
        }
    });
    world.assert_unharmed("I14");
}

/// I06: connections that do nothing. In a world of its own, in which nobody is trusted.
fn crowd() {
    let more = [
        ("BURSAR_TRUSTED_PROXIES", "192.0.2.1"),
        ("BURSAR_CONNECTIONS_MAX", "128"),
        ("BURSAR_CONNECTIONS_PER_ADDRESS", "64"),
    ];
    let world = World::open_with(Kind::File, &more);
    let idle = loop {
        let begun = Instant::now();
        let idle: Vec<TcpStream> = (0..64)
            .map(|_| connect_from("127.0.0.2", world.address))
            .collect();
        let mut one_more = connect_from("127.0.0.2", world.address);
        one_more.set_read_timeout(Some(PATIENCE)).unwrap();
        let refused = read_to_end(&mut one_more);
        if refused.starts_with("HTTP/1.1 429") {
            break idle;
        }
        // The first of them are ended when they have said nothing for five seconds.
        assert!(
            begun.elapsed() >= Duration::from_secs(5),
            "I06 the 65th of an address: {refused}"
        );
    };
    world.get(&world.admin, "/v1/keys").ok();
    // Of many addresses: more than there are places. Whoever asks for something is served all the same.
    let crowd: Vec<TcpStream> = (0..300)
        .map(|number| connect_from(&format!("127.0.1.{}", number / 50), world.address))
        .collect();
    for _ in 0..3 {
        world.get(&world.admin, "/v1/keys").ok();
    }
    world.assert_unharmed("I06");
    drop((idle, crowd));
}

/// A connection from another address of this machine.
fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let stream = socket.connect(to).await.unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    })
}
