//! The card form of the hosted page: what a person typed, and what is wrong with it.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::pay::CardEntry;

/// The fields as the browser sends them. The number and the code live as long as this value, are never shown
/// again and never printed.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CardForm {
    pub(crate) email: String,
    pub(crate) card_number: String,
    pub(crate) card_expiry: String,
    pub(crate) card_cvc: String,
}

impl fmt::Debug for CardForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardForm(***)")
    }
}

/// What to tell the customer next to each field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mistakes {
    pub(crate) email: Option<&'static str>,
    pub(crate) number: Option<&'static str>,
    pub(crate) expiry: Option<&'static str>,
    pub(crate) cvc: Option<&'static str>,
}

impl CardForm {
    /// The card, if it can be one at the moment `now` (seconds since 1970). Which card it is, and whether it is
    /// good for anything, is for the world to say.
    pub(crate) fn read(&self, now: i64) -> Result<CardEntry, Mistakes> {
        let number: String = self
            .card_number
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .collect();
        let expiry = expiry(&self.card_expiry, now);
        let mistakes = Mistakes {
            email: email_mistake(self.email.trim()),
            number: number_mistake(&number),
            expiry: expiry.err(),
            cvc: cvc_mistake(self.card_cvc.trim(), &number),
        };
        let (Ok((exp_month, exp_year)), true) = (expiry, mistakes == Mistakes::default()) else {
            return Err(mistakes);
        };
        let email = Some(self.email.trim().to_owned()).filter(|email| !email.is_empty());
        let cvc = Some(self.card_cvc.trim().to_owned());
        Ok(CardEntry {
            number,
            exp_month,
            exp_year,
            cvc,
            email,
        })
    }
}

/// An address is not needed here, but a wrong one would be kept as the customer's.
fn email_mistake(email: &str) -> Option<&'static str> {
    let plausible = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !email.contains(char::is_whitespace)
    });
    (!email.is_empty() && !plausible).then_some("This is not an email address.")
}

fn number_mistake(number: &str) -> Option<&'static str> {
    if number.is_empty() {
        return Some("Enter a card number, or choose a test card below.");
    }
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("A card number has digits only.");
    }
    if number.len() < 13 {
        return Some("Your card number is incomplete.");
    }
    (number.len() > 19 || !passes_luhn(number)).then_some("Your card number is invalid.")
}

/// The check digit of ISO/IEC 7812-1: from the right every second digit is doubled, the digits of the products are
/// added up, and the sum ends in 0.
fn passes_luhn(number: &str) -> bool {
    let digits = number.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) => doubled / 10 + doubled % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Month and four-digit year of `MM/YY`, `MM / YY`, `MMYY` or `MM/YYYY`. A card is good to the end of its month.
fn expiry(text: &str, now: i64) -> Result<(i64, i64), &'static str> {
    const INCOMPLETE: &str = "Enter the expiry date as MM/YY.";
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (month, year) = text
        .split_once('/')
        .or_else(|| text.split_at_checked(2))
        .ok_or(INCOMPLETE)?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(month) || !digits(year) || !matches!(year.len(), 2 | 4) {
        return Err(INCOMPLETE);
    }
    let month: i64 = month.parse().map_err(|_| INCOMPLETE)?;
    let year: i64 = year.parse().map_err(|_| INCOMPLETE)?;
    if !(1..=12).contains(&month) {
        return Err("The month has to be between 01 and 12.");
    }
    let year = if year < 100 { year + 2000 } else { year };
    let today = Timestamp::from_second(now)
        .unwrap_or_default()
        .to_zoned(TimeZone::UTC);
    let (this_year, this_month) = (i64::from(today.year()), i64::from(today.month()));
    if (year, month) < (this_year, this_month) {
        return Err("Your card's expiration date is in the past.");
    }
    if year > this_year + 50 {
        return Err("Your card's expiration year is invalid.");
    }
    Ok((month, year))
}

/// Four digits on an American Express card, three on all others.
fn cvc_mistake(cvc: &str, number: &str) -> Option<&'static str> {
    let amex = number.starts_with("34") || number.starts_with("37");
    let length = if amex { 4 } else { 3 };
    if !cvc.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("A security code has digits only.");
    }
    if cvc.len() < length {
        return Some("Your card's security code is incomplete.");
    }
    (cvc.len() > length).then_some("Your card's security code is too long.")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T00:00:00Z.
    const NOW: i64 = 1_795_219_200;

    fn form(number: &str, expiry: &str, cvc: &str) -> CardForm {
        CardForm {
            email: "you@example.com".into(),
            card_number: number.into(),
            card_expiry: expiry.into(),
            card_cvc: cvc.into(),
        }
    }

    fn mistakes(number: &str, expiry: &str, cvc: &str) -> Mistakes {
        form(number, expiry, cvc)
            .read(NOW)
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn a_card_is_read_however_it_is_spaced() {
        for expiry in ["12/30", "12 / 30", "1230", "12/2030"] {
            let card = form("4242 4242-4242 4242", expiry, " 123 ")
                .read(NOW)
                .ok()
                .unwrap();
            assert_eq!(card.number, "4242424242424242");
            assert_eq!((card.exp_month, card.exp_year), (12, 2030));
            assert_eq!(card.cvc.as_deref(), Some("123"));
            assert_eq!(card.email.as_deref(), Some("you@example.com"));
        }
        assert!(
            form("378282246310005", "11/26", "1234").read(NOW).is_ok(),
            "to the month's end"
        );
    }

    #[test]
    fn each_mistake_is_told_next_to_its_field() {
        assert_eq!(
            mistakes("4242424242424241", "12/30", "123").number,
            Some("Your card number is invalid.")
        );
        assert_eq!(
            mistakes("4242", "12/30", "123").number,
            Some("Your card number is incomplete.")
        );
        assert!(
            mistakes("4242x4242y4242z4242", "12/30", "123")
                .number
                .is_some()
        );
        let past = mistakes("4242424242424242", "10/26", "123");
        assert_eq!(
            past.expiry,
            Some("Your card's expiration date is in the past.")
        );
        assert_eq!(
            past,
            Mistakes {
                expiry: past.expiry,
                ..Mistakes::default()
            }
        );
        for wrong in [
            "", "1", "13/30", "00/30", "ab/cd", "12/3", "12/99", "12/20300", "é/30",
        ] {
            assert!(
                mistakes("4242424242424242", wrong, "123").expiry.is_some(),
                "{wrong}"
            );
        }
        for (number, cvc) in [
            ("4242424242424242", "12"),
            ("378282246310005", "123"),
            ("4242424242424242", "1234"),
        ] {
            assert!(
                mistakes(number, "12/30", cvc).cvc.is_some(),
                "{number} {cvc}"
            );
        }
        let nothing = CardForm::default().read(NOW).err().unwrap();
        assert!(nothing.number.is_some() && nothing.expiry.is_some() && nothing.cvc.is_some());
        assert_eq!(nothing.email, None, "it is optional");
        let wrong = CardForm {
            email: "nobody".into(),
            ..form("4242424242424242", "12/30", "123")
        };
        assert!(wrong.read(NOW).err().unwrap().email.is_some());
    }

    #[test]
    fn a_form_never_prints_its_card() {
        assert_eq!(
            format!("{:?}", form("4242424242424242", "12/30", "123")),
            "CardForm(***)"
        );
    }
}
