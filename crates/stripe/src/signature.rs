//! Webhook signatures: the proof that a delivery comes from Stripe, and the way to make one.
//!
//! A delivery carries `Stripe-Signature: t=UNIX,v1=HEX[,v1=HEX][,v0=HEX]`. `HEX` is the HMAC-SHA256 of
//! `UNIX`, a full stop and the raw body, keyed with the whole signing secret. While a secret is
//! being rolled, Stripe sends one `v1` for each live secret, and we accept several secrets; any
//! pair that fits is enough. `v0` proves nothing and is ignored.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// How many seconds a delivery's time may differ from ours, either way. Stripe's libraries use the
/// same number for the past; we bound the future too.
pub const TOLERANCE_SECONDS: i64 = 300;
/// The most `v1` items of one header. Stripe sends one for each live secret, so two at most.
pub const MAX_SIGNATURES: usize = 8;
/// The most signing secrets at a time.
pub const MAX_SECRETS: usize = 4;
/// The longest header, in bytes.
pub const MAX_HEADER_BYTES: usize = 4096;

/// What every signing secret begins with.
const PREFIX: &str = "whsec_";
/// Characters behind the prefix. Stripe's own secrets have 32 or more.
const MIN_SECRET_CHARS: usize = 16;
/// Longer than any secret of Stripe's.
const MAX_SECRET_BYTES: usize = 256;
/// Pieces of text that only a template would have in a secret.
const TEMPLATE_WORDS: [&str; 6] = [
    "your_",
    "change_me",
    "changeme",
    "placeholder",
    "example",
    "insert_",
];
/// A random secret of 16 characters has more different ones than this.
const MIN_DIFFERENT_CHARS: usize = 6;

/// A webhook signing secret. It is never printed.
///
/// The key schedule of the HMAC is done once, here, and not again for each delivery.
#[derive(Clone)]
pub struct Secret {
    keyed: Hmac<Sha256>,
}

impl Secret {
    /// Takes a signing secret as Stripe shows it, and refuses what can only be a mistake.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        if text.trim().is_empty() {
            return Err(SecretError::Empty);
        }
        if text.trim() != text {
            return Err(SecretError::Blank);
        }
        let Some(random) = text.strip_prefix(PREFIX) else {
            return Err(if is_template(text) {
                SecretError::Placeholder
            } else {
                SecretError::Prefix
            });
        };
        if is_template(random) {
            return Err(SecretError::Placeholder);
        }
        if random.len() < MIN_SECRET_CHARS {
            return Err(SecretError::Short);
        }
        let plain = random
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',');
        if !plain || text.len() > MAX_SECRET_BYTES {
            return Err(SecretError::Characters);
        }
        Ok(Self::keyed(text.as_bytes()))
    }

    fn keyed(key: &[u8]) -> Self {
        match Hmac::<Sha256>::new_from_slice(key) {
            Ok(keyed) => Self { keyed },
            // HMAC takes a key of any length; the error type belongs to other algorithms.
            Err(_) => unreachable!("HMAC refused a key of {} bytes", key.len()),
        }
    }

    fn digest(&self, time: &[u8], body: &[u8]) -> [u8; 32] {
        let mut hmac = self.keyed.clone();
        hmac.update(time);
        hmac.update(b".");
        hmac.update(body);
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(whsec_***)")
    }
}

/// Whether a text looks like the gap in a template rather than like something random.
fn is_template(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if TEMPLATE_WORDS.iter().any(|word| lower.contains(word)) || lower.contains("...") {
        return true;
    }
    let mut seen: Vec<char> = lower.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() < MIN_DIFFERENT_CHARS
}

/// Why a signing secret was refused. None of these carries the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing, or blanks only.
    #[error("the webhook signing secret is empty: {SECRET_ADVICE}")]
    Empty,
    /// Blanks or a line end around it, which Stripe's libraries take as part of the key.
    #[error("the webhook signing secret has blanks or a line end around it: remove them")]
    Blank,
    /// It does not begin with `whsec_`.
    #[error("the webhook signing secret does not begin with whsec_: {SECRET_ADVICE}")]
    Prefix,
    /// It is the gap of a template.
    #[error("the webhook signing secret is a placeholder: {SECRET_ADVICE}")]
    Placeholder,
    /// Fewer than 16 characters behind `whsec_`.
    #[error(
        "the webhook signing secret is too short, it was cut off or is not Stripe's: {SECRET_ADVICE}"
    )]
    Short,
    /// Characters that no secret has, or far too many of them.
    #[error("the webhook signing secret holds characters that no secret has: {SECRET_ADVICE}")]
    Characters,
    /// More than [`MAX_SECRETS`] secrets.
    #[error(
        "more than {MAX_SECRETS} webhook signing secrets: keep the new one and the one being replaced"
    )]
    TooMany,
}

const SECRET_ADVICE: &str = "set the signing secret that Stripe shows for the webhook endpoint (whsec_ and \
     at least 16 characters), several of them separated by commas";

impl SecretError {
    /// A stable code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "webhook_secret_empty",
            Self::Blank => "webhook_secret_blank",
            Self::Prefix => "webhook_secret_prefix",
            Self::Placeholder => "webhook_secret_placeholder",
            Self::Short => "webhook_secret_short",
            Self::Characters => "webhook_secret_characters",
            Self::TooMany => "webhook_secret_too_many",
        }
    }
}

/// Reads one or several secrets, separated by commas: the new one and the one being replaced.
///
/// Blanks after a comma are allowed, an empty place between commas is not. At most
/// [`MAX_SECRETS`].
pub fn parse_secrets(list: &str) -> Result<Vec<Secret>, SecretError> {
    let parts: Vec<&str> = list.split(',').collect();
    if parts.len() == 1 {
        return Ok(vec![Secret::new(list)?]);
    }
    if parts.len() > MAX_SECRETS {
        return Err(SecretError::TooMany);
    }
    parts
        .into_iter()
        .map(|part| Secret::new(part.trim()))
        .collect()
}

/// Why a delivery was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No secret to check against. Nothing may be believed then.
    #[error("no webhook signing secret is set")]
    NoSecret,
    /// The header is empty.
    #[error("the Stripe-Signature header is missing or empty")]
    Missing,
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error("the Stripe-Signature header is longer than {MAX_HEADER_BYTES} bytes")]
    TooLong,
    /// No `t`, two of them, or one that is not a plain number.
    #[error("the Stripe-Signature header does not have exactly one t= with a plain number")]
    Time,
    /// No `v1` item of 64 lower-case hexadecimal digits.
    #[error("the Stripe-Signature header has no v1= of 64 lower-case hexadecimal digits")]
    NoSignature,
    /// More than [`MAX_SIGNATURES`] `v1` items.
    #[error("the Stripe-Signature header has more than {MAX_SIGNATURES} v1= items")]
    TooMany,
    /// No signature fits any secret.
    #[error("no signature fits: the body was changed, or the signing secret is another one's")]
    Mismatch,
    /// Signed rightly, but too long ago.
    #[error("signed rightly, but too long ago: a replay, or this machine's clock is ahead")]
    TooOld,
    /// Signed rightly, but in the future.
    #[error("signed rightly, but in the future: this machine's clock is behind")]
    Future,
}

impl SignatureError {
    /// A stable code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoSecret => "webhook_secret_missing",
            Self::Missing => "signature_missing",
            Self::TooLong => "signature_header_too_long",
            Self::Time => "signature_time_invalid",
            Self::NoSignature => "signature_v1_missing",
            Self::TooMany => "signature_too_many",
            Self::Mismatch => "signature_mismatch",
            Self::TooOld => "signature_too_old",
            Self::Future => "signature_in_future",
        }
    }
}

/// What a header says: the time as sent, as a number, and the `v1` items that can be signatures.
struct Header<'a> {
    time: &'a [u8],
    unix: i64,
    candidates: [[u8; 32]; MAX_SIGNATURES],
    count: usize,
}

/// Checks the header alone. What fails here fails with any body.
pub fn check_form(header: &[u8]) -> Result<(), SignatureError> {
    read_header(header).map(|_| ())
}

/// Checks a delivery: `header` is the value of `Stripe-Signature`, `body` the bytes as received.
///
/// Every candidate is compared with every secret, in a time that does not depend on which of them
/// fits. Only then is the time looked at: [`SignatureError::TooOld`] and
/// [`SignatureError::Future`] mean that the signature itself was right. `tolerance_seconds` bounds
/// both directions and cannot be switched off: zero means this very second.
pub fn verify(
    header: &[u8],
    body: &[u8],
    secrets: &[Secret],
    now_unix: i64,
    tolerance_seconds: i64,
) -> Result<(), SignatureError> {
    if secrets.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let header = read_header(header)?;
    let mut fits = Choice::from(0);
    for secret in secrets {
        let digest = secret.digest(header.time, body);
        for candidate in &header.candidates[..header.count] {
            fits |= digest.ct_eq(candidate);
        }
    }
    if !bool::from(fits) {
        return Err(SignatureError::Mismatch);
    }
    let tolerance = u64::try_from(tolerance_seconds).unwrap_or(0);
    if header.unix.abs_diff(now_unix) <= tolerance {
        Ok(())
    } else if header.unix < now_unix {
        Err(SignatureError::TooOld)
    } else {
        Err(SignatureError::Future)
    }
}

fn read_header(header: &[u8]) -> Result<Header<'_>, SignatureError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(SignatureError::TooLong);
    }
    if header
        .iter()
        .all(|byte| matches!(byte, b' ' | b'\t' | b','))
    {
        return Err(SignatureError::Missing);
    }
    let mut time = None;
    let mut candidates = [[0; 32]; MAX_SIGNATURES];
    let mut count = 0;
    let mut sent = 0;
    for item in header.split(|byte| *byte == b',') {
        if let Some(text) = item.strip_prefix(b"t=") {
            // Stripe's libraries disagree on which of two times counts, so neither does.
            if time.replace(text).is_some() {
                return Err(SignatureError::Time);
            }
        } else if let Some(hex) = item.strip_prefix(b"v1=") {
            sent += 1;
            if sent > MAX_SIGNATURES {
                return Err(SignatureError::TooMany);
            }
            if let Some(candidate) = read_hex(hex) {
                candidates[count] = candidate;
                count += 1;
            }
        }
    }
    let time = time.ok_or(SignatureError::Time)?;
    let unix = read_time(time).ok_or(SignatureError::Time)?;
    if count == 0 {
        return Err(SignatureError::NoSignature);
    }
    Ok(Header {
        time,
        unix,
        candidates,
        count,
    })
}

/// A time as Stripe writes it: digits, no sign, no leading zero, within an i64.
fn read_time(text: &[u8]) -> Option<i64> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let leading_zero = text.len() > 1 && text.starts_with(b"0");
    if !plain || leading_zero {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Exactly 64 lower-case hexadecimal digits. Stripe's libraries compare text and so refuse upper
/// case as well.
fn read_hex(text: &[u8]) -> Option<[u8; 32]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}

/// The header value of a delivery signed at `unix` seconds with one secret.
pub fn sign(secret: &Secret, unix: i64, body: &[u8]) -> String {
    sign_all(std::slice::from_ref(secret), unix, body)
}

/// The header value of a delivery signed with several secrets, as while one is being rolled: one
/// `v1` for each, in their order.
pub fn sign_all(secrets: &[Secret], unix: i64, body: &[u8]) -> String {
    let time = unix.to_string();
    let mut header = format!("t={time}");
    for secret in secrets {
        header.push_str(",v1=");
        header.push_str(&hex::encode(secret.digest(time.as_bytes(), body)));
    }
    header
}

#[cfg(test)]
mod tests;
