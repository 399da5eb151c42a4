//! The benchmark's own book: what every wallet was given and what it has spent, as far as the server has acknowledged it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What each wallet is given: more than any run can spend.
pub(super) const GRANTED: i64 = 1_000_000_000;

/// Wallets, keys that were never used, and what was acknowledged. All of it is shared by the connections of one server.
#[derive(Debug)]
pub(super) struct Book {
    /// Random, so that the keys of two runs differ.
    seed: [u64; 2],
    keys: AtomicU64,
    draws: AtomicU64,
    charges: AtomicU64,
    wallets: Vec<Wallet>,
}

#[derive(Debug, Default)]
struct Wallet {
    granted: AtomicI64,
    spent: AtomicI64,
}

impl Book {
    pub(super) fn new(wallets: usize) -> anyhow::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        let bits = u128::from_ne_bytes(bytes);
        Ok(Self::seeded(
            wallets,
            [low_half(bits), low_half(bits >> 64)],
        ))
    }

    fn seeded(wallets: usize, seed: [u64; 2]) -> Self {
        Self {
            seed,
            keys: AtomicU64::new(0),
            draws: AtomicU64::new(0),
            charges: AtomicU64::new(0),
            wallets: (0..wallets).map(|_| Wallet::default()).collect(),
        }
    }

    /// An idempotency key that was not given out before, as random as those of a product: an index of them grows everywhere,
    /// and not at its end. Both halves are a counter that was scattered; each alone is unique.
    pub(super) fn key(&self) -> u128 {
        let number = self.keys.fetch_add(1, Ordering::Relaxed);
        let [high, low] = self.seed.map(|seed| scattered(number ^ seed));
        (u128::from(high) << 64) | u128::from(low)
    }

    /// A wallet, each as likely as any other.
    pub(super) fn draw(&self) -> usize {
        let drawn = scattered(self.draws.fetch_add(1, Ordering::Relaxed) ^ self.seed[1]);
        // The high half of the product is below the number of wallets, and needs no division.
        let place = (u128::from(drawn) * self.wallets.len() as u128) >> 64;
        usize::try_from(place).unwrap_or(0)
    }

    /// Notes what a wallet was given.
    pub(super) fn grant(&self, wallet: usize, credits: i64) {
        self.wallets[wallet]
            .granted
            .fetch_add(credits, Ordering::Relaxed);
    }

    /// Notes a charge.
    pub(super) fn charge(&self, wallet: usize, credits: i64) {
        self.charges.fetch_add(1, Ordering::Relaxed);
        self.wallets[wallet]
            .spent
            .fetch_add(credits, Ordering::Relaxed);
    }

    /// Charges so far.
    pub(super) fn charges(&self) -> u64 {
        self.charges.load(Ordering::Relaxed)
    }

    /// How many wallets there are.
    pub(super) const fn wallets(&self) -> usize {
        self.wallets.len()
    }

    /// What a wallet was given, and what it has spent.
    pub(super) fn of(&self, wallet: usize) -> (i64, i64) {
        let Wallet { granted, spent } = &self.wallets[wallet];
        (
            granted.load(Ordering::Relaxed),
            spent.load(Ordering::Relaxed),
        )
    }
}

/// The user this wallet belongs to.
pub(super) fn user(wallet: usize) -> String {
    format!("u{wallet:05}")
}

/// Steele, Lea and Flood's mixer (SplitMix64). Every step can be undone, so two numbers give two results.
const fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn low_half(bits: u128) -> u64 {
    u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_is_given_out_twice_in_a_run_or_in_two() {
        let books = [Book::new(1).unwrap(), Book::new(1).unwrap()];
        let keys: HashSet<u128> = (0..200_000)
            .map(|number: usize| books[number % 2].key())
            .collect();
        assert_eq!(keys.len(), 200_000);
        assert_eq!(format!("{:032x}", books[0].key()).len(), 32);
    }

    #[test]
    fn half_of_a_key_is_enough_to_tell_it_from_the_others() {
        let book = Book::seeded(1, [7, 9]);
        let halves: HashSet<u128> = (0..100_000).map(|_| book.key() >> 64).collect();
        assert_eq!(halves.len(), 100_000);
    }

    #[test]
    fn wallets_are_drawn_evenly() {
        let book = Book::seeded(10, [7, 9]);
        let mut drawn = [0; 10];
        for _ in 0..10_000 {
            drawn[book.draw()] += 1;
        }
        assert!(
            drawn.iter().all(|times| (850..1_150).contains(times)),
            "{drawn:?}"
        );
    }

    #[test]
    fn every_wallet_has_an_account_of_its_own() {
        let book = Book::seeded(2, [7, 9]);
        book.grant(1, 100);
        book.charge(1, 3);
        book.charge(0, 1);
        assert_eq!([book.of(0), book.of(1)], [(0, 1), (100, 3)]);
        assert_eq!(book.charges(), 2);
        assert_eq!(user(42), "u00042");
    }
}
