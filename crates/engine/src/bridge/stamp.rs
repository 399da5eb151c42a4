//! Stamps: our own row of a payment, carried by Stripe in the metadata of what we open there.
//!
//! Metadata is no proof of anything: whoever has a key of the Stripe account can write it. So what it says is stamped with a key
//! that only this database has. With a valid stamp it is what we wrote ourselves, and a payment that was lost with an old copy of
//! the database can be made again from it. See `docs/adr/0015`.

use std::fmt::Write as _;

use bursar_domain::amount::Amount;
use bursar_domain::id::PaymentId;
use bursar_domain::mark::StampKey;
use bursar_domain::payment::{Flow, Payment};
use bursar_domain::time::Time;
use bursar_domain::topup::Topup;
use bursar_stripe::object::Metadata;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::outbound::PAYMENT_ID;

/// The first key of the text; more of it is under the same name with `_2`, `_3` and so on behind it.
const WISH: &str = "bursar_wish";
/// The key of the stamp: which key made it, a dot, and the code.
const STAMP: &str = "bursar_stamp";
/// The longest value Stripe takes, in characters. What we write is ASCII wherever ids and numbers are.
const PIECE_MAX: usize = 500;
/// So many pieces are read at most.
const PIECES_MAX: usize = 20;

/// Everything that is needed to make a payment again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The number the payment had.
    pub number: i64,
    /// Its id.
    pub payment: PaymentId,
    /// How the customer pays.
    pub flow: Flow,
    /// What was to be paid.
    pub amount: Amount,
    /// Whether it is real money.
    pub livemode: bool,
    /// When it was made.
    pub made: Time,
    /// Its top-up, as it was made.
    pub topup: Topup,
}

impl Wish {
    /// What is to be carried for a payment. The same each time: it is part of a request that is sent again under one key.
    pub fn of(payment: &Payment, topup: &Topup) -> Self {
        Self {
            number: payment.number,
            payment: payment.id.clone(),
            flow: payment.flow,
            amount: payment.amount,
            livemode: payment.livemode,
            made: payment.created_at,
            topup: topup.as_made(),
        }
    }
}

/// What metadata say about a payment of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// Nothing: it is somebody else's.
    Nothing,
    /// It was stamped with another key: it belongs to another Bursar on the same Stripe account.
    Foreign,
    /// It names a payment without a stamp, or with one that does not fit what it says.
    Unproven(String),
    /// Our own row.
    Ours(Box<Wish>),
}

fn code(key: &StampKey, text: &[u8]) -> Option<Hmac<Sha256>> {
    let mut code = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
    code.update(text);
    Some(code)
}

/// Tells keys apart, and says nothing about them.
fn name_of(key: &StampKey) -> String {
    let code = code(key, b"name of the key").map(|code| code.finalize().into_bytes());
    hex(code.as_ref().map_or(&[][..], |code| &code[..4]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn piece_name(place: usize) -> String {
    if place == 0 {
        WISH.to_owned()
    } else {
        format!("{WISH}_{}", place + 1)
    }
}

/// The metadata that carry a wish; none if it cannot be written, which never happens.
pub(crate) fn write(key: &StampKey, wish: &Wish) -> Metadata {
    let mut metadata = Metadata::default();
    let Ok(text) = serde_json::to_string(wish) else {
        return metadata;
    };
    let Some(code) = code(key, text.as_bytes()) else {
        return metadata;
    };
    let stamp = format!("{}.{}", name_of(key), hex(&code.finalize().into_bytes()));
    metadata.0.insert(STAMP.to_owned(), stamp);
    let characters: Vec<char> = text.chars().collect();
    for (place, piece) in characters.chunks(PIECE_MAX).enumerate() {
        metadata.0.insert(piece_name(place), piece.iter().collect());
    }
    metadata
}

/// Reads what metadata carry.
pub fn read<'a>(key: &StampKey, get: impl Fn(&str) -> Option<&'a str>) -> Carried {
    let named = get(PAYMENT_ID);
    let (Some(stamp), Some(_)) = (get(STAMP), get(WISH)) else {
        let unproven = |id: &str| Carried::Unproven(id.to_owned());
        let is_ours = |id: &&str| PaymentId::parse(id).is_some();
        return named.filter(is_ours).map_or(Carried::Nothing, unproven);
    };
    let unproven = || Carried::Unproven(named.unwrap_or_default().to_owned());
    let Some((name, said)) = stamp.split_once('.') else {
        return unproven();
    };
    if name != name_of(key) {
        return Carried::Foreign;
    }
    let pieces = (0..PIECES_MAX).map_while(|place| get(&piece_name(place)));
    let text: String = pieces.collect();
    let fits = code(key, text.as_bytes())
        .zip(bytes(said))
        .is_some_and(|(code, said)| code.verify_slice(&said).is_ok());
    let wish = serde_json::from_str::<Wish>(&text).ok();
    match wish.filter(|_| fits) {
        Some(wish) => Carried::Ours(Box::new(wish)),
        None => unproven(),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let byte = |place: usize| u8::from_str_radix(text.get(place..place + 2)?, 16).ok();
    (0..64).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use bursar_domain::amount::Unit;
    use bursar_domain::id::{IdSource, TopupId, UserId};
    use bursar_domain::journal::Remark;
    use bursar_domain::topup::TopupStatus;

    use super::*;

    struct Zeroes;

    impl IdSource for Zeroes {
        fn random80(&mut self) -> u128 {
            0
        }
    }

    fn wish(user: &str) -> Wish {
        let price = Amount::new(500, Unit::currency("usd").unwrap());
        let remark = Remark {
            note: "private".to_owned(),
            ..Remark::default()
        };
        let topup = Topup {
            id: TopupId::new(&mut Zeroes, Time(0)),
            user: UserId::parse(user).unwrap(),
            credits: 500,
            bonus: 0,
            package: None,
            coupon: None,
            discount: 0,
            price,
            status: TopupStatus::Paid,
            payment: None,
            remark,
            created_at: Time(1),
            updated_at: Time(2),
            paid_at: Some(Time(2)),
        };
        Wish {
            number: 7,
            payment: PaymentId::new(&mut Zeroes, Time(0)),
            flow: Flow::Checkout,
            amount: price,
            livemode: false,
            made: Time(1),
            topup: topup.as_made(),
        }
    }

    fn carried(key: &StampKey, metadata: &Metadata) -> Carried {
        read(key, |name| metadata.get(name))
    }

    #[test]
    fn what_was_stamped_is_read_again_however_long_it_is() {
        let key = StampKey::new([3; 32]);
        for user in ["anna".to_owned(), "u".repeat(128)] {
            let mut wish = wish(&user);
            // A top-up may hold more one day.
            wish.topup.remark.note = "ä".repeat(700);
            let metadata = write(&key, &wish);
            let longest = metadata.0.values().map(|value| value.chars().count()).max();
            assert!(
                longest <= Some(PIECE_MAX) && metadata.0.len() > 3,
                "{metadata:?}"
            );
            assert_eq!(carried(&key, &metadata), Carried::Ours(Box::new(wish)));
        }
    }

    #[test]
    fn what_anybody_has_said_is_not_carried() {
        let metadata = write(&StampKey::new([3; 32]), &wish("anna"));
        assert!(!format!("{metadata:?}").contains("private"));
    }

    #[test]
    fn nothing_that_was_changed_counts() {
        let key = StampKey::new([3; 32]);
        let good = write(&key, &wish("anna"));
        let change = |name: &str, edit: &dyn Fn(&str) -> String| {
            let mut metadata = good.clone();
            let value = edit(metadata.get(name).unwrap());
            metadata.0.insert(name.to_owned(), value);
            carried(&key, &metadata)
        };
        let unproven = Carried::Unproven(String::new());
        let credits = |text: &str| text.replace("\"credits\":500", "\"credits\":501");
        assert_eq!(change(WISH, &credits), unproven);
        assert_eq!(change(WISH, &|text| text.replace("anna", "anne")), unproven);
        assert_eq!(change(STAMP, &|text| text.replace('.', ".0")), unproven);
        assert_eq!(change(STAMP, &|text| text.replace('.', "")), unproven);
        assert_eq!(
            change(STAMP, &|text| format!("{}.{}", &text[..8], "0".repeat(64))),
            unproven
        );
        let mut longer = good.clone();
        longer.0.insert("bursar_wish_2".to_owned(), " ".to_owned());
        assert_eq!(carried(&key, &longer), unproven);
    }

    #[test]
    fn another_key_is_another_bursar_and_no_stamp_proves_nothing() {
        let good = write(&StampKey::new([3; 32]), &wish("anna"));
        let other = StampKey::new([4; 32]);
        assert_eq!(carried(&other, &good), Carried::Foreign);
        let id = wish("anna").payment.to_string();
        let hint = Metadata([(PAYMENT_ID.to_owned(), id.clone())].into());
        assert_eq!(carried(&other, &hint), Carried::Unproven(id));
        assert_eq!(carried(&other, &Metadata::default()), Carried::Nothing);
        let odd = Metadata([(PAYMENT_ID.to_owned(), "7".to_owned())].into());
        assert_eq!(carried(&other, &odd), Carried::Nothing);
    }
}
