//! Typed ids: a prefix that tells the kind, and 26 characters that sort by time of creation.
//!
//! The 26 characters write 128 bits in Crockford's base 32, lower case: 48 bits of milliseconds, 80 random bits. Both
//! come from outside ([`IdSource`]), so that a test or a simulation repeats them. No prefix looks like one of Stripe's.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Time;

/// Where the random part of new ids comes from.
pub trait IdSource {
    /// 80 fresh random bits, in the low bits of the number.
    fn random80(&mut self) -> u128;

    /// 128 bits for a new id made at `now`: sorts by time.
    fn bits(&mut self, now: Time) -> u128 {
        let milliseconds = u128::try_from(now.milliseconds()).unwrap_or(0) & ((1 << 48) - 1);
        (milliseconds << 80) | (self.random80() & ((1 << 80) - 1))
    }
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;

fn write_base32(prefix: &str, mut bits: u128) -> String {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(bits & 31).unwrap_or(0)];
        bits >>= 5;
    }
    let mut text = String::with_capacity(prefix.len() + DIGITS);
    text.push_str(prefix);
    text.extend(digits.iter().map(|digit| char::from(*digit)));
    text
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, made at `now`.
            pub fn new(ids: &mut dyn IdSource, now: Time) -> Self {
                Self(write_base32(Self::PREFIX, ids.bits(now)))
            }

            /// The id, if `text` has the form of one. Whether it exists is another question.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.strip_prefix(Self::PREFIX)?;
                (digits.len() == DIGITS && digits.bytes().all(|byte| ALPHABET.contains(&byte)))
                    .then(|| Self(text.to_owned()))
            }

            /// As written on the wire and in the database.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// Names a [`Topup`](crate::topup::Topup).
    TopupId = "top_";
    /// Names a [`Payment`](crate::payment::Payment). Also Stripe's idempotency key for opening its checkout session.
    PaymentId = "pay_";
    /// Names a [`Refund`](crate::refund::Refund). Also Stripe's idempotency key for asking for it.
    RefundId = "rfd_";
    /// Names a [`RedeemCode`](crate::code::RedeemCode); not the secret itself.
    CodeId = "cod_";
    /// Names an [`ApiKey`](crate::api_key::ApiKey); not the secret itself.
    ApiKeyId = "key_";
}

impl CodeId {
    /// The id of the code with this SHA-256, which is hexadecimal; none if it is no such digest.
    pub fn of_hash(hash: &str) -> Option<Self> {
        let is_digest = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u128::from_str_radix(hash.get(..32)?, 16).ok()?;
        is_digest.then(|| Self(write_base32(Self::PREFIX, bits)))
    }
}

/// A short text of random bits, for people: the last `length` of 26 characters.
pub(crate) fn short_code(bits: u128, length: usize) -> String {
    let text = write_base32("", bits);
    text[DIGITS.saturating_sub(length)..].to_owned()
}

/// Ids of rows that are numbered anyway: the number, scattered over 60 bits and written with 12 characters. Such an id needs no
/// index and no column, and does not show at a glance how many there are. It is no secret: whoever has the program can
/// compute the number.
mod numbered {
    use super::ALPHABET;

    const BITS: u32 = 60;
    const MASK: u64 = (1 << BITS) - 1;
    pub(super) const DIGITS: usize = 12;
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014), cut down to 60 bits: every step can be undone.
    const MULTIPLIERS: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

    /// The inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the bits that are right.
    const fn inverse(odd: u64) -> u64 {
        let mut inverse = odd;
        let mut step = 0;
        while step < 5 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
            step += 1;
        }
        inverse
    }

    const fn scatter(number: u64) -> u64 {
        let mut x = number & MASK;
        x ^= x >> 30;
        x = x.wrapping_mul(MULTIPLIERS[0]) & MASK;
        x ^= x >> 30;
        x = x.wrapping_mul(MULTIPLIERS[1]) & MASK;
        x ^ (x >> 30)
    }

    const fn gather(scattered: u64) -> u64 {
        // With a shift of half the width, the shift undoes itself.
        let mut x = scattered ^ (scattered >> 30);
        x = x.wrapping_mul(inverse(MULTIPLIERS[1])) & MASK;
        x ^= x >> 30;
        x = x.wrapping_mul(inverse(MULTIPLIERS[0])) & MASK;
        x ^ (x >> 30)
    }

    pub(super) fn write(number: i64, salt: u64) -> [u8; DIGITS] {
        let mut bits = scatter(number.cast_unsigned() ^ salt);
        let mut digits = [b'0'; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[usize::try_from(bits & 31).unwrap_or(0)];
            bits >>= 5;
        }
        digits
    }

    pub(super) fn read(text: &str, salt: u64) -> Option<i64> {
        if text.len() != DIGITS {
            return None;
        }
        let mut bits = 0;
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|known| *known == byte)?;
            bits = bits << 5 | u64::try_from(digit).ok()?;
        }
        i64::try_from(gather(bits) ^ salt)
            .ok()
            .filter(|number| *number > 0)
    }
}

macro_rules! numbered_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $salt:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id of the row with this number, which is positive.
            pub const fn of(number: i64) -> Self {
                Self(number)
            }

            /// The id, if `text` has the form of one. Whether it exists is another question.
            pub fn parse(text: &str) -> Option<Self> {
                numbered::read(text.strip_prefix(Self::PREFIX)?, $salt).map(Self)
            }

            /// The number of the row.
            pub const fn number(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                let digits = numbered::write(self.0, $salt);
                digits.iter().try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
            }
        }
    )*};
}

// The salts are arbitrary: rows of one number and different kinds shall not look alike.
numbered_ids! {
    /// Names a [`Transaction`](crate::journal::Transaction) of the journal; a charge is named by its transaction.
    TransactionId = "ltx_", 0x0a5c_31d2_77e1_094b;
    /// Names a [`Grant`](crate::grant::Grant).
    GrantId = "grt_", 0x0b17_90ce_5a3f_d286;
    /// Names a [`Hold`](crate::hold::Hold).
    HoldId = "hld_", 0x0c83_6ef4_12b9_a75d;
    /// Names a [`SpendingLimit`](crate::limit::SpendingLimit).
    LimitId = "lim_", 0x0de9_2b40_f86c_1375;
}

/// A customer of the product, under the product's own id (`sub` of its tokens). Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The longest accepted id, in characters.
    pub const LENGTH_MAX: usize = 128;

    /// The id, if it has 1 to 128 characters out of `A-Z a-z 0-9 . _ : @ | + = / -`.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@|+=/-".contains(&byte);
        ((1..=Self::LENGTH_MAX).contains(&text.len()) && text.bytes().all(allowed))
            .then(|| Self(text.into()))
    }

    /// As the product writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, shared.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.into()))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{GrantId, IdSource, TopupId, TransactionId, UserId};
    use crate::time::Time;

    struct Counter(u128);
    impl IdSource for Counter {
        fn random80(&mut self) -> u128 {
            self.0 += 1;
            self.0
        }
    }

    #[test]
    fn sort_by_time_and_read_back() {
        let mut ids = Counter(1 << 79);
        let early = TopupId::new(&mut ids, Time(1_700_000_000_000_000));
        ids.0 = 0;
        let late = TopupId::new(&mut ids, Time(1_700_000_000_001_000));
        assert!(early < late, "{early} {late}");
        assert_eq!(TopupId::parse(early.as_str()), Some(early));
    }

    #[test]
    fn refuse_what_has_not_their_form() {
        let good = TopupId::new(&mut Counter(0), Time(0));
        let wrong = [
            "",
            "top_",
            &good.as_str()[1..],
            &good.as_str().replace("top_", "pay_"),
            &format!("{good}0"),
            &good.as_str().replace('1', "u"),
            &good.as_str().replace('1', "I"),
        ];
        for text in wrong {
            assert_eq!(TopupId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn users_keep_the_products_own_id() {
        assert!(UserId::parse("auth0|5f7c8ec7c33c6c004bbafe82").is_some());
        assert!(UserId::parse("a".repeat(128).as_str()).is_some());
        for text in ["", "a b", "a\n", "ü", "<script>", "a".repeat(129).as_str()] {
            assert!(UserId::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbered_ids_read_back_and_belong_to_their_kind(number in 1_i64..1 << 59) {
            let id = TransactionId::of(number);
            prop_assert_eq!(TransactionId::parse(&id.to_string()), Some(id));
            prop_assert_eq!(id.to_string().len(), 16);
            let renamed = id.to_string().replace("ltx_", "grt_");
            prop_assert_ne!(GrantId::parse(&renamed), Some(GrantId::of(number)));
        }
    }

    #[test]
    fn neighbours_do_not_look_alike() {
        let [one, two] = [1, 2].map(|number| TransactionId::of(number).to_string());
        let same = one.bytes().zip(two.bytes()).skip(4).filter(|(a, b)| a == b);
        assert!(same.count() < 6, "{one} {two}");
        for text in ["ltx_", "ltx_0", "ltx_uuuuuuuuuuuu", "ltx_0000000000000"] {
            assert_eq!(TransactionId::parse(text), None, "{text}");
        }
    }
}
