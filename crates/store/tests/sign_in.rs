//! Signing in to a PostgreSQL server: with TLS and without, with all that may be wrong. An error names what it is, and no error shows
//! a password.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod server;

use std::net::TcpListener;
use std::sync::{Mutex, OnceLock, PoisonError};

use bursar_store::StoreError;
use bursar_store::connection::Connection as _;
use bursar_store::postgres::{Address, Postgres};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use server::Server;

const PASSWORD: &str = "s3cret/of the test";
const IN_URL: &str = "s3cret%2Fof%20the%20test";

/// Who may come in, and how. Users that PostgreSQL knows by their way in.
const HBA: &str = "local   all all               trust\n\
                   hostssl all scram   127.0.0.1/32 scram-sha-256\n\
                   host    all md5     127.0.0.1/32 md5\n\
                   host    all clear   127.0.0.1/32 password\n\
                   hostssl all guest   127.0.0.1/32 cert\n\
                   host    all nobody  127.0.0.1/32 trust\n";

struct Guarded {
    server: Server,
    port: u16,
}

fn signed(name: &str, issuer: &Issuer<'_, KeyPair>) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(params, key))
}

/// A server with a certificate for `localhost`, signed by an authority of our own.
fn guarded() -> &'static Guarded {
    static GUARDED: OnceLock<Guarded> = OnceLock::new();
    GUARDED.get_or_init(|| {
        let (root, issuer) = authority("ours");
        let (stranger, _) = authority("not ours");
        let (certificate, key) = signed("localhost", &issuer);
        let (guest, guest_key) = signed("guest", &issuer);
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = Server::listening(
            port,
            "-c ssl_cert_file={folder}/server.pem -c ssl_key_file={folder}/server.key \
             -c ssl_ca_file={folder}/root.pem -c hba_file={folder}/hba.conf",
            &[
                ("server.pem", &certificate),
                ("server.key", &key),
                ("root.pem", &root),
                ("hba.conf", HBA),
                ("stranger.pem", &stranger),
                ("guest.pem", &guest),
                ("guest.key", &guest_key),
            ],
        );
        let mut owner = Postgres::open(server.fresh()).unwrap();
        owner
            .run_script(&format!(
                "CREATE ROLE scram LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE clear LOGIN PASSWORD '{PASSWORD}'; \
                 CREATE ROLE guest LOGIN; CREATE ROLE nobody LOGIN; \
                 SET password_encryption = 'md5'; CREATE ROLE md5 LOGIN PASSWORD '{PASSWORD}'"
            ))
            .unwrap();
        let guarded = Guarded { server, port };
        offer(&guarded, "on");
        guarded
    })
}

/// Whether the server offers TLS from now on.
fn offer(guarded: &Guarded, ssl: &str) {
    let mut owner = Postgres::open(guarded.server.fresh()).unwrap();
    owner
        .run_script(&format!("ALTER SYSTEM SET ssl = {ssl}"))
        .unwrap();
    owner.run_script("SELECT pg_reload_conf()").unwrap();
    let url = format!(
        "postgres://nobody@127.0.0.1:{}/postgres?sslmode=prefer",
        guarded.port
    );
    let address = Address::parse(&url).unwrap();
    // New sessions have it when the postmaster has read it.
    for _ in 0..1_000 {
        if is_encrypted(Postgres::open(address.clone()).unwrap()) == (ssl == "on") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the server does not change its mind");
}

/// Tests take turns: one of them changes what the server offers.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects; `{root}` and the like in `rest` stand for files.
fn open(who: &str, host: &str, rest: &str) -> Result<Postgres, String> {
    let guarded = guarded();
    let file = |name: &str| guarded.server.folder().join(name).display().to_string();
    let rest = rest
        .replace("{root}", &file("root.pem"))
        .replace("{stranger}", &file("stranger.pem"))
        .replace("{cert}", &file("guest.pem"))
        .replace("{key}", &file("guest.key"));
    let url = format!("postgres://{who}@{host}:{}/postgres?{rest}", guarded.port);
    let opened = Postgres::open(Address::parse(&url).unwrap());
    opened.map_err(|error| {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        let text = error.to_string();
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains(&guarded.port.to_string()), "{text}");
        text
    })
}

/// Whether the connection is encrypted, as the server sees it.
fn is_encrypted(mut opened: Postgres) -> bool {
    let sql =
        "SELECT CAST(CAST(ssl AS INTEGER) AS BIGINT) FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    opened.rows(sql, vec![]).unwrap()[0].boolean(0).unwrap()
}

fn refused(who: &str, host: &str, rest: &str) -> String {
    open(who, host, rest).map(drop).unwrap_err()
}

fn scram() -> String {
    format!("scram:{IN_URL}")
}

#[test]
fn how_much_encryption_there_is_goes_by_sslmode() {
    let _turn = turn();
    for (mode, is_on) in [("disable", false), ("prefer", true), ("require", true)] {
        let rest = format!("sslmode={mode}");
        assert_eq!(
            is_encrypted(open("nobody", "127.0.0.1", &rest).unwrap()),
            is_on,
            "{mode}"
        );
    }
    for mode in ["verify-ca", "verify-full"] {
        let rest = format!("sslmode={mode}&sslrootcert={{root}}");
        assert!(is_encrypted(open("nobody", "localhost", &rest).unwrap()));
        // Somebody else has signed it.
        let rest = format!("sslmode={mode}&sslrootcert={{stranger}}");
        let why = refused("nobody", "localhost", &rest);
        assert!(
            why.contains("invalid peer certificate: UnknownIssuer"),
            "{why}"
        );
        // The system trusts nobody of ours.
        let why = refused("nobody", "localhost", &format!("sslmode={mode}"));
        assert!(
            why.contains("UnknownIssuer") || why.contains("no certificates to trust"),
            "{why}"
        );
        let why = refused(
            "nobody",
            "localhost",
            &format!("sslmode={mode}&sslrootcert=/nowhere/ca.pem"),
        );
        assert!(why.contains("/nowhere/ca.pem cannot be read"), "{why}");
    }
    // The certificate is for localhost and not for this host; only one mode looks at that.
    assert!(is_encrypted(
        open(
            "nobody",
            "127.0.0.1",
            "sslmode=verify-ca&sslrootcert={root}"
        )
        .unwrap()
    ));
    let why = refused(
        "nobody",
        "127.0.0.1",
        "sslmode=verify-full&sslrootcert={root}",
    );
    assert!(
        why.contains("certificate not valid for name \"127.0.0.1\""),
        "{why}"
    );
}

#[test]
fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let _turn = turn();
    offer(guarded(), "off");
    for mode in ["require", "verify-ca", "verify-full"] {
        let why = refused(
            "nobody",
            "localhost",
            &format!("sslmode={mode}&sslrootcert={{root}}"),
        );
        assert!(
            why.contains("does not offer TLS, and sslmode asks for it"),
            "{why}"
        );
    }
    offer(guarded(), "on");
    // Who lets nobody in without it says so.
    let why = refused(&scram(), "127.0.0.1", "sslmode=disable");
    assert!(why.contains("no encryption"), "{why}");
}

#[test]
fn a_password_is_proved_and_never_shown() {
    let _turn = turn();
    for (who, rest, is_on) in [
        ("scram", "sslmode=require", true),
        ("md5", "sslmode=disable", false),
        ("clear", "sslmode=require", true),
    ] {
        let opened = open(&format!("{who}:{IN_URL}"), "127.0.0.1", rest).unwrap();
        assert_eq!(is_encrypted(opened), is_on);
        let why = refused(&format!("{who}:s3cret"), "127.0.0.1", rest);
        assert!(
            why.contains(&format!(
                "password authentication failed for user \"{who}\""
            )),
            "{why}"
        );
        let why = refused(who, "127.0.0.1", rest);
        assert!(
            why.contains("asks for a password, and DATABASE_URL has none"),
            "{why}"
        );
    }
    let why = refused(&format!("clear:{IN_URL}"), "127.0.0.1", "sslmode=disable");
    assert!(
        why.contains("in clear text, and the connection is not encrypted"),
        "{why}"
    );
    let why = refused(
        &format!("stranger:{IN_URL}"),
        "127.0.0.1",
        "sslmode=require",
    );
    assert!(
        why.contains("no pg_hba.conf entry for host \"127.0.0.1\", user \"stranger\""),
        "{why}"
    );
}

#[test]
fn a_sign_in_is_bound_to_the_certificate() {
    let _turn = turn();
    for rest in ["sslmode=require", "sslmode=require&channel_binding=require"] {
        let mut opened = open(&scram(), "127.0.0.1", rest).unwrap();
        assert_eq!(opened.rows("SELECT 1::bigint", vec![]).unwrap().len(), 1);
    }
    for (who, rest) in [
        // No certificate that it could be bound to; no password; and a way without binding.
        (
            format!("md5:{IN_URL}"),
            "sslmode=disable&channel_binding=require",
        ),
        (
            "nobody".to_owned(),
            "sslmode=require&channel_binding=require",
        ),
        (
            format!("md5:{IN_URL}"),
            "sslmode=require&channel_binding=require",
        ),
    ] {
        let why = refused(&who, "127.0.0.1", rest);
        assert!(
            why.contains("bound to the server's certificate, and there is none"),
            "{why}"
        );
    }
    assert!(
        open(
            &scram(),
            "127.0.0.1",
            "sslmode=require&channel_binding=disable"
        )
        .is_ok()
    );
}

#[test]
fn a_certificate_of_ours_is_shown_to_the_server() {
    let _turn = turn();
    let rest = "sslmode=verify-full&sslrootcert={root}&sslcert={cert}&sslkey={key}";
    assert!(is_encrypted(open("guest", "localhost", rest).unwrap()));
    let why = refused(
        "guest",
        "localhost",
        "sslmode=verify-full&sslrootcert={root}",
    );
    assert!(why.contains("requires a valid client certificate"), "{why}");
    let why = refused(
        "guest",
        "localhost",
        "sslmode=require&sslcert={cert}&sslkey={root}",
    );
    assert!(why.contains("root.pem cannot be read"), "{why}");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        for mode in ["require", "disable"] {
            scope.spawn(move || {
                let url = format!("postgres://nobody@127.0.0.1:{port}/postgres?sslmode={mode}");
                let opened = Postgres::open(Address::parse(&url).unwrap());
                let why = opened.unwrap_err().to_string();
                assert!(why.contains(&port.to_string()), "{why}");
            });
        }
    });
}

#[test]
fn much_is_sent_and_answered_at_the_same_time() {
    let _turn = turn();
    for mode in ["require", "disable"] {
        let mut opened = open("nobody", "127.0.0.1", &format!("sslmode={mode}")).unwrap();
        server::is_answered_while_sending(&mut opened);
    }
}

#[test]
fn a_session_that_ended_while_nobody_used_it_is_no_trouble() {
    let _turn = turn();
    let open = || open("nobody", "127.0.0.1", "sslmode=require").unwrap();
    server::is_opened_again(&mut open(), &mut open());
}

#[test]
fn a_server_that_is_full_says_so() {
    let _turn = turn();
    let mut owner = Postgres::open(guarded().server.fresh()).unwrap();
    owner
        .run_script(
            "CREATE ROLE guest_of_one LOGIN CONNECTION LIMIT 1; GRANT guest_of_one TO bursar",
        )
        .unwrap();
    let url = guarded().server.url("postgres", None);
    let address = Address::parse(&url.replace("bursar@", "guest_of_one@")).unwrap();
    let only = Postgres::open(address.clone()).unwrap();
    let why = Postgres::open(address.clone()).unwrap_err();
    assert!(matches!(why, StoreError::Unavailable(_)), "{why:?}");
    assert!(
        why.to_string().contains("too many connections for role"),
        "{why}"
    );
    drop(only);
}
