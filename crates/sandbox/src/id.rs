//! Ids and secrets in the form Stripe gives them.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes ids. The same seed makes the same ids, so that a transcript of a test never changes.
#[derive(Debug)]
pub struct Ids {
    seed: [u8; 32],
    made: u64,
    /// Ids of requests are a sequence of their own: reading does not change what is made next.
    requests: u64,
}

impl Ids {
    /// Ids that nobody can foresee.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self {
            seed,
            made: 0,
            requests: 0,
        })
    }

    /// Ids that follow from `seed` alone; `made` of them are skipped, so that a world that was saved and opened
    /// again does not hand out an id twice.
    pub fn seeded(seed: u64, made: u64) -> Self {
        Self {
            seed: Sha256::digest(seed.to_be_bytes()).into(),
            made: made.saturating_mul(64),
            requests: made.saturating_mul(64),
        }
    }

    /// An id such as `pi_3Q2p…`: the prefix, an underscore and 24 letters and digits.
    pub fn next(&mut self, prefix: &str) -> String {
        format!("{prefix}_{}", self.text(24))
    }

    /// The id of a request, as in the header `Request-Id`.
    pub fn request(&mut self) -> String {
        let block = Sha256::new()
            .chain_update(b"request")
            .chain_update(self.seed)
            .chain_update(self.requests.to_be_bytes());
        self.requests = self.requests.wrapping_add(1);
        let letters = block.finalize();
        let letters = letters.iter().take(24);
        let text: String = letters
            .map(|byte| char::from(ALPHABET[usize::from(byte % 62)]))
            .collect();
        format!("req_{text}")
    }

    /// The id of a checkout session in test mode, which is longer than others.
    pub fn session(&mut self) -> String {
        format!("cs_test_{}", self.text(58))
    }

    /// `length` letters and digits.
    pub fn text(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let block = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.made.to_be_bytes());
            self.made = self.made.wrapping_add(1);
            // Bytes from 248 on are left out, so that every letter is as likely as the others.
            let letters = block.finalize();
            let letters = letters.iter().filter(|byte| **byte < 248);
            text.extend(letters.map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
        }
        text.truncate(length);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_one_sequence_of_different_ids() {
        let (mut a, mut b) = (Ids::seeded(7, 0), Ids::seeded(7, 0));
        let first = a.next("pi");
        assert_eq!(first, b.next("pi"));
        assert_eq!(first.len(), 27);
        assert_ne!(first, a.next("pi"));
        assert!(a.session().starts_with("cs_test_"));
        assert_ne!(Ids::seeded(8, 0).next("pi"), first);
        assert_ne!(Ids::seeded(7, 1).next("pi"), first);
        let mut busy = Ids::seeded(7, 0);
        let (one, two) = (busy.request(), busy.request());
        assert!(one != two && one.starts_with("req_") && one.len() == 28);
        assert_eq!(busy.next("pi"), first);
    }
}
