"""`bursar dev` for the fuzzer: a service with its sandbox, and something of every kind in it, so that requests meet more than 404."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
BURSAR = os.environ.get("BURSAR_BIN", str(TARGET / "debug" / "bursar"))

# Everything is offered, and nobody is sent away for asking too often.
SETTINGS = {
    "BURSAR_RATE_GUEST": "0", "BURSAR_RATE_FAILURE": "0", "BURSAR_RATE_USER": "0", "BURSAR_RATE_CHECKOUT": "0",
    "BURSAR_RATE_READING": "0",
    "BURSAR_PACKAGES": '[{"id": "starter", "name": "Starter", "credits": 1000, "amount_minor": 900, "bonus": 50}]',
    "BURSAR_ACTIONS": "picture=10,token=1/1000",
    "BURSAR_SIGNUP_CREDITS": "5", "BURSAR_TRIAL_CREDITS": "7",
    "BURSAR_REFUND_APPROVAL_ABOVE": "200",
    "BURSAR_REFERRER_CREDITS": "11", "BURSAR_REFERRED_CREDITS": "13",
}


class Service:
    """The program, and the names of what is in it."""

    def __init__(self, settings=()):
        self.folder = tempfile.TemporaryDirectory(prefix="bursar-api-")
        data = pathlib.Path(self.folder.name, "data")
        environment = {"PATH": os.environ["PATH"], "HOME": self.folder.name, **SETTINGS, **dict(settings)}
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        self.program = subprocess.Popen(
            [BURSAR, "dev", "--listen", "127.0.0.1:0", "--data", str(data)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, env=environment, cwd=self.folder.name)
        self.told = self.wait_for(lambda: json.loads((data / "credentials.json").read_text()))
        self.base = self.told["base_url"]
        self.wait_for(lambda: self.call("GET", "/readyz"))

    def wait_for(self, ask, seconds=90):
        """What `ask` gives, once it gives something."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = ask()
                if found:
                    return found
            except (OSError, ValueError):
                pass
            if time.monotonic() > end or self.program.poll() is not None:
                raise RuntimeError(f"the service does not come so far:\n{self.said()}")
            time.sleep(0.05)

    def said(self):
        """The end of its log."""
        self.log.flush()
        return pathlib.Path(self.log.name).read_text(encoding="utf-8")[-6_000:]

    def stop(self):
        """Ends the program; how it ended."""
        self.program.terminate()
        code = self.program.wait(timeout=90)
        self.log.close()
        self.folder.cleanup()
        return code

    def call(self, method, address, body=None, token=None, base=None, **headers):
        """One request whose answer is JSON and success."""
        if body is not None and "content-type" not in headers:
            body, headers["content-type"] = json.dumps(body), "application/json"
        if token:
            headers["authorization"] = f"Bearer {token}"
        request = urllib.request.Request(
            (base or self.base) + address, method=method, data=None if body is None else body.encode(), headers=headers)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=90) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {address}: {error.code} {error.read().decode()}") from error

    def admin(self, method, address, body=None, **headers):
        return self.call(method, address, body, self.told["admin_key"], **headers)

    def user(self, method, address, body=None, **headers):
        return self.call(method, address, body, self.told["user_token"], **headers)

    def pay(self, credits):
        """Buys credits as the demo user; the payment, paid."""
        topup = self.user("POST", "/v1/balance/topups/create", {"amount": credits})
        payment = self.user("POST", "/v1/payment.stripe/checkout/create", {"topup_id": topup["topup_id"], "save_card": True})
        session = payment["stripe_checkout_session_id"]
        fields = {"payment_method": "pm_card_visa", "expected_amount": str(payment["amount_minor"])}
        self.call("POST", f"/v1/payment_pages/{session}/confirm", urllib.parse.urlencode(fields), self.told["stripe_secret_key"],
                  self.told["stripe_api_base"], **{"content-type": "application/x-www-form-urlencoded"})
        address = f"/v1/payment.stripe/payments/{payment['payment_id']}"
        return self.wait_for(lambda: (paid := self.user("GET", address))["status"] == "paid" and paid)

    def fill(self):
        """Puts something of every kind into it. The values of fields that name something, by the fields' names."""
        me = self.told["user_id"]
        known = {"user_id": [me, "anna", "bob"], "package_id": ["starter"], "action": ["picture", "token"], "unit": ["credit", "usd"],
                 "currency": ["usd"], "api_key": ["team-key"], "label": ["red"], "coupon": ["HALF"]}
        paid = [self.pay(500), self.pay(700)]
        open_topup = self.user("POST", "/v1/balance/topups/create", {"amount": 300})["topup_id"]
        known["payment_id"] = [payment["payment_id"] for payment in paid]
        known["topup_id"] = [open_topup, paid[0]["topup_id"]]
        known["session_id"] = [payment["stripe_checkout_session_id"] for payment in paid]
        known["payment_intent_id"] = [payment["stripe_payment_intent_id"] for payment in paid]
        known["card_id"] = self.cards()
        for user in ["anna", "bob"]:
            for unit in ["credit", "usd"]:
                self.admin("POST", "/v1/balance/grants/create", {"user_id": user, "credits": 1_000_000, "unit": unit})
        grant = self.admin("POST", "/v1/balance/grants/create", {"user_id": me, "credits": 100_000})
        known["grant_id"] = [grant["grant_id"]]
        known["hold_id"] = [
            self.admin("POST", "/v1/balance/holds/create", {"user_id": "anna", "credits": 40, "labels": ["red"]})["hold_id"]
            for _ in range(3)]
        self.admin("POST", "/v1/balance/holds/settle", {"hold_id": known["hold_id"][0], "credits": 3})
        charged = self.admin("POST", "/v1/balance/charge", {"user_id": "anna", "credits": 7, "idempotency_key": "fuzz-1"})
        known["transaction_id"] = [charged["charge_id"]]
        limit = {"label": "red", "period": "day", "credits": 100_000}
        known["limit_id"] = [self.admin("POST", "/v1/balance/limits/set", limit)["limit_id"]]
        self.admin("POST", "/v1/balance/coupons/create", {"code": "HALF", "percent_off": 50})
        code = self.admin("POST", "/v1/balance/codes/create", {"credits": 3, "count": 2, "uses_max": 100})["items"][0]
        known["code_id"], known["code"] = [code["code_id"]], ["HALF", code["code"]]
        known["api_key_id"] = [
            self.admin("POST", "/v1/keys/create", {"role": "user", "user_id": "bob"})["api_key_id"]]
        refund = {"payment_id": paid[1]["payment_id"], "amount_minor": 100, "idempotency_key": "fuzz-refund"}
        known["refund_id"] = [self.admin("POST", "/v1/payment.stripe/refunds/create", refund)["refund_id"]]
        colleague = self.admin("POST", "/v1/keys/create", {"role": "admin"})["api_key"]
        for number in range(2):
            wish = {"payment_id": paid[1]["payment_id"], "amount_minor": 150 + number, "idempotency_key": f"fuzz-waits-{number}"}
            waits = self.call("POST", "/v1/payment.stripe/refunds/create", wish, colleague)
            assert waits["status"] == "awaiting_approval", waits
            known["refund_id"].append(waits["refund_id"])
        automatic = {"threshold": 1, "credits": 100, "card_id": known["card_id"][0]}
        self.user("POST", "/v1/balance/auto_topup/set", automatic)
        self.user("GET", "/v1/balance/referral")
        self.admin("POST", "/v1/usage/record", {"user_id": "anna", "service": "pictures", "quantity": 2})
        return known

    def cards(self):
        """The user's saved cards."""
        return [card["card_id"] for card in self.user("GET", "/v1/payment.stripe/cards")["items"]]

    def save_cards(self):
        """Two cards of the user; those that were there may have been detached by whoever asked before."""
        before = set(self.cards())
        for amount in [500, 700]:
            self.pay(amount)
        return [card for card in self.cards() if card not in before]

    def examples(self, known):
        """Requests that succeed when they come first, by operation: what they need is there for nobody else."""
        hold = lambda: self.admin("POST", "/v1/balance/holds/create", {"user_id": "anna", "credits": 40})["hold_id"]
        topup = lambda: self.user("POST", "/v1/balance/topups/create", {"amount": 300})["topup_id"]
        grant = lambda: self.admin("POST", "/v1/balance/grants/create", {"user_id": "bob", "credits": 5})["grant_id"]
        code = self.admin("POST", "/v1/balance/codes/create", {"credits": 3, "count": 2})["items"]
        card, payment = known["card_id"][0], known["payment_id"][1]
        return {
            "POST /v1/balance/auto_topup/set": {"threshold": 1, "credits": 100, "card_id": card},
            "POST /v1/balance/auto_topup/remove": {},
            "POST /v1/balance/charge": {"user_id": "anna", "credits": 5},
            "POST /v1/balance/charge/batch": {"charges": [{"user_id": "anna", "action": "picture", "idempotency_key": "fuzz-b"}]},
            "POST /v1/balance/codes/disable": {"code_id": code[0]["code_id"]},
            "POST /v1/balance/codes/redeem": {"code": code[1]["code"]},
            "POST /v1/balance/exchange": {"user_id": "anna", "from": {"unit": "usd", "amount": 5}, "to": {"unit": "credit", "amount": 5}},
            "POST /v1/balance/grants/void": {"grant_id": grant()},
            "POST /v1/balance/holds/create": {"user_id": "anna", "credits": 5},
            "POST /v1/balance/holds/extend": {"hold_id": hold(), "credits": 5},
            "POST /v1/balance/holds/progress": {"hold_id": hold(), "credits": 5},
            "POST /v1/balance/holds/release": {"hold_id": hold()},
            "POST /v1/balance/holds/settle": {"hold_id": hold(), "credits": 5},
            "POST /v1/balance/sub": {"user_id": "anna", "credits": 5},
            "POST /v1/balance/topups/cancel": {"topup_id": topup()},
            "POST /v1/balance/topups/create": {"credits": 100},
            "POST /v1/balance/topups/finish": {"topup_id": topup()},
            "POST /v1/payment.stripe/cards/charge": {"topup_id": topup(), "card_id": card},
            "POST /v1/payment.stripe/cards/detach": {"card_id": known["card_id"][1]},
            "POST /v1/payment.stripe/checkout/create": {"topup_id": topup()},
            "POST /v1/payment.stripe/intent/create": {"topup_id": topup()},
            "POST /v1/payment.stripe/refunds/create": {"payment_id": payment, "amount_minor": 10},
            "POST /v1/payment.stripe/refunds/approve": {"refund_id": known["refund_id"][1]},
            "POST /v1/payment.stripe/refunds/reject": {"refund_id": known["refund_id"][2]},
            "POST /api/stripe/checkout-session": {"amount": 10},
            "POST /api/stripe/payment-intent": {"amount": "10.50"},
            "POST /api/stripe/refund": {"payment_id": 1, "amount": 0.05},
        }
