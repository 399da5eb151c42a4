"""What schemathesis checks of each answer besides its own checks; loaded by it through SCHEMATHESIS_HOOKS.

A request that is as the document says may still be refused, by a rule between its fields or by what is in the wallet. Those rules are
listed here, in the words of the answers. Whatever else refuses such a request is missing in the document.
"""

import atexit
import collections
import json
import os
import re

import schemathesis

# What no schema of one request can say.
RULES = [
    # Two fields, or a field and a header, that have to agree.
    r"`credits` is the same field as `amount`", r"`metadata` is the same field as `meta`", r"`idempotency_key` differs from the header",
    # What depends on who asks, or on another field of a query.
    r"^`user_id` is missing$", r"`user_id` is for administrators", r"needs `user_id`", r"stands beside another",
    r"there are: `user_id`, `transaction_id`, `idempotency_key`",
    r"is another question than `transaction_id`", r"does not go with `idempotency_key`", r"actions cost credits",
    r"`user_id` must be left out", r"is needed, or else `from`", r"is missing, and so is `expires_in`", r"`from` must not be after `to`",
    r"says what an amount is in",
    # What depends on now, on the configuration, or on what is there.
    r"must be in the future", r"must be after", r"is not one that was given out for this list", r"must be from .* to ",
    r"must be a whole number from 50 to 1000000", r"needs `expires_at`", r"roll_over needs",
    # Money has as many digits as its currency.
    r"digits? behind the point", r"is larger than amounts can be", r"must be a number such as 5 or 10.50",
    r"has more digits than a JSON number keeps",
    # Addresses and bodies that have no schema here.
    r"must be an address such as", r"`(success|cancel)_url` is (not an address|at an address)", r"is not below an origin",
    r"Stripe-Signature header", r"the signature",
    # No database keeps it.
    r"the character U\+0000",
    # JSON beyond what we take: names given twice, and bodies of more than 64 KiB are other statuses.
    r"`meta` must be an object of at most 4096 bytes",
]

# Refusals with a code of their own that are about the moment and not about the request.
MOMENT = {
    "action_unknown", "balance_out_of_range", "base_url_missing", "card_number_refused", "code_invalid", "coupon_invalid", "coupon_unfit",
    "currency_not_offered", "event_malformed", "idempotency_not_supported", "price_not_chargeable", "price_out_of_range",
    "referral_invalid", "same_unit", "self_referral", "signature_invalid",
}


# How often each operation was answered with which status, for whoever has started this.
SEEN = collections.Counter()


@atexit.register
def tell():
    with open(os.environ["API_SEEN"], "w", encoding="utf-8") as file:
        json.dump([[operation, status, count] for (operation, status), count in SEEN.items()], file)


@schemathesis.check
def counted(ctx, response, case):
    SEEN[case.operation.label, response.status_code] += 1


def has_decimal_point(value):
    """Whether a whole number in it is written with a point. To JSON Schema `5.0` is an integer; here it is none (docs/api.md)."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return any(has_decimal_point(inner) for inner in value)
    return isinstance(value, float) and value.is_integer()


@schemathesis.check
def only_known_rules_refuse(ctx, response, case):
    """A request that is as the document says is refused by a rule that is known, or not at all."""
    if response.status_code != 400 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    body = json.loads(response.text)
    error = body["error"] if isinstance(body["error"], dict) else {**body, "message": body["error"]}
    if "a whole number" in error["message"] and has_decimal_point(case.body):
        return
    known = error["code"] in MOMENT or any(re.search(rule, error["message"]) for rule in RULES)
    assert known, f"the document allows what is refused: {error['code']}: {error['message']}"
