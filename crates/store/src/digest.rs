//! Digests: of idempotency keys, and of what a request asks.

use bursar_domain::command::{AnswerKey, RequestHash};
use sha2::{Digest as _, Sha256};

/// The digest of what a request asks, given in a canonical form.
pub fn request_hash(canonical: &[u8]) -> RequestHash {
    RequestHash(first_half(Sha256::digest(canonical).into()))
}

/// Names an idempotency key together with its scope. Two keys with one fingerprint would take some 2^64 tries to find, and whoever
/// found them could only confuse himself: the principal is part of it.
pub(crate) fn fingerprint(key: &AnswerKey) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for text in [&key.principal, &key.route, &key.key] {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    first_half(hasher.finalize().into())
}

/// What an index of keys is sorted by.
pub(crate) fn index_key(fingerprint: &[u8; 16]) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|place| fingerprint[place]))
}

fn first_half(digest: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}
