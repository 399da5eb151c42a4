//! Declines: why a bank says no, what the customer is told, and what the shop is advised to do.

use serde_json::json;

use crate::error::ApiError;

/// Why a bank says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decline {
    /// Stripe's error code.
    pub(crate) code: &'static str,
    /// The bank's reason, where Stripe passes one on.
    pub(crate) reason: Option<&'static str>,
}

/// A card declined for this reason.
pub(crate) const fn declined(reason: &'static str) -> Decline {
    Decline {
        code: "card_declined",
        reason: Some(reason),
    }
}

/// A card declined with a code of its own.
pub(crate) const fn refused(code: &'static str) -> Decline {
    Decline {
        code,
        reason: Some(code),
    }
}

/// What Stripe tells the customer about a decline.
fn message(decline: Decline) -> &'static str {
    match (decline.code, decline.reason) {
        ("expired_card", _) => "Your card has expired.",
        ("incorrect_cvc", _) => "Your card's security code is incorrect.",
        ("processing_error", _) => {
            "An error occurred while processing your card. Try again in a little bit."
        }
        (_, Some("insufficient_funds")) => "Your card has insufficient funds.",
        (_, Some("card_velocity_exceeded")) => {
            "Your card was declined because it was used too often or beyond its limit."
        }
        (_, Some("test_mode_live_card")) => {
            "Your card was declined. The request was in test mode, but the card is not a test card."
        }
        (_, Some("authentication_required")) => {
            "Your card was declined. This payment needs the customer's authentication."
        }
        _ => "Your card was declined.",
    }
}

/// What Stripe advises to do about a decline, where its documentation says so.
pub(crate) fn advice(decline: Decline) -> Option<&'static str> {
    match decline.reason.unwrap_or(decline.code) {
        "lost_card" | "stolen_card" => Some("do_not_try_again"),
        "expired_card" | "incorrect_cvc" => Some("confirm_card_data"),
        "generic_decline"
        | "insufficient_funds"
        | "card_velocity_exceeded"
        | "processing_error" => Some("try_again_later"),
        _ => None,
    }
}

/// The error a decline is answered with.
pub(crate) fn error(decline: Decline) -> ApiError {
    let error = ApiError::card(decline.code, decline.reason, message(decline));
    match advice(decline) {
        Some(advice) => error.with("advice_code", json!(advice)),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_work_is_not_to_be_tried_again() {
        assert_eq!(advice(declined("stolen_card")), Some("do_not_try_again"));
        assert_eq!(advice(refused("incorrect_cvc")), Some("confirm_card_data"));
        assert_eq!(
            advice(declined("insufficient_funds")),
            Some("try_again_later")
        );
        assert_eq!(advice(declined("fraudulent")), None);
        let error = error(declined("lost_card"));
        assert_eq!(error.more["advice_code"], "do_not_try_again");
        assert_eq!(error.more["decline_code"], "lost_card");
    }
}
