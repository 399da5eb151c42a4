// What every conformance test file begins with: a sandbox, a client, and the judge's word after each test.
import assert from 'node:assert/strict';
import { after, afterEach } from 'node:test';
import { clientOf, raw, startReceiver, startSandbox } from './sandbox.mjs';

/** Opens a sandbox for this file; each test fails if any answer during it differs from Stripe's description. */
export async function openSandbox(options) {
  const box = await startSandbox(options);
  const client = clientOf(box);
  after(() => box.program.stop());
  afterEach(() => assert.deepEqual(client.complaints(), [], 'answers that differ from Stripe’s own description'));
  return {
    box,
    ...client,
    ask: (method, address, more) => raw(box, method, address, more),
    /** Registers a receiver for these events and gives it back with the endpoint's secret. */
    async receive(events = ['*'], more = {}) {
      const receiver = await startReceiver();
      const endpoint = await client.stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: events, ...more });
      after(() => receiver.close());
      return Object.assign(receiver, { endpoint, secret: endpoint.secret });
    },
    /** A command to the sandbox's control API, such as `control('clock', { advance_seconds: 60 })`. */
    async control(command, fields = {}) {
      const response = await fetch(`${box.base}/sandbox/${command}`, {
        method: 'POST', body: JSON.stringify(fields), headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/json' },
      });
      assert.equal(response.status, 200, await response.clone().text());
      return response.json();
    },
    /** Pays by bank debit on the session's page, where one can wish to say later how it ends: others settle after a second. */
    async payLater(session) {
      const form = new URLSearchParams({ method: 'bank', email: 'ada@example.com', later: 'ask' });
      const { status } = await fetch(`${box.base}/c/pay/${session.id}`, { method: 'POST', redirect: 'manual', body: form });
      assert.equal(status, 303);
    },
    /** Pays a checkout session as Stripe's CLI does, without a browser. */
    async pay(session, paymentMethod, amount = session.amount_total) {
      return raw(box, 'POST', `/v1/payment_pages/${session.id}/confirm`, {
        form: { payment_method: paymentMethod, expected_amount: String(amount) },
      });
    },
  };
}

/** Checks that a call is refused as Stripe refuses it, and gives the error for a closer look. */
export async function refused(call, expected) {
  const error = await call.then(() => assert.fail('the call was accepted'), (reason) => reason);
  assert.ok(error.type?.startsWith('Stripe'), `not an answer of Stripe's: ${error.stack}`);
  const seen = Object.fromEntries(Object.keys(expected).map((name) => [name, error[name]]));
  assert.deepEqual(seen, expected, error.message);
  return error;
}

/** A line item with its price written out. */
export const item = (amount, more = {}) => ({
  quantity: 1,
  price_data: { currency: 'usd', unit_amount: amount, product_data: { name: 'Credits' } },
  ...more,
});

/** The least a checkout session needs. */
export const sessionOf = (amount, more = {}) => ({
  mode: 'payment', success_url: 'http://127.0.0.1:1/success', cancel_url: 'http://127.0.0.1:1/cancel', line_items: [item(amount)], ...more,
});
