//! J: what gets out: secrets, files, and what the program is made of. The log at its most talkative is looked at after every case of
//! every group.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::program::command;
use crate::world::{World, settings};

pub(crate) fn attack(world: &World) {
    for path in [
        "/metrics",
        "/debug",
        "/debug/pprof/",
        "/health",
        "/healthz",
        "/status",
        "/server-status",
        "/actuator",
        "/.env",
        "/.git/config",
        "/config",
        "/bursar.toml",
        "/bursar.db",
        "/admin",
        "/api",
        "/swagger.json",
        "/favicon.ico",
    ] {
        assert_eq!(world.get(&world.admin, path).status, 404, "J02 {path}");
    }
    for path in ["/livez", "/readyz"] {
        let answer = world.ask(("GET", path), &[], b"");
        assert!(
            answer.status == 200 && answer.text.len() < 300,
            "J02 {path}: {}",
            answer.text
        );
        for detail in ["sqlite", "postgres", env!("CARGO_PKG_VERSION"), "127.0.0.1"] {
            assert!(
                !answer.text.to_lowercase().contains(detail),
                "J10 {path}: {}",
                answer.text
            );
        }
    }
    keys(world);
    config(world);
    files(world);
}

/// A key is shown once, a code too, and neither ever again.
fn keys(world: &World) {
    let made = world
        .post(
            &world.admin,
            "/v1/keys/create",
            &json!({"role": "user", "user_id": "anna", "label": "x"}),
        )
        .ok();
    let key = made["api_key"].as_str().unwrap();
    let secret = key.trim_start_matches("bursar_user_");
    let listed = world.get(&world.admin, "/v1/keys");
    assert!(!listed.text.contains(secret), "J01: {}", listed.text);
    let answer = world.get(key, "/v1/keys");
    assert!(!answer.text.contains(secret), "J01: {}", answer.text);
    let codes = world
        .post(
            &world.admin,
            "/v1/balance/codes/create",
            &json!({"credits": 5, "unit": "credit"}),
        )
        .ok();
    let code = codes["items"][0]["code"].as_str().unwrap();
    let listed = world.get(&world.admin, "/v1/balance/codes");
    assert!(!listed.text.contains(code), "J01: {}", listed.text);
    let used = world.post(
        &world.token("anna"),
        "/v1/balance/codes/redeem",
        &json!({"code": code}),
    );
    assert!(!used.text.contains(code), "J01: {}", used.text);
    for line in world.bursar.drain() {
        assert!(
            !line.contains(secret) && !line.contains(code),
            "J01 in the log: {line}"
        );
    }
    // None of it is on the disk in clear, nor is anything of what signs and opens.
    for path in everything(&world.folder.path().join("data")) {
        let bytes = fs::read(&path).unwrap();
        for word in [secret, code, "Canary"] {
            let found = bytes
                .windows(word.len())
                .any(|window| window == word.as_bytes());
            assert!(!found, "J01 {word} is in {}", path.display());
        }
    }
}

/// J01, J04: what is configured is shown without its secrets.
fn config(world: &World) {
    let all = settings(&[
        ("STRIPE_SECRET_KEY", "sk_test_Canary5xYzAbCdEfGhIjKl"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_Canary6MnOpQrStUvWxYz"),
        ("BURSAR_JWT_HS256_SECRET", "Canary7-0123456789abcdefghij"),
        ("DATABASE_URL", "postgres://bursar:Canary8@localhost/x"),
        ("BURSAR_BASE_URL", "https://pay.example.com"),
    ]);
    for arguments in [&["config"][..], &["doctor", "--offline"]] {
        let output = command(arguments, &all, world.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("Canary"), "J04 {arguments:?}: {said}");
        assert!(!said.contains("panicked"), "J04 {arguments:?}: {said}");
    }
}

/// J05: nobody else can read what is kept, whatever the mask.
#[cfg(unix)]
fn files(world: &World) {
    use std::os::unix::fs::PermissionsExt as _;
    let data = world.folder.path().join("masked");
    let bursar = env!("CARGO_BIN_EXE_bursar");
    let script = format!(
        "umask 000; exec '{bursar}' key create --admin --data '{}'",
        data.display()
    );
    let done = std::process::Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let bits = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(bits(&data), 0o700, "J05 the folder");
    for path in everything(&data) {
        assert_eq!(bits(&path) & 0o077, 0, "J05 {}", path.display());
    }
}

#[cfg(not(unix))]
fn files(_: &World) {}

fn everything(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}
