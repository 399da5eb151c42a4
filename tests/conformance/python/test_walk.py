"""The official Python client, unmodified, walks through the sandbox; every answer is held against Stripe's description."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest
from urllib.parse import parse_qsl, urlsplit

import stripe

TESTS = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TESTS.parent / "target"))
BURSAR = os.environ.get("BURSAR_BIN", str(TARGET / "debug" / "bursar"))


class RecordingClient(stripe.RequestsClient):
    """The client's own transport, which also keeps what came back."""

    def __init__(self):
        super().__init__()
        self.answers = []

    def request(self, method, url, headers, post_data=None):
        body, status, answer_headers = super().request(method, url, headers, post_data)
        parts = urlsplit(url)
        fields = parse_qsl(parts.query) + parse_qsl(post_data if isinstance(post_data, str) else "")
        self.answers.append({
            "method": method.upper(), "pathname": parts.path, "status": status, "body": json.loads(body),
            "expand": [value for name, value in fields if name.split("[")[0] == "expand"],
        })
        return body, status, answer_headers


class Walk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="bursar-python-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.program = subprocess.Popen(
            [BURSAR, "sandbox", "--listen", "127.0.0.1:0", "--data", os.path.join(cls.folder.name, "sandbox"), "--print-json",
             "--api-version", stripe.api_version],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": cls.folder.name}, text=True,
        )
        cls.addClassCleanup(cls.stop)
        told = json.loads(cls.program.stdout.readline())
        cls.base, cls.key = told["stripe_api_base"], told["stripe_secret_key"]
        cls.http = RecordingClient()
        cls.stripe = stripe.StripeClient(cls.key, base_addresses={"api": cls.base}, http_client=cls.http, max_network_retries=0)

    @classmethod
    def stop(cls):
        cls.program.terminate()
        cls.program.wait(timeout=90)
        cls.program.stdout.close()

    def tearDown(self):
        """Every answer since the last test has to be as Stripe describes it."""
        answers, self.http.answers[:] = list(self.http.answers), []
        judge = subprocess.run(
            ["node", str(TESTS / "stripe-schema" / "judge-answers.mjs")],
            input="".join(json.dumps(answer) + "\n" for answer in answers), capture_output=True, text=True, check=True,
        )
        self.assertEqual(judge.stdout, "")

    def session(self, amount=500, **more):
        line = {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": amount, "product_data": {"name": "Credits"}}}
        params = {"mode": "payment", "success_url": "http://127.0.0.1:1/", "cancel_url": "http://127.0.0.1:1/", "line_items": [line], **more}
        return self.stripe.v1.checkout.sessions.create(params)

    def paid(self, method="pm_card_visa", **more):
        params = {"amount": 2000, "currency": "usd", "payment_method": method, "confirm": True, "return_url": "http://127.0.0.1:1/", **more}
        return self.stripe.v1.payment_intents.create(params)

    def test_the_pinned_version_is_the_sandboxs(self):
        self.assertEqual(stripe.api_version, "2026-10-28.endive")

    def test_checkout_session(self):
        session = self.session(client_reference_id="topup_1", metadata={"topup": "1"})
        self.assertEqual((session.status, session.payment_status, session.amount_total), ("open", "unpaid", 500))
        self.assertEqual(self.stripe.v1.checkout.sessions.retrieve(session.id).metadata["topup"], "1")
        lines = self.stripe.v1.checkout.sessions.line_items.list(session.id)
        self.assertEqual([line.amount_total for line in lines.data], [500])
        confirmed, status, _ = stripe.RequestsClient().request(
            "post", f"{self.base}/v1/payment_pages/{session.id}/confirm", {"Authorization": f"Bearer {self.key}"},
            "payment_method=pm_card_visa&expected_amount=500",
        )
        self.assertEqual(status, 200, confirmed)
        done = self.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})
        self.assertEqual((done.status, done.payment_status), ("complete", "paid"))
        self.assertEqual(done.payment_intent.latest_charge.amount, 500)
        other = self.session()
        self.assertEqual(self.stripe.v1.checkout.sessions.expire(other.id).status, "expired")
        self.assertGreaterEqual(len(self.stripe.v1.checkout.sessions.list({"limit": 2}).data), 2)

    def test_payment_intents(self):
        intent = self.stripe.v1.payment_intents.create({"amount": 700, "currency": "usd", "metadata": {"order": "7"}})
        self.assertEqual(intent.status, "requires_payment_method")
        self.assertEqual(self.stripe.v1.payment_intents.update(intent.id, {"description": "x"}).description, "x")
        done = self.stripe.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa", "return_url": "http://127.0.0.1:1/"})
        self.assertEqual((done.status, done.amount_received), ("succeeded", 700))
        held = self.paid(capture_method="manual")
        self.assertEqual(self.stripe.v1.payment_intents.capture(held.id).status, "succeeded")
        other = self.stripe.v1.payment_intents.create({"amount": 700, "currency": "usd"})
        self.assertEqual(self.stripe.v1.payment_intents.cancel(other.id).status, "canceled")

    def test_errors_have_stripes_classes(self):
        with self.assertRaises(stripe.CardError) as declined:
            self.paid("pm_card_visa_chargeDeclined")
        self.assertEqual((declined.exception.http_status, declined.exception.code), (402, "card_declined"))
        with self.assertRaises(stripe.InvalidRequestError) as small:
            self.stripe.v1.payment_intents.create({"amount": 1, "currency": "usd"})
        self.assertEqual(small.exception.code, "amount_too_small")
        with self.assertRaises(stripe.InvalidRequestError) as unknown:
            self.stripe.v1.customers.create({"nmae": "Ada"})
        self.assertEqual((unknown.exception.code, unknown.exception.param), ("parameter_unknown", "nmae"))
        with self.assertRaises(stripe.AuthenticationError):
            stripe.StripeClient("sk_test_wrongwrongwrongwrongwrong", base_addresses={"api": self.base}).v1.customers.list()
        self.stripe.v1.products.create({"name": "a"}, {"idempotency_key": "python-key"})
        with self.assertRaises(stripe.IdempotencyError):
            self.stripe.v1.products.create({"name": "b"}, {"idempotency_key": "python-key"})

    def test_customers_methods_and_pages(self):
        ids = [self.stripe.v1.customers.create({"name": f"{n}", "email": "python@example.com"}).id for n in range(12)]
        page = self.stripe.v1.customers.list({"email": "python@example.com", "limit": 5})
        self.assertEqual([customer.id for customer in page.auto_paging_iter()], ids[::-1])
        method = self.stripe.v1.payment_methods.attach("pm_card_visa", {"customer": ids[0]})
        self.assertEqual(self.stripe.v1.payment_methods.retrieve(method.id).card.last4, "4242")
        self.assertEqual([one.id for one in self.stripe.v1.payment_methods.list({"customer": ids[0]}).data], [method.id])
        self.assertIsNone(self.stripe.v1.payment_methods.detach(method.id).customer)
        changed = self.stripe.v1.customers.update(ids[0], {"metadata": {"a": "1", "b": "2"}})
        self.assertEqual(self.stripe.v1.customers.update(changed.id, {"metadata": {"a": ""}}).metadata.to_dict(), {"b": "2"})
        self.assertTrue(self.stripe.v1.customers.delete(ids[0]).deleted)

    def test_charges_refunds_and_balance(self):
        intent = self.paid(expand=["latest_charge.balance_transaction"])
        charge = intent.latest_charge
        self.assertEqual(charge.balance_transaction.net, 2000 - charge.balance_transaction.fee)
        refund = self.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
        self.assertEqual(self.stripe.v1.charges.retrieve(charge.id).amount_refunded, 500)
        self.assertEqual(self.stripe.v1.balance_transactions.retrieve(refund.balance_transaction).amount, -500)
        with self.assertRaises(stripe.InvalidRequestError):
            self.stripe.v1.refunds.create({"charge": charge.id, "amount": 1501})
        self.assertEqual([one.id for one in self.stripe.v1.refunds.list({"charge": charge.id}).data], [refund.id])

    def test_products_prices_and_endpoints(self):
        product = self.stripe.v1.products.create({"name": "Pack"})
        price = self.stripe.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 500})
        self.assertEqual([one.id for one in self.stripe.v1.prices.list({"product": product.id}).data], [price.id])
        endpoint = self.stripe.v1.webhook_endpoints.create({"url": "http://127.0.0.1:1/hook", "enabled_events": ["*"]})
        self.assertTrue(endpoint.secret.startswith("whsec_"))
        self.assertEqual(self.stripe.v1.webhook_endpoints.update(endpoint.id, {"disabled": True}).status, "disabled")
        self.assertTrue(self.stripe.v1.webhook_endpoints.delete(endpoint.id).deleted)

    def test_events(self):
        self.paid()
        events = self.stripe.v1.events.list({"type": "payment_intent.succeeded", "limit": 1}).data
        self.assertEqual(self.stripe.v1.events.retrieve(events[0].id).data.object.object, "payment_intent")

    def test_the_older_global_style(self):
        stripe.api_key, stripe.api_base, stripe.default_http_client = self.key, self.base, self.http
        customer = stripe.Customer.create(name="Ada")
        self.assertEqual(stripe.Customer.retrieve(customer.id).name, "Ada")


if __name__ == "__main__":
    unittest.main()
