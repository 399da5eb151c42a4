//! The file `credentials.json` of a development server, and its secrets that outlive a restart.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api_key::random_hex;

/// What a person or a test needs to try things.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credentials {
    pub(super) base_url: String,
    pub(super) admin_key: String,
    pub(super) user_id: String,
    pub(super) user_token: String,
    pub(super) guest: String,
    pub(super) stripe_api_base: String,
    pub(super) stripe_secret_key: String,
    pub(super) stripe_webhook_secret: String,
}

impl Credentials {
    /// The name of the file in the data folder.
    pub(super) const FILE: &str = "credentials.json";

    pub(super) fn read(data: &Path) -> anyhow::Result<Option<Self>> {
        read(&data.join(Self::FILE))
    }

    pub(super) fn write(&self, data: &Path) -> anyhow::Result<()> {
        write(&data.join(Self::FILE), self)
    }
}

/// What a development server keeps for itself, so that the same folder gives the same keys again.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Keepsake {
    /// The sandbox's API key.
    pub(super) stripe_secret_key: String,
    /// Signs the demo user's token.
    pub(super) jwt_secret: String,
    /// Until when the demo user's token holds, in seconds since 1970.
    pub(super) token_expires: i64,
    /// The port the sandbox had last.
    pub(super) sandbox_port: Option<u16>,
    /// The webhook endpoint registered at the sandbox, and its signing secret.
    pub(super) endpoint: Option<Endpoint>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) secret: String,
}

/// How long the demo user's token holds: ten years.
const TOKEN_SECONDS: i64 = 10 * 365 * 86_400;

impl Keepsake {
    const FILE: &str = "dev.json";

    /// The one of this folder, or a new one.
    pub(super) fn open(data: &Path, now_seconds: i64) -> anyhow::Result<Self> {
        if let Some(kept) = read(&data.join(Self::FILE))? {
            return Ok(kept);
        }
        let made = Self {
            stripe_secret_key: format!("sk_test_{}", random_hex()?),
            jwt_secret: random_hex()?,
            token_expires: now_seconds + TOKEN_SECONDS,
            sandbox_port: None,
            endpoint: None,
        };
        made.write(data)?;
        Ok(made)
    }

    pub(super) fn write(&self, data: &Path) -> anyhow::Result<()> {
        write(&data.join(Self::FILE), self)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => {
            // The error of the parser would quote what it found, and it may have found a secret.
            let value = serde_json::from_slice(&text).ok();
            let value = value.with_context(|| {
                format!(
                    "{} is damaged: delete it to have it made anew",
                    path.display()
                )
            })?;
            Ok(Some(value))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Writes a file for its owner only, all of it or nothing: readers never see half of it.
fn write(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    let beside = path.with_extension("json.new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file: File| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("{} cannot be written", path.display()))
}
