//! Stripe's published test cards, and what becomes of a payment with each.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::decline::{Decline, declined, refused};
use crate::error::{ApiError, ApiResult};
use crate::pay::CardEntry;

/// When a bank wants to ask the customer first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Every time.
    Always,
    /// When the customer is there; without the customer only if the card was not set up before.
    UnlessSetUp,
    /// Only when the customer is there.
    OnSession,
}

/// What becomes of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// It succeeds.
    Approve,
    /// It is declined, and the card cannot be attached to a customer either.
    Decline(Decline),
    /// The card can be attached, and every payment is declined.
    DeclineLater(Decline),
    /// The bank asks the customer; then it succeeds or is declined.
    Challenge(Asks, Option<Decline>),
    /// It succeeds and is disputed with this reason; an inquiry moves no money.
    Dispute { reason: &'static str, inquiry: bool },
    /// It succeeds and the issuer warns of fraud.
    FraudWarning,
    /// It succeeds; a refund is pending first and succeeds later.
    RefundPends,
    /// It succeeds; a refund succeeds first and fails later.
    RefundFails,
    /// It succeeds and the funds are available at once.
    FundsAtOnce,
    /// Stripe blocks it for fraud.
    Blocked,
    /// It succeeds with this risk level.
    Risk(&'static str),
    /// It succeeds although these checks of CVC, street and postal code do not pass.
    Checks(&'static str, &'static str, &'static str),
}

/// One test card.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestCard {
    /// The name after `pm_card_` and `tok_`; for cards without one, a name of our own.
    pub(crate) name: &'static str,
    number: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) funding: &'static str,
    pub(crate) country: &'static str,
    pub(crate) behaviour: Behaviour,
}

const fn visa(name: &'static str, number: &'static str, behaviour: Behaviour) -> TestCard {
    TestCard {
        name,
        number,
        brand: "visa",
        funding: "credit",
        country: "US",
        behaviour,
    }
}

const fn plain(
    name: &'static str,
    number: &'static str,
    brand: &'static str,
    funding: &'static str,
) -> TestCard {
    TestCard {
        name,
        number,
        brand,
        funding,
        country: "US",
        behaviour: Behaviour::Approve,
    }
}

const fn irish(name: &'static str, number: &'static str, behaviour: Behaviour) -> TestCard {
    TestCard {
        country: "IE",
        ..visa(name, number, behaviour)
    }
}

/// A card that is no test card.
const LIVE: TestCard = visa(
    "live",
    "",
    Behaviour::Decline(declined("test_mode_live_card")),
);

/// The cards, as Stripe's testing page has them: number, name and outcome.
#[rustfmt::skip]
const CARDS: &[TestCard] = {
    use Asks::{Always, OnSession, UnlessSetUp};
    use Behaviour as B;
    &[
        plain("visa", "4242424242424242", "visa", "credit"),
        plain("visa_debit", "4000056655665556", "visa", "debit"),
        plain("mastercard", "5555555555554444", "mastercard", "credit"),
        plain("mastercard_series2", "2223003122003222", "mastercard", "credit"),
        plain("mastercard_debit", "5200828282828210", "mastercard", "debit"),
        plain("mastercard_prepaid", "5105105105105100", "mastercard", "prepaid"),
        plain("amex", "378282246310005", "amex", "credit"),
        plain("amex_second", "371449635398431", "amex", "credit"),
        plain("discover", "6011111111111117", "discover", "credit"),
        plain("discover_second", "6011000990139424", "discover", "credit"),
        plain("discover_debit", "6011981111111113", "discover", "debit"),
        plain("diners", "3056930009020004", "diners", "credit"),
        plain("jcb", "3566002020360505", "jcb", "credit"),
        plain("unionpay", "6200000000000005", "unionpay", "credit"),
        visa("visa_chargeDeclined", "4000000000000002", B::Decline(declined("generic_decline"))),
        visa("visa_chargeDeclinedInsufficientFunds", "4000000000009995", B::Decline(declined("insufficient_funds"))),
        visa("visa_chargeDeclinedLostCard", "4000000000009987", B::Decline(declined("lost_card"))),
        visa("visa_chargeDeclinedStolenCard", "4000000000009979", B::Decline(declined("stolen_card"))),
        visa("chargeDeclinedExpiredCard", "4000000000000069", B::Decline(refused("expired_card"))),
        visa("chargeDeclinedIncorrectCvc", "4000000000000127", B::Decline(refused("incorrect_cvc"))),
        visa("chargeDeclinedProcessingError", "4000000000000119", B::Decline(refused("processing_error"))),
        visa("visa_chargeDeclinedVelocityLimitExceeded", "4000000000006975", B::Decline(declined("card_velocity_exceeded"))),
        visa("chargeCustomerFail", "4000000000000341", B::DeclineLater(declined("generic_decline"))),
        visa("radarBlock", "4100000000000019", B::Blocked),
        visa("riskLevelHighest", "4000000000004954", B::Risk("highest")),
        visa("riskLevelElevated", "4000000000009235", B::Risk("elevated")),
        visa("cvcCheckFail", "4000000000000101", B::Checks("fail", "pass", "pass")),
        visa("avsZipFail", "4000000000000036", B::Checks("pass", "pass", "fail")),
        visa("avsLine1Fail", "4000000000000028", B::Checks("pass", "fail", "pass")),
        visa("avsFail", "4000000000000010", B::Checks("pass", "fail", "fail")),
        visa("avsUnchecked", "4000000000000044", B::Checks("pass", "unavailable", "unavailable")),
        visa("createDispute", "4000000000000259", B::Dispute { reason: "fraudulent", inquiry: false }),
        visa("createDisputeProductNotReceived", "4000000000002685", B::Dispute { reason: "product_not_received", inquiry: false }),
        visa("createDisputeInquiry", "4000000000001976", B::Dispute { reason: "fraudulent", inquiry: true }),
        visa("createIssuerFraudRecord", "4000000000005423", B::FraudWarning),
        visa("createMultipleDisputes", "4000000404000079", B::Dispute { reason: "fraudulent", inquiry: false }),
        visa("createCe3EligibleDispute", "4000000404000038", B::Dispute { reason: "fraudulent", inquiry: false }),
        visa("pendingRefund", "4000000000007726", B::RefundPends),
        visa("refundFail", "4000000000005126", B::RefundFails),
        visa("bypassPending", "4000000000000077", B::FundsAtOnce),
        visa("authenticationRequiredOnSetup", "4000002500003155", B::Challenge(UnlessSetUp, None)),
        visa("authenticationRequired", "4000002760003184", B::Challenge(Always, None)),
        visa("authenticationRequiredSetupForOffSession", "4000003800000446", B::Challenge(OnSession, None)),
        visa("authenticationRequiredChargeDeclinedInsufficientFunds", "4000008260003178", B::Challenge(Always, Some(declined("insufficient_funds")))),
        irish("threeDSecure2Required", "4000000000003220", B::Challenge(Always, None)),
        visa("threeDSecureRequired", "4000008400000027", B::Challenge(Always, None)),
        visa("threeDSecureRequiredChargeDeclined", "4000008400001629", B::Challenge(Always, Some(declined("generic_decline")))),
        visa("threeDSecureRequiredProcessingError", "4000008400001280", B::DeclineLater(declined("generic_decline"))),
        visa("threeDSecureOptional", "4000000000003055", B::Approve),
        visa("threeDSecureOptionalProcessingError", "4000000000003097", B::Approve),
        visa("threeDSecureFrictionless", "4000000032200000", B::Approve),
        visa("captcha", "4000000000001208", B::Approve),
    ]
};

/// Other names of the same cards.
const ALIASES: &[(&str, &str)] = &[
    ("chargeDeclined", "visa_chargeDeclined"),
    (
        "chargeDeclinedInsufficientFunds",
        "visa_chargeDeclinedInsufficientFunds",
    ),
    ("chargeDeclinedLostCard", "visa_chargeDeclinedLostCard"),
    ("chargeDeclinedStolenCard", "visa_chargeDeclinedStolenCard"),
    (
        "chargeDeclinedVelocityLimitExceeded",
        "visa_chargeDeclinedVelocityLimitExceeded",
    ),
    (
        "visa_chargeDeclinedExpiredCard",
        "chargeDeclinedExpiredCard",
    ),
    (
        "visa_chargeDeclinedIncorrectCvc",
        "chargeDeclinedIncorrectCvc",
    ),
    (
        "visa_chargeDeclinedProcessingError",
        "chargeDeclinedProcessingError",
    ),
    ("chargeDeclinedFraudulent", "radarBlock"),
    ("amex_threeDSecureNotSupported", "amex"),
    ("us", "visa"),
    ("threeDSecure2Optional", "threeDSecureOptional"),
];

impl TestCard {
    /// The card of that name: what follows `pm_card_` or `tok_`.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        if name == LIVE.name {
            return Some(&LIVE);
        }
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let name = alias.map_or(name, |(_, name)| name);
        CARDS.iter().find(|card| card.name == name)
    }

    /// The card of that number, which has to be digits only. Any other number is a card from outside of the test.
    fn numbered(number: &str) -> &'static Self {
        CARDS
            .iter()
            .find(|card| card.number == number)
            .unwrap_or(&LIVE)
    }

    /// The `card` of a payment method made by name, without typing in a number.
    pub(crate) fn stored(&self, year: i64, secret: &str) -> Value {
        self.describe(self.number, 12, year + 3, Some("pass"), secret)
    }

    fn describe(
        &self,
        number: &str,
        month: i64,
        year: i64,
        cvc: Option<&str>,
        secret: &str,
    ) -> Value {
        let brand = if self.number.is_empty() {
            brand_of(number)
        } else {
            self.brand
        };
        json!({
            "brand": brand,
            "checks": {
                "address_line1_check": null,
                "address_postal_code_check": null,
                "cvc_check": cvc.map(|_| "unchecked"),
            },
            "country": self.country,
            "display_brand": brand,
            "exp_month": month,
            "exp_year": year,
            "fingerprint": fingerprint(number, secret),
            "funding": self.funding,
            "generated_from": null,
            "last4": number.get(number.len().saturating_sub(4)..).unwrap_or_default(),
            "networks": { "available": [brand], "preferred": null },
            "regulated_status": "unregulated",
            "three_d_secure_usage": { "supported": brand != "amex" },
            "wallet": null,
        })
    }
}

/// Checks a card as it was typed in, at the moment `now`. What comes back holds neither the number nor the CVC:
/// the `card` of a payment method and the test card it is.
pub(crate) fn accept(
    entry: &CardEntry,
    now: i64,
    secret: &str,
) -> ApiResult<(Value, &'static TestCard)> {
    let number: String = entry
        .number
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .collect();
    let digits = number.chars().all(|c| c.is_ascii_digit());
    if !digits || !(12..=19).contains(&number.len()) || !passes_luhn(&number) {
        return Err(mistyped(
            "incorrect_number",
            "Your card number is incorrect.",
            "number",
        ));
    }
    let card = TestCard::numbered(&number);
    let (year, month) = year_and_month(now);
    if !(1..=12).contains(&entry.exp_month) {
        return Err(mistyped(
            "invalid_expiry_month",
            "Your card's expiration month is invalid.",
            "exp_month",
        ));
    }
    if !(year..=year + 50).contains(&entry.exp_year) {
        return Err(mistyped(
            "invalid_expiry_year",
            "Your card's expiration year is invalid.",
            "exp_year",
        ));
    }
    if entry.exp_year == year && entry.exp_month < month {
        return Err(mistyped(
            "invalid_expiry_month",
            "Your card's expiration month is invalid.",
            "exp_month",
        ));
    }
    let length = if brand_of(&number) == "amex" {
        3..=4
    } else {
        3..=3
    };
    let cvc = entry.cvc.as_deref().filter(|cvc| !cvc.is_empty());
    if cvc
        .is_some_and(|cvc| !length.contains(&cvc.len()) || !cvc.chars().all(|c| c.is_ascii_digit()))
    {
        return Err(mistyped(
            "invalid_cvc",
            "Your card's security code is invalid.",
            "cvc",
        ));
    }
    Ok((
        card.describe(&number, entry.exp_month, entry.exp_year, cvc, secret),
        card,
    ))
}

/// A card that cannot be one, whatever its bank thinks.
fn mistyped(code: &str, message: &str, param: &str) -> ApiError {
    ApiError::card(code, None, message).at(param)
}

fn passes_luhn(number: &str) -> bool {
    let digits = number.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => digit,
            _ if digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

fn brand_of(number: &str) -> &'static str {
    match number.as_bytes() {
        [b'4', ..] => "visa",
        [b'5' | b'2', ..] => "mastercard",
        [b'3', b'4' | b'7', ..] => "amex",
        [b'3', b'5', ..] => "jcb",
        [b'3', ..] => "diners",
        [b'6', b'2', ..] => "unionpay",
        [b'6', ..] => "discover",
        _ => "unknown",
    }
}

/// The same for the same card in one account, and of no use to learn the number: it is keyed with the account's
/// secret.
pub(crate) fn fingerprint(number: &str, secret: &str) -> String {
    let digest = Sha256::new()
        .chain_update(secret)
        .chain_update(b"card")
        .chain_update(number);
    hex::encode(digest.finalize()).chars().take(16).collect()
}

/// The year and the month (1 to 12) of a moment, in UTC.
pub(crate) fn year_and_month(now: i64) -> (i64, i64) {
    let zoned = jiff::Timestamp::from_second(now)
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC);
    (i64::from(zoned.year()), i64::from(zoned.month()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn entry(number: &str, month: i64, year: i64, cvc: &str) -> CardEntry {
        CardEntry {
            number: number.to_owned(),
            exp_month: month,
            exp_year: year,
            cvc: Some(cvc.to_owned()),
            email: None,
        }
    }

    fn refusal(entry: &CardEntry) -> String {
        accept(entry, NOW, "sk").unwrap_err().code.unwrap()
    }

    #[test]
    fn every_test_card_is_a_possible_number_and_has_a_name_of_its_own() {
        let mut names: Vec<_> = CARDS.iter().map(|card| card.name).collect();
        assert!(
            CARDS.iter().all(|card| passes_luhn(card.number)),
            "a number is misspelt"
        );
        assert!(
            ALIASES
                .iter()
                .all(|(alias, _)| TestCard::named(alias).is_some())
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CARDS.len());
    }

    #[test]
    fn a_typed_card_is_checked_before_any_bank_is_asked() {
        let (year, _) = year_and_month(NOW);
        assert_eq!(year, 2026);
        assert_eq!(
            refusal(&entry("4242 4242 4242 4241", 12, 2030, "123")),
            "incorrect_number"
        );
        assert_eq!(refusal(&entry("4242", 12, 2030, "123")), "incorrect_number");
        assert_eq!(
            refusal(&entry("4242424242424242", 13, 2030, "123")),
            "invalid_expiry_month"
        );
        assert_eq!(
            refusal(&entry("4242424242424242", 1, 2020, "123")),
            "invalid_expiry_year"
        );
        assert_eq!(
            refusal(&entry("4242424242424242", 1, 2026, "123")),
            "invalid_expiry_month"
        );
        assert_eq!(
            refusal(&entry("4242424242424242", 12, 2030, "12")),
            "invalid_cvc"
        );
        assert!(accept(&entry("3782 822463 10005", 12, 2030, "1234"), NOW, "sk").is_ok());
    }

    #[test]
    fn what_is_kept_of_a_card_does_not_hold_its_number() {
        let (card, test) =
            accept(&entry("4000-0000-0000-9995", 12, 2030, "123"), NOW, "sk").unwrap();
        assert_eq!(test.name, "visa_chargeDeclinedInsufficientFunds");
        assert_eq!(card["last4"], "9995");
        assert!(!card.to_string().contains("400000000000"));
    }

    #[test]
    fn a_card_from_outside_the_test_is_declined() {
        let (card, test) = accept(&entry("4111111111111111", 12, 2030, "123"), NOW, "sk").unwrap();
        assert_eq!(card["brand"], "visa");
        assert_eq!(
            test.behaviour,
            Behaviour::Decline(declined("test_mode_live_card"))
        );
    }
}
